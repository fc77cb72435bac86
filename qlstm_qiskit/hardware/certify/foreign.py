"""Circuits with measurements as Qiskit alone has them, and what results and exceptions of devices say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit

from qlstm_qiskit.hardware.certify.probes import Values
from qlstm_qiskit.hardware.config.secrets import scrub
from qlstm_qiskit.hardware.executors.counts import FAILED
from qlstm_qiskit.hardware.executors.results import field_of, shown


def said(error: Exception) -> str:
    """An exception of somebody else's code in a line."""
    text = scrub(" ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:160] or 'without a word'}"


def mark(item: Any) -> str | None:
    """How a result, or that of a circuit, says that it failed."""
    status = field_of(item, "status")
    text = str(getattr(status, "name", status or ""))
    if field_of(item, "success") is False:
        return "marked as failed" + (f" ({shown(text)})" if text else "")
    return f"the status {shown(text)}" if FAILED.search(text) else None


def number(memory: Any, counts: Any) -> Any:
    """Shots in a result."""
    try:
        return len(memory) if memory is not None else int(sum(counts.values()))
    except (TypeError, ValueError, AttributeError):  # counts may be anything
        return "no countable"


def measured(circuit: QuantumCircuit, qubits: Sequence[int] | None = None) -> QuantumCircuit:
    """A fitted circuit with qubits of the original measured, qubit i of them into bit i of register c."""
    wires = wires_of(circuit)
    wires = wires if qubits is None else [wires[qubit] for qubit in qubits]
    result, register = circuit.copy(), ClassicalRegister(len(wires), "c")
    result.add_register(register)
    result.measure(wires, register)
    return result


def in_two_registers(circuit: QuantumCircuit) -> QuantumCircuit:
    """A fitted circuit with its first and last qubit measured into registers a and b."""
    wires, result = wires_of(circuit), circuit.copy()
    for name, wire in (("a", wires[0]), ("b", wires[-1])):
        register = ClassicalRegister(1, name)
        result.add_register(register)
        result.measure([wire], register)
    return result


def wires_of(circuit: QuantumCircuit) -> list[int]:
    """Where the qubits of a circuit are after it was fitted."""
    if circuit.layout is None:
        return list(range(circuit.num_qubits))
    return [int(wire) for wire in circuit.layout.final_index_layout(filter_ancillas=True)]


def means(bits: Any) -> Values:
    """<Z> of each bit, (sets, bits), the first bit first."""
    return 1.0 - 2.0 * np.asarray(bits.to_bool_array(order="little"), dtype=np.float64).mean(axis=-2)
