"""The Pauli-rotation form against the circuit's own statevector."""

import numpy as np
import pytest
import scipy.linalg
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Pauli as QiskitPauli
from qiskit.quantum_info import SparsePauliOp, Statevector

from qlstm_qiskit.circuits import GENERATORS, lower, lower_observable
from qlstm_qiskit.circuits.pauli import Pauli, multiply, pauli_form, rotation_parts, to_matrix

CLIFFORD = (["h", "s", "sdg", "sx", "x", "y", "z"], ["cx", "cy", "cz", "swap", "ecr", "iswap", "dcx"])


@pytest.mark.parametrize("seed", range(20))
def test_product_of_strings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (Pauli(int(rng.integers(8)), int(rng.integers(8)), int(rng.choice([-1, 1]))) for _ in range(2))
    power, c = multiply(a, b)
    np.testing.assert_allclose(to_matrix(a, 3) @ to_matrix(b, 3), 1j**power * to_matrix(c, 3), atol=1e-14)


def test_strings_are_qiskits() -> None:
    pauli = Pauli(x=0b011, z=0b110)  # X on 0, Y on 1, Z on 2
    np.testing.assert_allclose(to_matrix(pauli, 3), QiskitPauli("ZYX").to_matrix())


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_tabled_gate_is_a_product_of_pauli_rotations(name: str) -> None:
    generator = GENERATORS[name]
    parts = rotation_parts(generator)
    assert parts is not None
    n_qubits = len(generator.matrix).bit_length() - 1
    product = np.eye(len(generator.matrix), dtype=complex)
    for pauli, factor in parts:
        product = scipy.linalg.expm(-0.5j * factor * 0.7 * to_matrix(pauli, n_qubits)) @ product
    expected = scipy.linalg.expm(-1j * generator.scale * 0.7 * generator.matrix)
    phase = np.vdot(product, expected) / abs(np.vdot(product, expected))
    np.testing.assert_allclose(product * phase, expected, atol=1e-13)


@pytest.mark.parametrize("seed", range(40))
def test_form_keeps_expectation_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_qubits = int(rng.integers(1, 4))
    circuit, w = QuantumCircuit(n_qubits), Parameter("w")
    for _ in range(14):
        wires = [int(q) for q in rng.permutation(n_qubits)]
        kind = rng.random()
        if kind < 0.3 or n_qubits == 1:
            getattr(circuit, rng.choice([*CLIFFORD[0], "t", "tdg"]))(wires[0])
        elif kind < 0.55:
            getattr(circuit, rng.choice(CLIFFORD[1]))(*wires[:2])
        elif kind < 0.7:
            circuit.u(*rng.normal(size=3), wires[0])
        elif kind < 0.85:
            getattr(circuit, rng.choice(["crx", "cry", "crz", "rxx", "rzz", "rzx", "cp"]))(w / 2, *wires[:2])
        else:
            getattr(circuit, rng.choice(["rx", "ry", "rz", "p"]))(w + 0.3, wires[0])
    observable = SparsePauliOp(["".join(rng.choice(list("IXYZ"), n_qubits)) for _ in range(2)], [0.7, -0.4])
    program = lower(circuit, [], list(circuit.parameters))
    form = pauli_form(program.operations, [lower_observable(observable, n_qubits)], n_qubits)
    assert form is not None
    value = float(rng.normal())
    state = np.eye(2**n_qubits)[0].astype(complex)
    for rotation in form.rotations:
        angle = rotation.angle.offset + sum(c * value for _, c in rotation.angle.weights)
        state = scipy.linalg.expm(-0.5j * angle * to_matrix(Pauli(rotation.x, rotation.z), n_qubits)) @ state
    own = sum(t.coefficient * (state.conj() @ to_matrix(Pauli(t.x, t.z), n_qubits) @ state).real for t in form.outputs[0])
    bound = circuit.assign_parameters([value] * circuit.num_parameters)
    assert own == pytest.approx(Statevector(bound).expectation_value(observable).real, abs=1e-12)


def test_clifford_gates_leave_no_rotation() -> None:
    rng = np.random.default_rng(0)
    circuit = QuantumCircuit(3)
    for _ in range(40):
        wires = [int(q) for q in rng.permutation(3)]
        getattr(circuit, rng.choice(CLIFFORD[0]))(wires[0])
        getattr(circuit, rng.choice(CLIFFORD[1]))(*wires[:2])
    form = pauli_form(lower(circuit, [], []).operations, [], 3)
    assert form is not None
    assert form.rotations == ()


def test_numeric_gates_of_several_qubits_that_are_not_clifford_have_no_form() -> None:
    circuit = QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    assert pauli_form(lower(circuit, [], []).operations, [], 3) is None
