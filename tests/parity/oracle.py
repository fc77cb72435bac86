"""The independent answer: stock EstimatorQNN on an exact estimator, values and parameter-shift gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np
import torch
from qiskit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qlstm_qiskit.exact import ExactBank
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.space import Candidate

#: Both sides work in float64; sums of a few hundred terms of size 1 agree far better than this.
TOLERANCE = 1e-9


def stock_qnn(
    candidate: Candidate, estimator: BaseEstimatorV2, n_outputs: int | None = None, precision: float | None = None
) -> EstimatorQNN:
    """The candidate as qiskit-machine-learning's own network, with parameter shift."""
    unused = [parameter for parameter in candidate.inputs if parameter not in candidate.circuit.parameters]
    circuit = QuantumCircuit(candidate.n_qubits)
    for parameter in unused:  # it wants every input in the circuit; a rotation about Z does nothing to |0...0>
        circuit.rz(parameter, 0)
    return EstimatorQNN(
        circuit=circuit.compose(candidate.circuit),
        estimator=estimator,
        observables=candidate.observables(n_outputs),
        input_params=list(candidate.inputs),
        weight_params=list(candidate.weights),
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=precision,
    )


def each_candidate(bank: ExactBank, weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Outputs of every candidate, (samples, candidates, outputs): as mixtures with a single weight of 1, on the bank's path.

    The candidates ride on the axis of the gates: gate c has the structural weights of candidate c.
    """
    n = bank.n_candidates
    return bank.bind(weights.expand(n, -1), torch.eye(n, dtype=weights.dtype))(inputs)


def assert_parity(
    candidates: list[Candidate], *, seed: int, samples: int = 2, n_outputs: int | None = None, paths: Sequence[str] = ("auto",)
) -> None:
    """Compare values and all gradients of each path of the exact interpreter with EstimatorQNN, candidate by candidate."""
    rng = np.random.default_rng(seed)
    banks = [StatevectorBackend(path).bank(candidates, n_outputs) for path in paths]
    inputs = torch.tensor(rng.uniform(-np.pi, np.pi, (samples, banks[0].n_inputs)), requires_grad=True)
    weights = torch.tensor(rng.uniform(-np.pi, np.pi, (1, sum(banks[0].n_weights))), requires_grad=True)
    found = {path: each_candidate(bank, weights, inputs) for path, bank in zip(paths, banks, strict=True)}
    start = 0
    for index, candidate in enumerate(candidates):
        columns = slice(start, start + len(candidate.weights))
        start = columns.stop
        qnn = stock_qnn(candidate, StatevectorEstimator(), n_outputs)
        x, theta = inputs.detach().numpy(), weights[0, columns].detach().numpy()
        expected, (by_input, by_weight) = qnn.forward(x, theta), qnn.backward(x, theta)  # most of the time goes here
        for path, values in found.items():
            close = partial(np.testing.assert_allclose, rtol=0, atol=TOLERANCE, err_msg=f"{candidate.name}, path {path}")
            close(values[:, index].detach().numpy(), expected)
            for sample, output in product(range(samples), range(banks[0].n_outputs)):
                gradients = torch.autograd.grad(
                    values[sample, index, output], (inputs, weights), retain_graph=True, allow_unused=True
                )
                own = [torch.zeros_like(t) if g is None else g for g, t in zip(gradients, (inputs, weights), strict=True)]
                close(own[0][sample].numpy(), by_input[sample, output])
                if candidate.weights:
                    close(own[1][0, columns].numpy(), by_weight[sample, output])
