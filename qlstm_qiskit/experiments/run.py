"""A run folder, read back: a trained model with what is needed to apply it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from qlstm_qiskit import __version__
from qlstm_qiskit.data import Dataset, Scaler
from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.nn import EVALUATION_BATCH, QLSTM, Forecaster
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.checkpoint import read_weights
from qlstm_qiskit.training.fitting import Seeds

Model = TypeVar("Model", bound=BaseModel)

CONFIG, METRICS, HISTORY, MODEL = "config.json", "metrics.json", "history.jsonl", "model.safetensors"
ARCHITECTURE, GENOTYPE, CHECKPOINT = "architecture.jsonl", "genotype.json", "checkpoint.safetensors"


class ModelHeader(BaseModel):
    """What the weights' file says of itself: enough to apply the model to new data in original units.

    Attributes:
        format, version: Of the file, and of the package that wrote it.
        epoch: Finished epochs.
        features, target: Names of the columns that the model reads and predicts.
        window, horizon: Rows that it reads and predicts.
        input_scaler, target_scaler: From original units to the model's.
        gates: For each layer and gate the candidates that were left, where a search has dropped some.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str = __version__
    epoch: PositiveInt
    features: tuple[str, ...]
    target: str
    window: PositiveInt
    horizon: PositiveInt
    input_scaler: Scaler
    target_scaler: Scaler
    gates: tuple[tuple[tuple[str, ...], ...], ...] | None = None


