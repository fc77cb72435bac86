"""Ensembles: runs of several models that differ in their seeds alone, whose predictions are the mean of theirs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import OptionError, one_model_needed
from qlstm_qiskit.experiments.runs.classes import probabilities
from qlstm_qiskit.experiments.runs.difference import Difference
from qlstm_qiskit.experiments.runs.run import Run
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.units import from_scaled, original_units, scaled_windows

#: Folder of the members of an ensemble; each is a run folder by itself, named by its place from 0.
MEMBERS = "members"


def member_folder(path: Path | str, place: int) -> Path:
    """The folder of a member.

    Args:
        path: Of the ensemble.
        place: Of the member, from 0.
    """
    return Path(path) / MEMBERS / str(place)


def require_one_model(path: Path | str, spec: RunSpec, what: str) -> None:
    """Refuse an ensemble where only one model can be meant.

    Args:
        path: The run folder.
        spec: The content of its config.json.
        what: What needs one, as in "a training starts from".

    Raises:
        OptionError: The run is an ensemble.
    """
    if spec.replicas > 1:
        raise one_model_needed(path, spec.replicas, what)


class Ensemble(Run):
    """A run of several models that differ in their seeds alone.

    Predictions are the mean of the members', in the units that they learn; probabilities of classes are the mean of theirs.
    Where predictions are fed back, each member goes on from its own.

    Attributes:
        path, spec, header: As of `Run`; the header's epoch is that of the member that was trained longest.
        members: The models, each a run by itself.
    """

    def __init__(self, path: Path, spec: RunSpec, members: tuple[Run, ...]) -> None:
        header = members[0].header.model_copy(
            update={"epoch": max(member.epochs for member in members), "gates": None}  # each member has its own
        )
        self.__dict__.update(path=path, spec=spec, header=header, exact=None, weights=None, _members=members)

    @property
    def members(self) -> tuple[Run, ...]:
        """The models, each a run by itself."""
        found: tuple[Run, ...] = self.__dict__["_members"]
        return found

    @property
    def forecaster(self) -> NoReturn:
        """There is none.

        Raises:
            OptionError: Always: each member has its own.
        """
        raise OptionError(
            f"{self.path} is an ensemble of {len(self.members)} models; give a member, such as {member_folder(self.path, 0)}."
        )

    @property
    def compared(self) -> bool:
        return any(member.compared for member in self.members)

    @property
    def difference(self) -> Difference:
        """Difference of the members' predictions from those of the exact interpreter, the mean over members."""
        each = [member.difference for member in self.members]
        outputs, predictions = (float(np.mean([getattr(own, name) for own in each])) for name in ("outputs", "predictions"))
        return Difference(each[0].n_windows, outputs, predictions)

    @cached_property
    def dataset(self) -> Dataset:
        return self.members[0].dataset

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """The means over the members, of the epochs that all of them have."""
        rows = zip(*(member.history for member in self.members), strict=False)
        return [{name: float(np.mean([one[name] for one in own])) for name in own[0]} for own in rows]

    @cached_property
    def architecture(self) -> list[dict[str, Any]]:
        """None: each member has its own."""
        return []

    @property
    def n_jobs(self) -> int | None:
        counts = [member.n_jobs for member in self.members]
        return None if None in counts else sum(count or 0 for count in counts)

    def outputs(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.spec.task.joint(np.stack([member.outputs(windows) for member in self.members]))

    def predict_scaled(self, windows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.spec.task.joint(self.each_scaled(windows))

    def predict_with_spread(
        self, windows: NDArray[np.float64] | pd.DataFrame, *, units: str = "scaled"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        header = self.header
        if header.classes is not None:
            raise OptionError(f"{self.path} predicts classes; each member's predict_proba says how far they agree.")
        scaled, past = scaled_windows(header, self.spec.data.reading, windows, units)
        each = self.each_scaled(scaled)
        mean = self.spec.task.joint(each)
        if units == "original" or isinstance(windows, pd.DataFrame):
            mean, each = from_scaled(header, mean, past), np.stack([from_scaled(header, own, past) for own in each])
        return mean, each.std(axis=0)


def spread_of_rows(run: Run, each: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The standard deviation over members of predictions of rows of the run's series, in original units, (n, horizon).

    Args:
        run: A trained run.
        each: Scaled predictions of each member, (members, n, horizon).
        rows: The first row that each window predicts, (n,).
    """
    values = run.dataset.values
    return np.std([original_units(run.header, own, values, rows) for own in each], axis=0)


def member_facts(run: Run, dataset: Dataset, each: NDArray[np.float64]) -> dict[str, Any]:
    """What results say of an ensemble: its members' errors on the test part, and their spread; nothing of other runs.

    Args:
        run: A trained run.
        dataset: Its series, or a part of it.
        each: Outputs of each member for the test windows, (members, n, outputs).
    """
    if len(run.members) == 1:
        return {}
    task = run.spec.task
    rows = [
        {"member": place, "seed": member.spec.seed, "epochs": member.epochs, **task.errors(dataset, own)}
        for place, (member, own) in enumerate(zip(run.members, each, strict=True))
    ]
    if task.labelled:
        spread = np.std([probabilities(own) for own in each], axis=0).mean()
    else:
        spread = spread_of_rows(run, each, dataset.rows[2][: each.shape[1]]).mean()
    return {"replicas": len(run.members), "members": rows, "spread": float(spread)}
