"""Intervals of the estimator and of the sktime forecaster: those by hand, on rows that the model has not seen."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from qlstm_qiskit import QLSTMRegressor, load_dataset
from qlstm_qiskit.data import conformal_radius
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.training.sktime import QLSTMForecaster

DATA = load_dataset("damped_shm", horizon=2)
X, Y = DATA.x_train[:60], DATA.y_train[:60]
CAL_X, CAL_Y = DATA.x_train[62:102], DATA.y_train[62:102]


def tiny(**options: Any) -> QLSTMRegressor:
    return QLSTMRegressor("lstm", **({"hidden_size": 2, "max_epochs": 2} | options))


class TestRegressor:
    def test_ends_are_the_prediction_and_the_score_at_the_place_of_the_formula(self) -> None:
        model = tiny().fit(X, Y).calibrate(CAL_X, CAL_Y)
        radius = np.sort(np.abs(model.predict(CAL_X) - CAL_Y), axis=0)[math.ceil(41 * 0.9) - 1]
        lower, upper = model.predict_interval(DATA.x_test, level=0.9)
        np.testing.assert_allclose(upper - model.predict(DATA.x_test), np.tile(radius, (len(DATA.x_test), 1)))
        np.testing.assert_allclose(lower + upper, 2 * model.predict(DATA.x_test))

    def test_they_are_flat_where_y_is(self) -> None:
        model = tiny().fit(X, Y[:, 0]).calibrate(CAL_X, CAL_Y[:, 0])
        assert [end.shape for end in model.predict_interval(X)] == [(60,), (60,)]

    def test_shots_are_part_of_them(self) -> None:
        options = {"hidden_size": 1, "depth": 1, "max_epochs": 1, "backend": "exact-shots"}
        one, two = (QLSTMRegressor("config1", **options).fit(X, Y) for _ in range(2))
        one.calibrate(CAL_X, CAL_Y)
        np.testing.assert_array_equal(one.calibration_scores_, np.abs(two.predict(CAL_X) - CAL_Y))

    def test_calibrating_changes_no_prediction_and_a_new_fit_forgets_it(self) -> None:
        model = tiny().fit(X, Y)
        before = model.predict(X)
        np.testing.assert_array_equal(model.calibrate(CAL_X, CAL_Y).predict(X), before)
        assert not hasattr(clone(model), "calibration_scores_")
        with pytest.raises(NotFittedError, match=r"has no intervals yet; call calibrate\(X, y\) first"):
            model.fit(X, Y).predict_interval(X)

    def test_mistakes(self) -> None:
        with pytest.raises(NotFittedError):
            tiny().calibrate(CAL_X, CAL_Y)
        model = tiny().fit(X, Y)
        with pytest.raises(DataError, match=r"y has the shape \(40,\); the predictions of X have \(40, 2\)"):
            model.calibrate(CAL_X, CAL_Y[:, 0])
        with pytest.raises(DataError, match="y contains NaN, first in row 0"):
            model.calibrate(CAL_X, CAL_Y * np.nan)
        model.calibrate(CAL_X[:18], CAL_Y[:18])
        with pytest.raises(DataError, match="level 0.95 need 19 calibration windows; calibrate was given 18"):
            model.predict_interval(X, level=0.95)
        with pytest.raises(OptionError, match="level is 90; it must lie between 0 and 1"):
            model.predict_interval(X, level=90)


INDEX = pd.period_range("2001-01", periods=60, freq="M")
NOISE = np.random.default_rng(2).normal(size=60)
SERIES = pd.Series(5 + np.sin(np.arange(60) / 2) + NOISE / 5, index=INDEX, name="wave")
WINDOW = 4


def calibrated(y: Any = SERIES, **options: Any) -> QLSTMForecaster:
    return QLSTMForecaster(tiny(), window_length=WINDOW, **({"calibration_fraction": 0.4} | options)).fit(y)


class TestForecaster:
    def test_ends_are_those_of_feeding_back_by_hand(self) -> None:
        fitted, values = calibrated(), SERIES.to_numpy()
        scores = np.full((22, 3), np.nan)  # of 56 windows, 0.4
        for place, row in enumerate(range(38, 60)):
            known = fitted.scaler_.transform(values[row - WINDOW : row, None])[:, 0].tolist()
            for step in range(3):
                known.append(float(fitted.regressor_.predict(np.array(known[-WINDOW:])[None, :, None])[0, 0]))
                if row + step < 60:
                    scores[place, step] = abs(float(fitted.scaler_.inverse([known[-1]])[0]) - values[row + step])
        radius, forecast = conformal_radius(scores, 0.8), fitted.predict(fh=[1, 3])
        ends = fitted.predict_interval(fh=[1, 3], coverage=[0.5, 0.8])
        assert list(ends.columns) == [("wave", level, end) for level in (0.5, 0.8) for end in ("lower", "upper")]
        np.testing.assert_allclose(ends[("wave", 0.8, "upper")] - forecast, radius[[0, 2]])
        np.testing.assert_allclose(forecast - ends[("wave", 0.8, "lower")], radius[[0, 2]])
        quantiles = fitted.predict_quantiles(fh=[1, 3], alpha=[0.1, 0.5, 0.9])
        np.testing.assert_array_equal(quantiles[("wave", 0.5)], forecast)
        np.testing.assert_allclose(quantiles[("wave", 0.9)], ends[("wave", 0.8, "upper")])
        np.testing.assert_allclose(quantiles[("wave", 0.1)], ends[("wave", 0.8, "lower")])

    def test_the_rows_that_calibrate_do_not_train(self) -> None:
        other = SERIES.copy()
        other.iloc[45:] = SERIES.iloc[45:].to_numpy()[::-1]  # the same range
        first, second = calibrated(), calibrated(other)
        for p, q in zip(first.regressor_.module_.parameters(), second.regressor_.module_.parameters(), strict=True):
            assert (p == q).all()

    def test_rows_of_an_update_calibrate_too(self) -> None:
        begun = calibrated(SERIES[:50]).update(SERIES[50:], update_params=False)
        assert len(begun._scores(1)) == 18 + 10
        assert np.isfinite(begun.predict_interval(fh=[1], coverage=0.9).to_numpy()).all()

    def test_each_column_has_its_own(self) -> None:
        both = pd.DataFrame({"a": SERIES, "b": 100 * SERIES.shift(1).bfill()})
        ends = calibrated(both).predict_interval(fh=[1], coverage=0.8)
        width = {name: float((ends[(name, 0.8, "upper")] - ends[(name, 0.8, "lower")]).iloc[0]) for name in ("a", "b")}
        assert width["b"] > 20 * width["a"]

    def test_without_a_calibration_part_it_says_that_it_has_none(self) -> None:
        fitted = calibrated(calibration_fraction=0.0)
        assert not fitted.get_tag("capability:pred_int")
        assert QLSTMForecaster.get_class_tag("capability:pred_int")
        assert calibrated().get_tag("capability:pred_int")
        with pytest.raises(NotImplementedError, match="prediction intervals"):
            fitted.predict_interval(fh=[1])
        assert fitted.predict(fh=[1, 2]).equals(QLSTMForecaster(tiny(), window_length=WINDOW).fit(SERIES).predict(fh=[1, 2]))

    def test_mistakes(self) -> None:
        with pytest.raises(DataError, match="coverage 0.95 need 19 calibration windows, and 18 reach 5 steps ahead; give"):
            calibrated().predict_interval(fh=[1, 5], coverage=0.95)
        with pytest.raises(OptionError, match="calibration_fraction is 1.5; it must be at least 0 and below 1"):
            calibrated(calibration_fraction=1.5)
