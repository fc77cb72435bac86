"""Native loops of the multilinear form for the gates of many models at once; see `kernels`, whose layouts these have.

Models lie side by side along the gates g, so that the loops over g are long ones, and are the inner ones everywhere.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from qlstm_qiskit.exact.kernels import turn_all
from qlstm_qiskit.exact.native import jit
from qlstm_qiskit.exact.turns import add_product, turn, undo

Array = NDArray[Any]


@jit
def _rotate(
    section: Array, steps: tuple[Array, Array, Array], start: Array, cosine: Array, sine: Array, g: int, own: Array
) -> None:
    """Fill the coefficients `own` (rows, g) of a section."""
    rotation, first, second = steps
    low, high, base, _, c, angle_base = section[:6]
    flat, lanes = own.reshape(-1), c * g
    flat[:] = 0
    for r in range(len(own)):
        if start[base + r] != 0:
            own[r] = start[base + r]
    for e in range(low, high):
        a, b, r = first[e] * lanes, second[e] * lanes, (angle_base + rotation[e] * c) * g
        turn(flat, cosine, sine, a, b, r, lanes)


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
    room: Array,
    form: Array,
) -> None:
    """As `kernels.build_forward`, with `room` for the coefficients of the largest section in place of `state`."""
    slot, row, candidate, factor = entries
    g = weights.shape[1]
    turn_all(weights, angles, cosine, sine)
    form[:] = 0
    flat, flat_form, flat_mixing = room.reshape(-1), form.reshape(-1), mixing.reshape(-1)
    for s in range(len(sections)):
        own = room[: sections[s, 3] - sections[s, 2]]
        _rotate(sections[s], steps, start, cosine, sine, g, own)
        for e in range(sections[s, 6], sections[s, 7]):
            add_product(flat_form, flat_mixing, flat, factor[e], slot[e] * g, candidate[e] * g, row[e] * g, g)


@jit
def build_backward(
    by_form: Array,
    mixing: Array,
    angles: tuple[Array, Array, Array, Array],
    sections: Array,
    steps: tuple[Array, Array, Array],
    start: Array,
    entries: tuple[Array, Array, Array, Array],
    cosine: Array,
    sine: Array,
    room: Array,
    by_room: Array,
    by_angle: Array,
    by_weights: Array,
    by_mixing: Array,
) -> None:
    """As `kernels.build_backward`; coefficients are found again, which costs less than to write down and read all of them."""
    offset, pointer, column, value = angles
    rotation, first, second = steps
    slot, row, candidate, factor = entries
    g = mixing.shape[1]
    by_angle[:] = 0
    by_mixing[:] = 0
    flat_by_form, flat_mixing, flat_by_mixing = by_form.reshape(-1), mixing.reshape(-1), by_mixing.reshape(-1)
    for s in range(len(sections)):
        low, high, base, end, c, angle_base, entry_low, entry_high = sections[s]
        own, gradient = room[: end - base], by_room[: end - base]
        _rotate(sections[s], steps, start, cosine, sine, g, own)
        flat, flat_gradient, lanes = own.reshape(-1), gradient.reshape(-1), c * g
        flat_gradient[:] = 0
        for e in range(entry_low, entry_high):
            a, b, r = row[e] * g, slot[e] * g, candidate[e] * g
            add_product(flat_gradient, flat_by_form, flat_mixing, factor[e], a, b, r, g)
            add_product(flat_by_mixing, flat_by_form, flat, factor[e], r, b, a, g)
        for e in range(high - 1, low - 1, -1):
            a, b, r = first[e] * lanes, second[e] * lanes, (angle_base + rotation[e] * c) * g
            undo(flat, flat_gradient, cosine, sine, by_angle, a, b, r, lanes)
    by_weights[:] = 0
    for a in range(len(offset)):
        for entry in range(pointer[a], pointer[a + 1]):
            for i in range(g):
                by_weights[column[entry], i] += value[entry] * by_angle[a * g + i]


@jit
def part(joint: Array, own: Array) -> None:
    """Fill the matrices of models, (models, slots, gates), from the one of all their gates, (slots, models x gates)."""
    n_models, n_slots, g = own.shape
    for r in range(n_models):
        for s in range(n_slots):
            for i in range(g):
                own[r, s, i] = joint[s, r * g + i]


@jit
def join(own: Array, joint: Array) -> None:
    """The inverse of `part`."""
    n_models, n_slots, g = own.shape
    for r in range(n_models):
        for s in range(n_slots):
            for i in range(g):
                joint[s, r * g + i] = own[r, s, i]


@jit
def sums_forward(features: Array, matrices: Array, slots: Array, sums: Array) -> None:
    """As `kernels.sums_forward` for the matrices (models, rows, gates) of models that have equally many samples each."""
    n_samples = features.shape[1] // len(matrices)
    for s in range(slots.shape[1]):
        for r in range(len(matrices)):
            start = r * n_samples
            own = features[slots[0, s], start : start + n_samples]
            for g in range(matrices.shape[2]):
                into, factor = sums[slots[1, s], g, start : start + n_samples], matrices[r, s, g]
                for b in range(n_samples):
                    into[b] += factor * own[b]


@jit
def sums_backward(features: Array, matrices: Array, slots: Array, by_sums: Array, by_features: Array, by_matrix: Array) -> None:
    """Gradients of `sums_forward`: added to `by_features`, and into `by_matrix`."""
    n_samples = features.shape[1] // len(matrices)
    for s in range(slots.shape[1]):
        for r in range(len(matrices)):
            start = r * n_samples
            own = features[slots[0, s], start : start + n_samples]
            by_own = by_features[slots[0, s], start : start + n_samples]
            for g in range(matrices.shape[2]):
                by, factor = by_sums[slots[1, s], g, start : start + n_samples], matrices[r, s, g]
                total = matrices.dtype.type(0)
                for b in range(n_samples):
                    total += by[b] * own[b]
                    by_own[b] += factor * by[b]
                by_matrix[r, s, g] = total
