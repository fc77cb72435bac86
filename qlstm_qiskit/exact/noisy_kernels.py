"""Native loops of circuits with noise, compiled by Numba on first use; layouts as in `kernels`, graphs as in `graph`.

A section is one graph for the candidates that share it. Its slots are the rows ``base + slot * c + candidate``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.kernels import turn_all
from qlstm_qiskit.exact.native import jit

Array = NDArray[Any]


@jit
def fill(
    weights: Array,
    mixing: Array,
    angles: tuple[Array, Array, Array, Array],
    sections: Array,
    edges: tuple[Array, Array, Array, Array],
    entries: tuple[Array, Array, Array, Array],
    turns: Array,
    state: Array,
    form: Array,
) -> None:
    """Fill `turns`, the cosines of all angles and then their sines (2, angles x g), `state` and `form`.

    Args:
        weights, mixing: The parameters.
        angles: As in `kernels.build_forward`.
        sections: First slot and its end, first row and its end, candidates, first angle, first and last entry.
        edges: Pointer of each slot, source, turn and coefficient of each edge.
        entries: As in `kernels.build_forward`.
    """
    ends, source, turn, coefficient = edges
    slot, row, candidate, factor = entries
    g = weights.shape[1]
    turn_all(weights, angles, turns[0], turns[1])
    form[:] = 0
    for s in range(len(sections)):
        low, high, base, end, c, angle_base, entry_low, entry_high = sections[s]
        own, lanes = state[base:end], c * g
        flat = own.reshape(-1)
        flat[:lanes] = 1
        for n in range(1, high - low):
            target = flat[n * lanes : (n + 1) * lanes]
            target[:] = 0
            for e in range(ends[low + n], ends[low + n + 1]):
                start, v, t = source[e] * lanes, coefficient[e], turn[e]
                values = flat[start : start + lanes]
                if t < 0:
                    for i in range(lanes):
                        target[i] += v * values[i]
                else:
                    first = (angle_base + (t >> 1) * c) * g
                    factors = turns[t & 1, first : first + lanes]
                    for i in range(lanes):
                        target[i] += v * factors[i] * values[i]
        for e in range(entry_low, entry_high):
            for i in range(g):
                form[slot[e], i] += factor[e] * mixing[candidate[e], i] * own[row[e], i]


@jit
def fill_backward(
    by_form: Array,
    mixing: Array,
    angles: tuple[Array, Array, Array, Array],
    sections: Array,
    edges: tuple[Array, Array, Array, Array],
    entries: tuple[Array, Array, Array, Array],
    turns: Array,
    state: Array,
    by_weights: Array,
    by_mixing: Array,
) -> None:
    """Gradients of `fill`, into `by_weights` and `by_mixing`."""
    ends, source, turn, coefficient = edges
    slot, row, candidate, factor = entries
    g = mixing.shape[1]
    by_turns = np.zeros_like(turns)
    by_mixing[:] = 0
    rows = 0  # of the largest section: the gradients of all sections use the same room, one after the other
    for s in range(len(sections)):
        rows = max(rows, sections[s, 3] - sections[s, 2])
    room = np.empty((rows, g), state.dtype)
    for s in range(len(sections)):
        low, high, base, end, c, angle_base, entry_low, entry_high = sections[s]
        own, gradient, lanes = state[base:end], room[: end - base], c * g
        gradient[:] = 0
        for e in range(entry_low, entry_high):
            for i in range(g):
                part = factor[e] * by_form[slot[e], i]
                gradient[row[e], i] += part * mixing[candidate[e], i]
                by_mixing[candidate[e], i] += part * own[row[e], i]
        flat, flat_gradient = own.reshape(-1), gradient.reshape(-1)
        for n in range(high - low - 1, 0, -1):
            given = flat_gradient[n * lanes : (n + 1) * lanes]
            for e in range(ends[low + n], ends[low + n + 1]):
                start, v, t = source[e] * lanes, coefficient[e], turn[e]
                values, by_values = flat[start : start + lanes], flat_gradient[start : start + lanes]
                if t < 0:
                    for i in range(lanes):
                        by_values[i] += v * given[i]
                else:
                    first = (angle_base + (t >> 1) * c) * g
                    factors, by_factors = turns[t & 1, first : first + lanes], by_turns[t & 1, first : first + lanes]
                    for i in range(lanes):
                        part = v * given[i]
                        by_values[i] += factors[i] * part
                        by_factors[i] += part * values[i]
    _angles_backward(angles, turns, by_turns, by_weights)


@jit
def _angles_backward(angles: tuple[Array, Array, Array, Array], turns: Array, by_turns: Array, by_weights: Array) -> None:
    """Gradient by the weights from that by cosines and sines, (2, angles x g)."""
    offset, pointer, column, value = angles
    g = by_weights.shape[1]
    by_weights[:] = 0
    for a in range(len(offset)):
        for i in range(g):
            by_angle = turns[0, a * g + i] * by_turns[1, a * g + i] - turns[1, a * g + i] * by_turns[0, a * g + i]
            for entry in range(pointer[a], pointer[a + 1]):
                by_weights[column[entry], i] += value[entry] * by_angle
