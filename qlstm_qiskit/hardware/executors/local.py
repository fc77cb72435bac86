"""Simulation on this machine of circuits for a large device: unconnected parts apart, and only the qubits in use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from qiskit.providers import BackendV2

from qlstm_qiskit.errors import QLSTMWarning
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request, Values
from qlstm_qiskit.hardware.device.compact import (
    DENSITY_QUBITS,
    STATE_QUBITS,
    compact_backend,
    compact_together,
    simulated_slowly,
)
from qlstm_qiskit.hardware.executors.cones import Part, nothing, split_apart, widest


class LocalExecutor:
    """Runs circuits that are on all qubits of a device on a simulation of those that are in use.

    Circuits side by side (see `packing`) share no gate and no observable, so that each is simulated alone: a device without
    crosstalk. Those that are too wide are cut into light cones where these are narrow (`cones`). All requests of a call stay
    one call of the inner executor.

    Args:
        device: Whose qubits and noise the simulation has.
        make: Makes the executor for a simulated device of some of its qubits.
        noisy: Whether that has the device's noise; circuits that take minutes then are warned of.
    """

    def __init__(self, device: BackendV2, make: Callable[[BackendV2], Executor], noisy: bool = True) -> None:
        self._device, self._make, self._noisy = device, make, noisy
        self._most = DENSITY_QUBITS if noisy else STATE_QUBITS
        self._said = 0
        self._parts: WeakKeyDictionary[ISACircuit, list[Part]] = WeakKeyDictionary()
        self._small: dict[tuple[ISACircuit, ...], list[ISACircuit]] = {}
        self._executors: dict[tuple[int, ...], Executor] = {}

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables)."""
        parts = [(index, part) for index, request in enumerate(requests) for part in self._split(request.circuit)]
        results = [nothing(request) for request in requests]
        if not parts:
            return results
        circuits = tuple(part.circuit for _, part in parts)
        if circuits not in self._small:
            self._small[circuits] = compact_together(circuits)
        small = self._small[circuits]
        asked = [part.request(requests[index], own) for (index, part), own in zip(parts, small, strict=True)]
        found = self._on(small[0].qubits).expect([request for request, _ in asked])
        for (index, part), (_, origin), values in zip(parts, asked, found, strict=True):
            results[index][:, part.observables] += values[origin]
        return results

    def _split(self, circuit: ISACircuit) -> list[Part]:
        if circuit not in self._parts:
            self._parts[circuit] = parts_on_device(circuit, self._most)
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


def parts_on_device(circuit: ISACircuit, most: int = DENSITY_QUBITS) -> list[Part]:
    """What of a circuit is simulated together: unconnected parts, or light cones of those with more than `most` qubits."""
    return [own for part in split_apart(circuit) for own in part.narrowed(most)]
