"""Targets as makers write them: met, with the values of the ideal circuit, or refused in one line."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Instruction, Measure, Parameter, ParameterExpression, ParameterVector
from qiskit.circuit.library import CXGate, CZGate, ECRGate, HGate, RXGate, RYGate, RZGate, RZZGate, SdgGate, SXGate, XGate
from qiskit.providers import BackendV2, Options
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import InstructionProperties, PassManager, Target, TransformationPass
from qiskit.transpiler.exceptions import TranspilerError
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePluginManager
from qiskit_aer import AerSimulator

from qlstm_qiskit import SearchSpace, load_backend
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware import BackendSpec, StatevectorBackend
from qlstm_qiskit.hardware.contract.measurement import rotated
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.jobs.pinned import PinnedDevice, calibration_of

SHOTS = 4000


class Described(BackendV2):
    """A device that is what its target says, simulated without noise; its gates are checked as a device would check them."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="described")
        self._target = target

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024, seed_simulator=None)

    def run(self, run_input, **options):
        for circuit in run_input:
            for item in circuit.data:
                wires = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
                angles = [float(value) for value in item.operation.params if item.operation.name != "delay"]
                assert item.name == "barrier" or self._target.instruction_supported(item.name, wires, parameters=angles), item
        return AerSimulator().run(run_input, **options)


def target_of(*gates: tuple[Instruction, list[tuple[int, ...]]]) -> Target:
    target = Target(num_qubits=4)
    for gate, places in (*gates, (Measure(), EVERY)):
        target.add_instruction(gate, {wires: InstructionProperties(error=1e-4 * len(wires)) for wires in places})
    return target


T, EVERY, LINE = Parameter("t"), [(0,), (1,), (2,), (3,)], [(0, 1), (1, 2), (2, 3)]
USUAL = [(RZGate(T), EVERY), (SXGate(), EVERY), (XGate(), EVERY)]


def one_way() -> BackendV2:
    """Couplers that have their gate in one direction."""
    return Described(target_of(*USUAL, (CXGate(), [(1, 0), (1, 2), (3, 2)])))


def of_two_kinds() -> BackendV2:
    """CX on some couplers, each in one direction, and ECR on others."""
    return Described(target_of(*USUAL, (CXGate(), [(1, 0), (2, 1)]), (ECRGate(), [(3, 2)])))


def without_errors() -> BackendV2:
    """A target that states no errors."""
    target = Target(num_qubits=4)
    for gate, places in (*USUAL, (CZGate(), LINE), (Measure(), EVERY)):
        target.add_instruction(gate, dict.fromkeys(places))
    return Described(target)


def limited() -> BackendV2:
    """R_ZZ for angles from 0 to pi / 2 only, as IBM's fractional gate."""
    target = target_of(*USUAL, (RXGate(T), EVERY), (CZGate(), LINE))
    properties = {wires: InstructionProperties(error=1e-3) for wires in LINE}
    target.add_instruction(RZZGate(T), properties, angle_bounds=[(0, np.pi / 2)])
    return Described(target)


def uneven() -> BackendV2:
    """Qubits with gates of their own: H and S-dagger on two of them only."""
    return Described(target_of(*USUAL, (HGate(), EVERY[:2]), (SdgGate(), EVERY[:2]), (CZGate(), LINE)))


DEVICES: dict[str, Callable[[], BackendV2]] = {
    own.__name__: own for own in (one_way, of_two_kinds, without_errors, limited, uneven, BasicSimulator, AerSimulator)
}


def _candidate(observables: list[SparsePauliOp] | None = None):
    """Three qubits in a line with R_ZZ of a parameter and of a number, and R_X of twice a parameter, which shifts double."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 2)
    circuit = QuantumCircuit(3, name="c")
    for qubit in range(3):
        circuit.h(qubit)
        circuit.ry(x[qubit], qubit)
    circuit.cx(0, 1)
    circuit.rzz(w[0], 1, 2)
    circuit.rzz(0.3, 0, 1)
    circuit.rx(2 * w[1], 2)
    return SearchSpace.from_circuits([circuit], inputs=x, observables=observables).candidates()[0]


@pytest.mark.parametrize("name", DEVICES)
def test_values_and_gradients_are_those_of_the_circuit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.device", DEVICES[name], raising=False)
    spec = BackendSpec.model_validate({"name": "b", "kind": "provider", "provider": f"{__name__}:device", "shots": SHOTS})
    candidate = _candidate([SparsePauliOp("IIX"), SparsePauliOp("IYZ"), SparsePauliOp("ZII")])
    found = []
    for backend in (load_backend(spec), StatevectorBackend()):
        weights = torch.tensor([[-0.3, 2.5]], dtype=torch.float64, requires_grad=True)
        values = backend.bank([candidate]).bind(weights)(torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64))
        values.sum().backward()
        assert weights.grad is not None
        found.append((values.detach().numpy().ravel(), weights.grad.numpy().ravel()))
    (values, gradients), (true, slopes) = found
    np.testing.assert_allclose(values, true, atol=5 / SHOTS**0.5)
    np.testing.assert_allclose(gradients, slopes, atol=5 * 3 / SHOTS**0.5)  # three observables, the second angle twice


def test_fixed_angles_keep_a_gate_of_limited_angles() -> None:
    device = limited()
    circuit = QuantumCircuit(2)
    circuit.rzz(0.3, 0, 1)
    isa = Transpiler(device).prepare("fixed", circuit, [], [SparsePauliOp("ZZ")])
    assert "rzz" in isa.circuit.count_ops()
    candidate = _candidate()
    isa = Transpiler(device).prepare("free", candidate.circuit, [*candidate.inputs, *candidate.weights], [SparsePauliOp("ZII")])
    assert not any(item.name == "rzz" and item.is_parameterized() for item in isa.circuit.data)


def _islands() -> BackendV2:
    return GenericBackendV2(4, coupling_map=[[0, 1], [1, 0], [2, 3], [3, 2]], seed=1)


class _FixedAngles(TransformationPass):
    """Fails without a word on an open angle of two qubits, as AQT's stage does."""

    def run(self, dag):
        for node in dag.two_qubit_ops():
            if any(isinstance(own, ParameterExpression) for own in node.op.params):
                raise TranspilerError("")
        return dag


