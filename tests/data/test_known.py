"""Inputs that are known ahead: those of `shift` in pandas, to the bit, and nothing that lies further ahead."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import CALENDAR, Dataset, Intervals, Known, Reading, load_csv, read_series, rolled_out
from qlstm_qiskit.data.feedback import fed_back, rows_after
from qlstm_qiskit.errors import DataError, OptionError

N, WINDOW = 60, 4
RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "day": pd.date_range("2024-02-20", periods=N),
        "y": 10 + np.cumsum(RANDOM.normal(size=N)),
        "holiday": RANDOM.integers(0, 2, N).astype(float),
        "price": RANDOM.uniform(20, 30, N),
    }
)
AHEAD = ("holiday", "price")


def shifted(table: pd.DataFrame, features: tuple[str, ...], horizon: int) -> pd.DataFrame:
    """The inputs, by pandas: columns as they are, and known ones moved up."""
    columns = {name: table[name] for name in features}
    columns |= {f"{name}+{k}": table[name].shift(-k) for name in AHEAD for k in range(1, horizon + 1)}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("difference", [(), (1,)])
@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("features", [("y",), ("price", "y"), ("holiday",)])
def test_windows_are_those_of_pandas_to_the_bit(features: tuple[str, ...], horizon: int, difference: tuple[int, ...]) -> None:
    options = {"window": WINDOW, "horizon": horizon, "difference": difference}
    data = load_csv(TABLE, "y", features, known=AHEAD, **options)  # type: ignore[arg-type]
    plain = load_csv(TABLE, "y", features, **options)  # type: ignore[arg-type]
    assert data.features == tuple(shifted(TABLE, features, horizon).columns)
    for own in fields(Dataset):
        if own.name not in ("features", "x_train", "x_test", "input_scaler", "known", "inputs", "times"):
            np.testing.assert_array_equal(getattr(data, own.name), getattr(plain, own.name), err_msg=own.name)
    n_own, seen = len(features), data.n_known
    inputs = shifted(TABLE, features, horizon).iloc[:, n_own:]
    for place, name in enumerate(inputs):
        low, high = TABLE[name[:-2]][:seen].min(), TABLE[name[:-2]][:seen].max()
        scaled = ((inputs[name] - (low + high) / 2) / ((high - low) / 2)).to_numpy()
        assert (data.input_scaler.low[n_own + place], data.input_scaler.high[n_own + place]) == (low, high)
        for rows, windows in zip(data.rows[::2], (data.x_train, data.x_test), strict=True):
            expected = np.stack([scaled[row - WINDOW : row] for row in rows])
            assert np.array_equal(windows[:, :, n_own + place], expected)
    assert np.array_equal(data.x_train[:, :, :n_own], plain.x_train)
    assert np.array_equal(data.x_test[:, :, :n_own], plain.x_test)


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_window_sees_nothing_beyond_the_last_row_that_it_predicts(horizon: int) -> None:
    data = load_csv(TABLE, "y", known=AHEAD, window=WINDOW, horizon=horizon)
    for row in range(data.n_known, N):
        other = TABLE.copy()
        other.loc[row:, ["y", *AHEAD]] += 1
        here = load_csv(other, "y", known=AHEAD, window=WINDOW, horizon=horizon)
        assert here.input_scaler == data.input_scaler
        assert np.array_equal(here.x_train, data.x_train)
        same = (here.x_test == data.x_test).all(axis=(1, 2))
        assert list(same) == list(data.rows[2] + horizon - 1 < row), row
        own = (here.x_test[..., 0] == data.x_test[..., 0]).all(axis=1)
        assert list(own) == list(data.rows[2] - 1 < row), "the target's own past is not moved"


def test_the_calendar_is_that_of_the_row_that_is_predicted() -> None:
    hours = pd.date_range("2024-03-15 05:30", periods=N, freq="19h")
    table = TABLE.assign(day=hours)
    data = load_csv(table, "y", calendar=CALENDAR[1:], known=["price"], horizon=2, window=WINDOW)
    parts = {
        "hour": (hours.hour + 0.5) / 24,
        "weekday": hours.weekday / 7,
        "day": (hours.day - 1) / np.where(hours.month == 4, 30, 31),
        "month": (hours.month - 1) / 12,
        "quarter": (hours.quarter - 1) / 4,
        "dayofyear": (hours.dayofyear - 1) / 366,
    }
    columns = {f"{f}({name})+1": getattr(np, f)(2 * np.pi * part) for name, part in parts.items() for f in ("sin", "cos")}
    weekend = 2.0 * hours.day_name().isin(["Saturday", "Sunday"]) - 1
    assert data.features == ("y", "price+1", "price+2", *columns, "weekend+1", "weekend+2")
    for place, values in enumerate(columns.values(), 3):
        expected = np.stack([values[row - WINDOW + 1 : row + 1] for row in data.rows[2]])
        np.testing.assert_allclose(data.x_test[:, :, place], expected, atol=1e-12)
    assert np.array_equal(data.x_test[:, -1, -1], weekend[data.rows[2] + 1])
    assert np.array_equal(data.x_test[:, -1, -2], weekend[data.rows[2]])


def rule(windows: np.ndarray) -> np.ndarray:
    return 0.3 * windows[:, :, 0].mean(axis=1, keepdims=True) + 0.4 * windows[:, -1, 1:].sum(axis=1, keepdims=True)


@pytest.mark.parametrize("difference", [(), (1, 7)])
@pytest.mark.parametrize("features", [("y",), ("y", "price")])
def test_feeding_back_takes_what_is_known_from_the_series(features: tuple[str, ...], difference: tuple[int, ...]) -> None:
    data, steps = load_csv(TABLE, "y", features, known=AHEAD, window=WINDOW, difference=difference), 5
    found, truth = rolled_out(rule, data, steps)
    inputs = shifted(TABLE, features, 1)
    for place, row in enumerate(data.rows[2][: len(found)]):
        table, known = inputs.copy(), TABLE["y"].to_numpy().copy()
        known[row:] = np.nan
        for step in range(row, row + steps):
            changed = pd.Series(known)
            for rows in difference:
                changed = changed.diff(rows)
            table["y"] = changed
            window = data.input_scaler.transform(table.to_numpy()[step - WINDOW : step])[None]
            new = data.target_scaler.inverse(rule(window))[0]
            known[step] = new[0] if data.change is None else data.change.invert(new, known[:step])[0]
        np.testing.assert_allclose(found[place], known[row : row + steps], rtol=1e-10)
    assert np.array_equal(truth[:, 0], TABLE["y"][data.n_known :][: len(truth)])
    with pytest.raises(OptionError, match="rolling out feeds predictions back"):
        rolled_out(rule, load_csv(TABLE, "y", ("y", "price"), known=["holiday"], window=WINDOW), 2)


def test_what_is_not_known_gives_no_prediction_and_nothing_else_is_touched() -> None:
    data = load_csv(TABLE, "y", known=AHEAD, window=WINDOW)
    assert data.inputs is not None
    after = rows_after(data.inputs, data.rows[2], 3)
    found = fed_back(rule, data, data.x_test, 3, after)
    assert np.isnan(found).sum(axis=0).tolist() == [0, 1, 2]
    assert np.isnan(found[-1]).tolist() == [False, True, True]
    whole = fed_back(rule, data, data.x_test[:-2], 3, after[:-2])
    assert np.array_equal(found[:-2], whole)


def test_intervals_set_the_same_windows_aside() -> None:
    data = Intervals(0.5).cut(load_csv(TABLE, "y", known=AHEAD, window=WINDOW))
    plain = Intervals(0.5).cut(load_csv(TABLE, "y", window=WINDOW))
    assert data.calibration is not None
    assert plain.calibration is not None
    assert np.array_equal(data.calibration[0][:, :, :1], plain.calibration[0])
    assert np.array_equal(data.calibration[1], plain.calibration[1])


def with_end(rows: int = 3) -> pd.DataFrame:
    """The table with rows to predict."""
    table = TABLE.copy()
    table.loc[N - rows :, "y"] = np.nan
    return table


@pytest.mark.parametrize("form", ["file", "frame", "newest first"])
def test_rows_to_predict_do_not_train(form: str, tmp_path: Path) -> None:
    table, source = with_end(), tmp_path / "s.csv"
    (table.iloc[::-1] if form == "newest first" else table).to_csv(source, index=False)
    given = table if form == "frame" else source
    data, whole = load_csv(given, "y", known=AHEAD), load_csv(TABLE.iloc[:-3], "y", known=AHEAD)
    assert "3 rows at the end to predict" in data.said
    assert data.times is not None
    assert len(data.values) == len(data.times.dates) == N - 3
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_allclose(getattr(data, name), getattr(whole, name), rtol=1e-12)
    series = read_series(given, ("y", *AHEAD, "y"), "y", known=AHEAD)
    assert (series.ahead, series.n_rows) == (3, N - 3)
    assert np.isnan(series.values[-3:, [0, 3]]).all()
    np.testing.assert_allclose(series.values[-3:, 1:3], TABLE[list(AHEAD)].to_numpy()[-3:], rtol=1e-12)
    with pytest.raises(DataError, match="a value is missing"):  # for nothing but what is known ahead
        load_csv(given, "y")


def test_what_is_missing_elsewhere_is_refused_or_filled_in(tmp_path: Path) -> None:
    table = with_end()
    table.loc[7, "y"] = np.nan
    with pytest.raises(DataError, match=r"row 8, column 'y': a value is missing \(1 such in all\)"):
        load_csv(table, "y", known=AHEAD)
    table.loc[9, "holiday"] = np.nan
    filled = load_csv(table, "y", known=AHEAD, reading=Reading(impute="linear"))
    assert "2 values filled in (linear)" in filled.said
    assert filled.values[7] == TABLE["y"][[6, 8]].mean()
    table.loc[7, "y"] = 0
    with pytest.raises(DataError, match="row 10, column 'holiday': a value is missing"):
        load_csv(table, "y", known=AHEAD)
    table["y"] = np.nan
    with pytest.raises(DataError, match="row 1, column 'y': a value is missing"):
        load_csv(table, "y", known=AHEAD)


@pytest.mark.parametrize("method", ["ffill", "linear", "time"])
def test_nothing_is_filled_in_beyond_what_is_known(method: str) -> None:
    """Neither the target after its last row, nor a known column after its last one; and nothing from a later feature."""
    table = with_end(6)
    table["sun"] = np.arange(N, dtype=float)
    table.loc[[N - 8, N - 7], "sun"] = np.nan  # the last two rows before those to predict
    table.loc[N - 5, "holiday"] = np.nan
    table.loc[N - 2 :, "holiday"] = np.nan
    table = table.drop(index=N - 4).reset_index(drop=True)  # a missing date
    columns = ("sun", "holiday", "y")
    if method == "ffill":
        series = read_series(table, columns, "y", Reading(impute=method), known=["holiday"])
        assert series.ahead == 6
        assert np.isnan(series.values[-6:, [0, 2]]).all()
        assert np.isfinite(series.values[:-6]).all()
        assert series.values[-7, 0] == N - 9
        assert np.isnan(series.values[:, 1]).tolist() == [False] * (N - 2) + [True, True]
    else:
        with pytest.raises(DataError, match="a value is missing at the end of the series"):
            read_series(table, columns, "y", Reading(impute=method), known=["holiday"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"known": ["y"]}, "known names 'y', the column to predict; leave it out there."),
        ({"known": ["holidy"]}, "unknown column 'holidy'. Did you mean 'holiday'?"),
        ({"known": ["price", "price"]}, "known names one twice: price, price."),
        ({"calendar": ["weekdays"]}, "unknown calendar 'weekdays'. Did you mean 'weekday'? Allowed: day, dayofyear, hour,"),
        ({"calendar": ["month", "month"]}, "calendar names one twice"),
        ({"calendar": ["hour"]}, "the hour is the same in all rows of DataFrame before its test part; leave it out of the"),
        ({"calendar": ["weekday"], "reading": Reading(date_column="none")}, "has no dates that weekday could be made from"),
        ({"known": ["price"], "features": ["price+1"]}, "two inputs have one name; rename a column: price+1, price+1."),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with pytest.raises((OptionError, DataError), match=re.escape(message)) as caught:
        load_csv(TABLE.assign(**{"price+1": 1.0}), "y", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_value_far_from_those_that_are_trained_on_is_refused() -> None:
    table = TABLE.copy()
    table.loc[N - 1, "price"] = 1e149
    table["price"] = table["price"].where(table.index == N - 1, 1e-20 * table["price"])
    with pytest.raises(DataError, match="column 'price': 1e\\+149 is too far from what is trained on"):
        load_csv(table, "y", known=["price"])


def test_names_of_inputs() -> None:
    known = Known(("holiday",), ("hour", "weekend"))
    assert known.inputs(2) == ("holiday+1", "holiday+2", "sin(hour)+1", "cos(hour)+1", "weekend+1", "weekend+2")
    assert Known.of((), ()) is None
