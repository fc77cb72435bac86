#!/usr/bin/env bash
# PennyLane 0.45.1 with pennylane-qiskit 0.45.0: qml.from_qiskit exchanges the qubits of CU, CU3, CSX, DCX, RZX and RCCX gates.
#
# Gates without a counterpart in PennyLane are taken over as their matrices. Qiskit's matrices have the first qubit as the least
# significant, QubitUnitary has it as the most significant, and the matrix is put on the same wires in the same order. What is
# symmetric under that exchange comes out right, and so does all that PennyLane knows by name. No warning.
#
# Seen: <Z> of both qubits after X on qubit 0 and then a gate on the qubits (0, 1), from Qiskit's Statevector and through PennyLane:
#   cu(0.7, 0.1, 0.2, 0.3)   Qiskit -1, 0.7648   PennyLane -1, 1
#   csx                      Qiskit -1, 0        PennyLane -1, 1
#   dcx                      Qiskit 1, -1        PennyLane -1, -1
#   rzx(0.7)                 Qiskit -1, 0.7648   PennyLane -0.7648, 1
#   crx(0.7), for comparison, is right: -1, 0.7648
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check PennyLane==0.45.1 pennylane-qiskit==0.45.0 qiskit==2.3.0
env/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pennylane as qml
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli, Statevector

SEEN = {
    "cu": ((0.7, 0.1, 0.2, 0.3), (-1, np.cos(0.7)), (-1, 1)),
    "csx": ((), (-1, 0), (-1, 1)),
    "dcx": ((), (1, -1), (-1, -1)),
    "rzx": ((0.7,), (-1, np.cos(0.7)), (-np.cos(0.7), 1)),
    "crx": ((0.7,), (-1, np.cos(0.7)), (-1, np.cos(0.7))),
}
print(", ".join(f"{name} {version(name)}" for name in ("PennyLane", "pennylane-qiskit", "qiskit")))
same = []
for gate, (angles, of_qiskit, of_pennylane) in SEEN.items():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    getattr(circuit, gate)(*angles, 0, 1)
    state = Statevector(circuit)
    expected = [state.expectation_value(Pauli("Z"), [qubit]).real for qubit in (0, 1)]

    @qml.qnode(qml.device("default.qubit", wires=2))
    def values():
        qml.from_qiskit(circuit)(wires=[0, 1])
        return [qml.expval(qml.Z(wire)) for wire in (0, 1)]

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        found = [float(value) for value in values()]
    said = sum(not issubclass(item.category, DeprecationWarning) for item in warned)
    print(f"{gate}: Qiskit {np.round(expected, 4)}, PennyLane {np.round(found, 4)}, {said} warnings")
    same.append(np.allclose(expected, of_qiskit) and np.allclose(found, of_pennylane) and not said)
sys.exit(not all(same))
PY
