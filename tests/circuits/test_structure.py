"""What is proven of circuits, against trying them out."""

import numpy as np
import pytest
import scipy.stats
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Structure, find_structure, lower_observable
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.circuits.brute import TOLERANCE, bank_values, look, look_at_all, outputs, spectrum
from tests.parity.circuits import random_candidate, random_structured_candidate
from tests.speed import slow_but

X, W = ParameterVector("x", 3), ParameterVector("w", 4)


def structure(candidate: Candidate, n_outputs: int | None = None, **options) -> Structure:
    observables = candidate.observables(n_outputs)
    return find_structure(candidate.program, [lower_observable(o, candidate.n_qubits) for o in observables], **options)


SIZES = [(n, depth) for n in range(2, 7) for depth in (1, 2, 3)]


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but([(2, 1), (3, 2)], SIZES))
def test_the_papers_space_as_it_is_seen_by_trying(n_qubits: int, depth: int) -> None:
    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    for candidate, seen in zip(candidates, look_at_all(candidates, n_qubits - 1), strict=True):
        found = structure(candidate, n_qubits - 1)
        assert (found.zero, found.inputs, found.weights) == (seen.zero, seen.inputs, seen.weights), candidate.name
        assert found.complete


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but([(2, 1), (2, 3), (3, 1)], SIZES))
def test_its_frequencies_are_those_of_a_fourier_transform(n_qubits: int, depth: int) -> None:
    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    for candidate, seen in zip(candidates, spectrum(candidates, n_qubits - 1), strict=True):
        assert set(structure(candidate, n_qubits - 1).frequencies) == seen, candidate.name


def test_the_oracle_is_qiskits_statevector() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 3)), rng.normal(size=(1, 6))
    candidates = SearchSpace.paper().candidates(3, 2)
    for candidate, values in zip(candidates, bank_values(candidates, 2, x, w)[0, 0], strict=True):
        np.testing.assert_allclose(values, outputs(candidate, x[0], w[0], 2), atol=1e-12)


@pytest.mark.parametrize(
    ("n_qubits", "depth", "blind", "inert", "zero"),
    slow_but([(4, 1, 15, 15, 7)], [(4, 1, 15, 15, 7), (4, 2, 14, 14, 6), (6, 5, 14, 14, 6)]),
)
def test_what_is_known_of_the_paper(n_qubits: int, depth: int, blind: int, inert: int, zero: int) -> None:
    candidates = SearchSpace.paper().candidates(n_qubits, depth)
    found = {candidate.name: structure(candidate, n_qubits - 1) for candidate in candidates}
    assert sum(item.is_blind for item in found.values()) == blind
    assert sum(not item.weights for item in found.values()) == inert
    assert sum(item.is_zero for item in found.values()) == zero
    assert all(item.is_blind for name, item in found.items() if name.startswith(("RZ|", "H-RX|")))
    assert all(not item.weights for name, item in found.items() if name.endswith("RZ"))
    always = {
        f"{encoding}|{e}-R{b}" for encoding, b in (("H-RZ", "Z"), ("H-RX", "Z"), ("H-RX", "X")) for e in ("linear", "cyclic")
    }
    assert always <= {name for name, item in found.items() if item.is_zero}


def circuit(*steps: tuple) -> QuantumCircuit:
    """Gates by name: ("rx", angle, qubit), ("cx", 0, 1)."""
    result = QuantumCircuit(3)
    for name, *arguments in steps:
        getattr(result, name)(*arguments)
    return result


def unitary(seed: int, *qubits: int) -> tuple:
    return ("unitary", scipy.stats.unitary_group.rvs(2 ** len(qubits), random_state=seed), list(qubits))


Z0, ZZ = SparsePauliOp("IIZ"), SparsePauliOp("IZZ")

NO: set = set()

