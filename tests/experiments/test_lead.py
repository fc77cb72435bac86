"""Runs that predict one value several steps ahead: each forecast stands in the row, and at the date, that it is of."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, predict_table, roll_out, train_run
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.report.figures import draw_run, forecast_columns
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.report.pages.run_figures import forecast_section

ROWS, WINDOW, LEAD, SEASON = 60, 4, 3, 5
SERIES = np.sin(np.arange(ROWS)) * 3 + np.arange(ROWS) / 10
DAYS = pd.date_range("2021-03-01", periods=ROWS, freq="D")
TABLE = pd.DataFrame({"day": DAYS.strftime("%Y-%m-%d"), "y": SERIES})


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "s.csv"
    TABLE.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = DataSpec(csv=str(csv), target="y", window=WINDOW, lead=LEAD, season=SEASON)
    out = tmp_path_factory.mktemp("runs") / "run"
    train_run(RunSpec(data=data, model="config1", depth=1, hidden_size=1, epochs=2, valid_fraction=0.2), out)
    return load_run(out)


def of(run: Run, end: int) -> float:
    """What the model makes of the window that ends at a row, in original units, the scaling written out."""
    scaler = run.header.input_scaler
    low, high = scaler.low[0], scaler.high[0]
    window = (SERIES[end - WINDOW + 1 : end + 1] - (low + high) / 2) / ((high - low) / 2)
    return float(run.predict_scaled(window[None, :, None])[0, 0]) * (high - low) / 2 + (low + high) / 2


def test_each_row_is_predicted_from_the_window_so_many_rows_before(run: Run, csv: Path) -> None:
    table = predict_table(run, csv)
    first = WINDOW + LEAD - 1
    assert table["prediction"][:first].isna().all()
    np.testing.assert_allclose(table["prediction"][first:], [of(run, row - LEAD) for row in range(first, ROWS)], atol=1e-12)
    np.testing.assert_allclose(table["persistence"][first:], SERIES[first - LEAD : ROWS - LEAD], atol=1e-12)
    assert table["persistence"][:first].isna().all()
    assert table["day"].tolist() == TABLE["day"].tolist()
    last = predict_table(run, csv, last=5)
    pd.testing.assert_frame_equal(last, table.iloc[-5:].reset_index(drop=True))


def test_the_next_rows_are_those_of_the_last_windows(run: Run, csv: Path) -> None:
    table = roll_out(run, csv, LEAD)
    assert table["step"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["prediction"], [of(run, end) for end in range(ROWS - LEAD, ROWS)], atol=1e-12)
    np.testing.assert_allclose(table["persistence"], SERIES[-LEAD:], atol=1e-12)
    assert table["day"].tolist() == ["2021-04-30", "2021-05-01", "2021-05-02"]
    pd.testing.assert_frame_equal(roll_out(run, csv, 2), table[:2])
    with pytest.raises(OptionError, match="this run predicts 'y' 3 steps ahead; ask for a horizon of at most 3, or train with"):
        roll_out(run, csv, LEAD + 1)
    short = TABLE[: WINDOW + LEAD - 1]
    assert len(roll_out(run, short, LEAD)) == LEAD


def test_what_was_known_before_a_row_does_not_depend_on_later_ones(run: Run, csv: Path) -> None:
    other = TABLE.copy()
    other.loc[50:, "y"] = 7.0
    before, after = predict_table(run, TABLE)["prediction"], predict_table(run, other)["prediction"]
    np.testing.assert_array_equal(before[: 50 + LEAD], after[: 50 + LEAD])
    assert before[50 + LEAD] != after[50 + LEAD]


def test_metrics_by_hand(run: Run) -> None:
    windows = ROWS - WINDOW - LEAD + 1
    first = int(0.67 * windows)
    rows = np.arange(first, windows) + WINDOW - 1 + LEAD
    made, truth = np.array([of(run, row - LEAD) for row in rows]), SERIES[rows]
    known = SERIES[: first + WINDOW]  # up to the end of the first test window
    scale = np.mean(np.abs(known[SEASON:] - known[:-SEASON]))
    test = run.metrics["test"]
    assert test["mae_original"] == pytest.approx(np.mean(np.abs(made - truth)), rel=1e-9)
    assert test["mase"] == pytest.approx(np.mean(np.abs(made - truth)) / scale, rel=1e-9)
    assert run.metrics["persistence"]["rmse_original"] == pytest.approx(np.sqrt(np.mean((SERIES[rows - LEAD] - truth) ** 2)))
    naive = SERIES[rows - SEASON]
    assert run.metrics["seasonal_naive"]["rmse_original"] == pytest.approx(np.sqrt(np.mean((naive - truth) ** 2)))
    dates = run.metrics["dates"]
    assert dates["test"] == [TABLE["day"][rows[0]], TABLE["day"][rows[-1]]]
    assert dates["train"][0] == TABLE["day"][WINDOW + LEAD - 1]
    assert dates["train"][1] == TABLE["day"][first + WINDOW - 1], "the last target is known at the first test window's end"


def test_figures_and_pages_say_how_far(run: Run) -> None:
    columns = forecast_columns(run)
    np.testing.assert_allclose(columns["truth"], SERIES[columns["row"]], atol=1e-12)
    np.testing.assert_allclose(columns["persistence"], SERIES[columns["row"] - LEAD], atol=1e-12)
    np.testing.assert_allclose(columns["prediction"], [of(run, row - LEAD) for row in columns["row"]], atol=1e-12)
    section = forecast_section(run)
    assert section.parts[0].text.startswith("3 steps ahead, in")
    assert "forecasts 3 steps ahead, " in section.parts[1].caption
    assert draw_run(run)
    assert "--lead 3" in again(run.spec, run.path)


def test_exports_know_it(run: Run, csv: Path, tmp_path: Path) -> None:
    export_run(run.path, "qasm3", tmp_path / "qasm")
    read = load_exported(tmp_path / "qasm")
    assert read.header.lead == LEAD
    export_run(run.path, "multilinear", tmp_path / "form")
    assert json.loads((tmp_path / "form" / "multilinear.json").read_text())["lead"] == LEAD
    done = subprocess.run(
        [sys.executable, tmp_path / "form" / "predict.py", csv], capture_output=True, text=True, check=True, timeout=120
    )
    header, *lines = done.stdout.splitlines()
    assert header == f"after_row,y+{LEAD}"
    after, value = lines[-1].split(",")
    assert int(after) == ROWS
    assert float(value) == pytest.approx(roll_out(run, csv, LEAD)["prediction"].iloc[-1], abs=1e-9)


def test_an_exported_ensemble_knows_it(csv: Path, tmp_path: Path) -> None:
    data = DataSpec(csv=str(csv), target="y", window=WINDOW, lead=LEAD)
    path = train_run(RunSpec(data=data, model="config1", hidden_size=2, depth=1, epochs=1, replicas=2), tmp_path / "run").path
    export_run(path, "multilinear", tmp_path / "form")
    done = subprocess.run(
        [sys.executable, tmp_path / "form" / "predict.py", csv], capture_output=True, text=True, check=True, timeout=120
    )
    header, *lines = done.stdout.splitlines()
    assert header == f"after_row,y+{LEAD},spread+{LEAD}"
    last = roll_out(load_run(path), csv, LEAD).iloc[-1]
    assert list(map(float, lines[-1].split(","))) == pytest.approx([ROWS, last["prediction"], last["spread"]], abs=1e-9)


def test_a_changed_lead_is_noticed(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    config = json.loads((copy / "config.json").read_text())
    assert config["data"]["lead"] == LEAD
    config["data"]["lead"] = 2
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=re.escape("data.lead 2, and") + ".* says 3"):
        load_run(copy)
