"""Training into a run folder."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import torch

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import RunError, TrainingError
from qlstm_qiskit.experiments.metrics import errors_of, run_metrics, stages_before
from qlstm_qiskit.experiments.plan import plan_work
from qlstm_qiskit.experiments.recording import Recorder
from qlstm_qiskit.experiments.run import (
    ARCHITECTURE,
    CONFIG,
    HISTORY,
    METRICS,
    MODEL,
    Run,
    load_metrics,
    load_run,
    load_spec,
)
from qlstm_qiskit.experiments.spec import RunSpec
from qlstm_qiskit.experiments.start import read_start
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.cost import require_affordable
from qlstm_qiskit.hardware.ledger import FILE as JOBS
from qlstm_qiskit.hardware.ledger import Ledger
from qlstm_qiskit.hardware.primitive_backend import PrimitiveBackend
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.storage import exists, write_atomically
from qlstm_qiskit.training import QLSTMRegressor


def train_run(spec: RunSpec, out: Path, *, verbose: int = 0) -> Run:
    """Train a model into a new run folder.

    The folder is made after everything that can be checked beforehand has been checked. Each finished epoch is written at
    once; Ctrl-C ends the training with the last finished epoch, and the run is as usable as any.

    On a backend whose circuits leave this machine, nothing is submitted but what training needs: test errors are those of the
    exact interpreter, a plan beyond the guard's limits is refused at the start, and jobs are recorded in the folder; see
    `resume_run`.

    Args:
        spec: What to train.
        out: The folder; it must not hold a run yet.
        verbose: 1 shows a progress bar on a terminal.

    Raises:
        QLSTMError: Anything wrong with the spec, the data or the folder, in one line; or training diverged.
        JobError: The device or its service cannot go on; see `resume_run`.
        KeyboardInterrupt: Ctrl-C before the first epoch was finished, which leaves nothing behind but jobs that were submitted,
            or while results were computed, which leaves a run without metrics.json.
    """
    refuse_existing(out)
    return _train(spec, out, verbose)


def resume_run(out: Path, *, options: BackendSpec | None = None, verbose: int = 0) -> Run:
    """Go on with a training that ended before its last epoch, in its run folder.

    It is trained again from its config; jobs that were submitted are answered from the record or waited for.

    Args:
        out: The folder.
        options: The run's backend with another access or other limits, see `hardware.rules.renewed`; by default as it was.
        verbose: See `train_run`.

    Raises:
        RunError: The folder holds no run, or one that is finished.
    """
    if not is_unfinished(out):
        raise RunError(f"{out} holds a finished run; there is nothing to go on with.")
    spec = load_spec(out)
    if options is not None:
        spec = spec.on(options)
    (out / METRICS).unlink(missing_ok=True)  # of the epochs before it was interrupted
    return _train(spec, out, verbose)


def is_unfinished(out: Path) -> bool:
    """Whether a run folder holds a training that ended before its last epoch: killed, stopped by an error, or by Ctrl-C."""
    return not exists(out / METRICS) or bool(load_metrics(out).get("interrupted"))


def _train(spec: RunSpec, out: Path, verbose: int) -> Run:
    if spec.backend_options is None:
        spec = spec.on(spec.backend)
    dataset = spec.data.load()
    options = spec.backend_options
    assert options is not None
    rehearsal = spec.on("statevector").regressor() if options.leaves else spec.regressor()
    depth, module = _rehearse(rehearsal, dataset)
    recorder = Recorder(out, dataset, module if options.leaves else None)
    start = None if spec.start is None else read_start(spec.start)
    regressor = spec.regressor(verbose=verbose, callbacks=[recorder], start=start)
    if options.leaves:
        _require_affordable(spec, options, dataset)
    spec = spec.model_copy(update={"data": spec.data.pinned(), "depth": depth, "lr": regressor.learning_rate})
    made = make_folders(out)
    started, backend = time.perf_counter(), None
    try:
        write_atomically(out / CONFIG, spec.model_dump_json(indent=2) + "\n")
        if options.leaves:
            backend = load_backend(options, record=out, run="train")
            regressor.set_params(backend=backend)
        regressor.fit(dataset.x_train, dataset.y_train)
        recorder.record(regressor.module_, regressor.history_[-1])  # Ctrl-C may have come between training and writing
        interrupted = regressor.interrupted_
    except TrainingError as error:
        if not (out / MODEL).exists():
            _clear(out, made)
            raise
        _finish(_read(out, options), dataset, options, seconds=time.perf_counter() - started, interrupted=True)
        raise TrainingError(f"{error} {out} keeps the epochs before.") from error
    except BaseException:
        if not (out / MODEL).exists():
            _clear(out, made)
        raise
    finally:
        if isinstance(backend, PrimitiveBackend):
            backend.close()
    run = _read(out, options)
    _finish(run, dataset, options, seconds=time.perf_counter() - started, interrupted=interrupted)
    return run


def _read(out: Path, options: BackendSpec) -> Run:
    """The run as it is evaluated after training."""
    return load_run(out, backend="statevector" if options.leaves else None)


def _require_affordable(spec: RunSpec, options: BackendSpec, dataset: Dataset) -> None:
    """Refuse a training that would be stopped by the guard on its way."""
    shape = (dataset.window, len(dataset.features), dataset.horizon)
    require_affordable(plan_work(spec, options, "train", len(dataset.x_train), shape).work, options, "training")


def _finish(run: Run, dataset: Dataset, options: BackendSpec, *, seconds: float, interrupted: bool) -> None:
    """Write metrics.json of what the folder holds."""
    metrics = run_metrics(run, dataset) | {"interrupted": interrupted, "wall_seconds": seconds, "backend": options.name}
    stages = stages_before(run)
    if stages:
        fraction = load_spec(Path(run.spec.start.run)).valid_fraction if run.spec.start else 0.0
        metrics["stages"] = stages | {"fine_tuned": errors_of(run, dataset, fraction)}
    if options.leaves:
        metrics["path"] = "primitives"
    if options.guard.dry_run:
        metrics["dry_run"] = True
    write_atomically(run.path / METRICS, json.dumps(metrics, indent=2) + "\n")


def _rehearse(regressor: QLSTMRegressor, dataset: Dataset) -> tuple[int | None, Forecaster]:
    """Run one batch forward, so that what does not fit is refused before a folder is made.

    Returns:
        The circuits' depth, and the untrained model.
    """
    regressor.check_options()
    with torch.random.fork_rng(devices=[]):
        module = regressor.build_module(len(dataset.features), dataset.horizon)
        module(torch.as_tensor(dataset.x_train[: regressor.batch_size], dtype=next(module.parameters()).dtype))
    return module.recurrent.depth if isinstance(module.recurrent, QLSTM) else None, module


def refuse_existing(out: Path) -> None:
    """Raise `RunError` if a folder holds a run."""
    held = [name for name in (CONFIG, METRICS, HISTORY, MODEL) if exists(out / name)]
    if held and exists(out / JOBS) and exists(out / CONFIG) and is_unfinished(out):
        raise RunError(f"{out} holds an unfinished training with jobs; go on with: qlstm jobs resume {out}")
    if held:
        raise RunError(f"{out} already holds a run ({held[0]}); choose another folder or delete this one.")


def make_folders(out: Path) -> list[Path]:
    """Make the folder; return those that were not there before, the deepest first."""
    missing = [folder for folder in (out, *out.parents) if not exists(folder)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {out}: {error.strerror or error}; choose another one.") from None
    return missing


def _clear(out: Path, made: list[Path]) -> None:
    """Take back what was written before the first epoch was finished, unless jobs were recorded, for `resume_run` to use."""
    if (out / JOBS).exists():
        with Ledger(out / JOBS) as ledger:
            if ledger.entries():
                return
    for name in (CONFIG, HISTORY, ARCHITECTURE, JOBS, f"{JOBS}.lock"):
        (out / name).unlink(missing_ok=True)
    for folder in made:
        with contextlib.suppress(OSError):  # somebody else put something there
            folder.rmdir()
