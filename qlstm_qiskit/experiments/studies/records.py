"""The folder of a study: its definition, records of finished runs, and the environments that they were made in."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from qlstm_qiskit.errors import DataError, RunError
from qlstm_qiskit.experiments.runs.reading import MAYBE, Environment, read_json, read_lines, validated, with_errors
from qlstm_qiskit.experiments.studies.study import Study, StudyTask
from qlstm_qiskit.storage import exists, strict_json, write_atomically
from qlstm_qiskit.training.task import REGRESSION

STUDY, RECORDS, ENVIRONMENTS = "study.json", "records.jsonl", "environments.json"

#: What is known about a finished run: its id and place, its figures or its error, and the name of its environment.
Record = dict[str, Any]

#: Row, series and seed.
Place = tuple[str, str, int]


class _Evaluated(BaseModel):
    """An evaluation of a run: a hash of what was done, and the error of each repeat."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: str
    errors: list[float] = Field(min_length=1)


class _Plain(BaseModel):
    """A line of the records: what its readers need of it."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    id: str
    row: str
    dataset: str
    seed: int = Field(ge=0)
    error: str | None = None
    test: dict[str, float] = {}
    rolled_out: dict[str, list[float]] | None = None
    evaluations: dict[str, _Evaluated] = {}
    n_parameters: int | None = None
    n_circuits: int | None = None
    wall_seconds: float = Field(default=0.0, ge=0)
    environment: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.error is None) == (getattr(self, REGRESSION.test) is None):
            raise ValueError(f"a run has either a {REGRESSION.test} or an error")
        if self.rolled_out is not None and not self.rolled_out.get("mase"):
            raise ValueError("rolled_out has no mase")
        return self


_Line = with_errors(_Plain, **dict.fromkeys((REGRESSION.train, REGRESSION.valid, REGRESSION.test), MAYBE))


def read_records(out: Path | str) -> list[Record]:
    """The records of a folder; none where there are none.

    Raises:
        RunError: They are damaged.
    """
    path = Path(out) / RECORDS
    if not exists(path):
        return []
    records = read_lines(path)
    for number, record in enumerate(records, 1):
        try:
            _Line.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            what = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
            raise RunError(f"{path} is damaged: line {number} is not a record of a run; {what}.") from None
    return records


def write_records(out: Path, order: Sequence[str], records: dict[str, Record]) -> None:
    """All records, those in `order` first."""
    names = [name for name in order if name in records]
    others = sorted(set(records) - set(names))
    write_atomically(out / RECORDS, "".join(strict_json(records[name]) + "\n" for name in [*names, *others]))


def load_study_folder(out: Path | str) -> tuple[Study, list[Record]]:
    """The study of a folder and its records, each at every place of the table that it belongs to.

    Records of something else that was done there before, as on a file that has changed, are left out; where that file cannot be
    read, the last study that was run there has the place.

    Raises:
        RunError: A file is missing or damaged.
    """
    study, records = _study(Path(out) / STUDY), read_records(out)
    by_id = {record["id"]: record for record in records}
    tasks = {}
    try:
        for task in study.tasks():
            tasks[task.row, task.dataset, task.seed] = task
        for record in records:  # of further seeds
            place = record["row"], record["dataset"], record["seed"]
            if place not in tasks and place[0] in study.rows and place[1] in study.datasets:
                tasks[place] = study.task(*place)
    except DataError:  # of a file that is no longer there, which ids are made of
        first = {(record["row"], record["dataset"], record["seed"]): record for record in reversed(records)}
        return study, list(first.values())
    return study, [placed(by_id[task.id], task) for task in tasks.values() if task.id in by_id]


def placed(record: Record, task: StudyTask) -> Record:
    """A record at another place of the table where the same is done."""
    return record | {"row": task.row, "dataset": task.dataset, "seed": task.seed}


def ordered_ids(study: Study, tasks: Sequence[StudyTask]) -> list[str]:
    """In which order records are kept: that of the whole study, then what else there is of these tasks."""
    with contextlib.suppress(DataError):  # of a file that is no longer there, which ids are made of
        tasks = [*study.tasks(), *tasks]
    return list(dict.fromkeys(task.id for task in tasks))


def require_same_study(study: Study, out: Path) -> None:
    """Write down what is run; rows, series and tests may be added to what is there.

    Raises:
        RunError: The folder was begun with something else.
    """
    path = out / STUDY
    if exists(path):
        found = _study(path)
        for name in ("name", "primary", "recipe", "common", "steps"):
            there, here = getattr(found, name), getattr(study, name)
            if there != here:
                raise RunError(f"{out} holds a study with {name} {there!r}, not {here!r}; choose another folder.")
        for name in ("rows", "datasets", "evaluations", "families", "published"):
            before, now = getattr(found, name), getattr(study, name)
            if name == "published":  # cells may be added to a row
                before, now = (
                    {f"{row} on {key}": one[key] for row, one in cells.items() for key in one} for cells in (before, now)
                )
            if name == "families":  # and so may pairs to a family, behind those that are there
                now = {key: own[: len(before.get(key, own))] for key, own in now.items()}
            changed = [key for key in before if before[key] != now.get(key)]
            if changed:
                raise RunError(f"{out} holds a study with another {changed[0]!r} among its {name}; choose another folder.")
        for name in found.datasets:
            if found.shorter.get(name, 1) != study.shorter.get(name, 1):
                raise RunError(f"{out} holds a study with another number of epochs for {name!r}; choose another folder.")
    content = study.model_dump(mode="json", exclude_defaults=True)
    fixed = {name: getattr(study, name) for name in ("name", "primary", "recipe", "seeds")}  # said even where it is the default
    write_atomically(path, strict_json(fixed | content, indent=2) + "\n")


def note_environment(out: Path, here: dict[str, Any]) -> str:
    """Write down where a record was made; return the name of it that the record has."""
    path = out / ENVIRONMENTS
    known = read_environments(out)
    name = hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()[:8]
    if name not in known:
        write_atomically(path, strict_json(known | {name: here}, indent=2) + "\n")
    return name


def read_environments(out: Path | str) -> dict[str, dict[str, Any]]:
    """Where the records of a folder were made, by name; none where that was not noted.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(out) / ENVIRONMENTS
    known = read_json(path) if exists(path) else {}
    for made in known.values():
        validated(Environment, made, path)
    return known


def _study(path: Path) -> Study:
    return validated(Study, read_json(path), path)
