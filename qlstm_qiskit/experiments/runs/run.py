"""A trained model with everything needed to apply it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data import Dataset, Scaler, part_of
from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments.runs.agreement import CONFIG, METRICS, MODEL, read_architecture, read_history, require_same_cut
from qlstm_qiskit.experiments.runs.classes import classes_of, probabilities, require_same_classes
from qlstm_qiskit.experiments.runs.difference import Difference
from qlstm_qiskit.experiments.runs.header import ModelHeader, RunHeader
from qlstm_qiskit.experiments.runs.reading import read_metrics
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.units import predicted, scaled_windows
from qlstm_qiskit.nn import Forecaster, RecurrentCell
from qlstm_qiskit.nn.forecaster import predict_windows, trace_windows


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with everything needed to apply it.

    Attributes:
        path: The run folder.
        spec: How it was trained.
        forecaster: The model, in evaluation mode.
        header: The columns that it reads and predicts, with their scalers.
        exact: The same model on the exact interpreter, if the backend is a different one.
        difference: Difference of all its predictions so far from those of the exact interpreter.
        weights: The header of its weights, with the config of their training; None if they were not read from a folder.
    """

    path: Path
    spec: RunSpec
    forecaster: Forecaster
    header: ModelHeader
    exact: Forecaster | None = None
    difference: Difference = field(default_factory=Difference)
    weights: RunHeader | None = None

    @property
    def members(self) -> tuple[Run, ...]:
        """The models whose predictions are its own: itself, or those of an `Ensemble`."""
        return (self,)

    @property
    def layers(self) -> list[RecurrentCell]:
        """The cells of its circuits, of all members; none of a model without circuits."""
        found = [member.forecaster.circuits for member in self.members]
        return [cell for recurrent in found if recurrent is not None for cell in recurrent.layers()]

    @property
    def compared(self) -> bool:
        """Whether its predictions are compared with those of the exact interpreter, in `difference`."""
        return self.exact is not None

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return self.header.epoch

    @cached_property
    def dataset(self) -> Dataset:
        """The series that it was trained on, read again.

        Raises:
            DataError: It cannot be read, or is cut or scaled differently from before.
        """
        dataset = self.data.load()
        if self.weights is not None:
            require_same_cut(dataset.name, self.path, self.spec, self.weights)
        for name in ("features", "target", "window", "horizon", "change", "known", "lead"):
            then, now = getattr(self.header, name), getattr(dataset, name)
            if then != now:
                raise RunError(f"{self.path / MODEL} says {name} {then!r}, and the series of {self.path / CONFIG} has {now!r}.")
        require_same_classes(self.path, self.header, dataset)
        for name in ("input_scaler", "target_scaler"):
            before, here = getattr(self.header, name), getattr(dataset, name)
            if not _is_close(before, here):
                raise DataError(f"{dataset.name} was cut or scaled differently when {self.path} was trained; train a new run.")
        return dataset

    @property
    def _is_older(self) -> bool:
        """Whether it is from a version that recorded no config and cut windows by float products; see `part_of`."""
        return self.weights is not None and self.weights.config is None

    @cached_property
    def data(self) -> DataSpec:
        """The series, cut as it was for training."""
        data = self.spec.data
        if not self._is_older:
            return data
        cut = data.load()
        n = len(cut.x_train) + cut.horizon - 1 + len(cut.x_test)
        return data.model_copy(update={"train_fraction": _as_before(data.train_fraction, n)})

    @cached_property
    def valid_fraction(self) -> float:
        """The part of the training windows held out for validation, cut as it was for training."""
        fraction = self.spec.valid_fraction
        return _as_before(fraction, len(self.dataset.x_train)) if self._is_older else fraction

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A dictionary per finished epoch: epoch, the errors (of a validation part only where there is one), seconds."""
        lines = read_history(self.path, self.spec, self.header)
        return [{name: math.nan if value is None else value for name, value in line.items()} for line in lines]

    @cached_property
    def architecture(self) -> list[dict[str, Any]]:
        """Weights after each epoch: epoch, and for each layer its `candidates` and `coefficients`, (gates, candidates)."""
        return read_architecture(self.path, self.header)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return read_metrics(self.path / METRICS)

    @property
    def n_jobs(self) -> int | None:
        """Number of jobs in the record of this run folder so far; None if the backend runs on this machine."""
        cells = self.layers
        ledger = getattr(cells[0].bank.backend, "ledger", None) if cells else None
        return None if ledger is None else len(ledger.entries())

    def close(self) -> None:
        """Release the resources of the backend: its batch or session, and the lock for submitting jobs of this run."""
        for cell in self.layers:
            cell.bank.backend.close()

    def predict(self, windows: NDArray[np.float64] | pd.DataFrame, *, units: str = "scaled") -> NDArray[Any]:
        """Predictions (n, horizon) for windows, in the same units; of a run of classes the most probable one of each, (n,).

        Args:
            windows: (n, window, features), or in original units (n, window + reach, features): reach is what differences are
                over in all. Or a DataFrame with the run's columns, sorted by date, of which every window is taken.
            units: "scaled" or "original"; a DataFrame is in original units always.

        Raises:
            DataError: A prediction is not finite, windows are of another shape or other units, or the frame cannot be used.
            OptionError: There are no such units, or no such column.
        """
        if self.header.classes is not None:
            return classes_of(self.header, self._scores(windows, units))
        return predicted(self.predict_scaled, self.header, self.spec.data.reading, windows, units)

    def predict_with_spread(
        self, windows: NDArray[np.float64] | pd.DataFrame, *, units: str = "scaled"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predictions of an ensemble, and the standard deviation of its members' predictions, both (n, horizon).

        Args:
            windows, units: As in `predict`. Both results are in the units of the predictions.

        Raises:
            OptionError: It has one model and no spread, or classes.
        """
        raise OptionError(f"{self.path} has one model, which has no spread; train several with --replicas (replicas=...).")

    def predict_proba(self, windows: NDArray[np.float64] | pd.DataFrame, *, units: str = "scaled") -> NDArray[np.float64]:
        """The probability of each class, (n, n_classes), in the order of `header.classes`.

        Args:
            windows, units: As in `predict`.

        Raises:
            OptionError: The run forecasts values, and has no classes.
        """
        if self.header.classes is None:
            raise OptionError(f"{self.path} forecasts {self.header.target!r} and has no classes; use predict.")
        return probabilities(self._scores(windows, units))

    def _scores(self, windows: NDArray[np.float64] | pd.DataFrame, units: str) -> NDArray[np.float64]:
        return self.predict_scaled(scaled_windows(self.header, self.spec.data.reading, windows, units)[0])

    def each_scaled(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `predict_scaled` gives of each member, (members, n, outputs)."""
        return np.stack([member.predict_scaled(windows) for member in self.members])

    def outputs(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `predict_scaled`, without looking whether they are finite, and without those of the exact interpreter."""
        return predict_windows(self.forecaster, windows)

    def predict_scaled(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs of the model, (n, outputs), of scaled windows: scaled predictions, or scores of classes before the softmax.

        Raises:
            DataError: A prediction is not finite.
        """
        if self.exact is None:
            predictions = predict_windows(self.forecaster, windows)
        else:
            outputs, predictions = trace_windows(self.forecaster, windows)
        lost = int((~np.isfinite(predictions)).any(axis=1).sum())
        if lost:
            raise DataError(
                f"the model of {self.path} gives no finite number for {lost} of {len(windows)} windows: their values, or its "
                f"parameters, are too large for {self.spec.dtype}; correct the data, or train again."
            )
        if self.exact is not None:
            exact_outputs, exact_predictions = trace_windows(self.exact, windows)
            self.difference.add(outputs - exact_outputs, predictions - exact_predictions)
        return predictions


def _is_close(first: Scaler, second: Scaler) -> bool:
    """Whether two scalers of equally many columns are the same up to rounding."""
    return bool(np.allclose([first.low, first.high], [second.low, second.high], rtol=1e-6, atol=0))


def _as_before(fraction: float, count: int) -> float:
    """A fraction for which `part_of` gives the cut of the float product; unchanged if both agree."""
    before = math.floor(fraction * count)
    return fraction if before == part_of(fraction, count) else (before + 0.5) / count
