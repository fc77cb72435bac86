"""What a circuit depends on, by trying: random inputs and weights, one of them changed at a time.

Values come from Qiskit's own statevector for single circuits, and from the interpreter that pushes states for whole banks;
neither knows of Pauli strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit.quantum_info import Statevector

from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.space import Candidate

#: Sums of products in float64 agree far better; what is alive changes values by far more.
TOLERANCE = 1e-10

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What was seen of a candidate."""

    zero: tuple[bool, ...]
    inputs: frozenset[int]
    weights: frozenset[int]


def outputs(candidate: Candidate, x: Sequence[float], w: Sequence[float], n_outputs: int | None = None) -> Values:
    """Expectation values at one point, by Qiskit."""
    values = {**dict(zip(candidate.inputs, x, strict=True)), **dict(zip(candidate.weights, w, strict=True))}
    bound = candidate.circuit.assign_parameters({p: v for p, v in values.items() if p in candidate.circuit.parameters})
    state = Statevector(bound)
    return np.array([state.expectation_value(observable).real for observable in candidate.observables(n_outputs)])


def look(candidate: Candidate, n_outputs: int | None = None, points: int = 4, seed: int = 0) -> Seen:
    """Try one candidate with Qiskit."""
    rng = np.random.default_rng(seed)
    n, m = len(candidate.inputs), len(candidate.weights)
    zero, alive = np.ones(len(candidate.observables(n_outputs)), dtype=bool), [set(), set()]
    for _ in range(points):
        point, other = rng.uniform(-np.pi, np.pi, (2, n + m))
        here = outputs(candidate, point[:n], point[n:], n_outputs)
        zero &= np.abs(here) < TOLERANCE
        for column in range(n + m):
            moved = np.where(np.arange(n + m) == column, other, point)
            if np.abs(outputs(candidate, moved[:n], moved[n:], n_outputs) - here).max() > TOLERANCE:
                alive[column >= n].add(column - n * (column >= n))
    return Seen(tuple(zero.tolist()), *map(frozenset, alive))


def look_at_all(candidates: Sequence[Candidate], n_outputs: int, points: int = 4, seed: int = 0) -> list[Seen]:
    """Try candidates with equally many weights, all at once."""
    rng = np.random.default_rng(seed)
    n, m = len(candidates[0].inputs), len(candidates[0].weights)
    zero = np.ones((len(candidates), n_outputs), dtype=bool)
    by_input, by_weight = np.zeros((len(candidates), n), dtype=bool), np.zeros((len(candidates), m), dtype=bool)
    for _ in range(points):
        x, w = (one_changed(rng.uniform(-np.pi, np.pi, (2, size))) for size in (n, m))
        values = bank_values(candidates, n_outputs, x, w)  # (x, w, candidates, outputs)
        zero &= (np.abs(values) < TOLERANCE).all(axis=(0, 1))
        by_input |= (np.abs(values[1:] - values[:1]) > TOLERANCE).any(axis=(1, 3)).T
        by_weight |= (np.abs(values[:, 1:] - values[:, :1]) > TOLERANCE).any(axis=(0, 3)).T
    rows = zip(zero, by_input, by_weight, strict=True)
    return [Seen(tuple(z.tolist()), *(frozenset(np.flatnonzero(own).tolist()) for own in (i, j))) for z, i, j in rows]


def one_changed(points: Values) -> Values:
    """The first point, and then copies of it with one coordinate of the second; (1 + n, n)."""
    return np.concatenate([points[:1], np.where(np.eye(points.shape[1], dtype=bool), points[1], points[0])])


def bank_values(candidates: Sequence[Candidate], n_outputs: int, x: Values, w: Values) -> Values:
    """Values at all pairs of inputs and weights, (inputs, weights, candidates, outputs); all candidates have the same w."""
    bank = StatevectorBackend("states").bank(candidates, n_outputs)
    with torch.no_grad():
        bound = bank.bind(torch.from_numpy(np.tile(w, (1, len(candidates)))), torch.ones(len(w), len(candidates)).double())
        return bound.candidates(torch.from_numpy(x)).numpy()


def spectrum(candidates: Sequence[Candidate], n_outputs: int, seed: int = 0) -> list[set[tuple[float, ...]]]:
    """Which frequencies of the inputs occur, by a Fourier transform on a grid; each is 0 or 1."""
    n, m = len(candidates[0].inputs), len(candidates[0].weights)
    grid = np.array(list(product(2 * np.pi / 3 * np.arange(3), repeat=n)))
    w = np.random.default_rng(seed).uniform(-np.pi, np.pi, (2, m))
    values = bank_values(candidates, n_outputs, grid, w).reshape(*(3,) * n, 2, len(candidates), n_outputs)
    occurs = (np.abs(np.fft.fftn(values, axes=range(n), norm="forward")) > TOLERANCE).any(axis=(n, n + 2))
    found: list[set[tuple[float, ...]]] = [set() for _ in candidates]
    for *index, candidate in np.argwhere(occurs):
        found[candidate].add(tuple(float(k > 0) for k in index))
    return found
