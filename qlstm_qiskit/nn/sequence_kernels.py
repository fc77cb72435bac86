"""Native loops over a sequence: an LSTM and a GRU forward through time, and back.

Whichever way time runs, sequences without a step lie behind those with one, and their states wait in their place. A stage is
what `exact.sequence_kernels.evaluate` takes; it and `kept` have a row for each input, or for each sequence without a way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.activations import sigmoid, tanh
from qlstm_qiskit.exact.native import jit
from qlstm_qiskit.exact.sequence_kernels import add, evaluate, evaluate_backward, put
from qlstm_qiskit.nn.update import lstm_backward, lstm_forward

Array = NDArray[Any]


@jit
def lstm_over(rows: Array, steps: Array, keeps: bool, stage: Any, kept: Any, h: Array, c: Array, found: Array) -> None:
    """Fill `found` (rows, hidden), and take h and c (sequences, hidden) from the first states to the last.

    Args:
        rows: Inputs, (rows, features).
        steps: First row and number of rows of each step, in the order of time, (steps, 2).
        keeps: Whether `stage` and `kept` have room for all rows.
        stage: All gates.
        kept: Room for the activated gates (rows, 4, hidden), of which each step has gate after gate, for c before, and for the
            hyperbolic tangent of c after.
    """
    values, sums, n_features, hidden = stage[0], stage[5], rows.shape[1], h.shape[1]
    for s in range(len(steps)):
        start, n = steps[s]
        first = start if keeps else 0
        end = first + n
        put(rows[start : start + n], values[first:end, :n_features])
        put(h[:n], values[first:end, n_features:])
        evaluate(stage, first, end)
        active, before, bent, own = kept[0][first:end], kept[1][first:end], kept[2][first:end], found[start : start + n]
        by_gate = active.reshape(4, n * hidden)
        for b in range(n):
            for k in range(hidden):
                for gate in range(4):
                    by_gate[gate, b * hidden + k] = sums[first + b, 4 * k + gate]
        put(c[:n], before)
        lstm_forward(by_gate, before.reshape(-1), own.reshape(-1), c[:n].reshape(-1), bent.reshape(-1))
        put(own, h[:n])


@jit
def lstm_back(
    steps: Array,
    stage: Any,
    transposed: Array,
    kept: Any,
    by_found: Array,
    by_h: Array,
    by_c: Array,
    by_matrix: Array,
    by_layers: Any,
    by_rows: Array,
    wanted: bool,
) -> None:
    """Gradients of `lstm_over`, into `by_matrix`, `by_layers` and `by_rows`; those by states, from the last to the first.

    `transposed` is the matrix of the stage, with its two axes behind the replicas exchanged. Of the first step, gradients by
    its inputs and by the states before it are found only if they are `wanted`.
    """
    by_matrix[:] = 0
    by_layers[0][:], by_layers[1][:], by_layers[2][:] = 0, 0, 0
    n_features, hidden = by_rows.shape[1], by_h.shape[1]
    by_values, by_sums = np.empty_like(stage[0][: len(by_h)]), np.empty_like(stage[5][: len(by_h)])
    by_all_gates, by_before = np.empty(4 * by_h.size, by_h.dtype), np.empty_like(by_h)
    for s in range(len(steps) - 1, -1, -1):
        start, n = steps[s]
        end = start + n
        add(by_found[start:end], by_h[:n])
        active, before, bent = kept[0][start:end], kept[1][start:end], kept[2][start:end]
        active, by_gates = active.reshape(4, n * hidden), by_all_gates[: 4 * n * hidden].reshape(4, n * hidden)
        states = before.reshape(-1), bent.reshape(-1)
        lstm_backward(by_h[:n].reshape(-1), by_c[:n].reshape(-1), active, *states, by_gates, by_before[:n].reshape(-1))
        for b in range(n):
            for k in range(hidden):
                for gate in range(4):
                    by_sums[b, 4 * k + gate] = by_gates[gate, b * hidden + k]
        asked = wanted or s > 0
        evaluate_backward(stage, transposed, start, end, by_sums[:n], by_matrix, by_layers, by_values[:n], asked)
        put(by_values[:n, :n_features], by_rows[start:end])
        put(by_values[:n, n_features:], by_h[:n])
        put(by_before[:n], by_c[:n])


@jit
def gru_over(rows: Array, steps: Array, keeps: bool, gated: Any, last: Any, kept: Any, h: Array, found: Array) -> None:
    """As `lstm_over`; `gated` are the reset and update gates, `last` the new state; `kept` is room for their activations."""
    active, fresh = kept
    n_features, hidden = rows.shape[1], h.shape[1]
    for s in range(len(steps)):
        start, n = steps[s]
        first = start if keeps else 0
        end = first + n
        for values in (gated[0], last[0]):
            put(rows[start : start + n], values[first:end, :n_features])
        put(h[:n], gated[0][first:end, n_features:])
        evaluate(gated, first, end)
        gates, new = active[first:end].reshape(2, n * hidden), fresh[first:end].reshape(-1)
        for b in range(n):
            for k in range(hidden):
                for gate in range(2):
                    gates[gate, b * hidden + k] = gated[5][first + b, 2 * k + gate]
        for gate in range(2):
            own = gates[gate]
            for j in range(len(own)):
                own[j] = sigmoid(own[j])
        for b in range(n):
            for k in range(hidden):
                last[0][first + b, n_features + k] = gates[0, b * hidden + k] * h[b, k]
        evaluate(last, first, end)
        put(last[5][first:end], fresh[first:end])
        for j in range(len(new)):
            new[j] = tanh(new[j])
        for b in range(n):
            for k in range(hidden):
                update = gates[1, b * hidden + k]
                h[b, k] = (1 - update) * fresh[first + b, k] + update * h[b, k]
                found[start + b, k] = h[b, k]


@jit
def gru_back(
    steps: Array,
    gated: Any,
    last: Any,
    transposed: Any,
    kept: Any,
    by_found: Array,
    by_h: Array,
    by_matrices: Any,
    by_layers: Any,
    by_rows: Array,
    wanted: bool,
) -> None:
    """Gradients of `gru_over`; see `lstm_back`. The reset gate's come from those by the state, also of the first step."""
    active, fresh = kept
    for i in range(2):
        by_matrices[i][:] = 0
    by_layers[0][:], by_layers[1][:], by_layers[2][:] = 0, 0, 0
    n_features, hidden, most = by_rows.shape[1], by_h.shape[1], len(by_h)
    by_gated, by_last = np.empty_like(gated[0][:most]), np.empty_like(last[0][:most])
    by_gates, by_new = np.empty_like(gated[5][:most]), np.empty_like(last[5][:most])
    for s in range(len(steps) - 1, -1, -1):
        start, n = steps[s]
        end = start + n
        add(by_found[start:end], by_h[:n])
        gates = active[start:end].reshape(2, n * hidden)
        for b in range(n):
            for k in range(hidden):
                new, update, before = fresh[start + b, k], gates[1, b * hidden + k], gated[0][start + b, n_features + k]
                by_new[b, k] = by_h[b, k] * (1 - update) * (1 - new * new)
                by_gates[b, 2 * k + 1] = by_h[b, k] * (before - new) * update * (1 - update)
                by_h[b, k] *= update
        evaluate_backward(last, transposed[1], start, end, by_new[:n], by_matrices[1], by_layers, by_last[:n], True)
        for b in range(n):
            for k in range(hidden):
                reset, by = gates[0, b * hidden + k], by_last[b, n_features + k]
                by_gates[b, 2 * k] = by * gated[0][start + b, n_features + k] * reset * (1 - reset)
                by_h[b, k] += by * reset
        asked = wanted or s > 0
        evaluate_backward(gated, transposed[0], start, end, by_gates[:n], by_matrices[0], by_layers, by_gated[:n], asked)
        put(by_last[:n, :n_features], by_rows[start:end])
        add(by_gated[:n, :n_features], by_rows[start:end])
        add(by_gated[:n, n_features:], by_h[:n])
