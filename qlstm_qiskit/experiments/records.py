"""The folder of a study: what is run there, records of what is finished, and where they were made."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import DataError, RunError
from qlstm_qiskit.experiments.run import read_json, read_lines, validated
from qlstm_qiskit.experiments.study import Study, Task
from qlstm_qiskit.storage import exists, write_atomically

STUDY, RECORDS, ENVIRONMENTS = "study.json", "records.jsonl", "environments.json"

#: What is known of a finished run: its id and place, its figures or its error, and the name of its environment.
Record = dict[str, Any]


def read_records(out: Path) -> list[Record]:
    """The records of a folder; none where there are none.

    Raises:
        RunError: They are damaged.
    """
    path = out / RECORDS
    if not exists(path):
        return []
    records = read_lines(path)
    if not all({"id", "row", "dataset", "seed"} <= set(record) for record in records):
        raise RunError(f"{path} is damaged: a line is no record of a run.")
    return records


def write_records(out: Path, order: Sequence[str], records: dict[str, Record]) -> None:
    """All records, those in `order` first."""
    names = [name for name in order if name in records]
    others = sorted(set(records) - set(names))
    write_atomically(out / RECORDS, "".join(json.dumps(records[name]) + "\n" for name in [*names, *others]))


def load_study_folder(out: Path) -> tuple[Study, list[Record]]:
    """The study of a folder and its records, each at every place of the table that it belongs to.

    Records of something else that was done there before, as on a file that has changed, are left out; where that file cannot be
    read, the last study that was run there has the place.

    Raises:
        RunError: A file is missing or damaged.
    """
    study, records = _study(out / STUDY), read_records(out)
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


def placed(record: Record, task: Task) -> Record:
    """A record at another place of the table where the same is done."""
    return record | {"row": task.row, "dataset": task.dataset, "seed": task.seed}


def ordered_ids(study: Study, tasks: Sequence[Task]) -> list[str]:
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
        for name in ("rows", "datasets", "families", "published"):
            before, now = getattr(found, name), getattr(study, name)
            if name == "published":  # cells may be added to a row
                before, now = (
                    {f"{row} on {key}": one[key] for row, one in cells.items() for key in one} for cells in (before, now)
                )
            changed = [key for key in before if before[key] != now.get(key)]
            if changed:
                raise RunError(f"{out} holds a study with another {changed[0]!r} among its {name}; choose another folder.")
    content = study.model_dump(mode="json", exclude_defaults=True)
    fixed = {name: getattr(study, name) for name in ("name", "primary", "recipe", "seeds")}  # said even where it is the default
    write_atomically(path, json.dumps(fixed | content, indent=2) + "\n")


def note_environment(out: Path, here: dict[str, Any]) -> str:
    """Write down where a record was made; return the name of it that the record has."""
    path = out / ENVIRONMENTS
    known = read_json(path) if exists(path) else {}
    name = hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()[:8]
    if name not in known:
        write_atomically(path, json.dumps(known | {name: here}, indent=2) + "\n")
    return name


def _study(path: Path) -> Study:
    return validated(Study, read_json(path), path)
