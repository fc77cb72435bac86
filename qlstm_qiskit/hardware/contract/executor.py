"""The contract of an executor: expectation values of prepared circuits at many parameter sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits.gates import library_name
from qlstm_qiskit.hardware.contract.measurement import Measurement

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ISACircuit:
    """A parameterised circuit that a device or simulator can run as it is, and what is measured on it.

    Attributes:
        name: Of the candidate, for tables and messages.
        circuit: Without measurements; on all qubits of the device, or on its active ones only.
        parameters: In the order of the columns of the parameter sets.
        observables: On the qubits of `circuit`.
        qubits: The device's qubit behind each qubit of `circuit`; empty where there is no device.
        basis_gates: Names of the gates that the device has; None where any will do.
    """

    name: str
    circuit: QuantumCircuit
    parameters: tuple[Parameter, ...]
    observables: tuple[SparsePauliOp, ...]
    qubits: tuple[int, ...] = ()
    basis_gates: frozenset[str] | None = None

    @cached_property
    def measurement(self) -> Measurement:
        """The bases in which the observables are measured, and how to take means."""
        return Measurement.of(self.observables)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the circuit, the order of its parameters, the observables and the qubits; the same in every process."""
        digest = hashlib.sha256()
        digest.update(circuit_bytes(self.circuit))
        digest.update(repr([parameter.name for parameter in self.parameters]).encode())
        digest.update(repr([observable.to_list() for observable in self.observables]).encode())
        digest.update(repr(self.qubits).encode())
        return digest.hexdigest()

    def order(self, values: Values) -> Values:
        """Columns of `values` in the order of `circuit.parameters`, as primitives bind arrays (they sort by name)."""
        columns = {parameter: column for column, parameter in enumerate(self.parameters)}
        return values[:, [columns[parameter] for parameter in self.circuit.parameters]]


@dataclass(frozen=True, eq=False)
class Request:
    """A prepared circuit at parameter sets `values`, (sets, parameters), in radians; `shots` in place of the executor's own."""

    circuit: ISACircuit
    values: Values
    shots: int | None = None


@dataclass
class Draws:
    """Counts random draws: each has a seed of its own, made from its number. A resumed training restores the count."""

    count: int = 0


class Prepare(Protocol):
    """Makes a circuit ready for an executor."""

    def __call__(
        self, name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit: ...


class Executor(Protocol):
    """Evaluates requests; one call is one job, unless a limit of the device cuts it into several."""

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables)."""


def circuit_bytes(circuit: QuantumCircuit) -> bytes:
    """What a circuit does, as bytes: no metadata and no identities of parameters, which differ between processes."""
    lines = [repr((circuit.num_qubits, circuit.num_clbits, str(circuit.global_phase)))]
    for item in circuit.data:
        wires = [circuit.find_bit(bit).index for bit in (*item.qubits, *item.clbits)]
        gate = item.operation
        params = [value.tobytes().hex() if isinstance(value, np.ndarray) else str(value) for value in gate.params]
        if library_name(gate) == "delay" and gate.unit != "dt":
            params.append(gate.unit)
        lines.append(repr((gate.name, wires, params)))
        if not library_name(gate) and getattr(gate, "definition", None) is not None:
            lines.append(circuit_bytes(gate.definition).decode())
    return "\n".join(lines).encode()


def distinct_rows(rows: Values) -> tuple[Values, NDArray[np.intp]]:
    """The different rows in the order in which they come, and for each row which of them it is."""
    if not rows.shape[1]:
        return rows[:1], np.zeros(len(rows), dtype=np.intp)
    content = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, origin = np.unique(content, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return rows[first[order]], np.argsort(order)[origin]
