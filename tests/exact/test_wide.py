"""Circuits wider than a machine word: the exact interpreter against peers that know nothing of Pauli strings in arrays.

Narrow light cones: Qiskit's statevector of the gates in the cone alone, and pauli-prop where it is installed. Wide ones:
Qiskit's `Pauli.evolve` for Clifford gates, and Aer's matrix product states, exact where there is little entanglement.
Gradients: parameter shift on the same peers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from qlstm_qiskit.circuits import cone, find_structure, lower_observable, polynomial
from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.exact import ExactBank, codes
from qlstm_qiskit.exact.pieces import STEP_LIMIT
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.space import Candidate, SearchSpace

F64 = torch.float64
TOLERANCE = 1e-10
#: Aer's matrix product states leave small singular values out, by more the longer the chain is.
BY_AER = 1e-8

Values = NDArray[np.float64]


def exact(candidate: Candidate, x: Values, w: Values, path: str = "auto") -> tuple[Values, Values, Values]:
    """Outputs, and the gradients of a weighted sum of them by inputs and weights."""
    inputs, weights = (torch.tensor(value[None], requires_grad=True) for value in (x, w))
    out = StatevectorBackend(path).bank([candidate]).bind(weights)(inputs)[0, 0]
    (out * torch.linspace(1, 2, len(out), dtype=F64)).sum().backward()
    return out.detach().numpy(), inputs.grad[0].numpy(), weights.grad[0].numpy()


def point(candidate: Candidate, seed: int) -> tuple[Values, Values]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-np.pi, np.pi, len(candidate.inputs)), rng.uniform(-np.pi, np.pi, len(candidate.weights))


def bound(candidate: Candidate, x: Values, w: Values) -> QuantumCircuit:
    values = dict(zip((*candidate.inputs, *candidate.weights), (*x, *w), strict=True))
    return candidate.circuit.assign_parameters({p: v for p, v in values.items() if p in candidate.circuit.parameters})


def by_cones(candidate: Candidate, x: Values, w: Values) -> Values:
    """Each output by a statevector of the gates that lie in its light cone."""
    circuit, values = bound(candidate, x, w), []
    for observable in candidate.observables():
        ((label, coefficient),) = observable.to_list()
        letters = {q: letter for q, letter in enumerate(label[::-1]) if letter != "I"}
        kept, seen = [], set(letters)
        for item in reversed(circuit.data):
            own = {circuit.find_bit(qubit).index for qubit in item.qubits}
            if own & seen:
                seen |= own
                kept.append((item.operation, [circuit.find_bit(qubit).index for qubit in item.qubits]))
        place = {qubit: k for k, qubit in enumerate(sorted(seen))}
        assert len(place) <= 12, "the cone is not narrow"
        small = QuantumCircuit(len(place))
        for operation, own in reversed(kept):
            small.append(operation, [place[qubit] for qubit in own])
        pauli = "".join(letters.get(qubit, "I") for qubit in sorted(seen, reverse=True))
        values.append(coefficient.real * Statevector(small).expectation_value(Pauli(pauli)).real)
    return np.array(values)


def by_products(candidate: Candidate, x: Values, w: Values) -> Values:
    """All outputs by Aer's matrix product states."""
    circuit = bound(candidate, x, w)
    for k, observable in enumerate(candidate.observables()):
        circuit.save_expectation_value(observable, range(candidate.n_qubits), label=str(k))
    data = AerSimulator(method="matrix_product_state").run(circuit).result().data()
    return np.array([data[str(k)] for k in range(len(candidate.observables()))])


def by_pauli_prop(candidate: Candidate, x: Values, w: Values) -> Values:
    """All outputs by Qiskit's Pauli propagation, without truncation."""
    peer = pytest.importorskip("pauli_prop.propagation")
    clifford, rotations = peer.evolve_through_cliffords(bound(candidate, x, w))
    gates, values = peer.circuit_to_rotation_gates(rotations), []
    for observable in candidate.observables():
        found, left_out = peer.propagate_through_rotation_gates(observable, gates, 1 << 16, 0.0, "h")
        assert left_out == 0
        strings = found.paulis.evolve(clifford, frame="h")
        signs = np.where(strings.phase == 2, -1, 1)
        values.append((found.coeffs.real * signs)[~strings.x.any(axis=1)].sum())
    return np.array(values)


