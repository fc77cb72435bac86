"""What a calibration says against the values is found, and said once by whatever prepares circuits."""

from __future__ import annotations

import warnings

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CZGate, RXGate, RZGate
from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.errors import QLSTMWarning
from qlstm_qiskit.hardware import BackendSpec, load_backend, plan_backend
from qlstm_qiskit.hardware.check import check_backend
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.device.health import LOW, Health, doubt
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.space import Candidate, SearchSpace


class Line(BackendV2):
    """Qubits in a line, with errors as they are given."""

    def __init__(self, couplers: list[float | None], readout: list[float | None] | None = None, t1: float = 1e-4) -> None:
        super().__init__(name="line")
        n = len(couplers) + 1
        self._target = Target(num_qubits=n, qubit_properties=[QubitProperties(t1=t1, t2=1e-4) for _ in range(n)])
        for gate in (RXGate(Parameter("a")), RZGate(Parameter("b"))):
            self._target.add_instruction(gate, {(q,): InstructionProperties(error=1e-4) for q in range(n)})
        self._target.add_instruction(
            CZGate(), {(q, q + 1): InstructionProperties(error=error) for q, error in enumerate(couplers)}
        )
        errors = readout or [0.01] * n
        self._target.add_instruction(Measure(), {(q,): InstructionProperties(error=e) for q, e in enumerate(errors)})

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: object, **options: object) -> None:
        raise NotImplementedError


def said(device: BackendV2, n_qubits: int = 2) -> str | None:
    transpiler = Transpiler(device)
    circuit = QuantumCircuit(n_qubits)
    theta = Parameter("theta")
    circuit.rx(theta, 0)
    for qubit in range(n_qubits - 1):
        circuit.cz(qubit, qubit + 1)
    observables = [SparsePauliOp.from_sparse_list([("Z", [q], 1.0)], n_qubits) for q in range(n_qubits)]
    return doubt(transpiler, transpiler.prepare("c", circuit, [theta], observables))


NAN = float("nan")
DEVICES = [
    (Line([0.01, 0.01]), None),
    (Line([None, None], [None, None, None]), None),  # a device that says nothing of its errors
    (Line([1.0, 0.01]), None),  # there is another coupler
    (Line([1.0, 1.0]), "the estimated success is 0; 2 of 2 couplers are marked dead"),
    (Line([NAN, 1.5]), "2 of 2 couplers are marked dead"),
    (Line([0.95]), f"the estimated success is below {LOW:g}"),
    (Line([0.01], [0.5, 0.01]), "qubit 0 is read wrongly half of the time or more"),
    (Line([0.01], [0.01, NAN]), "qubit 1 is read wrongly"),
    (Line([0.01], t1=0.0), "qubits 0, 1 have T1 = 0"),
    (Line([0.01, None]), "counted as perfect: cz on 1-2"),
    (Line([0.01], [0.01, None]), "counted as perfect: measure on 1"),
]


@pytest.mark.parametrize(("device", "message"), DEVICES)
def test_what_speaks_against_a_circuit(device: BackendV2, message: str | None) -> None:
    found = said(device)
    assert found is None if message is None else message in (found or "")
    assert message is None or (found or "").startswith("line: ")


def test_facts_of_whole_devices() -> None:
    kyoto, fez = (Health.of(find_device(name).target) for name in ("kyoto", "fez"))
    assert (kyoto.couplers, len(kyoto.dead)) == (144, 144)
    assert (fez.couplers, len(fez.dead)) == (176, 7)
    errors = find_device("fez").target["cz"]
    assert all(errors[pair].error == 1 for pair in fez.dead)
    assert Health.of(find_device("manila").target).sentences() == []


def test_circuits_go_round_dead_couplers_where_a_way_is_left() -> None:
    """Nothing transpiled for all of Manhattan fits among its living couplers, a third of which are dead."""
    device, n = find_device("manhattan"), 12
    circuit = QuantumCircuit(n)
    for qubit in range(n - 1):
        circuit.cx(qubit, qubit + 1)
    isa = Transpiler(device, TranspileSpec(seeds=1)).prepare("line", circuit, [], [SparsePauliOp("Z" * n)])
    errors = [device.target[i.name][tuple(isa.circuit.find_bit(q).index for q in i.qubits)].error for i in isa.circuit.data]
    assert max(errors) < 1
    assert "cx" in isa.circuit.count_ops()


def candidate() -> Candidate:
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(2, name="entangled")
    circuit.ry(x, 0)
    circuit.cx(0, 1)
    circuit.ry(w, 0)
    return SearchSpace.from_circuits([circuit], inputs=[x]).candidates()[0]


KYOTO = BackendSpec(name="k", kind="fake", device="kyoto", shots=100)


@pytest.mark.parametrize(
    "spec", [KYOTO, BackendSpec.model_validate({"name": "n", "kind": "aer", "noise": {"device": "kyoto"}})], ids=["fake", "aer"]
)
def test_a_dead_device_is_named_once(spec: BackendSpec) -> None:
    backend = load_backend(spec, seed=1)
    with pytest.warns(QLSTMWarning, match="fake_kyoto: the estimated success is 0; 144 of 144 couplers .*'entangled'"):
        backend.bank([candidate()])
    with warnings.catch_warnings():
        warnings.simplefilter("error", QLSTMWarning)
        bank = backend.bank([candidate()])
        bank.bind(torch.zeros(1, 1, dtype=torch.float64))(torch.zeros(1, 1, dtype=torch.float64))
    with pytest.warns(QLSTMWarning, match="fake_kyoto"):
        load_backend(spec).estimator().run([(QuantumCircuit(2).compose(bell(), [0, 1]), SparsePauliOp("ZZ"))])


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_a_plan_and_a_check_say_it_too() -> None:
    with pytest.warns(QLSTMWarning, match="fake_kyoto"):
        plan_backend(KYOTO).bank([candidate()])
    assert check_backend(KYOTO)["calibration"] == "144 of 144 couplers are marked dead (error 1)"
    with warnings.catch_warnings():
        warnings.simplefilter("error", QLSTMWarning)
        good = load_backend(BackendSpec(name="m", kind="fake", device="fez", shots=100))
        good.bank([candidate()])
