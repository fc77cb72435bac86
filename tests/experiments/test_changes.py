"""Runs that learn differences or logarithms: everything that is told of them is of the series itself."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from qlstm_qiskit.cli import main
from qlstm_qiskit.data import Change, Scaler, rolled_out
from qlstm_qiskit.errors import CircuitError, DataError, OptionError, QLSTMError, RunError
from qlstm_qiskit.experiments import (
    DataSpec,
    Run,
    RunSpec,
    load_run,
    predict_table,
    require_same,
    resume_run,
    roll_out,
    train_run,
)
from qlstm_qiskit.experiments.export import multilinear_reader
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.runs.metrics import errors_of
from qlstm_qiskit.experiments.runs.shots import shot_curve
from qlstm_qiskit.experiments.studies.evaluations import EvaluationSpec, evaluate
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.report.figures import forecast_columns
from qlstm_qiskit.report.pages.commands import again
from tests.experiments.resumable import interrupted_in

ROWS, WINDOW = 70, 4
SERIES = np.exp(0.03 * np.arange(ROWS) + 0.2 * np.sin(np.arange(ROWS) * 2 * np.pi / 6)) + 1
TABLE = pd.DataFrame({"month": pd.date_range("2010-01-01", periods=ROWS, freq="MS"), "y": SERIES, "mark": np.arange(ROWS) % 3})
#: By name: fields of the series, and the change that they come to.
CASES = {
    "first": ({"difference": (1,)}, Change((1,))),
    "both, log": ({"difference": (1, "season"), "transform": "log"}, Change((1, 6), "log")),
    "three ahead": ({"difference": ("season",), "horizon": 3}, Change((6,))),
    "with a mark": ({"difference": (1,), "features": ("mark", "y")}, Change((1,))),
    "from a mark": ({"difference": (1,), "features": ("mark",)}, Change((1,))),
    "log": ({"transform": "log"}, Change((), "log")),
}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "grows.csv"
    TABLE.to_csv(path, index=False)
    return path


def spec(csv: Path, data: dict[str, object], **options: object) -> RunSpec:
    series = DataSpec(csv=str(csv), target="y", window=WINDOW, season=6, **data)  # type: ignore[arg-type]
    return RunSpec(data=series, **({"model": "lstm", "hidden_size": 2, "epochs": 2, "valid_fraction": 0.2} | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: train_run(spec(csv, data), folder / name.replace(" ", "-")) for name, (data, _) in CASES.items()}


def changed_by_pandas(change: Change) -> pd.Series:
    column = np.log(TABLE["y"]) if change.transform else TABLE["y"]
    for rows in change.difference:
        column = column.diff(rows)
    return column


def restored_by_pandas(changed: np.ndarray, past: np.ndarray, change: Change) -> np.ndarray:
    """Cumulative sums, one difference after another."""
    levels = [pd.Series(np.log(past) if change.transform else past)]
    for rows in change.difference:
        levels.append(levels[-1].diff(rows))
    found = pd.Series(changed)
    for rows, level in zip(change.difference[::-1], levels[-2::-1], strict=True):
        joined = pd.concat([level.iloc[-rows:], found], ignore_index=True)
        found = joined.groupby(np.arange(len(joined)) % rows).cumsum().iloc[rows:]
    return np.exp(found.to_numpy()) if change.transform else found.to_numpy()


def by_hand(run: Run, change: Change) -> dict[int, np.ndarray]:
    """By row the predictions from it on: differences and sums of pandas, scaled by the rows before the test part."""
    known, reach = run.dataset.n_known, change.reach
    changed = changed_by_pandas(change)
    columns = pd.DataFrame({name: changed if name == "y" else TABLE[name] for name in run.header.features}).to_numpy()
    inputs, target = Scaler.fit(columns[reach:known]), Scaler.fit(changed.to_numpy()[reach:known, None])
    found = {}
    for row in range(reach + WINDOW, ROWS + 1):
        window = inputs.transform(columns[row - WINDOW : row])
        with torch.no_grad():
            predicted = run.forecaster(torch.as_tensor(window[None])).numpy()[0]
        found[row] = restored_by_pandas(target.inverse(predicted[:, None])[:, 0], SERIES[:row], change)
    return found


@pytest.mark.parametrize("name", CASES)
def test_predictions_and_errors_are_those_of_pandas_by_hand(name: str, runs: dict[str, Run]) -> None:
    run, change = runs[name], CASES[name][1]
    expected, data, horizon = by_hand(run, change), run.dataset, run.header.horizon
    table = predict_table(run, TABLE)
    first = change.reach + WINDOW
    assert table["prediction"].isna().tolist() == table["persistence"].isna().tolist() == [row < first for row in range(ROWS)]
    np.testing.assert_allclose(table["prediction"][first:], [expected[row][0] for row in range(first, ROWS)], rtol=1e-11)
    np.testing.assert_allclose(table["persistence"][first:], SERIES[first - 1 : -1], rtol=1e-14)
    drawn = forecast_columns(run)
    np.testing.assert_allclose(drawn["truth"], SERIES[drawn["row"]], rtol=1e-12)
    np.testing.assert_allclose(drawn["prediction"], [expected[row][0] for row in drawn["row"]], rtol=1e-11)
    np.testing.assert_allclose(drawn["persistence"], SERIES[drawn["row"] - 1], rtol=1e-14)

    half = np.ptp(SERIES[: data.n_known]) / 2  # as if nothing were changed

    def errors(rows: range) -> np.ndarray:
        return np.concatenate([expected[row] - SERIES[row : row + horizon] for row in rows])

    test = errors(range(data.n_known, ROWS - horizon + 1))
    mase = np.abs(SERIES[6 : data.n_known] - SERIES[: data.n_known - 6]).mean()
    metrics = run.metrics
    assert metrics["test"]["rmse_original"] == pytest.approx(np.sqrt(np.mean(test**2)), rel=1e-9)
    assert metrics["test"]["mae_original"] == pytest.approx(np.abs(test).mean(), rel=1e-9)
    assert metrics["test"]["mase"] == pytest.approx(np.abs(test).mean() / mase, rel=1e-9)
    assert metrics["test_mse"] == metrics["test"]["mse"] == pytest.approx(np.mean(test**2) / half**2, rel=1e-9)
    n = len(data.x_train)
    valid = errors(range(first + n - int(0.2 * n), first + n))
    assert metrics["valid_mse"] == pytest.approx(np.mean(valid**2) / half**2, rel=1e-9)
    train = errors(range(first, first + n - int(0.2 * n) - horizon + 1))
    assert metrics["train_mse"] == pytest.approx(np.mean(train**2) / half**2, rel=1e-9)
    assert errors_of(run, data, 0.2)["test_mse"] == pytest.approx(metrics["test_mse"], rel=1e-12)
    assert errors_of(run, data, 0.2)["valid_mse"] == pytest.approx(metrics["valid_mse"], rel=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "mark" not in name])
def test_a_forecast_goes_on_from_the_last_value_as_feeding_back_does(name: str, runs: dict[str, Run]) -> None:
    """`predict --horizon` after each row of the test part is what `evaluate --steps` has there."""
    run, change = runs[name], CASES[name][1]
    ahead = roll_out(run, TABLE, 8)
    assert ahead["month"].iloc[0] == "2015-11-01"
    assert ahead["persistence"].tolist() == [SERIES[-1]] * 8
    first = by_hand(run, change)[ROWS]
    np.testing.assert_allclose(ahead["prediction"][: len(first)], first, rtol=1e-11)
    if run.header.horizon > 1:
        return
    steps = 5
    predictions, _ = rolled_out(run.predict, run.dataset, steps)
    for place, row in enumerate(range(run.dataset.n_known, ROWS - steps + 1)):
        np.testing.assert_allclose(roll_out(run, TABLE[:row], steps)["prediction"], predictions[place], rtol=1e-11)


def test_rows_of_the_test_part_change_no_parameter(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["both, log"]
    other = TABLE.copy()
    other.loc[run.dataset.n_known :, "y"] *= 7
    other.to_csv(tmp_path / "other.csv", index=False)
    again = train_run(spec(tmp_path / "other.csv", CASES["both, log"][0]), tmp_path / "run")
    for key, value in run.forecaster.state_dict().items():
        assert torch.equal(value, again.forecaster.state_dict()[key])
    assert again.header == run.header
    assert (again.metrics["train_mse"], again.metrics["valid_mse"]) == (run.metrics["train_mse"], run.metrics["valid_mse"])
    assert again.metrics["test_mse"] != run.metrics["test_mse"]


def test_a_folder_says_what_was_learned_and_older_ones_are_read(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    """And a config that says something else is refused."""
    for name, (data, change) in CASES.items():
        config = json.loads((runs[name].path / "config.json").read_text())["data"]
        assert config.get("difference", []) == list(data.get("difference", ()))  # type: ignore[call-overload]
        assert ("difference" in config, "transform" in config) == ("difference" in data, "transform" in data)
        loaded = load_run(runs[name].path)
        assert loaded.header.change == loaded.dataset.change == change
        require_same(runs[name].path, spec(csv, data))
    with pytest.raises(RunError, match="differs in data"):
        require_same(runs["first"].path, spec(csv, {"difference": (1, 1)}))
    plain = train_run(spec(csv, {}), tmp_path / "plain")
    assert not {"difference", "transform"} & set(json.loads((plain.path / "config.json").read_text())["data"])
    assert plain.weights is not None
    assert "change" not in plain.weights.model_dump(mode="json")
    assert not {"difference", "transform"} & set(plain.weights.config["data"])  # type: ignore[index]
    for name, edit in (("first", {"difference": [2]}), ("first", {"difference": []}), ("plain", {"transform": "log"})):
        folder = shutil.copytree((plain if name == "plain" else runs[name]).path, tmp_path / f"edited-{name}-{len(edit)}{edit}")
        config = json.loads((folder / "config.json").read_text())
        config["data"] |= edit
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(RunError, match=r"says data.difference and data.transform .* restore the one that was changed"):
            load_run(folder)


def test_the_command_that_makes_it_again(runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs["both, log"]
    command = again(run.spec, run.path)
    assert "--transform log --difference 1 --difference season" in command
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["qlstm"])
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(command)[1:])
    assert not caught.value.code
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()


def test_a_file_without_the_target_or_with_too_few_rows_is_refused(runs: dict[str, Run]) -> None:
    with pytest.raises(DataError, match=r"has no column 'y'; this run predicts its differences over 1 row, and goes on from"):
        predict_table(runs["from a mark"], TABLE[["month", "mark"]])
    with pytest.raises(DataError, match="has 10 rows; a window of 4 after 7 that differences need needs at least 11"):
        roll_out(runs["both, log"], TABLE[:10], 1)
    assert len(roll_out(runs["both, log"], TABLE[:11], 1)) == 1
    with pytest.raises(DataError, match=r"row 3, column 'y': -1 has no logarithm"):
        roll_out(runs["log"], TABLE.assign(y=[1, 2, -1, *SERIES[3:]]), 1)


@pytest.fixture(scope="module")
def circuits(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder, small = tmp_path_factory.mktemp("circuits"), {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 1}
    names = ("both, log", "three ahead", "from a mark")
    return {name: train_run(spec(csv, CASES[name][0], **small), folder / name.replace(" ", "-")) for name in names}


@pytest.mark.parametrize("name", ["both, log", "three ahead"])
def test_exports_predict_in_original_units(name: str, circuits: dict[str, Run], tmp_path: Path) -> None:
    run, change = circuits[name], CASES[name][1]
    expected, length = by_hand(run, change), change.reach + WINDOW
    windows = np.lib.stride_tricks.sliding_window_view(SERIES, length)[:, :, None]
    rows = np.stack(list(expected.values()))
    export_run(run.path, "qpy", tmp_path / "qpy")
    np.testing.assert_allclose(load_exported(tmp_path / "qpy").predict(windows, scaled=False), rows, rtol=1e-9)
    export_run(run.path, "multilinear", tmp_path / "numbers")
    model = multilinear_reader.load(tmp_path / "numbers" / "multilinear.json")
    np.testing.assert_allclose(multilinear_reader.predict(model, windows), rows, rtol=1e-9)
    with pytest.raises(ValueError, match="leave nothing of windows that are so short"):
        multilinear_reader.predict(model, windows[:, : change.reach])
    if change.transform:
        with pytest.raises(ValueError, match="'y' is not positive"):
            multilinear_reader.predict(model, -windows)


def test_the_script_beside_the_numbers_predicts_after_each_row(
    circuits: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, change = circuits["both, log"], CASES["both, log"][1]
    export_run(run.path, "multilinear", tmp_path / "numbers")
    monkeypatch.setattr(multilinear_reader, "__file__", str(tmp_path / "numbers" / "predict.py"))
    assert multilinear_reader.main([str(run.spec.data.csv)]) == 0
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    expected = by_hand(run, change)
    assert [int(line[0]) for line in lines[1:]] == list(range(change.reach + WINDOW, ROWS + 1))
    np.testing.assert_allclose([float(line[1]) for line in lines[1:]], [rows[0] for rows in expected.values()], rtol=1e-9)


def test_what_an_export_cannot_turn_back_is_said(circuits: dict[str, Run], tmp_path: Path) -> None:
    run = circuits["from a mark"]
    with pytest.raises(CircuitError, match=r"predicts differences over 1 row of 'y' without reading it"):
        export_run(run.path, "multilinear", tmp_path / "numbers")
    export_run(run.path, "qpy", tmp_path / "qpy")
    exported = load_exported(tmp_path / "qpy")
    with pytest.raises(OptionError, match=r"turn its predictions back with header.change.invert"):
        exported.predict(np.zeros((1, 4, 1)), scaled=False)
    assert exported.predict(run.dataset.x_test) == pytest.approx(run.predict(run.dataset.x_test))


def test_shots_and_other_backends_are_compared_on_the_same_scale(circuits: dict[str, Run]) -> None:
    run = circuits["both, log"]
    curve = shot_curve(run.path, [4096], repeats=1)
    assert curve.model == pytest.approx(run.metrics["test_mse"], rel=1e-9)
    assert curve.errors[0] == pytest.approx(curve.model, rel=0.5)
    assert curve.naive == {name: run.metrics[name]["mse"] for name in ("persistence", "seasonal_naive")}
    asked = EvaluationSpec(backend="statevector").asked(find_spec)
    assert evaluate(run.path, asked, 0) == pytest.approx([run.metrics["test_mse"]], rel=1e-12)


def test_going_on_after_ctrl_c_gives_the_same_bits(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    with interrupted_in(1):
        cut = train_run(spec(csv, CASES["both, log"][0]), tmp_path / "cut")
    assert cut.metrics["interrupted"]
    resume_run(tmp_path / "cut")
    whole = runs["both, log"].path
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize(
    "change",
    [
        {"difference": "x"},
        {"difference": [0]},
        {"difference": [-3]},
        {"difference": [1.5]},
        {"difference": [10**12]},
        {"difference": [1, 1, 1, 1]},
        {"difference": None},
        {"difference": [[1]]},
        {"difference": [1], "transform": "sqrt"},
        {"difference": [1], "transform": 3},
        {"difference": [1], "transform": []},
    ],
    ids=str,
)
def test_damage_is_one_line(file: str, change: dict[str, object], runs: dict[str, Run], tmp_path: Path) -> None:
    folder = shutil.copytree(runs["first"].path, tmp_path / "copy")
    if file == "config.json":
        config = json.loads((folder / file).read_text())
        config["data"] |= change
        (folder / file).write_text(json.dumps(config))
    else:
        with safe_open(folder / file, "pt") as opened:
            header = json.loads(opened.metadata()["qlstm_qiskit"])
        header["change"] |= change
        save_file(load_file(folder / file), folder / file, metadata={"qlstm_qiskit": json.dumps(header)})
    with pytest.raises(QLSTMError) as caught:
        load_run(folder).dataset  # noqa: B018
    assert "\n" not in str(caught.value)
    assert "difference" in str(caught.value) or "change" in str(caught.value) or "transform" in str(caught.value)
