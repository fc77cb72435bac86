"""Blocks, candidates, pools."""

import copy
import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.space import (
    BLOCKS,
    ENCODINGS,
    Candidate,
    SearchSpace,
    angle_encoding,
    cyclic_entangler,
    linear_entangler,
    rotation_layer,
    variational_block,
)


def gates(circuit: QuantumCircuit) -> list[tuple[str, tuple[int, ...]]]:
    return [(i.operation.name, tuple(circuit.find_bit(q).index for q in i.qubits)) for i in circuit.data]


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (linear_entangler(5), [(0, 1), (2, 3), (1, 2), (3, 4)]),
        (linear_entangler(4), [(0, 1), (2, 3), (1, 2)]),
        (cyclic_entangler(3), [(0, 1), (1, 2), (2, 0)]),
        (cyclic_entangler(2), [(0, 1), (1, 0)]),
        (cyclic_entangler(1), []),
    ],
)
def test_entanglers(circuit: QuantumCircuit, expected: list[tuple[int, int]]) -> None:
    assert gates(circuit) == [("cx", pair) for pair in expected]


def test_encoding_puts_value_i_on_qubit_i() -> None:
    circuit = angle_encoding(3, "X", hadamard=True)
    assert gates(circuit)[:3] == [("h", (q,)) for q in range(3)]
    assert gates(circuit)[3:] == [("rx", (q,)) for q in range(3)]
    assert [p.name for p in circuit.parameters] == ["x[0]", "x[1]", "x[2]"]


def test_block_is_entangler_then_rotations() -> None:
    assert gates(variational_block(2, "linear", "Z")) == [("cx", (0, 1)), ("rz", (0,)), ("rz", (1,))]
    assert gates(rotation_layer(1, "Y")) == [("ry", (0,))]


def test_the_papers_space() -> None:
    space = SearchSpace.paper()
    names = [candidate.name for candidate in space.candidates(n_qubits=6, depth=2)]
    assert len(space) == len(set(names)) == 36
    assert names[0] == "H-RY|linear-RY"
    assert tuple(names) == space.names
    assert set(names) == {f"{h}R{a}|{e}-R{b}" for h in ("H-", "") for a in "XYZ" for e in ("linear", "cyclic") for b in "XYZ"}


def test_a_space_is_printed_in_one_line() -> None:
    assert repr(SearchSpace.paper()) == "SearchSpace(36 candidates: H-RY|linear-RY, H-RY|linear-RZ, ..., RX|cyclic-RX)"
    assert repr(SearchSpace.handcrafted(1)) == "SearchSpace(1 candidate: H-RY|linear-RY)"


def test_weights_run_layer_by_layer_qubit_by_qubit() -> None:
    candidate = SearchSpace.paper().candidates(12, 2)[0]  # w[10] sorts before w[2] by name
    rotations = [
        item.operation.params[0]
        for item in candidate.circuit.data
        if item.operation.name == "ry" and item.operation.params[0] in candidate.weights
    ]
    assert rotations == list(candidate.weights)
    assert [parameter.name for parameter in candidate.weights] == [f"w[{i}]" for i in range(24)]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "H-RY|linear-RY"),
        (2, "H-RZ|linear-RY"),
        (3, "H-RZ|linear-RZ"),
        (4, "H-RY|linear-RZ"),
        (5, "H-RX|linear-RZ"),
        (6, "H-RX|linear-RY"),
    ],
)
def test_handcrafted(number: int, name: str) -> None:
    assert SearchSpace.handcrafted(number).names == (name,)


@pytest.mark.parametrize("number", [3, 5, 6])
def test_handcrafted_3_5_and_6_are_constant(number: int) -> None:
    """PAPER: they tie in Table II because their outputs do not depend on the input."""
    (candidate,) = SearchSpace.handcrafted(number).candidates(4, 2)
    rng = np.random.default_rng(number)
    theta = dict(zip(candidate.weights, rng.normal(size=8), strict=True))
    values = []
    for _ in range(3):
        bound = candidate.circuit.assign_parameters(theta | dict(zip(candidate.inputs, rng.normal(size=4), strict=True)))
        values.append([Statevector(bound).expectation_value(o).real for o in candidate.observables()])
    np.testing.assert_allclose(values, np.broadcast_to(values[0], (3, 4)), atol=1e-12)


