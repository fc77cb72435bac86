"""Noise inside the exact interpreter: any channels, against a density matrix of Qiskit's; derivatives; what is refused."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from qiskit.quantum_info import PTM, DensityMatrix, Operator, random_quantum_channel, random_unitary

from qlstm_qiskit.circuits import Angle, Fixed, PauliTerm, Rotation
from qlstm_qiskit.circuits.gates import GENERATORS
from qlstm_qiskit.errors import CapacityError, CircuitError, OptionError, ShapeError
from qlstm_qiskit.exact import Channel, NoisyBank, NoisyProgram, memory

F64 = torch.float64
#: The outputs: letters of all kinds, a product of two bits, a sum, a constant.
OUTPUTS = (
    (PauliTerm(0, 0b001, 1.0),),
    (PauliTerm(0b100, 0b010, 0.5), PauliTerm(0b001, 0b001, -2.0), PauliTerm(0, 0, 0.3)),
    (PauliTerm(0b010, 0b110, 1.0),),
)


def channel(qubits: tuple[int, ...], seed: int) -> Channel:
    """A strong random channel that is not unital."""
    dimension = 2 ** len(qubits)
    weak = PTM(random_quantum_channel(dimension, dimension, rank=3, seed=seed)).data.real
    return Channel(qubits, 0.6 * np.eye(len(weak)) + 0.4 * weak)


def gate(qubits: tuple[int, ...], seed: int) -> Fixed:
    return Fixed(qubits, random_unitary(2 ** len(qubits), seed=seed).data)


def rotation(name: str, qubits: tuple[int, ...], angle: Angle) -> Rotation:
    return Rotation(qubits, GENERATORS[name], angle)


def program(seed: int = 0, coefficient: float = 1.0) -> NoisyProgram:
    """Three qubits: data in a gate of two, and behind weights; sums, expressions and offsets; noise behind every gate."""
    x, w = (lambda column, value=1.0: ((column, value),)), (lambda column, value=1.0: ((column, value),))
    operations: list[Fixed | Rotation | Channel] = [
        gate((0,), seed),
        channel((0,), seed + 1),
        rotation("ry", (0,), Angle(0.3, x(0))),
        channel((0,), seed + 2),
        rotation("rx", (1,), Angle(0.1, x(1, -2.0), w(0, coefficient))),
        channel((2, 0), seed + 3),
        gate((1, 2), seed + 4),
        rotation("p", (2,), Angle(tree=("sin", ("Mul", ("x", 0), ("x", 1))))),
        rotation("rzz", (2, 1), Angle(-0.4, (), ((0, 1.0), (1, 0.5)))),
        channel((1, 2), seed + 5),
        rotation("crx", (0, 2), Angle(0.2, (), w(1))),
        rotation("rz", (0,), Angle(tree=("Mul", ("w", 0), ("sin", ("w", 1))))),
        rotation("ry", (0,), Angle(0.7)),
        channel((0,), seed + 6),
    ]
    generator = np.random.default_rng(seed)
    wrong = generator.uniform(0.01, 0.2, (3, 2))
    readout = np.array([[[1 - a, b], [a, 1 - b]] for a, b in wrong])
    changes: dict[tuple[int, str], tuple[Fixed | Channel, ...]] = {}
    for qubit in range(3):
        hadamard = Fixed((qubit,), np.array([[1, 1], [1, -1]], dtype=complex) / np.sqrt(2))
        back = Fixed((qubit,), np.diag([1, -1j]))
        changes[qubit, "X"] = (hadamard, channel((qubit,), seed + 7))
        changes[qubit, "Y"] = (back, hadamard, channel((qubit,), seed + 8))
    return NoisyProgram(3, 2, 2, tuple(operations), readout, changes)


def value_of(angle: Angle, x: np.ndarray, w: np.ndarray) -> float:
    def walk(tree: Any) -> float:
        if not isinstance(tree, tuple):
            return float(tree)
        if tree[0] in "xw":
            return float((x if tree[0] == "x" else w)[tree[1]])
        parts = [walk(part) for part in tree[1:]]
        return float({"sin": np.sin, "Mul": lambda a, b: a * b}[tree[0]](*parts))

    if angle.tree is not None:
        return walk(angle.tree)
    return angle.offset + sum(v * x[c] for c, v in angle.inputs) + sum(v * w[c] for c, v in angle.weights)


def evolved(state: DensityMatrix, operations: Any, x: np.ndarray, w: np.ndarray) -> DensityMatrix:
    for item in operations:
        if isinstance(item, Channel):
            state = state.evolve(PTM(item.ptm), list(item.qubits))
        elif isinstance(item, Fixed):
            state = state.evolve(Operator(item.matrix), list(item.qubits))
        else:
            constant, cosine, sine = item.generator.parts()
            turn = item.generator.scale * value_of(item.angle, x, w)
            state = state.evolve(Operator(constant + np.cos(turn) * cosine + np.sin(turn) * sine), list(item.qubits))
    return state


def by_density_matrix(given: NoisyProgram, outputs: Any, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Each term measured by itself: changes of basis, then each bit read with its own error."""
    end = evolved(DensityMatrix.from_label("0" * given.n_qubits), given.operations, x, w)
    values = []
    for terms in outputs:
        total = 0.0
        for term in terms:
            state, measured = end, []
            for qubit in range(given.n_qubits):
                letter = "IXZY"[(term.x >> qubit & 1) + 2 * (term.z >> qubit & 1)]
                if letter in "XY":
                    state = evolved(state, given.changes[qubit, letter], x, w)
                if letter != "I":
                    measured.append(qubit)
            probabilities = state.probabilities(measured).reshape((2,) * len(measured)) if measured else np.array(1.0)
            for place, qubit in enumerate(reversed(measured)):  # the first axis is the last qubit
                seen = np.tensordot(given.readout[qubit], probabilities, axes=(1, place))
                probabilities = np.moveaxis(seen, 0, place)
            signs = np.array(1.0)
            for _ in measured:
                signs = np.multiply.outer(signs, np.array([1.0, -1.0]))
            total += term.coefficient * float((signs * probabilities).sum())
        values.append(total)
    return np.array(values)


