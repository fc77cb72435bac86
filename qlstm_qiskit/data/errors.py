"""Errors of forecasts on the test part of a series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import DataError, ShapeError


def mean_squared_error(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean squared error; infinity where it is not a float64.

    Args:
        prediction: (n, horizon).
        truth: What came true, of the same shape.

    Raises:
        ShapeError: Their shapes differ, which numpy might broadcast.
    """
    require_same_shape(prediction, truth)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.mean((prediction - truth) ** 2))


def require_same_shape(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
    """Raise `ShapeError` where predictions have not the shape of what came true."""
    if prediction.shape != truth.shape:
        raise ShapeError(f"predictions have the shape {prediction.shape}; what came true has {truth.shape}.")


def forecast_errors(dataset: Dataset, prediction: NDArray[np.float64]) -> dict[str, float]:
    """Errors on the test part of a scaled prediction (n, horizon).

    Args:
        dataset: The series.
        prediction: Of its test windows, in scaled units, (n, horizon).

    Returns:
        `mse` in scaled units of the series itself, whatever is learned (see `Dataset.as_series`); `rmse_original` and
        `mae_original` in original units; and `mase`, the MAE as a multiple of `dataset.mase_scale()`, except for a constant
        training part, where it is not defined.

    Raises:
        ShapeError: The prediction has another shape.
        DataError: An error is not a finite number.
    """
    require_same_shape(prediction, dataset.y_test)
    errors = {"mse": mean_squared_error(dataset.as_series(prediction), dataset.as_series(dataset.y_test))}
    scale = dataset.mase_scale()
    with np.errstate(over="ignore", invalid="ignore"):
        difference = dataset.original(prediction) - dataset.original(dataset.y_test)
        errors["rmse_original"] = float(np.sqrt(np.mean(difference**2)))
        errors["mae_original"] = float(np.mean(np.abs(difference)))
    errors |= {"mase": errors["mae_original"] / scale} if scale else {}
    lost = [name for name, value in errors.items() if not np.isfinite(value)]
    if lost:
        raise DataError(
            f"the {lost[0]} of predictions of {dataset.name} is not a finite number: they, or values of {dataset.target!r}, "
            "are too large; correct the data, or train again."
        )
    return errors


def reference_errors(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Errors of the forecasts that need no model, by name: `persistence` and, for a season above 1, `seasonal_naive`.

    Args:
        dataset: The series.

    Returns:
        For each forecast what `forecast_errors` gives.
    """
    errors = {"persistence": forecast_errors(dataset, dataset.persistence())}
    if dataset.season > 1:
        errors["seasonal_naive"] = forecast_errors(dataset, dataset.seasonal_naive())
    return errors
