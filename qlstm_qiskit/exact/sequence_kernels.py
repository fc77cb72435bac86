"""Native loops that evaluate a dense form between linear layers for the rows of a time step, and their adjoint.

Layouts: a form's matrix is (replicas, n_high, n_low x outputs x gates), with the rows of each replica behind those of the one
before. Sums of products run from the first to the last, here and where a sequence is evaluated step by step
(`batched_product`), which so has the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.feature_kernels import features_backward, features_forward, tables_backward, tables_forward
from qlstm_qiskit.exact.linear_kernels import add_bias, add_bias_backward, linear_backward, linear_forward
from qlstm_qiskit.exact.native import inlined, inner, inner_in_order, jit_in_order
from qlstm_qiskit.exact.tiles import (
    ROWS,
    SHORT_BYTES,
    VECTOR_BYTES,
    VECTORS,
    four_apart,
    one_apart,
    one_narrow,
    one_short,
    one_wide,
    tall_narrow,
    tall_short,
    tall_wide,
)

Array = NDArray[Any]


@inner
def put(values: Array, out: Array) -> None:
    """Copy a table: of an assignment, Numba compiles the message about other shapes, which takes longer than all loops here."""
    for b in range(len(out)):
        for k in range(out.shape[1]):
            out[b, k] = values[b, k]


@inner
def add(values: Array, out: Array) -> None:
    """Add a table to another one; see `put`."""
    for b in range(len(out)):
        for k in range(out.shape[1]):
            out[b, k] += values[b, k]


@inner_in_order
def _multiply_few(left: Array, right: Array, out: Array) -> None:
    """`multiply` for fewer columns than a vector has."""
    n, size = left.shape
    columns, short = right.shape[1], SHORT_BYTES // left.itemsize
    if columns < short:
        for b in range(n):
            own = out[b]
            own[:] = 0
            for k in range(size):
                factor, part = left[b, k], right[k]
                for j in range(columns):
                    own[j] += factor * part[j]
        return
    rows = ROWS if n >= ROWS else 1
    for b in range(0, n, rows):
        for j in range(0, columns, short):
            if n >= ROWS:
                tall_short(left, right, out, min(b, n - rows), min(j, columns - short))
            else:
                one_short(left, right, out, b, min(j, columns - short))


@jit_in_order
def multiply(left: Array, right: Array, out: Array) -> None:
    """Fill `out` (n, columns) with left (n, k) times right (k, columns): one fused multiply-add after the other."""
    n, columns, vector = len(left), right.shape[1], VECTOR_BYTES // left.itemsize
    if columns < vector:
        _multiply_few(left, right, out)
        return
    rows = ROWS if n >= ROWS else 1
    tile = min(VECTORS if n >= ROWS else 2, columns // vector) * vector
    for j in range(0, columns, tile):  # what a tile reads of `right` stays in a core's first cache for all rows
        column = min(j, columns - tile)  # the last tile does some columns once more, and likewise the last rows
        for b in range(0, n, rows):
            row = min(b, n - rows)
            if tile > vector and n >= ROWS:
                tall_wide(left, right, out, row, column)
            elif tile > vector:
                one_wide(left, right, out, row, column)
            elif n >= ROWS:
                tall_narrow(left, right, out, row, column)
            else:
                one_narrow(left, right, out, row, column)


@jit_in_order
def multiply_all(left: Array, right: Array, out: Array) -> None:
    """As `multiply`, for pairs of matrices."""
    for r in range(len(out)):
        multiply(left[r], right[r], out[r])


@inner
def multiply_alike(left: Array, right: Array, out: Array) -> None:
    """As `multiply`; once where all rows on the left are equal, as products of a hidden state of zeros are."""
    n, size = left.shape
    for b in range(1, n):
        for k in range(size):
            if left[b, k] != left[0, k]:
                multiply(left, right, out)
                return
    multiply(left[:1], right, out[:1])
    for b in range(1, n):
        for j in range(out.shape[1]):
            out[b, j] = out[0, j]


@jit_in_order
def contract(low: Array, half: Array, out: Array) -> None:
    """Fill `out` (n, columns) with low (n, k) times half (n, k x columns), row by row."""
    n, columns, vector = len(out), out.shape[1], VECTOR_BYTES // out.itemsize
    if columns >= vector:
        for b in range(0, n, 4 if n >= 4 else 1):
            for j in range(0, columns, vector):  # the last vector, and the last rows, do some once more
                if n >= 4:
                    four_apart(low, half, out, min(b, n - 4), min(j, columns - vector))
                else:
                    one_apart(low, half, out, b, min(j, columns - vector))
        return
    for b in range(n):
        own = out[b]
        own[:] = 0
        for k in range(low.shape[1]):
            part, factor = half[b, k * columns : (k + 1) * columns], low[b, k]
            for j in range(columns):
                own[j] += factor * part[j]


@inner
def contract_slope(by_out: Array, half: Array, by_low: Array) -> None:
    """The gradient of `contract` by `low`."""
    columns = by_out.shape[1]
    for b in range(len(by_out)):
        for k in range(by_low.shape[1]):
            total = by_out[b, 0] * half[b, k * columns]
            for j in range(1, columns):
                total += by_out[b, j] * half[b, k * columns + j]
            by_low[b, k] = total


@inner
def contract_backward(low: Array, half: Array, by_out: Array, by_half: Array, by_low: Array) -> None:
    """Gradients of the product of `low` and `half`, into `by_half` and `by_low`."""
    columns = by_out.shape[1]
    for b in range(len(low)):
        for k in range(low.shape[1]):
            for j in range(columns):
                by_half[b, k * columns + j] = low[b, k] * by_out[b, j]
    contract_slope(by_out, half, by_low)


@inlined
def evaluate(stage: Any, first: int, end: int) -> None:
    """Fill the room of a stage, and its pre-activations, in the rows from `first` to `end`.

    Args:
        stage: What is read, (rows, features + hidden). Of the form: whether its data angles are arctangents, whether it is a
            grid, how many angles it reads and how many are in a part, and `FormTables.factors`. Its matrix, with the layer
            behind it (`fold`). Weights and biases of the layer before it and the bias of that behind it, each with an axis of
            replicas; without length if there are none. Room for the data angles, both tables of products, and their product.
            The pre-activations, (rows, hidden x gates).
        first, end: Rows of a step.
    """
    everything, (is_arctan, is_grid, n_angles, width, pointer, place), matrix, layers, room, all_sums = stage
    values, sums, angles, low = everything[first:end], all_sums[first:end], room[0][first:end], room[1][first:end]
    high, half = room[2][first:end], room[3][first:end]
    if len(layers[0]):
        linear_forward(values, layers[0], layers[1], angles)
    else:
        put(values, angles)
    if is_arctan:
        for b in range(len(angles)):
            for q in range(angles.shape[1]):
                angles[b, q] = np.arctan(angles[b, q])
    if is_grid:
        tables_forward(angles[:, :n_angles], width, low, high)
    else:
        features_forward(angles[:, :n_angles], width, (pointer, place), low.reshape(len(low), -1, 3**width), high)
    own = len(values) // len(matrix)
    for r in range(len(matrix)):
        rows = slice(r * own, (r + 1) * own)
        multiply_alike(high[rows], matrix[r], half[rows] if is_grid else sums[rows])
    if is_grid:
        contract(low, half, sums)
    if len(layers[0]):
        add_bias(layers[2], sums)


@inlined
def evaluate_backward(
    stage: Any,
    transposed: Array,
    first: int,
    end: int,
    by_sums: Array,
    by_matrix: Array,
    by_layers: Any,
    by_values: Array,
    wanted: bool,
) -> None:
    """Gradients of `evaluate`: added to `by_matrix` and `by_layers`, and into `by_values` if they are wanted there, else zeros.

    `transposed` is the matrix.
    """
    everything, (is_arctan, is_grid, n_angles, width, pointer, place), matrix, layers, room, _ = stage
    values, angles, low = everything[first:end], room[0][first:end], room[1][first:end]
    high, half = room[2][first:end], room[3][first:end]
    if len(layers[0]):
        add_bias_backward(by_sums, by_layers[2])
    by_half, by_low = by_sums, np.empty_like(low)
    if is_grid:
        by_half = np.empty_like(half)
        contract_backward(low, half, by_sums, by_half, by_low)
    by_high, part, own = np.empty_like(high), np.empty_like(by_matrix[0]), len(values) // len(matrix)
    goes_on = wanted or len(layers[0]) > 0
    for r in range(len(matrix)):
        rows = slice(r * own, (r + 1) * own)
        multiply(np.ascontiguousarray(high[rows].T), by_half[rows], part)
        add(part, by_matrix[r])
        if goes_on:
            multiply(by_half[rows], transposed[r], by_high[rows])
    if not goes_on:
        by_values[:] = 0
        return
    by_angles = np.zeros_like(angles)
    if is_grid:
        tables_backward(low, high, by_low, by_high, width, by_angles[:, :n_angles])
    else:
        features_backward(by_high, width, (pointer, place), low.reshape(len(low), -1, 3**width), by_angles[:, :n_angles])
    if is_arctan:
        for b in range(len(angles)):
            for q in range(angles.shape[1]):
                by_angles[b, q] *= np.cos(angles[b, q]) ** 2  # 1 / (1 + tan^2)
    if len(layers[0]):
        linear_backward(values, layers[0], by_angles, by_layers[0], by_layers[1], by_values)
    else:
        put(by_angles, by_values)
