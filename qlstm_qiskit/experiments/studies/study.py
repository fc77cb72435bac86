"""Studies as data: models, series, seeds and the comparisons among them, fixed before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, PrivateAttr, ValidationError, model_validator
from typing_extensions import Self

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option
from qlstm_qiskit.experiments.runs.recipes import RECIPES, recipe_fields
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.evaluations import EvaluationSpec
from qlstm_qiskit.experiments.studies.ranks import Ranking
from qlstm_qiskit.experiments.studies.reading import read_yaml
from qlstm_qiskit.experiments.studies.spaces import OwnCircuits, digest_of
from qlstm_qiskit.experiments.studies.tasks import (
    Chain,
    Derive,
    Row,
    StudyTask,
    holds_out,
    names_code,
    pinned_to,
    require_forecasts,
    require_no_ensemble,
)
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.training.task import REGRESSION, Task

#: Studies that come with the package, as YAML files.
STUDIES = Path(__file__).parent

#: Runs of a study; it lists all of them before the first begins.
MOST_TASKS = 100_000

#: Fields of a training that follows a search and does not take them from it.
TRAINING = ("epochs", "batch_size", "optimizer", "schedule", "patience", "repeats")


class Study(BaseModel):
    """What is fixed before running.

    Attributes:
        name, title: Of the table.
        primary: The metric that rows are compared by, after training: the error on the test part, or, where the study is for
            choosing something, on the validation part.
        recipe: How models are trained, see `RECIPES`; a row's own fields come before it.
        seeds: How many, from `first_seed` on; `seeds_of` for single series.
        datasets: Series by name, with further fields of their `DataSpec`.
        shorter: For single series, by what the epochs of all their runs are divided, rounded down, but to no less than one.
        common: Fields of all runs.
        steps: How far predictions are fed back on the test part, beside the primary metric; 0 for not at all.
        rows: By label.
        evaluations: Of trained models on other backends, by name; the primary metric may be one that all rows have.
        families: By name, pairs of rows that are compared on each series; p values are corrected within a family.
        published: Errors by row and series that others have reported.
        ranks: Which rows are ranked over all series; None for none.
        spaces: By row and series the digests of own circuits, in the folder of a study.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = ""
    primary: str = REGRESSION.test
    recipe: str = "paper"
    seeds: PositiveInt = 12
    first_seed: NonNegativeInt = 0
    seeds_of: dict[str, PositiveInt] = {}
    datasets: dict[str, dict[str, Any]] = Field(min_length=1)
    shorter: dict[str, PositiveInt] = {}
    common: dict[str, Any] = {}
    steps: int = Field(default=0, ge=0)
    rows: dict[str, Row] = Field(min_length=1)
    evaluations: dict[str, EvaluationSpec] = {}
    families: dict[str, list[tuple[str, str]]] = {}
    published: dict[str, dict[str, float]] = {}
    spaces: dict[str, dict[str, str]] = {}
    ranks: Ranking | None = None
    about: str = Field(default="", description="What the table says about itself.")

    _own: OwnCircuits = PrivateAttr(default_factory=OwnCircuits)

    @property
    def trained_for(self) -> Task:
        """The task of its models."""
        return REGRESSION

    def compared_by(self, figure: str | None = None) -> str:
        """What rows are compared by, in words; `figure`: the name of the error, by default the task's title."""
        figure = self.trained_for.title if figure is None else figure
        if self.primary in self.evaluations:
            return f"Test {figure} on {self.primary}"
        return f"{'Test' if self.primary == self.trained_for.test else 'Validation'} {figure}"

    @model_validator(mode="after")
    def _check(self) -> Self:
        everywhere = [name for name, own in self.evaluations.items() if own.rows is None]
        allowed = (REGRESSION.test, REGRESSION.valid, *everywhere)
        if self.primary not in allowed:
            raise ValueError(f"primary is {self.primary!r}; it should be one of {', '.join(map(repr, allowed))}")
        require_forecasts(self.datasets)
        for own in self.evaluations.values():
            for kind, names, known in (("row", own.rows, self.rows), ("evaluation", own.predicted_by, self.evaluations)):
                for name in (names,) if isinstance(names, str) else names or ():
                    if name not in known:
                        raise unknown_option(kind, name, known)
        if self.recipe not in RECIPES:
            raise unknown_option("recipe", self.recipe, RECIPES)
        pairs = [pair for own in self.families.values() for pair in own]
        if itself := next((first for first, second in pairs if first == second), None):
            raise OptionError(f"the row {itself!r} is compared with itself; give two rows.")
        named = {row for pair in pairs for row in pair} | set(self.published)
        for name in named | (set() if self.ranks is None else self.ranks.names()):
            if name not in self.rows:
                raise unknown_option("row", name, self.rows)
        for name in {*self.seeds_of, *self.shorter, *(series for cells in self.published.values() for series in cells)}:
            if name not in self.datasets:
                raise unknown_option("series", name, self.datasets)
        return self

    def part(
        self, *, rows: Sequence[str] | None = None, datasets: Sequence[str] | None = None, seeds: int | None = None
    ) -> Study:
        """The same with some rows and series, and another number of seeds.

        Raises:
            OptionError: It has no such row or series.
        """
        for kind, chosen, known in (("row", rows, self.rows), ("series", datasets, self.datasets)):
            for name in chosen or ():
                if name not in known:
                    raise unknown_option(kind, name, known)
        kept = {name: row for name, row in self.rows.items() if rows is None or name in rows}
        series = {name: own for name, own in self.datasets.items() if datasets is None or name in datasets}
        changes: dict[str, Any] = {
            "rows": kept,
            "evaluations": {name: own.part(kept) for name, own in self.evaluations.items()},
            "datasets": series,
            "seeds_of": {name: n if seeds is None else min(n, seeds) for name, n in self.seeds_of.items() if name in series},
            "ranks": None if self.ranks is None else self.ranks.part(list(kept)),
            "shorter": {name: divisor for name, divisor in self.shorter.items() if name in series},
            "families": {name: [pair for pair in pairs if set(pair) <= set(kept)] for name, pairs in self.families.items()},
            "published": {
                row: {name: error for name, error in cells.items() if name in series}
                for row, cells in self.published.items()
                if row in kept
            },
        }
        if seeds is not None:
            require_at_least("seeds", seeds, 1)
            changes["seeds"] = seeds
        return self.model_copy(update=changes)

    def seeds_for(self, dataset: str) -> int:
        """How many seeds a series has."""
        return self.seeds_of.get(dataset, self.seeds)

    def with_epochs(self, epochs: int) -> Study:
        """The same with another number of epochs in all runs, searches too: another study, to try things out."""
        require_at_least("epochs", epochs, 1)
        rows = {}
        for label, row in self.rows.items():
            parts = {"run": row.run, "search": row.search}
            rows[label] = row.model_copy(update={n: own | {"epochs": epochs} for n, own in parts.items() if own is not None})
        return self.model_copy(update={"name": f"{self.name}, {epochs} epochs", "rows": rows})

    def tasks(self) -> list[StudyTask]:
        """All trainings, seed after seed.

        Raises:
            OptionError: A row has a field that its run does not know, or whose value is not allowed; or it cannot have the
                primary metric.
            DataError: A file that is part of what is done cannot be read.
        """
        count = sum(self.seeds_for(name) for name in self.datasets) * len(self.rows)
        if count > MOST_TASKS:
            raise OptionError(f"the study {self.name!r} has {count:,} runs; give fewer seeds, {MOST_TASKS:,} are the limit.")
        find = cache(find_spec)  # a file of backends is read once, not for each run
        return [
            self.task(label, dataset, self.first_seed + seed, find)
            for seed in range(max(map(self.seeds_for, self.datasets)))
            for dataset in self.datasets
            if seed < self.seeds_for(dataset)
            for label in self.rows
        ]

    def data(self, dataset: str) -> DataSpec:
        """How a series is read, with the content of a file: it is part of what is done.

        Raises:
            OptionError: It has a field that there is none of.
            DataError: The file cannot be read.
        """
        own = self.datasets[dataset]
        try:
            return DataSpec.model_validate(own if "csv" in own else {"dataset": dataset} | own).pinned()
        except ValidationError as error:
            raise OptionError(f"series {dataset!r} of the study {self.name!r}: {_first(error)}") from None

    def task(self, label: str, dataset: str, seed: int, find: Callable[[str], BackendSpec] = find_spec) -> StudyTask:
        """The training at a place of the table, with backends that `find` gives; errors as of `tasks`."""
        row = self.rows[label]
        own = {"data": self.data(dataset), "seed": seed}
        run = self.common | (row.run or {})
        recipe = recipe_fields(self.recipe, run.get("model", "diffqas"))
        try:
            if any(map(names_code, (self.common, row.run, row.search))):
                raise OptionError(
                    f"row {label!r} of the study {self.name!r} names a provider, whose code would be called; put a backend "
                    "with it into your backends.yaml, and name that one as the row's backend."
                )
            work: RunSpec | Chain | Control
            if row.control is not None:
                work = Control.model_validate(own | row.control)
            elif row.search is not None:
                search = RunSpec.model_validate(own | self.common | row.search)
                search = self._with_own(self._shortened(search, dataset), label, dataset)
                tune = recipe | {key: self.common[key] for key in TRAINING if key in self.common} | (row.run or {})
                if "space" in tune:
                    raise OptionError(f"row {label!r} of the study {self.name!r}: space goes with the search, not with run.")
                tuned = pinned_to(self._shortened(RunSpec.model_validate(own | tune), dataset), find)
                tune |= {"epochs": tuned.epochs} if dataset in self.shorter else {}
                tune |= {"backend_options": tuned.backend_options} if "backend" in tune else {}  # not that of the search
                work = Chain(search=pinned_to(search, find), derive=row.derive, tune=tune, scratch=row.scratch)
            else:
                spec = self._shortened(RunSpec.model_validate(own | recipe | run), dataset)
                work = pinned_to(self._with_own(spec, label, dataset), find)
        except ValidationError as error:
            raise OptionError(f"row {label!r} of the study {self.name!r}: {_first(error)}") from None
        require_no_ensemble(f"row {label!r} of the study {self.name!r}", self.common, row.run, row.search)
        if self.primary == self.trained_for.valid and not holds_out(work):
            raise OptionError(f"row {label!r} of the study {self.name!r} has no {self.primary}; give its run a valid_fraction.")
        evaluations = {name: own.asked(find) for name, own in self.evaluations.items() if own.rows is None or label in own.rows}
        return StudyTask(row=label, dataset=dataset, seed=seed, work=work, steps=self.steps, evaluations=evaluations)

    def _with_own(self, spec: RunSpec, label: str, dataset: str) -> RunSpec:
        return self._own.of(spec, f"row {label!r} of the study {self.name!r}", self.spaces.get(label, {}).get(dataset))

    def with_digests(self) -> Study:
        """The same with the digests of its own circuits: what reads it back knows by them what its records are of."""
        found: dict[str, dict[str, str]] = {}
        for label, row in self.rows.items():
            if "space" in self.common | (row.run or {}) | (row.search or {}):
                digests = {dataset: digest_of(self.task(label, dataset, 0)) for dataset in self.datasets}
                found[label] = {dataset: digest for dataset, digest in digests.items() if digest is not None}
        return self.model_copy(update={"spaces": found})

    def _shortened(self, spec: RunSpec, dataset: str) -> RunSpec:
        divisor = self.shorter.get(dataset, 1)
        return spec if divisor == 1 else spec.model_copy(update={"epochs": max(1, spec.epochs // divisor)})


def load_study(name: str | Path, recipe: str | None = None) -> Study:
    """Read a study: one that comes with the package, by name, or a YAML file. `recipe` replaces its own.

    Raises:
        OptionError: There is none, or it is not one, or it is for choosing a recipe and is given one.
    """
    path = STUDIES / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise OptionError(f"unknown study {str(name)!r}. Give a YAML file, or one of: {', '.join(studies())}.")
    try:
        content: Mapping[str, Any] = read_yaml(path)
        own = Study.model_validate(content)
        study = own if recipe is None else Study.model_validate(dict(content) | {"recipe": recipe})
    except ValidationError as error:
        raise OptionError(f"{path}: {_first(error)}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError) as error:
        raise OptionError(f"{path} is not a study: {' '.join(str(error).split())}") from None
    study._own = OwnCircuits(path.resolve().parent)
    if study.recipe != own.recipe and study.primary == study.trained_for.valid:
        raise OptionError(f"the study {study.name!r} is for choosing a recipe: its rows say theirs. Leave --recipe out.")
    return study


def studies() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}."


__all__ = ["STUDIES", "Chain", "DataSpec", "Derive", "Row", "Study", "StudyTask", "load_study", "studies"]
