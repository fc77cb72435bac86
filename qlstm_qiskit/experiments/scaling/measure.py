"""Time, memory and accuracy of the quantum LSTM against its size, beside `torch.nn.LSTM` of the same hidden size and window."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from joblib import Parallel, delayed
from pydantic import BaseModel, ConfigDict

from qlstm_qiskit.data import load_dataset
from qlstm_qiskit.errors import LARGEST, OptionError, RunError, TrainingError, require_at_least, unknown_option
from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.experiments.runs.load import predict_windows, read_lines, validated
from qlstm_qiskit.experiments.scaling.step_cost import (
    COMPARED,
    Point,
    alternating_ms,
    memory_apart,
    one_thread,
    regressor_at,
    spread,
    training_step,
)
from qlstm_qiskit.storage import claimed, exists, make_folders, strict_json, write_atomically

POINTS = "scaling.jsonl"

#: Trainings of a model at a point.
_MOST_SEEDS = 100_000

#: Axis, a field of `Point` -> the values that it takes.
AXES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"depth": (1, 2, 3, 5, 8), "candidates": (1, 6, 12, 24, 36), "hidden": (1, 2, 3, 4, 5, 6), "window": (2, 4, 8, 16)}
)


class ScalingPlan(BaseModel):
    """What is measured: points on axes through a base point, and how.

    Attributes:
        base: The point that is left along one axis at a time.
        axes: Names in `AXES`, and the values that each takes.
        dataset: Name of a series, see `load_dataset`.
        batch: Windows in an optimiser step.
        epochs, seeds: Of the trainings whose test errors are compared; seeds count from 0.
        repeats: Training steps of each model that are timed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Point = Point()
    axes: Mapping[str, tuple[int, ...]] = dict(AXES)
    dataset: str = "damped_shm"
    batch: int = 10
    epochs: int = 20
    seeds: int = 3
    repeats: int = 200

    def points(self) -> tuple[Point, ...]:
        """The points, axis after axis, each once.

        Raises:
            OptionError: An unknown axis or series, no axis, or a number that is not allowed.
            DataError: The series is too short for a window.
        """
        if not self.axes:
            raise OptionError(f"no axis is given; choose of {', '.join(AXES)}.")
        for axis in self.axes:
            if axis not in AXES:
                raise unknown_option("axis", axis, AXES)
        for name in ("batch", "epochs", "seeds", "repeats"):
            require_at_least(name, getattr(self, name), 1, _MOST_SEEDS if name == "seeds" else LARGEST)
        points = [self.base.model_copy(update={axis: value}) for axis, values in self.axes.items() for value in values]
        for point in points:
            for name, value in point.model_dump().items():
                require_at_least(name, value, 1)
            spread(point.candidates)
            load_dataset(self.dataset, window=point.window)
        return tuple(dict.fromkeys(points))


class Measured(BaseModel):
    """What was measured of one model at a point.

    Attributes:
        step_ms: Median time of a training step: forward, backward and the optimiser; one thread.
        memory_mib, loaded_mib: What the model adds to the peak of a process, and what a smallest one adds; see `memory_apart`.
        n_parameters: Trained numbers, those of the read-out among them.
        n_circuits: Circuits that a time step evaluates for one window.
        test_mse: After the last epoch, scaled units, for each seed; None where it diverged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step_ms: float
    memory_mib: float
    loaded_mib: float
    n_parameters: int
    n_circuits: int
    test_mse: tuple[float | None, ...]


class ScalingRecord(BaseModel):
    """A line of `scaling.jsonl`.

    Attributes:
        point: Of the quantum LSTM.
        circuits: Names of the candidates.
        path: How they were evaluated in the timed steps, see `CircuitBank.path`.
        qlstm, lstm: What was measured of it, and of `torch.nn.LSTM` of the same hidden size and window.
        environment: Commit, versions and processor, see `runner.environment`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    point: Point
    circuits: tuple[str, ...]
    path: str
    qlstm: Measured
    lstm: Measured
    environment: dict[str, Any]


