"""The page of a long series: below 2 MB, with the extremes of its lines, whole at its end, and empty at gaps."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data import Intervals
from qlstm_qiskit.experiments import DataSpec, RunSpec, train_run
from qlstm_qiskit.report.pages.run_figures import LAST_ROWS, MOST_ROWS, thin
from qlstm_qiskit.report.pages.write import write_report
from tests.report.pages import parsed


def test_extremes_and_the_last_rows_are_kept() -> None:
    n = 10_007
    rng = np.random.default_rng(0)
    truth = rng.normal(size=n)
    truth[4000:4003] = math.nan
    truth[77], truth[9001] = 50, -50
    columns = {"row": np.arange(n), "truth": truth, "prediction": rng.normal(size=n), "lower": np.full(n, math.nan)}
    fewer, said = thin(columns)
    assert len(fewer["row"]) <= MOST_ROWS + 3
    for name in ("truth", "prediction"):
        assert (np.nanmin(fewer[name]), np.nanmax(fewer[name])) == (np.nanmin(columns[name]), np.nanmax(columns[name]))
    assert {77, 4000, 4001, 4002, 9001, *range(n - LAST_ROWS, n)} <= set(fewer["row"].tolist())
    assert (np.diff(fewer["row"]) > 0).all()
    for name, values in fewer.items():
        np.testing.assert_array_equal(values, columns[name][fewer["row"]])
    assert "10,007 rows" in said
    few = {name: values[:MOST_ROWS] for name, values in columns.items()}
    assert thin(few) == (few, "")


def test_a_page_of_20_000_rows_is_below_2_mb(tmp_path: Path) -> None:
    n = 20_000
    hours = pd.date_range("2020-01-01", periods=n, freq="h").delete(slice(9000, 9500))
    values = 12_345 + np.sin(np.arange(len(hours)) / 4) + np.random.default_rng(0).normal(size=len(hours))
    pd.DataFrame({"date": hours, "y": values}).to_csv(tmp_path / "s.csv", index=False)
    data = DataSpec(csv=str(tmp_path / "s.csv"), target="y", window=2, interval=Intervals(level=0.9))
    run = train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1, batch_size=1000), tmp_path / "run")
    written = write_report(run.path, tmp_path / "page.html")
    assert written.size < 2e6
    page = parsed(tmp_path / "page.html")
    line = next(trace for trace in page.figures["forecast"]["data"] if trace["name"] == "y")
    gap = line["y"].index(None)
    assert page.figures["forecast"]["layout"]["yaxis"]["minexponent"] == 9  # 12,345 and not 1.2345 x 10^4
    assert line["x"][gap - 1] < "2021-01-10" < line["x"][gap + 1]  # no line across it
    rows = page.downloads["forecast.csv"].splitlines()
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1].split(",")[:2] == [str(len(hours) - 1), str(hours[-1].isoformat())]
    assert any("the last 1,000 of 19,4" in text for text in page.text("figcaption"))
