"""A pinned device gives the circuits of the day when it was pinned."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.hardware.devices import find_device
from qlstm_qiskit.hardware.layout import ErrorMap
from qlstm_qiskit.hardware.ledger import Ledger
from qlstm_qiskit.hardware.pinned import PinnedDevice, calibration_of
from qlstm_qiskit.hardware.transpile import Transpiler, target_hash


def line(n_qubits: int) -> tuple[QuantumCircuit, tuple, list[SparsePauliOp]]:
    p = ParameterVector("p", n_qubits)
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit.ry(p[qubit], qubit)
    for qubit in range(n_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit, tuple(p), [SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], n_qubits)]


@pytest.mark.parametrize("name", ["manila", "fez", "sherbrooke"])
def test_a_calibration_survives_being_written_down(name: str) -> None:
    device = find_device(name)
    pinned = PinnedDevice(device, calibration_of(device.target))
    assert calibration_of(pinned.target) == calibration_of(device.target)
    assert target_hash(PinnedDevice(device, calibration_of(pinned.target)).target) == target_hash(pinned.target)
    circuit, parameters, observables = line(3)
    ours, oracle = (Transpiler(d).prepare("line", circuit, parameters, observables) for d in (pinned, device))
    assert ours.fingerprint == oracle.fingerprint


def test_a_new_calibration_does_not_change_the_circuits_of_a_run() -> None:
    device = find_device("fez")
    before = calibration_of(device.target)
    circuit, parameters, observables = line(4)
    first = Transpiler(PinnedDevice(device, before)).prepare("line", circuit, parameters, observables)
    used = {first.circuit.find_bit(qubit).index for item in first.circuit.data for qubit in item.qubits}
    changed = PinnedDevice(device, before)
    for qubits, properties in list(changed.target["cz"].items()):
        if set(qubits) & used:
            properties.error = 0.4
            changed.target.update_instruction_properties("cz", qubits, properties)
    other = Transpiler(changed).prepare("line", circuit, parameters, observables)
    assert other.fingerprint != first.fingerprint, "today's device has a better place"
    again = Transpiler(PinnedDevice(changed, before)).prepare("line", circuit, parameters, observables)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(ErrorMap(PinnedDevice(changed, before).target).linked, ErrorMap(device.target).linked)


def test_the_record_keeps_what_came_first(tmp_path) -> None:
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        assert ledger.pinned("train", "first") == "first"
        assert ledger.pinned("train", "second") == "first"
        assert ledger.pinned("evaluate", "second") == "second"
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        assert ledger.pinned("train", "third") == "first"
