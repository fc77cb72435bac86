"""Forecasts that any trained model must beat: naive ones, regressions, an echo state network, a perceptron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from typing_extensions import Self

from qlstm_qiskit.data import Dataset, split_validation
from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.errors import OptionError, installing
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.studies.regressions import Floats, Predict, fit_perceptron, fit_products, fit_ridge, flat
from qlstm_qiskit.training.task import REGRESSION

#: Controls of which a validation part chooses the degree or the epoch.
_VALIDATED = ("ridge-products", "mlp")

#: Those that nothing is fitted in.
_NAIVE = ("persistence", "seasonal-naive")


class Control(BaseModel):
    """A control on a series.

    Attributes:
        control: "persistence" (nothing changes), "seasonal-naive" (each season is as the last one), "ridge" (linear regression
            on the window), "ridge-products" (on products of its values, of up to `degree` of them), "esn": an echo state
            network that reads the window from a state of zero and has a linear read-out of its last state; or "mlp": a
            perceptron of one hidden layer, by L-BFGS.
        data: The series.
        seed: Of the echo state network's weights, and of those that the perceptron starts from.
        units, spectral_radius, input_scaling: Of the echo state network; `units` is the hidden layer of the perceptron, too.
        degree: The highest that products may have; the one with the lowest validation error is taken.
        epochs, patience: Of the perceptron: as many times 20 iterations, and it keeps the best by the validation error once so
            many have not lowered it, as models with the recipe "tuned".
        valid_fraction: Part of the training windows, the last of them, that does not train; products and perceptrons need one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: Literal["persistence", "seasonal-naive", "ridge", "ridge-products", "esn", "mlp"]
    data: DataSpec
    seed: int = 0
    units: PositiveInt = 100
    spectral_radius: float = 0.9
    input_scaling: float = 1.0
    degree: PositiveInt = 3
    epochs: PositiveInt = 50
    patience: PositiveInt = 5
    valid_fraction: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.control in _VALIDATED and not self.valid_fraction:
            raise ValueError(f"the control {self.control} is chosen by a validation part; give it a valid_fraction")
        if self.control in _NAIVE and self.valid_fraction:
            raise ValueError(f"the control {self.control} has nothing to train, and no validation part; leave it out")
        return self

    def errors(self, dataset: Dataset, steps: int = 0) -> dict[str, Any]:
        """What a run's record has: errors, `n_parameters`, `n_circuits`, and `rolled_out` with steps above 0.

        With a validation part also the error on it.

        Raises:
            OptionError: It needs a package that is not installed, or predictions of this series cannot be fed back.
        """
        naive = {"persistence": dataset.persistence, "seasonal-naive": dataset.seasonal_naive}.get(self.control)
        valid: dict[str, Any] = {}
        if naive is not None:
            prediction, n_parameters = naive(), 0
            rolled = rolled_errors(None, dataset, steps) if steps else {}
            later = rolled.get(self.control.replace("-", "_"), rolled.get("persistence"))
        else:
            predict, n_parameters = self.fit(dataset)
            prediction = predict(dataset.x_test)
            later = rolled_errors(predict, dataset, steps)["model"] if steps else None
            valid = self._validated(predict, dataset)
        test = REGRESSION.errors(dataset, prediction)
        figures = {
            REGRESSION.test: test[REGRESSION.metric],
            **valid,
            "test": test,
            "n_parameters": n_parameters,
            "n_circuits": 0,
        }
        return figures | ({} if later is None else {"rolled_out": later})

    def _validated(self, predict: Predict, dataset: Dataset) -> dict[str, Any]:
        if not self.valid_fraction:
            return {}
        windows, targets = dataset.validation(self.valid_fraction)
        first = dataset.first_validation(self.valid_fraction)
        errors = (dataset.as_series(one, first) for one in (predict(windows), targets))
        return {REGRESSION.valid: REGRESSION.error(*errors)}

    def fit(self, dataset: Dataset) -> tuple[Predict, int]:
        """Fit it to the training windows that do not validate.

        Args:
            dataset: The series.

        Returns:
            Predictions (n, horizon) of windows, scaled, and the number of parameters that were fitted.

        Raises:
            OptionError: It needs a package that is not installed.
            TrainingError: It diverged.
        """
        n_train, n_valid = split_validation(len(dataset.x_train), dataset.horizon, self.valid_fraction)
        x, y = dataset.x_train, dataset.y_train
        train, valid = (x[:n_train], y[:n_train]), (x[-n_valid:], y[-n_valid:])
        if self.control == "ridge-products":
            return fit_products(train, valid, self.degree)
        if self.control == "mlp":
            return fit_perceptron(train, valid, units=self.units, epochs=self.epochs, patience=self.patience, seed=self.seed)
        return fit_ridge(train, flat if self.control == "ridge" else self._state())

    def _state(self) -> Callable[[Floats], Floats]:
        """The last state of the echo state network after windows (n, window, features), (n, units)."""
        # a new one each time, of the same seed: a reservoir goes on from the state in which the last call has left it
        return lambda windows: _reservoir(self.units, self.spectral_radius, self.input_scaling, self.seed).run(windows)[:, -1]


def _reservoir(units: int, spectral_radius: float, input_scaling: float, seed: int) -> Any:
    try:
        from reservoirpy.nodes import Reservoir
    except ImportError:
        raise OptionError(f"the control esn needs the package reservoirpy: {installing('controls')}.") from None
    return Reservoir(units=units, sr=spectral_radius, input_scaling=input_scaling, seed=seed)
