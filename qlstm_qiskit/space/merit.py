"""Two figures of merit by which the literature compares circuits, estimated from random states.

Sim, Johnson, Aspuru-Guzik, "Expressibility and entangling capability of parameterized quantum circuits ...", Advanced Quantum
Technologies 2 (2019) 1900070, arXiv 1905.10876.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, Program, Rotation
from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.exact import require_bytes

#: Bins of the histogram of fidelities, as in the paper.
BINS = 75

#: States that are alive at once: old, new and a temporary.
_STATES = 3

Values = NDArray[np.float64]
States = NDArray[np.complexfloating[Any, Any]]


def states_fit(n_qubits: int, samples: int) -> bool:
    """Whether random states of so many qubits, and the fidelities of all their pairs, fit in memory.

    Raises:
        CapacityError: The fidelities alone do not.
    """
    amplitudes = samples << min(n_qubits, 64)  # beyond it no number of bytes is needed to know
    device = torch.device("cpu")
    require_bytes(64 * samples**2, f"fidelities of all pairs of {samples} random states", device)
    try:
        require_bytes(_STATES * 16 * amplitudes + 64 * samples**2, "random states", device)
    except CapacityError:
        return False
    return True


def random_states(program: Program, samples: int, seed: int) -> States:
    """States at inputs and weights from [-pi, pi), uniform and independent; shape (samples, 2^n), little-endian."""
    rng = np.random.default_rng(seed)
    inputs, weights = (rng.uniform(-np.pi, np.pi, (samples, size)) for size in (program.n_inputs, program.n_weights))
    states: States = np.zeros((samples, 2**program.n_qubits), dtype=np.complex128)
    states[:, 0] = 1
    for operation in program.operations:
        if isinstance(operation, Rotation):
            constant, cosine, sine = operation.generator.parts()
            turn = operation.generator.scale * _angles(operation.angle, inputs, weights)[:, None, None]
            matrix: States = constant + np.cos(turn) * cosine + np.sin(turn) * sine
        else:
            matrix = np.asarray(operation.matrix)[None]
        states = _applied(states, matrix, operation.qubits, program.n_qubits)
    return states


def entangling_capability(states: States) -> float:
    """The mean of Meyer and Wallach's Q: ``2 (1 - mean over qubits of the purity)``; 0 for products, at most 1."""
    n_qubits = states.shape[1].bit_length() - 1
    purity = np.zeros(len(states))
    for qubit in range(n_qubits):
        split = states.reshape(len(states), -1, 2, 2**qubit)
        reduced = np.einsum("shal,shbl->sab", split, split.conj())
        purity += np.sum(np.abs(reduced) ** 2, axis=(1, 2)) / n_qubits
    return float(np.clip(2 * (1 - purity).mean(), 0, 1))


def expressibility(states: States, bins: int = BINS) -> float:
    """Kullback-Leibler divergence of the fidelities of all pairs of states from those of Haar-random states; in nats.

    0 is as expressive as can be. A fidelity F of Haar-random states in N dimensions has the density (N - 1) (1 - F)^(N - 2).
    The estimate has a positive bias of about (bins - 1) / (2 pairs), and depends on the number of bins.
    """
    pairs = np.triu_indices(len(states), 1)
    fidelities = np.clip(np.abs(states @ states.conj().T)[pairs] ** 2, 0, 1)
    edges = np.linspace(0, 1, bins + 1)
    found = np.histogram(fidelities, edges)[0] / len(fidelities)
    with np.errstate(divide="ignore"):
        survival = (states.shape[1] - 1) * np.log1p(-edges)  # log P(F > edge); logarithms, since bins near 1 underflow
    haar = survival[:-1] + np.log1p(-np.exp(np.diff(survival)))
    seen = found > 0
    return float(max(0.0, np.sum(found[seen] * (np.log(found[seen]) - haar[seen]))))


def _angles(angle: Angle, inputs: Values, weights: Values) -> Values:
    if angle.tree is not None:
        import torch

        from qlstm_qiskit.exact import evaluate_tree

        data, trained = (torch.from_numpy(values).unbind(-1) for values in (inputs, weights))
        value = torch.as_tensor(evaluate_tree(angle.tree, data, trained), dtype=torch.float64)
        return value.expand(len(inputs)).numpy()
    values = np.full(len(inputs), angle.offset)
    for parameters, terms in ((inputs, angle.inputs), (weights, angle.weights)):
        for column, coefficient in terms:
            values += coefficient * parameters[:, column]
    return values


def _applied(states: States, matrix: States, qubits: tuple[int, ...], n_qubits: int) -> States:
    """Apply a gate (samples or 1, 2^k, 2^k), whose first qubit is its least significant bit."""
    k = len(qubits)
    axes = [n_qubits - qubit for qubit in reversed(qubits)]  # axis 0 is the sample, axis 1 the last qubit
    moved = np.moveaxis(states.reshape(-1, *(2,) * n_qubits), axes, range(1, k + 1))
    result = (matrix @ moved.reshape(len(states), 2**k, -1)).reshape(moved.shape)
    return np.moveaxis(result, range(1, k + 1), axes).reshape(states.shape)
