"""The exact interpreter against stock EstimatorQNN: values and all gradients, and proof that the comparison can fail."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import efficient_su2, zz_feature_map
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import GENERATORS, Fixed, Generator, Program, lower, program
from qlstm_qiskit.circuits.gates import LIBRARY
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware import load_backend
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.circuits import random_candidate, random_structured_candidate
from tests.parity.oracle import assert_parity, stock_qnn
from tests.speed import slow_but

PATHS = ("states", "form")
GRID = [(n_qubits, depth) for n_qubits in range(2, 7) for depth in (1, 2)]


@pytest.mark.grid
@pytest.mark.parametrize(("n_qubits", "depth"), GRID)
def test_paper_space_full_grid(n_qubits: int, depth: int) -> None:
    assert_parity(list(SearchSpace.paper().candidates(n_qubits, depth)), seed=n_qubits * 10 + depth, samples=1, paths=PATHS)


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but([(2, 1)], [(2, 1), (3, 2), (4, 1)]))
def test_paper_space(n_qubits: int, depth: int) -> None:
    assert_parity(list(SearchSpace.paper().candidates(n_qubits, depth)), seed=1, samples=1, paths=PATHS)


@pytest.mark.parametrize("offset", slow_but([2], range(6)))
def test_paper_space_covering_sample_of_wide_circuits(offset: int) -> None:
    """Each encoding and each block once at 5 and 6 qubits, depth 2: a Latin square's diagonal."""
    n_qubits = 5 + offset % 2
    candidates = SearchSpace.paper().candidates(n_qubits, 2)
    assert_parity([candidates[6 * offset + (offset + 2) % 6]], seed=offset, samples=2, paths=PATHS)


@pytest.mark.parametrize("seed", slow_but([1, 3], range(50)))
def test_random_circuits(seed: int) -> None:
    """Most of them read an input twice and are pushed as states; what has a form takes it."""
    assert_parity([random_candidate(seed)], seed=seed)


@pytest.mark.parametrize("seed", slow_but([1, 3], range(40)))
def test_random_circuits_with_structure(seed: int) -> None:
    assert_parity([random_structured_candidate(seed)], seed=seed, paths=["form"])


@pytest.mark.parametrize("seed", slow_but([1], range(10)))
def test_random_circuits_that_just_miss_it(seed: int) -> None:
    """One input more, at the end: the detector must say no."""
    candidate = random_structured_candidate(seed)
    circuit = candidate.circuit.copy()
    circuit.rx(candidate.inputs[0], 0)
    missed = Candidate("missed", circuit, candidate.inputs, candidate.weights)
    with pytest.raises(CircuitError, match="no multilinear form"):
        assert_parity([missed], seed=seed, paths=["form"])
    assert_parity([missed], seed=seed)


@pytest.mark.slow
def test_random_circuits_of_many_structures_in_one_bank() -> None:
    candidates = [c for c in map(random_candidate, range(100, 130)) if c.n_qubits == 3][:6]
    assert len(candidates) == 6
    assert_parity(candidates, seed=7)


def test_library_circuits() -> None:
    """Qiskit's own feature map (a nonlinear expression) and ansatz, nested as gates."""
    feature_map, ansatz = zz_feature_map(3, reps=2), efficient_su2(3, reps=1)
    circuit = QuantumCircuit(3, name="zz+su2")
    circuit.append(feature_map.to_gate(), range(3))
    circuit.barrier()
    circuit.append(ansatz.to_gate(), range(3))
    assert_parity(list(SearchSpace.from_circuits([circuit]).candidates()), seed=3)


def test_general_observables() -> None:
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(2 * x[0], 0)
    circuit.rx(x[1], 1)
    circuit.crx(w[0], 0, 1)
    circuit.rz(x[0] + w[1], 1)
    measured = (SparsePauliOp(["XY", "ZI"], [0.7, -1.3]), SparsePauliOp(["YY", "II", "ZX"], [1.0, 0.5, 2.0]))
    assert_parity([Candidate("mixed", circuit, tuple(x), tuple(w), measured)], seed=4)


def test_gates_candidates_and_samples_keep_their_places() -> None:
    """Equal numbers of gates, samples and candidates, of several structures: an exchanged axis would fit in shape."""
    candidates = [c for c in map(random_candidate, range(100, 130)) if c.n_qubits == 3][:3]
    bank = load_backend().bank(candidates, 2)
    rng = np.random.default_rng(0)
    inputs, weights, mixing = rng.normal(size=(3, 2)), rng.normal(size=(3, 9)), rng.normal(size=(3, 3))
    bound = bank.bind(torch.tensor(weights), torch.tensor(mixing))
    each, mixed = bound.candidates(torch.tensor(inputs)).numpy(), bound(torch.tensor(inputs)).numpy()
    for g in range(3):
        total = np.zeros((3, 2))
        for c, candidate in enumerate(candidates):
            values = stock_qnn(candidate, StatevectorEstimator(), 2).forward(inputs, weights[g, 3 * c : 3 * c + 3])
            np.testing.assert_allclose(each[:, g, c], values, rtol=0, atol=1e-9)
            total += mixing[g, c] * values
        np.testing.assert_allclose(mixed[:, g], total, rtol=0, atol=1e-9)


