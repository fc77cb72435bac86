"""Forecasts of several steps over the test part, in which predictions are fed back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.errors import require_same_shape
from qlstm_qiskit.data.feedback import fed_back, rows_after, unknown_later
from qlstm_qiskit.data.windows import Dataset, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, ShapeError, require_at_least

Floats = NDArray[np.float64]
Predict = Callable[[Floats], Floats]


def rolled_windows(dataset: Dataset, steps: int) -> int:
    """How many test windows have a known future of this many steps, the first ones.

    Args:
        dataset: The series.
        steps: Rows after a window, at least 1.

    Raises:
        OptionError: None has, or predictions of this series cannot be fed back.
    """
    require_at_least("steps", steps, 1)
    if dataset.lead > 1:
        raise OptionError(
            f"values of {dataset.target!r} are predicted {dataset.lead} steps ahead, and rolling out feeds back those of the "
            "next row; train with lead 1."
        )
    if unknown_later(dataset) or dataset.horizon != 1:
        raise OptionError(
            f"{dataset.horizon} rows of {dataset.target!r} are predicted from {', '.join(dataset.features)}; rolling out feeds "
            "predictions back one by one, so take a series that is predicted from its own past, and what is known ahead, with "
            "horizon 1."
        )
    if steps > len(dataset.x_test):
        raise OptionError(
            f"steps is {steps}; the test part of {dataset.name} has {len(dataset.x_test)} rows, give at most that."
        )
    return len(dataset.x_test) - steps + 1


def rolled_out(predict: Predict | Sequence[Predict], dataset: Dataset, steps: int) -> tuple[Floats, Floats]:
    """Forecast `steps` rows after each test window whose future is known, all windows at once: `steps` calls of `predict`.

    Args:
        predict: From scaled windows (n, window, features) to scaled predictions (n, 1). Or several such: each goes on from its
            own predictions, and the mean of them is what is forecast.
        dataset: A series that is predicted from its own past, and what is known ahead, with horizon 1.
        steps: How far.

    Returns:
        Predictions and what came true, both (n, steps), in original units.

    Raises:
        OptionError: As of `rolled_windows`.
        ShapeError: `predict` gives another shape.
    """
    n = rolled_windows(dataset, steps)

    def checked(own: Predict, windows: Floats) -> Floats:
        given = own(windows)
        if given.shape != (len(windows), 1):
            raise ShapeError(f"predict gave {given.shape} for windows {windows.shape}; it must give {(len(windows), 1)}.")
        return given

    after = None if dataset.inputs is None else rows_after(dataset.inputs, dataset.rows[2][:n], steps)
    models = [predict] if callable(predict) else list(predict)
    found = [fed_back(partial(checked, own), dataset, dataset.x_test[:n], steps, after) for own in models]
    predictions = dataset.target_scaler.inverse(np.mean(found, axis=0))
    return dataset.unchanged(predictions), _truth(dataset, steps)


def horizon_errors(predictions: Floats, truth: Floats, scale: float) -> dict[str, list[float]]:
    """Errors of each step of forecasts (n, steps): `rmse` in their units, and `mase`, the MAE as a multiple of `scale`.

    Args:
        predictions, truth: (n, steps), in original units.
        scale: Of MASE, as `Dataset.mase_scale` gives it.

    Raises:
        OptionError: The scale is not positive, as `Dataset.mase_scale` of a constant training part.
        ShapeError: Predictions have another shape than what came true.
        DataError: An error is not a finite number.
    """
    require_same_shape(predictions, truth)
    if not scale > 0:
        raise OptionError(f"the scale of MASE is {scale}; it must be positive, so the training part must not be constant.")
    with np.errstate(over="ignore", invalid="ignore"):
        difference = predictions - truth
        errors = {
            "rmse": np.sqrt(np.mean(difference**2, axis=0)).tolist(),
            "mase": (np.mean(np.abs(difference), axis=0) / scale).tolist(),
        }
    if not np.isfinite([*errors["rmse"], *errors["mase"]]).all():
        raise DataError("predictions that are fed back grow beyond all numbers; take fewer steps, or train again.")
    return errors


def rolled_errors(
    predict: Predict | Sequence[Predict] | None, dataset: Dataset, steps: int
) -> dict[str, dict[str, list[float]]]:
    """`horizon_errors` of `model`, `persistence` and, for a season above 1, `seasonal_naive`.

    Args:
        predict: As in `rolled_out`; without it there is no `model`.
        dataset: A series that is predicted from its own past, with horizon 1.
        steps: How far.

    Raises:
        OptionError: As of `rolled_windows` and `horizon_errors`.
    """
    n, scale = rolled_windows(dataset, steps), dataset.mase_scale()
    known = {"persistence": dataset.persistence(steps)}
    if dataset.season > 1:
        known["seasonal_naive"] = dataset.seasonal_naive(steps)
    truth = _truth(dataset, steps)
    errors = {name: horizon_errors(dataset.original(one[:n]), truth, scale) for name, one in known.items()}
    return errors if predict is None else {"model": horizon_errors(*rolled_out(predict, dataset, steps), scale), **errors}


def _truth(dataset: Dataset, steps: int) -> Floats:
    """What follows each test window whose future is known, (n, steps), in original units."""
    first = dataset.n_known
    return sliding_windows(dataset.values[first : first + len(dataset.x_test), None], steps)[:, :, 0]
