"""What every backend of backends.yaml promises, IBM's through local testing mode and through a mocked service.

Exact backends agree with the exact interpreter. Sampled ones stay within five standard errors of their own expectation: the
exact interpreter's where there is no noise, else the density matrix of the same circuits on the device's target.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from torch import Tensor

from qlstm_qiskit.hardware import Backend, BackendSpec, StatevectorBackend, load_backend
from qlstm_qiskit.hardware.config.file import load_specs
from qlstm_qiskit.hardware.contract.executor import Request, Values
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.device.named import device_named_in, find_device
from qlstm_qiskit.hardware.device.readout import noise_target, readout_errors
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.executors.aer import AerExecutor
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.interpreter.bank import PrimitiveBank
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.hardware.mock_service import Server, install
from tests.speed import slow_but

F64 = torch.float64
T = 4
#: How far the noise of the devices moves an expectation value of these small circuits.
NOISE = 0.12


def five_qubits() -> BackendV2:
    """A device by its import path, as users give one."""
    return AerSimulator.from_backend(FakeManilaV2())


HERE = {"kind": "provider", "provider": f"{__name__}:five_qubits", "shots": 1024}
LOCAL = {"kind": "ibm", "channel": "local", "device": "manila", "shots": 1024}
MORE = {
    "provider": HERE,
    "provider-estimator": HERE | {"primitive": "estimator"},
    "local-estimator": LOCAL | {"primitive": "estimator"},
    "local-legacy-estimator": LOCAL | {"primitive": "legacy-estimator"},
    "local-packed": LOCAL | {"device": "torino", "pack": 3},
    "aer-exact-torino": {"kind": "aer", "noise": {"device": "torino"}},
    "aer-exact-torino-without-readout": {"kind": "aer", "noise": {"device": "torino", "readout": False}},
    "exact-noise-without-shots": {"kind": "statevector", "noise": {"device": "torino"}},
    "exact-noise-bit-strings": {
        "kind": "statevector",
        "shots": 1024,
        "sampling": "multinomial",
        "noise": {"device": "manila", "readout": False},
    },
    "exact-bit-strings": {"kind": "statevector", "shots": 1024, "sampling": "multinomial"},
}
SPECS = load_specs() | {name: BackendSpec.model_validate({"name": name, **entry}) for name, entry in MORE.items()}
DEVICES = {name: spec for name, spec in SPECS.items() if not spec.ideal and name != "local-packed"}
#: Those that run circuits; of the exact interpreter's shots see test_sampled.py.
SAMPLED = {name: spec for name, spec in DEVICES.items() if not spec.exact and spec.kind != "statevector"}
#: One of each kind, on a small device where it has one.
QUICK = ("statevector", "exact-shots", "exact-noise-without-shots", "aer-exact", "aer-shots", "fake-manila", "ibm", "provider")


@dataclass
class Case:
    """A backend of the suite: its entry, and how one is made of it."""

    spec: BackendSpec
    make: Callable[..., Backend]

    @property
    def noise(self) -> BackendV2 | None:
        """The device whose errors it has."""
        spec = self.spec
        if spec.kind == "provider":
            return find_device("manila")
        if spec.noise is not None:
            return device_named_in(spec)
        return find_device(spec.device) if spec.local and spec.device is not None else None

    @property
    def noisy(self) -> Target:
        """What its noise is made of; a provider's device simulates itself, from the one error that its target has."""
        assert self.noise is not None
        return self.noise.target if self.spec.kind == "provider" else noise_target(self.noise)

    def expected(self, backend: Backend) -> Backend:
        """Exact values of the same circuits by another simulation: statevectors, or Aer's density matrix."""
        if self.noise is None:
            return StatevectorBackend("states")
        if not isinstance(backend, PrimitiveBackend):
            circuits = self.spec.model_copy(update={"kind": "aer", "shots": None, "sampling": "gaussian"})
            backend = load_backend(circuits)
        assert isinstance(backend, PrimitiveBackend)
        return Expected(self, backend)


