"""What circuits and observables of users mean: alike before every backend, against Qiskit's own statevectors."""

import io

import numpy as np
import pytest
import torch
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy, transpile
from qiskit.circuit import Gate, Parameter, ParameterVector, Qubit
from qiskit.circuit.library import PauliEvolutionGate, StatePreparation
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Operator, Pauli, SparseObservable, SparsePauliOp, Statevector

from qlstm_qiskit import SearchSpace, load_backend
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware import OnePubEstimatorQNN
from qlstm_qiskit.space import Candidate

EXACT = ("statevector", "aer-exact")
X, W = ParameterVector("x", 3), ParameterVector("w", 3)


def plain() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(X[qubit], qubit)
        circuit.rx(W[qubit], qubit)
    circuit.cx(0, 2)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    return circuit


def values(circuit: QuantumCircuit, backend: str, observables=None) -> np.ndarray:
    """Outputs of a bank of one circuit at fixed inputs and weights, through `from_circuits`."""
    (candidate,) = SearchSpace.from_circuits([circuit], observables=observables).candidates()
    weights = torch.linspace(0.2, 0.9, len(candidate.weights), dtype=torch.float64)[None]
    inputs = torch.linspace(-0.7, 0.4, len(candidate.inputs), dtype=torch.float64)[None]
    return load_backend(backend).bank([candidate]).bind(weights)(inputs).detach().numpy().ravel()


def bound(circuit: QuantumCircuit) -> QuantumCircuit:
    x = [p for p in circuit.parameters if p.name.startswith("x")]
    w = [p for p in circuit.parameters if p.name.startswith("w")]
    at = dict(zip(x, np.linspace(-0.7, 0.4, len(x)), strict=True)) | dict(zip(w, np.linspace(0.2, 0.9, len(w)), strict=True))
    return circuit.assign_parameters(at)


def by_qiskit(circuit: QuantumCircuit, observables: list[SparsePauliOp]) -> np.ndarray:
    state = Statevector(bound(circuit))
    return np.array([state.expectation_value(item).real for item in observables])


def z(n_qubits: int) -> list[SparsePauliOp]:
    return [SparsePauliOp.from_sparse_list([("Z", [q], 1.0)], n_qubits) for q in range(n_qubits)]


LINE = [[a, b] for k in range(6) for a, b in ((k, k + 1), (k + 1, k))]
FULL = [[a, b] for a in range(6) for b in range(6) if a != b]
LAYOUTS = {
    "a line": {"coupling_map": [[0, 1], [1, 0], [1, 2], [2, 1]]},
    "a longer line": {
        "coupling_map": [[a, b] for k in range(6) for a, b in ((k, k + 1), (k + 1, k))],
        "initial_layout": [5, 2, 3],
    },
    "a star": {"coupling_map": [[0, 3], [3, 0], [1, 3], [3, 1], [2, 3], [3, 2]], "initial_layout": [0, 1, 2]},
    "chosen qubits": {"initial_layout": [2, 0, 1]},
}


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transpiled_circuit_keeps_its_outputs(layout: str, seed: int, backend: str) -> None:
    routed = transpile(plain(), basis_gates=["rz", "sx", "cx"], optimization_level=2, seed_transpiler=seed, **LAYOUTS[layout])
    assert routed.layout is not None
    expected = by_qiskit(plain(), z(3))
    np.testing.assert_allclose(values(routed, backend)[:3], expected, atol=1e-9)
    file = io.BytesIO()
    qpy.dump(routed, file)
    file.seek(0)
    again = qpy.load(file)[0]  # a layout is not applied a second time
    np.testing.assert_allclose(values(again, backend)[:3], expected, atol=1e-9)


def test_a_candidate_of_a_transpiled_circuit_is_read_once() -> None:
    routed = transpile(plain(), basis_gates=["rz", "sx", "cx"], seed_transpiler=1, initial_layout=[5, 2, 3], coupling_map=FULL)
    (first,) = SearchSpace.from_circuits([routed]).candidates()
    second = Candidate("again", first.circuit, first.inputs, first.weights, first.measured)
    np.testing.assert_allclose(by_qiskit(second.circuit, second.observables()), by_qiskit(plain(), z(3)), atol=1e-9)
    assert first.n_qubits == 3
    assert len(first.inputs) == 3


def test_given_observables_are_on_the_wires_of_the_circuit_as_primitives_have_them() -> None:
    routed = transpile(plain(), basis_gates=["rz", "sx", "cx"], seed_transpiler=1, **LAYOUTS["chosen qubits"])
    laid_out = [item.apply_layout(routed.layout) for item in z(3)]
    found = StatevectorEstimator().run([(bound(routed), laid_out)]).result()[0].data.evs
    for backend in EXACT:
        np.testing.assert_allclose(values(routed, backend, laid_out), found, atol=1e-9)
    np.testing.assert_allclose(found, by_qiskit(plain(), z(3)), atol=1e-9)


