#!/usr/bin/env bash
# Qiskit Aer 0.18.2: terms of a QuantumError with a probability of at most 1e-10 are left out, and the others are not rescaled.
#
# The simulator drops such terms without a warning when it loads the noise model (QuantumError::set_circuits in
# src/noise/quantum_error.hpp). method="density_matrix" then gives a state whose trace is less than 1 by what was dropped, and which
# differs from the channel SuperOp(error) that the same object stands for. It is a threshold per term: an error that is split into
# many terms can vanish as a whole, as a depolarizing error of two qubits of up to 1.6e-9 does.
#
# Seen, the density matrix of AerSimulator(method="density_matrix") beside DensityMatrix(circuit).evolve(SuperOp(error)):
#   x with a bit flip of probability 1.01e-10      equal, trace 1
#   x with a bit flip of probability 0.99e-10      no flip at all, trace 1 - 9.9e-11
#   cx with depolarizing_error(1.5e-9, 2)          no error at all, trace 1 - 1.4e-9
#   NoiseModel.from_backend(FakeFez()), data of qiskit-ibm-runtime 0.51.0: 236 of the errors of its 352 cz have such terms; on
#   the state ++ the 60 of cz on 79 and 93 come to a trace of 1 - 3.7e-9, and elements differ by up to 2.2e-9
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 qiskit-aer==0.18.2 qiskit-ibm-runtime==0.51.0
env/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import IGate, XGate
from qiskit.quantum_info import DensityMatrix, SuperOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, QuantumError, depolarizing_error
from qiskit_aer.noise.device import basic_device_gate_errors
from qiskit_ibm_runtime.fake_provider import FakeFez

print(", ".join(f"{name} {version(name)}" for name in ("qiskit", "qiskit-aer", "qiskit-ibm-runtime")))
results = []


def compare(name, circuit, model, qubits, small, error):
    """The trace that is missing in Aer's density matrix, and its largest difference from the channel's."""
    circuit = circuit.copy()
    circuit.save_density_matrix(qubits)
    found = AerSimulator(method="density_matrix", noise_model=model).run(circuit, shots=1).result().data()["density_matrix"]
    exact = DensityMatrix(small).evolve(SuperOp(error)).data
    lost, difference = 1 - np.trace(found).real, np.abs(np.asarray(found) - exact).max()
    whole = np.isclose(np.trace(exact), 1, rtol=0, atol=1e-14)
    print(f"{name}: trace of Aer's state 1 - {lost:.3g}, of the channel's {'1' if whole else 'not 1'}; differ by {difference:.3g}")
    results.append((lost, difference, whole))


for probability in (1.01e-10, 0.99e-10):
    error = QuantumError([(IGate(), 1 - probability), (XGate(), probability)])
    model = NoiseModel()
    model.add_all_qubit_quantum_error(error, ["x"])
    circuit = QuantumCircuit(1)
    circuit.x(0)
    compare(f"x, bit flip {probability}", circuit, model, [0], circuit, error)

error = depolarizing_error(1.5e-9, 2)
model = NoiseModel()
model.add_all_qubit_quantum_error(error, ["cx"])
circuit = QuantumCircuit(2)
circuit.cx(0, 1)
compare("cx, depolarizing 1.5e-9", circuit, model, [0, 1], circuit, error)

backend = FakeFez()
errors = {tuple(qubits): error for name, qubits, error in basic_device_gate_errors(target=backend.target) if name == "cz"}
rare = sum(any(0 < p <= 1e-10 for p in error.probabilities) for error in errors.values())
print(f"cz of FakeFez: {rare} of {len(errors)} errors have terms of at most 1e-10")
device, small = QuantumCircuit(156), QuantumCircuit(2)
for circuit, pair in ((device, (79, 93)), (small, (0, 1))):
    circuit.h(pair)  # no gate of the device: without errors
    circuit.cz(*pair)
error = errors[79, 93]
small_terms = [p for p in error.probabilities if 0 < p <= 1e-10]
print(f"cz on 79 and 93: {len(small_terms)} such terms, {sum(small_terms):.3g} together")
compare("cz on 79 and 93 of FakeFez", device, NoiseModel.from_backend(backend), [79, 93], small, error)

expected = [(0, 0, True), (9.9e-11, 9.9e-11, True), (1.41e-9, 3.75e-10, True), (3.66e-9, 2.21e-9, True)]
same = (rare, len(errors), len(small_terms)) == (236, 352, 60) and np.allclose(results, expected, rtol=0.02, atol=1e-14)
sys.exit(not same)
PY
