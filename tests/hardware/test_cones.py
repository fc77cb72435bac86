"""Light cones of circuits: exact values, shots and the noise of devices against circuits that are simulated whole."""

import gc
import math
import pickle
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import DensityMatrix, SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request, Values
from qlstm_qiskit.hardware.device.compact import active_qubits, compact, compact_backend, gates_of, noise_model
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.readout import readout_errors
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.executors import aer, local
from qlstm_qiskit.hardware.executors.aer import AerExecutor, prepare_for_aer
from qlstm_qiskit.hardware.executors.cones import ConesExecutor, light_cones
from qlstm_qiskit.hardware.executors.local import LocalExecutor
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.space import Candidate, SearchSpace

SHOTS = 1000


class Noting:
    """An executor that writes down what it is asked."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.calls = inner, []

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        self.calls.append([(item.circuit, len(item.values)) for item in requests])
        return self.inner.expect(requests)


def brickwork(n: int, depth: int = 1, block: str = "linear-RY") -> Candidate:
    return SearchSpace.product(["H-RY"], [block]).candidates(n, depth)[0]


def prepared(candidate: Candidate) -> ISACircuit:
    """With an observable of several letters, a constant, and one of two far qubits."""
    n = candidate.n_qubits
    more = [
        SparsePauliOp.from_sparse_list([("XY", [1, 2], 0.5), ("Z", [2], -1.5), ("", [], 0.25)], n),
        SparsePauliOp.from_sparse_list([("", [], 2.0)], n),
        SparsePauliOp.from_sparse_list([("ZZ", [0, n - 1], 1.0)], n),
    ]
    parameters = (*candidate.inputs, *candidate.weights)
    return prepare_for_aer("brickwork", candidate.circuit, parameters, [*candidate.observables(), *more])


def points(isa: ISACircuit, sets: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, (sets, len(isa.parameters)))


def stock(isa: ISACircuit, values: Values) -> Values:
    states = [Statevector(isa.circuit.assign_parameters(dict(zip(isa.parameters, row, strict=True)))) for row in values]
    return np.array([[state.expectation_value(item).real for item in isa.observables] for state in states])


@pytest.mark.parametrize(("n", "depth"), [(6, 1), (10, 1), (10, 2), (12, 1)])
def test_exact_values_are_those_of_statevectors(n: int, depth: int) -> None:
    isa = prepared(brickwork(n, depth))
    values = points(isa, 3)
    inner = Noting(AerExecutor())
    (found,) = ConesExecutor(inner, 8).expect([Request(isa, values)])
    np.testing.assert_allclose(found, stock(isa, values), rtol=0, atol=1e-12)
    ((*asked,),) = inner.calls
    assert len(asked) == (1 if n <= 8 else len(isa.observables))
    if n > 8:
        assert max(circuit.circuit.num_qubits for circuit, _ in asked) <= 8


def test_what_is_narrow_gets_through_as_it_is() -> None:
    isa = prepared(brickwork(6))
    request = Request(isa, points(isa, 4), 50)
    bare, cut = AerExecutor(20, seed=3), ConesExecutor(AerExecutor(20, seed=3), 6)
    for _ in range(2):
        np.testing.assert_array_equal(cut.expect([request])[0], bare.expect([request])[0])


def test_a_circuit_with_a_wide_cone_stays_whole() -> None:
    isa = prepared(brickwork(8, 1, "cyclic-RY"))
    inner = Noting(AerExecutor())
    ConesExecutor(inner, 6).expect([Request(isa, points(isa, 1))])
    assert inner.calls == [[(isa, 1)]]


def test_shots_have_the_mean_and_the_variance_of_each_output() -> None:
    isa = prepared(brickwork(9))
    n_calls = 150
    values = points(isa, 1, seed=2)
    executor = ConesExecutor(AerExecutor(SHOTS, seed=0), 8)
    drawn = np.array([executor.expect([Request(isa, values)])[0][0] for _ in range(n_calls)])
    state = Statevector(isa.circuit.assign_parameters(dict(zip(isa.parameters, values[0], strict=True))))
    for k, observable in enumerate(isa.observables):
        mean = state.expectation_value(observable).real
        groups = observable.simplify().group_commuting(qubit_wise=True)  # each basis has shots of its own
        variance = sum(
            state.expectation_value(group @ group).real - state.expectation_value(group).real ** 2 for group in groups
        )
        error = math.sqrt(max(variance, 0) / SHOTS)
        assert drawn[:, k].mean() == pytest.approx(mean, abs=5 * error / math.sqrt(n_calls) + 1e-12), k
        assert drawn[:, k].std() == pytest.approx(error, rel=5 / math.sqrt(2 * n_calls), abs=1e-6), k


def chained(n: int) -> ISACircuit:
    """With the sum of Z_k Z_k+1 + X_k / 2, which depends on all qubits where each term depends on 5 at most."""
    candidate = brickwork(n)
    terms = [("ZZ", [k, k + 1], 1.0) for k in range(n - 1)] + [("X", [k], 0.5) for k in range(n)] + [("", [], 0.25)]
    sums = [SparsePauliOp.from_sparse_list(terms, n), SparsePauliOp.from_sparse_list([("Z", [3], 1.0)], n)]
    return prepare_for_aer("chained", candidate.circuit, (*candidate.inputs, *candidate.weights), sums)


def test_a_wide_sum_of_narrow_terms_is_cut_by_terms() -> None:
    isa = chained(9)
    values, inner = points(isa, 2), Noting(AerExecutor())
    (found,) = ConesExecutor(inner, 6).expect([Request(isa, values)])
    np.testing.assert_allclose(found, stock(isa, values), rtol=0, atol=1e-12)
    assert len(inner.calls[0]) == len(isa.observables[0]) + 1
    assert max(circuit.circuit.num_qubits for circuit, _ in inner.calls[0]) <= 6


def test_shots_of_terms_that_are_cut_apart_have_the_sum_of_their_variances() -> None:
    """Three groups of five qubits that are read equal: together each would have five times the variance."""
    theta, circuit, n_calls = ParameterVector("theta", 1), QuantumCircuit(15), 150
    for start in (0, 5, 10):
        circuit.ry(theta[0], start)
        for qubit in range(start, start + 4):
            circuit.cx(qubit, qubit + 1)
    total = SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0) for qubit in range(15)], 15)
    request = Request(prepare_for_aer("equal", circuit, tuple(theta), [total]), np.array([[1.1]]))
    executor = ConesExecutor(AerExecutor(SHOTS, seed=0), 5)
    drawn = np.array([executor.expect([request])[0][0, 0] for _ in range(n_calls)])
    error = math.sqrt(15 / SHOTS) * math.sin(1.1)
    assert drawn.mean() == pytest.approx(15 * math.cos(1.1), abs=5 * error / math.sqrt(n_calls))
    assert drawn.std() == pytest.approx(error, rel=5 / math.sqrt(2 * n_calls))


class Adding:
    """Keeps nothing, and can be pickled."""

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        return [np.ones((len(item.values), len(item.circuit.observables))) for item in requests]


@pytest.mark.parametrize("n", [6, 12])
def test_a_circuit_that_is_gone_is_not_kept(n: int) -> None:
    executor = ConesExecutor(Adding(), 8)
    isa = prepared(brickwork(n))
    executor.expect([Request(isa, points(isa, 1))])
    twin = pickle.loads(pickle.dumps(executor))
    np.testing.assert_array_equal(twin.expect([Request(isa, points(isa, 1))])[0], np.ones((1, len(isa.observables))))
    gone = weakref.ref(isa)
    del isa, twin
    gc.collect()
    assert gone() is None


def test_equal_sets_of_a_cone_are_evaluated_once() -> None:
    isa = prepared(brickwork(12))
    values = np.repeat(points(isa, 1), 5, axis=0)
    values[1:, isa.parameters.index(next(p for p in isa.parameters if p.name.endswith("[0]")))] += 1 + np.arange(4)
    inner = Noting(AerExecutor(SHOTS, seed=1))
    (found,) = ConesExecutor(inner, 8).expect([Request(isa, values)])
    ((*asked,),) = inner.calls
    cones = light_cones(isa, 8)
    assert [rows for _, rows in asked] == [len(np.unique(values[:, part.columns], axis=0)) for part in cones]
    assert {rows for _, rows in asked} == {1, 5}
    assert (np.ptp(found, axis=0) == 0).sum() == sum(rows == 1 for _, rows in asked)


@pytest.mark.parametrize("by_inputs", [False, True])
def test_a_gradient_asks_for_an_angle_only_the_outputs_that_see_it(by_inputs: bool) -> None:
    """Counted against a walk over the gates; values and gradients are those of whole circuits."""
    candidate, found = brickwork(10, 2), []
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.uniform(-3, 3, (1, len(p)))) for p in (candidate.inputs, candidate.weights))
    inner = Noting(AerExecutor())
    for executor in (AerExecutor(), ConesExecutor(inner, 8)):
        own = [x.clone().requires_grad_(by_inputs), w.clone().requires_grad_()]
        backend = PrimitiveBackend(BackendSpec(name="x", kind="aer"), executor, prepare_for_aer)
        out = backend.bank([candidate]).bind(own[1])(own[0])[0, 0]
        (out * torch.linspace(1, 2, len(out), dtype=torch.float64)).sum().backward()
        found.append([out.detach(), own[1].grad, *([own[0].grad] if by_inputs else [])])
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(cut, whole, rtol=0, atol=1e-12)
    forward, backward = inner.calls
    assert [rows for _, rows in forward] == [1] * 10
    expected = []
    for k in range(10):
        seen, count = {k}, 0
        for item in reversed(candidate.circuit.data):
            own = {candidate.circuit.find_bit(qubit).index for qubit in item.qubits}
            if own & seen:
                seen |= own
                angles = item.operation.params
                count += bool(angles) and (by_inputs or set(angles[0].parameters) <= set(candidate.weights))
        expected.append(2 * count + 1)  # and the set itself, for all angles that lie elsewhere
    assert [rows for _, rows in backward] == expected


@pytest.mark.parametrize("readout", [True, False])
def test_noise_of_a_device_is_that_of_the_whole(readout: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates, readout, a delay, and observables that are measured in several bases."""
    monkeypatch.setattr(aer, "DENSITY_QUBITS", 5)  # as for many qubits, which have the noise of gates in use alone
    device, candidate = find_device("fez"), brickwork(7)
    more = SparsePauliOp.from_sparse_list([("XY", [1, 2], 0.5), ("Z", [2], -1.5)], 7)
    angles = (*candidate.inputs, *candidate.weights)
    fitted = Transpiler(device).prepare("seven", candidate.circuit, angles, [*candidate.observables(), more])
    waiting = fitted.circuit.copy()
    waiting.delay(20_000, active_qubits(fitted.circuit)[3], unit="dt")
    isa = compact(ISACircuit(fitted.name, waiting, fitted.parameters, fitted.observables, fitted.qubits, fitted.basis_gates))
    values = points(isa, 2)
    probabilities = AerSimulator(method="density_matrix", noise_model=noise_model(device.target, isa.qubits, readout=readout))
    inner = Noting(AerExecutor(noise=device.target, readout=readout))
    (cut,) = ConesExecutor(inner, 5).expect([Request(isa, values)])
    assert [len(active_qubits(circuit.circuit)) <= 5 for circuit, _ in inner.calls[0]] == [True] * 8
    for row, found in zip(values, cut, strict=True):
        bound = isa.circuit.assign_parameters(dict(zip(isa.parameters, row, strict=True)))
        bound.save_density_matrix(label="whole")
        whole = DensityMatrix(probabilities.run(bound).result().data()["whole"])
        for k, observable in enumerate(isa.observables[:7]):
            (place,) = np.flatnonzero(observable.paulis.z[0])
            rates = readout_errors(device.target, isa.qubits)[place] if readout else np.eye(2)
            read = rates @ whole.probabilities([int(place)])
            expected = (read[0] - read[1]) / read.sum()  # Aer's channels keep the trace to 1e-9
            assert found[k] == pytest.approx(expected, rel=0, abs=1e-11)
    (uncut,) = AerExecutor(noise=device.target, readout=readout).expect([Request(isa, values)])
    np.testing.assert_allclose(cut, uncut, rtol=0, atol=1e-12)


