"""`qlstm shots`, and what it says after a training."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.completion import backend_names
from qlstm_qiskit.cli.options import BackendsFile, Json, RunFolder
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError, QLSTMError

if TYPE_CHECKING:
    from qlstm_qiskit.experiments import Run
    from qlstm_qiskit.experiments.runs.shots import ShotCurve

#: Windows of a test part up to which a training ends with what its model would score with shots: these take some seconds.
MOST_WINDOWS = 20_000


def shots(
    run: RunFolder,
    backend: Annotated[
        str,
        typer.Option(help="A backend of kind statevector with shots, whose number is varied.", autocompletion=backend_names),
    ] = "exact-shots",
    numbers: Annotated[
        str | None, typer.Option("--shots", help="Numbers of shots, separated by commas.", show_default="64 to 65,536, doubled")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Evaluations with fresh shots that are averaged.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the shots.")] = 0,
    backends: BackendsFile = None,
    json: Json = False,
) -> None:
    """Say how many shots a trained model needs: its test error against shots, as a table and a figure.

    The error is split into that of the model, what the device adds, and what the shots add. Nothing is submitted.

    Example: qlstm shots runs/demo

    Example: qlstm shots runs/demo --backend exact-noise-fez

    Example: qlstm shots runs/demo --shots 256,1024,4096 --repeats 20
    """
    from qlstm_qiskit.hardware import find_spec

    spec = find_spec(backend, backends)
    from qlstm_qiskit.experiments.runs.shots import SHOTS, shot_curve
    from qlstm_qiskit.report.shots import draw_shots

    asked = SHOTS if numbers is None else tuple(_number(text) for text in numbers.split(","))
    curve = shot_curve(run, asked, backend=spec, repeats=repeats, seed=seed)
    figure = run / "shots.png"
    draw_shots(figure, curve)
    if json:
        needed = {"beats_naive": curve.beats_naive, "within_tenth": curve.within_tenth}
        print_json({"run": str(run), **asdict(curve), **needed, "figure": str(figure)})
        return
    _print_curve(run, curve)
    print(f"Figure: {figure}")


def shots_line(run: Run) -> list[str]:
    """What a trained model would score with common numbers of shots, and a warning where no model is better; nothing for a
    model without circuits, or with circuits too large for the exact interpreter.
    """
    from qlstm_qiskit.experiments.runs.shots import MOST_QUBITS, expected_errors, widest_circuit
    from qlstm_qiskit.hardware import EXACT

    if not run.layers:
        return []
    if len(run.dataset.x_test) > MOST_WINDOWS:
        return [f"What it would score with shots takes a while for {len(run.dataset.x_test):,} windows: qlstm shots {run.path}"]
    widest = widest_circuit(run)
    if widest > MOST_QUBITS:
        return [f"What it would score with shots takes a while on {widest} qubits: qlstm shots {run.path}"]
    try:
        trained_on = run.spec.backend_options or EXACT
        curve = expected_errors(run.path, trained_on.inside(), (256, 1024, 4096), repeats=4)
    except QLSTMError:
        return []
    errors = ", ".join(f"{error:.3g} with {number:,}" for number, error in zip(curve.shots, curve.errors, strict=True))
    lines = [f"With shots {curve.where} ({curve.task.words}, {curve.task.unit}): {errors}; {curve.model:.3g} without"]
    naive = min(curve.naive.values(), default=math.inf)
    worse = [number for number, error in zip(curve.shots, curve.errors, strict=True) if error > naive]
    if worse and curve.model < naive:
        advice = "Take more shots, or train longer"
        if trained_on.exact:
            advice = "For a device train with its shots and noise: --backend exact-noise-fez --recipe device"
        best = curve.task.naive[min(curve.naive, key=lambda name: curve.naive[name])]
        lines.append(
            f"Warning: with {worse[-1]:,} shots or fewer this model is worse than {best}. {advice}; "
            f"see `qlstm shots {run.path}`."
        )
    return lines


def _print_curve(run: Path, curve: ShotCurve) -> None:
    rows = [
        [f"{number:,}", error, spread, max(error - curve.without_shots, 0.0)]
        for number, error, spread in zip(curve.shots, curve.errors, curve.standard_errors, strict=True)
    ]
    title = f"{curve.task.title} of {run} on the test part ({curve.task.unit}), {curve.backend}"
    print_table(title, ["shots", "error", "standard error", "of it shots"], rows)
    print(f"Model, exact values of ideal circuits: {curve.model:.3g}; the device adds {curve.device:.3g}")
    for name, error in curve.naive.items():
        print(f"No model, {curve.task.naive[name]}: {error:.3g}")
    most = f"more than {curve.shots[-1]:,}"
    beats, within = (most if value is None else f"{value:,.0f}" for value in (curve.beats_naive, curve.within_tenth))
    if curve.naive and curve.without_shots >= min(curve.naive.values()):
        beats = "none is enough"
    print(f"Shots from which on the naive forecast is beaten: {beats}")
    print(f"Shots from which on the error is within 10 % of that without shot noise: {within}")


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise OptionError(f"--shots is {text!r}; give whole numbers, such as 256,1024,4096.") from None
