"""The runner of a study: finished runs are skipped, interrupted ones resumed, one thread per process; joblib does the rest."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.errors import RunError, TrainingError
from qlstm_qiskit.experiments.runs.derive import derive_run
from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.experiments.runs.run import CONFIG, Run, load_metrics, load_run, load_spec
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.start import relocate, start_from
from qlstm_qiskit.experiments.runs.train import is_unfinished, resume_run, train_run
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.evaluations import evaluate, is_evaluated
from qlstm_qiskit.experiments.studies.ranks import require_ranks
from qlstm_qiskit.experiments.studies.records import (
    Record,
    note_environment,
    ordered_ids,
    placed,
    read_records,
    require_same_study,
    write_records,
)
from qlstm_qiskit.experiments.studies.study import TRAINING, Chain, Study, StudyTask
from qlstm_qiskit.storage import claimed, exists, make_folders
from qlstm_qiskit.training.task import REGRESSION

#: What a run's metrics give to its record.
_FIGURES = (REGRESSION.train, REGRESSION.valid, REGRESSION.test, "test", "epochs", "n_parameters", "n_circuits", "wall_seconds")

#: Times that a cluster may lose workers without a single run being finished in between.
_PATIENCE = 3


def run_study(
    study: Study,
    out: Path | str,
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
        OptionError: A row cannot be run, a package is not installed, or predictions of a series cannot be fed back.
        RunError: The folder holds another study, or cannot be written to.
    """
    if study.ranks is not None:
        require_ranks()
    tasks, out = study.tasks(), Path(out).resolve()  # workers of a cluster have folders of their own to be relative to
    if study.steps:
        for name in study.datasets:
            rolled_errors(None, study.data(name).load(), study.steps)  # what cannot be is said before anything is trained
    make_folders(out)
    with claimed(out):
        require_same_study((whole or study).with_digests(), out)
        records = {record["id"]: record for record in read_records(out)}
        missing = _missing(tasks, records)
        order = ordered_ids(whole or study, tasks)
        done = len(tasks) - len(missing)
        for record in _made(missing, out / "runs", jobs, cluster):
            record["environment"] = note_environment(out, record["environment"])
            records[record["id"]] = record
            write_records(out, order, records)
            done += 1
            if report is not None:
                report(done, len(tasks), record)
        write_records(out, order, records)
    return [placed(records[task.id], task) for task in tasks]


def _missing(tasks: Sequence[StudyTask], records: Mapping[str, Record]) -> list[StudyTask]:
    """Each training once that has no record, or not all evaluations that one of its places in the table has."""
    found: dict[str, StudyTask] = {}
    for task in tasks:
        before = found[task.id].evaluations if task.id in found else {}
        found[task.id] = task.model_copy(update={"evaluations": before | task.evaluations})
    return [task for task in found.values() if task.id not in records or not is_evaluated(records[task.id], task.evaluations)]


def run_task(task: StudyTask, folder: Path) -> Record:
    """Do one task, or finish it, in a folder of its own; errors of training are part of the record.

    The record has the task's id and place, errors and other figures of the last epoch, or `error` where it diverged, and the
    `environment` that it was finished in.
    """
    record: Record = {"id": task.id, "row": task.row, "dataset": task.dataset, "seed": task.seed, "environment": environment()}
    threads, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            record |= _figures(task, folder / task.id)
    except TrainingError as error:
        record |= {"error": str(error), REGRESSION.test: None, "wall_seconds": time.perf_counter() - started}
    finally:
        torch.set_num_threads(threads)
    return record


def _watched(task: StudyTask, folder: Path, parent: int) -> Record:
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


def _figures(task: StudyTask, out: Path) -> dict[str, Any]:
    work = task.work
    if isinstance(work, Control):
        started = time.perf_counter()
        found = work.errors(work.data.load(), task.steps)
        same = {name: {"id": asked.id, "errors": [found[REGRESSION.test]]} for name, asked in task.evaluations.items()}
        return found | ({"evaluations": same} if same else {}) | {"wall_seconds": time.perf_counter() - started}
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
    if task.evaluations:
        figures["evaluations"] = {
            name: {"id": asked.id, "errors": evaluate(run.path, asked, task.seed)} for name, asked in task.evaluations.items()
        }
    return figures


def _finished(spec: RunSpec, out: Path) -> Run:
    """A run trained to its end: begun, gone on with, or read."""
    if exists(out / CONFIG):
        relocate(out, spec)
        trust = _is_same_code(load_spec(out), spec)
        run = resume_run(out, trust=trust) if is_unfinished(out) else load_run(out, trust=trust)
    else:
        run = train_run(spec, out)
    if run.metrics["interrupted"]:  # by Ctrl-C, which ends a training and is not passed on
        raise KeyboardInterrupt
    return run


def _is_same_code(there: RunSpec, spec: RunSpec) -> bool:
    """Whether what a folder would call is what the task at hand names."""
    known = spec.backend_options
    return known is not None and there.backend_options is not None and there.backend_options.code == known.code


def _chain(chain: Chain, out: Path) -> Run:
    """The last run of a chain; each stage is a run folder."""
    _finished(chain.search, out / "search")
    derived = out / "derived"
    if not exists(derived / CONFIG):
        shutil.rmtree(derived, ignore_errors=True)  # of a process that was killed while it wrote
        trust = _is_same_code(load_spec(out / "search"), chain.search)
        derive_run(out / "search", derived, **chain.derive.model_dump(), trust=trust)
    spec, start = load_run(derived).spec, None if chain.scratch else start_from(derived)
    given = {"data": chain.search.data, "search": None, "valid_fraction": 0.0, "lr": None, "start": start}
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


def _made(tasks: Sequence[StudyTask], folder: Path, jobs: int, cluster: str | None) -> Iterator[Record]:
    """Records of tasks as they are finished, in any order."""
    if cluster is None:
        if jobs == 1 or len(tasks) < 2:
            yield from (run_task(task, folder) for task in tasks)
            return
        parallel = Parallel(
            n_jobs=min(jobs, len(tasks)), return_as="generator_unordered", inner_max_num_threads=1, backend="loky"
        )
        try:
            yield from parallel(delayed(_watched)(task, folder, os.getpid()) for task in tasks)
        except BrokenExecutor as error:
            raise RunError(
                "a process that trained was killed, perhaps for want of memory; the same command goes on, with fewer --jobs."
            ) from error
        return
    from qlstm_qiskit.experiments.studies.cluster import connected, lost_worker

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
