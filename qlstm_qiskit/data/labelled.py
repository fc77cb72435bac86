"""Windows with a class each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.labels import named
from qlstm_qiskit.data.scaler import Floats, Scaler
from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import DataError, OptionError

Labels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LabelledWindows(Dataset):
    """Windows with a class each, in a training and a test part.

    Attributes:
        name, features, x_train, x_test, input_scaler, times, reading, said: As in `Dataset`.
        target: Name of what the classes are of.
        y_train, y_test: 1 for a window's own class and 0 for the others, (n, n_classes).
        target_scaler: Changes nothing.
        last_test, values, season, change, series_scaler, calibration, known, inputs, lead: Of series that are forecast; they
            say nothing here.
        classes: The classes, sorted, (n_classes,): text, whole numbers or truth values.
    """

    classes: Labels = field(default_factory=lambda: np.empty(0, str))

    @classmethod
    def of(
        cls, name: str, target: str, train: tuple[Floats, Labels], test: tuple[Floats, Labels], **more: Any
    ) -> LabelledWindows:
        """From scaled windows (n, window, features) and the class of each, (n,).

        Args:
            name: Of the data.
            target: Name of what the classes are of.
            train, test: Windows and classes.
            **more: Further attributes.

        Raises:
            DataError: There are fewer than two classes to train on, or a class stands in the test part alone.
        """
        classes = np.unique(train[1])
        unknown = np.setdiff1d(test[1], classes)
        if len(unknown):
            raise DataError(
                f"{name}: {target!r} has classes that no training window has, {named(unknown)}; a model cannot learn them. "
                "Give a larger train_fraction, more rows of them before the test part, or leave their rows out."
            )
        if len(classes) < 2:
            raise DataError(f"{name}: all training windows are of one class of {target!r}, {named(classes)}; two are needed.")
        (x_train, y_train), (x_test, y_test) = (
            (windows, (labels[:, None] == classes).astype(np.float64)) for windows, labels in (train, test)
        )
        return cls(
            name=name,
            target=target,
            classes=classes,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            target_scaler=Scaler.identity(1),
            last_test=np.empty((0, 1)),
            values=np.empty(0),
            **more,
        )

    @property
    def horizon(self) -> int:
        """1: a window has one class."""
        return 1

    @property
    def n_outputs(self) -> int:
        """Outputs of a model: one for each class."""
        return len(self.classes)

    @property
    def answers(self) -> Labels:
        """The class of each training window, (n,)."""
        return np.asarray(self.classes[self.y_train.argmax(axis=1)])

    def persistence(self, horizon: int | None = None) -> Floats:
        """There is none."""
        self._refuse()

    def seasonal_naive(self, horizon: int | None = None) -> Floats:
        """There is none."""
        self._refuse()

    def mase_scale(self) -> float:
        """There is none."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OptionError(f"{self.name} has classes, and no values that could be forecast.")
