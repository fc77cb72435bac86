"""The one-PUB QNN and the connector that keeps the dtype, against the stock ones."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import BackendEstimatorV2, StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import EstimatorV2 as AerEstimator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from safetensors.torch import save

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.executors.aer import AerExecutor, prepare_for_aer
from qlstm_qiskit.hardware.interpreter.estimator import ExecutorEstimator
from qlstm_qiskit.hardware.interpreter.qnn import DtypeTorchConnector, OnePubEstimatorQNN
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.circuits import random_candidate
from tests.parity.oracle import stock_qnn
from tests.speed import slow_but


class Counting:
    """A V2 estimator that counts jobs, PUBs and the precision asked for."""

    def __init__(self, inner) -> None:
        self.inner, self.jobs = inner, []

    def run(self, pubs, *, precision=None):
        pubs = list(pubs)
        self.jobs.append((len(pubs), precision))
        return self.inner.run(pubs, precision=precision)


def one_pub(candidate: Candidate, estimator, n_outputs: int | None = None, **options) -> OnePubEstimatorQNN:
    return OnePubEstimatorQNN(
        circuit=candidate.circuit,
        estimator=estimator,
        observables=candidate.observables(n_outputs),
        input_params=candidate.inputs,
        weight_params=candidate.weights,
        **options,
    )


def data(candidate: Candidate, samples: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, len(candidate.inputs))), rng.normal(size=len(candidate.weights))


@pytest.mark.parametrize("seed", slow_but([1, 5], range(8)))
@pytest.mark.parametrize("ours", ["statevector", "executor"])
def test_exact_values_and_gradients_are_those_of_the_stock_network(seed: int, ours: str) -> None:
    candidate = random_candidate(seed)
    estimator = StatevectorEstimator() if ours == "statevector" else ExecutorEstimator(AerExecutor(), prepare_for_aer)
    qnn, stock = one_pub(candidate, estimator, 2), stock_qnn(candidate, StatevectorEstimator(), 2)
    x, w = data(candidate)
    for own, oracle in zip((qnn.forward(x, w), *qnn.backward(x, w)), (stock.forward(x, w), *stock.backward(x, w)), strict=True):
        assert own.dtype == np.float64
        assert own.shape == oracle.shape
        np.testing.assert_allclose(own, oracle, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_one_pub_and_one_job_a_pass_at_one_precision() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(4, 2)[0]
    estimator = Counting(StatevectorEstimator())
    qnn = one_pub(candidate, estimator, default_precision=0.25)
    x, w = data(candidate, 10)
    qnn.forward(x, w)
    qnn.backward(x, w)
    assert estimator.jobs == [(1, 0.25), (1, 0.25)]
    stock = Counting(StatevectorEstimator())
    stock_qnn(candidate, stock).forward(x, w)
    assert stock.jobs[0][0] == 4, "what the one PUB replaces"


def test_shots_agree_within_five_standard_errors_in_both_passes() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(3, 1)[0]
    estimator = BackendEstimatorV2(backend=AerSimulator(), options={"seed_simulator": 7})
    qnn, stock = one_pub(candidate, estimator, default_precision=1 / 64), stock_qnn(candidate, StatevectorEstimator())
    x, w = data(candidate)
    np.testing.assert_allclose(qnn.forward(x, w), stock.forward(x, w), rtol=0, atol=5 / 64)
    for own, oracle in zip(qnn.backward(x, w), stock.backward(x, w), strict=True):
        assert not np.array_equal(own, oracle)
        np.testing.assert_allclose(own, oracle, rtol=0, atol=5 / 64 / np.sqrt(2))


def test_a_pass_manager_transpiles_once_and_the_observables_follow() -> None:
    candidate = SearchSpace.handcrafted(2).candidates(3, 1)[0]
    passes = generate_preset_pass_manager(2, target=FakeManilaV2().target, initial_layout=[4, 3, 2], seed_transpiler=1)
    qnn, stock = one_pub(candidate, AerEstimator(), pass_manager=passes), stock_qnn(candidate, StatevectorEstimator())
    qnn._default_precision = 0.0
    x, w = data(candidate)
    for own, oracle in zip((qnn.forward(x, w), *qnn.backward(x, w)), (stock.forward(x, w), *stock.backward(x, w)), strict=True):
        np.testing.assert_allclose(own, oracle, rtol=0, atol=1e-10)


def test_an_unused_input_and_a_circuit_without_weights() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(1)
    circuit.rx(x[1], 0)
    candidate = Candidate("half", circuit, tuple(x), ())
    qnn = one_pub(candidate, StatevectorEstimator())
    inputs = np.array([[0.3, 0.7], [0.1, 0.2]])
    by_input, by_weight = qnn.backward(inputs, np.zeros(0))
    np.testing.assert_allclose(qnn.forward(inputs, np.zeros(0))[:, 0], np.cos(inputs[:, 1]), atol=1e-12)
    np.testing.assert_allclose(by_input[:, 0], np.stack([np.zeros(2), -np.sin(inputs[:, 1])], axis=1), atol=1e-12)
    assert by_weight is None or by_weight.size == 0


def test_without_input_gradients_inputs_are_not_shifted() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(2, 1)[0]
    qnn = one_pub(candidate, StatevectorEstimator(), input_gradients=False)
    x, w = data(candidate)
    by_input, by_weight = qnn.backward(x, w)
    assert by_input is None
    np.testing.assert_allclose(by_weight, one_pub(candidate, StatevectorEstimator()).backward(x, w)[1], atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2), (2,), pytest.param((2, 3, 2), marks=pytest.mark.slow)])
def test_the_connector_is_differentiable_in_float64(shape: tuple[int, ...]) -> None:
    candidate = SearchSpace.handcrafted(1).candidates(2, 1)[0]
    module = DtypeTorchConnector(one_pub(candidate, StatevectorEstimator()), np.full(len(candidate.weights), 0.3))
    x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    assert module(x).dtype == torch.float64
    assert module(x).shape == (*shape[:-1], 2)
    assert torch.autograd.gradcheck(lambda inputs, _: module(inputs), (x, module.weight))


def test_the_stock_connector_takes_the_network_too() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(2, 1)[0]
    start = np.linspace(0, 1, len(candidate.weights))
    x = torch.rand(3, 2, dtype=torch.float64)
    modules = [
        TorchConnector(one_pub(candidate, StatevectorEstimator()), start),
        TorchConnector(stock_qnn(candidate, StatevectorEstimator()), start),
        DtypeTorchConnector(one_pub(candidate, StatevectorEstimator()), start, dtype=torch.float32),
    ]
    for module in modules:
        module(x).sum().backward()
    torch.testing.assert_close(modules[0](x), modules[1](x), rtol=0, atol=1e-6)
    torch.testing.assert_close(modules[0].weight.grad, modules[1].weight.grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(modules[2].weight.grad, modules[1].weight.grad, rtol=0, atol=1e-6)


def test_the_connectors_weights_have_one_name_and_can_be_saved() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(2, 1)[0]
    module = candidate.to_torch()
    assert list(module.state_dict()) == ["weight"]
    assert save(module.state_dict())
    assert [name for name, _ in module.named_parameters()] == ["weight"]


def test_the_estimator_broadcasts_as_every_v2_estimator() -> None:
    a = ParameterVector("a", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(a[1], 0)
    circuit.rx(a[0], 1)
    observables = [[SparsePauliOp("IZ")], [SparsePauliOp("ZI")], [SparsePauliOp(["ZZ", "XI"], [0.5, 2.0])]]
    values = np.random.default_rng(0).normal(size=(4, 2))
    pubs = [(circuit, observables, values[None]), (circuit, [SparsePauliOp("ZI")] * 4, values), (circuit, "IX", values[0])]
    ours = ExecutorEstimator(AerExecutor(), prepare_for_aer).run(pubs).result()
    oracle = StatevectorEstimator().run(pubs).result()
    for own, stock in zip(ours, oracle, strict=True):
        assert np.shape(own.data.evs) == np.shape(stock.data.evs)
        np.testing.assert_allclose(own.data.evs, stock.data.evs, atol=1e-12)
    unbound = QuantumCircuit(2)
    unbound.h(0)
    assert ExecutorEstimator(AerExecutor(), prepare_for_aer).run([(unbound, "IX")]).result()[0].data.evs == pytest.approx(1)


def test_a_single_observable_is_one_output_and_none_is_z_on_all_qubits() -> None:
    circuit = QuantumCircuit(2)
    w = ParameterVector("w", 2)
    circuit.ry(w[0], 0)
    circuit.crx(w[1], 0, 1)
    values = np.array([0.4, 1.1])
    for observables in (SparsePauliOp(["ZZ", "XX"], [1.0, 0.5]), None):
        options = {"circuit": circuit, "weight_params": w, "observables": observables}
        ours = OnePubEstimatorQNN(estimator=StatevectorEstimator(), **options)
        stock = EstimatorQNN(estimator=StatevectorEstimator(), default_precision=0.0, **options)
        assert ours.forward(None, values).shape == stock.forward(None, values).shape == (1, 1)
        np.testing.assert_allclose(ours.forward(None, values), stock.forward(None, values), atol=1e-12)


def test_a_gradient_of_the_users_is_refused() -> None:
    estimator = StatevectorEstimator()
    with pytest.raises(OptionError, match="leave out gradient"):
        OnePubEstimatorQNN(circuit=QuantumCircuit(1), estimator=estimator, gradient=ParamShiftEstimatorGradient(estimator))


def test_weights_of_a_stock_connector_can_be_loaded() -> None:
    candidate = SearchSpace.handcrafted(1).candidates(2, 1)[0]
    stock, ours = TorchConnector(stock_qnn(candidate, StatevectorEstimator())), candidate.to_torch()
    ours.load_state_dict(stock.state_dict())
    assert torch.equal(ours.weight.detach(), stock.weight.detach().double())


def test_a_precision_beyond_the_shots_is_refused_and_errors_are_bounded() -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    estimator = ExecutorEstimator(AerExecutor(shots=400), prepare_for_aer, 400)
    data = estimator.run([(circuit, SparsePauliOp(["Z", "X"], [2.0, 1.0]), None, 0.05)]).result()[0].data
    assert data.stds == pytest.approx(3 / 20)
    with pytest.raises(OptionError, match="a precision of 0.01 needs 10,000 shots, and the backend takes 400"):
        estimator.run([(circuit, "Z")], precision=0.01)
