"""Maps of a device with the qubits of circuits in colour."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rustworkx as rx
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from qiskit.providers import BackendV2

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.hardware.device.layout import ErrorMap
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport
from qlstm_qiskit.report.names import drawn, in_legend
from qlstm_qiskit.storage import write_atomically

#: Maps in one figure; further layouts are only counted.
_MOST_MAPS = 3
_PALE, _COLOURS = "0.75", ("C0", "C1", "C2", "C4", "C5", "C6", "C8", "C9")


def draw_layout(path: Path, backend: BackendV2, reports: Sequence[TranspileReport]) -> None:
    """Draw the layouts of circuits on a device as PNG; see `layout_figure`.

    Raises:
        RunError: The folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {path.parent}: {error.strerror or error}; choose another one.") from None
    buffer = io.BytesIO()
    layout_figure(backend, reports).savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())


def layout_figure(backend: BackendV2, reports: Sequence[TranspileReport]) -> Figure:
    """Maps of a device with the qubits on which circuits are measured in a colour for each set of them.

    Sets that share a qubit are on different maps, the most frequent first. Couplings that the device calls always wrong
    are dotted.
    """
    sets: dict[frozenset[int], list[TranspileReport]] = {}
    for report in reports:
        sets.setdefault(frozenset(report.qubits) - {-1}, []).append(report)
    maps: list[list[frozenset[int]]] = []
    for qubits in sorted(sets, key=lambda some: -len(sets[some])):
        free = next((some for some in maps if len(some) < len(_COLOURS) and not any(qubits & other for other in some)), None)
        if free is None:
            maps.append([qubits])
        else:
            free.append(qubits)
    shown, points = maps[:_MOST_MAPS], coordinates(backend)
    width, height = np.ptp(points, axis=0) + 1.4
    unit = float(np.clip(9 / width, 0.4, 0.7))  # inches between neighbours
    legend = 0.2 * max(map(len, shown)) + 0.1
    figure = Figure(figsize=(max(6.5, width * unit), len(shown) * (height * unit + legend) + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    errors = ErrorMap(backend.target)
    for position, some in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, position + 1)
        _draw_map(axes, points, errors, {_describe(sets[qubits]): qubits for qubits in some}, unit)
    hidden = sum(map(len, maps[_MOST_MAPS:]))
    more = f" ({hidden} further layouts not shown)" if hidden else ""
    figure.suptitle(f"Layouts on {drawn(str(backend.name))}, {backend.num_qubits} qubits{more}", fontsize="medium")
    return figure


def coordinates(backend: BackendV2) -> NDArray[np.float64]:
    """A point for each qubit, (qubits, 2), neighbours about 1 apart: the device's own where it has them."""
    try:
        own = backend.configuration().coords
    except AttributeError:
        own = None
    if own is not None and len(own) == backend.num_qubits and len(set(map(tuple, own))) == len(own):
        return np.array(own, dtype=float) * [1, -1]  # rows count downwards
    return _spread(ErrorMap(backend.target))


def _spread(errors: ErrorMap) -> NDArray[np.float64]:
    """Points whose distances are those in the coupling graph as well as a plane allows (stress majorisation)."""
    n_qubits = errors.n_qubits
    if n_qubits == 1:
        return np.zeros((1, 2))
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(n_qubits))
    graph.add_edges_from_no_data([(int(a), int(b)) for a, b in np.argwhere(errors.linked) if a < b])
    apart = rx.distance_matrix(graph, null_value=math.sqrt(n_qubits))
    middle = np.eye(n_qubits) - 1 / n_qubits  # start: classical scaling
    values, vectors = np.linalg.eigh(-0.5 * middle @ apart**2 @ middle)
    points: NDArray[np.float64] = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-6))
    weights = np.where(apart > 0, 1 / np.maximum(apart, 1) ** 2, 0.0)
    laplacian = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(300):
        steps = points[:, None] - points[None]
        lengths = np.linalg.norm(steps, axis=2)
        pull = np.where(lengths > 0, weights * apart / np.maximum(lengths, 1e-9), 0.0)
        points = laplacian @ (pull.sum(axis=1)[:, None] * points - pull @ points)
    centred = points - points.mean(axis=0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T  # the long side lies flat
    return np.asarray(turned, dtype=float)


def _draw_map(
    axes: Axes, points: NDArray[np.float64], errors: ErrorMap, chosen: Mapping[str, frozenset[int]], unit: float
) -> None:
    colour_of = {qubit: colour for qubits, colour in zip(chosen.values(), _COLOURS, strict=False) for qubit in qubits}
    pairs = [(int(a), int(b)) for a, b in np.argwhere(errors.linked) if a < b]
    for pair in pairs:
        inside = any(set(pair) <= qubits for qubits in chosen.values())
        colour, width = (colour_of[pair[0]], 3.0) if inside else (_PALE, 1.2)
        line = ":" if _dead(errors, pair) else "-"
        axes.plot(*points[list(pair)].T, color=colour, linewidth=width, linestyle=line, zorder=1)
    faces = [colour_of.get(qubit, "white") for qubit in range(len(points))]
    edges = [colour_of.get(qubit, _PALE) for qubit in range(len(points))]
    axes.scatter(points[:, 0], points[:, 1], s=(unit * 72 * 0.62) ** 2, c=faces, edgecolors=edges, zorder=2)
    for qubit, (x, y) in enumerate(points):
        colour = "white" if qubit in colour_of else "0.45"
        axes.text(x, y, str(qubit), ha="center", va="center", color=colour, fontsize=unit * 17, zorder=3)
    for label, colour in zip(chosen, _COLOURS, strict=False):
        axes.scatter([], [], c=colour, label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False, fontsize="small")
    axes.set_aspect("equal", anchor="N")
    (left, low), (right, high) = points.min(axis=0) - 0.6, points.max(axis=0) + 0.6
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.set_axis_off()


def _dead(errors: ErrorMap, pair: tuple[int, int]) -> bool:
    return not any(np.isfinite(table[pair]) or np.isfinite(table[pair[::-1]]) for table in errors.pair_tables)


def _describe(alike: Sequence[TranspileReport]) -> str:
    names = [report.name for report in alike]
    listed = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    low, high = (f"{pick(report.success for report in alike):.3f}" for pick in (min, max))
    return in_legend(f"{listed}: success {low if low == high else f'{low} to {high}'}")
