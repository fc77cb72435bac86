"""Equality up to a sign and relabelled weights, against trying all relabellings, or where there are too many, invariants."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Relabelling, lower_observable, polynomial, relabelling
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.circuits.brute import bank_values, outputs
from tests.speed import slow_but

X, W = ParameterVector("x", 3), ParameterVector("w", 3)


def compare(candidates: list[Candidate], n_outputs: int | None = None) -> dict[tuple[int, int], Relabelling | None]:
    """All pairs of candidates."""
    written = []
    for item in candidates:
        observables = [lower_observable(observable, item.n_qubits) for observable in item.observables(n_outputs)]
        written.append(polynomial(item.program, observables))
    assert None not in written
    return {(i, j): relabelling(f, g) for i, f in enumerate(written) for j, g in enumerate(written)}


def relabelled(found: Relabelling, w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights of the second function for those of the first; what does not matter is random."""
    other = rng.uniform(-np.pi, np.pi, len(w))
    for column, (own, flip) in found.weights.items():
        other[column] = flip * w[own]
    return other


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but([(3, 1)], [(2, 1), (2, 2), (3, 1), (4, 1)]))
def test_the_papers_space_by_all_permutations_and_flips(n_qubits: int, depth: int) -> None:
    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    rng, n = np.random.default_rng(0), n_qubits * depth
    x, w = rng.uniform(-np.pi, np.pi, (3, n_qubits)), rng.uniform(-np.pi, np.pi, n)
    orders = [list(order) for order in permutations(range(n))]
    tried = np.array([w[order] * flips for order in orders for flips in product((1, -1), repeat=n)])
    values = bank_values(candidates, n_qubits - 1, x, tried)  # the first are w itself
    equal = np.zeros((len(candidates),) * 2, dtype=bool)
    for i, j in product(range(len(candidates)), repeat=2):
        own = values[:, :1, i]
        equal[i, j] = any((np.abs(own - sign * values[:, :, j]).max(axis=(0, 2)) < 1e-10).any() for sign in (1, -1))
    found = compare(candidates, n_qubits - 1)
    for (i, j), claim in found.items():
        assert (claim is not None) == equal[i, j], (candidates[i].name, candidates[j].name)


SIZES = [(n, depth) for n in range(2, 7) for depth in (1, 2, 3)]


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but(SIZES[:1], SIZES))
def test_what_is_claimed_holds_and_what_is_not_differs(n_qubits: int, depth: int) -> None:
    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    rng = np.random.default_rng(1)
    x, w = rng.uniform(-np.pi, np.pi, (3, n_qubits)), rng.uniform(-np.pi, np.pi, n_qubits * depth)
    values = bank_values(candidates, n_qubits - 1, x, w[None])[:, 0]
    means, errors = moments(candidates, n_qubits - 1)
    fixed = invariants(candidates, n_qubits - 1)
    for (i, j), claim in compare(candidates, n_qubits - 1).items():
        pair = candidates[i].name, candidates[j].name
        if claim is None:
            deviation = np.abs(means[i] - means[j]) / (np.hypot(errors[i], errors[j]) + 1e-12)
            assert deviation.max() > 6 or not np.allclose(fixed[i], fixed[j], atol=1e-8), pair
        else:
            other = bank_values([candidates[j]], n_qubits - 1, x, relabelled(claim, w, rng)[None])[:, 0, 0]
            np.testing.assert_allclose(values[:, i], claim.sign * other, atol=1e-10, err_msg=str(pair))


