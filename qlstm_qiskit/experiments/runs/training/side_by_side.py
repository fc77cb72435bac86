"""Training of runs that differ in their seeds alone, side by side, each into a folder of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from skorch.callbacks import Callback

from qlstm_qiskit.circuits.once import built_once
from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import OptionError, RunError, TrainingError
from qlstm_qiskit.exact import free_bytes
from qlstm_qiskit.experiments.runs.load import CHECKPOINT, CONFIG, MODEL, Run, load_run, load_spec
from qlstm_qiskit.experiments.runs.loggers import make_loggers, note_failure
from qlstm_qiskit.experiments.runs.settle import require_same_settled, settle, with_own_circuits
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.start import read_start
from qlstm_qiskit.experiments.runs.training.folder import TrainingFolder
from qlstm_qiskit.experiments.runs.training.one import clear, is_unfinished, refuse_existing, resume_run, train_run
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.replicas import replica_bytes
from qlstm_qiskit.storage import claimed, exists, make_folders
from qlstm_qiskit.training.checkpoint import read_progress
from qlstm_qiskit.training.estimator import Estimator, fit_side_by_side

#: Runs side by side at the most: each holds files open, and more of them save no more time.
_MOST = 64

#: Share of the free memory that circuits of runs side by side may take: other processes do the same.
_SHARE = 0.25

#: Fields of a `RunSpec` in which runs of a group may differ.
_OWN = ("seed", "start")


def train_runs(
    specs: Sequence[RunSpec], folders: Sequence[Path | str], *, loggers: Sequence[str] = (), verbose: int = 0
) -> list[Run | TrainingError]:
    """Train runs that differ in their seeds, or in what they start from, alone; side by side where that can be.

    Each has a run folder, as `train_run` writes it. A finished one is read, an unfinished one goes on. A run that is trained
    side by side ends in the same bits whichever others are beside it, none included, and however often all of them were
    killed; those of `train_run` differ in the last places (see `train_together`). Its metrics.json says so, with its share of
    the time as `wall_seconds`, and `resume_run` goes on with it in the same way; what was begun by itself goes on by itself.
    What cannot be trained so (see `reason_apart`) is trained one after another by `train_run`.

    Args:
        specs: The runs.
        folders: Of each run its own.
        loggers: As in `train_run`.
        verbose: 1 shows how far training is; of runs side by side, the first of them.

    Returns:
        Each run, or the error with which it ended early, in which case others go on. Ctrl-C ends all of them, with their last
        finished epochs.

    Raises:
        OptionError: There is no run, they differ in something else, one is an ensemble, or a folder is given twice.
        RunError: A folder holds another run, or another process trains into it.
        QLSTMError: As in `train_run`.
        KeyboardInterrupt: Ctrl-C before each had finished an epoch.
    """
    outs = [Path(out) for out in folders]
    _require_group(specs, outs)
    with built_once():
        return _train(specs, outs, loggers, verbose)


def _train(specs: Sequence[RunSpec], outs: Sequence[Path], loggers: Sequence[str], verbose: int) -> list[Run | TrainingError]:
    settled, dataset, module = settle(specs[0])
    found: dict[int, Run | TrainingError] = {}
    for place, (spec, out) in enumerate(zip(specs, outs, strict=True)):
        if exists(out / CONFIG):
            require_same_settled(out, spec, settled.model_copy(update={name: getattr(spec, name) for name in _OWN}))
            if not is_unfinished(out):
                found[place] = load_run(out, trust=True)  # it names the code that the caller names
        else:
            refuse_existing(out)
    left = [place for place in range(len(specs)) if place not in found]
    alone = [place for place in left if _is_begun_alone(outs[place])]
    if left != alone and _reason_apart(settled, dataset) is not None:
        alone = left
    _one_after_another(specs, outs, alone, found, loggers, verbose)
    left = [place for place in left if place not in alone]
    at_once = _at_once(settled, dataset, module) if left else 1
    for places in (left[first : first + at_once] for first in range(0, len(left), at_once)):
        _require_uninterrupted(found)
        group = [settled.model_copy(update={name: getattr(specs[place], name) for name in _OWN}) for place in places]
        done = _side_by_side(group, [outs[place] for place in places], dataset, loggers, verbose)
        found |= dict(zip(places, done, strict=True))
    return [found[place] for place in range(len(specs))]


def _is_begun_alone(out: Path) -> bool:
    """Whether a folder has epochs of a training by itself, by whose bits it goes on."""
    if not exists(out / CHECKPOINT):
        return False
    progress = read_progress(out / CHECKPOINT)
    return progress.epoch > 0 and not progress.together


def _require_uninterrupted(found: Mapping[int, Run | TrainingError]) -> None:
    """Let Ctrl-C end those as well that have not begun."""
    if any(isinstance(run, Run) and run.metrics["interrupted"] for run in found.values()):
        raise KeyboardInterrupt


def _require_group(specs: Sequence[RunSpec], outs: Sequence[Path]) -> None:
    if not specs or len(specs) != len(outs):
        raise OptionError(
            f"{len(specs)} runs and {len(outs)} folders were given; give at least one run, and a folder for each."
        )
    places = [out.resolve() for out in outs]
    twice = next((out for out in places if places.count(out) > 1), None)
    if twice is not None:
        raise OptionError(f"the folder {twice} is given twice; each run needs its own.")
    if specs[0].replicas != 1:
        raise OptionError(
            f"replicas={specs[0].replicas}: each of these runs has one model; leave it out, or train an ensemble by train_run."
        )
    for spec in specs[1:]:
        differing = [name for name, value in specs[0] if name not in _OWN and getattr(spec, name) != value]
        if differing:
            raise OptionError(
                f"these runs differ in {', '.join(differing)}; give ones that differ in {' and '.join(_OWN)} alone."
            )


def reason_one_by_one(spec: RunSpec) -> str | None:
    """Why runs that differ from this one in their seeds alone are trained one after another, in words; None if side by side.

    Args:
        spec: The run.
    """
    spec, dataset = spec.on(spec.backend_options or spec.backend), spec.data.load()
    return _reason_apart(with_own_circuits(spec, len(dataset.features)), dataset)


def _reason_apart(spec: RunSpec, dataset: Dataset) -> str | None:
    if spec.backend_options is not None and spec.backend_options.leaves:
        return f"circuits of backend {spec.backend} leave this machine"
    return fit_side_by_side([spec.estimator()], (dataset.x_train, dataset.answers, None), {}, dry=True)


def _at_once(spec: RunSpec, dataset: Dataset, module: Forecaster) -> int:
    """How many runs may be side by side: their bits do not depend on it."""
    samples = (spec.batch_size or len(dataset.x_train)) * spec.repeats
    each = replica_bytes(module, samples=samples, calls=dataset.window * spec.num_layers)
    return min(_MOST, max(1, int(_SHARE * free_bytes(torch.device("cpu"))) // max(each, 1)))


def _one_after_another(
    specs: Sequence[RunSpec],
    outs: Sequence[Path],
    places: Sequence[int],
    found: dict[int, Run | TrainingError],
    loggers: Sequence[str],
    verbose: int,
) -> None:
    for place in places:
        spec, out = specs[place], outs[place]
        _require_uninterrupted(found)
        try:
            if exists(out / CONFIG):
                run = resume_run(out, loggers=loggers, verbose=verbose, trust=True)
            else:
                run = train_run(spec, out, loggers=loggers, verbose=verbose)
        except TrainingError as error:
            found[place] = error
        else:
            found[place] = run


def _side_by_side(
    specs: Sequence[RunSpec], outs: Sequence[Path], dataset: Dataset, loggers: Sequence[str], verbose: int
) -> list[Run | TrainingError]:
    """Train settled runs on one data set, each from its checkpoint if it has one."""
    started, members = time.perf_counter(), [_Member(spec, out) for spec, out in zip(specs, outs, strict=True)]
    with contextlib.ExitStack() as stack:
        errors: dict[int, TrainingError] = {}
        try:
            for member in members:
                member.begin(stack, dataset, loggers, verbose)
            reason = fit_side_by_side(
                [member.estimator for member in members], (dataset.x_train, dataset.answers, None), errors
            )
            assert reason is None, reason
        except BaseException:
            for member in members:
                member.give_up()
            raise
        share = (time.perf_counter() - started) / len(members)
        return [member.finish(errors.get(place), share) for place, member in enumerate(members)]


class _Member:
    """One of the runs of a group.

    Args:
        spec: The run, settled.
        out: Its folder.
    """

    def __init__(self, spec: RunSpec, out: Path) -> None:
        self.spec, self.out = spec, out
        self.loggers: list[Callback] = []
        self.made: list[Path] | None = None  #: Folders that were made for it, once it is the only one that writes into them.
        self.estimator: Estimator
        self.folder: TrainingFolder

    def begin(self, stack: contextlib.ExitStack, dataset: Dataset, loggers: Sequence[str], verbose: int) -> None:
        """Claim the folder for as long as the stack lasts, and write what is known before training."""
        spec, out = self.spec, self.out
        start = None if spec.start is None else read_start(spec.start)
        begun = exists(out / CONFIG)
        if begun:
            spec = self.spec = load_spec(out)
        made = make_folders(out)
        stack.enter_context(claimed(out))
        if not begun:
            refuse_existing(out)  # another process may have been faster
            self.made = made
        elif not is_unfinished(out):
            raise RunError(f"{out} has been finished by another process; give the same command again.")
        self.loggers = make_loggers(loggers, out, spec)
        self.folder = TrainingFolder.begin(out, spec, dataset, None)
        self.folder.together = True
        self.estimator = spec.estimator(
            verbose=verbose,
            start=start,
            callbacks=[self.folder.recorder, *self.loggers],
            checkpoint=self.folder.checkpoint,
        )

    def finish(self, failed: TrainingError | None, share: float) -> Run | TrainingError:
        """Write what has become of it; `share`: its seconds of the training."""
        try:
            return self.folder.finish(self.estimator, failed, seconds=share)
        except TrainingError as error:
            self.give_up()
            return error

    def give_up(self) -> None:
        """Leave nothing behind that cannot be gone on with."""
        note_failure(self.loggers)
        if self.made is not None and not (self.out / MODEL).exists():
            clear(self.out, self.made)
