"""Training of runs: one model, or an ensemble of several."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.experiments.runs.ensemble import MEMBERS, member_folder
from qlstm_qiskit.experiments.runs.load import CONFIG, METRICS, Run, load_metrics, load_run, load_spec
from qlstm_qiskit.experiments.runs.metrics import run_metrics
from qlstm_qiskit.experiments.runs.own import SPACE, OwnSpace
from qlstm_qiskit.experiments.runs.settle import settle
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.training import one
from qlstm_qiskit.experiments.runs.training.one import is_unfinished, refuse_existing, require_affordable_training
from qlstm_qiskit.experiments.runs.training.side_by_side import train_runs
from qlstm_qiskit.experiments.runs.trust import require_trusted
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.storage import claimed, exists, make_folders, strict_json, take_back, write_atomically


def train_run(spec: RunSpec, out: Path | str, *, loggers: Sequence[str] = (), verbose: int = 0) -> Run:
    """Train a model, or an ensemble of `replicas` models, into a new run folder.

    The folder is created after all checks that are possible beforehand. Each finished epoch is written at once; Ctrl-C ends
    the training with the last finished epoch, and the run is as usable as any other. A training interrupted in any way can
    be resumed with `resume_run` and gives the same bits.

    On a backend whose circuits leave this machine, only what training needs is submitted: test errors come from the exact
    interpreter, a plan that exceeds the guard's limits is refused at the start, and jobs are recorded in the folder; see
    `resume_run`.

    The folder of an ensemble has its members, each a run folder with a seed of its own, in ``members/0`` and so on, trained by
    `train_runs`. If one diverges, the others are trained to their end and kept, and the ensemble is not: it would be another
    one than was asked for.

    Args:
        spec: The run to train.
        out: The folder; it must not hold a run yet.
        loggers: Names in `LOGGERS` of further logs of the epochs.
        verbose: 1 shows how far training is, and how long it will take; see `ProgressBar`.

    Raises:
        OptionError: An ensemble is to start from another run.
        QLSTMError: A fault in the spec, the data or the folder, in one line; or training diverged.
        JobError: The device or its service failed; see `resume_run`.
        KeyboardInterrupt: Ctrl-C before the first epoch was finished, which leaves nothing behind except submitted jobs; or
            while results were computed, which leaves a run without metrics.json; or in the training of an ensemble.
    """
    out = Path(out)
    if spec.replicas == 1:
        return one.train_run(spec, out, loggers=loggers, verbose=verbose)
    refuse_existing(out)
    if spec.start is not None:
        raise OptionError(
            f"replicas={spec.replicas} differ in their random start alone, and a run that starts from another one has none; "
            "train each from a run of its own, or begin anew with --from-scratch."
        )
    return _train_ensemble(spec, out, loggers, verbose, begun=False)


def resume_run(
    out: Path | str,
    *,
    options: BackendSpec | None = None,
    loggers: Sequence[str] = (),
    verbose: int = 0,
    trust: bool = False,
) -> Run:
    """Resume a training that ended before its last epoch, in its run folder; the result has the bits of an uninterrupted one.

    It continues after the last epoch of its checkpoint. If circuits leave this machine, it is trained again from its config,
    and jobs that were submitted before are answered from the record or waited for. Members of an ensemble that are finished
    stay as they are.

    Args:
        out: The folder.
        options: The run's backend with new access or limits, see `hardware.config.spec.renewed`; unchanged by default.
        loggers, verbose: See `train_run`; earlier epochs are not logged again.
        trust: As in `load_run`.

    Raises:
        RunError: The folder holds no run or a finished one; its checkpoint is damaged or of another training; its files
            contradict each other; or its backend would call code chosen by whoever made it.
        DataError: The data has changed.
    """
    out = Path(out)
    spec = load_spec(out)
    if spec.replicas == 1 or not is_unfinished(out):
        return one.resume_run(out, options=options, loggers=loggers, verbose=verbose, trust=trust)
    if options is not None:
        spec = spec.on(options)
    require_trusted(out, spec, trust)
    return _train_ensemble(spec, out, loggers, verbose, begun=True)


def _train_ensemble(spec: RunSpec, out: Path, loggers: Sequence[str], verbose: int, *, begun: bool) -> Run:
    spec, dataset, _ = settle(spec)
    options = spec.backend_options
    assert options is not None
    if options.leaves:
        require_affordable_training(spec, options, dataset)
    made = make_folders(out)
    started = time.perf_counter()
    with contextlib.nullcontext() if options.leaves else claimed(out):
        if not begun:
            refuse_existing(out)  # another process may have been faster
        try:
            if isinstance(spec.space, OwnSpace):
                write_atomically(out / SPACE, spec.space.qpy)
            write_atomically(out / CONFIG, spec.model_dump_json(indent=2) + "\n")
            _train_members(spec, out, options, loggers, verbose)
            return _finished(out, dataset, options, time.perf_counter() - started)
        except BaseException:
            if not begun and not any(exists(member_folder(out, place)) for place in range(spec.replicas)):
                take_back(out, (CONFIG, SPACE), [out / MEMBERS, *made])
            raise


def _train_members(spec: RunSpec, out: Path, options: BackendSpec, loggers: Sequence[str], verbose: int) -> None:
    """Train the members that are not finished.

    Raises:
        TrainingError: Some diverged.
        KeyboardInterrupt: Ctrl-C.
    """
    folders = [member_folder(out, place) for place in range(spec.replicas)]
    if options.leaves:  # with today's access, and one after another: each has a record of its own
        for place, folder in enumerate(folders):
            try:
                if not exists(folder / CONFIG):
                    one.train_run(spec.member(place), folder, loggers=loggers, verbose=verbose)
                elif is_unfinished(folder):
                    one.resume_run(folder, options=options, loggers=loggers, verbose=verbose, trust=True)
            except TrainingError as error:
                raise TrainingError(f"member {place} (seed {spec.seed + place}): {error}") from error
            if is_unfinished(folder):
                raise KeyboardInterrupt
        return
    members = [spec.member(place) for place in range(spec.replicas)]
    found = train_runs(members, folders, loggers=loggers, verbose=verbose)
    failed = {place: own for place, own in enumerate(found) if isinstance(own, TrainingError)}
    if failed:
        named = ", ".join(f"{place} (seed {spec.seed + place})" for place in failed)
        others = [folder for place, folder in enumerate(folders) if place not in failed]
        kept = f" The others are trained, each a run by itself, such as {others[0]}." if others else ""
        raise TrainingError(
            f"{len(failed)} of the {spec.replicas} members ended early: {named}.{kept} The first one: "
            f"{next(iter(failed.values()))}"
        )
    if any(is_unfinished(folder) for folder in folders):
        raise KeyboardInterrupt


def _finished(out: Path, dataset: Dataset, options: BackendSpec, seconds: float) -> Run:
    """The trained ensemble, whose metrics.json is written."""
    run = load_run(out, backend=EXACT if options.leaves else None, trust=True)
    run.__dict__["dataset"] = dataset
    members = [load_metrics(member.path) for member in run.members]
    metrics = run_metrics(run, dataset) | {"interrupted": False, "backend": options.name}
    metrics["wall_seconds"] = max(seconds, sum(own["wall_seconds"] for own in members))
    for name in ("path", "dry_run", "trained"):
        if name in members[0]:
            metrics[name] = members[0][name]
    write_atomically(out / METRICS, strict_json(metrics, indent=2) + "\n")
    return run
