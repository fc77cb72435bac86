"""Stock EstimatorQNN + TorchConnector on the exact StatevectorEstimator, with parameter-shift gradients.

A whole training step takes minutes to hours. So single circuits are checked and timed: forward and backward of one
candidate of one gate at one time step, on the whole batch. The step is that many times longer as it has such units.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

from benchmarks.peer_models.common import (
    Candidate,
    Problem,
    arguments,
    largest_difference,
    median_ms,
    refuse_unless_equal,
    report,
)

_PEER = "estimator-qnn"
_PACKAGES = ("qiskit", "qiskit-machine-learning", "torch", "numpy")

#: Qiskit simulates in float64; TorchConnector rounds what it hands to torch to float32.
_DTYPES = ("float32", "float64")

#: A circuit is not repeated once the repeats would take longer than this, all circuits together.
_BUDGET_S = 60.0


def network(candidate: Candidate, problem: Problem) -> EstimatorQNN:
    """The candidate as a network that has gradients by inputs and weights."""
    n_qubits = problem.n_qubits
    inputs, weights = ParameterVector("x", n_qubits), ParameterVector("w", n_qubits * problem.depth)
    circuit = QuantumCircuit(n_qubits)
    if candidate.hadamard:
        circuit.h(range(n_qubits))
    for qubit in range(n_qubits):
        getattr(circuit, f"r{candidate.encoding.lower()}")(inputs[qubit], qubit)
    for layer in range(problem.depth):
        for control, target in candidate.cnots(n_qubits):
            circuit.cx(control, target)
        for qubit in range(n_qubits):
            getattr(circuit, f"r{candidate.rotation.lower()}")(weights[layer * n_qubits + qubit], qubit)
    estimator = StatevectorEstimator(default_precision=0.0)
    return EstimatorQNN(
        circuit=circuit,
        estimator=estimator,
        observables=[SparsePauliOp.from_sparse_list([("Z", [k], 1.0)], n_qubits) for k in range(problem.hidden)],
        input_params=list(inputs),
        weight_params=list(weights),
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=0.0,
    )


class Unit:
    """One candidate with the angles of the first gate, on the inputs and the cotangent of the problem."""

    def __init__(self, problem: Problem, index: int) -> None:
        angles = problem["angles"][0, problem["unit_candidates"][index]]
        candidate = problem.candidates[problem["unit_candidates"][index]]
        self.module = TorchConnector(network(candidate, problem), initial_weights=angles).double()
        with torch.no_grad():
            self.module.weight.copy_(torch.tensor(angles))  # TorchConnector stores initial weights in float32
        self.inputs = torch.tensor(problem["unit_inputs"], requires_grad=True)
        self.cotangent = torch.tensor(problem["unit_cotangent"])
        self.expected = [problem[f"unit_{what}"][index] for what in ("values", "input_gradients", "angle_gradients")]

    def step(self) -> Sequence[torch.Tensor]:
        values = self.module(self.inputs)
        return values.detach(), *torch.autograd.grad(values, (self.inputs, self.module.weight), self.cotangent)


def main() -> None:
    """Check the circuits, time them, scale."""
    problem, repeat = arguments()
    start = time.perf_counter()
    units = [Unit(problem, index) for index in range(len(problem["unit_candidates"]))]
    difference = max(largest_difference(unit.step(), unit.expected, _DTYPES) for unit in units)
    warmup = time.perf_counter() - start
    refuse_unless_equal(_PEER, difference)
    repeat = max(1, min(repeat, int(_BUDGET_S / warmup)))
    unit_ms = float(np.mean([median_ms(unit.step, repeat) for unit in units]))
    report(
        _PEER,
        problem,
        _PACKAGES,
        step_ms=unit_ms * problem.n_units,
        warmup_s=warmup,
        max_difference=difference,
        note="simulated in float64; TorchConnector rounds its results to float32",
        scaled_from={
            "what": "forward + backward of one candidate of one gate at one time step, on the batch",
            "unit_ms": unit_ms,
            "units_timed": [problem.names[index] for index in problem["unit_candidates"]],
            "repeats": repeat,
            "units_in_a_step": problem.n_units,
        },
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
