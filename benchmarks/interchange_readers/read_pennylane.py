"""Exports as PennyLane reads them, itself and through Qiskit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pennylane as qml
from common import Case, expectations, main, text_of, without_include
from qiskit import QuantumCircuit, qasm3, qpy


def _values(case: Case, wires: list[Any], circuit: Callable[[], object]) -> list[float]:
    @qml.qnode(qml.device("default.qubit", wires=wires))
    def state():
        circuit()
        return qml.state()

    return expectations(state(), case)


def _from_qasm3(case: Case, text: str) -> list[float]:
    n_qubits = len(case["observables"][0][0][0])
    program = qml.from_qasm3(text)
    there = {name: value for name, value in case["parameters"].items() if f"input float[64] {name};" in text}
    return _values(case, [f"q[{qubit}]" for qubit in range(n_qubits)], lambda: program(**there))


def _qpy(case: Case) -> QuantumCircuit:
    with Path(case["file"]).open("rb") as file:
        return qpy.load(file)[0]


def _from_qiskit(case: Case, circuit: QuantumCircuit) -> list[float]:
    named = {own: case["parameters"][own.name] for own in circuit.parameters}
    template = qml.from_qiskit(circuit)
    wires = list(range(circuit.num_qubits))
    return _values(case, wires, lambda: template(named, wires=wires))


main(
    ["PennyLane", "pennylane-qiskit", "qiskit"],
    {
        "from_qasm3": ("qasm3", lambda case: _from_qasm3(case, text_of(case))),
        "from_qasm3, without include": ("qasm3", lambda case: _from_qasm3(case, without_include(text_of(case)))),
        "qasm3.load, from_qiskit": ("qasm3", lambda case: _from_qiskit(case, qasm3.load(case["file"]))),
        "qpy.load, from_qiskit": ("qpy", lambda case: _from_qiskit(case, _qpy(case))),
    },
)
