"""Rows of a study, and the trainings that they stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator
from typing_extensions import Self

from qlstm_qiskit.data import LABELLED_SERIES
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.evaluations import PinnedEvaluation
from qlstm_qiskit.hardware import BackendSpec, names_own_code
from qlstm_qiskit.training.task import REGRESSION, TASKS


class Derive(BaseModel):
    """How circuits are chosen from a search; see `derive_run`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str = "perturbation"
    top_k: PositiveInt = 1
    refit: bool = True


class Chain(BaseModel):
    """A search, one circuit per gate derived from it, and that model trained again.

    Attributes:
        search: The first run.
        derive: How circuits are chosen.
        tune: Fields of the last run's `RunSpec` that differ from the search's.
        scratch: Whether the last run starts from random parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: RunSpec
    derive: Derive = Derive()
    tune: dict[str, Any] = {}
    scratch: bool = False


class Row(BaseModel):
    """A row of the table: fields of a `RunSpec`, a control, or a search that a model is derived from.

    Attributes:
        run: Fields of the `RunSpec`; with `search`, of the training that follows it.
        search: Fields of the search's `RunSpec`; the recipe of the study is not for it.
        derive, scratch: See `Chain`.
        control: Options of a `Control`.
        note: What the table says about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: dict[str, Any] | None = None
    search: dict[str, Any] | None = None
    derive: Derive = Derive()
    scratch: bool = False
    control: dict[str, Any] | None = None
    note: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.control is None) == (self.run is None):
            raise ValueError("has exactly one of run and control")
        if self.control is not None and self.search is not None:
            raise ValueError("is a control, which has no search")
        if self.search is None and (self.scratch or self.derive != Derive()):
            raise ValueError("has no search, which derive and scratch go with")
        return self


def require_forecasts(datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse series of classes, since rows of a study are compared by errors of forecasts.

    Args:
        datasets: Fields of a `DataSpec` by the names of series.

    Raises:
        OptionError: A series has classes.
    """
    for name, own in datasets.items():
        task = TASKS.get(own.get("task", REGRESSION.name))
        if own.get("dataset", name) in LABELLED_SERIES or (task is not None and task.labelled):
            raise OptionError(
                f"the series {name!r} has classes, and studies compare forecasts; train models of it by qlstm train."
            )


def holds_out(work: RunSpec | Chain | Control) -> bool:
    """Whether the last training of a task leaves a validation part."""
    return bool(work.tune.get("valid_fraction") if isinstance(work, Chain) else work.valid_fraction)


class StudyTask(BaseModel):
    """One training of a study.

    Attributes:
        row, dataset, seed: Its place in the table.
        work: What is done.
        steps: How far predictions are fed back on the test part; 0 for not at all.
        evaluations: What follows the training, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str
    dataset: str
    seed: int
    work: RunSpec | Chain | Control
    steps: int = 0
    evaluations: dict[str, PinnedEvaluation] = {}

    @property
    def id(self) -> str:
        """A hash of the training; its place in the table has no part in it, nor has that of a file whose content is known."""
        place: Any = {"data": {"csv"}, "space": {"source", "depth", "sha256", "spaces", "cells"}}
        if isinstance(self.work, Chain):
            place = {"search": place}
        done = self.work.model_dump(mode="json", exclude_defaults=True, exclude=place)
        content: dict[str, Any] = {type(self.work).__name__: done}
        if self.steps:
            content["steps"] = self.steps
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def require_no_ensemble(where: str, *given: Mapping[str, Any] | None) -> None:
    """Refuse a row of ensembles: those of neighbouring seeds would share members, and no test takes them for independent.

    Args:
        where: The row in words.
        given: Fields of its runs.

    Raises:
        OptionError: One has replicas.
    """
    if any((own or {}).get("replicas", 1) != 1 for own in given):
        raise OptionError(f"{where} has replicas; leave it out: a study trains all seeds of a row by itself.")


def names_code(fields: Mapping[str, Any] | None) -> bool:
    """Whether fields of a `RunSpec` hold a backend whose code no file of the user's names."""
    options = (fields or {}).get("backend_options")
    return options is not None and not names_own_code(BackendSpec.model_validate(options))


def pinned_to(spec: RunSpec, find: Callable[[str], BackendSpec]) -> RunSpec:
    """With the backend that it names as backends.yaml has it now: it is part of what is done."""
    return spec if spec.backend == RunSpec.model_fields["backend"].default else spec.on(find(spec.backend))
