"""What the scikit-learn estimators have in common; the training loop is skorch's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from qlstm_qiskit.circuits.once import built_once
from qlstm_qiskit.errors import DataError, TrainingError
from qlstm_qiskit.hardware import Backend, BackendSpec
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.training.apart import reason_apart
from qlstm_qiskit.training.callbacks import reason_of_callbacks
from qlstm_qiskit.training.ensembles import FITTED, members_of, require_replicas, take_members
from qlstm_qiskit.training.fitting import Fit, Fitted, Seeds
from qlstm_qiskit.training.inputs import as_windows, like_training, pair, require_finite
from qlstm_qiskit.training.models import build_module
from qlstm_qiskit.training.optimizers import check_optimizer
from qlstm_qiskit.training.options import AllOptions
from qlstm_qiskit.training.plain import CheckedOptions
from qlstm_qiskit.training.saved import load_estimator, save_estimator
from qlstm_qiskit.training.together import fit_together

E = TypeVar("E", bound="Estimator")

_NUMPY_DTYPES = MappingProxyType({"float64": np.float64, "float32": np.float32})


class Estimator(BaseEstimator, AllOptions):
    """An estimator of windows; a child says how y is read and what becomes of the model's outputs."""

    def check_options(self) -> None:
        """Check each option, and the training options together; the rest is checked when the model is built.

        Numbers, names and switches may be numpy's; a fit and its checkpoint hold them as plain values.

        Raises:
            OptionError: An option has the wrong type, is out of range or unknown, or contradicts another option.
        """
        self._checked_options(held_out=False)

    def build_module(
        self,
        input_size: int,
        n_outputs: int,
        *,
        backend_seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Forecaster:
        """Build an untrained model as `fit` trains it.

        Args:
            input_size: Features of a window.
            n_outputs: Number of values to predict, or of classes.
            backend_seed: Seed of simulated shots; derived from `seed` where None.
            generator: Source of the initial parameters, on `device`; torch's default generator where None.

        Raises:
            OptionError: An option of the model is not allowed.
            CapacityError: The circuits do not fit in memory.
        """
        options = CheckedOptions.of(self)
        seed = Seeds.of(options.seed).backend if backend_seed is None else backend_seed
        return build_module(options, input_size, n_outputs, backend_seed=seed, generator=generator)

    def save(self, folder: Path | str) -> None:
        """Write the fitted estimator into a folder, as `load` reads it; nothing is pickled.

        The file, which is written at once or not at all, holds options, own circuits (as QPY) and trained parameters.
        `start`, `checkpoint`, `callbacks` and `verbose`, which are of one fit, are left out.

        Args:
            folder: It is made where there is none; an estimator that it holds already is replaced.

        Raises:
            NotFittedError: It is not fitted.
            OptionError: An option, or a class, is an object that a file cannot hold.
            RunError: The folder cannot be written.
        """
        save_estimator(self, folder)

    @classmethod
    def load(cls: type[E], folder: Path | str, *, backend: Backend | BackendSpec | str | None = None) -> E:
        """Read an estimator that `save` has written; it predicts the same. Nobody's code is run.

        Args:
            folder: Of `save`.
            backend: In place of the backend that it was saved with, which must be given if that was an object or names a
                provider's code.

        Raises:
            RunError: There is none, it is damaged, or it is of another class.
            OptionError: A backend is needed, or an option is not allowed here, such as a device that is not there.
        """
        return cast(E, load_estimator(cls, folder, backend))

    def _kept(self) -> dict[str, Any]:
        """What a fit leaves in a child beside the model, as plain JSON values."""
        raise NotImplementedError

    def _take(self, kept: dict[str, Any]) -> None:
        """Put back what `_kept` gave; `KeyError` or `ValueError` where it is something else."""
        raise NotImplementedError

    def _checked_options(self, *, held_out: bool) -> CheckedOptions:
        options = CheckedOptions.of(self)
        options.check_together(held_out=held_out)
        check_optimizer(options)
        return options

    def _fit(self: E, X: ArrayLike, y: ArrayLike, validation_data: tuple[ArrayLike, ArrayLike] | None) -> E:
        before = dict(self.__dict__)
        try:
            self._fit_anew(X, y, validation_data)
        except BaseException:  # also Ctrl-C: a model that was there goes on with its own classes and shapes
            self._put_back(before)
            raise
        return self

    def _put_back(self, before: dict[str, Any]) -> None:
        """Be as before a fit that came to nothing."""
        self.__dict__.clear()
        self.__dict__.update(before)

    def _fit_anew(self, X: ArrayLike, y: ArrayLike, validation_data: tuple[ArrayLike, ArrayLike] | None) -> None:
        replicas = CheckedOptions.of(self).replicas
        if replicas == 1:
            self._take_fitted(self._begin(X, y, validation_data).run())
            return
        members = members_of(self, replicas)
        train_together(members, X, y, validation_data)
        take_members(self, members)

    def _begin(self, X: ArrayLike, y: ArrayLike, validation_data: tuple[ArrayLike, ArrayLike] | None) -> Fit:
        """A fit on checked data; what the data say of the estimator is kept."""
        options = self._checked_options(held_out=validation_data is not None)
        checked, values = self._check_fit(X, y)
        dtype, held_out = _NUMPY_DTYPES[options.dtype], None
        if validation_data is not None:
            windows, given = pair(validation_data)
            windows, given = like_training(windows, self._read_validation(given), checked, values)
            held_out = as_windows(windows), self._targets(given, dtype)
        fit = Fit(options, as_windows(checked), self._targets(values, dtype), held_out)
        self._check_parts(fit)
        self._window_shape = checked.shape[1:]
        return fit

    def _take_fitted(self, fitted: Fitted) -> None:
        self.__dict__.pop("estimators_", None)  # those of the fit before
        self._net, self.module_ = fitted.net, fitted.module
        self.history_, self.interrupted_ = fitted.history, fitted.interrupted

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """X as finite numbers in the model's dtype and y as numbers, or an error that says what is wrong."""
        raise NotImplementedError

    def _read_validation(self, y: ArrayLike) -> ArrayLike:
        """The second part of validation data as the numbers that `_check_fit` gives for y."""
        return y

    def _targets(self, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """What `_check_fit` gives for y as the targets of training, (n, outputs)."""
        return self.task.targets(values, dtype)

    def _check_parts(self, fit: Fit) -> None:
        """Raise `DataError` where a part of the windows cannot be trained or validated on."""

    def _outputs(self, X: ArrayLike) -> NDArray[Any]:
        """The outputs of the fitted model for windows, (n, outputs); errors as for `predict`."""
        return self.task.joint(self._outputs_of_each(X))

    def _outputs_of_each(self, X: ArrayLike) -> NDArray[Any]:
        """The outputs of each member, (members, n, outputs); one of a model by itself."""
        check_is_fitted(self, FITTED, all_or_any=any)
        members = getattr(self, "estimators_", None) or [self]
        return np.stack([member._outputs_of_one(X) for member in members])

    def _outputs_of_one(self, X: ArrayLike) -> NDArray[Any]:
        require_finite("X", X)
        shape = np.asarray(X).shape
        # Ours comes first, because scikit-learn's check would call a window's length "features".
        if len(shape) > 2 and shape[1:] != self._window_shape:
            raise DataError(f"X has the shape {shape}; fit was given {self._window_shape} after n.")
        dtype = torch.empty(0, dtype=next(self.module_.parameters()).dtype).numpy().dtype
        checked = validate_data(self, X, reset=False, allow_nd=True, dtype=dtype)
        outputs: NDArray[Any] = self._net.predict(as_windows(checked))
        return outputs

    def _checked(self, X: ArrayLike, y: ArrayLike, **about: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """What scikit-learn makes of X and y; it is told `about` y."""
        checked, values = validate_data(self, X, y, allow_nd=True, dtype=_NUMPY_DTYPES[self.dtype], **about)
        return checked, values

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def train_together(
    estimators: Sequence[E], X: ArrayLike, y: ArrayLike, validation_data: tuple[ArrayLike, ArrayLike] | None = None
) -> str | None:
    """Fit estimators that differ in their seeds alone, side by side, in a fraction of the time of one after another.

    The circuits of all of them are one bank, and their parameters lie in one tensor, so that a step costs little more than one
    of them. Each ends as it would by itself, but for rounding; early stopping and checkpoints are its own, and one that stops
    or diverges changes no bit of the others. Where a step depends on more than a model's own numbers (SPSA, search strategies,
    backends that run circuits), or there are callbacks other than a `Watcher`, they are fitted one after another.

    Args:
        estimators: Of one class; their options are equal but for `seed`, `checkpoint`, `callbacks` and `verbose`.
        X, y, validation_data: As in `fit`.

    Returns:
        Why they were fitted one after another, in words; None if they were trained side by side.

    Raises:
        OptionError: There is none, they differ in other options, one or its checkpoint is there twice, or one has replicas.
        TrainingError: Some diverged, and are as they were before; the others are fitted.
        KeyboardInterrupt: Ctrl-C before each had finished an epoch; those that had are fitted.
    """
    estimators, data = list(estimators), (X, y, validation_data)
    require_replicas(estimators)
    before = [dict(estimator.__dict__) for estimator in estimators]
    errors: dict[int, TrainingError] = {}
    try:
        reason = fit_side_by_side(estimators, data, errors)
    except BaseException:  # as in `_fit`
        for estimator, own in zip(estimators, before, strict=True):
            estimator._put_back(own)
        raise
    for place in errors if reason is None else range(len(estimators)):
        estimators[place]._put_back(before[place])
    if reason is not None:
        _one_after_another(estimators, data, errors)
    if errors:
        seeds = ", ".join(str(estimators[place].seed) for place in errors)
        first = next(iter(errors.values()))
        raise TrainingError(f"{len(errors)} of {len(estimators)} trainings ended early (seed {seeds}), the first one: {first}")
    return reason


def fit_side_by_side(
    estimators: Sequence[Estimator], data: tuple[Any, Any, Any], errors: dict[int, TrainingError], *, dry: bool = False
) -> str | None:
    """Fit replicas side by side, or say why that cannot be.

    Args:
        estimators: They differ in `seed`, `start`, `checkpoint`, `callbacks` and `verbose` alone.
        data: X, y and validation data of `fit`.
        errors: Gets those of the ones that end early, by place.
        dry: Train nothing.
    """
    reasons = (reason_of_callbacks(estimator.callbacks) for estimator in estimators)
    if reason := next(filter(None, reasons), None):
        return reason
    fits = [estimator._begin(*data) for estimator in estimators]
    with built_once():
        reason = reason_apart(fits[0])
        if reason is not None or dry:
            return reason
        for fit in fits[1:]:
            fit.options = fit.options.but(verbose=0)  # one bar for all
        results = fit_together(fits)
    for place, result in enumerate(results):
        if isinstance(result, TrainingError):
            errors[place] = result
        else:
            estimators[place]._take_fitted(result)
    return None


def _one_after_another(estimators: Sequence[Estimator], data: tuple[Any, Any, Any], errors: dict[int, TrainingError]) -> None:
    for place, estimator in enumerate(estimators):
        try:
            estimator._fit(*data)
        except TrainingError as error:
            errors[place] = error
            continue
        if estimator.interrupted_ and not estimator.callbacks and place + 1 < len(estimators):
            raise KeyboardInterrupt  # a callback may end a training as Ctrl-C does, and means its own alone
