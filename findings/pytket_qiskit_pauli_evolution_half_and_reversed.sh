#!/usr/bin/env bash
# pytket-qiskit 0.79.0: qiskit_to_tk turns a PauliEvolutionGate into one of half the time, with the order of its qubits reversed.
#
# Qiskit's PauliEvolutionGate(H, time=t) is exp(-i t H), and the last letter of a label is the gate's first qubit. Through
# qiskit_to_tk it is exp(-i t H / 2), with the first letter at the first qubit. No warning. On qubits other than 0, 1, ..., n - 1
# the circuit cannot be evaluated: "Circuit does not contain unit with id".
#
# Seen: <Z> of both qubits after the gate with t = 0.3 on the qubits (0, 1) of |00>, from Qiskit's Statevector and from pytket's:
#   IX   Qiskit cos 0.6, 1         pytket 1, cos 0.3
#   XI   Qiskit 1, cos 0.6         pytket cos 0.3, 1
#   XX   Qiskit cos 0.6, cos 0.6   pytket cos 0.3, cos 0.3
#   the circuit opened first (two rounds of QuantumCircuit.decompose) is right
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check pytket==2.18.5 pytket-qiskit==0.79.0 qiskit==2.6.2
env/bin/python - <<'PY'
import sys
from importlib.metadata import version
from math import cos

import numpy as np
from pytket.extensions.qiskit import qiskit_to_tk
from qiskit import QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import Pauli, Statevector

SEEN = {
    "IX": ((cos(0.6), 1), (1, cos(0.3))),
    "XI": ((1, cos(0.6)), (cos(0.3), 1)),
    "XX": ((cos(0.6), cos(0.6)), (cos(0.3), cos(0.3))),
}


def means(probabilities):
    """<Z> of both qubits; the first axis is qubit 0."""
    return [float((probabilities.sum(axis=1 - qubit) * [1, -1]).sum()) for qubit in (0, 1)]


def of_pytket(circuit):
    return means(np.abs(qiskit_to_tk(circuit).get_statevector().reshape(2, 2)) ** 2)  # q[0] is the most significant


print(", ".join(f"{name} {version(name)}" for name in ("pytket", "pytket-qiskit", "qiskit")))
same = []
for label, (expected, seen) in SEEN.items():
    circuit = QuantumCircuit(2)
    circuit.append(PauliEvolutionGate(Pauli(label), time=0.3), [0, 1])
    state = Statevector(circuit)
    qiskit = [float(state.expectation_value(Pauli("Z"), [qubit]).real) for qubit in (0, 1)]
    pytket, opened = of_pytket(circuit), of_pytket(circuit.decompose(reps=2))
    print(f"{label}: Qiskit {np.round(qiskit, 4)}, pytket {np.round(pytket, 4)}, opened first {np.round(opened, 4)}")
    same.append(np.allclose(qiskit, expected) and np.allclose(pytket, seen) and np.allclose(opened, expected))
sys.exit(not all(same))
PY