def measure_scaling(
    plan: ScalingPlan, out: Path | str, *, jobs: int = 1, report: Callable[[int, int, ScalingRecord], None] | None = None
) -> tuple[ScalingRecord, ...]:
    """Measure the points of a plan that a folder does not hold yet; each is written as soon as it is measured.

    Args:
        plan: The plan. The folder may hold points of the same plan on other axes.
        out: The folder.
        jobs: Processes that train for the test errors; time and memory are measured while nothing else runs here.
        report: Called with the number of points that were measured, that of all that were missing, and the last record.

    Returns:
        All records of the folder.

    Raises:
        OptionError, DataError: As of `ScalingPlan.points`.
        RunError: The folder holds another plan, is damaged or in use, or cannot be written to.
    """
    points, out = plan.points(), Path(out)
    require_at_least("jobs", jobs, 1)
    make_folders(out)
    with claimed(out):
        records = {record.point: record for record in _read(plan, out / POINTS)}
        missing = [point for point in points if point not in records]
        here = environment()
        for number, point in enumerate(missing, 1):
            records[point] = measure_point(plan, point, here, jobs)
            lines = [strict_json({"plan": _conditions(plan)}), *(record.model_dump_json() for record in records.values())]
            write_atomically(out / POINTS, "\n".join(lines) + "\n")
            if report is not None:
                report(number, len(missing), records[point])
    return tuple(records.values())


def measure_point(plan: ScalingPlan, point: Point, environment: dict[str, Any], jobs: int = 1) -> ScalingRecord:
    """Measure both models at a point; arguments as in `measure_scaling`."""
    with one_thread():
        steps = [training_step(point, model, plan.dataset, plan.batch) for model in COMPARED]
        times = alternating_ms([run for _, run in steps], plan.repeats)
    memory = memory_apart(point, plan.dataset, plan.batch)
    work = [(model, seed) for model in COMPARED for seed in range(plan.seeds)]
    errors = Parallel(n_jobs=min(jobs, len(work)), backend="loky")(
        delayed(last_error)(plan, point, model, seed) for model, seed in work
    )
    lstm, qlstm = (
        Measured(
            step_ms=times[place],
            **memory[place],
            n_parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
            n_circuits=module.circuits.n_circuits if module.circuits is not None else 0,
            test_mse=errors[place * plan.seeds : (place + 1) * plan.seeds],
        )
        for place, (module, _) in enumerate(steps)
    )
    layer = steps[1][0].circuits
    assert layer is not None
    bank = next(layer.layers()).bank
    return ScalingRecord(
        point=point,
        circuits=tuple(candidate.name for candidate in bank.candidates),
        path=bank.path(samples=plan.batch, calls=point.window),
        qlstm=qlstm,
        lstm=lstm,
        environment=environment,
    )


def last_error(plan: ScalingPlan, point: Point, model: str, seed: int) -> float | None:
    """The test error of a model after the last epoch, trained in the paper's way; None where it diverges."""
    data = load_dataset(plan.dataset, window=point.window)
    with one_thread():
        regressor = regressor_at(point, model, max_epochs=plan.epochs, batch_size=plan.batch, seed=seed)
        try:
            regressor.fit(data.x_train, data.y_train)
        except TrainingError:
            return None
        if regressor.interrupted_:  # Ctrl-C, which leaves a training at its last finished epoch
            raise KeyboardInterrupt
        return regressor.task.errors(data, predict_windows(regressor.module_, data.x_test))[regressor.task.metric]


def along(axis: str, base: Point, records: Sequence[ScalingRecord]) -> list[ScalingRecord]:
    """The records on an axis through the base point, by its values."""
    own = [record for record in records if record.point == base.model_copy(update={axis: getattr(record.point, axis)})]
    return sorted(own, key=lambda record: int(getattr(record.point, axis)))


class _Header(BaseModel):
    """The first line of the file."""

    plan: dict[str, Any]


def _conditions(plan: ScalingPlan) -> dict[str, Any]:
    """What all points of a file have in common."""
    return plan.model_dump(mode="json", exclude={"axes"})


def load_scaling(out: Path | str) -> tuple[ScalingPlan, list[ScalingRecord]]:
    """The plan of a folder, which names no axes, and what was measured.

    Raises:
        RunError: It is missing or damaged.
    """
    path = Path(out) / POINTS
    lines = read_lines(path)
    plan = validated(_Header, lines[0] if lines else None, path).plan
    return validated(ScalingPlan, plan | {"axes": {}}, path), [validated(ScalingRecord, line, path) for line in lines[1:]]


def _read(plan: ScalingPlan, path: Path) -> list[ScalingRecord]:
    """The records of a file, which must be of this plan."""
    if not exists(path):
        return []
    found, records = load_scaling(path.parent)
    there, here = _conditions(found), _conditions(plan)
    other = [name for name in here if there[name] != here[name]]
    if other:
        said = ", ".join(f"{name} ({json.dumps(there[name])} there, {json.dumps(here[name])} here)" for name in other)
        raise RunError(f"{path} holds another plan: it differs in {said}. Give the same options, or another folder.")
    return records
