"""Gradients through whole models, and what one optimiser step moves."""

import pytest
import torch

from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.space import SearchSpace
from tests.nn.proof import prove

SMALL = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])
F64 = torch.float64


@pytest.mark.parametrize("sharing", ["none", "shared"])
@pytest.mark.parametrize("mixing", ["linear", "softmax"])
@pytest.mark.slow
def test_gradcheck_through_two_layers(sharing: str, mixing: str, path: str) -> None:
    """Finite differences of every input, state and parameter of a stack of two layers over two time steps."""
    torch.manual_seed(0)
    model = QLSTM(
        1,
        2,
        depth=1,
        space=SMALL,
        num_layers=2,
        sharing=sharing,
        mixing=mixing,
        angle_std=1.0,
        backend=StatevectorBackend(path),
    )
    names = [name for name, _ in model.named_parameters()]

    def run(x, h, c, *parameters):
        out, (h_n, c_n) = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x, (h, c)))
        return out, h_n, c_n

    arguments = [torch.rand(2, 1, 1, dtype=F64), *(torch.rand(2, 1, 2, dtype=F64) for _ in range(2)), *model.parameters()]
    assert torch.autograd.gradcheck(run, [a.detach().clone().requires_grad_() for a in arguments])


def test_gradcheck_of_the_papers_space(path: str) -> None:
    torch.manual_seed(0)
    model = QLSTM(1, 2, depth=2, num_layers=2, angle_std=1.0, backend=StatevectorBackend(path))
    names = [name for name, _ in model.named_parameters()]
    x = torch.rand(2, 2, 1, dtype=F64)

    def run(*parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x,))[0]

    parameters = [p.detach().clone().requires_grad_() for p in model.parameters()]
    assert torch.autograd.gradcheck(run, parameters, fast_mode=True)


def test_hybrid_gradcheck(path: str) -> None:
    torch.manual_seed(0)
    model = QLSTM(3, 2, depth=1, space=SMALL, n_qubits=2, input_map="arctan", angle_std=1.0, backend=StatevectorBackend(path))
    x = torch.rand(2, 1, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: model(value)[0], (x,))


HIDDEN, DEPTH = 3, 2

#: Candidates of the paper's space whose angles are all inert, and those that are identically zero (PAPER: "What is known").
#: A last R_Z before measuring Z changes nothing, and R_Z commutes with the CNOTs' action on Z strings at any depth.
INERT_BY_RZ = {f"{h}R{a}|{e}-RZ" for h in ("H-", "") for a in "XYZ" for e in ("linear", "cyclic")}
#: |+...+> is an eigenstate of R_X and of the CNOTs, so the whole circuit stays in it.
INERT_IN_PLUS_STATE = {"H-RX|linear-RX", "H-RX|cyclic-RX"}
ZERO = {f"H-R{a}|{e}-RZ" for a in "ZX" for e in ("linear", "cyclic")} | INERT_IN_PLUS_STATE


@pytest.mark.slow
def test_the_proven_dead_are_those_of_the_paper() -> None:
    candidates = SearchSpace.paper().candidates(HIDDEN + 1, DEPTH)
    verdicts = {candidate.name: prove(candidate, HIDDEN) for candidate in candidates}
    assert {c.name for c in candidates if verdicts[c.name].inert == set(c.weights)} == INERT_BY_RZ | INERT_IN_PLUS_STATE
    assert {name for name, verdict in verdicts.items() if verdict.is_zero} == ZERO


def one_step(**options) -> tuple[QLSTM, dict[str, torch.Tensor]]:
    """A model after one RMSprop step on random data, and its parameters before."""
    torch.manual_seed(0)
    model = QLSTM(1, HIDDEN, depth=DEPTH, angle_std=1.0, batch_first=True, **options)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.RMSprop(model.parameters(), lr=0.01)
    out, _ = model(torch.randn(8, 4, 1, dtype=F64), tuple(torch.randn(1, 8, HIDDEN, dtype=F64) for _ in range(2)))
    (out - torch.randn_like(out)).square().mean().backward()
    optimiser.step()
    return model, before


@pytest.mark.slow
def test_everything_that_is_not_proven_dead_trains(path: str) -> None:
    model, before = one_step(backend=StatevectorBackend(path))
    (cell,) = model.layers()
    angles, weights = cell.bank.angles, cell.bank.structural_weights
    assert {id(angles), id(weights)} <= {id(parameter) for parameter in model.parameters()}
    dead_angles, zero = [], []
    for candidate in cell.bank.candidates:
        verdict = prove(candidate, HIDDEN)
        dead_angles += [parameter in verdict.inert for parameter in candidate.weights]
        zero.append(verdict.is_zero)
    for parameter, name, dead in (
        (angles, "cells.0.bank.angles", torch.tensor(dead_angles)),
        (weights, "cells.0.bank.structural_weights", torch.tensor(zero)),
    ):
        moved = (parameter.detach() - before[name]).abs()
        # a dead one has a gradient of rounding errors at most; RMSprop turns a gradient above 1e-8 into a step of lr
        assert parameter.grad is not None
        assert parameter.grad[:, dead].abs().max() < 1e-16
        assert moved[:, dead].max() < 1e-9
        assert parameter.grad[:, ~dead].abs().min() > 1e-9
        assert moved[:, ~dead].min() > 1e-4


@pytest.mark.parametrize("sharing", ["none", "shared"])
def test_frozen_circuits_do_not_move_but_structural_weights_do(sharing: str) -> None:
    model, before = one_step(circuits="frozen", sharing=sharing)
    (angles,), (weights,) = model.circuit_parameters(), model.arch_parameters()
    assert not angles.requires_grad
    assert angles.grad is None
    assert torch.equal(angles, before["cells.0.bank.angles"])
    assert not torch.equal(weights, before["cells.0.bank.structural_weights"])
    assert "cells.0.bank.angles" in model.state_dict()


def test_shared_angles_train() -> None:
    model, before = one_step(sharing="shared")
    (angles,) = model.circuit_parameters()
    last_unmeasured = angles.shape[1] - 1  # the last rotation of the qubit that is not measured acts on nothing
    moved = (angles.detach() - before["cells.0.bank.angles"]).abs()
    assert moved[:, :last_unmeasured].min() > 1e-4
    assert moved[:, last_unmeasured].max() < 1e-9


@pytest.mark.parametrize(
    "options",
    [
        {"space": SearchSpace.handcrafted(1), "depth": DEPTH},
        {"space": SMALL, "depth": 1, "num_layers": 2},
        {"space": SMALL, "depth": 1, "n_qubits": 2, "input_map": "arctan", "mixing": "softmax"},
    ],
)
def test_every_kind_of_parameter_trains(options: dict) -> None:
    torch.manual_seed(0)
    model = QLSTM(1, HIDDEN, angle_std=1.0, batch_first=True, **options)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = torch.optim.RMSprop(model.parameters(), lr=0.01)
    model(torch.randn(8, 4, 1, dtype=F64))[0].square().mean().backward()
    optimiser.step()
    for (name, parameter), old in zip(model.named_parameters(), before, strict=True):
        assert parameter.grad is not None, name
        assert ((parameter.detach() - old).abs() > 1e-4).float().mean() >= 0.4, name


def test_state_dict_round_trip() -> None:
    model, _ = one_step()
    other = QLSTM(1, HIDDEN, depth=DEPTH, batch_first=True)
    other.load_state_dict(model.state_dict())
    x = torch.randn(2, 4, 1, dtype=F64)
    assert torch.equal(model(x)[0], other(x)[0])
