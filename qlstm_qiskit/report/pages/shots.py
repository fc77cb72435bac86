"""What shots make of a run's error, on its page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

from qlstm_qiskit.errors import QLSTMError, RunError
from qlstm_qiskit.experiments import Run
from qlstm_qiskit.experiments.runs.shots import MOST_QUBITS, SHOTS, ShotCurve, expected_errors, widest_circuit
from qlstm_qiskit.experiments.runs.trust import require_trusted
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.report.pages.content import DataGrid, Plot, Section, Text, csv_file, number
from qlstm_qiskit.report.pages.figures import INK, axis, line, log_axis, plotted

#: Few numbers of shots and few repeats: a page is made in seconds.
_NUMBERS, _REPEATS = SHOTS[::2], 4


def shots_section(run: Run, backend: BackendSpec | None, backends: Path | None) -> Iterator[Section]:
    """Errors against shots; none of a model without circuits, or with circuits that the exact interpreter does not take.

    Of wide circuits it says how to find them.

    Args:
        run: The run.
        backend: What it was trained on; its noise is part of it, unless it may leave this machine, or calls code that only the
            run folder names.
        backends: As in `write_report`.
    """
    if not run.layers:
        return
    widest = widest_circuit(run)
    if widest > MOST_QUBITS:
        yield Section("Shots", [Text(f"On {widest} qubits it takes minutes to find what shots change: qlstm shots RUN.")])
        return
    try:
        curve = expected_errors(run.path, _trusted(run, backend, backends).inside(), _NUMBERS, repeats=_REPEATS)
    except QLSTMError:
        return
    text = (
        f"The model evaluated with shots {curve.where}, by the exact interpreter; each error is the mean of {_REPEATS} "
        "evaluations of the test part with fresh shots."
    )
    yield Section("Shots", [Text(text), shots_plot(run, curve), *_tables(run, curve)])


def _trusted(run: Run, backend: BackendSpec | None, backends: Path | None) -> BackendSpec:
    if backend is None or not backend.local:  # a page is made offline
        return EXACT
    try:
        require_trusted(run.path, run.spec.on(backend), False, backends)
    except RunError:
        return EXACT
    return backend


def shots_plot(run: Run, curve: ShotCurve) -> Plot:
    """Error against shots beside what is left of it with ever more of them, and the naive forecasts."""
    shots, task = list(curve.shots), run.spec.task
    levels = [("model, exact values of ideal circuits", curve.model, "green", "dash")]
    if curve.noise_of is not None:
        levels.append(("model and device, without shot noise", curve.without_shots, "orange", "dashdot"))
    naive = zip(curve.naive.items(), itertools.cycle((INK, "purple")), strict=False)
    levels += [(f"no model: {task.naive[name]}", error, colour, "dot") for (name, error), colour in naive]
    bars = {"type": "data", "array": list(curve.standard_errors), "color": "blue", "thickness": 1}
    traces = [line("with shots", shots, curve.errors, "blue", error_y=bars)]
    traces += [line(name, shots, [error] * len(shots), colour, dash, mode="lines") for name, error, colour, dash in levels]
    ticks = [f"{count:,}" for count in shots]
    figure = plotted(
        traces,
        axis("shots of each circuit", type="log", tickmode="array", tickvals=shots, ticktext=ticks, tickangle=0),
        log_axis(f"{task.title} ({task.unit})", [*curve.errors, *(error for _, error, _, _ in levels)]),
        hovermode="x unified",
    )
    columns = {
        "shots": shots,
        task.metric: curve.errors,
        "standard_error": curve.standard_errors,
        **{name: [error] * len(shots) for name, error in {"model": curve.model, "device": curve.device, **curve.naive}.items()},
    }
    caption = f"{task.words.capitalize()} on the test part against shots, logarithmic axes; bars are standard errors."
    return Plot("shots", caption, figure, csv_file("shots", columns))


def _tables(run: Run, curve: ShotCurve) -> Iterator[DataGrid]:
    shown = run.spec.task.shown
    rows = [
        [f"{count:,}", number(error), number(spread), number(max(error - curve.without_shots, 0.0))]
        for count, error, spread in zip(curve.shots, curve.errors, curve.standard_errors, strict=True)
    ]
    caption = "On the test part; of shots: what is left of an error without those of model and device."
    yield DataGrid(caption, ["shots", shown, "standard error", "of shots"], rows)
    most = f"more than {curve.shots[-1]:,}"
    beats, within = (most if value is None else f"{value:,.0f}" for value in (curve.beats_naive, curve.within_tenth))
    if curve.without_shots > min(curve.naive.values(), default=math.inf):
        beats = "none is enough"
    rows = [["model", number(curve.model)]]
    rows += [] if curve.noise_of is None else [["device adds", number(curve.device)]]
    rows += [[curve.task.naive[name], number(error)] for name, error in curve.naive.items()]
    rows += [["shots to beat naive", beats]] if curve.naive else []
    rows.append(["shots within 10 %", within])
    caption = (
        f"Parts of the {shown}, and the numbers of shots from which on it stays below that of every naive forecast and within "
        "10 % of that without shot noise, read off straight lines in the figure. The model's part is that of exact values of "
        "ideal circuits."
    )
    yield DataGrid(caption, ["", "value"], rows)