@pytest.mark.parametrize("backend", EXACT)
def test_measurements_at_the_end_are_left_out(backend: str) -> None:
    expected = by_qiskit(plain(), z(3))
    into_own, part = plain(), plain()
    into_own.add_register(ClassicalRegister(3, "mine"))
    into_own.barrier()
    into_own.measure([2, 0, 1], [0, 1, 2])
    part.add_register(ClassicalRegister(1, "one"))
    part.measure(1, 0)
    for circuit in (into_own, part, plain().measure_all(inplace=False)):
        np.testing.assert_allclose(values(circuit, backend), expected, atol=1e-9)
        estimator = load_backend(backend).estimator()
        found = estimator.run([(bound(circuit), z(3))]).result()[0].data.evs
        np.testing.assert_allclose(found, expected, atol=1e-6)


def odd_circuits() -> dict[str, QuantumCircuit]:
    register, bits = QuantumRegister(2, "q"), ClassicalRegister(1, "c")
    made = {}
    for name in ("measure", "reset", "if_else", "initialize", "a variable"):
        circuit = QuantumCircuit(register, bits)
        circuit.ry(Parameter("x"), 0)
        if name == "measure":
            circuit.measure(0, 0)
            circuit.h(0)
        elif name == "reset":
            circuit.reset(1)
        elif name == "if_else":
            circuit.measure(0, 0)
            with circuit.if_test((bits, 1)):
                circuit.x(1)
        elif name == "initialize":
            circuit.initialize([0, 1], 1)
        else:
            from qiskit.circuit.classical import expr, types

            circuit.add_var("a variable", expr.lift(3, types.Uint(8)))
        circuit.ry(Parameter("w"), 1)
        made[name] = circuit
    return made


@pytest.mark.parametrize("name", odd_circuits())
def test_what_is_not_unitary_is_refused_by_name_on_every_path(name: str) -> None:
    circuit = odd_circuits()[name]
    x, w = ([p for p in circuit.parameters if p.name == name] for name in ("x", "w"))
    said = {"initialize": "reset|initialize", "if_else": "if_else|measure"}.get(name, name)
    with pytest.raises(CircuitError, match=said):
        SearchSpace.from_circuits([circuit], inputs=x)
    with pytest.raises(CircuitError, match=said):
        Candidate("c", circuit, x, w)
    for backend in ("statevector", "aer-exact", "aer-shots"):
        with pytest.raises(CircuitError, match=said):
            load_backend(backend).estimator().run([(circuit, "ZI", [0.1, 0.2])]).result()
    with pytest.raises(CircuitError, match=said):
        OnePubEstimatorQNN(circuit=circuit, estimator=StatevectorEstimator(), input_params=x, weight_params=w)


class Lying(Gate):
    """A gate whose matrix is not that of its definition."""

    def __init__(self) -> None:
        super().__init__("lying", 1, [])

    def _define(self) -> None:
        self.definition = QuantumCircuit(1)
        self.definition.ry(0.8, 0)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.eye(2)


def trotter() -> Gate:
    return PauliEvolutionGate(SparsePauliOp(["XI", "ZZ"], [0.7, 0.9]), time=0.8)


GATES = {
    "evolution": trotter(),
    "its inverse": trotter().inverse(),
    "controlled": trotter().control(1),
    "a matrix that lies": Lying(),
    "lying, controlled": Lying().control(1),
    "prepared state": StatePreparation([0.6, 0.8j]),
}


def opened(circuit: QuantumCircuit) -> QuantumCircuit:
    """What a device would run: definitions all the way down."""
    return transpile(circuit, basis_gates=["rz", "sx", "cx"], optimization_level=0)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_a_gate_means_its_definition_on_every_backend(name: str, nested: bool) -> None:
    gate = GATES[name]
    circuit = QuantumCircuit(3)
    circuit.ry(X[0], 0)
    circuit.h(1)
    if nested:
        inner = QuantumCircuit(gate.num_qubits, name="inner")
        inner.append(gate, range(gate.num_qubits))
        circuit.append(inner.to_gate(), range(gate.num_qubits))
    else:
        circuit.append(gate, range(gate.num_qubits))
    circuit.rx(W[0], 0)
    expected = by_qiskit(opened(circuit), z(3))
    for backend in EXACT:
        np.testing.assert_allclose(values(circuit, backend), expected, atol=1e-9)
        found = load_backend(backend).estimator().run([(bound(circuit), z(3))]).result()[0].data.evs
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("backend", [*EXACT, "fake-manila"])
def test_delays_are_taken_in_any_unit(backend: str) -> None:
    circuit = plain()
    circuit.delay(100, 0, unit="dt")
    circuit.delay(5, 1, unit="us")
    found = values(circuit, backend)
    np.testing.assert_allclose(found, by_qiskit(plain(), z(3)), atol=1e-9 if backend in EXACT else 0.3)


