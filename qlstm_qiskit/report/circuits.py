"""The circuits of a small model, drawn by Qiskit."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qlstm_qiskit.errors import printable
from qlstm_qiskit.nn import Recurrent
from qlstm_qiskit.nn.constants import circuit_verdicts
from qlstm_qiskit.report.names import drawn
from qlstm_qiskit.space import Candidate

#: A model with more circuits, or a circuit with more qubits or gates, is not drawn.
_MOST_CIRCUITS, _MOST_QUBITS, _MOST_OPERATIONS = 8, 12, 250

#: Pixels per inch, inches between two gates, and gates in a row before a circuit goes on below.
_DPI, _UNIT, _FOLD = 150, 0.45, 30

#: What a title says of a circuit's verdict.
_PROVEN = {"": "", "zero": "   zero: always 0", "blind": "   blind: does not depend on x"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A circuit and its title."""

    title: str
    candidate: Candidate


def circuits_of(recurrent: Recurrent[Any]) -> list[Drawn]:
    """Each circuit of each layer once, titled with the gates that sum over it, its weight there, and what is proven of it.

    None of a large model.
    """
    circuits = [candidate for cell in recurrent.layers() for candidate in cell.bank.candidates]
    small = all(item.n_qubits <= _MOST_QUBITS and item.circuit.size() <= _MOST_OPERATIONS for item in circuits)
    if not small or len(circuits) > _MOST_CIRCUITS:
        return []
    found = []
    for cell, name in zip(recurrent.layers(), recurrent.cell_names, strict=True):
        bank = cell.bank
        mixing, verdicts = bank.coefficients(), circuit_verdicts(bank)
        for place, candidate in enumerate(bank.candidates):
            gates = [row for row, own in enumerate(bank.gates) if place in own]
            weights = [1.0 if mixing is None else float(mixing.detach()[row, place]) for row in gates]
            where = f"{name}, " if name else ""
            listed = ", ".join(f"{recurrent.gate_names[row]} {weight:.3g}" for row, weight in zip(gates, weights, strict=True))
            proven = _PROVEN[verdicts[candidate.name]]
            found.append(Drawn(f"{where}{candidate.name}   weight in: {listed}{proven}", candidate))
    return found


def circuits_figure(circuits: Sequence[Drawn]) -> Figure:
    """Circuits below one another, each with its title; x are the inputs, w the trained angles."""
    images = [_picture(item.candidate) for item in circuits]
    width = max(*(image.shape[1] for image in images), *(len(item.title) * 12 for item in circuits))
    gap = 60  # pixels for a title
    height = sum(image.shape[0] + gap for image in images)
    figure = Figure(figsize=(width / _DPI, height / _DPI))
    FigureCanvasAgg(figure)
    top = height
    for item, image in zip(circuits, images, strict=True):
        top -= gap
        figure.text(0.02, (top + 10) / height, drawn(item.title), fontsize="small", va="bottom")
        top -= image.shape[0]
        axes = figure.add_axes((0.0, top / height, image.shape[1] / width, image.shape[0] / height))
        axes.imshow(image, aspect="auto", interpolation="none")
        axes.set_axis_off()
    return figure


def circuit_svg(candidate: Candidate, name: str) -> str:
    """A circuit as an SVG element; `name` begins its identifiers, so that several can stand in one page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": "qlstm", "svg.fonttype": "path"}):
        _drawing(candidate).figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    svg = buffer.getvalue()
    svg = re.sub(r'( id="|"#|url\(#)', rf"\g<1>{name}-", svg[svg.index("<svg") :])
    return re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)


def _picture(candidate: Candidate) -> NDArray[np.uint8]:
    """A circuit as pixels (height, width, 4), without its margins."""
    canvas = _drawing(candidate)
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    used = np.argwhere((pixels[..., :3] < 250).any(axis=-1))
    low, high = np.maximum(used.min(axis=0) - 8, 0), used.max(axis=0) + 8
    return pixels[low[0] : high[0], low[1] : high[1]].copy()


def _drawing(candidate: Candidate) -> FigureCanvasAgg:
    """A circuit, drawn; gates have the same size in every picture."""
    size, circuit = (6.0, 4.0), _without_markup(candidate.circuit)
    for _ in range(2):  # the first drawing says how wide and high the circuit is
        figure = Figure(figsize=size, dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        circuit.draw("mpl", ax=axes, style="bw", fold=_FOLD)
        size = (float(abs(np.subtract(*axes.get_xlim()))) * _UNIT, float(abs(np.subtract(*axes.get_ylim()))) * _UNIT)
    canvas.draw()  # type: ignore[no-untyped-call]
    return canvas


def _without_markup(circuit: QuantumCircuit) -> QuantumCircuit:
    """A circuit with names that matplotlib does not take for a formula, which it might not be able to read."""
    registers, gates = {item.name for item in circuit.qregs}, {item.operation.name for item in circuit.data}
    if all(map(_plain, registers | gates | {parameter.name for parameter in circuit.parameters})):
        return circuit
    renamed = {parameter: Parameter(_words(parameter.name)) for parameter in circuit.parameters if not _plain(parameter.name)}
    result = QuantumCircuit(circuit.num_qubits)
    for item in circuit.assign_parameters(renamed).data:
        operation = item.operation
        if not _plain(operation.name):
            operation = operation.to_mutable()
            operation.name = _words(operation.name)
        result.append(operation, [circuit.find_bit(qubit).index for qubit in item.qubits])
    return result


def _plain(name: str) -> bool:
    return name.isprintable() and not set(name) & set("$\\")


def _words(name: str) -> str:
    return printable(name).replace("$", "").replace("\\", "") or "?"