def test_noise_of_some_gates_is_that_of_the_device() -> None:
    target, qubits = find_device("fez").target, (3, 2, 16, 1)
    circuit = QuantumCircuit(4)
    circuit.sx(0)
    circuit.cz(1, 0)
    circuit.delay(100, 3, unit="dt")
    gates = gates_of([circuit])
    assert gates == {("sx", (0,)), ("cz", (1, 0)), ("delay", (3,))}

    def content(model: object) -> list[tuple[str, ...]]:
        errors = model.to_dict(serializable=True)["errors"]
        return sorted(tuple(repr(error[key]) for key in ("operations", "gate_qubits", "probabilities")) for error in errors)

    some, whole = (noise_model(target, qubits, gates=given) for given in (gates, None))
    assert [row for row in content(whole) if row[:2] in (("['sx']", "[[0]]"), ("['cz']", "[[1, 0]]"))] == content(some)
    assert len(content(some)) == 2
    own, other = some._custom_noise_passes[0], whole._custom_noise_passes[0]
    np.testing.assert_array_equal(own._t1s, other._t1s)
    np.testing.assert_array_equal(own._t2s, other._t2s)


def test_a_small_circuit_on_a_wide_part_of_a_device_has_its_noise() -> None:
    """Shots of the same seed on its own qubits alone, whose noise is that of all their gates."""
    device, circuit = find_device("fez"), QuantumCircuit(2, 1)
    for qubit in (0, 1):
        circuit.sx(qubit)
    circuit.cz(0, 1)
    circuit.sx(1)
    circuit.measure(1, 0)
    wide = QuantumCircuit(14, 1).compose(circuit, [3, 4], [0])
    found = [
        compact_backend(device, qubits).run(own, shots=5000, seed_simulator=1).result().get_counts()
        for qubits, own in (((3, 4), circuit), (range(14), wide))
    ]
    assert found[0] == found[1]
    assert min(found[0].values()) > 0


