"""Training into a run folder."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import RunError, TrainingError
from qlstm_qiskit.experiments.metrics import run_metrics
from qlstm_qiskit.experiments.run import CONFIG, HISTORY, METRICS, MODEL, ModelHeader, Run, load_run, predict_windows
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.storage import exists, write_atomically
from qlstm_qiskit.training import QLSTMRegressor
from qlstm_qiskit.training.checkpoint import save_weights


def train_run(spec: RunSpec, out: Path, *, verbose: int = 0) -> Run:
    """Train a model into a new run folder.

    The folder is made after everything that can be checked beforehand has been checked. Each finished epoch is written at
    once; Ctrl-C ends the training with the last finished epoch, and the run is as usable as any.

    Args:
        spec: What to train.
        out: The folder; it must not hold a run yet.
        verbose: 1 shows a progress bar on a terminal.

    Raises:
        QLSTMError: Anything wrong with the spec, the data or the folder, in one line; or training diverged.
        KeyboardInterrupt: Ctrl-C before the first epoch was finished, which leaves nothing behind, or while results were
            computed, which leaves a run without metrics.json.
    """
    _refuse_existing(out)
    if spec.backend_options is None:
        spec = spec.on(spec.backend)
    dataset = spec.data.load()
    recorder = _Recorder(out, dataset)
    regressor = spec.regressor(verbose=verbose, callbacks=[recorder])
    depth = _rehearse(regressor, dataset)
    spec = spec.model_copy(update={"data": spec.data.pinned(), "depth": depth, "lr": regressor.learning_rate})
    made = _make_folders(out)
    started = time.perf_counter()
    try:
        write_atomically(out / CONFIG, spec.model_dump_json(indent=2) + "\n")
        regressor.fit(dataset.x_train, dataset.y_train)
        recorder.record(regressor.module_, regressor.history_[-1])  # Ctrl-C may have come between training and writing
        interrupted = regressor.interrupted_
    except TrainingError as error:
        if not (out / MODEL).exists():
            _clear(out, made)
            raise
        _finish(load_run(out), dataset, seconds=time.perf_counter() - started, interrupted=True)
        raise TrainingError(f"{error} {out} keeps the epochs before.") from error
    except BaseException:
        if not (out / MODEL).exists():
            _clear(out, made)
        raise
    run = load_run(out)
    _finish(run, dataset, seconds=time.perf_counter() - started, interrupted=interrupted)
    return run


def _finish(run: Run, dataset: Dataset, *, seconds: float, interrupted: bool) -> None:
    """Write metrics.json of what the folder holds."""
    metrics = run_metrics(run, dataset) | {"interrupted": interrupted, "wall_seconds": seconds}
    write_atomically(run.path / METRICS, json.dumps(metrics, indent=2) + "\n")


class _Recorder(Callback):
    """Writes each finished epoch: the history, then the weights that name the epoch."""

    def __init__(self, out: Path, dataset: Dataset) -> None:
        self.out, self.dataset = out, dataset
        self.lines: dict[int, str] = {}

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.record(net.module_, net.history[-1])

    def record(self, module: Forecaster, row: dict[str, Any]) -> None:
        """Write a finished epoch, once however often it is called."""
        epoch = int(row["epoch"])
        prediction = predict_windows(module, self.dataset.x_test)
        line = {
            "epoch": epoch,
            "train_mse": float(row["train_loss"]),
            "test_mse": float(np.mean((prediction - self.dataset.y_test) ** 2)),
            "seconds": float(row["dur"]),
        }
        self.lines[epoch] = json.dumps(line)
        write_atomically(self.out / HISTORY, "\n".join(self.lines.values()) + "\n")
        save_weights(self.out / MODEL, module, self._header(epoch).model_dump(mode="json"))

    def _header(self, epoch: int) -> ModelHeader:
        data = self.dataset
        return ModelHeader(
            epoch=epoch,
            features=data.features,
            target=data.target,
            window=data.window,
            horizon=data.horizon,
            input_scaler=data.input_scaler,
            target_scaler=data.target_scaler,
        )


def _rehearse(regressor: QLSTMRegressor, dataset: Dataset) -> int | None:
    """Run one batch forward, so that what does not fit is refused before a folder is made; return the circuits' depth."""
    regressor.check_options()
    with torch.random.fork_rng(devices=[]):
        module = regressor.build_module(len(dataset.features), dataset.horizon)
        module(torch.as_tensor(dataset.x_train[: regressor.batch_size], dtype=next(module.parameters()).dtype))
    return module.recurrent.depth if isinstance(module.recurrent, QLSTM) else None


def _refuse_existing(out: Path) -> None:
    held = [name for name in (CONFIG, METRICS, HISTORY, MODEL) if exists(out / name)]
    if held:
        raise RunError(f"{out} already holds a run ({held[0]}); choose another folder or delete this one.")


def _make_folders(out: Path) -> list[Path]:
    """Make the folder; return those that were not there before, the deepest first."""
    missing = [folder for folder in (out, *out.parents) if not exists(folder)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {out}: {error.strerror or error}; choose another one.") from None
    return missing


def _clear(out: Path, made: list[Path]) -> None:
    """Take back what was written before the first epoch was finished."""
    for name in (CONFIG, HISTORY):
        (out / name).unlink(missing_ok=True)
    for folder in made:
        with contextlib.suppress(OSError):  # somebody else put something there
            folder.rmdir()
