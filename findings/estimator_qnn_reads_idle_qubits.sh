#!/usr/bin/env bash
# qiskit-machine-learning 0.9.1: the default observable of EstimatorQNN leaves out the layout of a transpiled circuit.
#
# Without `observables` it is documented as Z on all n qubits. For a circuit with a layout, transpiled before or by `pass_manager`, it
# is Z on the physical qubits 0 to n - 1, wherever the circuit has been placed. Where it lies elsewhere, idle qubits are read: the
# output is 1 for every input and weight, and all gradients are 0, without an error or a warning. Observables that are given are
# right once apply_layout has placed them.
#
# Seen, for rx(x) on qubit 0 and ry(w) on qubit 1, whose output is cos(x) cos(w), at x = 1, w = 2 (exact values, precision 0):
#   as it is                                               -0.2248, gradient by w -0.4913
#   transpiled to qubits 3 and 2 of a line of 4             1, gradient 0; observable IIZZ
#   the same by EstimatorQNN(pass_manager=...)              1, gradient 0
#   transpiled, observables=Z on both with apply_layout    -0.2248, gradient by w -0.4913; observable ZZII
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 qiskit-machine-learning==0.9.1
env/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import CouplingMap, generate_preset_pass_manager
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

print(f"qiskit {version('qiskit')}, qiskit-machine-learning {version('qiskit-machine-learning')}")
x, w = Parameter("x"), Parameter("w")
circuit = QuantumCircuit(2)
circuit.rx(x, 0)
circuit.ry(w, 1)
passes = generate_preset_pass_manager(
    optimization_level=1,
    basis_gates=["rz", "sx", "x", "cx"],
    coupling_map=CouplingMap.from_line(4),
    initial_layout=[3, 2],
)
transpiled = passes.run(circuit)
right, constant = (np.cos(1) * np.cos(2), -np.cos(1) * np.sin(2)), (1.0, 0.0)
same = True
for name, given, options, expected, label in (
    ("as it is", circuit, {}, right, "ZZ"),
    ("transpiled", transpiled, {}, constant, "IIZZ"),
    ("pass_manager", circuit, {"pass_manager": passes}, constant, "IIZZ"),
    ("transpiled, observable placed", transpiled, {"observables": SparsePauliOp("ZZ").apply_layout(transpiled.layout)}, right, "ZZII"),
):
    estimator = StatevectorEstimator()
    network = EstimatorQNN(
        circuit=given,
        estimator=estimator,
        gradient=ParamShiftEstimatorGradient(estimator),
        input_params=[x],
        weight_params=[w],
        default_precision=0.0,
        **options,
    )
    output = float(network.forward([1.0], [2.0])[0, 0])
    gradient = float(network.backward([1.0], [2.0])[1][0, 0, 0])
    (observable,) = network.observables
    print(f"{name}: output {output:.4f}, gradient by w {gradient:.4f}, observable {observable.paulis.to_labels()[0]}")
    same &= np.allclose((output, gradient), expected, atol=1e-9) and observable.paulis.to_labels() == [label]
sys.exit(not same)
PY
