"""A run folder, read back: a trained model with what is needed to apply it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from qlstm_qiskit.data import Dataset, Scaler
from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.training.checkpoint import load_weights, read_header

CONFIG, METRICS, HISTORY, MODEL = "config.json", "metrics.json", "history.jsonl", "model.safetensors"

FORMAT = 1
_EVALUATION_BATCH = 128


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with what is needed to apply it.

    Attributes:
        path: The run folder.
        spec: How it was trained.
        forecaster: The model, in evaluation mode.
        features, target: Names of the columns that it reads and predicts.
        input_scaler, target_scaler: From original units to the model's.
        epochs: Finished epochs.
    """

    path: Path
    spec: RunSpec
    forecaster: Forecaster
    features: tuple[str, ...]
    target: str
    input_scaler: Scaler
    target_scaler: Scaler
    epochs: int

    @cached_property
    def dataset(self) -> Dataset:
        """The series that it was trained on, read again."""
        return self.spec.data.load()

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A dictionary for each finished epoch: epoch, train_mse, test_mse, seconds."""
        lines = (self.path / HISTORY).read_text().splitlines()
        return [json.loads(line) for line in lines[: self.epochs]]

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return read_json(self.path / METRICS)

    def predict(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions (n, horizon) for scaled windows (n, window, features), scaled."""
        return predict_windows(self.forecaster, windows)


def predict_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate a model on windows (n, window, features) without gradients: (n, outputs)."""
    parameter = next(forecaster.parameters())
    inputs = torch.as_tensor(windows, dtype=parameter.dtype, device=parameter.device)
    training = forecaster.training
    forecaster.eval()
    with torch.no_grad():
        outputs = torch.cat([forecaster(part) for part in torch.split(inputs, _EVALUATION_BATCH)])
    forecaster.train(training)
    return outputs.cpu().numpy().astype(np.float64)


def load_run(path: Path, *, backend: str | None = None) -> Run:
    """Read a run folder.

    Args:
        path: The folder.
        backend: Name of the backend to evaluate on; by default the one that it was trained on.

    Raises:
        RunError: It is missing or damaged, or was written by another version of the format.
    """
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}; train one with `qlstm train --out {path}`.")
    try:
        spec = RunSpec.model_validate(read_json(path / CONFIG))
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(f"{path / CONFIG} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    if backend is not None:
        spec = spec.model_copy(update={"backend": backend})
    header = read_header(path / MODEL)
    if header.get("format") != FORMAT:
        raise RunError(f"{path / MODEL} has the format {header.get('format')!r}; this version reads {FORMAT}.")
    try:
        with torch.random.fork_rng(devices=[]):
            forecaster = spec.regressor().build_module(len(header["features"]), header["horizon"])
        run = Run(
            path=path,
            spec=spec,
            forecaster=forecaster.eval(),
            features=tuple(header["features"]),
            target=header["target"],
            input_scaler=_scaler(header["input_scaler"]),
            target_scaler=_scaler(header["target_scaler"]),
            epochs=header["epoch"],
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"the header of {path / MODEL} is damaged ({error}).") from error
    load_weights(path / MODEL, forecaster)
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: The file is missing, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); is this a run folder?") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: it does not hold a JSON object.")
    return content


def _scaler(values: dict[str, list[float]]) -> Scaler:
    return Scaler(tuple(values["low"]), tuple(values["high"]))
