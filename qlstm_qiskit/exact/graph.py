"""Observables pulled back through noise, for all parameter values at once: a graph of sums of products.

A node is the coefficient of a Pauli string, with the products of data angles that the string has met. What noise and gates make
of it is found once, with bit masks. What remains for each set of angles is to fill slots one after the other,

    slot = sum_e coefficient[e] * turn[e] * slot[source[e]],    turn[e] in (1, cos a, sin a) of a rotation by weights.

A node that is a multiple of another one has no slot of its own: constant maps cost what they add up and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.superops import LocalMap, letter_masks

Array = NDArray[Any]

#: What a contribution to an expectation value must reach to be kept by default: noise of several gates at once is soon smaller.
NEGLIGIBLE = 1e-14

#: Bytes that finding the graph holds for each edge.
_BYTES_PER_EDGE = 160


@dataclass(frozen=True, eq=False)
class ReadStrings:
    """The strings that are pulled back: masks, the output that each belongs to, and coefficients; equally long arrays."""

    x: Array
    z: Array
    output: Array
    value: Array


@dataclass(frozen=True, eq=False)
class Graph:
    """Slots in an order in which they can be filled; slot 0 is 1.

    Attributes:
        pointer: Where the edges of each slot start, (slots + 1,); slot 0 has none.
        source, turn, coefficient: Of each edge; `turn` as in `LocalMap`.
        code, row, output, value: What is collected in the end: ``value`` times the slot ``row`` goes to the product of data
            angles with that code, for that output.
        error: A bound of what was left out of any output as negligible.
    """

    pointer: Array
    source: Array
    turn: Array
    coefficient: Array
    code: Array
    row: Array
    output: Array
    value: Array
    error: float

    @property
    def n_slots(self) -> int:
        return len(self.pointer) - 1

    @property
    def n_edges(self) -> int:
        return len(self.source)


@dataclass
class _Nodes:
    """Nodes: their strings, codes and outputs; each is ``scale`` times a slot."""

    x: Array
    z: Array
    code: Array
    output: Array
    slot: Array
    scale: Array

    def rows(self, chosen: Array) -> _Nodes:
        return _Nodes(*(getattr(self, name)[chosen] for name in ("x", "z", "code", "output", "slot", "scale")))


def find_graph(maps: Sequence[LocalMap], start: ReadStrings, negligible: float = NEGLIGIBLE) -> Graph:
    """Pull strings back through maps that end on ``|0...0>``; see `superops.fused`.

    `negligible`: Strings are left out that contribute less to an expectation value, whatever the angles are.

    Raises:
        CapacityError: There are more strings than fit in memory.
    """
    zero = np.zeros(len(start.x), dtype=np.int64)
    nodes = _Nodes(start.x, start.z, zero, start.output, zero, start.value)
    builder = _Builder(negligible)
    nodes = builder.merge(nodes, np.full(len(zero), -1))
    for own in maps:
        nodes = builder.pull(nodes, own)
    return builder.finish(nodes)


class _Builder:
    """Slots and edges so far, and a bound of each slot's value."""

    def __init__(self, negligible: float) -> None:
        self._negligible = negligible
        self._edges: list[tuple[Array, Array, Array, Array]] = []
        self._bound = np.ones(1)
        self._n_edges = 0
        self._error = 0.0

    def pull(self, nodes: _Nodes, own: LocalMap) -> _Nodes:
        """Nodes before the operation from those after it."""
        index = sum(((nodes.x >> q & 1) + 2 * (nodes.z >> q & 1)) << 2 * place for place, q in enumerate(own.qubits))
        places = [np.flatnonzero(index == letters) for letters in range(4 ** len(own.qubits))]
        mask = ~sum(1 << q for q in own.qubits)
        constant = own.terms.get((-1, 0), np.zeros((len(places), len(places))))
        nothing = np.zeros(0, dtype=np.int64)
        parts, turns = [nodes.rows(nothing)], [nothing]
        for letters, chosen in enumerate(places):
            same = np.zeros(len(places))
            same[letters] = 1
            rows = [(turn, code, matrix[letters]) for (turn, code), matrix in own.terms.items() if matrix[letters].any()]
            if len(chosen) and len(rows) == 1 and np.array_equal(constant[letters], same):
                parts.append(nodes.rows(chosen))
                turns.append(np.full(len(chosen), -1))
            elif len(chosen):
                before = nodes.rows(chosen)
                for turn, code, row in rows:
                    for other in np.flatnonzero(row):
                        x, z = letter_masks(int(other), own.qubits)
                        parts.append(
                            _Nodes(
                                before.x & mask | x,
                                before.z & mask | z,
                                before.code + code,
                                before.output,
                                before.slot,
                                before.scale * row[other],
                            )
                        )
                        turns.append(np.full(len(chosen), turn))
        joined = _Nodes(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "z", "code", "output", "slot", "scale"))
        )
        return self.merge(joined, np.concatenate(turns))

    def merge(self, given: _Nodes, turn: Array) -> _Nodes:
        """Add up contributions to the same node: those of several slots, or with a turn, make a new slot."""
        size = np.abs(given.scale) * self._bound[given.slot]
        kept = size >= self._negligible
        self._error += float(size[~kept].sum())
        given, turn = given.rows(kept), turn[kept]
        self._n_edges += len(turn)
        require_bytes(
            _BYTES_PER_EDGE * self._n_edges, "the exact interpreter with noise, for its Pauli strings,", torch.device("cpu")
        )
        first, node = _distinct(given.x, given.z, given.code, given.output)
        edge, which = _distinct(node, given.slot, turn)
        node, slot, turn = node[edge], given.slot[edge], turn[edge]
        scale = np.bincount(which, weights=given.scale, minlength=len(edge))
        order = np.argsort(node, kind="stable")
        node, slot, turn, scale = node[order], slot[order], turn[order], scale[order]
        result = given.rows(first)
        alone = (np.bincount(node, minlength=len(first))[node] == 1) & (turn < 0)
        result.slot[node[alone]], result.scale[node[alone]] = slot[alone], scale[alone]
        node, slot, turn, scale = node[~alone], slot[~alone], turn[~alone], scale[~alone]
        new, place = np.unique(node, return_inverse=True)
        number = len(self._bound) + np.arange(len(new))
        result.slot[new], result.scale[new] = number, 1.0
        self._edges.append((number[place], slot, turn, scale))
        self._bound = np.concatenate([self._bound, self._bounds(place, len(new), slot, turn, scale)])
        return result

    def _bounds(self, place: Array, size: int, slot: Array, turn: Array, scale: Array) -> Array:
        """Bounds of new slots: of cosine and sine of one angle only the root of the squares' sum can be reached."""
        weight = np.abs(scale) * self._bound[slot]
        still, cosine, sine = (
            np.bincount(place[kind], weights=weight[kind], minlength=size)
            for kind in (turn < 0, (turn >= 0) & (turn % 2 == 0), (turn >= 0) & (turn % 2 == 1))
        )
        bounds: Array = still + np.hypot(cosine, sine)
        return bounds

    def finish(self, nodes: _Nodes) -> Graph:
        """The graph, without slots that nothing reads."""
        slot, source, turn, coefficient = (np.concatenate(column) for column in zip(*self._edges, strict=True))
        live = np.zeros(len(self._bound), dtype=bool)
        live[0] = True
        live[nodes.slot] = True
        ends = np.searchsorted(slot, np.arange(len(live) + 1))
        for number in range(len(live) - 1, 0, -1):
            if live[number]:
                live[source[ends[number] : ends[number + 1]]] = True
        kept, name = live[slot], np.cumsum(live) - 1
        counts = np.bincount(name[slot[kept]], minlength=int(live.sum()))
        return Graph(
            pointer=np.concatenate([[0], np.cumsum(counts)]),
            source=name[source[kept]],
            turn=turn[kept],
            coefficient=coefficient[kept],
            code=nodes.code,
            row=name[nodes.slot],
            output=nodes.output,
            value=nodes.scale,
            error=self._error,
        )


def _distinct(*columns: Array) -> tuple[Array, Array]:
    """The first place of each distinct row of some columns, and for each row which of these it equals."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:  # numbers of rows so far stay small, whatever the columns hold
        values, place = np.unique(column, return_inverse=True)
        _, key = np.unique(key * len(values) + place, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    return first, key
