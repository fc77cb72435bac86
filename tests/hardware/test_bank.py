"""The bank on an executor: parity with the exact interpreter, and how much is asked of the executor."""

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch.utils.checkpoint import checkpoint

from qlstm_qiskit.circuits import split
from qlstm_qiskit.errors import CircuitError, ShapeError, TrainingError
from qlstm_qiskit.hardware import BackendSpec, StatevectorBackend
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request, Values
from qlstm_qiskit.hardware.executors.aer import AerExecutor, prepare_for_aer
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.interpreter.bank import PrimitiveBank
from qlstm_qiskit.nn import QGRU, QLSTM
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.circuits import random_candidate
from tests.speed import slow_but

F64 = torch.float64


class Counting:
    """An executor that counts what it is asked for."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.jobs: list[list[int]] = []

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        self.jobs.append([len(request.values) for request in requests])
        return self.inner.expect(requests)

    @property
    def circuits(self) -> int:
        return sum(map(sum, self.jobs))


class CountingBackend(StatevectorBackend):
    """A backend whose banks ask a counting executor; `reduce` as in `PrimitiveBank`."""

    def __init__(self, reduce: bool = True) -> None:
        super().__init__()
        self.reduce = reduce
        self.executor = Counting(AerExecutor())
        self.prepared: list[str] = []

    def prepare(self, name, circuit, parameters, observables) -> ISACircuit:
        self.prepared.append(name)
        return prepare_for_aer(name, circuit, parameters, observables)

    def bank(self, candidates, n_outputs=None, pairs=None):
        return PrimitiveBank(candidates, n_outputs, self.executor, self.prepare, pairs, reduce=self.reduce)


def compare(candidates: Sequence[Candidate], n_outputs: int | None = None, gates: int = 2, samples: int = 3) -> None:
    rng = np.random.default_rng(0)
    exact = StatevectorBackend("states").bank(candidates, n_outputs)
    bank = CountingBackend().bank(candidates, n_outputs)
    assert (bank.n_inputs, bank.n_outputs, bank.n_weights) == (exact.n_inputs, exact.n_outputs, exact.n_weights)
    inputs = torch.tensor(rng.normal(size=(samples, exact.n_inputs)), requires_grad=True)
    weights = torch.tensor(rng.normal(size=(gates, sum(exact.n_weights))), requires_grad=True)
    mixing = torch.tensor(rng.normal(size=(gates, len(candidates))), requires_grad=True)
    factor = torch.tensor(rng.normal(size=(samples, gates, exact.n_outputs)))
    results = []
    for item in (exact, bank):
        bound = item.bind(weights, mixing)
        values = bound(inputs)
        results.append(
            [values, bound.candidates(inputs), *torch.autograd.grad((values * factor).sum(), (inputs, weights, mixing))]
        )
    for ours, oracle in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, oracle, rtol=0, atol=1e-11)


@pytest.mark.parametrize("seed", slow_but([2, 3], range(6)))
def test_values_and_gradients_of_any_circuit_are_those_of_the_exact_interpreter(seed: int) -> None:
    first = random_candidate(seed)
    others = [c for c in map(random_candidate, range(50 + seed, 90)) if c.n_qubits == first.n_qubits][:2]
    compare([first, *others], n_outputs=2)


@pytest.mark.parametrize(("n_qubits", "depth"), slow_but([(2, 1), (3, 2)], [(2, 1), (3, 1), (4, 1), (3, 2), (3, 3)]))
def test_the_papers_space(n_qubits: int, depth: int) -> None:
    compare(SearchSpace.paper().candidates(n_qubits, depth), n_outputs=n_qubits - 1)


def test_a_cheaper_circuit_stands_for_equal_ones_with_their_angles_and_sign() -> None:
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    dear, cheap, tree = (QuantumCircuit(2, name=name) for name in ("dear", "cheap", "tree"))
    dear.cz(0, 1)
    dear.rx(-w[1], 1)
    dear.rx(x[0] + 0.4, 0)
    dear.swap(0, 1)
    dear.x([0, 1])
    dear.ry(w[0] / 2, 0)
    dear.rz(w[0], 0)
    cheap.rx(x[0] * 2, 0)
    cheap.ry(x[1], 0)
    cheap.rx(w[0], 1)
    tree.rx(w[0] ** 2, 0)
    tree.ry(x[1] * w[1], 0)
    tree.rx(w[0].sin(), 1)
    candidates = [Candidate(item.name, item, tuple(x), tuple(w[: 1 + (item.name != "cheap")])) for item in (dear, cheap, tree)]
    compare(candidates)
    backend = CountingBackend()
    assert backend.bank(candidates).n_candidates == 3
    assert backend.prepared == ["cheap"]


def test_an_angle_of_the_other_sign() -> None:
    x, w = ParameterVector("x", 1), ParameterVector("w", 2)
    plain, turned = QuantumCircuit(1), QuantumCircuit(1)
    for circuit in (turned, plain):
        circuit.rx(x[0], 0)
        circuit.ry(w[0], 0)
        if circuit is turned:
            circuit.z(0)
        circuit.rx(w[1] + 0.2, 0)
    candidates = [Candidate(name, item, tuple(x), tuple(w)) for name, item in (("turned", turned), ("plain", plain))]
    compare(candidates)
    backend = CountingBackend()
    backend.bank(candidates)
    assert backend.prepared == ["plain"]


def test_a_bank_of_zeros_asks_for_nothing() -> None:
    backend = CountingBackend()
    candidates = SearchSpace.handcrafted(5).candidates(3, 1)
    compare(candidates, n_outputs=2)
    bank = backend.bank(candidates, 2)
    weights = torch.rand(2, 3, dtype=F64, requires_grad=True)
    values = bank.bind(weights)(torch.rand(4, 3, dtype=F64))
    values.sum().backward()
    assert not values.any()
    assert not weights.grad.any()
    assert (backend.executor.jobs, backend.prepared, bank.circuits) == ([], [], ())


def test_a_weight_less_candidate_beside_others_and_no_inputs_in_one() -> None:
    x, w = ParameterVector("x", 2), ParameterVector("w", 1)
    bare, full = QuantumCircuit(2), QuantumCircuit(2)
    bare.h(0)
    full.rx(x[0] * w[0], 0)
    full.crz(w[0], 0, 1)
    full.ry(x[1], 1)
    compare([Candidate("bare", bare, tuple(x), ()), Candidate("full", full, tuple(x), tuple(w))])


def layers(**options) -> tuple[QLSTM, QLSTM, CountingBackend]:
    backend = CountingBackend()
    exact, ours = (
        QLSTM(1, 2, depth=1, batch_first=True, angle_std=1.0, generator=torch.Generator().manual_seed(1), backend=b, **options)
        for b in (StatevectorBackend("states"), backend)
    )
    return exact, ours, backend


OPTIONS = [{}, {"num_layers": 2}, {"n_qubits": 2}, {"input_map": "arctan"}, {"mixing": "softmax"}]


@pytest.mark.parametrize("options", slow_but([{"n_qubits": 2}], OPTIONS))
def test_a_recurrent_layer_has_the_gradients_of_the_exact_one(options: dict) -> None:
    exact, ours, backend = layers(**options)
    x = torch.rand(3, 4, 1, dtype=F64)
    for layer in (exact, ours):
        (layer(x)[0] ** 2).sum().backward()
    for (name, a), b in zip(exact.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-11, msg=name)
    n_layers = options.get("num_layers", 1)
    assert len(backend.executor.jobs) == 4 * n_layers + 1


def test_inputs_and_states_get_gradients_too() -> None:
    exact, ours, _ = layers()
    grads = []
    for layer in (exact, ours):
        x = torch.linspace(0, 1, 6, dtype=F64).reshape(2, 3, 1).requires_grad_()
        state = tuple(torch.full((1, 2, 2), 0.3, dtype=F64, requires_grad=True) for _ in range(2))
        out, (h, c) = layer(x, state)
        grads.append(torch.autograd.grad((out.sum() + (h * c).sum()), (x, *state)))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def step_of_the_paper(*, everything: bool, reduce: bool = True) -> CountingBackend:
    """One training step of 36 candidates x 4 gates on 4 qubits, depth 1, T = 4, batch 10."""
    backend = CountingBackend(reduce)
    layer = QLSTM(1, 3, depth=1, batch_first=True, backend=backend)
    x = torch.rand(10, 4, 1, dtype=F64, requires_grad=everything)
    state = tuple(torch.zeros(1, 10, 3, dtype=F64, requires_grad=everything) for _ in range(2))
    layer(x, state)[0][:, -1].sum().backward()
    return backend


@pytest.mark.slow
def test_a_training_step_is_one_job_a_time_step_and_one_for_all_jacobians() -> None:
    backend = step_of_the_paper(everything=True, reduce=False)
    assert [len(job) for job in backend.executor.jobs] == [36] * 5, "one PUB a candidate"
    assert sum(map(sum, backend.executor.jobs[:4])) == 5_760
    assert backend.executor.circuits == 97_920  # 5,760 x (1 + 2 x (4 inputs + 4 weights))
    assert len(backend.prepared) == len(set(backend.prepared)) == 36


@pytest.mark.slow
def test_what_is_dead_or_equal_is_neither_submitted_nor_shifted() -> None:
    """The same step: 7 candidates are zero, 11 repeat another one up to relabelled angles."""
    backend = step_of_the_paper(everything=True)
    assert [len(job) for job in backend.executor.jobs] == [18] * 4 + [17], "one circuit has no angle that matters"
    assert len(backend.prepared) == 18
    # 15 candidates: 10 samples x 4 gates; 4 circuits without a weight that matters: 10 samples for all gates, and for their
    # repeats; 6 blind candidates: 4 gates for all samples; 1 constant, which 2 candidates are
    assert [sum(job) for job in backend.executor.jobs[:4]] == [15 * 40 + 4 * 10 + 6 * 4 + 1] * 4
    assert backend.executor.circuits == 34_964  # 97,920 without


@pytest.mark.parametrize(("reduce", "circuits"), [(False, 77_760), (True, 26_524)])
@pytest.mark.slow
def test_data_and_the_first_state_are_not_shifted(reduce: bool, circuits: int) -> None:
    backend = step_of_the_paper(everything=False, reduce=reduce)
    assert len(backend.executor.jobs) == 5
    assert backend.executor.circuits == circuits
    if not reduce:
        assert circuits == 5_760 + 5_760 * 2 * 4 + 5_760 * 3 // 4 * 2 * 3  # values, weights, states


@pytest.mark.parametrize(("reduce", "circuits"), [(False, 4 * 36 * 2 * (3 + 2 * 2 * 2)), (True, 1_307)])
def test_frozen_circuits_shift_only_what_the_state_passes_through(reduce: bool, circuits: int) -> None:
    backend = CountingBackend(reduce)
    layer = QLSTM(1, 2, depth=1, circuits="frozen", backend=backend)
    layer(torch.rand(3, 2, 1, dtype=F64))[0].sum().backward()
    assert backend.executor.circuits == circuits


def test_equal_parameter_sets_are_evaluated_once_in_a_call() -> None:
    backend = CountingBackend()
    bank = backend.bank(SearchSpace.handcrafted(1).candidates(2, 1))
    weights = torch.tensor([[0.3, 0.4], [0.3, 0.4], [-0.3, 0.4]], dtype=F64)
    inputs = torch.tensor([[0.1, 0.2], [0.5, 0.2], [0.1, 0.2], [0.0, 0.2], [-0.0, 0.2]], dtype=F64)
    values = bank.bind(weights)(inputs)
    assert backend.executor.jobs == [[6]], "two different weights, three different inputs"
    expected = StatevectorBackend().bank(SearchSpace.handcrafted(1).candidates(2, 1)).bind(weights)(inputs)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("layer", "stages"), [(QLSTM, 1), (QGRU, 2)])
def test_gates_with_shots_of_their_own_are_requests_of_one_job(layer: type[torch.nn.Module], stages: int) -> None:
    """A job per time step (and stage) as ever, in it a request for each number of shots; two layers, each with its own."""

    class Noting(Counting):
        def expect(self, requests: Sequence[Request]) -> list[Values]:
            self.jobs.append([(request.shots, len(request.values)) for request in requests])
            return self.inner.expect(requests)

    spec = BackendSpec(name="here", kind="aer", shots=50)
    backend = PrimitiveBackend(spec, Noting(AerExecutor(50, seed=1)), prepare_for_aer)
    one = SearchSpace.product(["RY"], ["linear-RY"])
    made = layer(1, 2, depth=1, space=one, num_layers=2, n_qubits=3, backend=backend)
    numbers = 1000 + np.arange(2 * 3 * made.cells[0].bank.n_gates).reshape(2, 3, -1)
    numbers[1, 2] = 777
    for cell, own in zip(made.layers(), numbers, strict=True):
        cell.bank.allocate(own)
    with torch.no_grad():
        made(torch.rand(3, 5, 1, dtype=F64))
    assert len(backend.executor.jobs) == 2 * 3 * stages
    places = made.cell_type.stages
    expected = [[(number, 5) for number in row[list(gates)]] for own in numbers for row in own for gates in places]
    assert backend.executor.jobs[: -len(places)] == expected[: -len(places)]
    assert backend.executor.jobs[-len(places) :] == [[(777, 5 * len(gates))] for gates in places]


def test_without_gradients_there_is_no_jacobian() -> None:
    _, ours, backend = layers()
    with torch.no_grad():
        ours(torch.rand(3, 4, 1, dtype=F64))
    assert len(backend.executor.jobs) == 4


def test_a_second_backward_pass_asks_for_nothing_again() -> None:
    _, ours, backend = layers()
    loss = ours(torch.rand(3, 2, 1, dtype=F64))[0].sum()
    first = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    jobs = len(backend.executor.jobs)
    second = torch.autograd.grad(loss, list(ours.parameters()))
    assert len(backend.executor.jobs) == jobs
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_float32_parameters_keep_their_dtype() -> None:
    layer = QLSTM(1, 2, depth=1, backend=CountingBackend(), dtype=torch.float32)
    out, _ = layer(torch.rand(3, 2, 1))
    out.sum().backward()
    assert out.dtype == torch.float32
    assert all(parameter.grad.dtype == torch.float32 for parameter in layer.parameters())


def test_an_empty_batch_asks_for_nothing() -> None:
    backend = CountingBackend()
    bank = backend.bank(SearchSpace.paper().candidates(2, 1))
    weights = torch.zeros(2, sum(bank.n_weights), dtype=F64)
    bound = bank.bind(weights, torch.ones(2, 36, dtype=F64))
    assert bound(torch.empty(0, 2, dtype=F64)).shape == (0, 2, 2)
    assert backend.executor.jobs == []


def test_refusals() -> None:
    backend = CountingBackend()
    bank = backend.bank(SearchSpace.handcrafted(1).candidates(2, 1))
    weights = torch.zeros(1, sum(bank.n_weights), dtype=F64)
    with pytest.raises(ShapeError, match="expected \\(batch, 2\\)"):
        bank.bind(weights)(torch.zeros(3, dtype=F64))
    with pytest.raises(ShapeError, match="gates"):
        bank.bind(weights[:, 1:])
    with pytest.raises(TrainingError, match="finite"):
        bank.bind(weights)(torch.full((1, 2), torch.nan, dtype=F64))
    with pytest.raises(CircuitError, match="same number of inputs"):
        backend.bank([*SearchSpace.handcrafted(1).candidates(2, 1), *SearchSpace.handcrafted(1).candidates(3, 1)])


def test_the_fourier_series_comes_from_the_circuits_alone() -> None:
    backend = CountingBackend()
    candidates = SearchSpace.handcrafted(1).candidates(2, 1)
    bank, exact = backend.bank(candidates), StatevectorBackend().bank(candidates)
    weights = torch.rand(1, sum(bank.n_weights), dtype=F64)
    assert bank.fourier(weights).terms(output=0) == exact.fourier(weights).terms(output=0)
    assert backend.executor.jobs == []


def test_a_backward_pass_that_failed_can_be_tried_again() -> None:
    _, ours, backend = layers()
    loss = ours(torch.rand(3, 2, 1, dtype=F64))[0].sum()
    working, backend.executor.inner = backend.executor.inner, None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        loss.backward(retain_graph=True)
    backend.executor.inner = working
    loss.backward()
    assert all(parameter.grad is not None for parameter in ours.parameters())


@pytest.mark.parametrize("use_reentrant", slow_but([False], [True, False]))
def test_gradient_checkpointing_recomputes_the_forward_pass(use_reentrant: bool) -> None:
    exact, ours, _ = layers()
    for layer in (exact, ours):
        x = torch.linspace(0, 1, 6, dtype=F64).reshape(2, 3, 1).requires_grad_()
        checkpoint(lambda inputs, run=layer: run(inputs)[0], x, use_reentrant=use_reentrant).sum().backward()
    for a, b in zip(exact.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-11)


def test_a_model_on_aer_can_be_pickled() -> None:
    layer = QLSTM(1, 1, depth=1, space=SearchSpace.handcrafted(1), backend="aer-exact")
    x = torch.rand(3, 2, 1, dtype=F64)
    layer(x)
    again = pickle.loads(pickle.dumps(layer))
    assert torch.equal(again(x)[0], layer(x)[0])


def test_equal_circuits_are_opened_once_in_a_process() -> None:
    first, second = (SearchSpace.paper().candidates(2, 1)[3] for _ in range(2))
    ready = [prepare_for_aer("a", *_split(item), item.observables()) for item in (first, second)]
    assert ready[0].circuit is ready[1].circuit
    assert ready[0].parameters == ready[1].parameters


def _split(candidate: Candidate):
    item = split(candidate.circuit, candidate.inputs, candidate.weights)
    return item.circuit, item.parameters


@pytest.mark.slow
def test_everything_is_submitted_where_the_entry_says_so() -> None:
    candidates, x = SearchSpace.paper().candidates(2, 1), torch.zeros(2, 2, dtype=torch.float64)
    weights = torch.rand(4, 72, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    circuits, values = [], []
    for reduce in (True, False):
        spec = BackendSpec(name="here", kind="aer", reduce=reduce)
        backend = PrimitiveBackend(spec, executor := Counting(AerExecutor()), prepare_for_aer)
        values.append(backend.bank(candidates).bind(weights, torch.ones(4, 36, dtype=torch.float64))(x))
        circuits.append(executor.circuits)
    torch.testing.assert_close(*values, rtol=0, atol=1e-11)
    assert circuits[0] < circuits[1]
