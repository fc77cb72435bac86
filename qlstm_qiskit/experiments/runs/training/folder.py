"""The folder of a run while it is trained: what is written before, in each epoch, and after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import DataError, TrainingError
from qlstm_qiskit.experiments.runs.load import CHECKPOINT, CONFIG, METRICS, MODEL, Run, load_run, load_spec
from qlstm_qiskit.experiments.runs.metrics import errors_of, run_metrics, stages_before
from qlstm_qiskit.experiments.runs.own import SPACE, OwnSpace
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.storage import exists, strict_json, write_atomically
from qlstm_qiskit.training.checkpoint import read_progress
from qlstm_qiskit.training.estimator import Estimator

#: What metrics.json says of a run that was trained side by side, whose last bits differ from those of one by itself.
SIDE_BY_SIDE = {"trained": "side by side"}


@dataclass
class TrainingFolder:
    """A folder that a run is trained into.

    Attributes:
        out: It.
        spec: The run, settled.
        dataset: Its data.
        checkpoint: The file that training goes on from; None where a device's record is replayed from the start instead.
        recorder: The callback that writes epochs.
        seconds: Time spent on the epochs before an interruption.
        together: Whether those epochs were trained side by side with other runs, so that the next ones are as well.
    """

    out: Path
    spec: RunSpec
    dataset: Dataset
    checkpoint: Path | None
    recorder: Recorder
    seconds: float
    together: bool = False

    @classmethod
    def begin(cls, out: Path, spec: RunSpec, dataset: Dataset, module: Forecaster | None) -> TrainingFolder:
        """Write what is known before training, into a folder that is there.

        Args:
            out: The folder; there may be epochs in it already.
            spec: The run, settled.
            dataset: Its data.
            module: A model on the exact interpreter, for test errors where circuits leave this machine.
        """
        leaves = _options(spec).leaves
        checkpoint = None if leaves else out / CHECKPOINT
        before = None if checkpoint is None or not exists(checkpoint) else read_progress(checkpoint)
        recorder = Recorder(out, spec, dataset, module if leaves else None, before.epoch if before is not None else 0)
        seconds = sum(json.loads(line).get("seconds", 0.0) for line in recorder.lines.values())
        if isinstance(spec.space, OwnSpace):
            write_atomically(out / SPACE, spec.space.qpy)
        write_atomically(out / CONFIG, spec.model_dump_json(indent=2) + "\n")
        return cls(out, spec, dataset, checkpoint, recorder, seconds, before is not None and before.together)

    def finish(self, estimator: Estimator, failed: TrainingError | None, *, seconds: float) -> Run:
        """Write what a training has come to.

        Args:
            estimator: That was fitted.
            failed: The error that ended it early.
            seconds: That this call has taken.

        Raises:
            TrainingError: It diverged; the folder keeps the epochs before, if there are any.
        """
        out, spec, options, seconds = self.out, self.spec, _options(self.spec), self.seconds + seconds
        if failed is None:
            (out / METRICS).unlink(missing_ok=True)  # those of the epochs before an interruption
            self.recorder.record(estimator.module_, estimator.history_[-1])  # Ctrl-C may have come between training and writing
        elif not (out / MODEL).exists():
            raise failed
        interrupted = failed is not None or estimator.interrupted_
        run = load_run(out, backend=EXACT if options.leaves else None, trust=True)
        run.__dict__["dataset"] = self.dataset  # the file need not be read once more
        try:
            found = _metrics(run, self.dataset, options, interrupted, seconds) | (SIDE_BY_SIDE if self.together else {})
            write_atomically(out / METRICS, strict_json(found, indent=2) + "\n")
        except DataError as error:  # the data is finite, so the last step diverged
            raise TrainingError(f"training diverged: {error} Lower the learning rate (lr={spec.lr}).") from error
        if failed is not None:
            raise TrainingError(f"{failed} {out} keeps the earlier epochs.") from failed
        if self.checkpoint is not None and not interrupted:
            self.checkpoint.unlink(missing_ok=True)
        return run


def _options(spec: RunSpec) -> BackendSpec:
    assert spec.backend_options is not None  # it is settled
    return spec.backend_options


def _metrics(run: Run, dataset: Dataset, options: BackendSpec, interrupted: bool, seconds: float) -> dict[str, Any]:
    """What metrics.json says of the folder's model."""
    metrics = run_metrics(run, dataset) | {"interrupted": interrupted, "wall_seconds": seconds, "backend": options.name}
    stages = stages_before(run)
    if stages:
        fraction = load_spec(Path(run.spec.start.run)).valid_fraction if run.spec.start else 0.0
        metrics["stages"] = stages | {"fine_tuned": errors_of(run, dataset, fraction)}
    if options.leaves:
        metrics["path"] = "primitives"
    if options.guard.dry_run:
        metrics["dry_run"] = True
    return metrics
