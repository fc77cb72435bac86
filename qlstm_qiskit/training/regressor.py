"""A scikit-learn estimator of the next values of a window."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from qlstm_qiskit.data import conformal_radius, windows_needed
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.training.ensembles import FITTED, require_several, spread_of
from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.fitting import Fitted
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
        module_: The fitted `Forecaster`; of several replicas each of `estimators_` has one, and a history.
        estimators_: With several replicas, the fitted members, each an estimator by itself.
        history_: One dictionary per finished epoch, with `patience` up to the epoch that is kept: epoch, train_loss,
            valid_loss (with a validation part), dur (seconds), ...
        interrupted_: Whether Ctrl-C, or a callback such as skorch's EarlyStopping, ended training before `max_epochs`.
            An unfinished epoch leaves no trace.
        n_features_in_: Size of the second axis of X, the window, as scikit-learn counts it.
        calibration_scores_: After `calibrate`, the absolute residuals of its windows, (n, outputs).
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

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = False) -> NDArray[np.floating[Any]]: ...

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[True]
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> NDArray[np.floating[Any]] | tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Predict the values that follow windows of the fitted shape: (n,) or (n, outputs), like y.

        Args:
            X: Windows, (n, window, features) or (n, window).
            return_std: Also return the standard deviation over the replicas, in the shape of the predictions. It says how far
                trainings from different seeds agree, not how large errors are; see `calibrate` for intervals.

        Raises:
            DataError: A value is missing or infinite, or the shape does not fit.
            OptionError: There is one model alone, which has no spread.
        """
        if return_std:
            check_is_fitted(self, FITTED, all_or_any=any)
            require_several(self)
        each = self._outputs_of_each(X)
        mean, spread = self.task.joint(each), spread_of(each)
        if self._y_is_flat:
            mean, spread = mean[:, 0], spread[:, 0]
        return (mean, spread) if return_std else mean

    def _take_fitted(self, fitted: Fitted) -> None:
        super()._take_fitted(fitted)
        self.__dict__.pop("calibration_scores_", None)  # those of the model before

    def calibrate(self, X: ArrayLike, y: ArrayLike) -> QLSTMRegressor:
        """Calibrate the intervals of the fitted model, which stays as it is, on windows that `fit` has not seen.

        Predictions are those of its backend, so that noise and shots are part of the intervals.

        Args:
            X: Windows that neither trained nor validated, such as the rows after those.
            y: The values that follow them, like those that `fit` was given.

        Raises:
            DataError: A value is missing or infinite, or the shapes do not fit.
        """
        require_finite("y", y)
        predicted, truth = self.predict(X), np.asarray(y, dtype=np.float64)
        if truth.shape != predicted.shape:
            raise DataError(f"y has the shape {truth.shape}; the predictions of X have {predicted.shape}.")
        self.calibration_scores_ = np.abs(predicted - truth).reshape(len(truth), -1)
        return self

    def predict_interval(self, X: ArrayLike, level: float = 0.9) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Intervals that hold each value with the probability `level`, where windows are like those of `calibrate`.

        They are as wide for all windows, for each output by itself; see `qlstm_qiskit.data.conformal_radius`.

        Args:
            X: Windows of the fitted shape.
            level: Between 0 and 1.

        Returns:
            Lower and upper ends, each (n,) or (n, outputs), like y.

        Raises:
            NotFittedError: `fit`, or `calibrate`, has not been called.
            DataError: `calibrate` was given too few windows for the level, or as of `predict`.
            OptionError: The level does not lie between 0 and 1.
        """
        check_is_fitted(self, FITTED, all_or_any=any)
        check_is_fitted(self, "calibration_scores_", msg="%(name)s has no intervals yet; call calibrate(X, y) first.")
        count, least = len(self.calibration_scores_), windows_needed(level)
        if count < least:
            raise DataError(f"intervals of level {level:g} need {least} calibration windows; calibrate was given {count}.")
        predicted, radius = self.predict(X), conformal_radius(self.calibration_scores_, level)
        radius = radius[0] if self._y_is_flat else radius
        return predicted - radius, predicted + radius

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        require_finite("X", X)
        require_finite("y", y)
        checked, values = self._checked(X, y, multi_output=True, y_numeric=True)
        self._y_is_flat = values.ndim == 1
        return checked, values

    def _kept(self) -> dict[str, Any]:
        scores = getattr(self, "calibration_scores_", None)
        return {"flat": self._y_is_flat} | ({} if scores is None else {"calibration_scores": scores.tolist()})

    def _take(self, kept: dict[str, Any]) -> None:
        self._y_is_flat = bool(kept["flat"])
        if "calibration_scores" in kept:
            self.calibration_scores_ = np.array(kept["calibration_scores"], dtype=np.float64)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # scikit-learn's checks train a few epochs on shuffled columns
        return tags
