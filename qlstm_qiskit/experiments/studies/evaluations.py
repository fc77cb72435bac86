"""Evaluations of a study's runs on other backends, after they were trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt
from typing_extensions import Self

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.runs.load import load_run, load_spec
from qlstm_qiskit.hardware import BackendSpec, find_spec

#: Seeds of evaluations start here: their shots are others than those of trainings.
_FIRST_SEED = 1_000_000


class EvaluationSpec(BaseModel):
    """An evaluation of trained models on the test part.

    Attributes:
        backend: Name of an entry of backends.yaml that runs on this machine.
        shots: In place of the entry's.
        repeats: Evaluations with fresh shots.
        rows: Which rows of the study have it; all where None.
        predicted_by: The evaluation whose error it is held against.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str
    shots: PositiveInt | None = None
    repeats: PositiveInt = 1
    rows: tuple[str, ...] | None = None
    predicted_by: str | None = None

    def part(self, kept: Collection[str]) -> Self:
        """The same without rows that are not kept."""
        rows = None if self.rows is None else tuple(row for row in self.rows if row in kept)
        return self.model_copy(update={"rows": rows})

    def asked(self, find: Callable[[str], BackendSpec] = find_spec) -> PinnedEvaluation:
        """What is done, with the backend as `find` gives it: as backends.yaml has it now.

        Raises:
            OptionError: There is no such backend, or circuits would leave this machine.
        """
        spec = find(self.backend)
        if not spec.local:
            raise OptionError(f"a study evaluates on this machine, and backend {spec.name} does not; use `qlstm evaluate`.")
        if self.shots is not None:
            spec = BackendSpec.model_validate(spec.model_dump() | {"shots": self.shots})
        return PinnedEvaluation(spec=spec, repeats=self.repeats)


class PinnedEvaluation(BaseModel):
    """An evaluation whose backend is known."""

    model_config = ConfigDict(frozen=True)

    spec: BackendSpec
    repeats: int

    @property
    def id(self) -> str:
        """A hash of what is done."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]


def evaluate(run: Path, asked: PinnedEvaluation, seed: int) -> list[float]:
    """Errors of a run on the test part, one for each repeat; a model without circuits has one error."""
    spec = asked.spec if asked.spec.exact else asked.spec.model_copy(update={"seed": _FIRST_SEED + seed})
    has_circuits = load_spec(run).bank == "circuits"  # maps in their place have no backend
    with closing(load_run(run, backend=spec if has_circuits else None)) as loaded:
        task, data = loaded.spec.task, loaded.dataset
        return [
            task.error(data.as_series(loaded.outputs(data.x_test)), data.as_series(data.y_test))
            for _ in range(asked.repeats if loaded.layers else 1)
        ]


def is_evaluated(record: Mapping[str, Any], asked: Mapping[str, PinnedEvaluation]) -> bool:
    """Whether a record has all evaluations that are asked for; that of a run that diverged needs none."""
    found = record.get("evaluations", {})
    return "error" in record or all(found.get(name, {}).get("id") == own.id for name, own in asked.items())
