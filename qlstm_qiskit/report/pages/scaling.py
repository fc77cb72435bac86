"""The page of a scaling folder: its curves and tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.scaling.measure import POINTS, Measured, ScalingRecord, load_scaling
from qlstm_qiskit.report.pages.content import DataGrid, Listing, Page, Panels, Plot, Section, Text, csv_file, json_file, stacked
from qlstm_qiskit.report.pages.figures import axis, line, log_axis, plotted
from qlstm_qiskit.report.scaling import LABELS, axes_of, environment_lines, error_range, scaling_table

Range = tuple[float, float, float]

#: Name -> title, label of the axis, whether it is logarithmic, and middle, lowest and highest value.
_FIGURES: dict[str, tuple[str, str, bool, Callable[[Measured], Range]]] = {
    "step": ("time of a training step", "time (ms)", True, lambda measured: (measured.step_ms,) * 3),
    "memory": ("memory of model and step", "memory (MiB)", False, lambda measured: (measured.memory_mib,) * 3),
    "error": ("test error, median and range over seeds", "MSE (scaled units)", True, error_range),
}
_MODELS = {"qlstm": ("quantum LSTM", "blue", "solid"), "lstm": ("torch.nn.LSTM", "black", "dash")}


def scaling_page(path: Path) -> Page:
    """The page of a folder that `qlstm scaling` has made.

    Raises:
        RunError: It is damaged, or nothing is measured yet.
    """
    plan, records = load_scaling(path)
    if not records:
        raise RunError(f"{path / POINTS} holds no point yet; go on with the `qlstm scaling` command that made it.")
    base = plan.base
    lead = [
        f"One axis at a time through hidden size {base.hidden}, depth {base.depth}, {base.candidates} candidates per gate, "
        f"window {base.window}; series {plan.dataset}, batch {plan.batch}, float64, one thread. Beside it torch.nn.LSTM of the "
        "same hidden size and window.",
        f"Steps: medians of {plan.repeats}. Memory: peak of a fresh process, without what is loaded once. Errors: of the test "
        f"part after {plan.epochs} epochs of the paper's training, {plan.seeds} seeds.",
    ]
    lines = axes_of(plan, records)
    sections = []
    for name, own in lines.items():
        heads, *rows = scaling_table(name, own)
        download = json_file(f"along-{name}", [record.model_dump(mode="json") for record in own])
        grid = DataGrid("All that was measured along this axis.", heads, stacked(rows), download=download)
        title = LABELS[name][0].upper() + LABELS[name][1:]
        sections.append(Section(title, [Panels([_plot(name, what, own) for what in _FIGURES], columns=3), grid]))
    if not lines:
        sections.append(Section("Points", [Text("No axis has two points yet.")]))
    made = [[str(place), text] for place, text in enumerate(environment_lines(records), 1)]
    sections.append(
        Section("Made with", [DataGrid("Where the points were measured.", ["", "environment"], made, left=("environment",))])
    )
    options = f"--dataset {plan.dataset} --epochs {plan.epochs} --seeds {plan.seeds} --repeats {plan.repeats}"
    sections.append(Section("Make it again", [Listing(f"qlstm scaling {options} --out again")]))
    return Page("scaling", "Scaling of the quantum LSTM", lead, sections)


def _plot(name: str, what: str, own: list[ScalingRecord]) -> Plot:
    title, unit, logarithmic, values = _FIGURES[what]
    x = [int(getattr(record.point, name)) for record in own]
    columns: dict[str, list[float | None]] = {name: [float(value) for value in x]}
    traces = []
    for key, (model, colour, dash) in _MODELS.items():
        ranges = [values(getattr(record, key)) for record in own]
        middle = [_finite(value) for value, _, _ in ranges]
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [_finite(high - value) for value, _, high in ranges],
            "arrayminus": [_finite(value - low) for value, low, _ in ranges],
            "color": colour,
            "thickness": 1.2,
            "width": 3,
            "visible": what == "error",
        }
        traces.append(line(model, x, middle, colour, dash, error_y=bars))
        columns |= {
            f"{key}_{part}": [_finite(r[place]) for r in ranges] for place, part in enumerate(("median", "lowest", "highest"))
        }
    horizontal = axis(LABELS[name], tickvals=x, **({} if name == "hidden" else {"type": "log"}))
    drawn = [value for key, own in columns.items() if key != name for value in own]
    vertical = log_axis(unit, drawn) if logarithmic else axis(unit, rangemode="tozero")
    place = f"{name}-{what}"
    return Plot(place, title[0].upper() + title[1:] + ".", plotted(traces, horizontal, vertical), csv_file(place, columns))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
