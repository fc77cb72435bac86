"""Lowering: what a circuit becomes, and what is refused by name."""

from importlib.metadata import version

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.library import Initialize, UnitaryGate
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary

from qlstm_qiskit.circuits import Angle, Fixed, Rotation, lower, lower_observable
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact.schedule import embed

X, W = ParameterVector("x", 2), ParameterVector("w", 2)


def angle_of(expression) -> Angle:
    circuit = QuantumCircuit(1)
    circuit.rx(expression, 0)
    (operation,) = lower(circuit, list(X), list(W)).operations
    assert isinstance(operation, Rotation)
    return operation.angle


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (X[1], Angle(0.0, ((1, 1.0),), ())),
        (2 * X[0], Angle(0.0, ((0, 2.0),), ())),
        (2 * X[0] - W[1] / 4 + 0.5, Angle(0.5, ((0, 2.0),), ((1, -0.25),))),
        (X[0] + X[0], Angle(0.0, ((0, 2.0),), ())),
        (X[0] - X[0] + W[0], Angle(0.0, (), ((0, 1.0),))),
        ((X[0] + 1) * 3, Angle(3.0, ((0, 3.0),), ())),
    ],
)
def test_linear_expressions_become_coefficients(expression, expected: Angle) -> None:
    assert angle_of(expression) == expected


def test_other_expressions_become_trees_that_know_their_parameters() -> None:
    product, of_weight = angle_of(X[0] * W[1]), angle_of(W[0].sin())
    assert product.depends_on_inputs
    assert product.depends_on_weights
    assert of_weight.depends_on_weights
    assert not of_weight.depends_on_inputs
    assert of_weight.tree == ("sin", ("w", 0))


def test_order_of_columns_is_the_callers_not_the_alphabets() -> None:
    b, a = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(a, 0)
    circuit.rx(b, 0)
    first, second = lower(circuit, [b, a], []).operations
    assert isinstance(first, Rotation)
    assert isinstance(second, Rotation)
    assert (first.angle.inputs, second.angle.inputs) == (((1, 1.0),), ((0, 1.0),))


def test_gates_without_effect_are_dropped() -> None:
    circuit = QuantumCircuit(2, global_phase=0.3)
    circuit.barrier()
    circuit.id(0)
    circuit.delay(10, 1)
    assert lower(circuit, [], []).operations == ()


def test_wide_numeric_gates_are_opened_or_taken_as_a_matrix() -> None:
    inner = QuantumCircuit(4, name="block")
    inner.h(range(4))
    circuit = QuantumCircuit(4)
    circuit.append(inner.to_gate(), range(4))
    circuit.append(UnitaryGate(random_unitary(8, seed=1)), [3, 1, 0])
    operations = lower(circuit, [], []).operations
    assert [operation.qubits for operation in operations] == [(0,), (1,), (2,), (3,), (3, 1, 0)]
    assert isinstance(operations[-1], Fixed)


@pytest.mark.parametrize("name", ["rx", "p", "u", "id", "barrier", "delay", "global_phase", "h", "cx"])
def test_a_users_gate_is_what_it_does_not_what_it_is_called(name: str) -> None:
    for angle in (0.3, W[0]):
        inner = QuantumCircuit(2, name=name)
        inner.ry(angle, 0)
        inner.cx(0, 1)
        circuit = QuantumCircuit(2)
        circuit.append(inner.to_gate(), [1, 0])
        bound = circuit.assign_parameters([0.3] * circuit.num_parameters)
        program = lower(bound, [], [])
        state = np.eye(4)[0]
        for operation in program.operations:
            assert isinstance(operation, Fixed)
            state = embed(operation.matrix, operation.qubits, 2) @ state
        assert Statevector(state).equiv(Statevector(bound))
        assert len(lower(circuit, [], list(circuit.parameters)).operations) >= 1


def measured() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.measure(1, 0)
    return circuit


def with_reset() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.reset(1)
    return circuit


def conditional() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.add_register(ClassicalRegister(1, "c"))
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def initialized() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.append(Initialize([0.6, 0.8]), [0])
    return circuit


def opaque() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.append(Gate("mystery", 1, [Parameter("p")]), [0])
    return circuit


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (measured, "'measure' on qubits [1]"),
        (with_reset, "'reset' on qubits [1]"),
        (conditional, "'if_else'"),
        (initialized, "'reset' on qubits [0]"),
        (opaque, "'mystery'"),
    ],
)
def test_unsupported_instructions_are_named(build, name: str) -> None:
    circuit = build()
    with pytest.raises(CircuitError) as caught:
        lower(circuit, list(circuit.parameters), [])
    assert name in str(caught.value)


def test_parameters_in_neither_list_are_named() -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("stray"), 0)
    with pytest.raises(CircuitError, match="parameters stray are neither inputs nor weights"):
        lower(circuit, [], [])


def test_complex_angle_is_refused() -> None:
    with pytest.raises(CircuitError, match="not a finite real number"):
        angle_of(1j * X[0])


@pytest.mark.skipif(version("qiskit").startswith("2.0"), reason="Qiskit 2.0 translates it")
def test_expressions_that_qiskit_cannot_translate_are_refused() -> None:
    with pytest.raises(CircuitError, match="rewrite it"):
        angle_of(2 ** X[0])


def test_observable_bits_and_errors() -> None:
    (term,) = lower_observable(SparsePauliOp(["XYZ"], [2.0]), 3)
    assert (term.x, term.z, term.coefficient) == (0b110, 0b011, 2.0)
    with pytest.raises(CircuitError, match="Hermitian"):
        lower_observable(SparsePauliOp(["Z"], [1j]), 1)
    with pytest.raises(CircuitError, match="acts on 2 qubits, its circuit on 3"):
        lower_observable(SparsePauliOp(["ZZ"]), 3)
    assert sum(t.coefficient for t in lower_observable(SparsePauliOp(["Z", "Z"], [1.0, 0.5]), 1)) == pytest.approx(1.5)
    assert np.isfinite(term.coefficient)
