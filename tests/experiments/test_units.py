"""A run applied to arrays and frames in the series' own units: as `qlstm predict` does, and as by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit import load_run
from qlstm_qiskit.data import sliding_windows
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, predict_table, roll_out, train_run

N = 50
T = np.arange(N)
FRAME = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=N), "a": 500 + 80 * np.sin(T) + T, "b": 3.0 + T % 7})
DATA = {
    "own past": {"target": "a"},
    "two features": {"target": "a", "features": ("b", "a"), "horizon": 2},
    "another feature": {"target": "a", "features": ("b",)},
    "differences": {"target": "a", "difference": (1, 7)},
    "logarithms": {"target": "a", "features": ("a", "b"), "transform": "log", "difference": (1,), "horizon": 2},
    "differences of no feature": {"target": "a", "features": ("b",), "difference": (1,)},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    FRAME.to_csv(folder / "s.csv", index=False)
    made = {}
    for name, data in DATA.items():
        spec = RunSpec(data=DataSpec(csv=str(folder / "s.csv"), **data), model="lstm", hidden_size=2, epochs=2)
        made[name] = load_run(train_run(spec, folder / name).path)
    return made


@pytest.mark.parametrize("kind", DATA)
def test_a_frame_is_predicted_as_its_file_is(runs: dict[str, Run], kind: str) -> None:
    run = runs[kind]
    header, first = run.header, run.header.window + run.header.reach
    values = run.predict(FRAME)
    assert values.shape == (N - first + 1, header.horizon)
    np.testing.assert_array_equal(values[:-1, 0], predict_table(run, FRAME)["prediction"].to_numpy()[first:])
    np.testing.assert_allclose(values[-1], roll_out(run, FRAME, header.horizon)["prediction"], rtol=1e-12)
    np.testing.assert_array_equal(run.predict(FRAME.iloc[::-1]), values)  # rows are sorted by date
    np.testing.assert_array_equal(run.predict(FRAME.set_index("day").tail(first)), values[-1:])
    test = run.dataset.original(run.predict(run.dataset.x_test))
    np.testing.assert_allclose(values[run.dataset.n_known - first :][: len(test)], test, rtol=1e-9)


@pytest.mark.parametrize("kind", DATA)
def test_windows_in_original_units(runs: dict[str, Run], kind: str) -> None:
    run = runs[kind]
    windows = sliding_windows(FRAME[list(run.header.features)].to_numpy(), run.header.window + run.header.reach)
    if kind == "differences of no feature":
        with pytest.raises(OptionError, match="give a DataFrame with that column"):
            run.predict(windows, units="original")
        return
    np.testing.assert_allclose(run.predict(windows, units="original"), run.predict(FRAME), rtol=1e-12)
    with pytest.raises(DataError, match=r"give \(n, "):
        run.predict(windows[:, 1:], units="original")


def test_by_hand(runs: dict[str, Run]) -> None:
    run = runs["own past"]
    low, high = (getattr(run.header.input_scaler, end)[0] for end in ("low", "high"))
    window = 2 * (FRAME["a"].tail(run.header.window).to_numpy() - low) / (high - low) - 1
    wanted = low + (high - low) * (run.predict(window[None, :, None]) + 1) / 2
    np.testing.assert_allclose(run.predict(FRAME)[-1:], wanted, rtol=1e-12)


def test_original_units_are_not_taken_for_scaled_ones(runs: dict[str, Run]) -> None:
    windows = sliding_windows(FRAME[["a"]].to_numpy(), 4)
    with pytest.raises(DataError, match=r"the values of 'a' run from .*units=\"original\""):
        runs["own past"].predict(windows)
    with pytest.raises(DataError, match="the values of 'b'"):
        runs["two features"].predict(sliding_windows(FRAME[["b", "a"]].to_numpy(), 4))
    far = 40.0 + np.zeros((2, 4, 1))  # scaled ones of a series that grows
    assert runs["own past"].predict(far).shape == (2, 1)
    with pytest.raises(OptionError, match="unknown units 'orginal'. Did you mean 'original'"):
        runs["own past"].predict(windows, units="orginal")


def test_what_a_frame_lacks_is_one_line(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["differences"]
    for frame, message in (
        (FRAME.drop(columns="a"), "unknown column 'a'"),
        (FRAME.tail(5), "needs at least 12"),
        (FRAME.assign(a=FRAME["a"].where(T != 9)), "row 10, column 'a': a value is missing"),
        (FRAME.assign(a="x"), "is not a finite number"),
    ):
        with pytest.raises((DataError, OptionError), match=message):
            run.predict(frame)
    with pytest.raises(DataError, match="has no column 'a'"):
        runs["differences of no feature"].predict(FRAME[["day", "b"]])
    with pytest.raises(DataError, match="has no logarithm"):
        runs["logarithms"].predict(FRAME.assign(a=-FRAME["a"]))


@pytest.mark.parametrize("horizon", [1, 2])
def test_intervals_of_differences_are_of_the_series_itself(tmp_path: Path, horizon: int) -> None:
    t = np.arange(120)
    values = 500 + 80 * np.sin(t) + 9.0 * t
    pd.DataFrame({"a": values}).to_csv(tmp_path / "s.csv", index=False)
    data = {"target": "a", "difference": (1,), "horizon": horizon}
    interval = {"level": 0.8, "method": "split"}
    spec = RunSpec(data=DataSpec(csv=str(tmp_path / "s.csv"), interval=interval, **data), model="lstm", hidden_size=2, epochs=2)
    run = load_run(train_run(spec, tmp_path / "run").path)
    aside = run.dataset.calibration
    assert aside is not None
    scaler, rows = run.header.target_scaler, run.dataset.rows[1]
    steps = np.stack([values[row : row + horizon] for row in rows])
    predicted = values[rows - 1][:, None] + np.cumsum(scaler.inverse(run.predict(aside[0])), axis=1)
    np.testing.assert_allclose(values[rows - 1][:, None] + np.cumsum(scaler.inverse(aside[1]), axis=1), steps, rtol=1e-12)
    place = int(np.ceil((len(rows) + 1) * 0.8)) - 1
    radius = np.sort(np.abs(predicted - steps), axis=0)[place]
    np.testing.assert_allclose(run.metrics["interval"]["radius"], radius, rtol=1e-9)
    table = predict_table(run, tmp_path / "s.csv")
    np.testing.assert_allclose((table["upper"] - table["prediction"])[5:], radius[0], rtol=1e-9)
    ahead = roll_out(run, tmp_path / "s.csv", horizon)
    np.testing.assert_allclose((ahead["prediction"] - ahead["lower"]), radius, rtol=1e-9)
    scores = np.abs(run.dataset.original(run.predict(run.dataset.x_test)) - run.dataset.original(run.dataset.y_test))
    np.testing.assert_allclose(run.metrics["interval"]["coverage"], (scores <= radius).mean(axis=0))