class Expected(StatevectorBackend):
    """Exact expectation values of the circuits of a backend on its noisy device."""

    def __init__(self, case: Case, backend: PrimitiveBackend) -> None:
        super().__init__()
        readout = case.spec.noise is None or case.spec.noise.readout
        assert case.noise is not None
        self.inner, self.prepare = AerExecutor(noise=case.noisy, readout=readout), backend.prepare

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        return self.inner.expect([Request(compact(request.circuit), request.values) for request in requests])

    def bank(self, candidates, n_outputs=None, pairs=None):
        return PrimitiveBank(candidates, n_outputs, self, self.prepare, pairs)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture(params=slow_but(QUICK, SPECS))
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return _case(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=slow_but(("aer-shots", "fake-manila"), SAMPLED))
def sampled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return _case(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=slow_but(("exact-shots", "aer-shots", "fake-manila"), DEVICES))
def device(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return _case(request.param, tmp_path, monkeypatch)


def _case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Case:
    spec = SPECS[name].model_copy(update=changes)
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))
    if spec.kind == "ibm" and not spec.local:
        install(Server(tmp_path / "service"), monkeypatch)
        monkeypatch.setenv("MY_TOKEN", "a-token")
        spec = spec.model_copy(update={"token_env": "MY_TOKEN"})
    return Case(spec, lambda seed=7, **options: load_backend(spec, seed=seed, **options))


def candidates() -> tuple[Candidate, Candidate]:
    """Two circuits of two qubits; each parameter turns one gate."""
    x, y, a, b = (Parameter(name) for name in "xyab")
    circuit = QuantumCircuit(2)
    circuit.rx(x, 0)
    circuit.ry(a, 0)
    circuit.h(1)
    circuit.rz(y, 1)
    circuit.cz(0, 1)
    circuit.rx(b, 1)
    measured = (SparsePauliOp("ZI"), SparsePauliOp("XX"))
    return SearchSpace.handcrafted(1).candidates(2, 1)[0], Candidate("own", circuit, (x, y), (a, b), measured)


@dataclass
class Point:
    """Inputs (samples, inputs), angles (gates, angles) and structural weights (gates, candidates)."""

    inputs: Tensor
    weights: Tensor
    mixing: Tensor

    @classmethod
    def of(cls, seed: int = 3) -> Point:
        rng = np.random.default_rng(seed)
        shapes = ((2, 2), (2, 4), (2, 2))
        return cls(*(torch.tensor(rng.uniform(-1.2, 1.2, shape), requires_grad=True) for shape in shapes))


def answers(backend: Backend, point: Point) -> dict[str, Values]:
    """Values of each candidate, and their derivatives, each an array (samples, gates, candidates, outputs, ...)."""
    bound = backend.bank(candidates(), 2).bind(point.weights, point.mixing)
    values = bound.candidates(point.inputs)
    by = [torch.autograd.grad(value, (point.inputs, point.weights), retain_graph=True) for value in values.flatten()]
    stacked = [torch.stack(items).reshape(*values.shape, *items[0].shape) for items in zip(*by, strict=True)]
    return {"values": values.detach().numpy(), "by_inputs": stacked[0].numpy(), "by_weights": stacked[1].numpy()}