def test_product_of_own_choices() -> None:
    def dense(n_qubits: int) -> QuantumCircuit:
        angles = ParameterVector("a", 2 * n_qubits)
        circuit = QuantumCircuit(n_qubits)
        for qubit in range(n_qubits):
            circuit.rz(angles[2 * qubit], qubit)
            circuit.ry(angles[2 * qubit + 1], qubit)
        return circuit

    space = SearchSpace.product(["RY", "H-RZ"], {"dense": dense, "linear-RX": BLOCKS["linear-RX"]})
    candidates = space.candidates(2, 3)
    assert space.names == ("RY|dense", "RY|linear-RX", "H-RZ|dense", "H-RZ|linear-RX")
    assert [len(candidate.weights) for candidate in candidates] == [12, 6, 12, 6]


def test_own_circuits_with_reuploading() -> None:
    x = ParameterVector("x", 3)
    circuit = QuantumCircuit(3, name="mine")
    for qubit in range(3):
        circuit.ry(2 * x[qubit], qubit)
    circuit.cz(0, 1)
    circuit.rx(x[0] + 0.5, 2)
    circuit.rz(Parameter("theta"), 1)
    (candidate,) = SearchSpace.from_circuits([circuit]).candidates()
    assert candidate.name == "mine"
    assert candidate.inputs == tuple(x)
    assert [p.name for p in candidate.weights] == ["theta"]


def test_an_unused_element_of_the_input_vector_still_has_its_column() -> None:
    x = ParameterVector("x", 3)
    circuit = QuantumCircuit(2)
    circuit.ry(x[2], 0)
    (candidate,) = SearchSpace.from_circuits([circuit]).candidates()
    assert len(candidate.inputs) == 3


