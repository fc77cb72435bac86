"""Exports as Qiskit reads them; its reader of OpenQASM 3 is qiskit-qasm3-import."""

from __future__ import annotations

from pathlib import Path

from common import Case, expectations, main
from qiskit import QuantumCircuit, qasm3, qpy
from qiskit.quantum_info import Statevector


def _values(circuit: QuantumCircuit, case: Case) -> list[float]:
    named = {parameter.name: parameter for parameter in circuit.parameters}
    assert set(named) <= set(case["parameters"]), sorted(named)
    bound = circuit.assign_parameters({own: case["parameters"][name] for name, own in named.items()})
    return expectations(Statevector(bound.reverse_bits()).data, case)


def _qasm3(case: Case) -> list[float]:
    return _values(qasm3.load(case["file"]), case)


def _qpy(case: Case) -> list[float]:
    with Path(case["file"]).open("rb") as file:
        return _values(qpy.load(file)[0], case)


main(["qiskit", "qiskit-qasm3-import"], {"qasm3.load": ("qasm3", _qasm3), "qpy.load": ("qpy", _qpy)})
