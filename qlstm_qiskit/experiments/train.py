"""Training into a run folder."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from qlstm_qiskit import __version__
from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.metrics import run_metrics
from qlstm_qiskit.experiments.run import CONFIG, FORMAT, HISTORY, METRICS, MODEL, Run, load_run, predict_windows
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.storage import write_atomically
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
        QLSTMError: Anything wrong with the spec, the data or the folder, in one line.
        KeyboardInterrupt: Ctrl-C before the first epoch was finished; nothing is left behind.
    """
    _refuse_existing(out)
    dataset = spec.data.load()
    regressor = spec.regressor(verbose=verbose, callbacks=[_Recorder(out, dataset)])
    depth = _rehearse(regressor, dataset)
    spec = spec.model_copy(update={"data": spec.data.pinned(), "depth": depth})
    _make_folder(out)
    started = time.perf_counter()
    try:
        write_atomically(out / CONFIG, spec.model_dump_json(indent=2) + "\n")
        regressor.fit(dataset.x_train, dataset.y_train)
    except BaseException:
        if not (out / MODEL).exists():
            (out / HISTORY).unlink(missing_ok=True)
            (out / CONFIG).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty: it was there before
                out.rmdir()
        raise
    metrics = run_metrics(spec, dataset, regressor.module_, epochs=len(regressor.history_))
    metrics |= {"interrupted": regressor.interrupted_, "wall_seconds": time.perf_counter() - started}
    write_atomically(out / METRICS, json.dumps(metrics, indent=2) + "\n")
    return load_run(out)


class _Recorder(Callback):
    """Writes each finished epoch: the history, then the weights that name the epoch."""

    def __init__(self, out: Path, dataset: Dataset) -> None:
        self.out, self.dataset = out, dataset
        self.lines: list[str] = []

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        row = net.history[-1]
        prediction = predict_windows(net.module_, self.dataset.x_test)
        line = {
            "epoch": row["epoch"],
            "train_mse": float(row["train_loss"]),
            "test_mse": float(np.mean((prediction - self.dataset.y_test) ** 2)),
            "seconds": row["dur"],
        }
        self.lines.append(json.dumps(line))
        write_atomically(self.out / HISTORY, "\n".join(self.lines) + "\n")
        save_weights(self.out / MODEL, net.module_, self._header(row["epoch"]))

    def _header(self, epoch: int) -> dict[str, Any]:
        data = self.dataset
        return {
            "format": FORMAT,
            "version": __version__,
            "epoch": epoch,
            "features": data.features,
            "target": data.target,
            "horizon": data.horizon,
            "input_scaler": asdict(data.input_scaler),
            "target_scaler": asdict(data.target_scaler),
        }


def _rehearse(regressor: QLSTMRegressor, dataset: Dataset) -> int | None:
    """Run one batch forward, so that what does not fit is refused before a folder is made; return the circuits' depth."""
    regressor.check_options()
    with torch.random.fork_rng(devices=[]):
        module = regressor.build_module(len(dataset.features), dataset.horizon)
    module(torch.as_tensor(dataset.x_train[: regressor.batch_size], dtype=next(module.parameters()).dtype))
    return module.recurrent.depth if isinstance(module.recurrent, QLSTM) else None


def _refuse_existing(out: Path) -> None:
    held = [name for name in (CONFIG, METRICS, HISTORY, MODEL) if (out / name).exists()]
    if held:
        raise RunError(f"{out} already holds a run ({held[0]}); choose another folder or delete this one.")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {out}: {error.strerror or error}; choose another one.") from None