def shifted(
    peer: Callable[[Candidate, Values, Values], Values],
    candidate: Candidate,
    x: Values,
    w: Values,
    of_inputs: bool,
    column: int,
) -> float:
    """The derivative of the weighted sum of outputs by one angle of a rotation, by parameter shift."""
    sides = []
    for sign in (1, -1):
        moved = (x if of_inputs else w).copy()
        moved[column] += sign * np.pi / 2
        sides.append(peer(candidate, *((moved, w) if of_inputs else (x, moved))))
    return float((sides[0] - sides[1]) @ np.linspace(1, 2, len(sides[0]))) / 2


def assert_as(
    peer: Callable[[Candidate, Values, Values], Values],
    candidate: Candidate,
    seed: int,
    columns: int,
    tolerance: float = TOLERANCE,
) -> None:
    """Values of all outputs, and derivatives by some inputs and weights."""
    x, w = point(candidate, seed)
    values, by_x, by_w = exact(candidate, x, w)
    np.testing.assert_allclose(values, peer(candidate, x, w), rtol=0, atol=tolerance)
    rng = np.random.default_rng(seed)
    for of_inputs, found in ((True, by_x), (False, by_w)):
        for column in rng.choice(len(found), min(columns, len(found)), replace=False):
            expected = shifted(peer, candidate, x, w, of_inputs, column)
            assert found[column] == pytest.approx(expected, rel=0, abs=tolerance * len(values))


@pytest.mark.parametrize(
    ("n", "depth", "block"),
    [
        (31, 2, "linear-RY"),
        (32, 2, "linear-RY"),
        (33, 2, "linear-RX"),
        (63, 1, "linear-RY"),
        (64, 1, "linear-RX"),
        pytest.param(65, 2, "linear-RY", marks=pytest.mark.slow),
        pytest.param(100, 3, "linear-RX", marks=pytest.mark.slow),
        pytest.param(156, 2, "linear-RY", marks=pytest.mark.slow),
    ],
)
def test_brickwork_as_statevectors_of_its_light_cones(n: int, depth: int, block: str) -> None:
    candidate = SearchSpace.product(["H-RY"], [block]).candidates(n, depth)[0]
    assert_as(by_cones, candidate, seed=n, columns=2)


@pytest.mark.parametrize(
    ("n", "depth", "block"),
    [(8, 2, "cyclic-RY"), (60, 1, "linear-RX"), pytest.param(156, 2, "linear-RY", marks=pytest.mark.slow)],
)
def test_circuits_as_pauli_prop_propagates_them(n: int, depth: int, block: str) -> None:
    candidate = SearchSpace.product(["H-RY"], [block]).candidates(n, depth)[0]
    assert_as(by_pauli_prop, candidate, seed=n, columns=2)