def test_local_simulation_of_a_device_cuts_what_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "DENSITY_QUBITS", 5)
    device, notes = GenericBackendV2(9, seed=1), []
    candidate = brickwork(9)
    isa = Transpiler(device).prepare(
        "nine", candidate.circuit, (*candidate.inputs, *candidate.weights), candidate.observables()
    )

    def make(part: object) -> Noting:
        notes.append(Noting(AerExecutor()))
        return notes[-1]

    values = points(isa, 2)
    (found,) = LocalExecutor(device, make).expect([Request(isa, values)])
    np.testing.assert_allclose(found, stock(isa, values), rtol=0, atol=1e-12)
    ((call,),) = [note.calls for note in notes]
    assert len(call) == 9


def test_the_exact_interpreter_agrees_at_100_qubits() -> None:
    candidate = brickwork(100, 2)
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.uniform(-3, 3, (1, len(p)))) for p in (candidate.inputs, candidate.weights))
    exact = load_backend("statevector").bank([candidate]).bind(w)(x)[0, 0].numpy()
    backends = [BackendSpec(name="x", kind="aer", shots=shots) for shots in (None, SHOTS)]
    whole, drawn = (load_backend(spec, seed=0).bank([candidate]).bind(w)(x)[0, 0].numpy() for spec in backends)
    np.testing.assert_allclose(whole, exact, rtol=0, atol=1e-10)
    z = (drawn - exact) / np.sqrt((1 - exact**2) / SHOTS)
    assert np.abs(z).max() < 5
    assert 0.6 < z.std() < 1.4


