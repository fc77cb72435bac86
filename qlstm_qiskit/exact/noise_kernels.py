"""Native loops of Gaussian shot noise; see `native.jit`.

Layouts: `values` (batch, gates, candidates x p), `moments` (batch, gates, start + pairs), `mixing` (gates, candidates),
`normal` (batch, gates, p). What comes first is read, what comes last is filled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import jit

Array = NDArray[Any]

#: A variance per shot below this is none: the square root has no derivative at 0.
FLOOR = 1e-12


@jit
def _factor(
    means: Array,
    moments: Array,
    scale: float,
    squares: Array,
    constant: Array,
    shared: Array,
    column: Array,
    factor: Array,
) -> None:
    """Fill the lower triangle of `factor` (p, p) with Cholesky's factor of the covariance of a shot, of a sample and gate."""
    n = len(column)
    for p in range(n):
        for q in range(p + 1):
            total = factor.dtype.type(0)
            for c in range(len(squares)):
                total += squares[c] * (constant[c, p, q] - shared[c, p, q] * means[c * n + p] * means[c * n + q])
            if column[p, q] >= 0:
                total += scale * moments[column[p, q]]
            factor[p, q] = total
    for j in range(n):
        if factor[j, j] > FLOOR:
            root = np.sqrt(factor[j, j])
            factor[j, j] = root
            for i in range(j + 1, n):
                factor[i, j] /= root
        else:
            for i in range(j, n):
                factor[i, j] = 0
        for i in range(j + 1, n):
            for k in range(j + 1, i + 1):
                factor[i, k] -= factor[i, j] * factor[k, j]


@jit
def noisy_sum_forward(
    values: Array,
    moments: Array,
    start: int,
    together: bool,
    mixing: Array,
    normal: Array,
    constant: Array,
    shared: Array,
    column: Array,
    shots: int,
    result: Array,
) -> None:
    """Fill `result`; see `noisy_sum.noisy_sum`."""
    n_samples, n_gates, n = normal.shape
    factor, squares = np.empty((n, n), values.dtype), mixing * mixing
    per_shot = 1 / np.sqrt(shots)
    for b in range(n_samples):
        for g in range(n_gates):
            scale = squares[g, 0] if together else 1.0
            _factor(values[b, g], moments[b, g, start:], scale, squares[g], constant, shared, column, factor)
            for p in range(n):
                total = values.dtype.type(0)
                for q in range(p + 1):
                    total += factor[p, q] * normal[b, g, q]
                total *= per_shot
                for c in range(mixing.shape[1]):
                    total += mixing[g, c] * values[b, g, c * n + p]
                result[b, g, p] = total


@jit
def _undo_column(j: int, factor: Array, by_factor: Array, by_left: Array) -> None:
    """From the gradient by column j of Cholesky's factor to that by what the columns before it have left."""
    n = len(factor)
    for i in range(j + 1, n):
        for k in range(j + 1, i + 1):
            by_factor[i, j] -= by_left[i, k] * factor[k, j]
            by_factor[k, j] -= by_left[i, k] * factor[i, j]
    root, by_root = factor[j, j], by_factor[j, j]
    for i in range(j + 1, n):
        by_left[i, j] = by_factor[i, j] / root
        by_root -= by_factor[i, j] * factor[i, j] / root
    by_left[j, j] = by_root / (2 * root)


@jit
def noisy_sum_backward(
    values: Array,
    moments: Array,
    start: int,
    together: bool,
    mixing: Array,
    normal: Array,
    constant: Array,
    shared: Array,
    column: Array,
    shots: int,
    gradient: Array,
    by_values: Array,
    by_moments: Array,
    by_mixing: Array,
) -> None:
    """Add to the gradients of `noisy_sum_forward`; Cholesky's columns are undone from the last to the first."""
    n_samples, n_gates, n = normal.shape
    n_candidates = mixing.shape[1]
    factor, by_factor, by_left = np.empty((n, n), values.dtype), np.empty((n, n), values.dtype), np.empty((n, n), values.dtype)
    squares, per_shot = mixing * mixing, 1 / np.sqrt(shots)
    for b in range(n_samples):
        for g in range(n_gates):
            means, own_moments, by_means = values[b, g], moments[b, g, start:], by_values[b, g]
            scale = squares[g, 0] if together else 1.0
            _factor(means, own_moments, scale, squares[g], constant, shared, column, factor)
            by_left[:] = 0
            for p in range(n):
                for q in range(p + 1):
                    by_factor[p, q] = gradient[b, g, p] * normal[b, g, q] * per_shot
                for c in range(n_candidates):
                    by_means[c * n + p] += mixing[g, c] * gradient[b, g, p]
                    by_mixing[g, c] += means[c * n + p] * gradient[b, g, p]
            for j in range(n - 1, -1, -1):
                if factor[j, j] > 0:
                    _undo_column(j, factor, by_factor, by_left)
            for p in range(n):
                for q in range(p + 1):
                    by, k = by_left[p, q], column[p, q]
                    for c in range(n_candidates):
                        x, y = means[c * n + p], means[c * n + q]
                        by_mixing[g, c] += by * 2 * mixing[g, c] * (constant[c, p, q] - shared[c, p, q] * x * y)
                        own = by * squares[g, c] * shared[c, p, q]
                        by_means[c * n + p] -= own * y
                        by_means[c * n + q] -= own * x
                    if k >= 0:
                        by_moments[b, g, start + k] += by * scale
                        if together:
                            by_mixing[g, 0] += by * 2 * mixing[g, 0] * own_moments[k]
