"""Forecasts that need no gradient descent: what any trained model must beat."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt
from sklearn.linear_model import RidgeCV

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.spec import DataSpec

Floats = NDArray[np.float64]

#: Penalties that ridge regressions choose from, by leave-one-out on the training windows.
_ALPHAS = np.logspace(-10, 2, 25)


class Control(BaseModel):
    """A control on a series.

    Attributes:
        control: "persistence" (nothing changes), "ridge" (linear regression on the window), or "esn": an echo state network
            that reads the window from a state of zero and has a linear read-out of its last state.
        data: The series.
        seed: Of the echo state network's weights.
        units, spectral_radius, input_scaling: Of the echo state network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: Literal["persistence", "ridge", "esn"]
    data: DataSpec
    seed: int = 0
    units: PositiveInt = 100
    spectral_radius: float = 0.9
    input_scaling: float = 1.0

    def forecast(self, dataset: Dataset) -> tuple[Floats, int]:
        """Scaled predictions (n, horizon) for the test windows, and the number of fitted parameters.

        Raises:
            OptionError: It needs a package that is not installed.
        """
        if self.control == "persistence":
            return dataset.persistence(), 0
        train, test = (self._features(windows) for windows in (dataset.x_train, dataset.x_test))
        model = RidgeCV(alphas=_ALPHAS).fit(train, dataset.y_train)
        return model.predict(test).reshape(dataset.y_test.shape), (train.shape[1] + 1) * dataset.horizon

    def _features(self, windows: Floats) -> Floats:
        """What the ridge regression reads of windows (n, window, features): (n, inputs)."""
        if self.control == "ridge":
            return windows.reshape(len(windows), -1)
        return _reservoir(self.units, self.spectral_radius, self.input_scaling, self.seed).run(windows)[:, -1]


def _reservoir(units: int, spectral_radius: float, input_scaling: float, seed: int) -> Any:
    try:
        from reservoirpy.nodes import Reservoir
    except ImportError:
        raise OptionError("the control esn needs the package reservoirpy: pip install 'qlstm-qiskit[controls]'.") from None
    return Reservoir(units=units, sr=spectral_radius, input_scaling=input_scaling, seed=seed)
