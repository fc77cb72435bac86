"""The figure of a forecast: real dates, no line across a gap, and the last rows in a panel of their own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import num2date

from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, train_run
from qlstm_qiskit.report.figures import LAST_ROWS, forecast_columns, forecast_figure
from qlstm_qiskit.report.pages.run_figures import forecast_plot


def trained(folder: Path, n_rows: int, gap: int = 0) -> Run:
    days = pd.date_range("2020-01-01", periods=n_rows + gap, freq="D").delete(range(50, 50 + gap))
    frame = pd.DataFrame({"day": days.strftime("%Y-%m-%d"), "y": np.sin(np.arange(n_rows))})
    frame.to_csv(folder / "s.csv", index=False)
    data = DataSpec(csv=str(folder / "s.csv"), target="y")
    return train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), folder / "run")


@pytest.mark.parametrize(("n_rows", "panels"), [(7, 1), (250, 1), (1000, 2)])
def test_dates_and_panels(tmp_path: Path, n_rows: int, panels: int) -> None:
    run = trained(tmp_path, n_rows)
    axes = forecast_figure(run).axes
    assert len(axes) == panels
    _, last = num2date(axes[-1].lines[0].get_xdata(orig=False)[[0, -1]])
    assert f"{last:%Y-%m-%d}" == str(run.dataset.times.written()[-1])
    assert len(axes[-1].lines[0].get_xdata()) == (LAST_ROWS if panels == 2 else n_rows - 4)
    assert axes[-1].get_xlabel() == "day"
    figure = json.loads(json.dumps(forecast_plot(run).figure))
    assert figure["layout"]["xaxis"]["type"] == "date"
    assert figure["data"][0]["x"][0] == "2020-01-05"


def test_no_line_across_a_gap(tmp_path: Path) -> None:
    run = trained(tmp_path, 250, gap=20)
    whole = forecast_columns(run)["truth"]
    drawn = np.asarray(forecast_figure(run).axes[0].lines[0].get_ydata())
    assert np.flatnonzero(np.isnan(drawn)).tolist() == [50 - 4]
    np.testing.assert_array_equal(drawn[~np.isnan(drawn)], whole)
    assert forecast_plot(run).figure["data"][0]["y"].count(None) == 1


def test_steps_where_there_are_no_dates(tmp_path: Path) -> None:
    pd.DataFrame({"y": np.sin(np.arange(60))}).to_csv(tmp_path / "s.csv", index=False)
    data = DataSpec(csv=str(tmp_path / "s.csv"), target="y")
    run = train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), tmp_path / "run")
    (axes,) = forecast_figure(run).axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(4, 60))
    assert axes.get_xlabel() == "time step (row of the series)"
