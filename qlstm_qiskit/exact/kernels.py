"""Native loops of the multilinear form, compiled by Numba on first use and cached on disk.

Layouts: g, the gates of the LSTM, runs fastest everywhere: `weights` (columns, g), `mixing` (candidates, g), `form` (features x
outputs, g), `state` (rows, g). A section holds one output of the candidates of one structure. Its coefficients are the rows
``base + node * c + candidate``, so that one plane rotation acts on a run of c * g numbers, and all of them stay in cache.

What comes first is read, what comes last is filled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import inlined, inner, jit
from qlstm_qiskit.exact.sines import turned
from qlstm_qiskit.exact.turns import add_product, turn, undo

Array = NDArray[Any]


@inlined
def _flat(values: Array) -> Array:
    """A copy of a table, row after row; tables of parameters are transposed ones."""
    rows, columns = values.shape
    result = np.empty(rows * columns, values.dtype)
    for k in range(rows):
        for i in range(columns):
            result[k * columns + i] = values[k, i]
    return result


@inner
def turn_all(weights: Array, angles: tuple[Array, Array, Array, Array], cosine: Array, sine: Array) -> None:
    """Fill `cosine` and `sine` of all angles (angles x g, flat); see `build_forward`."""
    offset, pointer, column, value = angles
    g, found = weights.shape[1], np.empty_like(cosine)
    for a in range(len(offset)):
        for i in range(g):
            angle = offset[a]
            for entry in range(pointer[a], pointer[a + 1]):
                angle += value[entry] * weights[column[entry], i]
            found[a * g + i] = angle
    turned(found, cosine, sine)


@jit
def build_forward(
    weights: Array,
    mixing: Array,
    angles: tuple[Array, Array, Array, Array],
    sections: Array,
    steps: tuple[Array, Array, Array],
    start: Array,
    entries: tuple[Array, Array, Array, Array],
    cosine: Array,
    sine: Array,
    state: Array,
    form: Array,
) -> None:
    """Fill `cosine` and `sine` of all angles (angles x g, flat), `state` and `form`.

    Args:
        weights, mixing: The parameters.
        angles: Offset, pointer, column, value: each angle is ``offset + sum value * weights[column]`` (compressed rows).
        sections: Rows of first and last step, first and last row, candidates, first angle, first and last entry.
        steps: Rotation, first and second node of each plane rotation; see `Propagation`.
        start: Coefficients at the start, without g.
        entries: Slot of the form, row within the section, candidate and value of each term that is collected.
    """
    rotation, first, second = steps
    slot, row, candidate, factor = entries
    g = weights.shape[1]
    turn_all(weights, angles, cosine, sine)  # once for each angle, since a rotation of the circuit is many plane rotations
    form[:] = 0
    flat_form, flat_mixing = form.reshape(-1), _flat(mixing)
    for s in range(len(sections)):
        low, high, base, end, c, angle_base, entry_low, entry_high = sections[s]
        own = state[base:end]
        own[:] = 0
        for r in range(end - base):
            if start[base + r] != 0:
                own[r] = start[base + r]
        flat, lanes = own.reshape(-1), c * g
        for e in range(low, high):
            a, b, r = first[e] * lanes, second[e] * lanes, (angle_base + rotation[e] * c) * g
            turn(flat, cosine, sine, a, b, r, lanes)
        for e in range(entry_low, entry_high):
            add_product(flat_form, flat_mixing, flat, factor[e], slot[e] * g, candidate[e] * g, row[e] * g, g)


@jit
def mix_forward(mixing: Array, sections: Array, entries: tuple[Array, Array, Array, Array], state: Array, form: Array) -> None:
    """Fill `form` from the coefficients that `build_forward` has left in `state`."""
    slot, row, candidate, factor = entries
    g = mixing.shape[1]
    form[:] = 0
    flat_form, flat_mixing, flat = form.reshape(-1), _flat(mixing), state.reshape(-1)
    for s in range(len(sections)):
        _, _, base, _, _, _, entry_low, entry_high = sections[s]
        for e in range(entry_low, entry_high):
            add_product(flat_form, flat_mixing, flat, factor[e], slot[e] * g, candidate[e] * g, (base + row[e]) * g, g)


@jit
def mix_backward(
    by_form: Array, sections: Array, entries: tuple[Array, Array, Array, Array], state: Array, by_mixing: Array
) -> None:
    """The gradient of `mix_forward`, into `by_mixing`."""
    slot, row, candidate, factor = entries
    g = by_form.shape[1]
    flat_by, flat_by_mixing, flat = by_form.reshape(-1), np.zeros(by_mixing.size, by_mixing.dtype), state.reshape(-1)
    for s in range(len(sections)):
        _, _, base, _, _, _, entry_low, entry_high = sections[s]
        for e in range(entry_low, entry_high):
            add_product(flat_by_mixing, flat_by, flat, factor[e], candidate[e] * g, slot[e] * g, (base + row[e]) * g, g)
    for k in range(len(by_mixing)):
        for i in range(g):
            by_mixing[k, i] = flat_by_mixing[k * g + i]


@jit
def build_backward(
    by_form: Array,
    mixing: Array,
    angles: tuple[Array, Array, Array, Array],
    sections: Array,
    steps: tuple[Array, Array, Array],
    entries: tuple[Array, Array, Array, Array],
    cosine: Array,
    sine: Array,
    state: Array,
    by_room: Array,
    by_angle: Array,
    by_weights: Array,
    by_mixing: Array,
) -> None:
    """Gradients of `build_forward`, into `by_weights` and `by_mixing`; `state` is rotated back to the start.

    `by_room` is for the gradients of the largest section: all sections use it, one after the other; `by_angle` is for those of
    all angles.
    """
    offset, pointer, column, value = angles
    rotation, first, second = steps
    slot, row, candidate, factor = entries
    g = mixing.shape[1]
    by_angle[:] = 0
    flat_by_form, flat_mixing, flat_by_mixing = by_form.reshape(-1), _flat(mixing), np.zeros(mixing.size, mixing.dtype)
    for s in range(len(sections)):
        low, high, base, end, c, angle_base, entry_low, entry_high = sections[s]
        own, gradient = state[base:end], by_room[: end - base]
        gradient[:] = 0
        flat, flat_gradient, lanes = own.reshape(-1), gradient.reshape(-1), c * g
        for e in range(entry_low, entry_high):
            a, b, r = row[e] * g, slot[e] * g, candidate[e] * g
            add_product(flat_gradient, flat_by_form, flat_mixing, factor[e], a, b, r, g)
            add_product(flat_by_mixing, flat_by_form, flat, factor[e], r, b, a, g)
        for e in range(high - 1, low - 1, -1):
            a, b, r = first[e] * lanes, second[e] * lanes, (angle_base + rotation[e] * c) * g
            undo(flat, flat_gradient, cosine, sine, by_angle, a, b, r, lanes)
    for k in range(len(by_mixing)):
        for i in range(g):
            by_mixing[k, i] = flat_by_mixing[k * g + i]
    by_weights[:] = 0
    for a in range(len(offset)):
        for entry in range(pointer[a], pointer[a + 1]):
            for i in range(g):
                by_weights[column[entry], i] += value[entry] * by_angle[a * g + i]


@jit
def sums_forward(features: Array, matrix: Array, slots: Array, sums: Array) -> None:
    """Add to `sums` (outputs, gates, samples) the features (features, samples) times a sparse matrix (rows, gates)."""
    n_samples = features.shape[1]
    for s in range(slots.shape[1]):
        own = features[slots[0, s]]
        for g in range(matrix.shape[1]):
            into, factor = sums[slots[1, s], g], matrix[s, g]
            for b in range(n_samples):
                into[b] += factor * own[b]


@jit
def sums_backward(features: Array, matrix: Array, slots: Array, by_sums: Array, by_features: Array, by_matrix: Array) -> None:
    """Gradients of `sums_forward`: added to `by_features`, and into `by_matrix`."""
    n_samples = features.shape[1]
    for s in range(slots.shape[1]):
        own, by_own = features[slots[0, s]], by_features[slots[0, s]]
        for g in range(matrix.shape[1]):
            by, factor, total = by_sums[slots[1, s], g], matrix[s, g], matrix.dtype.type(0)
            for b in range(n_samples):
                total += by[b] * own[b]
                by_own[b] += factor * by[b]
            by_matrix[s, g] = total
