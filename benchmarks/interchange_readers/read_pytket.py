"""Exports as pytket reads them: OpenQASM 2 itself, the rest through Qiskit."""

from __future__ import annotations

from pathlib import Path

from common import Case, expectations, main, text_of
from pytket.circuit import Circuit
from pytket.extensions.qiskit import qiskit_to_tk
from pytket.qasm import circuit_from_qasm_str
from qiskit import QuantumCircuit, qasm2, qasm3, qpy


def _values(circuit: Circuit, case: Case) -> list[float]:
    return expectations(circuit.get_statevector(), case)


def _bound(circuit: QuantumCircuit, case: Case) -> QuantumCircuit:
    return circuit.assign_parameters({own: case["parameters"][own.name] for own in circuit.parameters})


def _qpy(case: Case) -> QuantumCircuit:
    with Path(case["file"]).open("rb") as file:
        return qpy.load(file)[0]


def _qasm2(case: Case) -> list[float]:
    return _values(circuit_from_qasm_str(qasm2.dumps(_bound(_qpy(case), case))), case)


main(
    ["pytket", "pytket-qiskit", "qiskit"],
    {
        "circuit_from_qasm_str": ("qasm3", lambda case: _values(circuit_from_qasm_str(text_of(case)), case)),
        "qasm3.load, qiskit_to_tk": ("qasm3", lambda case: _values(qiskit_to_tk(qasm3.load(case["file"])), case)),
        "qasm3.load, numbers, qiskit_to_tk": (
            "qasm3",
            lambda case: _values(qiskit_to_tk(_bound(qasm3.load(case["file"]), case)), case),
        ),
        "qpy.load, numbers, qiskit_to_tk": ("qpy", lambda case: _values(qiskit_to_tk(_bound(_qpy(case), case)), case)),
        "qpy.load, numbers, qasm2.dumps, circuit_from_qasm_str": ("qpy", _qasm2),
    },
)
