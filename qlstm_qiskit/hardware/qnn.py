"""Candidates as qiskit-machine-learning networks."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qlstm_qiskit.hardware.backend import Backend


def build_qnn(
    circuit: QuantumCircuit,
    inputs: Sequence[Parameter],
    weights: Sequence[Parameter],
    observables: Sequence[SparsePauliOp],
    backend: Backend,
) -> EstimatorQNN:
    """Build an `EstimatorQNN` with input gradients on and the backend's own precision in both directions.

    The stock defaults would leave input gradients off (``x.grad`` is then silently None) and ask the forward pass alone for
    a precision of 1/64.
    """
    unused = [parameter for parameter in inputs if parameter not in circuit.parameters]
    if unused:  # EstimatorQNN wants every input in the circuit; a rotation about Z does nothing to |0...0>
        start = QuantumCircuit(*circuit.qregs)
        for parameter in unused:
            start.rz(parameter, 0)
        circuit = start.compose(circuit)
    estimator = backend.estimator()
    return EstimatorQNN(
        circuit=circuit,
        estimator=estimator,
        observables=list(observables),
        input_params=list(inputs),
        weight_params=list(weights),
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=backend.precision,
    )