@pytest.mark.parametrize("shots", [None, SHOTS])
def test_matrix_product_states_draw_jointly(shots: int | None) -> None:
    """A chain of CNOTs behind one rotation: all bits of a shot are equal."""
    n = 30
    x, circuit = ParameterVector("x", 2), QuantumCircuit(n)
    circuit.ry(x[0], 0)
    for qubit in range(n - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.ry(x[1], n - 1)
    single = tuple(SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n) for qubit in range(n))
    parity = SparsePauliOp.from_sparse_list([("ZZ", [0, 20], 1.0), ("X", [n - 1], 0.5)], n)
    spec = BackendSpec(name="x", kind="aer", shots=shots, method="matrix_product_state")
    backend = load_backend(spec, seed=0)
    isa = backend.prepare("chain", circuit, tuple(x), [*single, parity])
    values = np.array([[1.1, 0.0], [0.4, 0.7]])
    (found,) = backend.executor.expect([Request(isa, values)])
    expected = np.cos(values[:, :1]).repeat(n, axis=1)
    expected[:, -1] *= np.cos(values[:, 1])
    if shots is None:
        np.testing.assert_allclose(found[:, :n], expected, rtol=0, atol=1e-8)
        np.testing.assert_allclose(found[:, n], 1 + 0.5 * np.cos(values[:, 0]) * np.sin(values[:, 1]), rtol=0, atol=1e-8)
        return
    assert (np.ptp(found[:, : n - 1], axis=1) == 0).all()
    error = np.sqrt((1 - expected**2) / shots)
    assert (np.abs(found[:, :n] - expected) < 5 * error).all()
    assert not np.array_equal(found, backend.executor.expect([Request(isa, values)])[0])


