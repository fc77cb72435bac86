"""The sktime forecaster: sktime's own conformance test, and predictions that are those of the regressor inside."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter
from sktime.utils.estimator_checks import check_estimator

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.data import Scaler, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.training.sktime import QLSTMForecaster

SMALL = QLSTMRegressor("config1", hidden_size=2, depth=1, max_epochs=3, seed=1)
INDEX = pd.period_range("2001-01", periods=40, freq="M")
SERIES = pd.Series(5 + np.sin(np.arange(40) / 2), index=INDEX, name="wave")


@pytest.fixture(scope="module")
def fitted() -> QLSTMForecaster:
    return QLSTMForecaster(SMALL, window_length=4).fit(SERIES)


@pytest.mark.filterwarnings("ignore")
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


def test_without_sktime_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['sktime'] = None; import qlstm_qiskit.training.sktime"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: QLSTMForecaster needs sktime; install it with: pip install 'qlstm-qiskit[sktime]'"
    )


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
    if not isinstance(index, pd.DatetimeIndex):  # dates with one missing have no frequency, and may be meant so
        with pytest.raises(DataError, match="y has 39 rows where 40 lie between"):
            QLSTMForecaster(SMALL, window_length=4).fit(whole.drop(index[20]))
    begun = QLSTMForecaster(SMALL, window_length=4).fit(whole[:30])
    with pytest.raises(DataError, match="fill the gap first"):
        begun.update(whole[35:])