def parameters(bank: NoisyBank, gates: int = 2, samples: int = 3, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((gates, sum(bank.n_weights)), (gates, bank.n_candidates), (samples, bank.n_inputs))
    return tuple(torch.randn(*size, dtype=F64, generator=generator) for size in sizes)


def two(sparse: bool = False) -> NoisyBank:
    """Candidates of one structure, which share a graph, and another one."""
    return NoisyBank([program(0), program(0, -0.5), program(20)], [OUTPUTS] * 3, sparse=sparse)


#: Whether the whole matrix of a form is held, or its numbers that can differ from 0.
BOTH = pytest.mark.parametrize("sparse", [False, True], ids=["whole", "sparse"])


@BOTH
def test_values_are_those_of_a_density_matrix(sparse: bool) -> None:
    bank = two(sparse)
    weights, mixing, inputs = parameters(bank)
    programs = (program(0), program(0, -0.5), program(20))
    assert len(bank.form._sections) == 2
    apart = bank.bind_apart(weights)(inputs)
    for s, x in enumerate(inputs.numpy()):
        for g in range(2):
            for c, given in enumerate(programs):
                expected = by_density_matrix(given, OUTPUTS, x, weights[g, 2 * c : 2 * c + 2].numpy())
                np.testing.assert_allclose(apart[s, g, c], expected, atol=1e-11)
    mixed = torch.einsum("bgck,gc->bgk", apart, mixing)
    torch.testing.assert_close(bank.bind(weights, mixing)(inputs), mixed, atol=1e-11, rtol=0)
    torch.testing.assert_close(bank.bind(weights, mixing).candidates(inputs), apart, atol=0, rtol=0)


MUTATIONS: dict[str, Callable[[NoisyProgram], NoisyProgram]] = {
    "a channel left out": lambda p: NoisyProgram(3, 2, 2, p.operations[:-1], p.readout, p.changes),
    "a channel transposed": lambda p: NoisyProgram(
        3, 2, 2, (p.operations[0], Channel((0,), _unital_part(p.operations[1])), *p.operations[2:]), p.readout, p.changes
    ),
    "qubits of a channel swapped": lambda p: NoisyProgram(
        3,
        2,
        2,
        tuple(Channel(o.qubits[::-1], o.ptm) if isinstance(o, Channel) else o for o in p.operations),
        p.readout,
        p.changes,
    ),
    "bits of readout swapped": lambda p: NoisyProgram(3, 2, 2, p.operations, p.readout[:, ::-1, ::-1], p.changes),
    "a change of basis without noise": lambda p: NoisyProgram(
        3, 2, 2, p.operations, p.readout, {key: own[:-1] for key, own in p.changes.items()}
    ),
}


def _unital_part(given: Any) -> np.ndarray:
    matrix = given.ptm.copy()
    matrix[1:, 0] = 0
    return np.asarray(matrix)


@pytest.mark.parametrize("name", MUTATIONS)
def test_other_noise_has_other_values(name: str) -> None:
    """What the comparison above rests on: it sees each part of the noise."""
    weights, _, inputs = parameters(NoisyBank([program()], [OUTPUTS]))
    right, wrong = (NoisyBank([own], [OUTPUTS]).bind(weights)(inputs) for own in (program(), MUTATIONS[name](program())))
    assert (right - wrong).abs().max() > 1e-3


@BOTH
def test_first_and_second_derivatives(sparse: bool) -> None:
    bank = NoisyBank([program(0), program(20)], [OUTPUTS[:2]] * 2, sparse=sparse)
    weights, mixing, inputs = (item.requires_grad_() for item in parameters(bank, gates=1, samples=1))

    def outputs(weights: torch.Tensor, mixing: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return bank.bind(weights, mixing)(inputs)

    assert torch.autograd.gradcheck(outputs, (weights, mixing, inputs))
    assert torch.autograd.gradgradcheck(outputs, (weights, mixing, inputs))
    assert torch.autograd.gradcheck(lambda w, x: bank.bind_apart(w)(x), (weights, inputs))


@BOTH
def test_plain_torch_says_the_same(sparse: bool) -> None:
    bank = two(sparse)
    weights, mixing, inputs = parameters(bank)
    slope = torch.func.jacrev(lambda w: bank.bind(w, mixing)(inputs).sum())(weights)
    weights.requires_grad_()
    bank.bind(weights, mixing)(inputs).sum().backward()
    torch.testing.assert_close(weights.grad, slope, atol=1e-11, rtol=0)


def test_a_bank_is_bound_once_without_gradients_and_copies_start_afresh() -> None:
    bank = two()
    weights, mixing, inputs = parameters(bank)
    with torch.no_grad():
        bound = bank.bind(weights, mixing, samples=3)
        assert bank.bind(weights.clone(), mixing.clone()) is bound
        assert bank.bind(weights + 1, mixing) is not bound
    for other in (copy.deepcopy(bank), pickle.loads(pickle.dumps(bank))):
        torch.testing.assert_close(other.bind(weights, mixing)(inputs), bank.bind(weights, mixing)(inputs), atol=0, rtol=0)
    single = bank.bind(weights.float(), mixing.float())(inputs.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), bank.bind(weights, mixing)(inputs), atol=1e-4, rtol=0)


def test_shapes_of_nothing_and_of_the_wrong_size() -> None:
    bank = two()
    weights, mixing, inputs = parameters(bank)
    assert bank.bind(weights, mixing)(inputs[:0]).shape == (0, 2, 3)
    assert bank.bind_apart(weights)(inputs[:0]).shape == (0, 2, 3, 3)
    assert bank.bind(weights, mixing).is_native
    assert bank.plan(weights) == "form"
    with pytest.raises(ShapeError, match="inputs have the shape"):
        bank.bind(weights, mixing)(inputs[:, :1])
    with pytest.raises(ShapeError, match="weights have the shape"):
        bank.bind(weights[:, 1:], mixing)
    with pytest.raises(OptionError, match="runs on the CPU; the angles are on meta"):
        bank.bind(weights.to("meta"), mixing)


@BOTH
def test_the_fourier_series_is_the_form(sparse: bool) -> None:
    bank = NoisyBank([program()], [OUTPUTS], sparse=sparse)
    weights, _, inputs = parameters(bank)
    series = bank.fourier(weights)
    assert series.angles == ("v0", "2 v1", "sin((v0 * v1))")
    x = inputs.numpy()
    angles = np.stack([x[:, 0], 2 * x[:, 1], np.sin(x[:, 0] * x[:, 1])], axis=1)
    np.testing.assert_allclose(series.evaluate(angles), bank.bind(weights)(inputs), atol=1e-12)


def rebuilt(*operations: Fixed | Rotation | Channel) -> NoisyProgram:
    return NoisyProgram(3, 2, 2, operations, program().readout, program().changes)


def test_what_is_refused() -> None:
    twice = rebuilt(
        rotation("ry", (0,), Angle(0.0, ((0, 1.0),))), gate((0, 1), 1), rotation("rx", (1,), Angle(0.0, ((0, -1.0),)))
    )
    product = rebuilt(rotation("ry", (0,), Angle(tree=("Mul", ("x", 0), ("w", 0)))))
    often = rebuilt(*(rotation("ry", (0,), Angle(0.0, ((0, 1.0),))) for _ in range(32)))
    for given, words in (
        (twice, "the same angle of the data twice"),
        (product, "multiplies data and weights"),
        (often, "a circuit has 32 rotations by data; at most 31"),
    ):
        with pytest.raises(CircuitError, match=f"{words}.*such as aer-noise-fez"):
            NoisyBank([given], [OUTPUTS])
    with pytest.raises(CircuitError, match="at least one candidate"):
        NoisyBank([], [])
    with pytest.raises(CircuitError, match=r"the same number of outputs; got \[2, 3\]"):
        NoisyBank([program(), program()], [OUTPUTS, OUTPUTS[:2]])
    with pytest.raises(CircuitError, match=r"shape \(4, 4\); expected \(16, 16\)"):
        Channel((0, 1), np.eye(4))
    with pytest.raises(CircuitError, match="keeps the trace"):
        Channel((0,), 0.5 * np.eye(4))


def test_data_that_is_read_twice_for_different_outputs_is_taken() -> None:
    """Only one way to an output may meet an angle twice."""
    given = rebuilt(
        rotation("ry", (0,), Angle(0.1, ((0, 1.0),))), channel((0,), 1), rotation("rx", (1,), Angle(0.0, ((0, -1.0),)))
    )
    outputs = ((PauliTerm(0, 0b001, 1.0),), (PauliTerm(0, 0b010, 1.0),))
    bank = NoisyBank([given], [outputs])
    x, w = np.array([0.4, 1.0]), np.zeros(2)
    found = bank.bind(torch.zeros(1, 2, dtype=F64))(torch.from_numpy(x)[None])[0, 0]
    np.testing.assert_allclose(found, by_density_matrix(given, outputs, x, w), atol=1e-12)


def test_a_sparse_matrix_holds_what_an_output_can_depend_on() -> None:
    """One output for each of eight qubits: they share no product but 1."""
    n_qubits = 8
    operations = [rotation("ry", (q,), Angle(0.0, ((q, 1.0),), ((q, 1.0),))) for q in range(n_qubits)]
    given = NoisyProgram(n_qubits, n_qubits, n_qubits, tuple(operations), np.tile(np.eye(2), (n_qubits, 1, 1)), {})
    outputs = [(PauliTerm(0, 1 << q, 1.0),) for q in range(n_qubits)]
    for sparse, size in ((True, 2 * n_qubits), (False, (2 * n_qubits + 1) * n_qubits)):
        bank = NoisyBank([given], [outputs], sparse=sparse)
        weights, _, inputs = parameters(bank)
        assert bank.form.n_slots == size
        expected = torch.cos(inputs[:, None] + weights[None])
        torch.testing.assert_close(bank.bind(weights)(inputs), expected, atol=1e-12, rtol=0)


@BOTH
def test_circuits_that_read_no_data(sparse: bool) -> None:
    """Noise leaves candidates that are blind: a bank may have no other ones."""
    given = rebuilt(rotation("ry", (0,), Angle(0.1, (), ((0, 1.0),))), channel((0,), 1))
    bank = NoisyBank([given, given], [OUTPUTS] * 2, sparse=sparse)
    weights, mixing, inputs = parameters(bank)
    expected = [by_density_matrix(given, OUTPUTS, inputs[0].numpy(), w) for w in weights[0].reshape(2, 2).numpy()]
    apart = bank.bind_apart(weights)(inputs)
    np.testing.assert_allclose(apart[:, 0], np.tile(expected, (len(inputs), 1, 1)), atol=1e-11)
    weights.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: bank.bind(w, mixing)(inputs), (weights,))
    inputs.requires_grad_()
    (by_inputs,) = torch.autograd.grad(bank.bind(weights, mixing)(inputs).sum(), inputs)
    assert not by_inputs.any()
    assert bank.fourier(weights.detach(), mixing).angles == ()


def test_angles_that_are_not_trained_are_turned_once() -> None:
    bank = two()
    weights, mixing, inputs = parameters(bank)
    for factor in (1.0, 2.0):
        trained = (factor * mixing).requires_grad_()
        values = bank.bind(weights, trained)(inputs)
        values.sum().backward()
        apart = bank.bind_apart(weights)(inputs)
        torch.testing.assert_close(values, torch.einsum("bgck,gc->bgk", apart, trained), atol=1e-11, rtol=0)
        torch.testing.assert_close(trained.grad, apart.sum(dim=(0, 3)), atol=1e-11, rtol=0)
    assert bank.form.frozen


def test_too_many_strings_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ALWAYS_FREE", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 20_000)
    with pytest.raises(CapacityError, match="with noise, for its Pauli strings, needs"):
        NoisyBank([program()], [OUTPUTS])