def moments(candidates: list[Candidate], n_outputs: int, samples: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Means over random weights that no relabelling, flip or global sign changes, and their standard errors.

    They are of products of two values at some inputs and outputs, and of the squares of these; (candidates, products).
    """
    n, m = len(candidates[0].inputs), len(candidates[0].weights)
    rng = np.random.default_rng(2)
    x = rng.uniform(-np.pi, np.pi, (2, n))
    products = []
    for index, candidate in enumerate(candidates):  # independent weights for each, so that errors are independent
        w = np.random.default_rng([3, index]).uniform(-np.pi, np.pi, (samples, m))
        values = np.moveaxis(bank_values([candidate], n_outputs, x, w)[:, :, 0], 1, 0).reshape(samples, -1)
        first, second = np.triu_indices(values.shape[1])
        pairs = values[:, first] * values[:, second]
        products.append(np.concatenate([pairs, pairs**2], axis=1))
    found = np.array(products)
    return found.mean(axis=1), found.std(axis=1) / np.sqrt(samples)


def invariants(candidates: list[Candidate], n_outputs: int) -> np.ndarray:
    """Numbers that no relabelling, flip or global sign changes, (candidates, ...).

    All weights are 0 or pi but for one or two, which have generic angles in every order and with all flips. The sorted values
    are the same whatever the order and the flips, and so is the sorted list over all choices of weights.
    """
    n, m = len(candidates[0].inputs), len(candidates[0].weights)
    x = np.random.default_rng(2).uniform(-np.pi, np.pi, (1, n))
    parts = []
    for base, size in product((0.0, np.pi), (1, 2)):
        variants = [np.array(order) * flips for order in permutations((0.9, 2.1)) for flips in product((1, -1), repeat=2)]
        choices = list(combinations(range(m), size))
        points = np.full((len(choices), len(variants), m), base)
        for row, choice in enumerate(choices):
            points[row][:, choice] = np.array(variants)[:, :size]
        values = np.moveaxis(bank_values(candidates, n_outputs, x, points.reshape(-1, m))[0], 1, 0)
        values = values.reshape(len(candidates), len(choices), len(variants), n_outputs)
        squares = np.round(np.concatenate([values**2, values * np.roll(values, 1, axis=3)], axis=3), 9)
        parts.append([_sorted(np.array([_sorted(one).ravel() for one in item])).ravel() for item in squares])
    return np.concatenate(parts, axis=1)


def _sorted(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.T[::-1])]


def own(*steps: tuple, observable: str = "IIZ") -> Candidate:
    built = QuantumCircuit(3)
    for name, *arguments in steps:
        getattr(built, name)(*arguments)
    return Candidate("own", built, tuple(X), tuple(p for p in W if p in built.parameters), (SparsePauliOp(observable),))


A = own(("ry", X[0], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", W[2], 0), ("ry", X[1], 0))


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (own(("ry", X[0], 0), ("rx", W[2], 0), ("ry", -W[0], 0), ("rz", W[1], 0), ("ry", X[1], 0)), True),
        (own(("ry", X[0], 2), ("rx", W[0], 2), ("ry", W[1], 2), ("rz", W[2], 2), ("ry", X[1], 2), ("swap", 0, 2)), True),
        (own(("ry", X[0], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", W[2], 0), ("ry", X[1], 0), ("x", 0)), True),
        (own(("ry", X[1], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", W[2], 0), ("ry", X[0], 0)), False),
        (own(("ry", X[0], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", 2 * W[2], 0), ("ry", X[1], 0)), False),
        (own(("ry", X[0], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", W[1], 0), ("ry", X[1], 0)), False),
        (own(("ry", X[0], 0), ("rx", W[0], 0), ("ry", W[1], 0), ("rz", W[2], 0), ("ry", -X[1], 0)), False),
    ],
)
def test_own_circuits(other: Candidate, equal: bool) -> None:
    found = compare([A, other])[0, 1]
    assert (found is not None) == equal
    if found is not None:
        rng = np.random.default_rng(0)
        x, w = rng.normal(size=3), rng.normal(size=3)
        np.testing.assert_allclose(outputs(A, x, w), found.sign * outputs(other, x, relabelled(found, w, rng)), atol=1e-12)


def test_very_symmetric_weights_are_matched_by_trying() -> None:
    """Products of pairs round two rings: no colour tells the weights apart."""
    w = ParameterVector("w", 6)

    def rings(order: list[int]) -> Candidate:
        built = QuantumCircuit(6)
        for qubit in range(6):
            built.rx(w[order[qubit]], qubit)
        pairs = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
        operator = SparsePauliOp.from_sparse_list([("ZZ", pair, 1.0) for pair in pairs], 6)
        return Candidate("rings", built, (), tuple(w), (operator,))

    found = compare([rings([0, 1, 2, 3, 4, 5]), rings([0, 3, 1, 4, 2, 5])])[0, 1]
    assert found is not None
    assert {found.weights[k][0] for k in (0, 1, 3)} in ({0, 1, 2}, {3, 4, 5})


def test_one_sign_for_all_outputs() -> None:
    observables = [SparsePauliOp("IZ"), SparsePauliOp("ZI")]
    one, both = QuantumCircuit(2), QuantumCircuit(2)
    for built in (one, both):
        built.rx(X[0], 0)
        built.rx(X[1], 1)
    one.x(0)
    both.x([0, 1])
    plain = QuantumCircuit(2)
    plain.rx(X[0], 0)
    plain.rx(X[1], 1)
    candidates = [Candidate("c", built, tuple(X)[:2], (), tuple(observables)) for built in (plain, one, both)]
    found = compare(candidates)
    assert found[0, 1] is None
    assert found[0, 2] == Relabelling(-1, {})


def test_what_is_too_large_or_not_linear_is_not_compared() -> None:
    candidate = SearchSpace.paper().candidates(3, 2)[0]
    observables = [lower_observable(item, 3) for item in candidate.observables()]
    assert polynomial(candidate.program, observables, limit=3) is None
    assert polynomial(own(("rx", W[0] * W[1], 0)).program, observables) is None


def turned(*factors: float, observable: str = "IIZ") -> Candidate:
    return own(*(("ry", factor * X[0], 0) for factor in factors), observable=observable)


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ([1 / 3] * 3, [1.0], True),
        ([0.1, 0.2], [0.3], True),
        ([np.pi / 7] * 7, [np.pi], True),
        ([4e-10], [3e-10], False),
        ([4e-10], [0.0], False),
        ([1.0], [1 + 1e-10], False),
        ([1 / 3], [0.333333333], False),
        ([2**0.5], [1.414213562], False),
    ],
)
def test_frequencies_are_equal_but_for_roundings_alone(first: list[float], second: list[float], equal: bool) -> None:
    assert (compare([turned(*first), turned(*second)])[0, 1] is not None) == equal


def test_coefficients_that_differ_by_more_than_roundings_are_not_equal() -> None:
    """Running one of two such circuits in place of the other would be wrong by so much."""
    first, second = (own(("rx", 0.4 + shift, 0), ("ry", X[0], 0), ("cx", 0, 1), ("ry", X[1], 0)) for shift in (0.0, 1e-10))
    assert compare([first, second])[0, 1] is None
