"""Derivatives beyond the first: right on both exact paths, an error by parameter shift, never a silent zero."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch import Tensor, nn
from torch.autograd import grad, gradcheck, gradgradcheck

from qlstm_qiskit.errors import UnsupportedError
from qlstm_qiskit.exact import ExactBank
from qlstm_qiskit.hardware import StatevectorBackend, load_backend
from qlstm_qiskit.nn import QLSTM, CircuitBank
from qlstm_qiskit.nn.update import lstm_update
from qlstm_qiskit.space import Candidate, SearchSpace

F64 = torch.float64
SPACE = SearchSpace.product(["RY", "H-RZ"], ["linear-RY"])
LAYERS: dict[str, dict[str, Any]] = {
    "one candidate": {"space": SearchSpace.handcrafted(1)},
    "structural weights": {},
    "shared angles, softmax": {"sharing": "shared", "mixing": "softmax"},
    "two layers": {"num_layers": 2},
    "hybrid": {"n_qubits": 2, "input_map": "arctan"},
    "frozen angles": {"circuits": "frozen"},
}


def layer(path: str = "form", **options: Any) -> QLSTM:
    torch.manual_seed(0)
    options = {"depth": 1, "space": SPACE, "angle_std": 0.5, "backend": StatevectorBackend(path)} | options
    return QLSTM(1, 2, batch_first=True, **options)


def drawn(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=F64, requires_grad=True)


def slopes(model: nn.Module, x: Tensor, **options: bool) -> list[Tensor]:
    """First derivatives of a scalar by the inputs and all trained parameters."""
    wanted = [x, *(value for value in model.parameters() if value.requires_grad)]
    return list(grad(model(x)[0].sin().sum(), wanted, **options))


def curvature(model: nn.Module, x: Tensor, direction: Tensor) -> list[Tensor]:
    """The derivative of the slope by the inputs along a direction, by everything: inputs, angles, structural weights."""
    wanted = [x, *(value for value in model.parameters() if value.requires_grad)]
    along = (slopes(model, x, create_graph=True)[0] * direction).sum()
    return list(grad(along, wanted, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_are_differences_of_first_ones(name: str) -> None:
    model, x = layer(**LAYERS[name]), drawn(2, 3, 1)
    direction, step = torch.rand_like(x), 1e-5
    found = curvature(model, x, direction)
    ahead, behind = (slopes(model, (x + sign * step * direction).detach().requires_grad_()) for sign in (1, -1))
    for value, a, b in zip(found, ahead, behind, strict=True):
        torch.testing.assert_close(value, (a - b) / (2 * step), rtol=0, atol=1e-8)
    assert all(value.abs().max() > 1e-3 for value in found)


@pytest.mark.parametrize("name", LAYERS)
def test_both_paths_agree_on_second_and_third_derivatives(name: str) -> None:
    results = []
    for path in ("form", "states"):
        model, x = layer(path, **LAYERS[name]), drawn(1, 2, 1)
        hessian = torch.autograd.functional.hessian(lambda v, model=model: model(v)[0].sin().sum(), x)
        (second,) = grad(slopes(model, x, create_graph=True)[0].square().sum(), x, create_graph=True)
        third = slopes_of(second.square().sum(), model, x)
        results.append([hessian, second, *third])
    for by_form, by_states in zip(*results, strict=True):
        torch.testing.assert_close(by_form, by_states, rtol=1e-10, atol=1e-12)
    assert results[0][0].abs().max() > 1e-3


def slopes_of(value: Tensor, model: nn.Module, x: Tensor) -> list[Tensor]:
    wanted = [x, *(parameter for parameter in model.parameters() if parameter.requires_grad)]
    return list(grad(value, wanted, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("layout", ["sample by sample", "gate by gate", "one sample of one feature"])
def test_the_native_update_leaves_its_inputs_as_they_are(layout: str) -> None:
    gates = {"sample by sample": drawn(3, 4, 2), "gate by gate": drawn(4, 3, 2).transpose(0, 1)}.get(layout, drawn(1, 4, 1))
    c = torch.rand(len(gates), gates.shape[2], dtype=F64, requires_grad=True)
    before = gates.detach().clone(), c.detach().clone()
    lstm_update(gates, c, fused=True)
    assert torch.equal(gates, before[0])
    assert torch.equal(c, before[1])
    assert gradcheck(lambda *given: lstm_update(*given, fused=True), (gates, c))
    assert gradgradcheck(lambda *given: lstm_update(*given, fused=True), (gates, c))


@pytest.mark.parametrize("name", ["structural weights", "frozen angles", "hybrid"])
def test_a_gradient_penalty_is_part_of_the_training(name: str) -> None:
    steps = []
    for path in ("form", "states"):
        model, x = layer(path, **LAYERS[name]), drawn(2, 3, 1)
        out = model(x)[0]
        (slope,) = grad(out.sum(), x, create_graph=True)
        (out.square().sum() + 10 * slope.square().sum()).backward()
        steps.append([value.grad for value in model.parameters() if value.requires_grad])
    assert all(value is not None for value in steps[0])
    for by_form, by_states in zip(*steps, strict=True):
        torch.testing.assert_close(by_form, by_states, rtol=1e-10, atol=1e-12)


def banks() -> dict[str, tuple[ExactBank, int]]:
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(-2 * x[0] + 0.4, 0)
    circuit.rx(x[1].sin(), 1)
    circuit.ecr(0, 1)
    circuit.rzz(w[0] * w[1], 0, 1)
    circuit.crx(w[1] / 2, 1, 0)
    circuit.t(0)
    circuit.ry(w[0], 1)
    own = Candidate("expressions", circuit, tuple(x), tuple(w), None)
    form = StatevectorBackend("form")
    return {
        "all products": (form.bank(list(SearchSpace.paper().candidates(2, 1))[::7]), 2),
        "some products": (form.bank(list(SearchSpace.handcrafted(1).candidates(7, 1)), 1), 7),
        "expressions": (form.bank([own]), 2),
        "one qubit": (form.bank(list(SearchSpace.product(["RY"], ["linear-RX"]).candidates(1, 2))), 1),
    }


@pytest.mark.parametrize("name", ["all products", "some products", "expressions", "one qubit"])
def test_gradgradcheck_of_banks(name: str) -> None:
    bank, n_inputs = banks()[name]
    weights, mixing = drawn(2, sum(bank.n_weights)), drawn(2, bank.n_candidates)

    def run(inputs: Tensor, weights: Tensor, mixing: Tensor) -> Tensor:
        return bank.bind(weights, mixing)(inputs)

    arguments = (drawn(2, n_inputs), weights, mixing)
    assert gradcheck(run, arguments, fast_mode=True)
    assert gradgradcheck(run, arguments, fast_mode=True)


def test_structural_weights_that_depend_on_the_angles() -> None:
    """Each is differentiated as if the other one were fixed; the chain rule is autograd's."""
    bank, x = banks()["all products"][0], drawn(2, 2)
    weights = drawn(1, sum(bank.n_weights))
    states = ExactBank(bank._programs, bank._observables, "states")
    found = []
    for each in (bank, states):
        out = each.bind(weights, weights[:, : bank.n_candidates].cos())(x).sin().sum()
        (slope,) = grad(out, weights, create_graph=True)
        found.append((slope, *grad(slope.square().sum(), (weights, x))))
    for by_form, by_states in zip(*found, strict=True):
        torch.testing.assert_close(by_form, by_states, rtol=1e-10, atol=1e-12)


