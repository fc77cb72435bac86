"""The qubits of a device that a circuit was made for, kept in its metadata, so that QPY and copies keep them too."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit

#: Key of the metadata.
PLACE = "device_qubits"


def place_of(circuit: QuantumCircuit) -> tuple[int, ...] | None:
    """The device qubit of each qubit of a circuit; None where it says nothing, or something that cannot be meant.

    Args:
        circuit: Any; its metadata may be somebody else's.
    """
    given = (circuit.metadata or {}).get(PLACE)
    if not isinstance(given, list | tuple) or len(given) != circuit.num_qubits or len(set(map(repr, given))) < len(given):
        return None
    return tuple(given) if all(type(qubit) is int and qubit >= 0 for qubit in given) else None


def placed(circuit: QuantumCircuit, qubits: Sequence[int] | None) -> QuantumCircuit:
    """The circuit, which is changed: it says that it was made for these qubits and has no other metadata.

    Args:
        circuit: Any.
        qubits: The device qubit of each of its qubits; None for a circuit that was made for none.
    """
    circuit.metadata = {} if qubits is None else {PLACE: list(qubits)}
    return circuit
