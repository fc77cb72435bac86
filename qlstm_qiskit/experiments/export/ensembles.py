"""Exports of ensembles: a folder with the exports of the members inside, and what takes the mean of their predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.errors import CircuitError, RunError
from qlstm_qiskit.experiments.export import ensemble_reader
from qlstm_qiskit.experiments.export.read import Exported, load_exported
from qlstm_qiskit.experiments.runs.ensemble import Ensemble, member_folder
from qlstm_qiskit.experiments.runs.reading import read_json
from qlstm_qiskit.hardware import Backend
from qlstm_qiskit.storage import exists, make_folders, take_back, write_atomically
from qlstm_qiskit.training.task import CLASSIFICATION, REGRESSION

#: The file that says how many members there are; it is written last.
ENSEMBLE, FORMAT = "ensemble.json", "qlstm-ensemble-1"

#: Largest difference of the means when an export is read back, in scaled units, as of the members.
_TOLERANCE = 1e-4

#: Writes a member into a folder; returns its files and how far its predictions differ when they are read back.
Member = Callable[[Any, Path], tuple[Sequence[str], float]]


@dataclass(frozen=True, eq=False)
class ExportedEnsemble:
    """An ensemble read back from its files.

    Attributes:
        path: The folder.
        members: The models.
    """

    path: Path
    members: tuple[Exported, ...]

    def predict(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the members' scaled predictions of scaled windows, (n, horizon); of classes as `Ensemble.predict_scaled`.

        Args:
            windows: (n, window, features).
        """
        labelled = self.members[0].header.classes is not None
        task = CLASSIFICATION if labelled else REGRESSION
        return task.joint(np.stack([member.predict(windows) for member in self.members]))


def load_ensemble(path: Path | str, *, backend: Backend | str = "statevector") -> ExportedEnsemble:
    """Read an ensemble from circuit files that `export_run` has written.

    Args:
        path: The folder.
        backend: The backend that evaluates the circuits, or its name.

    Raises:
        RunError: A file is missing or damaged, or was not written by this package.
    """
    path = Path(path)
    count = read_json(path / ENSEMBLE).get("replicas")
    if not isinstance(count, int) or count < 2:
        raise RunError(f"{path / ENSEMBLE} is damaged: replicas is {count!r}; export the run again.")
    return ExportedEnsemble(path, tuple(load_exported(member_folder(path, place), backend=backend) for place in range(count)))


def write_ensemble(run: Ensemble, out: Path, kind: str, member: Member) -> tuple[tuple[str, ...], float]:
    """Write an ensemble into a new or empty folder, read it back and compare predictions.

    Args:
        run: The ensemble, on the exact interpreter.
        out: The folder.
        kind: Format of the members.
        member: Writes one.

    Returns:
        The files, relative to the folder, and the largest difference of predictions; scaled.

    Raises:
        RunError: The folder is not empty or cannot be written to.
        CircuitError: Read back, its predictions differ; nothing is left behind.
    """
    if exists(out) and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already and is not empty; choose another folder for --out.")
    made, files, difference = make_folders(out), list[str](), 0.0
    own = {"predict.py": Path(ensemble_reader.__file__).read_bytes()} if kind == "multilinear" else {}
    own[ENSEMBLE] = json.dumps({"format": FORMAT, "replicas": len(run.members)}).encode() + b"\n"
    try:
        for place, model in enumerate(run.members):
            written, found = member(model, member_folder(out, place))
            difference = max(difference, found)
            files += [f"{member_folder('', place)}/{name}" for name in written]
        for name, content in own.items():
            write_atomically(out / name, content)
        difference = max(difference, _difference(run, out, kind))
    except BaseException:
        shutil.rmtree(out / "members", ignore_errors=True)
        take_back(out, own, made)
        raise
    return (*files, *own), difference


def _difference(run: Ensemble, out: Path, kind: str) -> float:
    """The largest difference of the means after reading the files back, or `CircuitError` if it is too large."""
    windows = np.random.default_rng(0).uniform(-1, 1, (16, run.header.window, len(run.header.features)))
    if kind == "multilinear":
        found = ensemble_reader.predict(*ensemble_reader.load(out), windows, scaled=True)[0]
    else:
        found = load_ensemble(out).predict(windows)
    difference = float(np.abs(found - run.predict_scaled(windows)).max())
    if not difference <= _TOLERANCE:
        raise CircuitError(f"this run cannot be exported as {kind}: read back, its predictions differ by {difference:.2g}.")
    return difference
