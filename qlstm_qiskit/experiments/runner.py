"""Running a study: what is finished is skipped, what was interrupted goes on, one thread a process; joblib does the rest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from qlstm_qiskit.errors import DataError, RunError, TrainingError
from qlstm_qiskit.experiments.controls import Control
from qlstm_qiskit.experiments.derive import derive_run
from qlstm_qiskit.experiments.environment import environment
from qlstm_qiskit.experiments.rollout import rolled_errors
from qlstm_qiskit.experiments.run import CONFIG, Run, load_metrics, load_run, validated
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.experiments.start import move_start, start_from
from qlstm_qiskit.experiments.study import TRAINING, Chain, Study, Task
from qlstm_qiskit.experiments.train import is_unfinished, make_folders, resume_run, train_run
from qlstm_qiskit.storage import claimed, exists, write_atomically

STUDY, RECORDS, ENVIRONMENTS = "study.json", "records.jsonl", "environments.json"

#: What a run's metrics give to its record.
_FIGURES = ("train_mse", "valid_mse", "test_mse", "test", "epochs", "n_parameters", "n_circuits", "wall_seconds")

#: Times that a cluster may lose workers without a single run being finished in between.
_PATIENCE = 3

Record = dict[str, Any]


def run_study(
    study: Study,
    out: Path,
    *,
    whole: Study | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    report: Callable[[int, int, Record], None] | None = None,
) -> list[Record]:
    """Run what is missing of a study, and return the records of all of it.

    A record is written as soon as its run is finished. What is killed goes on: finished runs are skipped, unfinished ones go on
    from their checkpoints, and the records end in the same numbers.

    Args:
        study: What to run.
        whole: The study that it is a part of, which the folder is for; itself where None.
        out: A folder: the study, records, where they were made, and under runs/ a run folder for each.
        jobs: Processes on this machine, each of one thread.
        cluster: Address of a Ray cluster that runs them instead, "auto" for the one that this machine belongs to, "local" for
            one on this machine. Workers keep unfinished runs where they run; records are kept here.
        report: Called with the number of finished runs, that of all, and the last record.

    Raises:
        OptionError: A row cannot be run, or predictions of a series cannot be fed back.
        RunError: The folder holds another study, or cannot be written to.
    """
    tasks, out = study.tasks(), out.resolve()  # workers of a cluster have folders of their own to be relative to
    if study.steps:
        for name in study.datasets:
            rolled_errors(None, study.data(name).load(), study.steps)  # what cannot be is said before anything is trained
    make_folders(out)
    with claimed(out):
        _require_same(whole or study, out)
        records = {record["id"]: record for record in read_records(out)}
        missing = list({task.id: task for task in tasks if task.id not in records}.values())
        order = _ids(whole or study, tasks)
        done = len(tasks) - len(missing)
        for record in _made(missing, out / "runs", jobs, cluster):
            record["environment"] = _note_environment(out, record["environment"])
            records[record["id"]] = record
            _write_records(out, order, records)
            done += 1
            if report is not None:
                report(done, len(tasks), record)
        _write_records(out, order, records)
    return [_placed(records[task.id], task) for task in tasks]


def read_records(out: Path) -> list[Record]:
    """The records of a folder; none where there are none.

    Raises:
        RunError: They are damaged.
    """
    path = out / RECORDS
    if not exists(path):
        return []
    records = [_object(line, path) for line in _text(path).splitlines()]
    if not all({"id", "row", "dataset", "seed"} <= set(record) for record in records):
        raise RunError(f"{path} is damaged: a line is no record of a run.")
    return records


def load_study_folder(out: Path) -> tuple[Study, list[Record]]:
    """The study of a folder and its records, each at every place of the table that it belongs to.

    Records of something else that was done there before, as on a file that has changed, are left out.

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
        return study, records
    return study, [_placed(by_id[task.id], task) for task in tasks.values() if task.id in by_id]


def run_task(task: Task, folder: Path) -> Record:
    """Do one task, or finish it, in a folder of its own; errors of training are part of the record.

    The record has the task's id and place, `test_mse` and other figures of the last epoch, or `error` where it diverged, and
    the `environment` that it was finished in.
    """
    record: Record = {"id": task.id, "row": task.row, "dataset": task.dataset, "seed": task.seed, "environment": environment()}
    threads, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            record |= _figures(task, folder / task.id)
    except TrainingError as error:
        record |= {"error": str(error), "test_mse": None, "wall_seconds": time.perf_counter() - started}
    finally:
        torch.set_num_threads(threads)
    return record


def _watched(task: Task, folder: Path, parent: int) -> Record:
    """`run_task` in a process that ends with the one that has begun it: a killed study leaves none behind that trains on."""
    _watch(parent)
    return run_task(task, folder)


@lru_cache
def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _figures(task: Task, out: Path) -> dict[str, Any]:
    work = task.work
    if isinstance(work, Control):
        started = time.perf_counter()
        return work.errors(work.data.load(), task.steps) | {"wall_seconds": time.perf_counter() - started}
    run = _finished(work, out) if isinstance(work, RunSpec) else _chain(work, out)
    figures = {name: run.metrics[name] for name in _FIGURES if name in run.metrics}
    if set(environment()) <= set(run.metrics):  # of the process that trained, not of the one that reads
        figures["environment"] = {name: run.metrics[name] for name in environment()}
    if task.steps:
        figures["rolled_out"] = rolled_errors(run.predict, run.dataset, task.steps)["model"]
    if isinstance(work, Chain):
        figures["stages"] = run.metrics.get("stages", {})
        figures["wall_seconds"] += load_metrics(out / "search")["wall_seconds"]
        figures["circuits"] = _circuits(run)
    return figures


