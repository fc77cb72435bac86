"""Wide circuits on this machine: unconnected parts, and single observables, on the qubits that they depend on.

An observable depends on the gates in its light cone alone: going back in time from its qubits, a gate that shares none with
what was met so far cancels against its inverse. The same holds with the noise of gates, as channels keep the trace and act on
the qubits of their gate, and with errors of single bits. So the expectation value of an observable, and the distribution of its
shots, are those of the cut circuit. A sum that is too wide is cut into its terms, whose expectation values add up. What is lost
is the covariance: shots of observables, or terms, that are cut apart are drawn independently, so that the variance of such a
sum is the sum of its terms' variances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Prepare, Request, Values, distinct_rows
from qlstm_qiskit.hardware.device.compact import DENSITY_QUBITS, STATE_QUBITS, active_qubits, compact, compact_together

#: Qubits up to which Aer is tried with a circuit as a whole if its light cones are wide, without noise and with: 16 GiB.
MOST_STATE, MOST_DENSITY = 30, 15

_PRODUCTS = "method: matrix_product_state in the entry of the backend"
_INSIDE = "a backend without noise"


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a circuit that is simulated alone.

    Attributes:
        circuit: On all qubits of the whole.
        columns: Of the whole's parameter sets: its own parameters.
        observables: Of the whole: its own, or those that it has a term of; parts add up.
        cut: Whether other parts share gates with it; equal parameter sets are evaluated once then.
    """

    circuit: ISACircuit
    columns: NDArray[np.intp]
    observables: NDArray[np.intp]
    cut: bool = False

    @property
    def n_qubits(self) -> int:
        """Qubits in use."""
        return len(active_qubits(self.circuit.circuit, self.circuit.observables))

    def request(self, asked: Request, circuit: ISACircuit) -> tuple[Request, NDArray[np.intp] | slice]:
        """What is asked of the part, as another circuit of the same parameters, and which of its rows each set is."""
        values = asked.values[:, self.columns]
        if not self.cut:
            return Request(circuit, values, asked.shots), slice(None)
        rows, origin = distinct_rows(values)
        return Request(circuit, rows, asked.shots), origin

    def narrowed(self, most: int) -> list[Part]:
        """The part itself, or its light cones where it has more than `most` qubits and they have not."""
        if self.n_qubits <= most:
            return [self]
        parts = light_cones(self.circuit, most)
        if any(part.n_qubits > most for part in parts):
            return [self]
        return [Part(own.circuit, self.columns[own.columns], self.observables[own.observables], True) for own in parts]


class ConesExecutor:
    """Evaluates circuits that are too wide for another executor by their light cones, all in one call of it.

    Args:
        inner: Simulates circuits on the qubits in use. What it takes as a whole, it gets as it is.
        most: Qubits of a circuit that it takes as a whole.
    """

    def __init__(self, inner: Executor, most: int) -> None:
        self._inner, self._most = inner, most
        self._parts: WeakKeyDictionary[ISACircuit, list[tuple[Part, ISACircuit]] | None] = WeakKeyDictionary()

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables)."""
        results = [nothing(request) for request in requests]
        asked, places = [], []
        for index, request in enumerate(requests):
            for part, small in self._cut(request.circuit):
                own, origin = part.request(request, small)
                asked.append(own)
                places.append((index, part.observables, origin))
        for (index, observables, origin), values in zip(places, self._inner.expect(asked), strict=True):
            results[index][:, observables] += values[origin]
        return results

    def _cut(self, isa: ISACircuit) -> list[tuple[Part, ISACircuit]]:
        if isa not in self._parts:
            parts = whole(isa).narrowed(self._most)
            circuits = [part.circuit for part in parts]
            if parts[0].cut:  # on the same qubits of a device, so that they have their noise in common
                circuits = compact_together(circuits) if isa.qubits else list(map(compact, circuits))
            self._parts[isa] = list(zip(parts, circuits, strict=True)) if parts[0].cut else None  # not the key itself
        return self._parts[isa] or [(whole(isa), isa)]

    def __reduce__(self) -> tuple[type[ConesExecutor], tuple[Executor, int]]:
        return type(self), (self._inner, self._most)  # weak references cannot be pickled


def cutting(spec: BackendSpec, executor: Executor, prepare: Prepare) -> tuple[Executor, Prepare]:
    """An executor of kind aer for circuits of any width with narrow light cones, and what refuses others.

    A method that the entry names is taken at its word: circuits stay whole.

    Args:
        spec: Of kind aer.
        executor: Simulates circuits on the qubits in use.
        prepare: Makes circuits ready for it.
    """
    if spec.method not in {None, "automatic"}:
        return executor, prepare
    cut, most, instead = (
        (STATE_QUBITS, MOST_STATE, _PRODUCTS) if spec.noise is None else (DENSITY_QUBITS, MOST_DENSITY, _INSIDE)
    )
    return ConesExecutor(executor, cut), partial(_prepared, prepare, cut, most, instead)


def _prepared(
    prepare: Prepare,
    cut: int,
    most: int,
    instead: str,
    name: str,
    circuit: QuantumCircuit,
    parameters: Sequence[Parameter],
    observables: Sequence[SparsePauliOp],
) -> ISACircuit:
    """A circuit made ready, if it can be simulated: of at most `most` qubits, or with light cones of at most `cut`."""
    isa = prepare(name, circuit, parameters, observables)
    n_qubits = widest(whole(isa).narrowed(cut))
    if n_qubits > most:
        raise CapacityError(
            f"{name} has {n_qubits} qubits, and an output of it depends on {widest(light_cones(isa, cut))} of them; this "
            f"simulation takes {most} qubits, or outputs that depend on {cut} at most. Take a linear entangler, less depth, "
            f"fewer qubits (hidden_size, or n_qubits), or {instead}."
        )
    return isa


def whole(isa: ISACircuit) -> Part:
    """A circuit as the only part of itself."""
    return Part(isa, np.arange(len(isa.parameters)), np.arange(len(isa.observables)))


def widest(parts: Sequence[Part]) -> int:
    """The most qubits that a simulation of a circuit's parts has at once."""
    return max(part.n_qubits for part in parts)


