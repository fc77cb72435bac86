"""A scikit-learn estimator of the class of a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets

from qlstm_qiskit.data.labels import named
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.fitting import Fit
from qlstm_qiskit.training.inputs import require_finite
from qlstm_qiskit.training.options import described
from qlstm_qiskit.training.saved import labels_as_plain, labels_of_plain
from qlstm_qiskit.training.task import CLASSIFICATION, Task


@described
class QLSTMClassifier(ClassifierMixin, Estimator):
    """Tell the class of a window with a quantum LSTM, or with the classical control.

    The model has an output for each class, a linear read-out of the last step, and learns by cross entropy; probabilities are
    the softmax of its outputs, also of two classes. Everything else is as in `QLSTMRegressor`.

    Args:
        ModelOptions: As declared there.
        TrainingOptions: As declared there.
        FitOptions: As declared there.

    Attributes:
        classes_: The classes, sorted, (n_classes,), of the kind that y had.
        module_: The fitted `Forecaster`, which gives the outputs before the softmax; of several replicas each of `estimators_`
            has one, and a history.
        estimators_: With several replicas, the fitted members. Probabilities are the mean of theirs.
        history_: One dictionary per finished epoch, with `patience` up to the epoch that is kept: epoch, train_loss,
            valid_loss (with a validation part), dur (seconds), ...; losses are log losses, in nats per window.
        interrupted_: Whether Ctrl-C, or a callback such as skorch's EarlyStopping, ended training before `max_epochs`.
            An unfinished epoch leaves no trace.
        n_features_in_: Size of the second axis of X, the window, as scikit-learn counts it.

    Examples:
        >>> import numpy as np
        >>> from qlstm_qiskit import QLSTMClassifier
        >>> windows = np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]] * 10)
        >>> model = QLSTMClassifier("config1", hidden_size=2, depth=1, max_epochs=20, lr=0.1, seed=0)
        >>> model.fit(windows, ["rises", "falls"] * 10).predict(windows[:2]).tolist()
        ['rises', 'falls']
        >>> model.predict_proba(windows).shape
        (20, 2)
    """

    @property
    def task(self) -> Task:
        """What the model is for."""
        return CLASSIFICATION

    def fit(self, X: ArrayLike, y: ArrayLike, *, validation_data: tuple[ArrayLike, ArrayLike] | None = None) -> QLSTMClassifier:
        """Train from scratch, or from the checkpoint if there is one.

        Args:
            X: Windows, (n, window, features), or (n, window) for a single feature.
            y: The class of each, (n,): text, whole numbers or truth values, of two classes at least.
            validation_data: Windows and classes to validate on, in place of the last ones of X and y (`valid_fraction`).

        Raises:
            DataError: A value is missing or infinite, the shapes do not fit, y holds a single class or none, or a class
                is validated that no training window has.
            OptionError: An option is not allowed, or there are two validation parts.
            CapacityError: The circuits do not fit in memory.
            TrainingError: The loss is no longer finite.
            RunError: The checkpoint is damaged, or belongs to another training.
            KeyboardInterrupt: Ctrl-C before the first epoch was finished.
        """
        return self._fit(X, y, validation_data)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each window, (n,); the first of equally probable ones.

        Raises:
            DataError: A value is missing or infinite, or the shape does not fit.
        """
        places = self._outputs(X).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """The probability of each class, (n, n_classes), in the order of `classes_`; errors as for `predict`."""
        return np.asarray(softmax(self._outputs(X), axis=1))

    def decision_function(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Scores that order windows as probabilities do; errors as for `predict`.

        Returns:
            The model's outputs, (n, n_classes), whose softmax are the probabilities. Of two classes the second output less
            the first, (n,): the logarithm of the odds of the second class.
        """
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """X as finite numbers, and for each window the place of its class in `classes_`."""
        require_finite("X", X)
        _require_labels("y", y)
        checked, labels = self._checked(X, y)
        try:
            check_classification_targets(labels)
            classes, places = np.unique(labels, return_inverse=True)
        except (TypeError, ValueError) as error:  # a TypeError where text and numbers are mixed
            raise DataError(f"y holds no classes, such as text or whole numbers: {' '.join(str(error).split())}") from None
        if len(classes) < 2:
            raise DataError(f"y holds one class, {named(classes)}; give windows of two classes at least.")
        self.classes_ = classes
        return checked, places

    def _read_validation(self, y: ArrayLike) -> ArrayLike:
        _require_labels("the classes of validation_data", y)
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise DataError(
                f"the classes of validation_data have the shape {labels.shape}; expected one for each window, (n,)."
            )
        places = pd.Index(self.classes_).get_indexer(pd.Index(labels))
        if (places < 0).any():
            raise DataError(
                f"validation_data has classes that y has not, {named(pd.unique(labels[places < 0]))}; those of y are "
                f"{named(self.classes_)}. Give windows of each to train on, or leave the others out."
            )
        return np.asarray(places)

    def _targets(self, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        return self.task.targets(values[:, None] == np.arange(len(self.classes_)), dtype)

    def _check_parts(self, fit: Fit) -> None:
        untrained = ~fit.train[1].any(axis=0)
        if untrained.any():
            raise DataError(
                f"of the classes {named(self.classes_[untrained])} all windows are among the last ones, which validate; "
                "take a smaller valid_fraction, put the windows into another order, or give validation_data in its place."
            )

    def _kept(self) -> dict[str, Any]:
        return {"classes": labels_as_plain(self.classes_)}

    def _take(self, kept: dict[str, Any]) -> None:
        self.classes_ = labels_of_plain(kept["classes"])

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # scikit-learn's checks train a few epochs on shuffled columns
        return tags


def _require_labels(name: str, y: ArrayLike) -> None:
    """Raise `DataError` with the first row that has no label; other faults are left to scikit-learn."""
    labels = np.asarray(y)
    missing = np.asarray(pd.isna(labels))
    if missing.ndim and missing.any():
        raise DataError(f"there is no value in row {np.argwhere(missing)[0][0]} of {name}; give its class, or remove the row.")
    if labels.dtype.kind == "f":  # text may read "inf"
        require_finite(name, labels)