#: Name -> steps, observable, inputs and weights that are alive, and frequencies of x[0]: none for what is zero.
OWN: dict[str, tuple] = {
    "two T are an S": (
        [("h", 0), ("t", 0), ("t", 0), ("ry", W[0], 0), ("rx", X[0], 0)], Z0, {0}, NO, {1}
    ),
    "one T is not": ([("h", 0), ("t", 0), ("ry", W[0], 0), ("rx", X[0], 0)], Z0, {0}, {0}, {1}),
    "T and its inverse": ([("h", 0), ("t", 0), ("rz", W[0], 0), ("tdg", 0), ("h", 0)], Z0, NO, {0}, {0}),
    "repeated data": ([("ry", X[0], 0), ("rx", W[0], 0), ("ry", X[0], 0)], Z0, {0}, {0}, {0, 2}),
    "repeated data that adds up": ([("ry", X[0], 0), ("ry", X[0], 0)], Z0, {0}, NO, {2}),
    "data that cancels": ([("ry", X[0], 0), ("ry", -X[0], 0), ("rx", W[0], 0)], Z0, NO, {0}, {0}),
    "scaled data": ([("ry", 0.3 * X[0], 0), ("ry", -0.1 * X[0], 0)], Z0, {0}, NO, {0.2}),
    "weights that cancel": ([("rx", X[0], 0), ("rx", W[0], 0), ("rx", -W[0], 0)], Z0, {0}, NO, {1}),
    "a diagonal": ([("rx", X[0], 0), ("cz", 0, 1), ("rz", W[0], 0), ("crz", W[1], 0, 1)], Z0, {0}, NO, {1}),
    "light cone": ([("ry", X[0], 0), ("ry", X[1], 1), ("ry", W[0], 2), ("cx", 1, 2)], Z0, {0}, NO, {1}),
    "a control that is off": ([("rx", X[0], 1), ("crx", W[0], 0, 1), ("cx", 1, 2)], ZZ, {0}, NO, {1}),
    "a controlled rotation": ([("h", 0), ("crx", X[0], 0, 1)], SparsePauliOp("IZI"), {0}, NO, {0, 1}),
    "half frequencies": ([("h", 0), ("crx", X[0], 0, 1)], SparsePauliOp("IIX"), {0}, NO, {0.5}),
    "terms that cancel": ([("ry", X[0], 0), ("cx", 0, 1)], SparsePauliOp(["IIZ", "IZI"], [1, -1]), NO, NO, NO),
    "equal terms that cancel": (
        [("ry", X[0], 0), ("cx", 0, 1), ("cx", 0, 2)], SparsePauliOp(["IZI", "ZII"], [1, -1]), NO, NO, NO
    ),
    "terms that cancel in part": (
        [("ry", X[0], 0), ("ry", W[0], 2), ("cx", 0, 1)], SparsePauliOp(["IIZ", "IZI", "ZII"], [1, -1, 1]), NO, {0}, {0}
    ),
    "terms that add to a constant": ([("ry", X[0], 0)], SparsePauliOp(["III", "IIZ", "IIZ"], [2, 1, -1]), NO, NO, {0}),
    "an operator that is zero": ([("ry", X[0], 0)], SparsePauliOp(["IIZ"], [0]), NO, NO, NO),
    "a unitary": ([("ry", X[0], 0), unitary(1, 0, 1), ("rx", W[0], 1)], Z0, {0}, NO, {0, 1}),
    "a unitary and its inverse": (
        [unitary(2, 0, 1), ("unitary", unitary(2, 0, 1)[1].conj().T, [0, 1]), ("ry", X[0], 0), ("rx", W[0], 1)],
        Z0, {0}, NO, {1},
    ),
    "a Toffoli gate": (
        [("ry", X[0], 0), ("ry", W[0], 1), ("ccx", 0, 1, 2)], SparsePauliOp("ZII"), {0}, {0}, {0, 1}
    ),
    "a Toffoli gate that never acts": ([("ry", X[0], 0), ("ccx", 0, 1, 2)], SparsePauliOp("ZII"), NO, NO, {0}),
    "a sum of parameters": ([("ry", X[0] + W[0], 0), ("ry", -W[0] + 0.3, 0)], Z0, {0}, NO, {1}),
    "a quarter turn": ([("rx", np.pi / 2, 0), ("rz", X[0], 0)], Z0, NO, NO, NO),
    "no weights, no data": ([("h", 0), ("cx", 0, 1)], ZZ, NO, NO, {0}),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_hidden_dead_parts_of_own_circuits(name: str) -> None:
    steps, observable, inputs, weights, frequencies = OWN[name]
    built = circuit(*steps)
    own = Candidate(name, built, tuple(X), tuple(p for p in W if p in built.parameters), (observable,))
    found, seen = structure(own), look(own)
    assert (found.inputs, found.weights, found.zero) == (inputs, weights, (not frequencies,))
    assert (found.inputs, found.weights, found.zero) == (seen.inputs, seen.weights, seen.zero)
    assert {vector[0] for vector in found.frequencies} == frequencies
    assert found.complete


def test_angles_that_are_not_linear() -> None:
    built = circuit(("ry", X[0] * W[0], 0), ("rz", W[1].sin(), 0), ("ry", W[2] ** 2, 1), ("ry", X[1], 2))
    own = Candidate("own", built, tuple(X), tuple(W)[:3])
    found = structure(own, 2)
    assert (found.inputs, found.weights) == ({0}, {0, 2})
    assert (found.complete, found.frequencies) == (False, None)
    same = circuit(("ry", W[0].sin() * 2, 0), ("ry", -2 * W[0].sin(), 0))
    assert not structure(Candidate("own", same, (), tuple(W)[:1])).weights


@pytest.mark.parametrize("seed", slow_but(range(10), range(60)))
def test_random_circuits_have_no_dead_part_that_is_alive_and_none_is_missed(seed: int) -> None:
    candidate = (random_candidate if seed % 2 else random_structured_candidate)(seed)
    found, seen = structure(candidate), look(candidate)
    for proven, real in ((found.inputs, seen.inputs), (found.weights, seen.weights)):
        assert proven >= real, "nothing called dead is alive"
        assert proven == real or not found.complete, "nothing alive is missed"
    assert all(real or not proven for proven, real in zip(found.zero, seen.zero, strict=True))
    assert found.zero == seen.zero or not found.complete


@pytest.mark.parametrize("seed", range(40))
def test_random_circuits_with_repeated_parameters_and_few_gates(seed: int) -> None:
    """Most of these have dead parts, many of them by cancellation."""
    rng, built = np.random.default_rng(seed), QuantumCircuit(3)
    parameters = [X[0], X[1], W[0], W[1], W[2]]
    for _ in range(9):
        kind = rng.random()
        if kind < 0.35:
            getattr(built, rng.choice(["h", "s", "t", "sx"]))(int(rng.integers(3)))
        elif kind < 0.55:
            getattr(built, rng.choice(["cx", "cz", "ch"]))(*map(int, rng.permutation(3)[:2]))
        else:
            angle = rng.choice([1, -1, 2]) * parameters[rng.integers(5)] + rng.choice([0, np.pi / 2])
            getattr(built, rng.choice(["rx", "ry", "rz"]))(angle, int(rng.integers(3)))
    observables = (SparsePauliOp("IIZ"), SparsePauliOp(["IZZ", "XIX"], [1, 0.5]))
    own = Candidate("own", built, tuple(X)[:2], tuple(p for p in W if p in built.parameters), observables)
    found, seen = structure(own), look(own)
    assert found.complete
    assert (found.zero, found.inputs, found.weights) == (seen.zero, seen.inputs, seen.weights)


@pytest.mark.parametrize("name", ["RY|linear-RY", "H-RZ|cyclic-RX", "H-RX|linear-RX"])
def test_beyond_the_limit_commutation_alone_decides(name: str) -> None:
    candidate = {c.name: c for c in SearchSpace.paper().candidates(4, 2)}[name]
    full, short = structure(candidate, 3), structure(candidate, 3, limit=1)
    assert short.complete, "every rotation has an angle of its own"
    assert (short.zero, short.inputs, short.weights) == (full.zero, full.inputs, full.weights)


def test_beyond_the_limit_repeated_angles_leave_it_open() -> None:
    built = circuit(("ry", X[0], 0), ("ry", -X[0], 0), ("rx", W[0], 0), ("rx", W[0], 1))
    short = structure(Candidate("own", built, tuple(X), tuple(W)[:1], (Z0,)), limit=1)
    assert (short.inputs, short.frequencies, short.complete) == ({0}, None, False)


def test_tolerance_is_far_below_what_is_alive() -> None:
    built = circuit(("ry", X[0], 0), ("rx", 1e-6, 0), ("rz", W[0], 0), ("rx", 1e-3, 0))
    own = Candidate("own", built, tuple(X), tuple(W)[:1], (Z0,))
    assert structure(own).weights == {0} == look(own).weights
    assert TOLERANCE < 1e-9


#: Factors that are used and undone: floats whose sums are no round numbers, and small ones that are no rounding errors.
FACTORS = (1 / 3, np.pi, np.sqrt(2), 0.1, 1e-3, 4e-10)


def turned(*factors: float) -> Candidate:
    """Rotations about Y by multiples of one input, read in X and Z: sin and cos of their sum."""
    circuit = QuantumCircuit(1)
    for factor in factors:
        circuit.ry(factor * X[0], 0)
    return Candidate("turned", circuit, (X[0],), (), (SparsePauliOp("X"), SparsePauliOp("Z")))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("times", [1, 2, 3, 7, 12])
def test_factors_that_are_used_and_undone_are_dead(factor: float, times: int) -> None:
    for undone in ([-factor] * times, [-factor * times]):
        found = structure(turned(*[factor] * times, *undone))
        assert found.zero == (True, False)
        assert not found.inputs
        assert found.frequencies == ((0.0,),)
    assert structure(turned(*[factor] * times, *[-factor] * times)).complete  # exact: nothing was rounded


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("left", [1e-3, 1e-6, 1e-10, 4e-10])
def test_what_is_left_beyond_roundings_is_alive(factor: float, left: float) -> None:
    found = structure(turned(factor, factor, -2 * factor + left))
    assert found.zero == (False, False)
    assert found.inputs == {0}
    assert found.frequencies[0][0] == pytest.approx(left, rel=1e-4)
    assert found.complete


def test_it_says_where_roundings_decide() -> None:
    assert structure(turned(0.5, 0.25, -0.75)).complete
    thirds = structure(turned(*[1 / 3] * 3, -1.0))  # three times the float 1/3 is a little below 1
    assert thirds.zero == (True, False)
    assert not thirds.complete


@pytest.mark.parametrize("seed", range(20))
def test_random_factors_as_they_are_seen_by_trying(seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(2)
    undone = []
    for _ in range(4):
        factor, column, axis = rng.choice(FACTORS[:4]), rng.integers(3), rng.choice(["rx", "ry", "rz", "rzz"])
        qubits = (0, 1) if axis == "rzz" else (int(rng.integers(2)),)
        getattr(circuit, axis)(factor * X[column], *qubits)
        undone.append((axis, -factor, column, qubits))
    for axis, factor, column, qubits in undone[:: -1 if rng.random() < 0.7 else 1]:
        getattr(circuit, axis)(factor * X[column], *qubits)
    candidate = Candidate("c", circuit, tuple(X), (), tuple(SparsePauliOp(text) for text in ("IX", "YI", "ZZ")))
    found, seen = structure(candidate), look(candidate, 3)
    assert (found.zero, found.inputs) == (seen.zero, seen.inputs)


def repeated(*steps: tuple[str, float], observable: str = "IIX") -> Candidate:
    """Rotations of one qubit by multiples of x[0], as `Candidate` without weights."""
    built = QuantumCircuit(3)
    for axis, factor in steps:
        getattr(built, f"r{axis}")(factor * X[0], 0)
    return Candidate("own", built, tuple(X)[:1], (), (SparsePauliOp(observable),))


THIRD, PI = 1 / 3, np.pi


@pytest.mark.parametrize(
    "steps",
    [
        [("y", THIRD)] * 3 + [("y", -1.0)],
        [("y", PI), ("y", PI), ("y", -np.nextafter(2 * PI, 0))],
        [("y", 0.1), ("y", 0.2), ("y", -0.3)],
        [("y", 0.1)] * 10 + [("y", -1.0)],
        [("x", 2**0.5 / 7)] * 7 + [("x", -(2**0.5))] + [("y", 1 / 7)] * 7 + [("y", -1.0)],
        [("y", 1e-9 / 3)] * 3 + [("y", -1e-9)],
    ],
)
def test_factors_that_cancel_but_for_roundings_are_not_called_alive_for_certain(steps: list[tuple[str, float]]) -> None:
    found = structure(repeated(*steps))
    assert look(repeated(*steps)).zero == found.zero == (True,)
    assert (found.inputs, found.frequencies, found.complete) == (frozenset(), (), False)


@pytest.mark.parametrize(
    "steps",
    [
        [("y", THIRD), ("x", 0.5), ("x", -0.5), ("y", -THIRD)],
        [("y", PI)] * 3 + [("y", -PI)] * 3,
        [("z", 2**0.5), ("y", 1e-7), ("y", -1e-7), ("z", -(2**0.5))],
    ],
)
def test_factors_that_cancel_exactly_leave_no_doubt(steps: list[tuple[str, float]]) -> None:
    found = structure(repeated(*steps))
    assert look(repeated(*steps)).zero == found.zero == (True,)
    assert found.complete


@pytest.mark.parametrize("factor", [4e-10, 1e-12, 1 - 1e-12, 1 + 3e-10])
def test_a_small_factor_is_alive(factor: float) -> None:
    found = structure(repeated(("y", factor)))
    assert (found.inputs, found.zero, found.complete) == ({0}, (False,), True)
    assert found.frequencies == ((pytest.approx(factor, rel=1e-11),),)
    both = structure(repeated(("y", 1.0), ("y", -factor))) if abs(factor - 1) < 1e-3 else found
    assert (both.inputs, both.complete) == ({0}, True)


@pytest.mark.parametrize(
    ("steps", "frequencies"),
    [
        ([("y", THIRD)] * 3, {1.0}),
        ([("y", 0.3), ("y", -0.1)], {0.2}),
        ([("y", 0.7)] * 10, {7.0}),
        ([("y", THIRD), ("z", 1.0), ("y", THIRD)], {0.0, 1.0, 0.333333333333, 0.666666666667, 1.33333333333, 1.66666666667}),
    ],
)
def test_frequencies_read_without_roundings(steps: list[tuple[str, float]], frequencies: set[float]) -> None:
    found = structure(repeated(*steps, observable="IIZ"))
    assert {vector[0] for vector in found.frequencies} <= frequencies
    assert max(vector[0] for vector in found.frequencies) <= max(frequencies)


FACTORS = [1.0, THIRD, PI, 2**0.5, 0.1, 1e-6, 1e-8, 1e-10]


@pytest.mark.parametrize("seed", range(60))
def test_random_factors_many_times_and_undone(seed: int) -> None:
    """Nothing called dead is alive, and nothing dead is called alive for certain."""
    rng, built = np.random.default_rng(seed), QuantumCircuit(3)
    parameters = [X[0], X[1], W[0]]
    steps = []
    for _ in range(int(rng.integers(2, 5))):
        axis, factor, parameter = rng.choice(list("xyz")), rng.choice(FACTORS), parameters[rng.integers(3)]
        steps += [(axis, factor / (n := int(rng.choice([1, 3, 7]))), parameter)] * n
    if rng.random() < 0.6:  # undone, in other portions
        whole: list[tuple] = []
        for axis, factor, parameter in reversed(steps):
            if whole and whole[-1][0] == axis and whole[-1][2] is parameter:
                whole[-1] = (axis, whole[-1][1] - factor, parameter)
            else:
                whole.append((axis, -factor, parameter))
        steps += whole
    for axis, factor, parameter in steps:
        getattr(built, f"r{axis}")(factor * parameter, 0)
    built.cx(0, 1)
    weights = tuple(p for p in W if p in built.parameters)
    observables = (SparsePauliOp("IIZ"), SparsePauliOp(["IZZ", "IXX"], [1, 0.5]), SparsePauliOp("IXX"))
    own = Candidate("own", built, tuple(X)[:2], weights, observables)
    found, seen = structure(own), look(own)
    # what is alive by tiny factors alone moves values by less than the oracle sees
    sizes = {p: max((abs(f) for _, f, q in steps if q is p), default=0.0) for p in parameters}
    for proven, real, listed in ((found.inputs, seen.inputs, X), (found.weights, seen.weights, weights)):
        assert proven >= real
        visible = {k for k in proven if sizes[listed[k]] > 1e-4}
        assert visible <= real or not found.complete
    assert all(real or not proven for proven, real in zip(found.zero, seen.zero, strict=True))


def test_effects_near_rounding_errors_leave_it_open() -> None:
    """A weight that moves the value by 1e-11 is not called dead, and not called alive for certain."""
    built = circuit(("rx", 1e-5, 0), ("rz", W[0], 0), ("rx", 1e-6, 0))
    found = structure(Candidate("own", built, (), tuple(W)[:1], (Z0,)))
    assert (found.weights, found.complete) == ({0}, False)
    assert look(Candidate("own", built, (), tuple(W)[:1], (SparsePauliOp("IIZ", [1e6]),))).weights == {0}
