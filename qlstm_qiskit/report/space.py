"""A figure of a search space: dead candidates, and abilities and costs of the others."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.report.names import drawn
from qlstm_qiskit.space import CandidateReport, SpaceAnalysis
from qlstm_qiskit.storage import write_atomically

#: Kinds of candidates and their colours, the worst first.
_KINDS = {"zero": "0.45", "blind to the input": "C1", "equal to an earlier one": "C0", "none of these": "C2"}


def draw_space(path: Path, found: SpaceAnalysis) -> None:
    """Draw the figure as PNG; see `space_figure`.

    Raises:
        RunError: The folder cannot be made or written to.
    """
    buffer = io.BytesIO()
    space_figure(found).savefig(buffer, format="png", dpi=150)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose another file.") from None


def space_figure(found: SpaceAnalysis) -> Figure:
    """Candidates from top to bottom: what they depend on, frequencies, gates; beside it two figures of merit."""
    reports = found.reports
    height = max(4.6, 1.7 + 0.19 * len(reports))
    figure = Figure(figsize=(13.5, height), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subplots(1, 4, width_ratios=(1.5, 1.2, 1.2, 2.6))
    _dependence(parts[0], reports)
    _bars(parts[1], [report.n_frequencies or 0 for report in reports], reports)
    parts[1].set_xlabel("input frequencies")
    _gates(parts[2], found)
    for axes in parts[1:3]:
        axes.set(ylim=parts[0].get_ylim(), yticks=range(len(reports)), yticklabels=[])
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    _scatter(parts[3], found)
    depth = "" if found.depth is None else f", depth {found.depth}"
    figure.suptitle(f"{len(reports)} candidates on {found.n_qubits} qubits{depth}, measured on {found.n_outputs}")
    return figure


def _kind(report: CandidateReport) -> str:
    names = list(_KINDS)
    return names[0] if report.zero else names[1] if report.blind else names[2] if report.equal_to is not None else names[3]


def _dependence(axes: Axes, reports: tuple[CandidateReport, ...]) -> None:
    """A cell for each input and each weight of each candidate: dark where an output depends on it."""
    n_inputs, n_weights = max(r.n_inputs for r in reports), max(r.n_weights for r in reports)
    cells = np.full((len(reports), n_inputs + n_weights), np.nan)
    for row, report in enumerate(reports):
        cells[row, : report.n_inputs] = 1
        cells[row, list(report.unseen_inputs)] = 0
        cells[row, n_inputs : n_inputs + report.n_weights] = 1
        cells[row, [n_inputs + column for column in report.inert_weights]] = 0
    axes.imshow(cells, cmap=ListedColormap(["0.88", "C2"]), vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_yticks(range(len(reports)), [drawn(report.name) for report in reports], fontsize="small")
    for label, report in zip(axes.get_yticklabels(), reports, strict=True):
        label.set_color(_KINDS[_kind(report)])
    axes.hlines(np.arange(len(reports) - 1) + 0.5, -0.5, n_inputs + n_weights - 0.5, color="white", linewidth=0.8)
    axes.vlines(np.arange(n_inputs + n_weights - 1) + 0.5, -0.5, len(reports) - 0.5, color="white", linewidth=0.8)
    axes.axvline(n_inputs - 0.5, color="black", linewidth=1)
    axes.set_xticks([(n_inputs - 1) / 2, n_inputs + (n_weights - 1) / 2], ["inputs", "weights"])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("green: an output depends on it")


def _bars(axes: Axes, values: list[int], reports: tuple[CandidateReport, ...]) -> None:
    axes.barh(range(len(values)), values, color=[_KINDS[_kind(report)] for report in reports])


def _gates(axes: Axes, found: SpaceAnalysis) -> None:
    before = [report.two_qubit_gates for report in found.reports]
    if found.device is None:
        _bars(axes, before, found.reports)
        axes.set_xlabel("two-qubit gates")
        return
    after = [report.device.two_qubit_gates[1] if report.device else 0 for report in found.reports]
    rows = np.arange(len(before))
    axes.barh(rows - 0.2, before, 0.4, color="0.6", label="before")
    axes.barh(rows + 0.2, after, 0.4, color="C3", label=drawn(f"on {found.device}"))
    axes.set_xlabel("two-qubit gates")
    axes.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)


def _scatter(axes: Axes, found: SpaceAnalysis) -> None:
    for kind, colour in _KINDS.items():
        chosen = [report for report in found.reports if _kind(report) == kind]
        pairs = [(report.entangling_capability, report.expressibility) for report in chosen]
        points = [(x, y) for x, y in pairs if x is not None and y is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, color=colour, label=f"{kind}: {len(points)}", s=42, alpha=0.75)
    axes.set(xlabel="entangling capability (mean Meyer-Wallach Q)", ylabel="expressibility (KL divergence from Haar, nats)")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=-0.01)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    if found.samples:
        axes.legend(fontsize="small", title=f"{found.samples} random states each")
    else:
        axes.set_title(f"random states of {found.n_qubits} qubits do not fit in memory", fontsize="small")
