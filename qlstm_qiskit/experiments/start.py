"""Runs that start from the parameters of another one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.run import CONFIG, MODEL, load_spec
from qlstm_qiskit.experiments.spec import Start
from qlstm_qiskit.storage import write_atomically
from qlstm_qiskit.training.checkpoint import read_weights


def start_from(path: Path) -> Start:
    """A run as a start for another one.

    Args:
        path: Folder of the run that is gone on from.

    Raises:
        RunError: Its weights are missing or cannot be read.
    """
    return Start(run=str(path.resolve()), sha256=weights_digest(path))


def read_start(start: Start) -> dict[str, Tensor]:
    """The parameters that a run starts from.

    Raises:
        RunError: The file is missing or damaged, or is not the one that it was.
    """
    path = Path(start.run)
    if start.sha256 != weights_digest(path):
        raise RunError(f"{path / MODEL} has changed since this run was made; restore it or train a new run.")
    return read_weights(path / MODEL)[1]


def move_start(path: Path, start: Start | None) -> None:
    """Tell an unfinished run where its start is now, if it is the same one in another place.

    Args:
        path: Folder of the run.
        start: Its start.

    Raises:
        RunError: The folder is damaged.
    """
    spec = load_spec(path)
    if start is None or spec.start is None or spec.start == start or spec.start.sha256 != start.sha256:
        return
    write_atomically(path / CONFIG, spec.model_copy(update={"start": start}).model_dump_json(indent=2) + "\n")


def weights_digest(path: Path) -> str:
    """SHA-256 of a run's weights file."""
    try:
        return hashlib.sha256((path / MODEL).read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path / MODEL} cannot be read ({error.strerror or error}); is {path} a run folder?") from None
