"""Entanglers that follow the couplers of a device, or of a lattice, so that they need no SWAPs there."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache

import rustworkx as rx
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qlstm_qiskit.circuits.place import placed
from qlstm_qiskit.errors import OptionError, require_at_least
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.region import Region, find_region

#: Qubits in a row of the heavy-hex lattice, as on IBM's devices of 127 and 133 qubits; those of 156 have one more.
_ROW = 15


def graph_entangler(n_qubits: int, edges: Iterable[tuple[int, int]]) -> QuantumCircuit:
    """CNOTs on the edges of a graph, in as few layers as there are colours of its edges.

    A graph without rings of odd length needs as many layers as its largest degree, others one more at most.

    Args:
        n_qubits: Number of qubits, at least 1.
        edges: Pairs of qubits, (control, target).

    Raises:
        OptionError: `n_qubits` is below 1, or an edge is not one of two qubits, or is there twice.
    """
    n_qubits = require_at_least("n_qubits", n_qubits, 1)
    if not isinstance(edges, Iterable):
        raise OptionError(f"edges is {edges!r}; give pairs of 0 to {n_qubits - 1}.")
    circuit, given = QuantumCircuit(n_qubits), [_edge(edge, n_qubits) for edge in edges]
    if len({frozenset(edge) for edge in given}) < len(given):
        raise OptionError("an edge is given twice; give each pair of qubits once, as (control, target).")
    for layer in _layers(n_qubits, sorted(given)):
        for control, target in layer:
            circuit.cx(control, target)
    return circuit


def heavy_hex_entangler(n_qubits: int) -> QuantumCircuit:
    """CNOTs on a heavy-hex lattice, in 3 layers at most: qubits have up to three neighbours, and rings are of twelve.

    The qubits are those nearest to a corner of a lattice with 15 in a row, as on IBM's devices, in the order of their
    distance; each CNOT points away from it.

    Args:
        n_qubits: Number of qubits, at least 1.

    Raises:
        OptionError: `n_qubits` is below 1.
    """
    n_qubits = require_at_least("n_qubits", n_qubits, 1)
    joined: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in range(2 + n_qubits // _ROW):
        pairs = [((2 * row, column), (2 * row, column + 1)) for column in range(_ROW - 1)]
        for column in range(2 * (row % 2), _ROW, 4):  # the qubits between two rows
            middle = (2 * row + 1, column)
            pairs += [((2 * row, column), middle), (middle, (2 * row + 2, column))]
        for first, second in pairs:
            joined.setdefault(first, []).append(second)
            joined.setdefault(second, []).append(first)
    order = [(0, 0)]
    for site in order:
        order += [other for other in sorted(joined[site]) if other not in order]
        if len(order) >= n_qubits:
            break
    place = {site: index for index, site in enumerate(order[:n_qubits])}
    edges = {tuple(sorted((place[a], place[b]))) for a in place for b in joined[a] if b in place}
    return graph_entangler(n_qubits, [(a, b) for a, b in edges])


def grid_entangler(n_qubits: int) -> QuantumCircuit:
    """CNOTs on a square lattice, in 4 layers at most; qubits are numbered row by row, and CNOTs point right and down.

    Rows are as long as the square root of the number of qubits, rounded up; the last one may be shorter.

    Args:
        n_qubits: Number of qubits, at least 1.

    Raises:
        OptionError: `n_qubits` is below 1.
    """
    n_qubits = require_at_least("n_qubits", n_qubits, 1)
    width = next(side for side in range(1, n_qubits + 1) if side * side >= n_qubits) if n_qubits > 1 else 1
    right = [(qubit, qubit + 1) for qubit in range(n_qubits - 1) if (qubit + 1) % width]
    return graph_entangler(n_qubits, right + [(qubit, qubit + width) for qubit in range(n_qubits - width)])


def device_entangler(n_qubits: int, device: BackendV2 | str) -> QuantumCircuit:
    """CNOTs on all working couplers of a connected part of a device, in few layers.

    Which part is decided by the calibration that the device has now, see `find_region`; the circuit says which device qubits it
    was made for, and keeps that in QPY. Transpilation begins with them.

    Args:
        n_qubits: Number of qubits, at least 1.
        device: A device with couplers, or the name of a snapshot, such as "fez".

    Raises:
        OptionError: `n_qubits` is below 1, there is no such device, or it has no such part.
    """
    n_qubits = require_at_least("n_qubits", n_qubits, 1)
    if not isinstance(device, BackendV2 | str):
        raise OptionError(f'device is {device!r}; give a BackendV2, or the name of a snapshot, such as "fez".')
    region = _named_region(device, n_qubits) if isinstance(device, str) else find_region(device, n_qubits)
    return placed(graph_entangler(n_qubits, region.couplers), region.qubits)


@lru_cache(maxsize=64)
def _named_region(name: str, n_qubits: int) -> Region:
    """Of a snapshot, which does not change; every candidate asks for it."""
    return find_region(find_device(name), n_qubits)


def _edge(given: Iterable[int], n_qubits: int) -> tuple[int, int]:
    """Two qubits as Python's integers; numpy's are taken, bools are not."""
    try:
        control, target = (-1 if isinstance(qubit, bool) else operator.index(qubit) for qubit in given)
    except (TypeError, ValueError):
        control = target = -1
    if control == target or not (0 <= control < n_qubits and 0 <= target < n_qubits):
        raise OptionError(f"the edge {given!r} does not join two of {n_qubits} qubits; give pairs of 0 to {n_qubits - 1}.")
    return control, target


def _layers(n_qubits: int, edges: Sequence[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Edges by colour: no two of a colour share a qubit. The largest colours come first."""
    graph: rx.PyGraph[None, None] = rx.PyGraph()
    graph.add_nodes_from([None] * n_qubits)
    graph.add_edges_from([(first, second, None) for first, second in edges])
    bipartite = rx.is_bipartite(graph)
    colours = rx.graph_bipartite_edge_color(graph) if bipartite else rx.graph_misra_gries_edge_color(graph)
    layers: dict[int, list[tuple[int, ...]]] = {}
    for index, colour in colours.items():
        layers.setdefault(colour, []).append(edges[index])
    return sorted((sorted(layer) for layer in layers.values()), key=lambda layer: (-len(layer), layer))
