"""Predictions fed back over the test part, against closed forms."""

from collections.abc import Callable

import numpy as np
import pytest

from qlstm_qiskit.data import Dataset, Scaler, load_dataset, make_dataset
from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.experiments import horizon_errors, rolled_errors, rolled_out, rolled_windows


def wave(**options) -> Dataset:
    """A sine of period 16 around 10: y_(t+1) = 2 cos(w) y_t - y_(t-1) + c."""
    values = 10 + 3 * np.sin(2 * np.pi * np.arange(80) / 16)
    return make_dataset("wave", values[:, None], values, **({"features": ("a",), "target_name": "a"} | options))


def recurrence(data: Dataset, of_last: float, of_before: float, constant: float, seen: list | None = None) -> Callable:
    """The model a y_t + b y_(t-1) + c in original units, from scaled windows to scaled predictions."""

    def predict(windows: np.ndarray) -> np.ndarray:
        if seen is not None:
            seen.append(windows.shape)
        known = data.input_scaler.inverse(windows)
        return data.target_scaler.transform(of_last * known[:, -1] + of_before * known[:, -2] + constant)

    return predict


TWICE_COS = 2 * np.cos(2 * np.pi / 16)


@pytest.mark.parametrize("window", [2, 5])
@pytest.mark.parametrize("scalers", [None, (Scaler((0.0,), (7.0,)), Scaler((-3.0,), (40.0,)))])
def test_a_linear_recurrence_is_its_closed_form(window: int, scalers: tuple | None) -> None:
    """The sine goes on for as long as it is rolled out; inputs and target may be scaled in different ways."""
    data, seen = wave(window=window, scalers=scalers), []
    predictions, truth = rolled_out(recurrence(data, TWICE_COS, -1.0, 10 * (2 - TWICE_COS), seen), data, 9)
    n = len(data.x_test) - 8
    assert seen == [(n, window, 1)] * 9
    first = 80 - len(data.x_test)
    rows = first + np.arange(n)[:, None] + np.arange(9)
    np.testing.assert_array_equal(truth, data.values[rows])
    assert truth[-1, -1] == data.values[-1]
    np.testing.assert_allclose(predictions, 10 + 3 * np.sin(2 * np.pi * rows / 16), atol=1e-9)


def test_a_wrong_model_is_rolled_out_from_its_own_predictions() -> None:
    data = wave(window=3)
    predictions, truth = rolled_out(recurrence(data, 0.9, 0.0, 1.0), data, 4)  # to 10, by a tenth of what is left in each step
    last = data.target_scaler.inverse(data.last_test[: len(predictions)])
    np.testing.assert_allclose(predictions, 10 + (last - 10) * 0.9 ** np.arange(1, 5))
    assert np.abs(predictions - truth).max() > 1


def test_one_step_is_the_test_part() -> None:
    data = load_dataset("bessel")
    predictions, truth = rolled_out(lambda windows: windows[:, -1], data, 1)
    np.testing.assert_allclose(truth, data.target_scaler.inverse(data.y_test), atol=1e-15)
    np.testing.assert_allclose(predictions, data.target_scaler.inverse(data.persistence()), atol=1e-15)


def test_errors_of_each_step_by_hand() -> None:
    predictions, truth = np.array([[1.0, 2.0], [3.0, 9.0]]), np.array([[1.0, 5.0], [5.0, 5.0]])
    errors = horizon_errors(predictions, truth, 4.0)
    assert errors == {"rmse": pytest.approx([2**0.5, 12.5**0.5]), "mase": pytest.approx([0.25, 3.5 / 4])}
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(OptionError, match="must be positive"):
            horizon_errors(predictions, truth, scale)


def test_errors_stand_beside_those_of_naive_forecasts() -> None:
    """Persistence comes out the same as a model that is rolled out and as the forecast itself; seasons as the closed form."""
    data = wave(window=3, season=8)
    errors = rolled_errors(lambda windows: windows[:, -1], data, 12)
    assert set(errors) == {"model", "persistence", "seasonal_naive"}
    for figure in ("rmse", "mase"):
        np.testing.assert_allclose(errors["model"][figure], errors["persistence"][figure])
    n = rolled_windows(data, 12)
    rows = 80 - len(data.x_test) + np.arange(n)[:, None] + np.arange(12)
    sine = 3 * np.sin(2 * np.pi * rows / 16)  # half a period on, it is its negative; the season after that comes back
    expected = np.abs(np.concatenate([2 * sine[:, :8], 0 * sine[:, 8:]], axis=1)).mean(axis=0) / data.mase_scale()
    np.testing.assert_allclose(errors["seasonal_naive"]["mase"], expected, atol=1e-12)
    assert set(rolled_errors(lambda windows: windows[:, -1], wave(), 2)) == {"model", "persistence"}


@pytest.mark.parametrize(
    ("data", "steps", "message"),
    [
        (wave, 0, "steps is 0"),
        (wave, 27, "steps is 27; the test part of wave has 26 rows"),
        (lambda: wave(horizon=2), 2, "2 rows of 'a' are predicted from a; .* horizon 1"),
        (lambda: wave(features=("b",)), 2, "1 rows of 'a' are predicted from b"),
        (lambda: load_dataset("narma5"), 2, "'y' are predicted from u"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_evaluated(data: Callable, steps: int, message: str) -> None:
    def predict(windows: np.ndarray) -> np.ndarray:
        raise AssertionError

    for function in (rolled_out, rolled_errors):
        with pytest.raises(OptionError, match=message):
            function(predict, data(), steps)
    assert rolled_windows(wave(), 26) == 1


def test_predictions_must_be_a_column() -> None:
    with pytest.raises(ShapeError, match=r"predict gave \(25,\) for windows \(25, 4, 1\); it must give \(25, 1\)"):
        rolled_out(lambda windows: windows[:, -1, 0], wave(), 2)
