"""The split circuit and its shift rules, against the original circuit and finite differences."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from qlstm_qiskit.circuits import GENERATORS, SplitCircuit, split
from qlstm_qiskit.circuits.shift import shift_rule
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact.factors import evaluate_tree
from tests.parity.circuits import random_candidate
from tests.speed import slow_but


def expectation(item: SplitCircuit, angles: np.ndarray, observable: SparsePauliOp) -> float:
    bound = item.circuit.assign_parameters(dict(zip(item.parameters, angles, strict=True)))
    return Statevector(bound).expectation_value(observable).real


def angles_at(item: SplitCircuit, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    def value(angle):
        if angle.tree is not None:
            return float(evaluate_tree(angle.tree, torch.tensor(x), torch.tensor(w)))
        return angle.offset + sum(x[i] * c for i, c in angle.inputs) + sum(w[i] * c for i, c in angle.weights)

    return np.array([value(angle) for angle in item.angles])


@pytest.mark.parametrize("seed", slow_but(range(3), range(12)))
def test_the_split_circuit_is_the_circuit_and_its_rules_are_derivatives(seed: int) -> None:
    candidate = random_candidate(seed)
    item = split(candidate.circuit, candidate.inputs, candidate.weights)
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=len(candidate.inputs)), rng.normal(size=len(candidate.weights))
    observable = SparsePauliOp.from_list(
        [("".join(rng.choice(list("IXYZ"), candidate.n_qubits)), value) for value in rng.normal(size=3)]
    )
    values = dict(zip((*candidate.inputs, *candidate.weights), (*x, *w), strict=True))
    original = Statevector(candidate.circuit.assign_parameters(values)).expectation_value(observable).real
    angles = angles_at(item, x, w)
    assert expectation(item, angles, observable) == pytest.approx(original, abs=1e-12)
    for column, rule in enumerate(item.rules):
        unit = np.eye(len(angles))[column]
        by_rule = sum(
            c * (expectation(item, angles + s * unit, observable) - expectation(item, angles - s * unit, observable))
            for s, c in rule
        )
        h = 1e-5
        by_difference = (
            expectation(item, angles + h * unit, observable) - expectation(item, angles - h * unit, observable)
        ) / (2 * h)
        assert by_rule == pytest.approx(by_difference, abs=1e-8)


def test_every_parameter_of_a_split_circuit_occurs_once() -> None:
    candidate = random_candidate(3)
    item = split(candidate.circuit, candidate.inputs, candidate.weights)
    used = [p for gate in item.circuit.data for value in gate.operation.params for p in getattr(value, "parameters", ())]
    assert sorted(p.name for p in used) == sorted(p.name for p in item.parameters)
    assert len(set(item.parameters)) == len(item.parameters)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_rule_has_a_pair_of_shifts_for_each_frequency(name: str) -> None:
    eigenvalues = {round(value) for value in np.linalg.eigvalsh(GENERATORS[name].matrix)}
    frequencies = {a - b for a in eigenvalues for b in eigenvalues if a > b}
    assert len(shift_rule(GENERATORS[name])) == len(frequencies)


def test_controlled_rotations_have_four_shifts_and_rotations_two() -> None:
    pairs = {name: len(shift_rule(GENERATORS[name])) for name in ("crx", "cry", "crz", "rx", "rzz", "p", "cp")}
    assert pairs == {"crx": 2, "cry": 2, "crz": 2, "rx": 1, "rzz": 1, "p": 1, "cp": 1}


def test_the_rule_of_a_pauli_rotation_is_the_textbooks() -> None:
    assert shift_rule(GENERATORS["ry"]) == ((pytest.approx(np.pi / 2), pytest.approx(0.5)),)


def test_a_parameter_in_neither_list_is_named() -> None:
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("stray"), 0)
    with pytest.raises(CircuitError, match="stray"):
        split(circuit, (), ())
