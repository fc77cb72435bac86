"""Device noise inside the exact interpreter, against Aer's density matrix with the noise of the same device."""

import sys
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Parameter, ParameterVector
from qiskit.circuit.library import RXGate, SXGate
from qiskit.circuit.measure import Measure
from qiskit.providers import QubitProperties
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit import QLSTM
from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.exact import NoisyBank, NoisyProgram
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.check import check_backend
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.contract.measurement import Measurement
from qlstm_qiskit.hardware.device import channels
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.executors.aer import AerExecutor
from qlstm_qiskit.hardware.interpreter import noisy, sampled
from qlstm_qiskit.hardware.interpreter.bank import PrimitiveBank
from qlstm_qiskit.hardware.interpreter.noisy import noisy_bank, noisy_program
from qlstm_qiskit.hardware.loading import device_of
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.speed import slow_but

F64 = torch.float64
TOLERANCE = 1e-9
DEVICES = ("manila", "fez", "torino")
X, W = ParameterVector("x", 2), ParameterVector("w", 3)


@cache
def transpiler(device: str) -> Transpiler:
    return Transpiler(find_device(device), TranspileSpec(seeds=1))


def prepare(device: str) -> Any:
    return lambda *given: compact(transpiler(device).prepare(*given))


def aer_bank(candidates: list[Candidate], device: str, readout: bool, reduce: bool) -> PrimitiveBank:
    executor = AerExecutor(noise=find_device(device).target, readout=readout)
    return PrimitiveBank(candidates, None, executor, prepare(device), reduce=reduce)


def our_bank(candidates: list[Candidate], device: str, readout: bool = True, reduce: bool = False) -> NoisyBank:
    programs, measured = noisy_bank(candidates, None, find_device(device).target, readout, prepare(device), reduce=reduce)
    return NoisyBank(programs, list(map(sampled._whole, measured)))


def whole(isa: ISACircuit) -> Any:
    """The observables of a circuit as they are measured."""
    return sampled._whole(Measurement.of(isa.observables))


