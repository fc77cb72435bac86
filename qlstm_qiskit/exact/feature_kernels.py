"""Native loops of the features of a form: products of 1, cos u and sin u over the data angles, for several samples at once.

Samples are taken in blocks, and the products of a block, over the angles of each part, lie sample by sample in vectors. Those
of a form on a grid are then written out sample after sample. Others stay as they are; the last block, which may be a smaller
one, has vectors of its own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import inlined, jit
from qlstm_qiskit.exact.sines import turned
from qlstm_qiskit.exact.vectors import LANES, add, add_times, put, subtract_times, times

Array = NDArray[Any]


@inlined
def _copy(source: Array, at: int, width: int, out: Array, to: int, out_width: int, n_vectors: int, n: int) -> None:
    """Copy the first `n` numbers of each of some vectors to vectors of another width."""
    for k in range(n_vectors):
        for lane in range(n):
            out[to + k * out_width + lane] = source[at + k * width + lane]


@inlined
def _turn(angles: Array, first: int, n: int, turns: Array) -> None:
    """Of `n` samples from `first` on the cosines of all angles, qubit after qubit in vectors; then sines; then the angles."""
    size = angles.shape[1] * LANES
    for q in range(angles.shape[1]):
        for lane in range(n):
            turns[2 * size + q * LANES + lane] = angles[first + lane, q]
    turned(turns[2 * size :], turns[:size], turns[size : 2 * size])


@inlined
def _multiply_up(turns: Array, begin: int, end: int, out: Array, at: int) -> None:
    """All products over qubits `begin` to `end` of 1, cos u or sin u, in base 3 with the first qubit as the lowest digit."""
    n_turns, done = len(turns) // 3, 1  # each qubit triples what is there, with one multiplication per product
    for lane in range(LANES):
        out[at + lane] = 1
    for q in range(begin, end):
        for i in range(done):
            times(turns, q * LANES, out, at + i * LANES, out, at + (done + i) * LANES)
            times(turns, n_turns + q * LANES, out, at + i * LANES, out, at + (2 * done + i) * LANES)
        done *= 3


@jit
def tables_forward(angles: Array, width: int, low: Array, high: Array) -> None:
    """Products over the first `width` qubits and over the others, (samples, 3^qubits) each.

    Two tables of about 3^(n/2) entries in place of one of 3^n; see `MultilinearForm.bind`.
    """
    n_samples, n_qubits = angles.shape
    turns = np.zeros(3 * n_qubits * LANES, angles.dtype)
    spare = np.empty(max(low.shape[1], high.shape[1]) * LANES, angles.dtype)
    for first in range(0, n_samples, LANES):
        n = min(LANES, n_samples - first)
        _turn(angles, first, n, turns)
        for part in range(2):
            table, begin, end = (low, 0, width) if part == 0 else (high, width, n_qubits)
            _multiply_up(turns, begin, end, spare, 0)
            for lane in range(n):
                for k in range(table.shape[1]):
                    table[first + lane, k] = spare[k * LANES + lane]


@jit
def tables_backward(low: Array, high: Array, by_low: Array, by_high: Array, width: int, by_angles: Array) -> None:
    """Gradient by the angles, (samples, qubits)."""
    by_angles[:] = 0
    for b in range(len(low)):
        _slope_alone(low[b], by_low[b], by_angles[b, :width])
        _slope_alone(high[b], by_high[b], by_angles[b, width:])


@jit
def _slope_alone(table: Array, gradient: Array, result: Array) -> None:
    """Gradient by each angle: the derivative of a product that holds cos u is minus the one with sin u in its place."""
    step = 1
    size = 3 ** len(result)
    for q in range(len(result)):
        total = result[q]
        for block in range(0, size, 3 * step):
            for i in range(block + step, block + 2 * step):
                total += gradient[i + step] * table[i] - gradient[i] * table[i + step]
        result[q] = total
        step *= 3


@jit
def features_forward(angles: Array, width: int, factors: tuple[Array, Array], tables: Array, features: Array) -> None:
    """Features (samples, features) of angles (samples, qubits), products of `tables` (samples, parts, 3^width).

    `factors` says which products of each run of `width` qubits a feature takes; see `codes.factors_of`. `tables` is filled as
    the backward pass reads it.
    """
    pointer, place = factors
    n_samples, n_qubits = angles.shape
    n_parts, size = tables.shape[1], tables.shape[2]
    n_places, flat, row = n_parts * size, tables.reshape(-1), np.empty(LANES, angles.dtype)
    turns, spare = np.zeros(3 * n_qubits * LANES, angles.dtype), np.empty(n_places * LANES, angles.dtype)
    for first in range(0, n_samples, LANES):
        n = min(LANES, n_samples - first)
        own, start = (flat, first * n_places) if n == LANES else (spare, 0)
        _turn(angles, first, n, turns)
        for p in range(n_parts):
            _multiply_up(turns, p * width, min((p + 1) * width, n_qubits), own, start + p * size * LANES)
        for f in range(features.shape[1]):
            low, high = pointer[f], pointer[f + 1]
            if low == high:
                row[:] = 1
            else:
                put(own, start + place[low] * LANES, row, 0)
                for e in range(low + 1, high):
                    times(row, 0, own, start + place[e] * LANES, row, 0)
            for lane in range(n):
                features[first + lane, f] = row[lane]
        if n < LANES:
            _copy(spare, 0, LANES, flat, first * n_places, n, n_places, n)


@jit
def features_backward(gradient: Array, width: int, factors: tuple[Array, Array], tables: Array, by_angles: Array) -> None:
    """Gradient by the angles, (samples, qubits)."""
    pointer, place = factors
    n_samples, n_qubits = by_angles.shape
    n_parts, size = tables.shape[1], tables.shape[2]
    n_places, flat, kind = n_parts * size, tables.reshape(-1), gradient.dtype
    spare, by = np.zeros(n_places * LANES, kind), np.empty(n_places * LANES, kind)
    row, others, sums = np.zeros(LANES, kind), np.empty(LANES, kind), np.empty(16 * LANES, kind)
    for first in range(0, n_samples, LANES):
        n = min(LANES, n_samples - first)
        own, start = (flat, first * n_places) if n == LANES else (spare, 0)
        if n < LANES:
            _copy(flat, first * n_places, n, spare, 0, LANES, n_places, n)
        by[:] = 0
        for f in range(gradient.shape[1]):
            for lane in range(n):
                row[lane] = gradient[first + lane, f]
            for e in range(pointer[f], pointer[f + 1]):
                put(row, 0, others, 0)  # multiplied up, not divided out: a cosine may be zero
                for o in range(pointer[f], pointer[f + 1]):
                    if o != e:
                        times(others, 0, own, start + place[o] * LANES, others, 0)
                add(others, 0, by, place[e] * LANES)
        for q in range(n_qubits):
            p = q // width
            base, n_own = p * size * LANES, 3 ** min(width, n_qubits - p * width)
            _slope(own, start + base, by, base, n_own, q % width, sums)
            for lane in range(n):
                by_angles[first + lane, q] = sums[lane]


@inlined
def _slope(table: Array, at: int, gradient: Array, by: int, size: int, q: int, sums: Array) -> None:
    """Gradient by an angle: the derivative of a product that holds cos u is minus the one with sin u in its place.

    Of many products that stand together 16 sums are added in turn, then 4, then one: so did the loops of earlier versions,
    whose bits these are.
    """
    step = 3**q
    sums[:LANES] = 0
    for block in range(0, size, 3 * step):
        i, end = block + step, block + 2 * step
        for n_sums in (16, 4):
            if i + n_sums > end:
                continue
            sums[LANES : n_sums * LANES] = 0
            while i + n_sums <= end:
                for k in range(n_sums):
                    add_times(gradient, by + (i + k + step) * LANES, table, at + (i + k) * LANES, sums, k * LANES)
                    subtract_times(gradient, by + (i + k) * LANES, table, at + (i + k + step) * LANES, sums, k * LANES)
                i += n_sums
            if n_sums == 16:
                for k in range(0, 16, 8):
                    for lane in range(k, k + 4):
                        add(sums, (lane + 4) * LANES, sums, lane * LANES)
                for k in range(4):
                    add(sums, (k + 8) * LANES, sums, k * LANES)
            for half in (2, 1):
                for k in range(half):
                    add(sums, (k + half) * LANES, sums, k * LANES)
        while i < end:
            add_times(gradient, by + (i + step) * LANES, table, at + i * LANES, sums, 0)
            subtract_times(gradient, by + i * LANES, table, at + (i + step) * LANES, sums, 0)
            i += 1
