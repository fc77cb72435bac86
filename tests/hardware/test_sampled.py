"""Shots inside the exact interpreter, held against bit strings that Aer's probabilities give."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from torch import Tensor

from qlstm_qiskit import QGRU, QLSTM
from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.hardware import Backend, BackendSpec, load_backend
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.circuits import random_candidate
from tests.speed import slow_but

F64 = torch.float64
SHOTS = 200
SAMPLINGS = ("gaussian", "multinomial")


def backend(sampling: str = "gaussian", *, kind: str = "statevector", seed: int = 5, shots: int = SHOTS) -> Backend:
    """Everything is evaluated, as if nothing were proven dead or equal."""
    entry = {"name": "here", "kind": kind, "shots": shots, "reduce": False}
    return load_backend(
        BackendSpec.model_validate(entry | ({"sampling": sampling} if kind == "statevector" else {})), seed=seed
    )


def entangled() -> Candidate:
    """Outputs that are strongly correlated, two bases, a sum of strings, and a constant."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 4)
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(x[qubit], qubit)
    for qubit in range(3):
        circuit.rx(w[qubit], qubit)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.ry(w[3], 2)
    observables = ("ZII", "IZI", "XXI", [("IIZ", 0.5), ("ZZI", -0.7), ("III", 0.3)], [("IXI", 1.0), ("ZIZ", 0.4)])
    sums = [SparsePauliOp(o) if isinstance(o, str) else SparsePauliOp.from_list(o) for o in observables]
    return Candidate("entangled", circuit, tuple(x), tuple(w), sums)


CASES: dict[str, Callable[[], Sequence[Candidate]]] = {
    "one": lambda: list(SearchSpace.product(["RY"], ["linear-RY"]).candidates(3, 2)),
    "bases": lambda: [entangled()],
    "two-of-them": lambda: [entangled(), entangled()],
    "states": lambda: [random_candidate(3)],
    "six": lambda: list(SearchSpace.product(["RY", "RX"], ["linear-RY", "cyclic-RX", "linear-RX"]).candidates(3, 1)),
}


def made(case: str, on: Backend, n_gates: int = 2) -> tuple[CircuitBank, Tensor]:
    """A bank with random angles and weights, and one set of inputs; the same on every backend."""
    candidates, generator = CASES[case](), torch.Generator().manual_seed(7)
    bank = CircuitBank(candidates, n_gates, backend=on, angle_std=1.0, generator=generator)
    for weights in bank.arch_parameters():
        weights.data = torch.randn(weights.shape, generator=generator, dtype=F64)
    return bank, torch.rand(1, bank.n_inputs, generator=generator, dtype=F64)


def moments(samples: Tensor) -> tuple[np.ndarray, np.ndarray]:
    flat = samples.flatten(1).detach().numpy()
    return flat.mean(0), np.cov(flat.T)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("case", slow_but(["one", "bases", "two-of-them"], CASES))
