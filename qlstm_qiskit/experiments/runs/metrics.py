"""Metrics of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.data import Dataset, split_validation
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.experiments.runs.agreement import METRICS
from qlstm_qiskit.experiments.runs.ensemble import member_facts
from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.experiments.runs.intervals import interval_metrics
from qlstm_qiskit.experiments.runs.own import OwnSpace
from qlstm_qiskit.experiments.runs.reading import read_metrics
from qlstm_qiskit.storage import exists

if TYPE_CHECKING:
    from qlstm_qiskit.experiments.runs.run import Run


def run_metrics(run: Run, dataset: Dataset) -> dict[str, Any]:
    """The content of metrics.json, except for values that only the training knows.

    The error on the training windows, such as `train_mse`, does not include the validation part.
    """
    spec, fraction, task = run.spec, run.valid_fraction, run.spec.task
    models = [member.forecaster for member in run.members]
    recurrent = models[0].circuits
    each = run.each_scaled(dataset.x_test)
    predictions = task.joint(each)
    test = task.errors(dataset, predictions)
    n_trained, _ = split_validation(len(dataset.x_train), dataset.horizon, fraction)
    valid = {}
    if fraction:
        valid = {task.valid: error_of(run, dataset, *dataset.validation(fraction), dataset.first_validation(fraction))}
    return {
        "dataset": dataset.name,
        "model": spec.model,
        "seed": spec.seed,
        "epochs": run.epochs,
        "hidden_size": spec.hidden_size,
        "depth": recurrent.depth if recurrent is not None else None,
        "search": None if spec.search is None else spec.search.name,
        **({"bank": spec.bank} if spec.bank != "circuits" else {}),
        **({"space": spec.space.digest} if isinstance(spec.space, OwnSpace) else {}),
        "backend": spec.backend,
        "evaluated_on": spec.backend,
        task.train: error_of(run, dataset, dataset.x_train[:n_trained], dataset.y_train[:n_trained], dataset.first_train),
        **valid,
        task.test: test[task.metric],
        "test": test,
        **task.references(dataset),
        **interval_metrics(run, dataset, predictions),
        **(_dates(dataset) if task.ahead else {}),
        **({"classes": list(run.header.classes.values)} if run.header.classes is not None else {}),
        "n_parameters": sum(p.numel() for module in models for p in module.parameters() if p.requires_grad),
        "n_circuits": sum(module.circuits.n_circuits for module in models if module.circuits is not None),
        "path": next(recurrent.layers()).bank.path(
            samples=(spec.batch_size or len(dataset.x_train)) * spec.repeats, calls=dataset.window
        )
        if recurrent is not None
        else None,
        **member_facts(run, dataset, each),
        **environment(),
    }


def _dates(dataset: Dataset) -> dict[str, Any]:
    """The first and last date that each part of the windows predicts, as files write dates; nothing for a series without."""
    if dataset.times is None:
        return {}
    times, last = dataset.times, dataset.horizon - 1
    parts = {name: rows for name, rows in zip(("train", "calibration", "test"), dataset.rows, strict=True) if len(rows)}
    spans = {name: times.written(times.dates[[rows[0], rows[-1] + last]]) for name, rows in parts.items()}
    return {"dates": {"column": times.column, "frequency": times.freq, **spans}}


def error_of(run: Run, dataset: Dataset, windows: Floats, targets: Floats, first: int | None = None) -> float:
    """The error of consecutive windows of a series, in scaled units of the series itself; `first` as of `Dataset.original`."""
    return run.spec.task.error(dataset.as_series(run.predict_scaled(windows), first), dataset.as_series(targets, first))


def errors_of(run: Run, dataset: Dataset, held_out: float) -> dict[str, Any]:
    """Metrics of a stage on the way to a derived model: errors (scaled) and number of circuits.

    Args:
        run: The stage.
        dataset: Its series.
        held_out: Part of the training windows that the search held out. The error on it is None if the stage, or the search,
            was trained on it.
    """
    task = run.spec.task
    errors = {task.test: error_of(run, dataset, dataset.x_test, dataset.y_test)}
    if 0 < held_out <= run.valid_fraction:
        errors[task.valid] = error_of(run, dataset, *dataset.validation(held_out), dataset.first_validation(held_out))
    layer = run.forecaster.circuits
    circuits = layer.n_circuits if layer is not None else 0
    found = {task.valid: errors.get(task.valid), task.test: errors[task.test]}
    return {"epochs": run.epochs, "n_circuits": circuits, **found}


def stages_before(run: Run) -> dict[str, Any]:
    """The stages before a run that started from a derived one, as measured when it was derived; none for other runs."""
    if run.spec.start is None or run.spec.genotype is None:
        return {}
    before = Path(run.spec.start.run)
    return dict(read_metrics(before / METRICS).get("stages", {})) if exists(before / METRICS) else {}
