#!/usr/bin/env bash
# Qiskit Aer 0.18.2: controlled rotations whose angles come with the run (parameter_binds) are not applied.
#
# A circuit whose only parameterised gate is crx, cry, crz or cp is run as if that gate were not there, and three parameter sets
# come back as one result, without an error. rzz is right, and so are the controlled gates where the angle is put in before the
# run. Public reports: Qiskit/qiskit-aer issues 2323, 2391 and 2403.
#
# Seen, for H H, gate(angle), H H at 0.3, 1.1 and 2.5: one result, P(00) = 1, for each of the four gates; three right ones for rzz.
# Exits 1 where that is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 qiskit-aer==0.18.2
env/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator

ANGLES = [0.3, 1.1, 2.5]
print(f"qiskit {version('qiskit')}, qiskit-aer {version('qiskit-aer')}")
same = True
for gate in ("crx", "cry", "crz", "cp", "rzz"):
    angle = Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    getattr(circuit, gate)(angle, 0, 1)
    circuit.h([0, 1])
    right = [Statevector(circuit.assign_parameters({angle: value})).probabilities()[0] for value in ANGLES]
    saved = circuit.copy()
    saved.save_probabilities()
    results = AerSimulator(method="statevector").run([saved], shots=1, parameter_binds=[{angle: ANGLES}]).result().results
    found = [float(np.asarray(one.data.probabilities)[0]) for one in results]
    print(f"{gate}: P(00) at {ANGLES} is {np.round(right, 4).tolist()}; Aer gives {np.round(found, 4).tolist()}")
    same &= np.allclose(found, right) if gate == "rzz" else len(found) == 1 and abs(found[0] - 1) < 1e-9
sys.exit(not same)
PY
