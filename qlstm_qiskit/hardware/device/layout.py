"""The best place for a circuit on a device: estimated success, and all places that fit a circuit already transpiled.

An ISA circuit fits wherever the device has the same instructions between the same neighbours, so that moving it is
re-indexing, not transpiling. Places are compared by the estimated success probability, the product of (1 - error) over
all gates and all measured qubits: a proxy that ignores crosstalk and idling, and orders layouts well (as mapomatic does).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.circuits.place import place_of
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware.device.compact import filtered_target

Values = NDArray[np.float64]
Places = NDArray[np.int64]

#: Partial embeddings that a search keeps; a linear circuit of 8 qubits has about 5,000 on a heavy-hex device of 156.
BEAM = 20_000
#: What costs nothing.
FREE = ("barrier", "delay")


class ErrorMap:
    """``log(1 - error)`` of every instruction of a device; minus infinity where it is missing or always wrong."""

    def __init__(self, target: Target) -> None:
        if not target.num_qubits:
            raise CircuitError("the device does not say how many qubits it has; layouts cannot be compared on it.")
        self.n_qubits: int = target.num_qubits
        self._target = target
        self._tables: dict[tuple[str, int], Values] = {}

    def table(self, name: str, n_wires: int) -> Values:
        """Of an instruction with one wire (qubits,) or two (qubits, qubits)."""
        key = (name, n_wires)
        if key not in self._tables:
            self._tables[key] = self._table(name, n_wires)
        return self._tables[key]

    def _table(self, name: str, n_wires: int) -> Values:
        shape = (self.n_qubits,) * n_wires
        known = self._target[name] if name in self._target.operation_names else {}
        if known is None or None in known:
            return np.zeros(shape)
        result = np.full(shape, -np.inf)
        for qubits, properties in known.items():
            if len(qubits) == n_wires:
                error = (properties.error if properties is not None else None) or 0.0
                result[qubits] = np.log1p(-error) if error < 1 else -np.inf
        return result

    @cached_property
    def readout(self) -> Values:
        """Of measuring each qubit, (qubits,); 0 everywhere on a device that does not say."""
        return self.table("measure", 1) if "measure" in self._target.operation_names else np.zeros(self.n_qubits)

    @cached_property
    def linked(self) -> NDArray[np.bool_]:
        """Whether two qubits have a gate of two wires in either direction, (qubits, qubits)."""
        result = np.zeros((self.n_qubits, self.n_qubits), dtype=bool)
        for name in self._target.operation_names:
            known = self._target[name]
            if known is None or None in known:
                operation = self._target.operation_from_name(name)
                if getattr(operation, "num_qubits", 0) == 2 and not isinstance(operation, type):
                    result[:] = True
            else:
                for qubits in known:
                    if len(qubits) == 2:
                        result[qubits] = result[qubits[::-1]] = True
        np.fill_diagonal(result, False)
        return result

    @cached_property
    def pair_tables(self) -> list[Values]:
        """Of all instructions of two wires, each (qubits, qubits)."""
        operations = {name: self._target.operation_from_name(name) for name in sorted(self._target.operation_names)}
        pairs = [name for name, found in operations.items() if not isinstance(found, type) and found.num_qubits == 2]
        return [self.table(name, 2) for name in pairs]

    @cached_property
    def best_pairs(self) -> Values:
        """Of the best instruction of two wires, (qubits, qubits); minus infinity where none works in this direction."""
        return np.maximum.reduce([np.full((self.n_qubits,) * 2, -np.inf), *self.pair_tables])

    @cached_property
    def neighbours(self) -> Places:
        """Neighbours of each qubit, filled up with -1, (qubits, largest degree)."""
        result = np.full((self.n_qubits, max(1, int(self.linked.sum(axis=1).max(initial=0)))), -1, dtype=np.int64)
        for qubit, row in enumerate(self.linked):
            found = np.flatnonzero(row)
            result[qubit, : len(found)] = found
        return result


def alive(target: Target) -> Target:
    """The device without instructions that are always wrong, and without couplers of qubits that have such a gate."""

    def works(own: InstructionProperties | None) -> bool:
        return own is None or own.error is None or own.error < 1

    broken = {
        wires[0]
        for name in target.operation_names
        if name != "measure" and target[name] and None not in target[name]
        for wires, own in target[name].items()
        if len(wires) == 1 and not works(own)
    }
    return filtered_target(target, lambda _, wires, own: works(own) and (len(wires) == 1 or broken.isdisjoint(wires)))


def estimated_success(circuit: QuantumCircuit, target: Target | ErrorMap, measured: Iterable[int] = ()) -> float:
    """Product of (1 - error) over the gates of an ISA circuit and over the readout of the `measured` qubits.

    0 where the device lacks a gate or calls it always wrong.
    """
    errors = target if isinstance(target, ErrorMap) else ErrorMap(target)
    return float(np.exp(Footprint.of(circuit, measured).score(range(circuit.num_qubits), errors)))


@dataclass(frozen=True)
class Footprint:
    """What a circuit needs of a device, whatever its angles: equal footprints fit the same places equally well.

    Attributes:
        n_wires: Qubits of the circuit.
        counts: How often each instruction stands on which wires, sorted.
        measured: Wires that are read.
    """

    n_wires: int
    counts: tuple[tuple[tuple[str, tuple[int, ...]], int], ...]
    measured: tuple[int, ...]

    @classmethod
    def of(cls, circuit: QuantumCircuit, measured: Iterable[int] = ()) -> Footprint:
        return cls(circuit.num_qubits, tuple(sorted(_counts(circuit).items())), tuple(sorted(measured)))

    @property
    def movable(self) -> bool:
        """Whether it has instructions of one and two wires only, which are those that the search knows."""
        return all(len(wires) <= 2 for (_, wires), _ in self.counts)

    @cached_property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Wires that interact, each part in an order in which every wire but the first has an earlier neighbour."""
        links = self._links()
        left, parts = set(range(self.n_wires)), []
        while left:
            part = [min(left)]
            for wire in part:
                part += [other for other in sorted(links[wire]) if other not in part]
            left -= set(part)
            parts.append(tuple(part))
        return tuple(sorted(parts, key=len, reverse=True))

    def embeddings(self, part: Sequence[int], errors: ErrorMap, beam: int = BEAM) -> tuple[Places, Values]:
        """Places for a part, best first: device qubits (places, wires of the part) and the log of their success.

        All of them, unless more than `beam` fit on the way: then the best so far are followed.
        """
        links, at = self._links(), {wire: column for column, wire in enumerate(part)}
        found, score = np.arange(errors.n_qubits)[:, None], self._gain(part[0], at, errors, np.arange(errors.n_qubits)[:, None])
        for column, wire in enumerate(part):
            if column:
                anchor = min(at[other] for other in links[wire] if at[other] < column)
                options = errors.neighbours[found[:, anchor]]
                rows, columns = np.nonzero(options >= 0)
                chosen = options[rows, columns]
                fresh = (found[rows] != chosen[:, None]).all(axis=1)
                found, score = np.column_stack([found[rows[fresh]], chosen[fresh]]), score[rows[fresh]]
                score = score + self._gain(wire, at, errors, found)
            order = np.argsort(-score, kind="stable")
            order = order[np.isfinite(score[order])][:beam]
            found, score = found[order], score[order]
        return found, score

    def score(self, place: Sequence[int], errors: ErrorMap) -> float:
        """Log of the estimated success with the wires on the device qubits `place`."""
        total = sum(float(errors.readout[place[wire]]) for wire in self.measured)
        for (name, wires), count in self.counts:
            total += count * float(errors.table(name, len(wires))[tuple(place[wire] for wire in wires)])
        return total

    def _gain(self, wire: int, at: dict[int, int], errors: ErrorMap, found: Places) -> Values:
        """Log of the success of what stands on `wire`, alone or with earlier wires."""
        gain = errors.readout[found[:, at[wire]]] if wire in self.measured else np.zeros(len(found))
        for (name, wires), count in self.counts:
            if wire in wires and all(at[other] <= at[wire] for other in wires):
                gain = gain + count * errors.table(name, len(wires))[tuple(found[:, at[other]] for other in wires)]
        return gain

    def _links(self) -> list[set[int]]:
        links: list[set[int]] = [set() for _ in range(self.n_wires)]
        for (_, wires), _ in self.counts:
            for wire in wires:
                links[wire] |= set(wires) - {wire}
        return links


