"""A tiny training on the mocked service, in this process or in one that may be killed."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch._dynamo

from qlstm_qiskit.experiments import DataSpec, RunSpec, resume_run, train_run
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.nn import QLSTM
from tests.hardware.mock_service import Server, install

CANARY = "canary-of-a-training-7c8d9e0f"
IBM = BackendSpec(name="ibm", kind="ibm", token_env="MY_TOKEN", device="ibm_small", shots=64)
WINDOW, BATCHES = 4, 2

# Processes that are forked from one that has imported this find compiled kernels and the optimiser's imports.
assert torch._dynamo
QLSTM(1, 1, depth=1)(torch.zeros(1, 1, 1, dtype=torch.float64))


def write_series(folder: Path, rows: int = 18) -> Path:
    """Of 18 rows, nine windows train and five test; of 12, five and three."""
    path = folder / "wave.csv"
    pd.DataFrame({"value": np.sin(np.arange(rows) / 2)}).to_csv(path, index=False)
    return path


def spec(csv: Path, backend: BackendSpec = IBM, **options: Any) -> RunSpec:
    data = DataSpec(csv=str(csv), target="value", window=WINDOW)
    defaults = {"data": data, "model": "config1", "hidden_size": 1, "depth": 1, "epochs": 1, "batch_size": 5}
    return RunSpec(**(defaults | options)).on(backend)


def connect(server: Server, patch: pytest.MonkeyPatch) -> None:
    """Let backends of kind ibm reach the server."""
    install(server, patch)
    patch.setenv("MY_TOKEN", CANARY)


def one_step_in(folder: Path) -> None:
    """Train for one step in `folder`/run, or go on with it; the process ends without cleaning up."""
    code = 1
    try:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        connect(Server(folder / "service"), pytest.MonkeyPatch())
        run = folder / "run"
        if (run / "config.json").exists():
            resume_run(run)
        else:
            train_run(spec(write_series(folder, 12)), run)
        code = 0
    finally:
        os._exit(code)
