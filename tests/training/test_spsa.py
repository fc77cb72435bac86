"""SPSA: the estimate, the gains, what it asks of a backend."""

import numpy as np
import pytest
import torch
from torch import nn

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.training import SPSA
from tests.hardware.test_bank import CountingBackend
from tests.speed import slow_but

F64 = torch.float64


def quadratic(start: torch.Tensor, matrix: torch.Tensor):
    parameter = nn.Parameter(start.clone())

    def closure():
        return (parameter @ matrix @ parameter / 2).detach()

    return parameter, closure


def test_the_mean_estimate_is_the_gradient() -> None:
    """On a quadratic the two-sided difference has no bias at any step size."""
    torch.manual_seed(0)
    matrix = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.5]], dtype=F64)
    parameter, closure = quadratic(torch.tensor([1.0, -2.0, 0.5], dtype=F64), matrix)
    gradient = matrix @ parameter.detach()
    optimizer = SPSA([parameter], lr=1e-12, eps=0.2, resamplings=4000)
    optimizer.step(closure)
    spread = gradient.norm() / 4000**0.5
    torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=float(5 * spread))


def test_it_descends_and_leaves_the_parameters_as_trainable_as_before() -> None:
    torch.manual_seed(0)
    parameter, closure = quadratic(torch.ones(5, dtype=F64), torch.eye(5, dtype=F64))
    optimizer = SPSA([parameter], lr=0.05)
    first = float(closure())
    for _ in range(200):
        optimizer.step(closure)
    assert float(closure()) < first / 20
    assert parameter.requires_grad


def test_gains_follow_spall() -> None:
    parameter, closure = quadratic(torch.ones(1, dtype=F64), torch.eye(1, dtype=F64))
    optimizer = SPSA([parameter], lr=0.1, stability=5.0, alpha=0.0)  # RMSprop without memory: a step is the rate and a sign
    places = [float(parameter.detach())]
    for _ in range(3):
        optimizer.step(closure)
        places.append(float(parameter.detach()))
    assert -np.diff(places) == pytest.approx([0.1 * (6 / (k + 6)) ** 0.602 for k in range(3)], rel=1e-5)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_scheduler_of_torch_works_on_top() -> None:
    parameter, closure = quadratic(torch.ones(1, dtype=F64), torch.eye(1, dtype=F64))
    optimizer = SPSA([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    for _ in range(3):
        optimizer.step(closure)
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


def test_both_evaluations_of_a_pair_drop_the_same() -> None:
    parameter, seen = nn.Parameter(torch.zeros(1, dtype=F64)), []

    def closure():
        seen.append(torch.rand(3).tolist())
        return parameter.detach().sum()

    SPSA([parameter], resamplings=2).step(closure)
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert seen[0] != seen[2]


def forecaster(backend, seed: int = 0, **options) -> Forecaster:
    torch.manual_seed(seed)
    recurrent = QLSTM(1, 2, depth=1, batch_first=True, backend=backend, **options)
    return Forecaster(recurrent, nn.Linear(2, 1, dtype=F64))


def groups(model: Forecaster) -> list[dict]:
    return [{"params": list(model.recurrent.parameters())}, {"params": list(model.head.parameters()), "perturbed": False}]


def closure_of(model: Forecaster, optimizer: SPSA):
    x, y = torch.linspace(0, 1, 12, dtype=F64).reshape(3, 4, 1), torch.tensor([[0.1], [0.4], [0.2]], dtype=F64)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("resamplings", slow_but([1], [1, 3]))
def test_a_step_is_two_jobs_a_time_step_and_no_jacobian(resamplings: int) -> None:
    backend = CountingBackend()
    model = forecaster(backend)
    optimizer = SPSA(groups(model), resamplings=resamplings)
    optimizer.step(closure_of(model, optimizer))
    assert len(backend.executor.jobs) == 2 * 4 * resamplings
    # of 36 candidates x 4 gates x 3 samples = 432 a time step, 217 are neither dead nor equal to another
    assert backend.executor.circuits == 2 * 4 * resamplings * 217
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_read_out_has_its_gradient_by_autograd() -> None:
    model = forecaster("statevector")
    optimizer = SPSA(groups(model), eps=1e-7, lr=1e-12)
    closure = closure_of(model, optimizer)
    closure()
    exact = [parameter.grad.clone() for parameter in model.head.parameters()]
    optimizer.step(closure)
    for parameter, gradient in zip(model.head.parameters(), exact, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-6)


def test_frozen_angles_stay_where_they_are() -> None:
    model = forecaster("statevector", circuits="frozen")
    before = [parameter.clone() for parameter in model.recurrent.circuit_parameters()]
    optimizer = SPSA(groups(model))
    optimizer.step(closure_of(model, optimizer))
    assert all(torch.equal(a, b) for a, b in zip(before, model.recurrent.circuit_parameters(), strict=True))


def test_the_same_seed_gives_the_same_bits_and_a_saved_state_goes_on() -> None:
    def run(steps: int, again_after: int | None = None) -> list[torch.Tensor]:
        model = forecaster("statevector")
        optimizer = SPSA(groups(model))
        for step in range(steps):
            if step == again_after:
                state = optimizer.state_dict()
                optimizer = SPSA(groups(model))
                optimizer.load_state_dict(state)
            optimizer.step(closure_of(model, optimizer))
        return [parameter.detach().clone() for parameter in model.parameters()]

    once, twice, resumed = run(4), run(4), run(4, again_after=2)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(once, twice, resumed, strict=True))


def test_an_error_in_the_loss_leaves_the_parameters_as_they_were() -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=F64))

    def closure():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SPSA([parameter]).step(closure)
    assert torch.equal(parameter.detach(), torch.ones(3, dtype=F64))
    assert parameter.requires_grad


def test_groups_may_have_a_perturbation_of_their_own() -> None:
    small, large = (nn.Parameter(torch.zeros(1, dtype=F64)) for _ in range(2))
    seen = []

    def closure():
        seen.append((abs(float(small.detach())), abs(float(large.detach()))))
        return (small + large).sum().detach()

    SPSA([{"params": [small], "perturbation": 0.01}, {"params": [large]}], eps=0.2).step(closure)
    assert seen == [pytest.approx((0.01, 0.2))] * 2


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"eps": float("nan")}, {"resamplings": 0}, {"stability": -2.0}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        SPSA([nn.Parameter(torch.zeros(1))], **options)


def test_a_step_without_a_closure_is_refused() -> None:
    with pytest.raises(OptionError, match="closure"):
        SPSA([nn.Parameter(torch.zeros(1))]).step()
