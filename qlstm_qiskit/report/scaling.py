"""Scaling of the quantum LSTM: a figure and tables of the measurements, beside `torch.nn.LSTM`."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from qlstm_qiskit.experiments.scaling.measure import AXES, Measured, ScalingPlan, ScalingRecord, along
from qlstm_qiskit.storage import write_atomically

#: Axis -> its label.
LABELS = {
    "depth": "depth (variational layers)",
    "candidates": "candidate circuits of each gate",
    "hidden": "hidden size",
    "window": "window (time steps)",
}

#: Of the paper's space; fewer are named in the report.
_ALL = 36

Lines = dict[str, list[ScalingRecord]]


def write_scaling(plan: ScalingPlan, records: Sequence[ScalingRecord], out: Path) -> list[Path]:
    """Write the report as Markdown, and the figure as PNG and SVG, into a folder; return their paths."""
    figure = scaling_figure(plan, records)
    contents: dict[str, bytes | str] = {"scaling.md": scaling_report(plan, records)}
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        contents[f"scaling.{kind}"] = buffer.getvalue()
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def axes_of(plan: ScalingPlan, records: Sequence[ScalingRecord]) -> Lines:
    """The records on each axis that was measured; an axis that the plan does not name needs two of them to be one."""
    lines = {axis: along(axis, plan.base, records) for axis in AXES}
    return {axis: own for axis, own in lines.items() if len(own) > (0 if axis in plan.axes else 1)}


def error_range(measured: Measured) -> tuple[float, float, float]:
    """Median, smallest and largest test error over the seeds that did not diverge; NaN where all did."""
    errors = [error for error in measured.test_mse if error is not None] or [math.nan]
    return statistics.median(errors), min(errors), max(errors)


def scaling_figure(plan: ScalingPlan, records: Sequence[ScalingRecord]) -> Figure:
    """A row of panels for each axis: time, memory and test error; a column has one scale, and the classical LSTM is dashed."""
    base, lines = plan.base, axes_of(plan, records)
    figure = Figure(figsize=(9, 0.8 + 2.3 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(lines), 3, squeeze=False, sharey="col")
    for row, (axis, own) in zip(panels, lines.items(), strict=True):
        _draw(row[0], axis, own, lambda measured: (measured.step_ms,) * 3)
        _draw(row[1], axis, own, lambda measured: (measured.memory_mib,) * 3)
        _draw(row[2], axis, own, error_range)
        for axes, label in zip(row, ("ms", "MiB", "MSE (scaled units)"), strict=True):
            axes.set_ylabel(label)
    for column in (0, 2):
        _logarithmic(list(panels[:, column]))
    panels[0][1].set_ylim(bottom=0)
    error = f"test error, {_count(plan.epochs, 'epoch')}, {_count(plan.seeds, 'seed')}"
    for axes, title in zip(panels[0], ("time of a training step", "memory of model and step", error), strict=True):
        axes.set_title(title, fontsize="medium")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    about = f"{plan.dataset}, batch {plan.batch}; where not varied: hidden size {base.hidden}, depth {base.depth}, "
    figure.supxlabel(f"{about}{base.candidates} candidates, window {base.window}", fontsize="small", color="0.3")
    return figure


def _draw(
    axes: Axes, axis: str, own: Sequence[ScalingRecord], values: Callable[[Measured], tuple[float, float, float]]
) -> None:
    """A line for each model, in a band from the smallest to the largest value."""
    x = [int(getattr(record.point, axis)) for record in own]
    styles = (("quantum LSTM", "C0", "o-"), ("torch.nn.LSTM", "0.35", ".--"))
    models = ([record.qlstm for record in own], [record.lstm for record in own])
    for (label, colour, style), measured in zip(styles, models, strict=True):
        middle, low, high = zip(*map(values, measured), strict=True)
        axes.plot(x, middle, style, color=colour, label=label, linewidth=1.5, markersize=5)
        if low != high:
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xscale("log" if axis != "hidden" else "linear")
    axes.set_xticks(x, [str(value) for value in x])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(LABELS[axis])
    axes.grid(color="0.92")
    axes.set_axisbelow(True)


def _logarithmic(column: Sequence[Axes]) -> None:
    """One logarithmic scale for panels that share it, from one round number to another, with plain numbers."""
    low, high = min(axes.dataLim.y0 for axes in column), max(axes.dataLim.y1 for axes in column)
    rounds = [digit * 10.0**power for power in range(-12, 12) for digit in (1, 2, 5)]
    low, high = max(value for value in rounds if value < low), min(value for value in rounds if value > high)
    for axes in column:
        axes.set(yscale="log", ylim=(low, high))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 500 else (1.0,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def scaling_report(plan: ScalingPlan, records: Sequence[ScalingRecord]) -> str:
    """Tables of all that was measured, in Markdown, with how and on what."""
    base, lines = plan.base, axes_of(plan, records)
    text = [
        "# Scaling of the quantum LSTM",
        "",
        f"One axis at a time through hidden size {base.hidden}, depth {base.depth}, {base.candidates} candidates per gate, "
        f"window {base.window}; series {plan.dataset}, batch {plan.batch}, float64, one thread. `nn.LSTM` is "
        "`torch.nn.LSTM` of the same hidden size and window.",
        "",
        f"- step: median of {plan.repeats} training steps (forward, backward, optimiser) after a warm-up, the two models in "
        "turn in one process.",
        "- memory: what building the model and training steps add to the peak memory of a fresh process, once a smallest model "
        "of the kind has trained in it; exact to about 1 MiB. loaded: what that smallest model had added after the imports.",
        f"- test MSE: after {_count(plan.epochs, 'epoch')} of the paper's training; median (smallest to largest) over "
        f"{_count(plan.seeds, 'seed')}, scaled units.",
        "- along the window, training and test part hold other windows of the series: compare the models, not the points.",
        "- circuits: of a time step, for one window, in all four gates. parameters: trained numbers.",
        "",
        "![scaling](scaling.png)",
    ]
    for axis, own in lines.items():
        heads, *rows = scaling_table(axis, own)
        table = ["| " + " | ".join(line) + " |" for line in (heads, *rows)]
        text += ["", f"## {LABELS[axis].capitalize()}", "", table[0], "|---" * len(heads) + "|", *table[1:]]
    chosen = {record.point.candidates: record.circuits for record in records if record.point.candidates < _ALL}
    if chosen:
        text += ["", "## Candidates", "", "Fewer than the paper's 36 are spread over its encodings and blocks:", ""]
        text += [f"- {count}: {', '.join(f'`{name}`' for name in names)}" for count, names in sorted(chosen.items())]
    return "\n".join([*text, "", "## Made with", "", *(f"- {line}" for line in environment_lines(records))]) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def scaling_table(axis: str, own: Sequence[ScalingRecord]) -> list[list[str]]:
    """What was measured along an axis: the names of the columns, then one row per point."""
    heads = [axis, "step, ms", "nn.LSTM", "ratio", "memory, MiB", "nn.LSTM", "loaded, MiB", "nn.LSTM"]
    heads += ["test MSE", "nn.LSTM", "circuits", "parameters", "nn.LSTM"]
    rows = [heads]
    for record in own:
        ours, theirs = record.qlstm, record.lstm
        cells = [f"{getattr(record.point, axis)}", f"{ours.step_ms:.3g}", f"{theirs.step_ms:.3g}"]
        cells.append(f"{ours.step_ms / theirs.step_ms:.2f}")
        for name in ("memory_mib", "loaded_mib"):
            cells += [f"{getattr(measured, name):.1f}" for measured in (ours, theirs)]
        cells += [_errors(measured) for measured in (ours, theirs)]
        cells += [f"{ours.n_circuits:,}", f"{ours.n_parameters:,}", f"{theirs.n_parameters:,}"]
        rows.append(cells)
    return rows


def _errors(measured: Measured) -> str:
    middle, low, high = error_range(measured)
    diverged = measured.test_mse.count(None)
    if diverged == len(measured.test_mse):
        return "diverged"
    text = f"{middle:.2g}" + (f" ({low:.2g} to {high:.2g})" if low != high else "")
    return text + (f", {diverged} diverged" if diverged else "")


def environment_lines(records: Sequence[ScalingRecord]) -> list[str]:
    """A line for each commit, machine and set of versions, with the number of points."""
    counts: dict[str, int] = {}
    for record in records:
        made = record.environment
        commit = made.get("commit")
        code = f"commit {commit}{', with changes' if made.get('changed') else ''}" if commit else "no checkout"
        versions = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items())
        line = f"{code}; {made.get('processor')}; {versions}"
        counts[line] = counts.get(line, 0) + 1
    return [f"{_count(count, 'point')}: {line}" for line, count in counts.items()]
