"""Records of a scaling plan without measuring anything."""

from typing import Any

from qlstm_qiskit.experiments.scaling.measure import Measured, Point, ScalingPlan, ScalingRecord
from qlstm_qiskit.experiments.scaling.step_cost import spread

TINY = ScalingPlan(base=Point(hidden=1, depth=1, candidates=2, window=2), axes={"hidden": (1, 2)}, epochs=1, seeds=2, repeats=1)


def made_up(plan: ScalingPlan, point: Point, environment: dict[str, Any], jobs: int = 1) -> ScalingRecord:
    """What `measure_point` would return, with figures that follow from the point."""
    grows = point.depth * point.candidates * point.hidden * point.window
    errors = tuple(0.01 * (seed + 1) ** 2 / grows for seed in range(plan.seeds))
    figures = {"n_parameters": 10 * grows, "n_circuits": 4 * point.candidates, "test_mse": errors}
    ours = Measured(step_ms=float(grows), memory_mib=grows / 8, loaded_mib=120.0, **figures)
    theirs = Measured(step_ms=0.5, memory_mib=0.25, loaded_mib=80.0, n_parameters=7, n_circuits=0, test_mse=errors[::-1])
    return ScalingRecord(
        point=point, circuits=spread(point.candidates).names, path="form", qlstm=ours, lstm=theirs, environment=environment
    )


def records_of(plan: ScalingPlan, **environment: Any) -> list[ScalingRecord]:
    """All records of a plan."""
    return [made_up(plan, point, environment) for point in plan.points()]
