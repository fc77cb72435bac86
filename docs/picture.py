"""The picture of the README, from committed results: `python docs/picture.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from qlstm_qiskit import SearchSpace

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "_static" / "picture.png"

#: The candidate that is drawn, on this many qubits.
CANDIDATE, QUBITS = "H-RY|linear-RY", 4

#: What is compared: a label, then its row in the table of each recipe.
ROWS = {
    "36 circuits per gate": ("diffqas", "diffqas-depth5"),
    "one searched circuit per gate": ("derived", "derived"),
    "classical LSTM, same hidden size": ("lstm", "lstm"),
    "ridge regression": ("ridge", "ridge"),
    "repeating the last value": ("persistence", "persistence"),
}
#: Rows that no recipe trains.
UNTRAINED = ("ridge", "persistence")
SERIES = {
    "bessel": "Bessel",
    "damped_shm": "damped pendulum",
    "delayed_quantum_control": "delayed control",
    "narma5": "NARMA-5",
    "narma10": "NARMA-10",
}
RECIPES = {"table2": ("the paper's training recipe", "#c8501e"), "table2-tuned": ("L-BFGS", "#1f5fa8")}
#: With 1024 shots and the noise of a device: what it is trained for, then its row in that table.
NOISY = "one circuit, on a noisy device"
TRAINED = {"trained for the device": ("hybrid", "#2a8a4a"), "trained exactly": ("hybrid-exact", "#8a4fa3")}


def cells(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The cells of a committed table, by row and series."""
    found = json.loads((ROOT / "results" / name / "table.json").read_text())
    return {(cell["row"], cell["dataset"]): cell for cell in found["cells"]}


def draw_candidate(axes: Axes) -> None:
    """One candidate circuit, as Qiskit draws it."""
    (candidate,) = (one for one in SearchSpace.paper().candidates(QUBITS, 1) if one.name == CANDIDATE)
    candidate.circuit.draw("mpl", ax=axes, fold=-1, style={"name": "iqp", "displaycolor": {}})
    axes.set_title("One of the 36 candidates for a gate\n(x: data, w: trained angles)")


def draw_errors(axes: Axes, series: str) -> None:
    """Test errors of each row on a series, one tick per seed, and their medians."""
    for number, (name, (label, colour)) in enumerate(RECIPES.items()):
        table = cells(name)
        for place, rows in enumerate(ROWS.values()):
            cell, height = table[rows[number], series], place + 0.3 * (number - 0.5)
            if rows[number] in UNTRAINED:
                colour, height = "#444444", place
            axes.plot(cell["values"], [height] * len(cell["values"]), "|", color=colour, alpha=0.5, markersize=8)
            axes.plot([cell["summary"]["median"]], [height], "o", color=colour, markersize=5, label=None if place else label)
    table = cells("device")
    for number, (label, (row, colour)) in enumerate(TRAINED.items()):
        cell, height = table[row, series], len(ROWS) + 0.3 * (number - 0.5)
        axes.plot(cell["values"], [height] * len(cell["values"]), "|", color=colour, alpha=0.5, markersize=8)
        axes.plot([cell["summary"]["median"]], [height], "o", color=colour, markersize=5, label=label)
    axes.set(xscale="log", yticks=range(len(ROWS) + 1), ylim=(len(ROWS) + 0.5, -0.5), title=SERIES[series])
    axes.set_yticklabels([*ROWS, NOISY] if series == next(iter(SERIES)) else [])
    axes.grid(axis="x", color="#dddddd")
    axes.tick_params(labelsize=8.5)
    axes.xaxis.set_major_locator(LogLocator(numticks=3))
    axes.minorticks_off()


def picture() -> Figure:
    """A candidate circuit, and the errors of models on the paper's series under two training recipes and on a noisy device."""
    with rc_context({"axes.titlesize": 9.5, "font.size": 9}):
        figure = Figure(figsize=(12.5, 3.3))
        FigureCanvasAgg(figure)
        draw_candidate(figure.add_axes((0.0, 0.12, 0.205, 0.7)))
        for place, series in enumerate(SERIES):
            draw_errors(figure.add_axes((0.405 + 0.121 * place, 0.25, 0.093, 0.6)), series)
        handles, labels = figure.axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.68, -0.01), ncols=4, frameon=False)
        figure.text(0.7, 0.1, "test MSE (log scale): one tick per seed, the median as a dot", ha="center")
    return figure


if __name__ == "__main__":
    picture().savefig(PICTURE, dpi=120, metadata={"Software": None})
