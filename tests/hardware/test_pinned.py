"""A pinned device gives the circuits of the day when it was pinned."""

import copy
import time
import warnings
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.errors import LedgerError, OptionError
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.device.layout import ErrorMap
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler, target_hash
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.pinned import PinnedDevice, calibration_of
from tests.hardware.mock_service import Server, install


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
    assert target_hash(pinned.target) == target_hash(device.target)
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


class Named(Target):
    """A maker's own, which wants a name."""

    def __new__(cls, name: str, **known: object) -> "Named":
        return super().__new__(cls, **known)


def test_a_makers_target_that_cannot_be_copied_is_no_damage() -> None:
    def device(error: float) -> GenericBackendV2:
        own = GenericBackendV2(2, seed=1, noise_info=True, control_flow=False)
        target = Named("lab", num_qubits=2)
        for name in ("sx", "rz", "cx", "measure"):
            known = own.target[name]
            rows = {qubits: InstructionProperties(error=error, duration=1e-8) for qubits in known}
            target.add_instruction(own.target.operation_from_name(name), rows)
        own._target, own.name = target, "lab"
        return own

    then = calibration_of(device(0.01).target)
    with pytest.raises(TypeError):
        copy.deepcopy(device(0.01).target)
    assert calibration_of(PinnedDevice(device(0.01), then).target) == then, "nothing has changed"
    with pytest.raises(LedgerError, match="lab was calibrated since .* Named cannot be remade .* in a new run folder") as told:
        PinnedDevice(device(0.02), then)
    assert "damaged" not in str(told.value)


def test_the_record_keeps_what_came_first(tmp_path) -> None:
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        first = ledger.pinned("train", "fez", "first")
        assert first[0] == "first"
        assert ledger.pinned("train", "fez", "second", timedelta(days=1)) == first
        assert ledger.pinned("evaluate", "fez", "second")[0] == "second"
        assert ledger.pinned("train", "torino", "other")[0] == "other"
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        assert ledger.pinned("train", "fez", "third") == first
        entry = ledger.prepare("train", 0, "r", "ibm", "fez", "{}", 1, 1, 1)
        assert ledger.pinned("train", "fez", "fourth", timedelta(0)) == first, "a job is under way"
        ledger.ended(entry, "failed", "it failed")
        time.sleep(0.002)
        assert ledger.pinned("train", "fez", "fourth", timedelta(0))[0] == "fourth"


def test_an_instruction_that_is_gone_is_named() -> None:
    with pytest.raises(LedgerError, match=r"fake_fez no longer has the instruction 'ecr', .* start in a new run folder"):
        PinnedDevice(find_device("fez"), calibration_of(find_device("sherbrooke").target))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(tmp_path / "service")
    install(server, monkeypatch)
    monkeypatch.setenv("MY_TOKEN", "a-token")
    return server


def measure(record: Path, device: str | None, ordered: bool) -> None:
    """Load a backend, and ask it for one expectation value."""
    spec = BackendSpec(name="qpu", kind="ibm", token_env="MY_TOKEN", device=device, shots=16)
    backend = load_backend(spec, record=record, run="work", ordered=ordered)
    assert isinstance(backend, PrimitiveBackend)
    circuit, parameters, observables = line(2)
    with closing(backend), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        backend.estimator().run([(circuit, observables, np.zeros(len(parameters)))]).result()


def devices(server: Server) -> list[str]:
    return [server.job(entry["job"])["backend"] for entry in server.log()]


def test_ordered_work_stays_where_it_was_begun(server: Server, tmp_path: Path) -> None:
    measure(tmp_path, "ibm_small", ordered=True)
    with pytest.raises(LedgerError, match=r"'work' was begun on ibm_small, and backend qpu is ibm_smaller now. Set device"):
        measure(tmp_path, "ibm_smaller", ordered=True)
    measure(tmp_path, None, ordered=True)  # the other one is less busy
    assert devices(server) == ["ibm_small"]


def test_other_work_goes_to_any_device_and_is_measured_afresh_each_day(server: Server, tmp_path: Path) -> None:
    for device in ("ibm_small", "ibm_smaller", "ibm_small", "ibm_smaller", None):
        measure(tmp_path, device, ordered=False)
    assert devices(server) == ["ibm_small", "ibm_smaller"]
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        ledger._execute("UPDATE pins SET made = '2020-01-01'", ())
        ledger._execute("UPDATE jobs SET created = '2020-01-02'", ())
        done = ledger.entry(1)
        ledger._update(done, status="submitted")
    measure(tmp_path, "ibm_small", ordered=False)
    assert devices(server) == ["ibm_small", "ibm_smaller"], "a job that is under way is waited for"
    measure(tmp_path, "ibm_small", ordered=False)
    measure(tmp_path, "ibm_small", ordered=False)
    assert devices(server) == ["ibm_small", "ibm_smaller", "ibm_small"]
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        ledger._execute("UPDATE jobs SET created = '2020-01-02'", ())
    measure(tmp_path, None, ordered=False)
    assert devices(server)[3:] == ["ibm_smaller"], "the device of another day is not asked for"


def test_nothing_is_made_where_the_login_fails(tmp_path: Path) -> None:
    spec = BackendSpec(name="qpu", kind="ibm", token_env="NOT_SET_ANYWHERE")
    with pytest.raises(OptionError, match="NOT_SET_ANYWHERE is not set"):
        load_backend(spec, record=tmp_path / "record")
    assert not (tmp_path / "record").exists()