def test_each_row_of_a_product_state_without_parameters_has_shots_of_its_own() -> None:
    n, circuit = 30, QuantumCircuit(30)
    circuit.ry(1.1, range(n))
    single = [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n) for qubit in range(n)]
    for shots in (SHOTS, None):
        backend = load_backend(BackendSpec(name="x", kind="aer", shots=shots, method="matrix_product_state"), seed=0)
        isa = backend.prepare("turned", circuit, (), single)
        (found,) = backend.executor.expect([Request(isa, np.empty((3, 0)))])
        assert found.shape == (3, n)
        assert len(np.unique(found, axis=0)) == (1 if shots is None else 3)
        np.testing.assert_allclose(found, math.cos(1.1), rtol=0, atol=1e-8 if shots is None else 5 / math.sqrt(SHOTS))


@pytest.mark.parametrize(
    ("options", "n", "words"),
    [
        ({}, 31, "takes 30 qubits, or outputs that depend on 24 at most.*or method: matrix_product_state"),
        ({"noise": {"device": "fez"}}, 16, "takes 15 qubits, or outputs that depend on 12 at most.*a backend without noise"),
    ],
)
def test_wide_cones_are_refused_in_a_line(options: dict, n: int, words: str) -> None:
    backend = load_backend(BackendSpec.model_validate({"name": "x", "kind": "aer", **options}))
    candidate = brickwork(n, 1, "cyclic-RY")
    with pytest.raises(
        CapacityError, match=rf"has {n} qubits, and an output of it depends on \d+ of them; .*{words}"
    ) as refused:
        backend.bank([candidate])
    assert "\n" not in str(refused.value)
