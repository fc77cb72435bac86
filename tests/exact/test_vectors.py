"""Loops in vectors, against the same loops written out or closed forms, and the memory that passes use again."""

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qlstm_qiskit.exact.activations import sigmoid, tanh
from qlstm_qiskit.exact.feature_kernels import features_backward, features_forward, tables_forward
from qlstm_qiskit.exact.native import jit
from qlstm_qiskit.exact.rooms import Rooms
from qlstm_qiskit.exact.sequence_kernels import contract, multiply
from qlstm_qiskit.exact.sines import turned
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


@pytest.mark.parametrize("n_samples", [1, 7, 8, 21])
@pytest.mark.parametrize(("n_qubits", "width"), [(1, 1), (4, 4), (5, 5), (6, 3), (7, 4)])  # of 7, the second part has 3
def test_features_are_products_and_their_gradients_are_derivatives(n_samples: int, n_qubits: int, width: int) -> None:
    generator = np.random.default_rng(2)
    digits = np.concatenate([np.zeros((1, n_qubits), dtype=int), generator.integers(0, 3, (25, n_qubits))])
    angles, gradient = generator.normal(size=(n_samples, n_qubits)), generator.normal(size=(n_samples, len(digits)))
    one_of = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=-1)
    slope_of = np.stack([np.zeros_like(angles), -np.sin(angles), np.cos(angles)], axis=-1)
    qubits = np.arange(n_qubits)
    factors = one_of[:, qubits, digits]  # (samples, features, qubits)
    expected = np.zeros_like(angles)
    for q in range(n_qubits):
        others = np.delete(factors, q, axis=2).prod(axis=2)
        expected[:, q] = (gradient * others * slope_of[:, q, digits[:, q]]).sum(axis=1)

    n_parts, pointer, place = -(-n_qubits // width), [0], []
    for row in digits:
        codes = [int(sum(digit * 3**k for k, digit in enumerate(row[p * width : (p + 1) * width]))) for p in range(n_parts)]
        place += [p * 3**width + code for p, code in enumerate(codes) if code]
        pointer.append(len(place))
    own = np.array(pointer, dtype=np.int64), np.array(place, dtype=np.int32)
    tables, found = np.full((n_samples, n_parts, 3**width), np.nan), np.full((n_samples, len(digits)), np.nan)
    by_angles = np.full_like(angles, np.nan)
    features_forward(angles, width, own, tables, found)
    np.testing.assert_allclose(found, factors.prod(axis=2), rtol=0, atol=1e-14)
    features_backward(gradient, width, own, tables, by_angles)
    np.testing.assert_allclose(by_angles, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n_samples", [3, 8, 20])
def test_a_sample_has_the_same_bits_whichever_are_beside_it(n_samples: int) -> None:
    generator, own = np.random.default_rng(3), (np.array([0, 0, 1, 3]), np.array([1, 2, 11], dtype=np.int32))
    angles, gradient = generator.normal(size=(n_samples, 4)), generator.normal(size=(n_samples, 3))

    def both(rows: slice) -> tuple[Array, Array]:
        n = len(angles[rows])
        tables, found, by_angles = np.empty((n, 2, 9)), np.empty((n, 3)), np.empty((n, 4))
        features_forward(angles[rows], 2, own, tables, found)
        features_backward(gradient[rows], 2, own, tables, by_angles)
        return found, by_angles

    for row in range(n_samples):
        for together, alone in zip(both(slice(None)), both(slice(row, row + 1)), strict=True):
            np.testing.assert_array_equal(together[row], alone[0])


@jit
def _activate(values: Array, sigmoids: Array, tangents: Array) -> None:
    for i in range(len(values)):
        sigmoids[i] = sigmoid(values[i])
        tangents[i] = tanh(values[i])


def test_activations_are_right_to_three_units_in_the_last_place() -> None:
    generator = np.random.default_rng(4)
    values = np.concatenate(
        [
            generator.normal(size=3000),
            generator.uniform(-50, 50, 1000),
            generator.choice([-1, 1], 500) * 10 ** generator.uniform(-300, 2, 500),
        ]
    )
    found = np.empty_like(values), np.empty_like(values)
    _activate(values, *found)
    exact = values.astype(np.longdouble)  # 64 bits of mantissa
    for one, expected in zip(found, (1 / (1 + np.exp(-exact)), np.tanh(exact)), strict=True):
        units = np.abs(one - expected) / np.spacing(np.abs(expected.astype(np.float64)))
        assert units.max() < 3
    assert (found[1] == -_of(-values)[1]).all()  # odd to the bit


def test_activations_of_extreme_values() -> None:
    values = np.array([0.0, -0.0, 5e-324, 800.0, -800.0, np.inf, -np.inf, np.nan])
    sigmoids, tangents = _of(values)
    np.testing.assert_allclose(sigmoids, [0.5, 0.5, 0.5, 1, 0, 1, 0, np.nan], rtol=0, atol=1e-300)
    np.testing.assert_array_equal(tangents, [0.0, -0.0, 5e-324, 1, -1, 1, -1, np.nan])
    assert np.signbit(tangents).tolist()[:2] == [False, True]


@pytest.mark.parametrize("n", [1, 7, 40])
def test_a_number_has_the_same_activation_in_a_vector_and_alone(n: int) -> None:
    values = np.random.default_rng(5).normal(size=n)
    for place in range(n):
        for together, alone in zip(_of(values), _of(values[place : place + 1]), strict=True):
            assert together[place] == alone[0]


def _of(values: Array) -> tuple[Array, Array]:
    found = np.empty_like(values), np.empty_like(values)
    _activate(values, *found)
    return found


@jit
def _turn_all(angles: Array, cosine: Array, sine: Array) -> None:
    turned(angles, cosine, sine)


def _turned(angles: Array) -> tuple[Array, Array]:
    found = np.empty_like(angles), np.empty_like(angles)
    _turn_all(angles, *found)
    return found


def test_cosines_and_sines_are_right_to_two_units_in_the_last_place() -> None:
    generator, quarters = np.random.default_rng(6), np.arange(-3000, 3000) * np.pi / 4
    angles = np.concatenate([generator.normal(size=3000), generator.uniform(-1e6, 1e6, 3000), quarters, quarters * 300])
    angles = np.append(angles, [642615.9188844458, 321307.9594422229])  # as near to a multiple of pi / 2 as angles come
    for found, function in zip(_turned(angles), (np.cos, np.sin), strict=True):
        exact = function(angles.astype(np.longdouble))  # 64 bits of mantissa
        assert np.max(np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float64)))) < 2


