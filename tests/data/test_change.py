"""Differences and logarithms: exactly undone, fitted on the training part alone, and the same test part as without."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import (
    REAL_SERIES,
    Change,
    Scaler,
    forecast_errors,
    load_csv,
    load_dataset,
    make_dataset,
    reference_errors,
    rolled_errors,
    rolled_out,
)
from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import DataError, OptionError

CHANGES = [
    Change((1,)),
    Change((7,)),
    Change((1, 7)),
    Change((1, 1, 4)),
    Change((), "log"),
    Change((1,), "log"),
    Change((7, 1), "log"),
]


def series(rows: int = 80, seed: int = 0) -> np.ndarray:
    """A positive one that grows."""
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0.02, 0.1, rows)) + 1)


def dataset_of(values: np.ndarray, **options: object) -> Dataset:
    options = {"features": ("y",), "target_name": "y", "window": 3, "season": 7} | options
    return make_dataset("s", values[:, None], values, **options)  # type: ignore[arg-type]


def by_pandas(values: np.ndarray, change: Change) -> np.ndarray:
    column = pd.Series(np.log(values) if change.transform else values)
    for rows in change.difference:
        column = column.diff(rows)
    return column.dropna().to_numpy()


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_changed_series_is_that_of_pandas(change: Change) -> None:
    values = series()
    assert np.array_equal(change.apply(values), by_pandas(values, change))
    assert change.reach == len(values) - len(change.apply(values))


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_it_is_undone_exactly_for_one_step_and_for_several(change: Change, steps: int) -> None:
    """From every row on whose past is known, alone and many at once."""
    values, reach = series(), change.reach
    starts = np.arange(reach, len(values) - steps + 1)
    past = np.stack([values[start - reach : start] for start in starts])
    truth = np.stack([values[start : start + steps] for start in starts])
    changed = np.lib.stride_tricks.sliding_window_view(change.apply(values), steps)
    for given in (changed, change.ahead(truth, past)):
        np.testing.assert_allclose(change.invert(given, past), truth, rtol=1e-12)
    np.testing.assert_allclose(change.invert(changed[0], past[0]), truth[0], rtol=1e-12)
    np.testing.assert_allclose(change.ahead(truth, past), changed, rtol=1e-9, atol=1e-12)


def test_a_step_depends_on_those_that_were_predicted_before() -> None:
    """A constant difference is a line, and a season repeated with it a staircase."""
    assert Change((1,)).invert(np.full(4, 2.0), np.array([10.0])).tolist() == [12, 14, 16, 18]
    assert Change((2,)).invert(np.full(4, 1.0), np.array([5.0, 9.0])).tolist() == [6, 10, 7, 11]


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_perfect_prediction_of_what_is_learned_has_no_error(change: Change, horizon: int) -> None:
    data = dataset_of(series(), horizon=horizon, difference=change.difference, transform=change.transform)
    assert set(forecast_errors(data, data.y_test).values()) == {0.0}
    rows = data.n_known + np.arange(len(data.y_test))[:, None] + np.arange(horizon)
    np.testing.assert_allclose(data.original(data.y_test), data.values[rows], rtol=1e-12)
    rows = data.first_train + np.arange(len(data.y_train))[:, None] + np.arange(horizon)
    np.testing.assert_allclose(data.original(data.y_train, data.first_train), data.values[rows], rtol=1e-12)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_forecasts_without_a_model_and_the_test_part_are_the_same_as_without(change: Change, horizon: int) -> None:
    values = series()
    plain = dataset_of(values, horizon=horizon)
    data = dataset_of(values, horizon=horizon, difference=change.difference, transform=change.transform)
    assert data.n_known == plain.n_known
    assert data.mase_scale() == plain.mase_scale()
    assert len(data.x_test) == len(plain.x_test)
    assert len(data.x_train) == len(plain.x_train) - change.reach
    assert data.series_scaler == plain.target_scaler
    np.testing.assert_allclose(data.as_series(data.y_test), plain.y_test, atol=1e-12)
    for name, errors in reference_errors(plain).items():
        for figure, error in errors.items():
            assert reference_errors(data)[name][figure] == pytest.approx(error, rel=1e-10), (name, figure)
    np.testing.assert_allclose(
        data.original(data.persistence(5))[:, 4], values[data.n_known - 1 :][: len(data.x_test)], rtol=1e-12
    )


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_feeding_back_repeats_what_a_loop_over_the_series_does(change: Change) -> None:
    """A fixed linear rule on the changed series, on all windows at once and by hand with pandas, window after window."""
    values = series(60)
    data = dataset_of(values, difference=change.difference, transform=change.transform)

    def predict(windows: np.ndarray) -> np.ndarray:
        return windows.mean(axis=1) * 0.5 + 0.1

    steps = 6
    predictions, truth = rolled_out(predict, data, steps)
    for place, row in enumerate(range(data.n_known, len(values) - steps + 1)):
        known = list(values[:row])
        for _ in range(steps):
            window = data.input_scaler.transform(by_pandas(np.array(known), change)[-3:, None])[None]
            new = data.target_scaler.inverse(predict(window))[0, 0]
            known.append(float(change.invert(np.array([new]), np.array(known))[0]))
        np.testing.assert_allclose(predictions[place], known[row:], rtol=1e-10)
        assert np.array_equal(truth[place], values[row : row + steps])
    assert rolled_errors(predict, data, steps).keys() == {"model", "persistence", "seasonal_naive"}
    plain = rolled_errors(None, dataset_of(values), steps)
    for name, errors in rolled_errors(None, data, steps).items():
        np.testing.assert_allclose(errors["rmse"], plain[name]["rmse"], rtol=1e-10)


def test_scaling_is_fitted_on_the_training_part_alone_after_the_change() -> None:
    values = series()
    data = dataset_of(values, difference=(1, 7), transform="log")
    changed = by_pandas(values, Change((1, 7), "log"))
    assert data.target_scaler == data.input_scaler == Scaler.fit(changed[: data.n_known - 8, None])
    assert np.array_equal(data.x_train[0], data.input_scaler.transform(changed[:3, None]))
    assert np.array_equal(data.y_train[0], data.target_scaler.transform(changed[3:4]))
    other = values.copy()
    other[data.n_known :] *= 5
    again = dataset_of(other, difference=(1, 7), transform="log")
    assert again.target_scaler == data.target_scaler
    assert again.series_scaler == data.series_scaler
    assert np.array_equal(again.x_train, data.x_train)
    assert np.array_equal(again.y_train, data.y_train)
    assert np.array_equal(again.x_test[0], data.x_test[0])


def test_other_columns_are_left_as_they_are() -> None:
    """And are those of the same rows."""
    values, mark = series(), np.arange(80.0) % 2 - 1
    inputs = np.stack([mark, values], axis=1)
    options = {"features": ("mark", "y"), "target_name": "y", "window": 3}
    data = make_dataset("s", inputs, values, **options, difference=1)  # type: ignore[arg-type]
    plain = make_dataset("s", inputs, values, **options)  # type: ignore[arg-type]
    assert np.array_equal(data.x_train[:, :, 0], plain.x_train[1:, :, 0])
    assert np.array_equal(data.x_test[:, :, 0], plain.x_test[:, :, 0])
    assert np.array_equal(data.x_test[:, :, 1], dataset_of(values, difference=1).x_test[:, :, 0])


def test_series_by_name() -> None:
    """The season is the series' own; scaled errors of co2 are those that its other tables have."""
    data, plain = load_dataset("co2", window=13, difference="season"), load_dataset("co2", window=13)
    assert data.change == Change((12,))
    assert reference_errors(plain)["persistence"]["mse"] == pytest.approx(0.0044, rel=0.02)
    assert reference_errors(data)["persistence"]["mse"] == pytest.approx(
        reference_errors(plain)["persistence"]["mse"], rel=1e-9
    )
    with pytest.raises(OptionError, match="no season of the series is known"):
        load_dataset("nile", difference="season")
    paper = load_dataset("narma5", difference=[1])
    known = paper.n_known
    assert paper.input_scaler == load_dataset("narma5").input_scaler  # not its own past
    assert paper.target_scaler == Scaler.fit(np.diff(paper.values[:known])[:, None])


