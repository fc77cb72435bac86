"""Small trainings of every kind, and what must come out whatever happens to them on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skorch import NeuralNet

from qlstm_qiskit.experiments import DataSpec, RunSpec, is_unfinished, resume_run, train_run
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.search import make_strategy

EPOCHS = 5

#: What differs from one small training to the next.
KINDS = {
    "plain": {},
    "lstm": {"model": "lstm", "depth": None},
    "dropout": {"num_layers": 2, "dropout": 0.3},
    "adam": {"optimizer": "adam", "schedule": "cosine", "batch_size": 7},
    "lbfgs": {"optimizer": "lbfgs", "batch_size": 0},
    "validated": {"valid_fraction": 0.2},
    "patient": {"valid_fraction": 0.2, "patience": 1, "lr": 0.1, "epochs": 30},
    "shrinking": {"search": ("shrinking", {"convex": True, "begin": 0.2, "end": 0.8}), "valid_fraction": 0.2},
    "bilevel": {"search": ("bilevel", {}), "valid_fraction": 0.4, "batch_size": 7},
    "gumbel": {"search": ("gumbel-softmax", {"straight_through": True})},
    "random": {"search": ("random", {})},
    "best-of-random": {"search": ("best-of-random", {"k": 3}), "valid_fraction": 0.2, "epochs": 3},
    "uniform": {"search": ("uniform", {})},
    "shots": {"model": "config1", "backend": "aer-shots"},
    "exact-shots": {"model": "config1", "backend": "exact-shots", "optimizer": "adam"},
    "search with shots": {"search": ("shrinking", {"convex": True}), "valid_fraction": 0.2, "backend": "exact-shots"},
    "exact-noise": {"model": "config1", "backend": "exact-noise-fez", "optimizer": "adam"},
    "search with noise": {"search": ("shrinking", {"convex": True}), "valid_fraction": 0.2, "backend": "exact-noise-fez"},
    "spsa": {"model": "config1", "backend": "aer-shots", "optimizer": "spsa"},
    "noise": {"model": "config1", "backend": "fake-fez", "optimizer": "spsa", "epochs": 2, "batch_size": 40},
}


def write_series(path: Path) -> Path:
    """A CSV file with a short series."""
    pd.DataFrame({"value": np.sin(np.arange(50) / 3)}).to_csv(path, index=False)
    return path


def small(csv: Path, kind: str) -> RunSpec:
    options = {"model": "diffqas", "hidden_size": 2, "depth": 1, "epochs": EPOCHS} | KINDS[kind]
    if "search" in options:
        options["search"] = make_strategy(*options["search"])
    return RunSpec(data=DataSpec(csv=str(csv), target="value"), **options)


def train_to_the_end(spec: RunSpec, out: Path) -> None:
    """Train, or go on with what is there, as `qlstm train --resume` does."""
    if not (out / "config.json").exists():
        train_run(spec, out)
    elif is_unfinished(out):
        resume_run(out)


@contextmanager
def interrupted_in(epoch: int) -> Iterator[None]:
    """Trainings here meet Ctrl-C when this epoch has been recorded and its checkpoint has not been written."""
    record = Recorder.on_epoch_end

    def stop(self: Recorder, net: NeuralNet, **options: Any) -> None:
        record(self, net, **options)
        if len(net.history) == epoch:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_epoch_end", stop)
        yield


def outcome(out: Path) -> dict[str, object]:
    """All that must not depend on interruptions: parameters to the bit, each line but for its seconds."""
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    metrics = json.loads((out / "metrics.json").read_text())
    architecture = out / "architecture.jsonl"
    return {
        "files": sorted({path.name for path in out.iterdir()} - {"checkpoint.safetensors"}),  # killed before it was removed
        "model": (out / "model.safetensors").read_bytes(),
        "history": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "architecture": architecture.read_text() if architecture.exists() else None,
        "metrics": {key: value for key, value in metrics.items() if key != "wall_seconds"},
    }