def test_an_input_that_no_gate_uses() -> None:
    x, w = ParameterVector("x", 3), ParameterVector("w", 1)
    circuit = QuantumCircuit(2)
    circuit.ry(x[1], 0)
    circuit.rx(w[0], 1)
    circuit.cx(0, 1)
    assert_parity([Candidate("sparse", circuit, tuple(x), tuple(w))], seed=6)


def test_a_surplus_input_at_the_end() -> None:
    x, w = ParameterVector("x", 4), ParameterVector("w", 2)
    for n_qubits in (2, 3):
        circuit = QuantumCircuit(n_qubits)
        for qubit in range(n_qubits):
            circuit.ry(x[qubit], qubit)
        circuit.cx(0, 1)
        circuit.rx(w[0], 1)
        circuit.ry(w[1], 0)
        assert_parity([Candidate("surplus", circuit, tuple(x), tuple(w))], seed=8, paths=PATHS)


def probe(gate: str) -> Candidate:
    """One parameterised gate between generic rotations: nothing about it is hidden by a symmetry."""
    x, w = ParameterVector("x", 1), ParameterVector("w", 1)
    circuit = QuantumCircuit(2)
    for angle in (0.4, 0.9):
        circuit.u(angle, 1.1, -0.7, 0)
        circuit.u(-2 * angle, 0.3, 0.8, 1)
        circuit.cx(0, 1)
    circuit.append(LIBRARY[gate](x[0] + w[0] / 2), range(GENERATORS[gate].matrix.shape[0] // 2))
    circuit.cx(1, 0)
    circuit.u(1.3, 0.2, 0.5, 0)
    circuit.u(0.6, 0.9, -0.4, 1)
    return Candidate(gate, circuit, tuple(x), tuple(w))


class TestFaultsAreSeen:
    """Each fault below must turn the comparison red."""

    def red(self, candidate: Candidate) -> None:
        for path in ("auto", "states"):
            with pytest.raises(AssertionError, match="Not equal to tolerance"):
                assert_parity([candidate], seed=5, paths=[path])

    def paper(self) -> Candidate:
        return SearchSpace.paper().candidates(3, 2)[SearchSpace.paper().names.index("H-RY|cyclic-RX")]

    @pytest.mark.parametrize("gate", sorted(set(GENERATORS) - {"u1", "cu1"}))
    @pytest.mark.parametrize(("sign", "scale"), slow_but([(-1, 1)], [(-1, 1), (1, 2)]))
    def test_mutated_gate(self, monkeypatch: pytest.MonkeyPatch, gate: str, sign: int, scale: int) -> None:
        right = GENERATORS[gate]
        assert_parity([probe(gate)], seed=5)
        monkeypatch.setitem(GENERATORS, gate, Generator(sign * right.matrix, scale * right.scale))
        self.red(probe(gate))

    def test_swapped_cnot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        swap = np.eye(4)[[0, 2, 1, 3]]
        plain = program._numeric_matrix

        def swapped(gate):
            matrix = plain(gate)
            return swap @ matrix @ swap if gate.name == "cx" else matrix

        monkeypatch.setattr(program, "_numeric_matrix", swapped)
        self.red(self.paper())

    @pytest.mark.parametrize("kind", slow_but(["inputs"], ["inputs", "weights"]))
    def test_swapped_parameters(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        def mislowered(candidate: Candidate) -> Program:
            inputs, weights = list(candidate.inputs), list(candidate.weights)
            chosen = inputs if kind == "inputs" else weights
            chosen[0], chosen[1] = chosen[1], chosen[0]
            return lower(candidate.circuit, inputs, weights)

        monkeypatch.setattr(Candidate, "program", property(mislowered))
        self.red(self.paper())

    def test_lost_gate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def shortened(candidate: Candidate) -> Program:
            full = lower(candidate.circuit, candidate.inputs, candidate.weights)
            index = next(i for i, operation in enumerate(full.operations) if isinstance(operation, Fixed))
            return Program(full.n_qubits, full.n_inputs, full.n_weights, full.operations[:index] + full.operations[index + 1 :])

        monkeypatch.setattr(Candidate, "program", property(shortened))
        self.red(self.paper())