def light_cones(isa: ISACircuit, most: int) -> list[Part]:
    """Each observable with the gates that it can depend on; each of its terms where that has more than `most` qubits."""
    gates = _wires(isa.circuit)

    def cone(index: int, observable: SparsePauliOp) -> Part:
        seen, kept = set(active_qubits(QuantumCircuit(0), [observable])), []
        for place in reversed(range(len(gates))):
            if not seen.isdisjoint(gates[place]):
                seen.update(gates[place])
                kept.append(place)
        found = _part(isa, kept[::-1], np.array([index], dtype=np.intp), True)
        return replace(found, circuit=replace(found.circuit, observables=(observable,)))

    parts = []
    for index, observable in enumerate(isa.observables):
        own = cone(index, observable)
        apart = own.n_qubits > most and len(observable) > 1
        parts += [cone(index, term) for term in observable] if apart else [own]
    return parts


def nothing(request: Request) -> Values:
    """What values of parts are added to, (sets, observables): minus zeros, which leave each value as it is, zeros too."""
    return np.full((len(request.values), len(request.circuit.observables)), -0.0)


def split_apart(isa: ISACircuit) -> list[Part]:
    """The unconnected parts of a circuit, each on all of its qubits; the circuit itself where there is one part."""
    supports = [active_qubits(QuantumCircuit(0), [observable]) for observable in isa.observables]
    gates = _wires(isa.circuit)
    group = _groups(isa.circuit.num_qubits, [*gates, *supports])
    homes = [group[support[0]] if support else None for support in supports]
    first = next((home for home in homes if home is not None), None)
    homes = [first if home is None else home for home in homes]  # a constant goes anywhere
    names = sorted({home for home in homes if home is not None})
    if len(names) < 2:
        return [whole(isa)]
    parts = []
    for name in names:
        kept = [place for place, wires in enumerate(gates) if wires and group[wires[0]] == name]
        observables = np.array([k for k, home in enumerate(homes) if home == name], dtype=np.intp)
        parts.append(_part(isa, kept, observables, False))
    return parts


def _wires(circuit: QuantumCircuit) -> list[tuple[int, ...]]:
    """Qubits of each instruction; none of a barrier."""
    place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    return [tuple(place[qubit] for qubit in item.qubits) if item.name != "barrier" else () for item in circuit.data]


def _part(isa: ISACircuit, kept: Sequence[int], observables: NDArray[np.intp], cut: bool) -> Part:
    """Some instructions and observables of a circuit."""
    circuit = QuantumCircuit(isa.circuit.num_qubits, name=isa.circuit.name)
    place = {qubit: index for index, qubit in enumerate(isa.circuit.qubits)}
    for item in map(isa.circuit.data.__getitem__, kept):
        circuit.append(item.operation, [place[qubit] for qubit in item.qubits])
    used = set(circuit.parameters)
    columns = np.array([k for k, parameter in enumerate(isa.parameters) if parameter in used], dtype=np.intp)
    own = replace(
        isa,
        circuit=circuit,
        parameters=tuple(isa.parameters[k] for k in columns),
        observables=tuple(isa.observables[k] for k in observables),
    )
    return Part(own, columns, observables, cut)


def _groups(n_qubits: int, ties: Sequence[Sequence[int]]) -> list[int]:
    """For each qubit the smallest qubit that ties connect it with."""
    root = list(range(n_qubits))

    def find(qubit: int) -> int:
        while root[qubit] != qubit:
            root[qubit] = root[root[qubit]]
            qubit = root[qubit]
        return qubit

    for tie in ties:
        for qubit in tie[1:]:
            a, b = find(tie[0]), find(qubit)
            root[max(a, b)] = min(a, b)
    return [find(qubit) for qubit in range(n_qubits)]
