"""A scikit-learn estimator for the models; the training loop is skorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from qlstm_qiskit.errors import DataError
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.training.fitting import Fit, Seeds
from qlstm_qiskit.training.inputs import as_windows, like_training, require_finite
from qlstm_qiskit.training.models import build_module
from qlstm_qiskit.training.optimizers import check_optimizer
from qlstm_qiskit.training.options import AllOptions, described
from qlstm_qiskit.training.plain import CheckedOptions

_NUMPY_DTYPES = {"float64": np.float64, "float32": np.float32}


@described
class QLSTMRegressor(RegressorMixin, BaseEstimator, AllOptions):
    """Forecast the next values of a window with a quantum LSTM, or with the classical control.

    Where the paper is silent, training follows its author's code: RMSprop (alpha 0.99, eps 1e-8), mean squared error on the
    last step's output, windows in time order. The same seed gives the same bits on one machine.

    Args:
        ModelOptions: As declared there.
        TrainingOptions: As declared there.
        FitOptions: As declared there.

    Attributes:
        module_: The fitted `Forecaster`.
        history_: One dictionary per finished epoch, with `patience` up to the epoch that is kept: epoch, train_loss,
            valid_loss (with a validation part), dur (seconds), ...
        interrupted_: Whether Ctrl-C, or a callback such as skorch's EarlyStopping, ended training before `max_epochs`.
            An unfinished epoch leaves no trace.
        n_features_in_: Size of the second axis of X, the window, as scikit-learn counts it.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, *, validation_data: tuple[ArrayLike, ArrayLike] | None = None) -> QLSTMRegressor:
        """Train from scratch, or from the checkpoint if there is one.

        Args:
            X: Windows, (n, window, features), or (n, window) for a single feature.
            y: The values that follow, (n,) or (n, outputs).
            validation_data: Windows and values to validate on, in place of the last ones of X and y (`valid_fraction`).

        Raises:
            DataError: A value is missing or infinite, or the shapes do not fit.
            OptionError: An option is not allowed, or there are two validation parts.
            CapacityError: The circuits do not fit in memory.
            TrainingError: The loss is no longer finite.
            RunError: The checkpoint is damaged, or belongs to another training.
            KeyboardInterrupt: Ctrl-C before the first epoch was finished.
        """
        options = self._checked_options(held_out=validation_data is not None)
        checked, y_checked = self._check_fit(X, y)
        dtype = _NUMPY_DTYPES[options.dtype]
        targets, held_out = options.task.targets(y_checked, dtype), None
        if validation_data is not None:
            windows, values = like_training(validation_data, checked, y_checked)
            held_out = as_windows(windows), options.task.targets(values, dtype)
        fitted = Fit(options, as_windows(checked), targets, held_out).run()
        self._net, self.module_, self.history_, self.interrupted_ = (
            fitted.net,
            fitted.module,
            fitted.history,
            fitted.interrupted,
        )
        self._window_shape, self._y_is_flat = checked.shape[1:], y_checked.ndim == 1
        return self

    def check_options(self) -> None:
        """Check each option, and the training options together; the rest is checked when the model is built.

        Numbers, names and switches may be numpy's; a fit and its checkpoint hold them as plain values.

        Raises:
            OptionError: An option has the wrong type, is out of range or unknown, or contradicts another option.
        """
        self._checked_options(held_out=False)

    def _checked_options(self, *, held_out: bool) -> CheckedOptions:
        options = CheckedOptions.of(self)
        options.check_together(held_out=held_out)
        check_optimizer(options)
        return options

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
            n_outputs: Number of values to predict.
            backend_seed: Seed of simulated shots; derived from `seed` where None.
            generator: Source of the initial parameters, on `device`; torch's default generator where None.

        Raises:
            OptionError: An option of the model is not allowed.
            CapacityError: The circuits do not fit in memory.
        """
        options = CheckedOptions.of(self)
        seed = Seeds.of(options.seed).backend if backend_seed is None else backend_seed
        return build_module(options, input_size, n_outputs, backend_seed=seed, generator=generator)

    def predict(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Predict the values that follow windows of the fitted shape: (n,) or (n, outputs), like y.

        Raises:
            DataError: A value is missing or infinite, or the shape does not fit.
        """
        check_is_fitted(self, "module_")
        require_finite("X", X)
        shape = np.asarray(X).shape
        # Ours comes first, because scikit-learn's check would call a window's length "features".
        if len(shape) > 2 and shape[1:] != self._window_shape:
            raise DataError(f"X has the shape {shape}; fit was given {self._window_shape} after n.")
        dtype = torch.empty(0, dtype=next(self.module_.parameters()).dtype).numpy().dtype
        checked = validate_data(self, X, reset=False, allow_nd=True, dtype=dtype)
        prediction = self._net.predict(as_windows(checked))
        return prediction[:, 0] if self._y_is_flat else prediction

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """X and y as finite numbers in the model's dtype, or an error that says what is wrong."""
        require_finite("X", X)
        require_finite("y", y)
        dtype = _NUMPY_DTYPES[self.dtype]
        checked, values = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True, dtype=dtype)
        return checked, values

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # scikit-learn's checks train a few epochs on shuffled columns
        return tags
