"""Starting a run from the parameters of another run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.runs.ensemble import require_one_model
from qlstm_qiskit.experiments.runs.header import read_model
from qlstm_qiskit.experiments.runs.load import CONFIG, MODEL, load_spec
from qlstm_qiskit.experiments.runs.spec import RunSpec, Start
from qlstm_qiskit.storage import exists, write_atomically


def start_from(path: Path | str) -> Start:
    """A run as the start of another run.

    Args:
        path: Folder of the run to start from.

    Raises:
        RunError: Its weights are missing or cannot be read.
        OptionError: It is an ensemble.
    """
    path = Path(path)
    if exists(path / CONFIG):
        require_one_model(path, load_spec(path), "a training starts from")
    return Start(run=str(path.resolve()), sha256=weights_digest(path))


def read_start(start: Start) -> dict[str, Tensor]:
    """The parameters from which a run starts.

    Raises:
        RunError: The file is missing or damaged, or has changed.
    """
    path = Path(start.run)
    if start.sha256 != weights_digest(path):
        raise RunError(f"{path / MODEL} has changed since this run was made; restore it or train a new run.")
    return read_model(path / MODEL)[1]


def relocate(path: Path, spec: RunSpec) -> None:
    """Update the places of a run's start and data file, if their content is the same.

    Args:
        path: Folder of the run.
        spec: The run, with the current places.

    Raises:
        RunError: The folder is damaged.
    """
    there = load_spec(path)
    changes: dict[str, Any] = {}
    if there.start is not None and spec.start is not None and there.start.sha256 == spec.start.sha256:
        changes["start"] = spec.start
    if there.data.csv_sha256 is not None and there.data.csv_sha256 == spec.data.csv_sha256:
        changes["data"] = there.data.model_copy(update={"csv": spec.data.csv})
    moved = there.model_copy(update=changes)
    if moved != there:
        write_atomically(path / CONFIG, moved.model_dump_json(indent=2) + "\n")


def weights_digest(path: Path) -> str:
    """SHA-256 of the weights file of a run."""
    try:
        return hashlib.sha256((path / MODEL).read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path / MODEL} cannot be read ({error.strerror or error}); is {path} a run folder?") from None