def parameters(bank: NoisyBank, gates: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = partial(torch.randn, dtype=F64, generator=generator)
    return draw(gates, sum(bank.n_weights)), draw(samples, bank.n_inputs)


def compare(candidates: list[Candidate], device: str, *, readout: bool = True, reduce: bool = False) -> None:
    ours = our_bank(candidates, device, readout, reduce)
    weights, inputs = parameters(ours, 1, 2)
    ones = torch.ones(1, len(candidates), dtype=F64)
    expected = aer_bank(candidates, device, readout, reduce).bind(weights, ones).candidates(inputs)
    torch.testing.assert_close(ours.bind_apart(weights)(inputs), expected, atol=TOLERANCE, rtol=0)


CASES = [(device, depth, readout) for device in DEVICES for depth in (1, 2) for readout in (True, False)]


@pytest.mark.parametrize(("device", "depth", "readout"), slow_but([("manila", 1, True)], CASES))
def test_all_candidates_of_the_paper(device: str, depth: int, readout: bool) -> None:
    compare(list(SearchSpace.paper().candidates(4, depth)), device, readout=readout)


@pytest.mark.parametrize("device", ["fez", "torino"])
def test_some_candidates_of_the_paper(device: str) -> None:
    candidates = list(SearchSpace.paper().candidates(4, 1))
    compare([candidates[index] for index in (13, 35)], device)


def test_dead_and_equal_circuits_are_left_out_as_on_aer() -> None:
    candidates = list(SearchSpace.paper().candidates(3, 1))[::2]
    compare(candidates, "manila", reduce=True)
    values = []
    for reduce in (True, False):
        bank = our_bank(candidates, "manila", reduce=reduce)
        weights, inputs = parameters(bank, 1, 2)
        values.append(bank.bind_apart(weights)(inputs))
    reduced, whole = (own.abs().amax(dim=(0, 1, 3)) for own in values)
    dead = reduced == 0
    assert dead.any()
    assert not dead.all()
    assert (whole[dead] > 1e-3).all(), "a noisy device shows some value where a circuit is proven dead"


def test_a_circuit_that_is_minus_another_one_runs_as_that() -> None:
    """With `reduce` the noise is that of the circuit that runs, and the sign that of the candidate."""
    candidates = []
    for flipped in (False, True):
        circuit = QuantumCircuit(1)
        circuit.ry(X[0], 0)
        circuit.rx(W[0], 0)
        if flipped:
            circuit.x(0)
        candidates.append(Candidate(f"flipped {flipped}", circuit, tuple(X), tuple(W[:1])))
    compare(candidates, "manila", reduce=True)
    weights, inputs = parameters(our_bank(candidates, "manila", reduce=True), 1, 2)
    found = our_bank(candidates, "manila", reduce=True).bind_apart(weights[:, :1].repeat(1, 2))(inputs)
    torch.testing.assert_close(found[:, :, 0], -found[:, :, 1], atol=1e-12, rtol=0)


def user_circuit(seed: int) -> Candidate:
    """Gates of all kinds at random, each data angle once; observables in all bases."""
    generator = np.random.default_rng(seed)
    circuit = QuantumCircuit(3)
    weights = [W[1] / 2 + 0.7, W[2] * W[0], W[2] - W[1], 0.9, W[0].sin()]
    both = [X[0] + W[0], 2 * X[1] - 0.3]
    angles = [(angle, ["rx", "ry", "rz", "rzz", "crx", "p"]) for angle in weights] + [(a, ["rx", "ry", "rzz"]) for a in both]
    for index in generator.permutation(len(angles)):
        angle, names = angles[index]
        name = str(generator.choice(names))
        first, second = generator.choice(3, 2, replace=False).tolist()
        circuit.h(first)
        getattr(circuit, name)(angle, *([first, second] if name in ("rzz", "crx") else [first]))
        for other in generator.choice(["cx", "cz", "t", "sdg", "h"], 2):
            getattr(circuit, other)(*([first, second] if other in ("cx", "cz") else [second]))
    observables = (SparsePauliOp(["IIX", "YZI"], [0.7, -1.2]), SparsePauliOp("ZZZ"), SparsePauliOp(["IXI", "III"], [1.0, 0.5]))
    return Candidate(f"user {seed}", circuit, tuple(X), tuple(W), observables)


@pytest.mark.parametrize(
    ("device", "seed"), slow_but([("manila", 0), ("fez", 1), ("torino", 2)], [(d, seed) for d in DEVICES for seed in range(6)])
)
def test_circuits_of_users(device: str, seed: int) -> None:
    compare([user_circuit(seed)], device)


def test_gradients_are_those_of_parameter_shift_on_aer() -> None:
    candidates = [user_circuit(1)]
    ours, theirs = our_bank(candidates, "fez"), aer_bank(candidates, "fez", True, False)
    found = []
    for bank in (ours, theirs):
        weights, inputs = (item.requires_grad_() for item in parameters(ours, 1, 1))
        (bank.bind(weights)(inputs) * torch.arange(1.0, 4.0, dtype=F64)).sum().backward()
        found.append((weights.grad, inputs.grad))
    torch.testing.assert_close(found[0], found[1], atol=1e-8, rtol=0)


def test_other_noise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with Aer turns red where relaxation is left out, or where bits of readout are swapped."""
    candidates = [user_circuit(0)]
    right = channels.transfer_matrix

    def without_damping(error: Any) -> np.ndarray:
        matrix = right(error).copy()
        matrix[1:, 0] = 0
        return matrix

    with monkeypatch.context() as patch:
        channels._of.cache_clear()
        patch.setattr(channels, "transfer_matrix", without_damping)
        with pytest.raises(AssertionError, match="not close"):
            compare(candidates, "manila")
    channels._of.cache_clear()
    compare(candidates, "manila")
    original = noisy.readout_errors
    monkeypatch.setattr(noisy, "readout_errors", lambda *given: original(*given)[:, ::-1])
    with pytest.raises(AssertionError, match="not close"):
        compare(candidates, "manila")


def test_a_circuit_with_its_own_parameters() -> None:
    """`noisy_program` takes what was transpiled with inputs and weights in it."""
    candidate, device = user_circuit(2), "fez"
    isa = prepare(device)(candidate.name, candidate.circuit, (*X, *W), candidate.observables())
    program = noisy_program(isa, find_device(device).target, X, W)
    bank = NoisyBank([program], [whole(isa)])
    weights, inputs = parameters(bank, 1, 2)
    rows = torch.cat([inputs, weights.expand(2, -1)], dim=1).numpy()
    (expected,) = AerExecutor(noise=find_device(device).target).expect([Request(isa, rows)])
    np.testing.assert_allclose(bank.bind(weights)(inputs)[:, 0], expected, atol=TOLERANCE)


def by_hand(circuit: QuantumCircuit, target: Target, qubits: tuple[int, ...] = (0, 1)) -> tuple[ISACircuit, NoisyProgram]:
    observables = (SparsePauliOp("IZ"), SparsePauliOp("ZZ"))
    isa = ISACircuit("by hand", circuit, tuple(W[:1]), observables, qubits)
    return isa, noisy_program(isa, target, (), W[:1])


def test_delays_relax_and_barriers_do_nothing() -> None:
    target = find_device("manila").target
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.delay(2000, 0, unit="dt")
    circuit.barrier()
    circuit.sx(1)
    circuit.rz(W[0], 1)
    circuit.append(Delay(3.0, unit="us"), [1])
    circuit.sx(1)
    isa, program = by_hand(circuit, target)
    angles = torch.tensor([[0.4]], dtype=F64)
    (expected,) = AerExecutor(noise=target).expect([Request(isa, angles.numpy())])
    bank = NoisyBank([program], [whole(isa)])
    found = bank.bind(angles)(torch.zeros(1, 0, dtype=F64))[0]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    short = by_hand(QuantumCircuit(2), target)[1]
    assert not short.operations


def small_target(**values: Any) -> Target:
    """A device of two qubits with sx and measurements, and whatever it says about them."""
    target = Target(num_qubits=2, qubit_properties=values.pop("qubits", None))
    target.add_instruction(SXGate(), {(q,): InstructionProperties(**values) for q in range(2)})
    target.add_instruction(RXGate(Parameter("t")), {(0,): None})
    target.add_instruction(Measure(), {(q,): None for q in range(2)})
    return target


def test_what_a_device_does_not_state_is_perfect_as_on_aer() -> None:
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.sx(1)
    circuit.rx(W[0], 0)
    target = small_target(error=0.01, duration=1e-6, qubits=[QubitProperties(t1=1e-4, t2=None), QubitProperties()])
    isa, program = by_hand(circuit, target)
    angles = torch.tensor([[0.4]], dtype=F64)
    (expected,) = AerExecutor(noise=target).expect([Request(isa, angles.numpy())])
    found = NoisyBank([program], [whole(isa)]).bind(angles)(torch.zeros(1, 0, dtype=F64))[0]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_what_is_refused() -> None:
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.rx(W[0], 1)
    with pytest.raises(CircuitError, match=r"'by hand' has the gate rx on device qubits 1, which the device lacks; transpile"):
        by_hand(circuit, small_target(error=0.01))
    with pytest.raises(CircuitError, match="needs device qubit 7; the device has 2"):
        by_hand(circuit, small_target(error=0.01), (0, 7))
    with pytest.raises(CircuitError, match="'by hand' was not fitted to a device"):
        by_hand(circuit, small_target(error=0.01), ())
    with pytest.raises(OptionError, match="T1 and T2 of qubits whose gates have a duration"):
        by_hand(circuit, small_target(error=0.01, duration=1e-7))
    with pytest.raises(CircuitError, match="6 qubits and fake_manila has 5"):
        our_bank(list(SearchSpace.handcrafted(1).candidates(6, 1)), "manila")


def test_a_layer_is_refused_before_it_is_made() -> None:
    """Circuits that the exact interpreter does not take with noise, and what to do about them."""
    circuit = QuantumCircuit(2)
    for qubit in (0, 1):
        circuit.ry(X[qubit], qubit)
        circuit.rx(W[qubit], qubit)
    circuit.ry(X[0], 0)
    space = SearchSpace.from_circuits([Candidate("twice", circuit, tuple(X), tuple(W[:2]))])
    QLSTM(1, 1, space=space, backend="exact-shots")
    with pytest.raises(CircuitError, match=r"the same angle of the data twice .* such as aer-noise-fez"):
        QLSTM(1, 1, space=space, backend="exact-noise-fez")


def lab(monkeypatch: pytest.MonkeyPatch, **devices: Any) -> None:
    """A module of a user's with devices."""
    module = ModuleType("lab_with_noise")
    module.__dict__.update(devices)
    monkeypatch.setitem(sys.modules, "lab_with_noise", module)


def entry(device: str, **options: Any) -> BackendSpec:
    noise = {"provider": f"lab_with_noise:{device}"}
    return BackendSpec.model_validate({"name": "mine", "kind": "statevector", "noise": noise} | options)


def test_the_noise_of_any_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its import path, as Aer has it: readout, gates and relaxation of a device of this machine."""
    lab(monkeypatch, device=GenericBackendV2(4, seed=1, noise_info=True, control_flow=False))
    candidates = [SearchSpace.handcrafted(1).candidates(3, 1)[0], user_circuit(3)]
    for candidate in candidates:
        ours, aer = (load_backend(entry("device", kind=kind)) for kind in ("statevector", "aer"))
        weights, inputs = parameters(ours.bank([candidate]), 1, 2)
        found, expected = (own.bank([candidate]).bind(weights)(inputs) for own in (ours, aer))
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
        ideal = load_backend("statevector").bank([candidate]).bind(weights)(inputs)
        assert (found - ideal).abs().max() > 1e-4
    assert device_of(entry("device")).num_qubits == 4
    facts = check_backend(entry("device", shots=5))
    assert facts["device"] == "the exact interpreter, with the noise of lab_with_noise:device"


def test_a_device_without_noise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lab(monkeypatch, perfect=GenericBackendV2(3, seed=1, noise_info=False, control_flow=False), small=find_device("manila"))
    with pytest.raises(OptionError, match="lab_with_noise:perfect states neither errors nor durations of its gates"):
        load_backend(entry("perfect"))
    with pytest.raises(OptionError, match="unknown name in lab_with_noise 'smal'"):
        load_backend(entry("smal"))
    with pytest.raises(CircuitError, match="6 qubits and fake_manila has 5"):
        QLSTM(1, 5, depth=1, space=SearchSpace.handcrafted(1), backend=load_backend(entry("small", shots=10)))
