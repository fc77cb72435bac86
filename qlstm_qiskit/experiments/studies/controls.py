"""Forecasts without gradient descent, which any trained model must beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt
from sklearn.linear_model import RidgeCV

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.errors import OptionError, installing
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.training.task import REGRESSION

Floats = NDArray[np.float64]

#: Penalties that ridge regressions choose from, by leave-one-out on the training windows.
_ALPHAS = np.logspace(-10, 2, 25)


class Control(BaseModel):
    """A control on a series.

    Attributes:
        control: "persistence" (nothing changes), "seasonal-naive" (each season is as the last one), "ridge" (linear regression
            on the window), or "esn": an echo state network that reads the window from a state of zero and has a linear read-out
            of its last state.
        data: The series.
        seed: Of the echo state network's weights.
        units, spectral_radius, input_scaling: Of the echo state network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: Literal["persistence", "seasonal-naive", "ridge", "esn"]
    data: DataSpec
    seed: int = 0
    units: PositiveInt = 100
    spectral_radius: float = 0.9
    input_scaling: float = 1.0

    def errors(self, dataset: Dataset, steps: int = 0) -> dict[str, Any]:
        """What a run's record has: errors, `n_parameters`, `n_circuits`, and `rolled_out` with steps above 0.

        Raises:
            OptionError: It needs a package that is not installed, or predictions of this series cannot be fed back.
        """
        naive = {"persistence": dataset.persistence, "seasonal-naive": dataset.seasonal_naive}.get(self.control)
        if naive is not None:
            prediction, n_parameters = naive(), 0
            rolled = rolled_errors(None, dataset, steps) if steps else {}
            later = rolled.get(self.control.replace("-", "_"), rolled.get("persistence"))
        else:
            predict, n_parameters = self.fit(dataset)
            prediction = predict(dataset.x_test)
            later = rolled_errors(predict, dataset, steps)["model"] if steps else None
        test = REGRESSION.errors(dataset, prediction)
        figures = {REGRESSION.test: test[REGRESSION.metric], "test": test, "n_parameters": n_parameters, "n_circuits": 0}
        return figures | ({} if later is None else {"rolled_out": later})

    def fit(self, dataset: Dataset) -> tuple[Callable[[Floats], Floats], int]:
        """Fit a ridge regression; return its predictions (n, horizon) of windows, scaled, and its number of parameters."""
        reads = self._reads()
        train = reads(dataset.x_train)
        model = RidgeCV(alphas=_ALPHAS).fit(train, dataset.y_train)

        def predict(windows: Floats) -> Floats:
            return np.asarray(model.predict(reads(windows))).reshape(len(windows), dataset.horizon)

        return predict, (train.shape[1] + 1) * dataset.horizon

    def _reads(self) -> Callable[[Floats], Floats]:
        """What the regression reads of windows (n, window, features): (n, inputs)."""
        if self.control == "ridge":
            return lambda windows: windows.reshape(len(windows), -1)
        # a new one each time, of the same seed: a reservoir goes on from the state in which the last call has left it
        return lambda windows: _reservoir(self.units, self.spectral_radius, self.input_scaling, self.seed).run(windows)[:, -1]


def _reservoir(units: int, spectral_radius: float, input_scaling: float, seed: int) -> Any:
    try:
        from reservoirpy.nodes import Reservoir
    except ImportError:
        raise OptionError(f"the control esn needs the package reservoirpy: {installing('controls')}.") from None
    return Reservoir(units=units, sr=spectral_radius, input_scaling=input_scaling, seed=seed)
