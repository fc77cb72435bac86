"""Native loops of linear layers around a form, those of replicas each on its own rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import inner, jit

Array = NDArray[Any]


@inner
def linear_forward(values: Array, weight: Array, bias: Array, out: Array) -> None:
    """Linear layers of replicas: values (n, inputs) to `out` (n, outputs)."""
    n_replicas, n_out, n_in = weight.shape
    own = len(values) // n_replicas
    for b in range(len(values)):
        r = b // own
        for o in range(n_out):
            total = bias[r, o]
            for v in range(n_in):
                total += weight[r, o, v] * values[b, v]
            out[b, o] = total


@inner
def linear_backward(values: Array, weight: Array, by_out: Array, by_weight: Array, by_bias: Array, by_values: Array) -> None:
    """Gradients of `linear_forward`: added to `by_weight` and `by_bias`, and into `by_values`."""
    n_replicas, n_out, n_in = weight.shape
    own = len(values) // n_replicas
    by_values[:] = 0
    for b in range(len(values)):
        r = b // own
        for o in range(n_out):
            by = by_out[b, o]
            by_bias[r, o] += by
            for v in range(n_in):
                by_weight[r, o, v] += by * values[b, v]
                by_values[b, v] += by * weight[r, o, v]


@jit
def fold(matrix: Array, weight: Array, out: Array) -> None:
    """The matrix of a form with a linear layer behind it, to which that of a form without one is the same.

    Args:
        matrix: (replicas, rows, outputs x gates).
        weight: (replicas, hidden, outputs).
        out: To fill, (replicas, rows, hidden x gates).
    """
    n_replicas, hidden, n_outputs = weight.shape
    g = out.shape[2] // hidden
    for r in range(n_replicas):
        for f in range(matrix.shape[1]):
            for k in range(hidden):
                for i in range(g):
                    total = weight[r, k, 0] * matrix[r, f, i]
                    for o in range(1, n_outputs):
                        total += weight[r, k, o] * matrix[r, f, o * g + i]
                    out[r, f, k * g + i] = total


@jit
def unfold(by_out: Array, matrix: Array, weight: Array, by_matrix: Array, by_weight: Array) -> None:
    """Gradients of `fold`: into `by_matrix`, and added to `by_weight`."""
    n_replicas, hidden, n_outputs = weight.shape
    g = by_out.shape[2] // hidden
    by_matrix[:] = 0
    for r in range(n_replicas):
        for f in range(matrix.shape[1]):
            for k in range(hidden):
                for i in range(g):
                    by = by_out[r, f, k * g + i]
                    for o in range(n_outputs):
                        by_matrix[r, f, o * g + i] += by * weight[r, k, o]
                        by_weight[r, k, o] += by * matrix[r, f, o * g + i]


@inner
def add_bias(bias: Array, out: Array) -> None:
    """Add the bias of a layer to the rows of each replica, for each of g gates: (replicas, hidden) to (n, hidden x g)."""
    own, g = len(out) // len(bias), out.shape[1] // bias.shape[1]
    row = np.empty(out.shape[1], out.dtype)
    for r in range(len(bias)):
        for j in range(len(row)):
            row[j] = bias[r, j // g]
        for b in range(r * own, (r + 1) * own):
            for j in range(len(row)):
                out[b, j] += row[j]


@inner
def add_bias_backward(by_out: Array, by_bias: Array) -> None:
    """The gradient of `add_bias`, added to `by_bias`."""
    own, g = len(by_out) // len(by_bias), by_out.shape[1] // by_bias.shape[1]
    row = np.empty(by_out.shape[1], by_out.dtype)
    for r in range(len(by_bias)):
        row[:] = 0
        for b in range(r * own, (r + 1) * own):
            for j in range(len(row)):
                row[j] += by_out[b, j]
        for j in range(len(row)):
            by_bias[r, j // g] += row[j]