@pytest.mark.filterwarnings("ignore:invalid value")
def test_angles_that_are_no_angles_and_large_ones_are_as_in_numpy() -> None:
    angles = np.array([0.0, 5e-324, np.nan, 2.0**20 + 1, -1e300, 1.0, np.inf, -np.inf, 3.0])
    cosine, sine = _turned(angles)
    assert (cosine[0], sine[0], sine[1]) == (1, 0, 5e-324)
    np.testing.assert_allclose(cosine, np.cos(angles), rtol=1e-15)
    np.testing.assert_allclose(sine, np.sin(angles), rtol=1e-15)
    short = angles[[0, 2, 3, 5, 8]].astype(np.float32)
    for one, other in zip(_turned(short), (np.cos, np.sin), strict=True):
        np.testing.assert_allclose(one, other(short), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 7, 40])
def test_an_angle_has_the_same_cosine_in_a_vector_and_alone(n: int) -> None:
    angles = np.random.default_rng(7).normal(size=n) * 10
    angles[n // 2] = 1e9  # which is taken by another library leaves its neighbours alone
    for place in range(n):
        for together, alone in zip(_turned(angles), _turned(angles[place : place + 1]), strict=True):
            assert together[place] == alone[0]


@pytest.mark.parametrize("n_samples", [1, 8, 13])
@pytest.mark.parametrize(("n_qubits", "width"), [(1, 1), (2, 1), (5, 3), (6, 3)])
def test_tables_are_all_products_of_each_half(n_samples: int, n_qubits: int, width: int) -> None:
    angles = np.random.default_rng(8).normal(size=(n_samples, n_qubits))
    low, high = np.full((n_samples, 3**width), np.nan), np.full((n_samples, 3 ** (n_qubits - width)), np.nan)
    tables_forward(angles, width, low, high)
    factors = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=-1)
    for table, part in ((low, factors[:, :width]), (high, factors[:, width:])):
        for code in range(table.shape[1]):
            digits = [code // 3**q % 3 for q in range(part.shape[1])]
            expected = np.prod([part[:, q, digit] for q, digit in enumerate(digits)], axis=0)
            np.testing.assert_allclose(table[:, code], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 20, 33])
@pytest.mark.parametrize("n", [1, 3, 4, 6, 9])
def test_each_row_is_contracted_with_its_own_table(n: int, columns: int, dtype: Any) -> None:
    generator = np.random.default_rng(9)
    low, half = generator.normal(size=(n, 5)).astype(dtype), generator.normal(size=(n, 5 * columns)).astype(dtype)
    found = np.full((n, columns), np.nan, dtype)
    contract(low, half, found)
    expected = np.einsum("bk,bkj->bj", low.astype(float), half.reshape(n, 5, columns).astype(float))
    np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
    for row in range(n):  # to the bit whatever stands beside it
        alone = np.empty((1, columns), dtype)
        contract(low[row : row + 1], half[row : row + 1], alone)
        np.testing.assert_array_equal(found[row], alone[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [1, 3, 4, 5, 7, 8, 9, 16, 20, 33])
@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 13])
def test_products_of_matrices_have_the_same_bits_in_every_tile(n: int, columns: int, dtype: Any) -> None:
    generator = np.random.default_rng(9)
    left, right = generator.normal(size=(n, 11)).astype(dtype), generator.normal(size=(11, columns)).astype(dtype)
    found, alone = np.full((n, columns), np.nan, dtype), np.full((1, columns), np.nan, dtype)
    multiply(left, right, found)
    np.testing.assert_allclose(found, left.astype(float) @ right.astype(float), rtol=0, atol=20 * np.finfo(dtype).eps)
    for row in range(n):
        multiply(left[row : row + 1], right, alone)
        np.testing.assert_array_equal(found[row], alone[0])
