"""The figure of errors against shots."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qlstm_qiskit.experiments.runs.shots import ShotCurve
from qlstm_qiskit.report.names import drawn
from qlstm_qiskit.storage import write_atomically


def draw_shots(path: Path, curve: ShotCurve) -> None:
    """Write the figure as PNG."""
    buffer = io.BytesIO()
    shots_figure(curve).savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())


def shots_figure(curve: ShotCurve) -> Figure:
    """Error against shots on logarithmic axes, with what model and device leave, and the naive forecasts."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.errorbar(
        curve.shots, curve.errors, yerr=curve.standard_errors, color="C0", marker="o", markersize=4, label="with shots"
    )
    axes.axhline(curve.model, color="C2", linewidth=1.2, label="model: exact values of ideal circuits")
    if curve.device:
        axes.axhline(curve.without_shots, color="C1", linewidth=1.2, label="model and device, without shot noise")
    for number, (name, error) in enumerate(curve.naive.items()):
        label = curve.task.naive[name]
        axes.axhline(error, color="C3", linewidth=1.2, linestyle=("--", ":")[number % 2], label=f"no model: {label}")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="shots of each circuit",
        ylabel=f"{curve.task.title} on the test part ({curve.task.unit})",
    )
    axes.set_xticks(curve.shots, [f"{number:,}" for number in curve.shots], rotation=45, ha="right", fontsize="small")
    axes.minorticks_off()
    axes.set_title(f"Error against shots, {drawn(curve.backend)}")
    axes.legend(loc="best", fontsize="small")
    return figure
