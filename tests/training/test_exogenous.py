"""X of the sktime forecaster: read in the row that is predicted, by pandas' shift, and not beyond."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.series.impute import Imputer

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.data import Scaler, conformal_radius
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.training.sktime import QLSTMForecaster

N, WINDOW, AHEAD = 40, 3, 5
RANDOM = np.random.default_rng(2)
INDEX = pd.date_range("2024-01-01", periods=N + AHEAD, freq="D")
X = pd.DataFrame({"holiday": 1.0 * RANDOM.integers(0, 2, N + AHEAD), "price": RANDOM.uniform(2, 3, N + AHEAD)}, index=INDEX)
Y = pd.Series(np.sin(np.arange(N)), index=INDEX[:N], name="y")
BOTH = pd.DataFrame({"a": Y, "b": 3 - Y.shift(1, fill_value=0.5)})
SMALL = QLSTMRegressor("lstm", hidden_size=2, max_epochs=3, seed=1)


def forecaster(**options: object) -> QLSTMForecaster:
    return QLSTMForecaster(SMALL, window_length=WINDOW, **options)  # type: ignore[arg-type]


def rows(y: pd.DataFrame, x: pd.DataFrame) -> pd.DataFrame:
    """What is read at each row, by pandas: y, and the X of the next row; both scaled by the rows of y."""
    known = x.loc[y.index]
    scaled_x = pd.DataFrame(Scaler.fit(known.to_numpy(float)).transform(x.to_numpy(float)), index=x.index).shift(-1)
    scaled_y = pd.DataFrame(Scaler.fit(y.to_numpy()).transform(y.to_numpy()), index=y.index)
    return pd.concat([scaled_y, scaled_x], axis=1).to_numpy()


def by_hand(y: pd.DataFrame, x: pd.DataFrame, steps: int) -> np.ndarray:
    table, n = rows(y, x), len(y)
    windows = np.stack([table[row - WINDOW : row] for row in range(WINDOW, n)])
    regressor = QLSTMRegressor(**SMALL.get_params()).fit(windows, table[WINDOW:n, : y.shape[1]])
    for row in range(n, n + steps):
        table[row, : y.shape[1]] = regressor.predict(table[row - WINDOW : row][None])[0]
    return Scaler.fit(y.to_numpy()).inverse(table[n : n + steps, : y.shape[1]])


@pytest.mark.parametrize("y", [Y, BOTH], ids=["one", "several"])
@pytest.mark.parametrize("kind", ["dates", "periods", "numbers"])
def test_it_reads_the_row_that_it_predicts(y: pd.Series, kind: str) -> None:
    frame, index = y.to_frame() if isinstance(y, pd.Series) else y, {"dates": INDEX, "periods": INDEX.to_period()}.get(kind)
    index = pd.RangeIndex(3, 3 + len(X)) if index is None else index
    begun = forecaster().fit(y.set_axis(index[:N]), X=X.set_axis(index)[:N])
    expected = by_hand(frame, X, AHEAD)
    later = X.set_axis(index)[N:]
    found = begun.predict(fh=[1, 2, 5], X=later)
    assert list(found.index) == list(index[[N, N + 1, N + 4]])
    assert np.array_equal(found.to_numpy().reshape(3, -1), expected[[0, 1, 4]])
    assert np.array_equal(begun.predict(fh=[1, 2, 5], X=X.set_axis(index)).to_numpy(), found.to_numpy()), "rows before, too"
    whole = forecaster().fit(y.set_axis(index[:N]), X=X.set_axis(index))  # with the rows that follow, already
    assert np.array_equal(whole.predict(fh=[1, 2, 5]).to_numpy(), found.to_numpy())


def test_nothing_beyond_the_farthest_row_is_read() -> None:
    begun, other = forecaster().fit(Y, X=X[:N]), X.copy()
    other.iloc[N + 2 :] = 99
    assert begun.predict(fh=[1, 2], X=other[N:]).equals(begun.predict(fh=[1, 2], X=X[N:]))
    other.iloc[N + 1] = 0.5, 0.5
    assert not np.allclose(begun.predict(fh=[2], X=other[N:]), begun.predict(fh=[2], X=X[N:]))
    changed = X.copy()
    changed.iloc[N:] = 99
    assert forecaster().fit(Y, X=changed).predict(fh=[1], X=X[N:]).equals(begun.predict(fh=[1], X=X[N:]))


def test_what_x_alone_decides_is_learned() -> None:
    holiday = pd.DataFrame({"holiday": np.random.default_rng(5).integers(0, 2, 120)})
    y = pd.Series(np.where(holiday["holiday"] > 0, 5.0, 1.0))
    learned = QLSTMRegressor("lstm", hidden_size=3, max_epochs=60, lr=0.02, seed=0)
    fh = range(1, 21)
    found = QLSTMForecaster(learned, window_length=2).fit(y[:100], X=holiday[:100]).predict(fh=fh, X=holiday[100:])
    assert np.abs(found - y[100:]).max() < 0.5
    without = QLSTMForecaster(learned, window_length=2).fit(y[:100]).predict(fh=fh)
    assert np.abs(without - y[100:]).mean() > 1.5


def test_intervals_are_calibrated_with_x() -> None:
    begun = forecaster(calibration_fraction=0.5).fit(Y, X=X[:N])
    found = begun.predict_interval(fh=[1, 3], X=X[N:], coverage=0.5)
    forecast = begun.predict(fh=[1, 3], X=X[N:])
    table, first, y = rows(Y.to_frame(), X[:N]), N - (N - WINDOW) // 2, begun.scaler_
    scores = np.full((N - first, 3), np.nan)
    for row in range(first, N):
        own = table.copy()
        for step in range(min(3, N - row)):
            predicted = begun.regressor_.predict(own[row + step - WINDOW : row + step][None])[0, 0]
            scores[row - first, step] = abs(y.inverse([predicted])[0] - Y.iloc[row + step])
            own[row + step, 0] = predicted
    radius = conformal_radius(scores, 0.5)[[0, 2]]
    np.testing.assert_allclose(found[("y", 0.5, "upper")], forecast + radius, rtol=1e-9)
    np.testing.assert_allclose(found[("y", 0.5, "lower")], forecast - radius, rtol=1e-9)


def test_updates_bring_rows_of_x() -> None:
    whole = forecaster().fit(Y, X=X[:N])
    begun = forecaster().fit(Y[:30], X=X[:30]).update(Y[30:], X=X[30:N])
    assert begun.predict(fh=[1, 2], X=X[N:]).equals(whole.predict(fh=[1, 2], X=X[N:]))
    moved = forecaster().fit(Y[:30], X=X[:30]).update(Y[30:], X=X[30:N], update_params=False)
    x = Scaler.fit(X[:30].to_numpy(float)).transform(X.to_numpy(float))
    window = np.concatenate([moved.scaler_.transform(Y.to_frame())[N - WINDOW :], x[N - WINDOW + 1 : N + 1]], axis=1)
    expected = moved.scaler_.inverse(moved.regressor_.predict(window[None]))[0, 0]
    assert moved.predict(fh=[1], X=X[N:]).tolist() == [expected]
    with pytest.raises(DataError, match="X has no row at 2024-01-31"):
        forecaster().fit(Y[:30], X=X[:30]).update(Y[30:])


def test_it_is_evaluated_with_x_like_any_other() -> None:
    splitter = ExpandingWindowSplitter(initial_window=20, step_length=10, fh=[1, 2])
    table = evaluate(forecaster(), splitter, Y, X=X[:N])
    assert len(table) == 2
    assert np.isfinite(table["test_MeanAbsolutePercentageError"]).all()


def test_mistakes() -> None:
    begun = forecaster().fit(Y, X=X[:N])
    with pytest.raises(DataError, match=r"X has no row at 2024-02-12 00:00:00 \(1 such in all\); give one for each"):
        begun.predict(fh=[3], X=X[N : N + 2])
    with pytest.raises(DataError, match="X has no row at 2024-02-10"):
        begun.predict(fh=[1])
    with pytest.raises(DataError, match="X has no row at 2024-02-10"):  # those between are read, too
        begun.predict(fh=[3], X=X[N + 2 :])
    with pytest.raises(DataError, match="X has the columns 'price'; this forecaster was fitted with 'holiday', 'price'"):
        begun.predict(fh=[1], X=X[["price"]][N:])
    with pytest.raises(DataError, match="X has no row at 2024-01-06"):
        forecaster().fit(Y, X=X[:N].drop(INDEX[5]))
    with pytest.raises(DataError, match="X is given, and this forecaster was fitted without"):
        forecaster().fit(Y).predict(fh=[1], X=X[N:])
    with pytest.raises(DataError, match="X has no row at|does not go with"):
        begun.predict(fh=[1], X=X[N:].tz_localize("UTC"))


@pytest.mark.parametrize("name", ["y", "X"])
def test_missing_values_are_for_sktimes_imputer(name: str) -> None:
    """What it fills in is what is learned."""
    y, x = Y.copy(), X.astype(float)
    if name == "y":
        y.iloc[7] = np.nan
    else:
        x.iloc[7, 1] = np.nan
    with pytest.raises(DataError, match=f"{name} has missing values; .*sktime.transformations.series.impute.Imputer"):
        forecaster().fit(y, X=x[:N])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Imputer("ffill") * forecaster() if name == "y" else Imputer("ffill") ** forecaster()
        found = made.fit(y, X=x[:N]).predict(fh=[1, 2], X=x[N:])
    expected = forecaster().fit(y.ffill(), X=x.ffill()[:N]).predict(fh=[1, 2], X=x[N:])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