def oracle(expected: Backend, point: Point, shots: int | None, derivatives: bool = True) -> dict[str, tuple[Values, Values]]:
    """What `answers` should be, and standard errors: values at shifted points, as each parameter turns one gate."""
    bank = expected.bank(candidates(), 2)

    def at(inputs: Tensor, weights: Tensor) -> Values:
        with torch.no_grad():
            return bank.bind(weights, point.mixing).candidates(inputs).numpy()

    def error(values: Values) -> Values:
        return (1 - values**2) / (shots or np.inf)

    own = at(point.inputs, point.weights)
    result = {"values": (own, np.sqrt(error(own)))}
    for name in ("inputs", "weights") if derivatives else ():
        origin = getattr(point, name).detach()
        derivative, variance = (np.zeros((*own.shape, *origin.shape)) for _ in range(2))
        for place in np.ndindex(*origin.shape):
            pair = []
            for sign in (1, -1):
                moved = origin.clone()
                moved[place] += sign * np.pi / 2
                pair.append(at(**{"inputs": point.inputs, "weights": point.weights, name: moved}))
            derivative[(..., *place)] = (pair[0] - pair[1]) / 2
            variance[(..., *place)] = (error(pair[0]) + error(pair[1])) / 4 * reached(name, place)
        result[f"by_{name}"] = (derivative, np.sqrt(variance))
    return result


def reached(name: str, place: tuple[int, ...]) -> Values:
    """Which values (samples, gates, candidates, outputs) a parameter reaches; derivatives of all others are zero."""
    mask = np.zeros((2, 2, 2, 2))
    if name == "inputs":
        mask[place[0]] = 1
    else:
        gate, weight = place
        mask[:, gate, weight // 2] = 1
    return mask


def assert_within_five_errors(found: Values, expected: Values, errors: Values, shots: int | None, what: str) -> None:
    """Rare outcomes are no bell curve: one shot more or less is always allowed."""
    if shots is None:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=what)
        return
    assert (found[errors == 0] == 0).all(), what
    worst = (np.abs(found - expected) / (errors + 1 / shots)).max()
    assert worst < 5, f"{what}: {worst:.1f} standard errors"


def test_values_and_gradients(case: Case) -> None:
    point, shots = Point.of(), case.spec.shots
    backend = case.make()
    found = answers(backend, point)
    exact = oracle(StatevectorBackend("states"), point, shots)
    expected = oracle(case.expected(backend), point, shots)
    for name, values in found.items():
        assert_within_five_errors(values, *expected[name], shots, name)
        np.testing.assert_allclose(expected[name][0], exact[name][0], rtol=0, atol=NOISE if case.noise else 1e-9)
    if case.noise is not None:
        assert np.abs(expected["values"][0] - exact["values"][0]).max() > 1e-3


def test_structural_weights(case: Case) -> None:
    point, shots = Point.of(), case.spec.shots
    backend = case.make()
    mixed = backend.bank(candidates(), 2).bind(point.weights, point.mixing)(point.inputs)
    rows = [torch.autograd.grad(value, point.mixing, retain_graph=True)[0] for value in mixed.flatten()]
    by_mixing = torch.stack(rows).reshape(*mixed.shape, 2, 2)
    assert all(torch.equal(by_mixing[:, g, :, 1 - g], torch.zeros(2, 2, 2, dtype=F64)) for g in range(2))
    by_own = torch.stack([by_mixing[:, g, :, g] for g in range(2)], dim=1)  # (samples, gates, outputs, candidates)
    torch.testing.assert_close((by_own * point.mixing.detach()[None, :, None]).sum(-1), mixed.detach(), rtol=0, atol=1e-12)
    expected = oracle(case.expected(backend), point, shots, False)["values"]
    assert_within_five_errors(by_own.permute(0, 1, 3, 2).numpy(), *expected, shots, "by_mixing")


def layer(backend: Backend, seed: int = 1) -> QLSTM:
    generator = torch.Generator().manual_seed(seed)
    space = SearchSpace.handcrafted(1)
    return QLSTM(1, 1, depth=1, space=space, batch_first=True, backend=backend, angle_std=1.0, generator=generator)


WINDOWS = torch.linspace(-1, 1, 2 * T, dtype=F64).reshape(2, T, 1)


def gradients(module: QLSTM) -> dict[str, Tensor]:
    module.zero_grad()
    module(WINDOWS)[0][:, -1].pow(2).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None}


