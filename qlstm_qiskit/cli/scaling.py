"""`qlstm scaling`: time, memory and accuracy against the size of the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.completion import NAMES, known, names
from qlstm_qiskit.cli.options import Json
from qlstm_qiskit.cli.output import Steps, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlstm_qiskit.experiments.scaling.measure import ScalingPlan, ScalingRecord


def scaling(
    out: Annotated[Path, typer.Option(help="Folder of the results; points that it holds are not measured again.")],
    axes: Annotated[
        str | None,
        typer.Option(
            help="What to vary: depth, candidates, hidden or window, separated by commas.", show_default="all of them"
        ),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(help="A series by name, e.g. damped_shm.", autocompletion=names("dataset"), callback=known("dataset")),
    ] = "damped_shm",
    epochs: Annotated[int, typer.Option(help="Epochs of the trainings whose test errors are compared.")] = 20,
    seeds: Annotated[int, typer.Option(help="Number of trainings of each model at each point.")] = 3,
    repeats: Annotated[int, typer.Option(help="Number of training steps that are timed at each point.")] = 200,
    jobs: Annotated[
        int, typer.Option(help="Number of processes for the trainings; time and memory are measured one by one.")
    ] = 1,
    json: Json = False,
) -> None:
    """Measure a training step's time and memory, and the test error, against depth, candidates, hidden size and window.

    One of these varies at a time, starting from hidden size 3, depth 2, 36 candidates and window 4; torch.nn.LSTM is measured
    beside the model. The same command continues what was interrupted.

    Example: qlstm scaling --axes depth,window --jobs 2 --out scaling
    """
    asked = list(NAMES["axis"]) if axes is None else known("axis")([name.strip() for name in axes.split(",")])
    from qlstm_qiskit.experiments.scaling.measure import AXES, ScalingPlan, measure_scaling
    from qlstm_qiskit.report.scaling import write_scaling

    chosen = {axis: AXES[axis] for axis in asked}
    plan = ScalingPlan(axes=chosen, dataset=dataset, epochs=epochs, seeds=seeds, repeats=repeats)
    try:
        with Steps("points") as steps:
            records = measure_scaling(plan, out, jobs=jobs, report=lambda n, of, record: steps(n, of, _said(record)))
    except KeyboardInterrupt:
        print(f"interrupted; the points that were measured are in {out}; go on with the same command", file=sys.stderr)
        raise typer.Exit(130) from None
    files = [str(path) for path in write_scaling(plan, records, out)]
    if json:
        points = [record.model_dump(mode="json") for record in records]
        print_json({"out": str(out), "plan": plan.model_dump(mode="json"), "points": points, "files": files})
        return
    _print_scaling(plan, records)
    print(f"Written: {', '.join([str(out / 'scaling.jsonl'), *files])}")


def _said(record: ScalingRecord) -> str:
    size = ", ".join(f"{name} {value}" for name, value in record.point.model_dump().items())
    return f"{size}: {record.qlstm.step_ms:.3g} ms per step"


def _print_scaling(plan: ScalingPlan, records: Sequence[ScalingRecord]) -> None:
    from qlstm_qiskit.report.scaling import axes_of, error_range

    header = ["ms", "ratio", "MiB", "MSE", "nn.LSTM", "circuits", "parameters"]
    for axis, own in axes_of(plan, records).items():
        rows = [
            [
                getattr(record.point, axis),
                f"{record.qlstm.step_ms:.3g}",
                f"{record.qlstm.step_ms / record.lstm.step_ms:.2f}",
                f"{record.qlstm.memory_mib:.1f}",
                *(f"{error_range(measured)[0]:.2g}" for measured in (record.qlstm, record.lstm)),
                record.qlstm.n_circuits,
                record.qlstm.n_parameters,
            ]
            for record in own
        ]
        print_table(f"Along {axis}", [axis, *header], rows)
    print(
        "ms: a training step; ratio: to torch.nn.LSTM of the same hidden size and window; MiB: peak memory of model and step, "
        "without what is loaded once; MSE: of the test part, scaled units, beside that of nn.LSTM. Medians (steps: "
        f"{plan.repeats}, seeds: {plan.seeds}, epochs: {plan.epochs})."
    )