def test_means_and_covariances_are_those_of_bit_strings(case: str, sampling: str) -> None:
    """Within five standard errors, gates beside one another included: they are independent."""
    n_calls, n_here = 300, 6000
    ours, inputs = made(case, backend(sampling))
    aer, _ = made(case, backend(kind="aer"))
    with torch.no_grad():
        mean, covariance = moments(ours(inputs.expand(n_here, -1)))
        measured = torch.cat([aer(inputs) for _ in range(n_calls)])
        exact = made(case, load_backend())[0](inputs).flatten().numpy()
    _, theirs = moments(measured)
    size = np.sqrt(np.diag(theirs) / n_here)
    assert (np.abs(mean - exact) <= 5 * size + 1e-12).all()
    scale = np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)) + theirs**2)
    error = scale * np.sqrt(1 / n_calls + 1 / n_here)
    assert (np.abs(covariance - theirs) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_outputs_of_a_circuit_are_correlated_and_nothing_else_is(sampling: str) -> None:
    bank, inputs = made("bases", backend(sampling))
    with torch.no_grad():
        first, second = (bank(inputs.expand(8000, -1)) for _ in range(2))
    together = torch.corrcoef(torch.cat([first.flatten(1), second.flatten(1)], dim=1).T)
    within = together[:2, :2]  # two outputs in one basis
    assert within[0, 1].abs() > 0.2
    k = bank.n_outputs
    assert together[:k, k:].abs().max() < 0.06  # the other gate, and the next call
    assert torch.corrcoef(torch.stack([first[:-1].flatten(), first[1:].flatten()]))[0, 1].abs() < 0.999
    centred = first - first.mean(0)
    assert (centred[:-1] * centred[1:]).mean(0).div(centred.square().mean(0)).abs().max() < 0.06  # the next sample


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("case", ["bases", "six"])
def test_candidates_by_themselves(case: str, sampling: str) -> None:
    bank, inputs = made(case, backend(sampling, shots=50))
    with torch.no_grad():
        found = bank.bind(samples=1).candidates(inputs.expand(4000, -1))
        exact = made(case, load_backend())[0].bind(samples=1).candidates(inputs)
    error = found.std(0) / 4000**0.5
    assert ((found.mean(0) - exact[0]).abs() <= 5 * error + 1e-12).all()
    assert found.std(0).max() > 0.1


@pytest.mark.parametrize("case", ["one", "bases", "two-of-them", "states"])
def test_the_gradient_is_that_of_the_same_random_numbers(case: str) -> None:
    """Finite differences of the noisy output itself, with common random numbers; second derivatives too."""
    bank, inputs = made(case, backend(), n_gates=1)
    names = [name for name, _ in bank.named_parameters()]

    def forward(*values: Tensor) -> Tensor:
        bank.backend.draws.count = 3
        *parameters, data = values
        return torch.func.functional_call(bank, dict(zip(names, parameters, strict=True)), (data,)) if names else bank(data)

    values = [*(p.detach().clone().requires_grad_() for _, p in bank.named_parameters()), inputs.clone().requires_grad_()]
    assert torch.autograd.gradcheck(forward, values)
    if case == "one":
        assert torch.autograd.gradgradcheck(forward, values)


def test_the_gradient_of_bit_strings_is_that_of_the_mean() -> None:
    ours, inputs = made("six", backend("multinomial"))
    exact, _ = made("six", load_backend())
    for bank in (ours, exact):
        bank(inputs).sum().backward()
    for (name, own), other in zip(ours.named_parameters(), exact.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad) or name == "structural_weights"
    assert torch.allclose(ours.angles.grad, exact.angles.grad)


@pytest.mark.parametrize("layer", [QLSTM, QGRU])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_layers_draw_afresh_and_a_seed_repeats_them(layer: type[torch.nn.Module], sampling: str) -> None:
    def values(seed: int, count: int = 0) -> Tensor:
        on = backend(sampling, seed=seed)
        on.draws.count = count
        options = {
            "space": SearchSpace.product(["RY"], ["linear-RY"]),
            "depth": 1,
            "num_layers": 2,
            "batch_first": True,
            "generator": torch.Generator().manual_seed(1),
        }
        return layer(1, 2, backend=on, n_qubits=3, **options)(torch.linspace(0, 1, 6, dtype=F64).reshape(2, 3, 1))[0]

    assert torch.equal(values(1), values(1))
    assert not torch.equal(values(1), values(2))
    assert not torch.equal(values(1), values(1, count=1))


def test_more_shots_less_noise() -> None:
    spread = []
    for shots in (100, 400, 1600):
        bank, inputs = made("one", backend(shots=shots))
        with torch.no_grad():
            spread.append(bank(inputs.expand(4000, -1)).std(0).mean().item())
    assert spread[0] / spread[1] == pytest.approx(2, rel=0.1)
    assert spread[1] / spread[2] == pytest.approx(2, rel=0.1)


def test_dead_circuits_have_no_noise_unless_they_are_to_run() -> None:
    """As devices are never asked for them."""
    circuit, x, w = QuantumCircuit(2), ParameterVector("x", 2), ParameterVector("w", 1)
    circuit.h([0, 1])
    circuit.rx(x[0], 0)
    circuit.rx(x[1], 1)
    circuit.rx(w[0], 0)
    dead = Candidate("dead", circuit, tuple(x), tuple(w))
    for reduce in (True, False):
        entry = {"name": "here", "kind": "statevector", "shots": 100, "reduce": reduce}
        values = CircuitBank([dead], backend=load_backend(BackendSpec.model_validate(entry), seed=1))(
            torch.rand(9, 2, dtype=F64)
        )
        assert bool((values == 0).all()) == reduce


def test_copies_draw_from_one_source_and_estimators_have_the_shots() -> None:
    on = backend()
    bank, inputs = made("one", on)
    other = copy.deepcopy(bank)
    assert not torch.equal(bank(inputs), other(inputs))
    assert on.draws.count == 2
    candidate = CASES["one"]()[0]
    network = candidate.to_qnn(on)
    angles = np.zeros(len(candidate.weights))
    found = {float(network.forward(np.full(3, 1.1), angles)[0, 0]) for _ in range(3)}
    assert len(found) == 3
    assert all(abs(value * SHOTS / 2 - round(value * SHOTS / 2)) < 1e-9 for value in found)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_parameters_of_another_shape_are_refused(sampling: str) -> None:
    bank = backend(sampling).bank(CASES["six"]())
    weights = torch.zeros(2, sum(bank.n_weights), dtype=F64)
    for mixing, match in ((None, "structural weights to mix them"), (torch.ones(2, 5, dtype=F64), "mixing has the shape")):
        with pytest.raises(ShapeError, match=match):
            bank.bind(weights, mixing)
    with pytest.raises(ShapeError, match="weights have the shape"):
        bank.bind(weights[:, 1:], torch.ones(2, 6, dtype=F64))


def test_what_makes_no_sense_is_refused() -> None:
    for entry, field in (
        ({"shots": 0}, "shots"),
        ({"sampling": "multinomial"}, "sampling"),
        ({"seed": 3}, "seed"),
        ({"shots": 10, "sampling": "poisson"}, "sampling"),
    ):
        with pytest.raises(ValueError, match=field):
            BackendSpec.model_validate({"name": "here", "kind": "statevector", **entry})
    wide = list(SearchSpace.product(["RY"], ["linear-RY"]).candidates(15, 1))
    with pytest.raises(OptionError, match="15 qubits are measured together; at most 14 can be. Use 'gaussian'"):
        CircuitBank(wide, backend=backend("multinomial"))


ALLOCATED = np.array([[40, 900], [300, 60]])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("case", ["one", "two-of-them"])
def test_allocated_shots_are_those_of_each_gate_in_each_call(case: str, sampling: str) -> None:
    """Variances per shot are those of bit strings from Aer, whatever the allocation, within five standard errors."""
    n_calls, n_here = 300, 6000
    ours, inputs = made(case, backend(sampling))
    aer, _ = made(case, backend(kind="aer"))
    ours.allocate(ALLOCATED)
    with torch.no_grad():
        per_shot = SHOTS * torch.cat([aer(inputs) for _ in range(n_calls)]).var(0)
        bound = ours.bind(samples=n_here, calls=len(ALLOCATED))
        for row in ALLOCATED:
            found = bound(inputs.expand(n_here, -1)).var(0) * torch.tensor(row)[:, None]
            assert ((found - per_shot).abs() <= 5 * per_shot * (2 / n_calls + 2 / n_here) ** 0.5 + 1e-12).all()
        with pytest.raises(ShapeError, match="allocated for 2 time steps, and this is one more"):
            bound(inputs)


def test_on_aer_too() -> None:
    """The bit strings of each request have its own shots; the same seed gives the same bits."""
    n_calls, shots = 400, np.array([[40, 900]])
    bank, inputs = made("one", backend(kind="aer"))
    with torch.no_grad():
        per_shot = SHOTS * torch.cat([bank(inputs) for _ in range(n_calls)]).var(0)
        bank.allocate(shots)
        found = torch.cat([bank(inputs) for _ in range(n_calls)])
        again, _ = made("one", backend(kind="aer"))
        again.allocate(shots)
        again.backend.draws.count = n_calls
        assert torch.equal(again(inputs), found[:1])
    scaled = found.var(0) * torch.tensor(shots[0])[:, None]
    assert ((scaled - per_shot).abs() <= 5 * per_shot * (4 / n_calls) ** 0.5 + 1e-12).all()


@pytest.mark.parametrize("kind", ["statevector", "aer"])
def test_an_equal_allocation_is_none(kind: str) -> None:
    """Aer's draws are the same bits, the exact interpreter's the same numbers but for rounding; and none again after that."""
    plain, inputs = made("two-of-them", backend(kind=kind))
    equal, _ = made("two-of-them", backend(kind=kind))
    equal.allocate(np.full((1, 2), SHOTS))
    with torch.no_grad():
        assert torch.allclose(plain(inputs), equal(inputs), rtol=1e-13, atol=0 if kind == "aer" else 1e-13)
        equal.allocate(None)
        assert torch.equal(plain(inputs), equal(inputs))


def test_shots_that_cannot_be_allocated() -> None:
    bank, _ = made("one", backend())
    for wrong in ([64, 64], [[64]], [[64, 64, 64]], [[64, 0]], [[64.0, 64.0]], [[True, True]]):
        with pytest.raises(OptionError, match=r"give whole numbers from 1 on, \(calls, 2 gates\)"):
            bank.allocate(wrong)
    with pytest.raises(OptionError, match="backend statevector draws no shots"):
        made("one", load_backend())[0].allocate([[64, 64]])
    bank.allocate([[64, 64]])
    bank.register_forward_hook(lambda *given: None)
    with pytest.raises(OptionError, match="a bank with hooks takes no allocated shots"):
        bank.bind(samples=1)
