"""Plane rotations in vectors, against the same loop written out, and the memory that passes use again."""

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import jit
from qlstm_qiskit.exact.rooms import Rooms
from qlstm_qiskit.exact.turns import add_product as product_in_vectors
from qlstm_qiskit.exact.turns import turn as turn_in_vectors
from qlstm_qiskit.exact.turns import undo as undo_in_vectors

Array = NDArray[Any]

#: Through all paths: none, a rest, four, eight, and what is left of them.
NUMBERS = (0, 1, 3, 4, 7, 8, 11, 12, 13, 24, 30)


@jit
def turn(state: Array, cosine: Array, sine: Array, a: int, b: int, r: int, n: int) -> None:
    turn_in_vectors(state, cosine, sine, a, b, r, n)


@jit
def undo(state: Array, gradient: Array, cosine: Array, sine: Array, by_angle: Array, a: int, b: int, r: int, n: int) -> None:
    undo_in_vectors(state, gradient, cosine, sine, by_angle, a, b, r, n)


@jit
def add_product(sums: Array, left: Array, right: Array, scale: float, a: int, b: int, c: int, n: int) -> None:
    product_in_vectors(sums, left, right, scale, a, b, c, n)


@jit
def turn_in_a_loop(state: Array, cosine: Array, sine: Array, a: int, b: int, r: int, n: int) -> None:
    for i in range(n):
        x, y = state[a + i], state[b + i]
        state[a + i] = cosine[r + i] * x + sine[r + i] * y
        state[b + i] = cosine[r + i] * y - sine[r + i] * x


@jit
def undo_in_a_loop(
    state: Array, gradient: Array, cosine: Array, sine: Array, by_angle: Array, a: int, b: int, r: int, n: int
) -> None:
    for i in range(n):
        x, y, u, v = state[a + i], state[b + i], gradient[a + i], gradient[b + i]
        by_angle[r + i] += u * y - v * x
        state[a + i] = cosine[r + i] * x - sine[r + i] * y
        state[b + i] = sine[r + i] * x + cosine[r + i] * y
        gradient[a + i] = cosine[r + i] * u - sine[r + i] * v
        gradient[b + i] = sine[r + i] * u + cosine[r + i] * v


@jit
def add_product_in_a_loop(sums: Array, left: Array, right: Array, scale: float, a: int, b: int, c: int, n: int) -> None:
    for i in range(n):
        sums[a + i] += scale * left[b + i] * right[c + i]


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def arrays(request: pytest.FixtureRequest) -> list[Array]:
    """Coefficients, gradients, cosines, sines and gradients by angles."""
    generator = np.random.default_rng(1)
    angles = generator.uniform(-3, 3, 90)
    state, gradient, by_angle = generator.normal(size=(3, 90))
    return [own.astype(request.param) for own in (state, gradient, np.cos(angles), np.sin(angles), by_angle)]


def _copies(arrays: list[Array]) -> list[Array]:
    return [own.copy() for own in arrays]


@pytest.mark.parametrize("n", NUMBERS)
def test_vectors_have_the_bits_of_the_loop(n: int, arrays: list[Array]) -> None:
    calls = [
        (turn, turn_in_a_loop, (0, 2, 3), (5, 45, 17)),
        (undo, undo_in_a_loop, (0, 1, 2, 3, 4), (5, 45, 17)),
        (add_product, add_product_in_a_loop, (0, 1, 2), (arrays[0].dtype.type(0.7), 5, 45, 17)),
    ]
    for vectors, loop, places, rest in calls:
        ours, theirs = _copies(arrays), _copies(arrays)
        vectors(*(ours[place] for place in places), *rest, n)
        loop(*(theirs[place] for place in places), *rest, n)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", NUMBERS)
def test_turns_are_plane_rotations_and_are_undone(n: int, arrays: list[Array]) -> None:
    state, gradient, cosine, sine, by_angle = (own.astype(np.float64) for own in arrays)
    before, by_before, angles_before = state.copy(), gradient.copy(), by_angle.copy()
    a, b, r = slice(5, 5 + n), slice(45, 45 + n), slice(17, 17 + n)
    turn(state, cosine, sine, 5, 45, 17, n)
    expected = before.copy()
    expected[a], expected[b] = (
        cosine[r] * before[a] + sine[r] * before[b],
        cosine[r] * before[b] - sine[r] * before[a],
    )
    np.testing.assert_allclose(state, expected, rtol=0, atol=1e-14)
    undo(state, gradient, cosine, sine, by_angle, 5, 45, 17, n)
    np.testing.assert_allclose(state, before, rtol=0, atol=1e-6)  # float32 angles: cosine and sine have a sum of squares near 1
    # The derivatives of the turned values by the angle are (b', -a').
    angles_before[r] += by_before[a] * expected[b] - by_before[b] * expected[a]
    np.testing.assert_allclose(by_angle, angles_before, rtol=0, atol=1e-14)
    expected = by_before.copy()
    expected[a] = cosine[r] * by_before[a] - sine[r] * by_before[b]
    expected[b] = sine[r] * by_before[a] + cosine[r] * by_before[b]
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-14)


def test_memory_is_used_again_and_begins_at_a_line_of_the_cache() -> None:
    rooms, shape, dtype = Rooms(), (7, 3), np.dtype(np.float64)
    taken = [rooms.take(shape, dtype) for _ in range(6)]
    assert all(room.shape == shape and room.dtype == dtype and not room.ctypes.data % 64 for room in taken)
    assert len({room.ctypes.data for room in taken}) == 6  # while they are read, no two are the same
    rooms.give(*taken)
    again = [rooms.take(shape, dtype) for _ in range(6)]
    assert sum(any(one is other for other in taken) for one in again) == 4  # more are not kept
    assert rooms.take((3, 7), dtype).shape == (3, 7)
    rooms.give(taken[0])
    assert copy.deepcopy(rooms).take(shape, dtype) is not taken[0]
