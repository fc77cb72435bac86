"""What is done for the tasks of a study: trainings, chains and controls; seeds of one cell together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.errors import TrainingError
from qlstm_qiskit.experiments.runs.derive import derive_run
from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.experiments.runs.load import CONFIG, Run, load_metrics, load_run
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.start import relocate, start_from
from qlstm_qiskit.experiments.runs.training.folder import SIDE_BY_SIDE
from qlstm_qiskit.experiments.runs.training.side_by_side import reason_one_by_one, train_runs
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.evaluations import evaluate
from qlstm_qiskit.experiments.studies.records import Record
from qlstm_qiskit.experiments.studies.study import TRAINING, Chain, StudyTask
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.task import REGRESSION

#: What a run's metrics give to its record.
_FIGURES = (REGRESSION.train, REGRESSION.valid, REGRESSION.test, "test", "epochs", "n_parameters", "n_circuits", "wall_seconds")


def in_groups(tasks: Sequence[StudyTask], jobs: int) -> list[list[StudyTask]]:
    """Tasks that are done together: seeds of a cell whose trainings run side by side; each other task is a group of its own.

    Args:
        tasks: In any order.
        jobs: Processes that do them. Where there are fewer groups, groups are split.

    Returns:
        The groups, those of several tasks first.
    """
    cells: dict[tuple[str, str, str], list[StudyTask]] = {}
    for task in tasks:
        cells.setdefault((task.row, task.dataset, _without_seed(task).id), []).append(task)
    together: dict[str, bool] = {}
    groups: list[list[StudyTask]] = []
    for (row, _, _), cell in cells.items():
        if len(cell) > 1 and row not in together:  # the same on each series, but for what is not worth the time to ask
            together[row] = _run_together(cell[0])
        groups += [cell] if len(cell) > 1 and together[row] else [[task] for task in cell]
    groups.sort(key=len, reverse=True)
    while groups and len(groups) < jobs and len(groups[0]) > 1:
        largest, *others = groups
        half = (len(largest) + 1) // 2
        groups = sorted([largest[:half], largest[half:], *others], key=len, reverse=True)
    return groups


def _without_seed(task: StudyTask) -> StudyTask:
    work = task.work
    if isinstance(work, Chain):
        return task.model_copy(update={"work": work.model_copy(update={"search": _seedless(work.search)})})
    return task.model_copy(update={"work": _seedless(work)}) if isinstance(work, RunSpec) else task


def _seedless(spec: RunSpec) -> RunSpec:
    return spec.model_copy(update={"seed": 0, "start": None})


def _run_together(task: StudyTask) -> bool:
    """Whether seeds of a task, or of the search of a chain, are trained side by side."""
    work = task.work
    spec = work.search if isinstance(work, Chain) else work
    return isinstance(spec, RunSpec) and reason_one_by_one(spec) is None


def run_task(task: StudyTask, folder: Path) -> Record:
    """The record of one task; see `run_group`."""
    return run_group([task], folder)[0]


def run_group(tasks: Sequence[StudyTask], folder: Path) -> list[Record]:
    """Do tasks that differ in their seeds alone, or finish them, each in a folder of its own.

    A record has the task's id and place, errors and other figures of the last epoch, or `error` where training diverged, and
    the `environment` that it was finished in.

    Args:
        tasks: Of one cell.
        folder: Of all run folders.
    """
    threads, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            outs = [folder / task.id for task in tasks]
            trained = _trained(tasks, outs)
            share = (time.perf_counter() - started) / len(tasks)
            return [_record(*one, share) for one in zip(tasks, outs, trained, strict=True)]
    finally:
        torch.set_num_threads(threads)


def _record(task: StudyTask, out: Path, trained: Run | TrainingError | None, share: float) -> Record:
    """The record of a task; `share`: seconds that it has taken until now."""
    record: Record = {"id": task.id, "row": task.row, "dataset": task.dataset, "seed": task.seed, "environment": environment()}
    started = time.perf_counter()
    try:
        if isinstance(trained, TrainingError):
            raise trained
        return record | _figures(task, out, trained)
    except TrainingError as error:
        seconds = share + time.perf_counter() - started
        return record | {"error": str(error), REGRESSION.test: None, "wall_seconds": seconds}


def _trained(tasks: Sequence[StudyTask], outs: Sequence[Path]) -> list[Run | TrainingError | None]:
    """What trainings of these tasks have come to; None for a control, which has none."""
    chains = [task.work for task in tasks if isinstance(task.work, Chain)]
    specs = [task.work for task in tasks if isinstance(task.work, RunSpec)]
    if chains:
        return [*_chains(chains, outs)]
    return [*_finished(specs, outs)] if specs else [None] * len(tasks)


def _figures(task: StudyTask, out: Path, run: Run | None) -> dict[str, Any]:
    work = task.work
    if isinstance(work, Control):
        started = time.perf_counter()
        found = work.errors(work.data.load(), task.steps)
        same = {name: {"id": asked.id, "errors": [found[REGRESSION.test]]} for name, asked in task.evaluations.items()}
        return found | ({"evaluations": same} if same else {}) | {"wall_seconds": time.perf_counter() - started}
    assert run is not None
    figures = {name: run.metrics[name] for name in _FIGURES if name in run.metrics}
    if set(environment()) <= set(run.metrics):  # of the process that trained, not of the one that reads
        figures["environment"] = {name: run.metrics[name] for name in (*environment(), *SIDE_BY_SIDE) if name in run.metrics}
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


def _finished(specs: Sequence[RunSpec], outs: Sequence[Path]) -> list[Run | TrainingError]:
    """Runs trained to their end: begun, gone on with, or read."""
    for spec, out in zip(specs, outs, strict=True):
        if exists(out / CONFIG):
            relocate(out, spec)
    runs = train_runs(specs, outs)
    if any(isinstance(run, Run) and run.metrics["interrupted"] for run in runs):  # by Ctrl-C, which is not passed on
        raise KeyboardInterrupt
    return runs


def _chains(chains: Sequence[Chain], outs: Sequence[Path]) -> list[Run | TrainingError]:
    """The last run of each chain; each stage is a run folder. Trainings after the search run together where circuits agree."""
    found = dict(enumerate(_finished([chain.search for chain in chains], [out / "search" for out in outs])))
    specs = {place: _after_search(chains[place], outs[place]) for place, run in found.items() if isinstance(run, Run)}
    alike: dict[str, list[int]] = {}
    for place, spec in specs.items():
        alike.setdefault(_seedless(spec).model_dump_json(), []).append(place)
    for places in alike.values():
        runs = _finished([specs[place] for place in places], [outs[place] / "tuned" for place in places])
        found |= dict(zip(places, runs, strict=True))
    return [found[place] for place in range(len(chains))]


def _after_search(chain: Chain, out: Path) -> RunSpec:
    """The training of a model that is derived from a finished search, if it has not been derived yet."""
    derived = out / "derived"
    if not exists(derived / CONFIG):
        shutil.rmtree(derived, ignore_errors=True)  # of a process that was killed while it wrote
        derive_run(out / "search", derived, **chain.derive.model_dump(), trust=True)  # it names the code that the task names
    spec, start = load_run(derived).spec, None if chain.scratch else start_from(derived)
    given = {"data": chain.search.data, "search": None, "valid_fraction": 0.0, "lr": None, "start": start}
    defaults = {name: RunSpec.model_fields[name].default for name in TRAINING}
    return RunSpec.model_validate(dict(spec) | defaults | given | chain.tune)


def _circuits(run: Run) -> dict[str, list[str]]:
    """For each gate the circuits that a derived model has kept, layer after layer."""
    genotype = run.spec.genotype
    assert genotype is not None
    chosen: dict[str, list[str]] = {}
    for layer in genotype.layers:
        for gate, choices in layer.items():
            chosen.setdefault(gate, []).extend(choice.candidate for choice in choices)
    return chosen