def _finished(spec: RunSpec, out: Path) -> Run:
    """A run trained to its end: begun, gone on with, or read."""
    if not exists(out / CONFIG):
        run = train_run(spec, out)
    elif is_unfinished(out):
        move_start(out, spec.start)
        run = resume_run(out)
    else:
        run = load_run(out)
    if run.metrics["interrupted"]:  # by Ctrl-C, which ends a training and is not passed on
        raise KeyboardInterrupt
    return run


def _chain(chain: Chain, out: Path) -> Run:
    """The last run of a chain; each stage is a run folder."""
    _finished(chain.search, out / "search")
    derived = out / "derived"
    if not exists(derived / CONFIG):
        shutil.rmtree(derived, ignore_errors=True)  # of a process that was killed while it wrote
        derive_run(out / "search", derived, **chain.derive.model_dump())
    spec = load_run(derived).spec
    given = {"search": None, "valid_fraction": 0.0, "lr": None, "start": None if chain.scratch else start_from(derived)}
    defaults = {name: RunSpec.model_fields[name].default for name in TRAINING}
    return _finished(RunSpec.model_validate(dict(spec) | defaults | given | chain.tune), out / "tuned")


def _circuits(run: Run) -> dict[str, list[str]]:
    """For each gate the circuits that a derived model has kept, layer after layer."""
    genotype = run.spec.genotype
    assert genotype is not None
    chosen: dict[str, list[str]] = {}
    for layer in genotype.layers:
        for gate, choices in layer.items():
            chosen.setdefault(gate, []).extend(choice.candidate for choice in choices)
    return chosen


def _made(tasks: Sequence[Task], folder: Path, jobs: int, cluster: str | None) -> Iterator[Record]:
    """Records of tasks as they are finished, in any order."""
    if cluster is None:
        if jobs == 1 or len(tasks) < 2:
            yield from (run_task(task, folder) for task in tasks)
            return
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", inner_max_num_threads=1, backend="loky")
        try:
            yield from parallel(delayed(_watched)(task, folder, os.getpid()) for task in tasks)
        except BrokenExecutor as error:
            raise RunError(
                "a process that trained was killed, perhaps for want of memory; the same command goes on, with fewer --jobs."
            ) from error
        return
    from qlstm_qiskit.experiments.cluster import connected, lost_worker

    left = {task.id: task for task in tasks}
    with connected(cluster) as config:
        failures = 0
        while left:
            try:
                for record in Parallel(return_as="generator_unordered", **config)(
                    delayed(run_task)(task, folder) for task in list(left.values())
                ):
                    del left[record["id"]]
                    failures = 0
                    yield record
            except Exception as error:
                failures += 1
                if not lost_worker(error):
                    raise
                if failures > _PATIENCE:
                    raise RunError(f"the cluster loses its workers: {' '.join(str(error).split())[:300]}") from error


def _placed(record: Record, task: Task) -> Record:
    """A record at another place of the table where the same is done."""
    return record | {"row": task.row, "dataset": task.dataset, "seed": task.seed}


def _ids(study: Study, tasks: Sequence[Task]) -> list[str]:
    """In which order records are kept: that of the whole study, then what else there is of these tasks."""
    with contextlib.suppress(DataError):  # of a file that is no longer there, which ids are made of
        tasks = [*study.tasks(), *tasks]
    return list(dict.fromkeys(task.id for task in tasks))


def _write_records(out: Path, order: Sequence[str], records: dict[str, Record]) -> None:
    """All records, those in `order` first."""
    names = [name for name in order if name in records]
    others = sorted(set(records) - set(names))
    write_atomically(out / RECORDS, "".join(json.dumps(records[name]) + "\n" for name in [*names, *others]))


def _require_same(study: Study, out: Path) -> None:
    """Write down what is run, or refuse a folder that was begun with something else; rows, series and tests may be added."""
    path = out / STUDY
    if exists(path):
        found = _study(path)
        for name in ("name", "primary", "recipe", "common", "steps"):
            there, here = getattr(found, name), getattr(study, name)
            if there != here:
                raise RunError(f"{out} holds a study with {name} {there!r}, not {here!r}; choose another folder.")
        for name in ("rows", "datasets", "families", "published"):
            before, now = getattr(found, name), getattr(study, name)
            changed = [key for key in before if before[key] != now.get(key)]
            if changed:
                raise RunError(f"{out} holds a study with another {changed[0]!r} among its {name}; choose another folder.")
    content = study.model_dump(mode="json", exclude_defaults=True)
    fixed = {name: getattr(study, name) for name in ("name", "primary", "recipe", "seeds")}  # said even where it is the default
    write_atomically(path, json.dumps(fixed | content, indent=2) + "\n")


def _study(path: Path) -> Study:
    return validated(Study, _object(_text(path), path), path)


def _note_environment(out: Path, here: dict[str, Any]) -> str:
    """Write down where a record was made; return the name of it that the record has."""
    path = out / ENVIRONMENTS
    known = _object(_text(path), path) if exists(path) else {}
    name = hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()[:8]
    if name not in known:
        write_atomically(path, json.dumps(known | {name: here}, indent=2) + "\n")
    return name


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: it does not hold JSON objects.")
    return content
