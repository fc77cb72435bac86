"""The runner of a study: finished runs are skipped, interrupted ones resumed, one thread per process; joblib does the rest."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import lru_cache
from pathlib import Path

from joblib import Parallel, delayed

from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments.studies.evaluations import is_evaluated
from qlstm_qiskit.experiments.studies.ranks import require_ranks
from qlstm_qiskit.experiments.studies.records import (
    Place,
    Record,
    note_environment,
    ordered_ids,
    placed,
    read_records,
    require_same_study,
    write_records,
)
from qlstm_qiskit.experiments.studies.study import Study, StudyTask
from qlstm_qiskit.experiments.studies.tasks import holds_out
from qlstm_qiskit.experiments.studies.work import in_groups, run_group
from qlstm_qiskit.storage import claimed, make_folders

#: Times that a cluster may lose workers without a single run being finished in between.
_PATIENCE = 3


def run_study(
    study: Study,
    out: Path | str,
    *,
    whole: Study | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    begin: Callable[[set[Place]], None] | None = None,
    report: Callable[[int, int, Record], None] | None = None,
) -> list[Record]:
    """Run what is missing of a study, and return the records of all of it.

    Seeds of a cell are trained side by side where that can be, see `train_runs`. Records are written as soon as their runs are
    finished. What is killed goes on: finished runs are skipped, unfinished ones go on from their checkpoints, and the records
    end in the same numbers: neither interruptions, nor the number of seeds or processes, are in them.

    Args:
        study: What to run.
        whole: The study that it is a part of, which the folder is for; itself where None.
        out: A folder: the study, records, where they were made, and under runs/ a run folder for each.
        jobs: Processes on this machine, each of one thread.
        cluster: Address of a Ray cluster that runs them instead, "auto" for the one that this machine belongs to, "local" for
            one on this machine. Workers keep unfinished runs where they run; records are kept here.
        begin: Called with the row, series and seed of all that the folder is going to hold, if something has to be run for it.
        report: Called with the number of finished runs, that of all, and the last record.

    Raises:
        OptionError: A row cannot be run, a package is not installed, or predictions of a series cannot be fed back.
        RunError: The folder holds another study, or cannot be written to.
    """
    whole = study if whole is None else whole
    if study.ranks is not None:
        require_ranks()
        _require_rivals(whole)
    tasks, out = study.tasks(), Path(out).resolve()  # workers of a cluster have folders of their own to be relative to
    if study.steps:
        for name in study.datasets:
            rolled_errors(None, study.data(name).load(), study.steps)  # what cannot be is said before anything is trained
    make_folders(out)
    with claimed(out):
        require_same_study(whole.with_digests(), out)
        records = {record["id"]: record for record in read_records(out)}
        missing = _missing(tasks, records)
        order = ordered_ids(whole, tasks)
        done = len(tasks) - len(missing)
        if missing and begin is not None:
            there = {(record["row"], record["dataset"], record["seed"]) for record in records.values()}
            begin(there | {(task.row, task.dataset, task.seed) for task in tasks})
        for record in _made(missing, out / "runs", jobs, cluster):
            record["environment"] = note_environment(out, record["environment"])
            records[record["id"]] = record
            write_records(out, order, records)
            done += 1
            if report is not None:
                report(done, len(tasks), record)
        write_records(out, order, records)
    return [placed(records[task.id], task) for task in tasks]


def _require_rivals(study: Study) -> None:
    """Refuse rivals that validation errors cannot choose among, in a study that ranks."""
    assert study.ranks is not None
    for label in study.ranks.rivals:
        if not holds_out(study.task(label, next(iter(study.datasets)), study.first_seed).work):
            what = f"the study {study.name!r} chooses among ranks.rivals by validation errors, and the row {label!r} has none"
            raise OptionError(f"{what}; give it a valid_fraction, or leave it out of rivals.")


def _missing(tasks: Sequence[StudyTask], records: Mapping[str, Record]) -> list[StudyTask]:
    """Each training once that has no record, or not all evaluations that one of its places in the table has."""
    found: dict[str, StudyTask] = {}
    for task in tasks:
        before = found[task.id].evaluations if task.id in found else {}
        found[task.id] = task.model_copy(update={"evaluations": before | task.evaluations})
    return [task for task in found.values() if task.id not in records or not is_evaluated(records[task.id], task.evaluations)]


def _watched(tasks: Sequence[StudyTask], folder: Path, parent: int) -> list[Record]:
    """`run_group` in a process that ends with the one that has begun it: a killed study leaves none behind that trains on."""
    _watch(parent)
    return run_group(tasks, folder)


@lru_cache
def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _made(tasks: Sequence[StudyTask], folder: Path, jobs: int, cluster: str | None) -> Iterator[Record]:
    """Records of tasks as they are finished, in any order."""
    if cluster is None:
        groups = in_groups(tasks, jobs)
        if jobs == 1 or len(groups) < 2:
            for group in groups:
                yield from run_group(group, folder)
            return
        parallel = Parallel(
            n_jobs=min(jobs, len(groups)), return_as="generator_unordered", inner_max_num_threads=1, backend="loky"
        )
        try:
            for records in parallel(delayed(_watched)(group, folder, os.getpid()) for group in groups):
                yield from records
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
                for records in Parallel(return_as="generator_unordered", **config)(
                    delayed(run_group)(group, folder) for group in in_groups(list(left.values()), config["n_jobs"])
                ):
                    failures = 0
                    for record in records:
                        del left[record["id"]]
                        yield record
            except Exception as error:
                failures += 1
                if not lost_worker(error):
                    raise
                if failures > _PATIENCE:
                    raise RunError(f"the cluster loses its workers: {' '.join(str(error).split())[:300]}") from error