def test_a_stage_that_takes_no_open_angles_of_two_qubits_gets_them_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = PassManagerStagePluginManager.get_passmanager_stage

    def found(self, name, plugin, *args, **options):
        own = stage(self, name, "default" if plugin == "fixed_angles" else plugin, *args, **options)
        return PassManager([_FixedAngles()]) + own if plugin == "fixed_angles" else own

    monkeypatch.setattr(PassManagerStagePluginManager, "get_passmanager_stage", found)
    device = Described(target_of(*USUAL, (RZZGate(T), LINE), (CZGate(), LINE)))
    monkeypatch.setattr(device, "get_scheduling_stage_plugin", lambda: "fixed_angles", raising=False)
    candidate = _candidate()
    parameters = [*candidate.inputs, *candidate.weights]
    with pytest.raises(TranspilerError):
        transpile(candidate.circuit, device, optimization_level=1)
    isa = Transpiler(device).prepare("mine", candidate.circuit, parameters, [SparsePauliOp("ZZZ")])
    point = dict(zip(parameters, (0.5, -1.0, 2.0, -0.3, 2.5), strict=True))
    small = compact(isa)
    values = [
        Statevector(circuit.assign_parameters({p: point[p] for p in circuit.parameters})).expectation_value(observable).real
        for circuit, observable in ((small.circuit, small.observables[0]), (candidate.circuit, SparsePauliOp("ZZZ")))
    ]
    assert values[0] == pytest.approx(values[1])


class _Staged(GenericBackendV2):
    """A maker's own stage that fails in a way of its own."""

    def get_translation_stage_plugin(self) -> str:
        return "no_such_plugin_of_a_maker"


def _staged() -> BackendV2:
    return _Staged(4, seed=1)


def _pinned() -> BackendV2:
    """The same in a recorded run, which fits circuits to the calibration of its first day."""
    return PinnedDevice(_staged(), calibration_of(_staged().target))


@pytest.mark.parametrize(
    ("device", "reason"), [(_islands, "connected component"), (_staged, "no_such_plugin"), (_pinned, "no_such_plugin")]
)
def test_what_cannot_be_fitted_is_one_line(device: Callable[[], BackendV2], reason: str) -> None:
    backend, candidate = device(), _candidate()
    parameters = [*candidate.inputs, *candidate.weights]
    with pytest.raises(CircuitError) as caught:
        Transpiler(backend).prepare("mine", candidate.circuit, parameters, [SparsePauliOp("ZII")])
    text = str(caught.value)
    assert text.startswith(f"circuit 'mine' does not fit {backend.name} (")
    assert reason in text
    assert "transpile.layout" in text
    assert "\n" not in text


def test_a_device_without_a_gate_for_it_refuses_to_measure_x() -> None:
    device = Described(target_of((RYGate(T), EVERY), (XGate(), EVERY), (CXGate(), LINE)))
    x = Parameter("x")
    circuit = QuantumCircuit(1)
    circuit.ry(x, 0)
    isa = Transpiler(device).prepare("real", circuit, [x], [SparsePauliOp("Y")])
    with pytest.raises(CircuitError, match="observable with Y cannot be measured on a device whose gates are cx, ry, x"):
        rotated(isa.circuit, isa.measurement.bases[0], isa.basis_gates)


def test_fake_cairo_whose_couplers_are_of_two_kinds_takes_a_line() -> None:
    """Qiskit by itself fits it to no seed."""
    device, candidate = find_device("cairo"), _candidate()
    isa = Transpiler(device).prepare("line", candidate.circuit, [*candidate.inputs, *candidate.weights], [SparsePauliOp("ZII")])
    for item in isa.circuit.data:
        wires = tuple(isa.circuit.find_bit(qubit).index for qubit in item.qubits)
        assert device.target.instruction_supported(item.name, wires), item