def chain(n: int) -> Candidate:
    """A chain of CNOTs before and behind a few rotations: output k sees qubits 0 to k, as few strings that are as wide."""
    x, w = ParameterVector("x", n), ParameterVector("w", n + 4)
    circuit = QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
    for qubit in range(n - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.rx(w[n], 1)
    circuit.rz(w[n + 1], n // 2)
    circuit.ry(w[n + 2], n - 2)
    circuit.rzz(w[n + 3], 0, n - 1)
    for qubit in range(n - 1):
        circuit.cx(qubit, qubit + 1)
    for qubit in range(n):
        circuit.ry(w[qubit], qubit)
    wide = SparsePauliOp([Pauli("Z" * n), Pauli("X" + "Z" * (n - 2) + "X")], [0.5, -1.5])
    single = [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n) for qubit in (0, 1, n // 2, n - 2, n - 1)]
    return Candidate("chain", circuit, tuple(x), tuple(w), (*single, wide) if n < 20 else tuple(single))


@pytest.mark.parametrize("n", [12, 31, 32, 33, 60, 64, 100, 156])
def test_chains_with_wide_cones_as_matrix_product_states(n: int) -> None:
    assert_as(by_products, chain(n), seed=n, columns=3, tolerance=BY_AER)


@pytest.mark.parametrize("n", [40, 63, 64, 156])
def test_clifford_circuits_as_qiskit_evolves_a_pauli(n: int) -> None:
    """One string for each output, as wide as the register; its value on a product state is a product of Bloch components."""
    rng = np.random.default_rng(n)
    x, clifford = ParameterVector("x", n), QuantumCircuit(n)
    for _ in range(3 * n):
        a, b = rng.choice(n, 2, replace=False).tolist()
        clifford.cx(a, b)
        getattr(clifford, ["h", "s", "sdg", "id"][rng.integers(4)])(a)
    circuit = QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
        circuit.rz(0.7 + 0.1 * qubit, qubit)
    candidate = Candidate("clifford", circuit.compose(clifford), tuple(x), (), None)
    angles = rng.uniform(-0.4, 0.4, n)
    values, by_x, _ = exact(candidate, angles, np.zeros(0))
    states = [QuantumCircuit(1) for _ in range(n)]
    for qubit, state in enumerate(states):
        state.ry(angles[qubit], 0)
        state.rz(0.7 + 0.1 * qubit, 0)
    bloch = [{p: Statevector(state).expectation_value(Pauli(p)).real for p in "XYZ"} for state in states]
    widths = []
    for k, value in enumerate(values):
        label = ["I"] * n
        label[n - 1 - k] = "Z"
        evolved = Pauli("".join(label)).evolve(clifford, frame="h")
        text = evolved.to_label().lstrip("-i")
        sign = -1 if evolved.phase == 2 else 1
        letters = [(n - 1 - place, letter) for place, letter in enumerate(text) if letter != "I"]
        assert value == pytest.approx(sign * math.prod(bloch[qubit][letter] for qubit, letter in letters), rel=1e-9, abs=1e-12)
        widths.append(len(letters))
    assert max(widths) > 20
    assert np.abs(by_x).max() > 0


def random_circuit(seed: int, n: int = 5) -> tuple[QuantumCircuit, list[Parameter], list[Parameter]]:
    rng = np.random.default_rng(seed)
    x, w = ParameterVector("x", n), ParameterVector("w", 8)
    circuit = QuantumCircuit(n)
    for qubit in range(n):
        circuit.h(qubit) if rng.integers(2) else None
        getattr(circuit, rng.choice(["rx", "ry", "rz"]))(x[qubit], qubit)
    for weight in w:
        for _ in range(2):
            a, b = rng.choice(n, 2, replace=False).tolist()
            getattr(circuit, rng.choice(["cx", "cz", "swap", "ecr"]))(a, b)
        a, b = rng.choice(n, 2, replace=False).tolist()
        kind = rng.choice(["rx", "ry", "rz", "rzz", "crx", "t"])
        if kind in ("rzz", "crx"):
            getattr(circuit, kind)(weight, a, b)
        else:
            getattr(circuit, "ry" if kind == "t" else kind)(weight, a)
            circuit.t(b)
    return circuit, list(x), list(w)


def scattered(small: Candidate, n: int, seed: int) -> tuple[Candidate, list[int]]:
    """The same circuit on far qubits of a wide register, and the places of its inputs there."""
    rng = np.random.default_rng(seed)
    wires = rng.permutation(n)[: small.n_qubits].tolist()
    x = ParameterVector("y", n)
    circuit = QuantumCircuit(n)
    own = small.circuit.assign_parameters({p: x[q] for p, q in zip(small.inputs, wires, strict=True)})
    for qubit in set(range(n)) - set(wires):
        circuit.rx(x[qubit], qubit)
    circuit.compose(own, wires, inplace=True)
    measured = tuple(SparsePauliOp.from_sparse_list([("Z", [wire], 1.0)], n) for wire in wires)
    return Candidate("scattered", circuit, tuple(x), small.weights, measured), wires


@pytest.mark.parametrize("seed", range(6))
def test_a_small_circuit_on_far_qubits_is_itself(seed: int) -> None:
    """Values, gradients, what is proven of it, and its polynomial; the small one takes states."""
    circuit, x, w = random_circuit(seed)
    small = Candidate("small", circuit, tuple(x), tuple(w))
    wide, wires = scattered(small, [32, 64, 65, 100, 156][seed % 5], seed)
    inputs, weights = point(wide, seed)
    found, expected = exact(wide, inputs, weights), exact(small, inputs[wires], weights, "states")
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(found[1][wires], expected[1], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(found[2], expected[2], rtol=0, atol=TOLERANCE)
    assert not np.delete(found[1], wires).any()
    proven = [find_structure(c.program, [lower_observable(o, c.n_qubits) for o in c.observables()]) for c in (wide, small)]
    assert [(p.zero, p.weights, p.complete) for p in proven[:1]] == [(p.zero, p.weights, p.complete) for p in proven[1:]]
    assert proven[0].inputs == {wires[column] for column in proven[1].inputs}
    written = [polynomial(c.program, [lower_observable(o, c.n_qubits) for o in c.observables()]) for c in (wide, small)]
    assert None not in written
    rows = [
        sorted((*own.given[k, columns], *own.factors[k], own.coefficients[k]) for k in range(len(own.given)))
        for own, columns in zip(written, ([0, *(1 + wire for wire in wires)], slice(None)), strict=True)
    ]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_pythons_integers_give_the_bits_of_machine_words(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit, x, w = random_circuit(seed)
    small = Candidate("small", circuit, tuple(x), tuple(w))
    terms = [lower_observable(observable, small.n_qubits) for observable in small.observables()]
    inputs, weights = point(small, seed)

    def everything() -> list[bytes]:
        written = polynomial(small.program, terms)
        assert written is not None
        form = ExactBank([small.program], [terms], "form").forms[0]
        arrays = (*exact(small, inputs, weights, "form"), written.coefficients, written.given, *form._steps, *form._entries)
        structure = find_structure(small.program, terms)
        shown = (structure.zero, sorted(structure.inputs), sorted(structure.weights), structure.frequencies, structure.complete)
        return [*(array.tobytes() for array in arrays), repr(shown).encode()]

    words = everything()
    monkeypatch.setattr(cone, "WORD_QUBITS", 0)
    monkeypatch.setattr(codes, "_WORD_DIGITS", 0)
    assert cone.light_cone(terms[0], []).integers([1]).dtype == object
    assert everything() == words


@pytest.mark.parametrize("seed", range(6))
def test_the_least_number_of_strings_is_reached(seed: int) -> None:
    """Counted one by one by Qiskit's Paulis: multiply by a rotation's string or not, wherever they do not commute."""
    rng = np.random.default_rng(seed)
    n = 6
    labels = ["".join(rng.choice(list("IXYZ"), n)) for _ in range(9)]
    start = "Z" * n

    def term(label: str) -> object:
        return lower_observable(SparsePauliOp(label), n)[0]

    reached = {start}
    for label in reversed(labels):
        for string in list(reached):
            if Pauli(string).anticommutes(Pauli(label)):
                reached.add((Pauli(label) @ Pauli(string)).to_label().lstrip("-i"))
    least = cone.least_strings([term(start)], [term(label) for label in labels])
    assert 1 < least <= len(reached)


def test_the_bound_is_met_by_commuting_rotations() -> None:
    rotations = [lower_observable(SparsePauliOp.from_sparse_list([("X", [q], 1.0)], 50), 50)[0] for q in range(50)]
    observable = lower_observable(SparsePauliOp("Z" * 50), 50)
    assert cone.least_strings(observable, rotations) == cone.least_strings(observable, [*rotations, *rotations]) == 2**50
    assert 2**20 < cone.least_strings(observable, rotations, 2**20) <= 2**50


@pytest.mark.parametrize(("block", "least"), [("cyclic-RX", 100), ("cyclic-RY", 80)])
def test_terms_that_explode_are_refused_with_their_number(block: str, least: int) -> None:
    space = SearchSpace.product(["H-RY"], [block, "linear-RY"])
    with pytest.raises(CapacityError) as refused:
        QLSTM(1, 5, n_qubits=100, depth=2, space=space)
    message = str(refused.value)
    assert f"the candidate H-RY|{block} are sums of at least 2^" in message
    assert "the linear entangler" in message
    assert int(message.split("2^", 1)[1].split(maxsplit=1)[0]) >= least
    assert "\n" not in message


@pytest.mark.parametrize(("n", "limit"), [(156, STEP_LIMIT), (40, 20_000)])
def test_random_circuits_with_deep_cones_are_refused(n: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a bound, and by counting where the bound does not say."""
    for module in ("pieces", "rotation_form"):
        monkeypatch.setattr(f"qlstm_qiskit.exact.{module}.STEP_LIMIT", limit)
    rng, layers = np.random.default_rng(0), 8
    x, w = ParameterVector("x", n), ParameterVector("w", n * layers)
    circuit = QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
    for layer in range(layers):
        order = rng.permutation(n).tolist()
        for a, b in zip(order[::2], order[1::2], strict=True):
            circuit.cx(a, b)
        for qubit in range(n):
            getattr(circuit, rng.choice(["rx", "ry", "rz"]))(w[layer * n + qubit], qubit)
    with pytest.raises(CapacityError, match=rf"candidate deep are sums of (at least 2\^\d+|more than {limit:,}) terms"):
        StatevectorBackend().bank([Candidate("deep", circuit, tuple(x), tuple(w))])


def test_products_that_explode_are_refused_with_their_number() -> None:
    """One string, whose letters are each a sum of cos and sin of the qubit's angle."""
    n = 60
    x, circuit = ParameterVector("x", n), QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
        circuit.ry(0.3, qubit)
    for qubit in range(n - 1):
        circuit.cx(qubit, qubit + 1)
    with pytest.raises(CapacityError, match="candidate many are sums of at least .*e.* products of the data, and 4,194,304"):
        StatevectorBackend().bank([Candidate("many", circuit, tuple(x), ())])


def test_what_has_no_form_is_refused_in_words() -> None:
    x = ParameterVector("x", 60)
    circuit = QuantumCircuit(60)
    for qubit in range(60):
        circuit.ry(x[qubit], qubit)
        circuit.ry(x[0], qubit)
    with pytest.raises(CapacityError, match="the candidate twice read data twice.*on 60 qubits"):
        StatevectorBackend().bank([Candidate("twice", circuit, tuple(x), ())])


def test_a_hybrid_layer_of_100_qubits_has_the_gradients_of_finite_differences() -> None:
    torch.manual_seed(0)
    layer = QLSTM(1, 3, n_qubits=100, depth=2, space=SearchSpace.handcrafted(1), angle_std=1.0, batch_first=True)
    series = torch.randn(4, 3, 1, dtype=F64)

    def loss() -> torch.Tensor:
        return layer(series)[0][:, -1].square().sum()

    loss().backward()
    generator = np.random.default_rng(0)
    for parameter in layer.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for place in generator.choice(len(flat), min(3, len(flat)), replace=False).tolist():
            start, sides = flat[place].item(), []
            for step in (1e-5, -1e-5):
                flat[place] = start + step
                with torch.no_grad():
                    sides.append(loss().item())
            flat[place] = start
            assert gradient[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-9)
    assert gradient.abs().max() > 0