def best_place(footprint: Footprint, errors: ErrorMap, at_least: tuple[int, ...]) -> tuple[int, ...]:
    """Device qubits for the wires with the best estimated success; `at_least` where nothing better is found.

    Parts that do not interact are placed one after the other, the largest first.
    """
    if not footprint.movable:
        return at_least
    place, total, taken = list(at_least), 0.0, np.zeros(errors.n_qubits, dtype=bool)
    for part in footprint.parts:
        found, score = footprint.embeddings(part, errors)
        free = np.flatnonzero(~taken[found].any(axis=1))
        if not len(free):
            return at_least
        total += float(score[free[0]])
        for wire, qubit in zip(part, found[free[0]].tolist(), strict=True):
            place[wire], taken[qubit] = qubit, True
    return tuple(place) if total > footprint.score(at_least, errors) else at_least


def own_place(circuit: QuantumCircuit, errors: ErrorMap | None) -> tuple[int, ...] | None:
    """The device qubits that a circuit was made for; None where it was made for none, or they will not do on this device.

    Args:
        circuit: Not yet transpiled.
        errors: Of the device; None for one that does not say how many qubits it has.
    """
    place = place_of(circuit)
    if place is None or errors is None or max(place) >= errors.n_qubits or not np.isfinite(errors.readout[list(place)]).all():
        return None
    works = np.isfinite(errors.best_pairs)
    for item in circuit.data:
        wires = [place[circuit.find_bit(qubit).index] for qubit in item.qubits]
        if item.operation.name not in FREE and len(wires) > 1 and (len(wires) > 2 or not (works | works.T)[tuple(wires)]):
            return None
    return place


def _counts(circuit: QuantumCircuit) -> Counter[tuple[str, tuple[int, ...]]]:
    return Counter(
        (item.operation.name, tuple(circuit.find_bit(qubit).index for qubit in item.qubits))
        for item in circuit.data
        if item.operation.name not in FREE
    )