def test_to_keep_a_graph_changes_no_first_derivative() -> None:
    model, x = layer(num_layers=2), drawn(2, 3, 1)
    for plain, kept in zip(slopes(model, x), slopes(model, x, create_graph=True), strict=True):
        torch.testing.assert_close(plain, kept, rtol=1e-12, atol=1e-14)


def test_the_memory_of_second_derivatives_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = layer(), drawn(2, 3, 1)
    out = model(x)[0].sum()
    monkeypatch.setattr("qlstm_qiskit.exact.memory._ALWAYS_FREE", 0)
    monkeypatch.setattr("qlstm_qiskit.exact.memory.free_bytes", lambda device: 0)
    with pytest.raises(MemoryError, match="second derivatives"):
        grad(out, list(model.parameters()), create_graph=True)


def connected() -> nn.Module:
    return SPACE.candidates(3, 1)[0].to_torch()


REFUSED: dict[str, Callable[[], nn.Module]] = {
    "bank": lambda: CircuitBank(SPACE.candidates(3, 1), backend=load_backend("aer-exact")),
    "frozen bank": lambda: CircuitBank(SPACE.candidates(3, 1), circuits="frozen", backend=load_backend("aer-exact")),
    "connector": connected,
}


@pytest.mark.parametrize("name", REFUSED)
def test_by_parameter_shift_first_derivatives_keep_a_graph_that_is_an_error_to_follow(name: str) -> None:
    torch.manual_seed(0)
    module, x = REFUSED[name](), drawn(2, 3)
    trained = [value for value in module.parameters() if value.requires_grad]
    plain = grad(module(x).sin().sum(), [x, *trained])
    for wanted in ([x], *([value] for value in trained)):
        kept = grad(module(x).sin().sum(), [x, *trained], create_graph=True)
        assert all(torch.equal(a, b) for a, b in zip(plain, kept, strict=True))
        assert kept[0].requires_grad
        with pytest.raises(UnsupportedError, match="second derivatives of .* backend='statevector'"):
            grad(kept[0].square().sum(), wanted, retain_graph=True)
        with pytest.raises(UnsupportedError):
            (module(x).sum() + kept[0].square().sum()).backward()


def test_structural_weights_alone_have_second_derivatives_on_every_backend() -> None:
    """Outputs are sums that are linear in them: no circuit is differentiated."""
    found = []
    for backend in ("aer-exact", "statevector"):
        torch.manual_seed(0)
        bank = CircuitBank(SPACE.candidates(3, 1), mixing="softmax", backend=load_backend(backend))
        (slope,) = grad(bank(drawn(2, 3)).sin().sum(), bank.structural_weights, create_graph=True)
        found.append(grad(slope.square().sum(), bank.structural_weights)[0])
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)
    assert found[0].any()


def test_a_pass_of_several_steps_by_parameter_shift_keeps_a_graph_too() -> None:
    model, x = layer(backend=load_backend("aer-exact")), drawn(2, 3, 1)
    plain, kept = slopes(model, x), slopes(model, x, create_graph=True)
    assert all(torch.equal(a, b.detach()) for a, b in zip(plain, kept, strict=True))
    with pytest.raises(UnsupportedError):
        kept[0].sum().backward()
