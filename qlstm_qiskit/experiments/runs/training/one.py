"""Training into a run folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from skorch.callbacks import Callback

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import OptionError, RunError, TrainingError
from qlstm_qiskit.experiments.runs.agreement import require_same_model
from qlstm_qiskit.experiments.runs.header import read_model
from qlstm_qiskit.experiments.runs.load import (
    ARCHITECTURE,
    CHECKPOINT,
    CONFIG,
    HISTORY,
    METRICS,
    MODEL,
    Run,
    load_metrics,
    load_spec,
)
from qlstm_qiskit.experiments.runs.loggers import make_loggers, note_failure
from qlstm_qiskit.experiments.runs.own import SPACE
from qlstm_qiskit.experiments.runs.plan import plan_work
from qlstm_qiskit.experiments.runs.settle import settle
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.start import read_start
from qlstm_qiskit.experiments.runs.training.folder import TrainingFolder
from qlstm_qiskit.experiments.runs.trust import require_trusted
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.executors.cost import require_affordable
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.jobs.ledger import FILE as JOBS
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.storage import claimed, exists, make_folders, take_back
from qlstm_qiskit.training.estimator import Estimator, fit_side_by_side


def train_run(spec: RunSpec, out: Path | str, *, loggers: Sequence[str] = (), verbose: int = 0) -> Run:
    """Train one model into a new run folder; all but ensembles is as in `training.train_run`.

    Args:
        spec, out, loggers, verbose: As there.

    Raises:
        QLSTMError, JobError, KeyboardInterrupt: As there.
    """
    out = Path(out)
    refuse_existing(out)
    return _train(spec, out, loggers, verbose, begun=False)


def resume_run(
    out: Path | str,
    *,
    options: BackendSpec | None = None,
    loggers: Sequence[str] = (),
    verbose: int = 0,
    trust: bool = False,
) -> Run:
    """Resume the training of one model in its run folder; all but ensembles is as in `training.resume_run`.

    Args:
        out, options, loggers, verbose, trust: As there.

    Raises:
        RunError, DataError: As there.
    """
    out = Path(out)
    if not is_unfinished(out):
        raise RunError(f"{out} holds a finished run; there is nothing to resume.")
    spec = load_spec(out)
    if options is not None:
        spec = spec.on(options)
    require_trusted(out, spec, trust)
    if exists(out / MODEL):
        require_same_model(out, spec, read_model(out / MODEL)[0])
    return _train(spec, out, loggers, verbose, begun=True)


def is_unfinished(out: Path | str) -> bool:
    """Whether a run folder holds a training that ended before its last epoch: killed, or stopped by an error or Ctrl-C.

    Args:
        out: The folder.

    Raises:
        RunError: Its metrics cannot be read.
    """
    return not exists(Path(out) / METRICS) or bool(load_metrics(out).get("interrupted"))


def _train(spec: RunSpec, out: Path, loggers: Sequence[str], verbose: int, *, begun: bool) -> Run:
    if spec.replicas > 1:
        raise OptionError(f"replicas={spec.replicas}: an ensemble is trained by qlstm_qiskit.experiments.train_run.")
    spec, dataset, module = settle(spec)
    options = spec.backend_options
    assert options is not None
    start = None if spec.start is None else read_start(spec.start)
    estimator = spec.estimator(verbose=verbose, start=start)
    if options.leaves:
        require_affordable_training(spec, options, dataset)
    made = make_folders(out)
    with contextlib.nullcontext() if options.leaves else claimed(out):  # the record of jobs has its own lock
        if not begun:
            refuse_existing(out)  # another process may have been faster
        callbacks: list[Callback] = []
        try:
            callbacks = make_loggers(loggers, out, spec)
            estimator.set_params(callbacks=callbacks)
            return _train_into(out, spec, options, dataset, estimator, module)
        except BaseException:
            note_failure(callbacks)
            if not begun and not (out / MODEL).exists():
                clear(out, made)
            raise


def _train_into(
    out: Path, spec: RunSpec, options: BackendSpec, dataset: Dataset, estimator: Estimator, module: Forecaster
) -> Run:
    """Train in an existing folder, from its checkpoint if it has one."""
    folder = TrainingFolder.begin(out, spec, dataset, module)
    started = time.perf_counter()
    backend = load_backend(options, record=out, run="train") if options.leaves else None
    estimator.set_params(
        callbacks=[folder.recorder, *(estimator.callbacks or [])],
        checkpoint=folder.checkpoint,
        **({} if backend is None else {"backend": backend}),
    )
    errors: dict[int, TrainingError] = {}
    try:
        if not folder.together or fit_side_by_side([estimator], (dataset.x_train, dataset.answers, None), errors) is not None:
            folder.together = False
            estimator.fit(dataset.x_train, dataset.answers)
    except TrainingError as error:
        errors[0] = error
    finally:
        if isinstance(backend, PrimitiveBackend):
            backend.close()
    return folder.finish(estimator, errors.get(0), seconds=time.perf_counter() - started)


def require_affordable_training(spec: RunSpec, options: BackendSpec, dataset: Dataset) -> None:
    """Refuse a training that the guard would stop halfway; of an ensemble, that of all its members.

    Raises:
        BudgetError: It is above a limit.
    """
    shape, n = (dataset.window, len(dataset.features), dataset.n_outputs), spec.replicas
    work = plan_work(spec, options, "train", len(dataset.x_train), shape).work
    require_affordable(work * n, options, "training" if n == 1 else f"training {n} models")


def refuse_existing(out: Path) -> None:
    """Raise `RunError` if a folder holds a run."""
    held = [name for name in (CONFIG, METRICS, HISTORY, MODEL) if exists(out / name)]
    if CONFIG in held and is_unfinished(out):
        raise RunError(f"{out} holds an unfinished training; go on with: {resume_command(out)}")
    if held:
        raise RunError(f"{out} already holds a run ({held[0]}); choose another folder or delete this one.")


def resume_command(out: Path | str) -> str:
    """The command that resumes the unfinished training of a run folder.

    Args:
        out: The folder.
    """
    return f"qlstm resume {out}"


def clear(out: Path, made: list[Path]) -> None:
    """Remove what was written before the first epoch was finished, unless `resume_run` can use it: jobs, or trials."""
    if (out / CHECKPOINT).exists():
        return
    if (out / JOBS).exists():
        with Ledger(out / JOBS) as ledger:
            if ledger.entries():
                return
    take_back(out, (CONFIG, SPACE, HISTORY, ARCHITECTURE, JOBS, f"{JOBS}.lock"), made)
