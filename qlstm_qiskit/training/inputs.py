"""What a fit is given: arrays that can be used, options as plain data, and parameters to start from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.hardware import Backend, BackendSpec
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.options import OPTIONS
from qlstm_qiskit.training.plain import CheckedOptions
from qlstm_qiskit.training.task import REGRESSION


def as_windows(X: NDArray[Any]) -> NDArray[Any]:
    """X as (n, window, features); writable, as torch wants it."""
    if X.ndim not in (2, 3):
        raise DataError(f"X has the shape {X.shape}; expected (n, window, features), or (n, window) of one feature.")
    return np.require(X[:, :, None] if X.ndim == 2 else X, requirements="W")


def require_finite(name: str, values: ArrayLike) -> None:
    """Raise `DataError` with the first row that holds NaN or an infinite value; other faults are left to scikit-learn."""
    try:
        array = np.asarray(values)
        array = array.astype(np.float64, copy=False) if not np.iscomplexobj(array) else array
    except (TypeError, ValueError):
        return
    bad = ~np.isfinite(array)
    if array.ndim and bad.any():
        row = int(np.argwhere(bad)[0][0])
        what = "NaN" if np.isnan(array[row]).any() else "infinity"
        raise DataError(f"{name} contains {what}, first in row {row}; fill or remove such rows.")


def describe(options: CheckedOptions) -> dict[str, Any]:
    """What decides the result of a fit beside its data, as plain JSON values: two fits that agree in it are the same."""
    plain = {name: getattr(options, name) for name in sorted(OPTIONS) if name not in ("callbacks", "checkpoint", "verbose")}
    later = ("entangler", "bank", "replicas")  # than the first files, which are as they were where these have their defaults
    plain = {name: value for name, value in plain.items() if name not in later or value != OPTIONS[name].default}
    space, start = options.space, options.start
    plain["lr"] = options.learning_rate
    plain |= {"task": options.task.name} if options.task.name != REGRESSION.name else {}  # files without it are of that one
    plain["search"] = options.strategy.model_dump(mode="json")
    plain["backend"] = _backend(options.backend)
    if space is not None:
        layers = [space] if isinstance(space, SearchSpace) else space
        plain["space"] = [list(layer.names) for layer in layers]
    if start is not None:
        plain["start"] = {name: hashlib.sha256(value.cpu().numpy().tobytes()).hexdigest() for name, value in start.items()}
    return plain


def _backend(backend: Backend | BackendSpec | str) -> Any:
    if isinstance(backend, BackendSpec):
        return backend.model_dump(mode="json", exclude_defaults=True)
    return backend if isinstance(backend, str) else backend.name


def load_start(module: Forecaster, start: Mapping[str, Tensor]) -> None:
    """Put parameters into a model, or raise `OptionError` where they are another one's."""
    try:
        module.load_state_dict(dict(start))
    except RuntimeError as error:
        raise OptionError(f"start holds the parameters of another model: {' '.join(str(error).split())}") from None


def pair(given: object) -> tuple[ArrayLike, ArrayLike]:
    """The two parts of validation data, or `DataError` where they are not a pair."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(f"validation_data is a {type(given).__name__}; give a pair: windows like X, and their y.")
    return given[0], given[1]


def like_training(windows: ArrayLike, values: ArrayLike, X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validation data in the dtype and shape of the training data, except for their number.

    Raises:
        DataError: A value is missing or infinite, or the shapes do not fit.
    """
    require_finite("the windows of validation_data", windows)
    require_finite("the values of validation_data", values)
    windows, values = np.asarray(windows, dtype=X.dtype), np.asarray(values, dtype=y.dtype)
    fits = windows.shape[1:] == X.shape[1:] and values.shape[1:] == y.shape[1:]
    if not fits or len(windows) != len(values) or not len(values):
        raise DataError(
            f"validation_data has windows of the shape {windows.shape} and values of the shape {values.shape}; expected "
            f"as many windows as values, with {X.shape[1:]} and {y.shape[1:]} after their number, as X and y have."
        )
    return windows, values
