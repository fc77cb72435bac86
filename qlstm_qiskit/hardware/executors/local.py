"""Simulation on this machine of circuits for a large device: unconnected parts apart, and only the qubits in use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qlstm_qiskit.errors import QLSTMWarning
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request, Values
from qlstm_qiskit.hardware.device.compact import active_qubits, compact_backend, compact_together, simulated_slowly


class LocalExecutor:
    """Runs circuits that are on all qubits of a device on a simulation of those that are in use.

    Circuits side by side (see `packing`) share no gate and no observable, so that each is simulated alone: a device without
    crosstalk. All requests of a call stay one call of the inner executor.

    Args:
        device: Whose qubits and noise the simulation has.
        make: Makes the executor for a simulated device of some of its qubits.
        noisy: Whether that has the device's noise; circuits that take minutes then are warned of.
    """

    def __init__(self, device: BackendV2, make: Callable[[BackendV2], Executor], noisy: bool = True) -> None:
        self._device, self._make, self._noisy = device, make, noisy
        self._said = 0
        self._parts: WeakKeyDictionary[ISACircuit, list[_Component]] = WeakKeyDictionary()
        self._small: dict[tuple[ISACircuit, ...], list[ISACircuit]] = {}
        self._executors: dict[tuple[int, ...], Executor] = {}

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables)."""
        parts = [(index, part) for index, request in enumerate(requests) for part in self._split(request.circuit)]
        results = [np.zeros((len(request.values), len(request.circuit.observables))) for request in requests]
        if not parts:
            return results
        circuits = tuple(part.circuit for _, part in parts)
        if circuits not in self._small:
            self._small[circuits] = compact_together(circuits)
        small = self._small[circuits]
        columns = [requests[index].values[:, part.columns] for index, part in parts]
        shots = [requests[index].shots for index, _ in parts]
        asked = [Request(*own) for own in zip(small, columns, shots, strict=True)]
        for (index, part), values in zip(parts, self._on(small[0].qubits).expect(asked), strict=True):
            results[index][:, part.observables] = values
        return results

    def _split(self, circuit: ISACircuit) -> list[_Component]:
        if circuit not in self._parts:
            self._parts[circuit] = split_apart(circuit)
            self._warn(widest(self._parts[circuit]))
        return self._parts[circuit]

    def _warn(self, n_qubits: int) -> None:
        slow = simulated_slowly(n_qubits) if self._noisy and n_qubits > self._said else None
        if slow is not None:
            self._said = n_qubits
            warnings.warn(
                f"{self._device.name} is simulated on this machine, {slow}. Fewer shots, windows or qubits take less time; "
                "kind: statevector or aer, without noise, takes none of it.",
                QLSTMWarning,
                stacklevel=2,
            )

    def _on(self, qubits: tuple[int, ...]) -> Executor:
        if qubits not in self._executors:
            self._executors[qubits] = self._make(compact_backend(self._device, qubits))
        return self._executors[qubits]


@dataclass(frozen=True, eq=False)
class _Component:
    """Qubits of a circuit that neither gates nor observables connect with others; columns and observables that are theirs."""

    circuit: ISACircuit
    columns: NDArray[np.intp]
    observables: NDArray[np.intp]


def widest(parts: Sequence[_Component]) -> int:
    """The most qubits that a simulation of a circuit has at once; `parts` are those of `split_apart`."""
    return max(len(active_qubits(part.circuit.circuit, part.circuit.observables)) for part in parts)


def split_apart(isa: ISACircuit) -> list[_Component]:
    """The unconnected parts of a circuit, each on all of its qubits; the circuit itself where there is one part."""
    supports = [active_qubits(QuantumCircuit(0), [observable]) for observable in isa.observables]
    gates = [
        tuple(isa.circuit.find_bit(qubit).index for qubit in item.qubits) if item.name != "barrier" else ()
        for item in isa.circuit.data
    ]
    group = _groups(isa.circuit.num_qubits, [*gates, *supports])
    homes = [group[support[0]] if support else None for support in supports]
    first = next((home for home in homes if home is not None), None)
    homes = [first if home is None else home for home in homes]  # a constant goes anywhere
    names = sorted({home for home in homes if home is not None})
    if len(names) < 2:
        every = np.arange(len(isa.parameters)), np.arange(len(isa.observables))
        return [_Component(isa, *every)]
    parts = []
    for name in names:
        circuit = QuantumCircuit(isa.circuit.num_qubits, name=isa.circuit.name)
        for item, wires in zip(isa.circuit.data, gates, strict=True):
            if wires and group[wires[0]] == name:
                circuit.append(item.operation, wires)
        columns = np.array([k for k, p in enumerate(isa.parameters) if p in circuit.parameters], dtype=np.intp)
        observables = np.array([k for k, home in enumerate(homes) if home == name], dtype=np.intp)
        own = ISACircuit(
            isa.name,
            circuit,
            tuple(isa.parameters[k] for k in columns),
            tuple(isa.observables[k] for k in observables),
            isa.qubits,
            isa.basis_gates,
        )
        parts.append(_Component(own, columns, observables))
    return parts


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
