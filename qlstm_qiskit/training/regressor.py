"""A scikit-learn estimator of the next values of a window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.inputs import require_finite
from qlstm_qiskit.training.options import described


@described
class QLSTMRegressor(RegressorMixin, Estimator):
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
        return self._fit(X, y, validation_data)

    def predict(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Predict the values that follow windows of the fitted shape: (n,) or (n, outputs), like y.

        Raises:
            DataError: A value is missing or infinite, or the shape does not fit.
        """
        prediction = self._outputs(X)
        return prediction[:, 0] if self._y_is_flat else prediction

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        require_finite("X", X)
        require_finite("y", y)
        checked, values = self._checked(X, y, multi_output=True, y_numeric=True)
        self._y_is_flat = values.ndim == 1
        return checked, values

    def _kept(self) -> dict[str, Any]:
        return {"flat": self._y_is_flat}

    def _take(self, kept: dict[str, Any]) -> None:
        self._y_is_flat = bool(kept["flat"])

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # scikit-learn's checks train a few epochs on shuffled columns
        return tags
