"""The sktime forecaster: sktime's own conformance test, and predictions that are those of the regressor inside."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter
from sktime.utils.estimator_checks import check_estimator

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.data import Scaler, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, installing
from qlstm_qiskit.training.sktime import QLSTMForecaster

SMALL = QLSTMRegressor("config1", hidden_size=2, depth=1, max_epochs=3, seed=1)
INDEX = pd.period_range("2001-01", periods=40, freq="M")
SERIES = pd.Series(5 + np.sin(np.arange(40) / 2), index=INDEX, name="wave")


@pytest.fixture(scope="module")
def fitted() -> QLSTMForecaster:
    return QLSTMForecaster(SMALL, window_length=4).fit(SERIES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_sktimes_own_checks() -> None:
    off = ["test__y_remember_data"]  # asks for what the config `remember_data` turns off
    results = check_estimator(QLSTMForecaster, raise_exceptions=False, verbose=False, tests_to_exclude=off)
    assert len(results) > 300
    assert {name: found for name, found in results.items() if found != "PASSED"} == {}


def test_it_is_the_regressor_fed_back(fitted: QLSTMForecaster) -> None:
    scaler = Scaler.fit(SERIES.to_numpy()[:, None])
    scaled = scaler.transform(SERIES.to_numpy()[:, None])
    regressor = QLSTMRegressor(**SMALL.get_params()).fit(sliding_windows(scaled, 4)[:-1], scaled[4:])
    window, expected = list(scaled[-4:, 0]), []
    for _ in range(6):
        window.append(float(regressor.predict(np.array(window[-4:])[None, :, None])[0, 0]))
        expected.append(float(scaler.inverse([window[-1]])[0]))
    predicted = fitted.predict(fh=[1, 3, 6])
    assert predicted.tolist() == [expected[0], expected[2], expected[5]]
    assert list(predicted.index) == [INDEX[-1] + 1, INDEX[-1] + 3, INDEX[-1] + 6]
    assert predicted.name == "wave"
    assert not hasattr(SMALL, "module_"), "what was given stays as it is"


def test_several_columns_are_predicted_together() -> None:
    both = pd.DataFrame({"a": SERIES, "b": 2 * SERIES.shift(1).bfill()})
    predicted = QLSTMForecaster(SMALL, window_length=3).fit(both).predict(fh=[1, 2])
    assert list(predicted.columns) == ["a", "b"]
    assert np.isfinite(predicted.to_numpy()).all()


def test_further_rows_move_the_cutoff_and_train_only_if_asked(fitted: QLSTMForecaster) -> None:
    begun = QLSTMForecaster(SMALL, window_length=4).fit(SERIES[:-1])
    weights = [p.detach().clone() for p in begun.regressor_.module_.parameters()]
    begun.update(SERIES[-1:], update_params=False)
    assert all((p == q).all() for p, q in zip(begun.regressor_.module_.parameters(), weights, strict=True))
    assert begun.predict(fh=[1]).index[0] == INDEX[-1] + 1
    assert begun.update(SERIES[-1:]).predict(fh=[1, 2]).equals(fitted.predict(fh=[1, 2])), (
        "as if it had seen all from the start"
    )


def test_it_is_evaluated_like_any_other() -> None:
    splitter = ExpandingWindowSplitter(initial_window=20, step_length=10, fh=[1, 2])
    table = evaluate(QLSTMForecaster(SMALL, window_length=4), splitter, SERIES)
    assert len(table) == 2
    assert np.isfinite(table["test_MeanAbsolutePercentageError"]).all()


def test_mistakes() -> None:
    with pytest.raises(DataError, match="y has 5 rows; a window of 4 needs at least 6"):
        QLSTMForecaster(SMALL, window_length=4).fit(SERIES[:5])
    with pytest.raises(OptionError, match="window_length is 0"):
        QLSTMForecaster(SMALL, window_length=0).fit(SERIES)


@pytest.mark.slow
def test_without_sktime_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['sktime'] = None; import qlstm_qiskit.training.sktime"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (f"ImportError: QLSTMForecaster needs sktime: {installing('sktime')}")


def test_corrected_rows_are_put_in_their_place() -> None:
    begun = QLSTMForecaster(SMALL, window_length=4).fit(SERIES)
    corrected = SERIES.copy()
    corrected.iloc[30:32] += 0.1
    begun.update(corrected.iloc[30:40])
    assert begun.predict(fh=[1, 2]).equals(QLSTMForecaster(SMALL, window_length=4).fit(corrected).predict(fh=[1, 2]))


def test_a_forecast_is_made_from_the_rows_before_the_cutoff() -> None:
    begun = QLSTMForecaster(SMALL, window_length=4).fit(SERIES)
    begun.update(SERIES.iloc[20:24], update_params=False)  # of the past: sktime moves the cutoff there
    predicted = begun.predict(fh=[1])
    window = begun.scaler_.transform(SERIES.to_numpy()[20:24, None])
    expected = begun.scaler_.inverse(begun.regressor_.predict(window[None]))[0, 0]
    assert predicted.index[0] == INDEX[24]
    assert predicted.iloc[0] == expected


@pytest.mark.parametrize("index", [INDEX, INDEX.to_timestamp(), pd.RangeIndex(40)], ids=["period", "date", "number"])
def test_a_gap_is_refused(index: pd.Index) -> None:
    whole = SERIES.set_axis(index)
    with pytest.raises(DataError, match="y has 39 rows where 40 lie between"):
        QLSTMForecaster(SMALL, window_length=4).fit(whole.drop(index[20]))
    begun = QLSTMForecaster(SMALL, window_length=4).fit(whole[:30])
    with pytest.raises(DataError, match="fill the gap first"):
        begun.update(whole[35:])
    with pytest.raises(DataError, match="there is no row at"):
        begun.predict(fh=[1])


DAYS = pd.date_range("2024-01-01", periods=40, freq="D")
BUSINESS = pd.bdate_range("2024-01-02", periods=40)
HOLIDAY = pd.offsets.CustomBusinessDay(holidays=["2024-01-17"])


def forecaster() -> QLSTMForecaster:
    return QLSTMForecaster(QLSTMRegressor("config1", hidden_size=1, depth=1, max_epochs=1), window_length=4)


def on(index: pd.Index) -> pd.Series:
    return pd.Series(np.sin(np.arange(len(index)) / 2), index=index)


#: Indices of rows that follow one another.
WHOLE = {
    "days": DAYS,
    "without freq": pd.DatetimeIndex(DAYS.to_numpy()),
    "two days": pd.date_range("2024-01-01", periods=40, freq="2D"),
    "weeks": pd.date_range("2024-01-01", periods=40, freq="W"),
    "months": pd.date_range("2001-01-31", periods=40, freq="ME"),
    "month starts": pd.date_range("2001-01-01", periods=40, freq="MS"),
    "quarters": pd.date_range("2001-01-01", periods=40, freq="QS"),
    "quarter hours": pd.date_range("2001-01-01", periods=40, freq="15min"),
    "business days": BUSINESS,
    "holidays": pd.date_range("2024-01-02", periods=40, freq=HOLIDAY),
    "clock change": pd.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin"),
    "days of the zone": pd.date_range("2024-03-01", periods=40, freq="D", tz="Europe/Berlin"),
    "periods": INDEX,
    "double periods": pd.period_range("2024-01-01", periods=40, freq="2D"),
    "numbers": pd.RangeIndex(7, 47),
    "every fifth": pd.Index(np.arange(0, 200, 5)),
}


def following(index: pd.Index, count: int) -> pd.Index:
    """Labels of the rows after an index, from pandas alone."""
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(index[-1], periods=count + 1, freq=index.freq)[1:]
    if isinstance(index, pd.DatetimeIndex):
        return pd.date_range(index[-1], periods=count + 1, freq=index.freq or pd.infer_freq(index))[1:]
    step = index[1] - index[0]
    return pd.Index([index[-1] + step * k for k in range(1, count + 1)])


@pytest.mark.parametrize("name", WHOLE)
def test_every_way_to_name_rows_gives_the_same_ones(name: str) -> None:
    index = WHOLE[name]
    begun, labels = forecaster().fit(on(index)), following(index, 3)
    expected = forecaster().fit(on(pd.RangeIndex(40))).predict(fh=[1, 3]).to_numpy()
    horizons: list = [ForecastingHorizon(labels[[0, 2]], is_relative=False)]
    if not isinstance(index, pd.DatetimeIndex | pd.PeriodIndex):
        horizons.append([labels[0] - index[-1], labels[2] - index[-1]])
    else:
        horizons += [[3, 1], np.array([1, 3])]
    if isinstance(index, pd.DatetimeIndex):
        apart = labels[[0, 2]] - index[-1]
        horizons += [apart, list(apart), apart.to_numpy(), labels[[2, 0]]]
    if name == "double periods":
        horizons.append(pd.to_timedelta([2, 6], unit="D"))
    for horizon in horizons:
        found = begun.predict(fh=horizon)
        np.testing.assert_array_equal(found.to_numpy(), expected)
        assert list(found.index) == list(labels[[0, 2]])


@pytest.mark.parametrize("name", ["days", "without freq", "business days", "holidays", "months", "clock change", "numbers"])
def test_updates_follow_the_rows_before(name: str) -> None:
    series = on(WHOLE[name])
    begun = forecaster().fit(series[:35]).update(series[35:])
    assert begun.predict(fh=[1]).to_numpy() == forecaster().fit(series).predict(fh=[1]).to_numpy()
    assert begun.predict(fh=[1]).index[0] == following(WHOLE[name], 1)[0]


class Untrained(QLSTMRegressor):
    def fit(self, X, y):
        raise AssertionError("it is trained before the rows are checked")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (DAYS.delete(20), "y has 39 rows where 40 lie between .* after 2024-01-20 .* comes 2024-01-22 .*asfreq.*reset_index"),
        (BUSINESS.delete(11), "y has 39 rows where 40 lie between .* after 2024-01-16 .* 'B' it would be 2024-01-17"),
        (WHOLE["months"].delete(5), "y has 39 rows where 40 lie between .* it would be 2001-06-30"),
        (WHOLE["clock change"].tz_localize(None), "after 2024-03-31 01:00:00 comes 2024-03-31 03:00:00"),
        (pd.DatetimeIndex(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(40) ** 2, unit="h")), "have no frequency"),
        (DAYS[:39].insert(20, DAYS[19]), "more than one row at 2024-01-20"),
        (pd.Index([*range(20), *range(19, 39)]), "more than one row at 19"),
        (pd.timedelta_range("0h", periods=40, freq="h"), "TimedeltaIndex .* it must be of dates, periods or integers"),
        (pd.Index([*range(0, 60, 2), *range(61, 71)]), "the rows of y|y has 40 rows where"),
    ],
)
def test_rows_that_do_not_follow_one_another_are_refused_before_training(index: pd.Index, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        QLSTMForecaster(Untrained("config1"), window_length=4).fit(on(index))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("index", [DAYS[::-1], DAYS[[1, 0, *range(2, 40)]], DAYS.strftime("%Y"), pd.Index(np.arange(40.0))])
def test_what_sktime_does_not_take_is_refused_before_training(index: pd.Index) -> None:
    with pytest.raises(TypeError, match="sktime compatible"):
        QLSTMForecaster(Untrained("config1"), window_length=4).fit(on(index))


#: For an index, horizons that name no row ahead, and what is said.
NO_ROWS = [
    ("days", pd.to_timedelta([12], unit="h"), "asks for 2024-02-09 12:00:00, where no row is"),
    ("days", pd.DatetimeIndex(["2024-02-10 06:00"]), "where no row is"),
    ("days", pd.DatetimeIndex(["2024-02-10"], tz="UTC"), "the rows of y are dates at the frequency 'D'; give numbers of rows"),
    ("days", pd.period_range("2024-02-10", periods=2, freq="D"), "does not go with the index of y"),
    ("days", [pd.offsets.Day(1), pd.offsets.Day(2)], "does not go with the index of y"),
    ("days", [pd.offsets.MonthBegin(1)], "does not go with the index of y"),
    ("days", ForecastingHorizon([41], is_relative=False), "does not go with the index of y"),
    ("days", [10**9], "more than 100000 rows after the last one"),
    ("days", pd.to_timedelta([10**6], unit="D"), "more than 100000 rows after the last one"),
    ("quarter hours", pd.DatetimeIndex(["2200-01-01"]), "more than 100000 rows after the last one"),
    ("business days", pd.DatetimeIndex(["2024-03-02"]), "where no row is"),
    ("months", pd.to_timedelta([30], unit="D"), "where no row is"),
    ("clock change", pd.DatetimeIndex(["2024-04-01"]), "does not go with|the rows of y are dates"),
    ("periods", pd.to_timedelta([31], unit="D"), "the rows of y are periods"),
    ("periods", pd.DatetimeIndex(["2004-05-01"]), "does not go with the index of y"),
    ("double periods", pd.to_timedelta([3], unit="D"), "where no row is"),
    ("numbers", pd.to_timedelta([1], unit="D"), "the rows of y are numbers at steps of 1"),
    ("numbers", pd.DatetimeIndex(["2024-01-01"]), "does not go with the index of y"),
    ("every fifth", [1, 2], "asks for 196, where no row is: they follow 195 at steps of 5, as 200 does"),
]


@pytest.fixture(scope="module")
def begun() -> dict[str, QLSTMForecaster]:
    return {name: forecaster().fit(on(WHOLE[name])) for name in {name for name, _, _ in NO_ROWS}}


@pytest.mark.parametrize(("name", "horizon", "message"), NO_ROWS)
def test_horizons_without_rows_are_refused(begun: dict[str, QLSTMForecaster], name: str, horizon, message: str) -> None:
    with pytest.raises(DataError, match=message):
        begun[name].predict(fh=horizon)
    with pytest.raises(DataError, match=message):  # where it is known then, before training
        QLSTMForecaster(Untrained("config1"), window_length=4).fit(on(WHOLE[name]), fh=horizon)


def test_rows_of_the_past_are_not_forecast(begun: dict[str, QLSTMForecaster]) -> None:
    for horizon in ([0], [-1, 1], pd.to_timedelta([-1], unit="D"), DAYS[3:5]):
        with pytest.raises(NotImplementedError, match="in-sample"):
            begun["days"].predict(fh=horizon)


@pytest.mark.parametrize(
    "more",
    [
        on(DAYS).tz_localize("UTC")[30:],
        on(DAYS + pd.Timedelta("6h"))[30:],
        pd.concat([on(DAYS)[30:32], on(DAYS)[31:32]]),
        on(pd.DatetimeIndex(["2200-01-01"])),
        on(DAYS.to_period())[30:],
        on(pd.RangeIndex(40))[30:],
    ],
    ids=["zone", "other hours", "twice", "far", "periods", "numbers"],
)
def test_updates_that_do_not_follow_are_refused(more: pd.Series) -> None:
    begun = forecaster().fit(on(DAYS)[:30])
    with pytest.raises((DataError, TypeError)):
        begun.update(more, update_params=False)


def test_each_series_of_a_hierarchy_is_checked() -> None:
    def both(first: pd.Index) -> pd.DataFrame:
        return pd.concat({"a": on(DAYS), "b": on(first)}).to_frame("y")

    found = forecaster().fit(both(DAYS)).predict(fh=pd.to_timedelta([1, 2], unit="D"))
    np.testing.assert_array_equal(found.loc["a"].to_numpy()[:, 0], forecaster().fit(on(DAYS)).predict(fh=[1, 2]).to_numpy())
    with pytest.raises(DataError, match="fill the gap first"):
        forecaster().fit(both(DAYS.delete(20)))