def test_a_file_is_changed_as_an_array_is(tmp_path: Path) -> None:
    values = REAL_SERIES["co2"].read()
    pd.DataFrame({"co2": values}).to_csv(tmp_path / "co2.csv", index=False)
    own = load_csv(tmp_path / "co2.csv", "co2", window=13, season=12, difference=("season", 1), transform="log")
    named = load_dataset("co2", window=13, difference=(12, 1), transform="log")
    assert own.change == named.change == Change((12, 1), "log")
    np.testing.assert_allclose(own.x_test, named.x_test, atol=1e-10)  # pandas reads a number to its last digit but one
    assert own.change.words == "logarithms and their differences over 12 rows and 1 row"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difference": 0}, "difference is 0; it must be an integer of at least 1."),
        ({"difference": "month"}, "difference is 'month'; it must be a number of rows of at least 1, or 'season'."),
        ({"difference": "season"}, "no season of the series is known; give a number of rows, or"),
        ({"difference": (1, 1, 1, 1)}, "difference has 4 values; give at most 3."),
        ({"difference": True}, "difference is True; it must be an integer"),
        ({"transform": "sqrt"}, "unknown transform 'sqrt'. Allowed: log."),
        ({"difference": 52}, "0 of them to train after 52 rows that differences need"),
        ({"difference": 500}, "smaller differences"),
    ],
)
def test_what_is_not_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises((OptionError, DataError), match=re.escape(message)):
        dataset_of(series(), season=1, **options)


def test_no_logarithm_is_said_with_line_and_value(tmp_path: Path) -> None:
    """Also of rows that are sorted by date."""
    values = series(30)
    values[[4, 9]] = 0, -2
    with pytest.raises(DataError, match=r"^s, row 5, column 'y': 0 has no logarithm \(2 such in all\)"):
        dataset_of(values, transform="log")
    days = pd.date_range("2020-01-01", periods=30)
    table = pd.DataFrame({"day": days, "y": values}).iloc[::-1]
    table.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(DataError, match=r"s.csv, line 27, column 'y': 0 has no logarithm"):
        load_csv(tmp_path / "s.csv", "y", transform="log")