def test_inputs_may_be_named_or_listed() -> None:
    data, theta = Parameter("data"), Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.ry(data, 0)
    circuit.rz(theta, 0)
    for inputs in ("data", [data]):
        (candidate,) = SearchSpace.from_circuits([circuit], inputs=inputs).candidates()
        assert (candidate.inputs, candidate.weights) == ((data,), (theta,))
    with pytest.raises(CircuitError, match=r"no parameter or ParameterVector 'x'.*found: data, theta"):
        SearchSpace.from_circuits([circuit])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SearchSpace.handcrafted(7), "no handcrafted circuit 7"),
        (lambda: SearchSpace.product(["RW"], ["linear-RY"]), "unknown encoding 'RW'"),
        (lambda: SearchSpace.product(["RY"], ["linear-RYY"]), "Did you mean 'linear-RY'"),
        (lambda: SearchSpace.product([], ["linear-RY"]), "at least one"),
        (lambda: SearchSpace.product("RY", ["linear-RY"]), "give a list"),
        (lambda: SearchSpace.paper().candidates(), "n_qubits is None"),
        (lambda: SearchSpace.paper().candidates(0, 1), "n_qubits is 0"),
        (lambda: SearchSpace.paper().candidates(3, 0), "depth is 0"),
        (lambda: angle_encoding(2, "W"), "unknown rotation axis"),
        (lambda: variational_block(2, "ring", "X"), "unknown entangler"),
    ],
)
def test_wrong_choices(make, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_given_circuits_fix_qubits_and_depth() -> None:
    space = SearchSpace.from_circuits([angle_encoding(3, "Y")])
    assert space.n_qubits == 3
    with pytest.raises(OptionError, match="depth=2 has no meaning"):
        space.candidates(3, 2)
    with pytest.raises(OptionError, match="n_qubits=4 does not fit"):
        space.candidates(4)
    with pytest.raises(CircuitError, match="same number of qubits"):
        SearchSpace.from_circuits([angle_encoding(3, "Y"), angle_encoding(2, "Y")])
    with pytest.raises(CircuitError, match="at least one circuit"):
        SearchSpace.from_circuits([])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SearchSpace.from_circuits(angle_encoding(2, "Y")), "give a list"),
        (lambda: SearchSpace.from_circuits(["a"]), "a circuit is a str"),
        (lambda: SearchSpace.from_circuits([angle_encoding(2, "Y")], observables=[3]), "an observable is a int"),
        (lambda: SearchSpace.from_circuits([angle_encoding(2, "Y")], inputs=["x[0]"]), "'x\\[0\\]' is not a parameter"),
        (lambda: SearchSpace.from_circuits([angle_encoding(2, "Y")], inputs=[Parameter("x[0]")]), "is not a parameter"),
        (lambda: Candidate("c", angle_encoding(1, "Y"), ("x[0]",), ()), "not names"),
    ],
)
def test_wrong_circuits(make, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one candidate"):
        SearchSpace()


def test_circuits_without_a_name_are_numbered() -> None:
    x = ParameterVector("x", 2)
    circuits = []
    for _ in range(2):
        circuit = QuantumCircuit(2)
        circuit.ry(x[0], 0)
        circuits.append(circuit)
    assert SearchSpace.from_circuits(circuits).names == ("circuit-0", "circuit-1")


class TestCandidate:
    def test_keeps_a_copy_of_the_circuit(self) -> None:
        circuit = angle_encoding(1, "Y")
        candidate = Candidate("c", circuit, tuple(circuit.parameters), ())
        circuit.x(0)
        assert len(candidate.circuit.data) == 1

    def test_errors(self) -> None:
        a, b = Parameter("a"), Parameter("b")
        circuit = QuantumCircuit(1)
        circuit.rx(a, 0)
        for inputs, weights, message in (
            ((), (), "neither inputs nor weights"),
            ((a,), (a,), "more than once"),
            ((a,), (b,), "its circuit does not use"),
        ):
            with pytest.raises(CircuitError, match=message):
                Candidate("c", circuit, inputs, weights)

    def test_observables(self) -> None:
        candidate = SearchSpace.paper().candidates(3, 1)[0]
        assert [o.to_list() for o in candidate.observables(2)] == [[("IIZ", 1)], [("IZI", 1)]]
        with pytest.raises(CircuitError, match="has 3 outputs; 4 were asked for"):
            candidate.observables(4)
        own = Candidate("c", candidate.circuit, candidate.inputs, candidate.weights, (SparsePauliOp("XXX"),))
        assert own.observables() == [SparsePauliOp("XXX")]

    def test_draw(self) -> None:
        drawing = str(SearchSpace.handcrafted(1).candidates(2, 1)[0].draw("text"))
        assert "Ry(x[0])" in drawing
        assert "Ry(w[1])" in drawing

    def test_unsupported_instruction_names_the_candidate(self) -> None:
        circuit = QuantumCircuit(1)
        circuit.reset(0)
        with pytest.raises(CircuitError, match="candidate 'bad'.*'reset'"):
            _ = Candidate("bad", circuit, (), ()).program

    def test_qnn_and_torch_wrappers_have_input_gradients(self) -> None:
        candidate = SearchSpace.paper().candidates(2, 1)[0]
        qnn, connector = candidate.to_qnn(), candidate.to_torch("statevector", n_outputs=1)
        assert isinstance(qnn, EstimatorQNN)
        assert qnn.input_gradients
        assert qnn.output_shape == (2,)
        assert isinstance(connector, TorchConnector)
        assert connector.neural_network.input_gradients
        with pytest.raises(OptionError, match="Did you mean 'statevector'"):
            candidate.to_qnn("statevektor")

    def test_spaces_copy_and_pickle(self) -> None:
        space = SearchSpace.paper()
        assert copy.deepcopy(space).names == pickle.loads(pickle.dumps(space)).names == space.names


def test_tables_are_frozen() -> None:
    with pytest.raises(TypeError):
        ENCODINGS["mine"] = angle_encoding  # type: ignore[index]