@dataclass
class Difference:
    """How far a backend is from the exact interpreter, over all windows so far.

    Attributes:
        n_windows: That were evaluated on both.
        outputs, predictions: Mean squared differences of the recurrent layer's outputs in all time steps, and of the
            predictions; scaled units.
    """

    n_windows: int = 0
    outputs: float = 0.0
    predictions: float = 0.0

    def add(self, outputs: NDArray[np.float64], predictions: NDArray[np.float64]) -> None:
        """Take differences of n windows into the means."""
        before, self.n_windows = self.n_windows, self.n_windows + len(predictions)
        part = len(predictions) / self.n_windows
        self.outputs = before / self.n_windows * self.outputs + part * float(np.mean(outputs**2))
        self.predictions = before / self.n_windows * self.predictions + part * float(np.mean(predictions**2))


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with what is needed to apply it.

    Attributes:
        path: The run folder.
        spec: How it was trained.
        forecaster: The model, in evaluation mode.
        header: What it reads and predicts.
        exact: The same model on the exact interpreter, where the backend is another one.
        difference: Of all that was predicted with it to the exact interpreter.
    """

    path: Path
    spec: RunSpec
    forecaster: Forecaster
    header: ModelHeader
    exact: Forecaster | None = None
    difference: Difference = field(default_factory=Difference)

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return self.header.epoch

    @cached_property
    def dataset(self) -> Dataset:
        """The series that it was trained on, read again.

        Raises:
            DataError: It cannot be read, or is cut or scaled otherwise than it was.
        """
        dataset = self.spec.data.load()
        for name in ("input_scaler", "target_scaler"):
            then, now = getattr(self.header, name), getattr(dataset, name)
            if not np.allclose([then.low, then.high], [now.low, now.high], rtol=1e-6, atol=0):
                raise DataError(f"{dataset.name} was cut or scaled otherwise when {self.path} was trained; train a new run.")
        return dataset

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A dictionary for each finished epoch: epoch, train_mse, valid_mse (with a validation part), test_mse, seconds."""
        return read_epochs(self.path / HISTORY, self.epochs)

    @cached_property
    def architecture(self) -> list[dict[str, Any]]:
        """Weights after each epoch: epoch, and for each layer `candidates` and `coefficients`, (gates, candidates)."""
        path = self.path / ARCHITECTURE
        return read_epochs(path, self.epochs) if exists(path) else []

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return load_metrics(self.path)

    @property
    def n_jobs(self) -> int | None:
        """Jobs in the record of this run folder so far; None where the backend runs on this machine."""
        if not isinstance(self.forecaster.recurrent, QLSTM):
            return None
        ledger = getattr(next(self.forecaster.recurrent.layers()).bank.backend, "ledger", None)
        return None if ledger is None else len(ledger.entries())

    def close(self) -> None:
        """End what the backend holds open: a batch or session, and the right to submit for this run."""
        if isinstance(self.forecaster.recurrent, QLSTM):
            for cell in self.forecaster.recurrent.layers():
                cell.bank.backend.close()

    def predict(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions (n, horizon) for scaled windows (n, window, features), scaled."""
        outputs, predictions = trace_windows(self.forecaster, windows)
        if self.exact is not None:
            exact_outputs, exact_predictions = trace_windows(self.exact, windows)
            self.difference.add(outputs - exact_outputs, predictions - exact_predictions)
        return predictions


def predict_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate a model on windows (n, window, features) without gradients: (n, outputs)."""
    return trace_windows(forecaster, windows)[1]


def trace_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The recurrent layer's outputs (n, window, hidden_size) and the predictions (n, outputs), without gradients."""
    parameter = next(forecaster.parameters())
    inputs = torch.as_tensor(windows, dtype=parameter.dtype, device=parameter.device)
    training = forecaster.training
    forecaster.eval()
    with torch.no_grad():
        parts = [forecaster.trace(part) for part in torch.split(inputs, EVALUATION_BATCH)]
    forecaster.train(training)
    outputs, predictions = (torch.cat(values).cpu().numpy().astype(np.float64) for values in zip(*parts, strict=True))
    return outputs, predictions


def load_spec(path: Path) -> RunSpec:
    """Read how a run was trained.

    Args:
        path: The folder.

    Raises:
        RunError: The folder is missing, or its config.json is missing or damaged.
    """
    if not exists(path):
        raise RunError(f"there is no run folder {path}; train one with `qlstm train --out {path}`.")
    return validated(RunSpec, read_json(path / CONFIG), path / CONFIG)


def load_header(path: Path) -> ModelHeader:
    """Read what a run's model reads and predicts; errors as of `load_run`."""
    return validated(ModelHeader, read_weights(path / MODEL)[0], path / MODEL)


def load_metrics(path: Path) -> dict[str, Any]:
    """Read the content of metrics.json; errors as of `load_run`."""
    return read_json(path / METRICS)


def load_run(path: Path, *, backend: str | BackendSpec | None = None, work: str = "evaluate") -> Run:
    """Read a run folder.

    Args:
        path: The folder.
        backend: The backend to evaluate on, by name or entry; by default the one that it was trained on.
        work: What it will be used for. Jobs that leave this machine, and their rehearsal where `backend` asks for it, are
            recorded under it in the run folder, and the same work of the same model is answered from the record.

    Raises:
        RunError: It is missing or damaged, or was written by another version of the format.
    """
    spec = load_spec(path)
    if backend is not None:
        spec = spec.on(backend)
    content, tensors = read_weights(path / MODEL)
    header = validated(ModelHeader, content, path / MODEL)
    options = spec.backend_options
    recorded = options is not None and (options.leaves or (backend is not None and options.recorded))
    forecaster = _build(spec, header, tensors, path, work if recorded else None)
    kind = spec.backend_options.kind if spec.backend_options is not None else "statevector"
    exact = None if kind == "statevector" else _build(spec.on("statevector"), header, tensors, path)
    return Run(path, spec, forecaster, header, exact)


def _build(
    spec: RunSpec, header: ModelHeader, tensors: dict[str, torch.Tensor], path: Path, work: str | None = None
) -> Forecaster:
    """The model with these parameters, in evaluation mode; its jobs are recorded as `work` on these parameters, if given."""
    regressor, options = spec.regressor(), spec.backend_options
    if options is not None and work is not None:
        name = f"{work} {options.name} {hashlib.sha256((path / MODEL).read_bytes()).hexdigest()[:8]}"
        seed = Seeds.of(spec.seed).backend if options.local else None  # a device's shots have none
        regressor.set_params(backend=load_backend(options, seed=seed, record=path, run=name, ordered=False))
    with torch.random.fork_rng(devices=[]):
        forecaster = regressor.build_module(len(header.features), header.horizon)
    try:
        if header.gates is not None and isinstance(forecaster.recurrent, QLSTM):
            forecaster.recurrent.keep(header.gates)
        forecaster.load_state_dict(tensors)
    except (RuntimeError, OptionError) as error:
        raise RunError(f"{path / MODEL} holds the parameters of another model: {' '.join(str(error).split())}") from error
    return forecaster.eval()


def validated(kind: type[Model], content: object, path: Path) -> Model:
    """The content of a file as a pydantic model, or `RunError` with the first thing that is wrong with it."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is damaged or of another version: {place}: {first['msg']}.") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds, or `RunError`."""
    try:
        content = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: it does not hold a JSON object.")
    return content


def read_lines(path: Path, count: int | None = None) -> list[dict[str, Any]]:
    """The first lines of a file of JSON objects; all where `count` is None."""
    try:
        lines = [json.loads(line) for line in _read_text(path).splitlines()[:count]]
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not all(isinstance(line, dict) for line in lines):
        raise RunError(f"{path} is damaged: a line is no JSON object.")
    return lines


def read_epochs(path: Path, count: int) -> list[dict[str, Any]]:
    """The lines of the first epochs, as `read_lines`."""
    lines = read_lines(path, count)
    if not all("epoch" in line for line in lines):
        raise RunError(f"{path} is damaged: a line is not that of an epoch.")
    return lines


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); is this a run folder?") from None