def test_a_training_step(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One job a time step and one for all Jacobians; each circuit transpiled once; gradients near the exact ones."""
    transpilers: list[Transpiler] = []
    plain = Transpiler.__init__

    def noted(self: Transpiler, *arguments: Any) -> None:
        plain(self, *arguments)
        transpilers.append(self)

    monkeypatch.setattr(Transpiler, "__init__", noted)
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path / "cache"))
    backend, jobs = case.make(), []
    if isinstance(backend, PrimitiveBackend):
        expect = backend.executor.expect
        backend.executor.expect = lambda requests: (jobs.append(len(requests)), expect(requests))[1]  # type: ignore[method-assign]
    exact, own = layer(StatevectorBackend("states")), layer(backend)
    truth, found = gradients(exact), gradients(own)
    assert found.keys() == truth.keys()
    for name, gradient in truth.items():
        bound = 1e-9 if case.spec.exact and case.noise is None else 0.3
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=bound)
    if isinstance(backend, PrimitiveBackend):
        assert jobs == [1] * (T + 1)
        with torch.no_grad():
            own(WINDOWS)
        assert len(jobs) == 2 * T + 1
        assert sum(item.count for item in transpilers) == (case.spec.kind != "aer" or case.spec.noise is not None)
        if backend.ledger is not None:
            assert len(backend.ledger.entries()) == 2 * T + 1
        if (tmp_path / "service").exists():
            assert len(Server(tmp_path / "service").log()) == 2 * T + 1


def test_parameters_move_between_backends_and_modules_are_copied(case: Case) -> None:
    backend = case.make()
    exact, own = layer(StatevectorBackend("states"), seed=2), layer(backend, seed=3)
    own.load_state_dict(exact.state_dict())
    copied = copy.deepcopy(own)
    bound = 1e-9 if case.spec.exact and case.noise is None else 0.3
    with torch.no_grad():
        torch.testing.assert_close(copied(WINDOWS)[0], exact(WINDOWS)[0], rtol=0, atol=bound)
        next(copied.parameters()).zero_()
    assert next(own.parameters()).any()
    exact.load_state_dict(copied.state_dict())


def test_noise_is_fresh_for_each_job_and_follows_the_seed(device: Case) -> None:
    point = Point.of()

    def twice(seed: int) -> list[Tensor]:
        bound = device.make(seed).bank(candidates(), 2).bind(point.weights, point.mixing)
        with torch.no_grad():
            return [bound.candidates(point.inputs) for _ in range(2)]

    first, again, other = twice(1), twice(1), twice(2)
    if device.spec.exact:
        assert torch.equal(first[0], first[1])
        return
    if device.spec.kind != "ibm" or device.spec.local:  # the mocked service gives the same work the same shots
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first[0], other[0])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_qnn_and_torch_module(device: Case) -> None:
    candidate, rng = candidates()[1], np.random.default_rng(4)
    weights, inputs = rng.normal(size=2), rng.normal(size=(3, 2))
    backend = device.make()
    results = []
    for item in (StatevectorBackend(), backend):
        qnn = candidate.to_qnn(item)
        module = candidate.to_torch(item, initial_weights=torch.tensor(weights))
        x = torch.tensor(inputs, requires_grad=True)
        module(x).sum().backward()
        results.append([qnn.forward(inputs, weights), *qnn.backward(inputs, weights), x.grad, module.weight.grad])
    bound = 1e-9 if device.spec.exact and device.noise is None else 0.3
    for ours, exact in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(exact), rtol=0, atol=3 * bound)
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=0, atol=bound)


def _repeat(backend: Backend, angle: float, times: int) -> Values:
    """<Z> of one qubit turned by an angle, `times` in one job."""
    assert isinstance(backend, PrimitiveBackend)
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.ry(theta, 0)
    isa = backend.prepare("turned", circuit, [theta], [SparsePauliOp("Z")])
    return backend.executor.expect([Request(isa, np.full((times, 1), angle))])[0][:, 0]


def test_the_variance_is_that_of_shots(sampled: Case) -> None:
    """(n - 1) s^2 / sigma^2 is chi-square distributed; 99.9999 % of n = 300 lie within these bounds."""
    times, shots = 300, sampled.spec.shots
    backend = sampled.make()
    values = _repeat(backend, 1.1, times)
    mean = np.cos(1.1)
    if sampled.noise is not None:
        assert isinstance(backend, PrimitiveBackend)
        theta = Parameter("theta")
        circuit = QuantumCircuit(1)
        circuit.ry(theta, 0)
        isa = backend.prepare("turned", circuit, [theta], [SparsePauliOp("Z")])
        mean = Expected(sampled, backend).expect([Request(isa, np.array([[1.1]]))])[0][0, 0]
    variance = (1 - mean**2) / shots
    assert abs(values.mean() - mean) < 5 * np.sqrt(variance / times)
    assert len(set(values)) > 20
    assert 0.65 < values.var(ddof=1) / variance < 1.45
    if sampled.spec.primitive == "sampler":
        np.testing.assert_allclose(values * shots % 2, shots % 2, atol=1e-6)  # counts of bits


NOISY = [name for name, spec in SAMPLED.items() if (spec.local and (spec.device or spec.noise)) or spec.kind == "provider"]


@pytest.mark.parametrize("name", slow_but(QUICK, NOISY))
def test_readout_errors_are_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """<Z> of |0> and |1> falls short by twice the rate at which the device reads that state of the measured qubit wrongly."""
    case = _case(name, tmp_path, monkeypatch, pack="off")  # side by side, circuits are on other qubits too
    backend = case.make()
    assert isinstance(backend, PrimitiveBackend)
    assert case.noise is not None
    circuit = _turned()
    isa = backend.prepare("turned", circuit, list(circuit.parameters), [SparsePauliOp("Z")])
    (qubit,) = compact(isa).qubits
    ((_, zero_for_one), (one_for_zero, _)) = readout_errors(case.noisy, [qubit])[0]
    for angle, sign, rate in ((0.0, 1, one_for_zero), (np.pi, -1, zero_for_one)):
        mean = _repeat(backend, angle, 40).mean()
        error = np.sqrt(4 * rate * (1 - rate) / (40 * case.spec.shots))
        assert abs(1 - sign * mean - 2 * rate) < 5 * error + 2e-3, (angle, mean, rate)  # 2e-3: the gates' own errors
        assert sign * mean < 1 - rate / 2


def _turned() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("theta"), 0)
    return circuit


@pytest.mark.slow
def test_the_expectation_on_a_noisy_device_is_what_stock_aer_samples() -> None:
    """The oracle of this file, against `AerSimulator.from_backend` and a million real shots."""
    backend = load_backend(SPECS["fake-manila"], seed=1)
    assert isinstance(backend, PrimitiveBackend)
    candidate = candidates()[1]
    parameters = [*candidate.inputs, *candidate.weights]
    isa = backend.prepare("own", candidate.circuit, parameters, [SparsePauliOp("ZI"), SparsePauliOp("IZ"), SparsePauliOp("ZZ")])
    point = np.array([[0.4, -0.7, 0.9, 0.3]])
    executor = AerExecutor(noise=find_device("manila").target)
    expected = executor.expect([Request(compact(isa), point)])[0][0]
    circuit = isa.circuit.assign_parameters(dict(zip(isa.parameters, point[0], strict=True)))
    circuit.measure_all()
    shots = 1_000_000
    counts = AerSimulator.from_backend(FakeManilaV2(), seed_simulator=5).run(circuit, shots=shots).result().get_counts()
    for value, observable in zip(expected, isa.observables, strict=True):
        label = observable.paulis[0].to_label()
        signs = {bits: (-1) ** sum(b == "1" and p == "Z" for b, p in zip(bits, label, strict=True)) for bits in counts}
        mean = sum(signs[bits] * n for bits, n in counts.items()) / shots
        assert abs(mean - value) < 5 * np.sqrt((1 - mean**2) / shots) + 1e-4
