"""Figures of a search: structural weights over training, contributions over time steps, the circuits themselves."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.experiments import Run
from qlstm_qiskit.nn import CircuitBank, Recurrent
from qlstm_qiskit.nn.update import LSTM_GATES
from qlstm_qiskit.report.circuits import circuits_figure, circuits_of
from qlstm_qiskit.report.names import drawn, in_legend
from qlstm_qiskit.search.trace import CellTrace, trace_cells
from qlstm_qiskit.storage import write_atomically

#: Candidates of a gate that are drawn in colour, and colours for those of all gates of a layer together.
_MOST_NAMED = 3
_LINES = ("-", "--", ":")  # equal candidates have equal weights, one on top of the other
_COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9", "navy", "darkgreen", "black")

#: Windows of the test part that contributions are taken over, and amplitudes that they may need together.
_MOST_WINDOWS, _MOST_AMPLITUDES = 64, 2**24

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerHistory:
    """Coefficients of a layer in training.

    Attributes:
        epochs: (n,).
        names: Of all candidates that the layer had at any time.
        coefficients: (n, gates, candidates); NaN from where on a gate no longer has the candidate.
        gates: Their names.
        cell: What the layer is called in titles; its number where empty.
    """

    epochs: NDArray[np.int64]
    names: tuple[str, ...]
    coefficients: Floats
    gates: tuple[str, ...] = LSTM_GATES
    cell: str = ""


def draw_architecture(run: Run, history: Sequence[Mapping[str, Any]] = ()) -> list[Path]:
    """Draw a run's architecture into its folder, as PNG; return the paths.

    ``weights.png`` (a history of at least two epochs), ``contributions.png`` (several candidates, and few enough qubits for
    states) and ``circuits.png`` (a small model); nothing for a model without circuits.

    Args:
        run: The run.
        history: One entry per epoch, see `layer_histories`.

    Raises:
        RunError: The folder cannot be written to.
    """
    if run.forecaster.circuits is None:
        return []
    title = f"{run.spec.title} on {drawn(run.dataset.name)}"
    figures: dict[str, Figure] = {}
    recurrent = run.forecaster.circuits
    layers = layer_histories(history, recurrent)
    if len(history) > 1 and any(len(layer.names) > 1 for layer in layers):
        figures["weights.png"] = weights_figure(layers, title)
    if any(len(cell.bank.candidates) > 1 for cell in run.forecaster.circuits.layers()):
        with contextlib.suppress(CapacityError):  # states of single candidates may not fit where the form does
            figures["contributions.png"] = contributions_figure(*contributions(run), title, recurrent)
    circuits = circuits_of(run.forecaster.circuits)
    if circuits:
        figures["circuits.png"] = circuits_figure(circuits)
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        write_atomically(run.path / name, buffer.getvalue())
    return [run.path / name for name in figures]


def layer_histories(history: Sequence[Mapping[str, Any]], recurrent: Recurrent[Any] | None = None) -> list[LayerHistory]:
    """Tables of what was recorded in each epoch.

    Args:
        history: Entries ``{"epoch": 1, "layers": [{"candidates": [names], "coefficients": [[a row per gate]]}]}``. A candidate
            that is no longer listed, or whose coefficient stays exactly zero to the end, is one that the gate has dropped.
        recurrent: Whose gates they are; those of an LSTM by default.
    """
    gates = LSTM_GATES if recurrent is None else recurrent.gate_names
    epochs = np.array([entry["epoch"] for entry in history], dtype=np.int64)
    result = []
    for layer in range(len(history[0]["layers"]) if history else 0):
        entries = [entry["layers"][layer] for entry in history]
        names = tuple(dict.fromkeys(name for entry in entries for name in entry["candidates"]))
        table = np.zeros((len(epochs), len(gates), len(names)))
        for row, entry in enumerate(entries):
            places = [names.index(name) for name in entry["candidates"]]
            table[row][:, places] = entry["coefficients"] or 1.0  # none for a single candidate
        remains = np.flip(np.logical_or.accumulate(np.flip(table != 0, axis=0), axis=0), axis=0)
        kept = np.where(remains, table, np.nan)
        result.append(LayerHistory(epochs, names, kept, gates, "" if recurrent is None else recurrent.cell_names[layer]))
    return result


def gate_title(layers: Sequence[LayerHistory], number: int, gate: int) -> str:
    """What to write above a figure of a gate of one of these layers."""
    layer = layers[number]
    return _title(layer.gates[gate], layer.cell or f"layer {number + 1}" * (len(layers) > 1))


def _title(gate: str, cell: str) -> str:
    return f"{gate} gate" + (f", {cell}" if cell else "")


def weights_figure(layers: Sequence[LayerHistory], title: str = "") -> Figure:
    """The coefficient of each candidate over training, a panel per gate and a row of panels per layer.

    The largest at the end (by magnitude) of each gate are in colour, the same in all gates of a layer, and the others grey.
    """
    figure = Figure(figsize=(13, 0.6 + 4.2 * len(layers)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(layers), len(layers[0].gates), squeeze=False, sharex=True, sharey="row")
    for number, (row, layer) in enumerate(zip(panels, layers, strict=True), 1):
        last = np.nan_to_num(np.abs(layer.coefficients[-1]))
        leading = [[c for c in np.argsort(-own, kind="stable")[:_MOST_NAMED] if own[c] > 0] for own in last]
        colours = dict(zip(dict.fromkeys(int(c) for own in leading for c in own), _COLOURS, strict=False))
        for gate, axes in enumerate(row):
            _draw_weights(axes, layer, gate, leading[gate], colours)
            _add_legend(axes, below=-0.16 if number == len(layers) else -0.02)
            axes.set_title(gate_title(layers, number - 1, gate), fontsize="medium")
        row[0].set_ylabel("coefficient")
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    figure.suptitle(f"{title}: weight of each candidate circuit over training".removeprefix(": "), fontsize="medium")
    return figure


def _draw_weights(axes: Axes, layer: LayerHistory, gate: int, leading: Sequence[int], colours: Mapping[int, str]) -> None:
    values = layer.coefficients[:, gate]
    marker = "." if len(layer.epochs) < 8 else None
    others = [c for c in range(len(layer.names)) if c not in leading and not np.isnan(values[:, c]).all()]
    for c, line in zip(leading, _LINES, strict=False):
        label = in_legend(f"{layer.names[c]}  {values[-1, c]:.3g}")
        axes.plot(
            layer.epochs, values[:, c], color=colours[c], linestyle=line, linewidth=1.6, marker=marker, label=label, zorder=2
        )
    axes.set_xlim(layer.epochs[0], layer.epochs[-1])
    axes.axhline(0, color="0.4", linewidth=0.5, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw_others(axes, layer.epochs, values[:, others])


def _draw_others(axes: Axes, epochs: NDArray[np.int64], values: Floats) -> None:
    """Candidates without a name, `values` (n, candidates); a cross ends one that was dropped."""
    if not values.shape[1]:
        return
    axes.plot(epochs, values, color="0.75", linewidth=0.7, zorder=1)
    ends = [np.flatnonzero(~np.isnan(column))[-1] for column in values.T]
    dropped = [(epochs[end], values[end, c]) for c, end in enumerate(ends) if end < len(epochs) - 1]
    axes.plot(*np.reshape(dropped, (-1, 2)).T, "x", color="0.5", markersize=4, zorder=1)
    label = f"{len(ends)} other{'s' * (len(ends) > 1)}" + (f", {len(dropped)} dropped (x)" if dropped else "")
    axes.plot([], [], color="0.75", label=label)


def _add_legend(axes: Axes, below: float) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, below), fontsize="small", frameon=False)


def contributions(run: Run) -> tuple[list[tuple[str, ...]], list[Floats]]:
    """How much each candidate contributes to a gate in each time step of the window: the root mean square of w_j f_j.

    The mean is over outputs and windows of the test part (64 of them, evenly spaced), on the exact interpreter.

    Returns:
        For each layer the names of the candidates, and a table (gates, candidates, time steps), NaN where a gate lacks one.

    Raises:
        CapacityError: Statevectors of the candidates do not fit in memory.
    """
    forecaster = run.exact or run.forecaster
    recurrent = forecaster.circuits
    assert recurrent is not None
    windows = run.dataset.x_test
    amplitudes = max(cell.bank.n_circuits * 2 ** cell.bank.candidates[0].n_qubits for cell in recurrent.layers())
    count = min(len(windows), _MOST_WINDOWS, max(4, _MOST_AMPLITUDES // amplitudes))
    chosen = windows[np.linspace(0, len(windows) - 1, count).astype(int)]
    parameter = next(forecaster.parameters())
    traces = trace_cells(recurrent, torch.as_tensor(chosen, dtype=parameter.dtype, device=parameter.device))
    banks = [cell.bank for cell in recurrent.layers()]
    names = [tuple(candidate.name for candidate in bank.candidates) for bank in banks]
    return names, [_contribution(bank, trace) for bank, trace in zip(banks, traces, strict=True)]


def _contribution(bank: CircuitBank, trace: CellTrace) -> Floats:
    with torch.no_grad():
        result, mixing = trace.values.square().mean(dim=(1, 4)).sqrt().permute(1, 2, 0), bank.coefficients()
        if mixing is not None:
            result = mixing.abs().unsqueeze(-1) * result
    present = np.array([[place in own for place in range(len(bank.candidates))] for own in bank.gates])
    return np.where(present[..., None], result.cpu().double().numpy(), np.nan)


def contributions_figure(
    names: Sequence[Sequence[str]], tables: Sequence[Floats], title: str = "", recurrent: Recurrent[Any] | None = None
) -> Figure:
    """Heat maps of `contributions`: a panel per gate and a row of panels per layer; what a gate lacks is grey."""
    gates = LSTM_GATES if recurrent is None else recurrent.gate_names
    cells = (
        recurrent.cell_names if recurrent is not None else [f"layer {n}" * (len(names) > 1) for n in range(1, len(names) + 1)]
    )
    heights = [0.7 + 0.19 * max(len(own), 3) for own in names]
    steps = max(table.shape[-1] for table in tables)
    ticks = range(0, steps, -(-steps // 12))
    panel = float(np.clip(0.3 * steps, 1.3, 2.6))
    figure = Figure(figsize=(3.2 + len(gates) * panel, 0.8 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(tables), len(gates), squeeze=False, height_ratios=heights)
    largest = max(float(np.nanmax(table)) for table in tables)
    for cell, row, own, table in zip(cells, panels, names, tables, strict=True):
        for gate, axes in enumerate(row):
            axes.set_facecolor("0.85")
            image = axes.imshow(table[gate], cmap="Blues", vmin=0, vmax=largest or 1.0, aspect="auto", interpolation="none")
            axes.set_title(_title(gates[gate], cell), fontsize="medium")
            axes.set_xticks(ticks, [str(step + 1) for step in ticks], fontsize="small")
            axes.set_yticks(range(len(own)), list(map(drawn, own)) if gate == 0 else [""] * len(own), fontsize="x-small")
    for axes in panels[-1]:
        axes.set_xlabel("time step")
    bar = figure.colorbar(image, ax=panels.ravel().tolist(), aspect=30, pad=0.02)
    bar.set_label("rms of weight x output", fontsize="small")
    missing = " (grey: not in the gate)" if any(np.isnan(table).any() for table in tables) else ""
    figure.suptitle(f"{title}: what each candidate circuit contributes{missing}".removeprefix(": "), fontsize="medium")
    return figure