def test_qubits_without_a_register_and_registers_in_any_order() -> None:
    loose = QuantumCircuit([Qubit() for _ in range(3)])
    loose.compose(plain(), inplace=True)
    several = QuantumCircuit(QuantumRegister(1, "b"), QuantumRegister(2, "a"))
    several.compose(plain(), range(3), inplace=True)
    for circuit in (loose, several):
        for backend in EXACT:
            np.testing.assert_allclose(values(circuit, backend), by_qiskit(plain(), z(3)), atol=1e-9)
        network = OnePubEstimatorQNN(
            circuit=circuit, estimator=StatevectorEstimator(), input_params=X, weight_params=W, observables=z(3)
        )
        found = network.forward(np.linspace(-0.7, 0.4, 3)[None], np.linspace(0.2, 0.9, 3))
        np.testing.assert_allclose(found[0], by_qiskit(plain(), z(3)), atol=1e-9)


SUM = SparsePauliOp(["ZII", "IXI", "IZZ"], [0.5, 0.25, 0.25])


def test_one_observable_is_one_output_however_it_is_written() -> None:
    expected = by_qiskit(plain(), [SUM])
    for given in (SUM, [SUM], SparseObservable.from_list(SUM.to_list()), dict(SUM.to_list())):
        for backend in EXACT:
            np.testing.assert_allclose(values(plain(), backend, given), expected, atol=1e-9)
    for given in ("IZZ", Pauli("IZZ"), ["IZZ"], SparsePauliOp("IZZ")):
        np.testing.assert_allclose(values(plain(), "statevector", given), by_qiskit(plain(), [SparsePauliOp("IZZ")]), atol=1e-9)
    projector = SparseObservable("II0")
    np.testing.assert_allclose(
        values(plain(), "statevector", projector), by_qiskit(plain(), [SparsePauliOp(["III", "IIZ"], [0.5, 0.5])]), atol=1e-9
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SparsePauliOp("ZZ"), "acts on 2 qubits, its circuit on 3"),
        (SparsePauliOp("ZZZ", [1j]), "only real ones are Hermitian"),
        (SparsePauliOp("ZZZ", [np.nan]), "not a finite number"),
        (SparsePauliOp("ZZZ", np.array([Parameter("c")], dtype=object)), "coefficient"),
        ([], "empty"),
        (3.0, "float"),
        ("ZZQ", "ZZQ"),
        ([[SparsePauliOp("ZZZ")]], "list of lists"),
    ],
)
def test_observables_that_mean_nothing_are_refused_alike(given, said: str) -> None:
    with pytest.raises(CircuitError, match=said):
        SearchSpace.from_circuits([plain()], observables=given)
    with pytest.raises(CircuitError, match=said):
        Candidate("c", plain(), tuple(X), tuple(W), given)


def test_an_estimator_reads_a_circuit_that_was_changed_in_place() -> None:
    for backend in EXACT:
        estimator, circuit, observable = load_backend(backend).estimator(), QuantumCircuit(1), SparsePauliOp("Z")

        def ask(*of) -> float:
            return float(estimator.run([of]).result()[0].data.evs)  # noqa: B023

        angle = Parameter("a")
        circuit.ry(angle, 0)
        assert ask(circuit, observable, [0.0]) == pytest.approx(1, abs=1e-6)
        circuit.x(0)
        assert ask(circuit, observable, [0.0]) == pytest.approx(-1, abs=1e-6)
        circuit.data.pop()
        assert ask(circuit, observable, [0.3]) == pytest.approx(np.cos(0.3), abs=1e-6)
        observable.coeffs[0] = -2.0
        assert ask(circuit, observable, [0.3]) == pytest.approx(-2 * np.cos(0.3), abs=1e-6)


def test_what_a_user_changes_later_does_not_reach_a_candidate() -> None:
    circuit, observable = plain(), SparsePauliOp("IIZ")
    candidate = Candidate("c", circuit, tuple(X), tuple(W), (observable,))
    before = Operator(bound(candidate.circuit))
    circuit.h(0)
    observable.coeffs[0] = 5.0
    candidate.circuit.h(0)  # what is handed out is a copy too
    assert Operator(bound(candidate.circuit)) == before
    assert candidate.observables()[0].coeffs[0] == 1
