import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.providers import BackendV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device import transpile as module
from qlstm_qiskit.hardware.device.compact import active_qubits, compact
from qlstm_qiskit.hardware.device.isa_cache import _digest, cache_folder
from qlstm_qiskit.hardware.device.layout import estimated_success
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler, target_hash
from qlstm_qiskit.hardware.jobs import begun
from tests.hardware.placed import exact, outputs, placed, ring
from tests.speed import slow_but

POINT = np.linspace(-1.0, 2.0, 8)


def prepare(transpiler: Transpiler, n_qubits: int = 3, *, closed: bool = False) -> ISACircuit:
    """Always the same circuit, with parameters that are new objects."""
    circuit, parameters = ring(n_qubits, closed=closed)
    return transpiler.prepare("c", circuit, parameters, outputs(n_qubits))


@pytest.mark.parametrize("level", slow_but([1, 3], range(4)))
@pytest.mark.parametrize("device", ["manila", "torino", "sherbrooke"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_prepared_circuit_has_the_values_of_the_given_one_and_runs_as_it_is(device: str, level: Any, closed: bool) -> None:
    backend = find_device(device)
    transpiler = Transpiler(backend, TranspileSpec(level=level, seeds=2))
    circuit, parameters = ring(4, closed=closed)
    isa = transpiler.prepare("c", circuit, parameters, outputs(4))
    assert isa.qubits == tuple(range(backend.num_qubits))
    assert isa.parameters == tuple(parameters)
    assert set(isa.circuit.parameters) == set(parameters)
    for item in isa.circuit.data:
        wires = tuple(isa.circuit.find_bit(qubit).index for qubit in item.qubits)
        assert backend.target.instruction_supported(item.operation.name, wires)
    small = compact(isa)
    found = exact(small.circuit, small.parameters, small.observables, POINT)
    np.testing.assert_allclose(found, exact(circuit, parameters, outputs(4), POINT), atol=1e-12)


def test_basis_gates_are_the_gates_of_the_device() -> None:
    isa = prepare(Transpiler(find_device("manila")))
    assert isa.basis_gates == {"id", "rz", "sx", "x", "cx"}


def test_nothing_is_transpiled_twice() -> None:
    transpiler = Transpiler(find_device("manila"))
    circuit, parameters = ring(3, closed=False)
    first = transpiler.prepare("a", circuit, parameters, outputs(3))
    assert transpiler.prepare("a", circuit, parameters, outputs(3)) is first
    assert transpiler.count == 1
    other = transpiler.prepare("b", circuit, parameters, outputs(3))
    assert (other.name, other.fingerprint, transpiler.count) == ("b", first.fingerprint, 1)
    transpiler.prepare("a", circuit, parameters, outputs(3)[:1])
    transpiler.prepare("a", circuit, parameters[::-1], outputs(3))
    prepare(transpiler, closed=True)
    assert transpiler.count == 4


def test_the_same_circuit_with_parameters_of_another_making_is_found_and_gets_them() -> None:
    transpiler = Transpiler(find_device("manila"))
    isas = [prepare(transpiler) for _ in range(2)]
    assert transpiler.count == 1
    for isa in isas:
        assert set(isa.circuit.parameters) == set(isa.parameters)
    assert not set(isas[0].parameters) & set(isas[1].parameters)


def test_a_parameter_that_no_gate_uses_may_be_listed() -> None:
    circuit, parameters = ring(2, closed=False)
    idle = Parameter("idle")
    isa = Transpiler(find_device("manila")).prepare("c", circuit, [idle, *parameters], outputs(2))
    assert isa.parameters == (idle, *parameters)
    assert isa.order(np.arange(5.0)[None]).tolist() == [[1.0, 2.0, 3.0, 4.0]]


@pytest.mark.slow
def test_disk_keeps_circuits_between_processes(tmp_path: Path) -> None:
    first = Transpiler(find_device("manila"), cache=tmp_path / "new" / "folder")
    made = prepare(first, closed=True)
    again = Transpiler(find_device("manila"), cache=tmp_path / "new" / "folder")
    read = prepare(again, closed=True)
    assert (first.count, again.count) == (1, 0)
    assert read.fingerprint == made.fingerprint
    assert set(read.circuit.parameters) == set(read.parameters)
    assert again.report(read) == first.report(made)
    np.testing.assert_array_equal(
        exact(read.circuit, read.parameters, read.observables, POINT[:6]),
        exact(made.circuit, made.parameters, made.observables, POINT[:6]),
    )
    script = (
        "import sys; from pathlib import Path; from tests.hardware.test_transpile import *\n"
        "transpiler = Transpiler(find_device('manila'), cache=Path(sys.argv[1]))\n"
        "print(prepare(transpiler, closed=True).fingerprint, transpiler.count)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "new" / "folder")]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert out.split() == [made.fingerprint, "0"]


def damaged(text: str) -> dict[str, bytes]:
    body = json.dumps({"qpy": "AAAA", "observables": [], "report": {}})
    return {
        "cut": text[: len(text) // 2].encode(),
        "empty": b"",
        "flipped": text.replace("fake", "Fake").encode(),
        "of another format": f"{_digest(body)}\n{body}\n".encode(),
        "not text": b"\xff\xfe\x00",
    }


@pytest.mark.parametrize("how", damaged("fake"))
def test_a_damaged_entry_is_made_again(tmp_path: Path, how: str) -> None:
    made = prepare(Transpiler(find_device("manila"), cache=tmp_path))
    (entry,) = tmp_path.iterdir()
    text = entry.read_text()
    entry.write_bytes(damaged(text)[how])
    again = Transpiler(find_device("manila"), cache=tmp_path)
    assert prepare(again).fingerprint == made.fingerprint
    assert again.count == 1
    mended = Transpiler(find_device("manila"), cache=tmp_path)
    assert prepare(mended).fingerprint == made.fingerprint
    assert mended.count == 0


def test_a_folder_that_cannot_be_written_to_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    transpiler = Transpiler(find_device("manila"), cache=tmp_path / "file" / "folder")
    assert prepare(transpiler).circuit.num_qubits == 5
    assert transpiler.count == 1


def recalibrated() -> BackendV2:
    backend = FakeManilaV2()
    backend.target.update_instruction_properties("cx", (0, 1), InstructionProperties(error=0.2, duration=1e-7))
    return backend


@pytest.mark.parametrize(
    "change", [{"level": 1}, {"seed": 1}, {"seeds": 1}, {"layout": (0, 1, 2)}, {"measure_aware": False}, "device", "qiskit"]
)
def test_whatever_changes_the_result_is_part_of_the_key(tmp_path: Path, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(Transpiler(FakeManilaV2(), cache=tmp_path))
    if change == "qiskit":
        monkeypatch.setattr(module, "qiskit_version", "0.0")
    backend = recalibrated() if change == "device" else FakeManilaV2()
    spec = TranspileSpec(**change) if isinstance(change, dict) else TranspileSpec()
    other = Transpiler(backend, spec, cache=tmp_path)
    prepare(other)
    assert other.count == 1


def test_the_hash_of_a_device_is_of_its_content() -> None:
    assert target_hash(FakeManilaV2().target) == target_hash(find_device("manila").target)
    assert target_hash(recalibrated().target) != target_hash(find_device("manila").target)
    slow = copy.deepcopy(FakeManilaV2().target)
    slow.update_instruction_properties("sx", (3,), InstructionProperties(error=slow["sx"][(3,)].error, duration=1e-6))
    assert target_hash(slow) != target_hash(find_device("manila").target)


def test_the_layout_of_the_spec_is_used() -> None:
    transpiler = Transpiler(find_device("torino"), TranspileSpec(layout=(30, 29, 28)))
    isa = prepare(transpiler)
    assert compact(isa).qubits == (28, 29, 30)
    assert transpiler.report(isa).qubits == (30, 29, 28)


@pytest.mark.parametrize(
    ("layout", "message"),
    [((0, 1), "circuit 'c' needs 3 device qubits"), ((0, 1, 5), "the qubits of fake_manila are 0 to 4")],
)
def test_a_layout_that_does_not_fit_is_refused(layout: tuple[int, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prepare(Transpiler(find_device("manila"), TranspileSpec(layout=layout)))


def test_circuits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CircuitError, match="'c' has 6 qubits and fake_manila has 5; choose a larger device"):
        prepare(Transpiler(find_device("manila")), 6)
    circuit, parameters = ring(2, closed=False)
    with pytest.raises(CircuitError, match="has the parameters p3, which are not listed"):
        Transpiler(find_device("manila")).prepare("c", circuit, parameters[:3], outputs(2))


@pytest.mark.parametrize("device", ["manila", "torino", "fez"])
@pytest.mark.parametrize("closed", [False, True])
def test_the_search_is_no_worse_than_one_by_qiskit(device: str, closed: bool) -> None:
    backend = find_device(device)
    circuit, parameters = ring(4, closed=closed)
    transpiler = Transpiler(backend)
    isa = transpiler.prepare("c", circuit, parameters, outputs(4))
    report = transpiler.report(isa)
    stock = placed(backend, circuit, parameters, outputs(4))
    theirs = estimated_success(stock.circuit, backend.target, compact(stock).qubits)
    assert report.success == pytest.approx(estimated_success(isa.circuit, backend.target, report.qubits), rel=1e-12)
    assert report.success >= theirs
    assert len(set(report.qubits)) == 4


def test_qubits_with_bad_readout_are_avoided_where_layouts_know_of_it() -> None:
    backend = FakeManilaV2()
    for qubit in (0, 1, 2):
        backend.target.update_instruction_properties("measure", (qubit,), InstructionProperties(error=0.4, duration=1e-6))
    backend.target.update_instruction_properties("cx", (3, 4), InstructionProperties(error=0.02, duration=1e-7))
    backend.target.update_instruction_properties("cx", (4, 3), InstructionProperties(error=0.02, duration=1e-7))
    chosen = {}
    for aware in (True, False):
        transpiler = Transpiler(backend, TranspileSpec(measure_aware=aware))
        chosen[aware] = set(transpiler.report(prepare(transpiler, 2)).qubits)
    assert chosen[True] == {3, 4}
    assert chosen[False] != {3, 4}


@pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk")
def test_the_report_says_what_a_ring_costs_where_the_device_has_none() -> None:
    transpiler = Transpiler(find_device("torino"))
    linear = transpiler.report(prepare(transpiler, 4))
    assert (linear.name, linear.device, linear.two_qubit_gates, linear.swaps, linear.warning) == (
        "c",
        "fake_torino",
        (3, 3),
        0,
        None,
    )
    cyclic = transpiler.report(prepare(transpiler, 4, closed=True))
    assert cyclic.two_qubit_gates[0] == 4
    assert cyclic.two_qubit_gates[1] == 4 + 3 * cyclic.swaps
    assert cyclic.two_qubit_depth[0] == 4
    assert cyclic.depth[1] > cyclic.depth[0]
    assert "closes a ring of 4 qubits, which fake_torino does not have" in str(cyclic.warning)
    lattice = Transpiler(find_device("nighthawk"))
    assert lattice.report(prepare(lattice, 4, closed=True)).warning is None


def test_swaps_without_a_ring_are_reported_too() -> None:
    circuit = QuantumCircuit(5)
    for qubit in range(1, 5):
        circuit.cx(0, qubit)
    circuit.cx(0, 1)
    transpiler = Transpiler(find_device("manila"))
    report = transpiler.report(transpiler.prepare("star", circuit, [], outputs(5)))
    assert report.swaps > 0
    assert "couplings do not follow the circuit's" in str(report.warning)


def test_a_qubit_that_does_nothing_has_no_place() -> None:
    circuit = QuantumCircuit(3)
    circuit.cx(0, 2)
    transpiler = Transpiler(find_device("fez"))
    observable = SparsePauliOp.from_sparse_list([("Z", [2], 1.0)], 3)
    report = transpiler.report(transpiler.prepare("c", circuit, [], [observable]))
    assert report.qubits[1] == -1
    assert len({*report.qubits}) == 3


@pytest.mark.parametrize("backend", [AerSimulator(), GenericBackendV2(4, seed=1)], ids=["simulator", "generic"])
def test_devices_without_couplings_take_circuits_as_well(backend: BackendV2) -> None:
    transpiler = Transpiler(backend)
    circuit, parameters = ring(4, closed=True)
    isa = transpiler.prepare("c", circuit, parameters, outputs(4))
    small = compact(isa)
    found = exact(small.circuit, small.parameters, small.observables, POINT)
    np.testing.assert_allclose(found, exact(circuit, parameters, outputs(4), POINT), atol=1e-12)
    assert transpiler.report(isa).swaps == 0


def test_the_folder_for_the_cache_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("QLSTM_CACHE")
    assert cache_folder().parts[-2:] == ("qlstm_qiskit", "isa")


def test_folders_are_where_the_system_keeps_such_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("QLSTM_CACHE", "QLSTM_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    assert cache_folder() == tmp_path / caches / "qlstm_qiskit" / "isa"
    assert begun.state_folder().parent == tmp_path / ".local" / "state" / "qlstm_qiskit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert cache_folder() == tmp_path / "cache" / "qlstm_qiskit" / "isa"
    assert begun.state_folder().parent == tmp_path / "state" / "qlstm_qiskit"


@pytest.mark.parametrize("letter", ["X", "Z"])
@pytest.mark.parametrize("gate", ["cz", "rz", "rzz"])
def test_diagonal_gates_at_the_end_count_for_the_layout(gate: str, letter: str) -> None:
    """Qiskit drops them where they are measured in Z, and with them the couplers that the circuit needs."""
    n_qubits, circuit = 6, QuantumCircuit(6)
    parameters = ParameterVector("w", n_qubits)
    for qubit in range(n_qubits):
        circuit.ry(parameters[qubit], qubit)
    for qubit in range(n_qubits - 1):
        circuit.rzz(0.3, qubit, qubit + 1) if gate == "rzz" else circuit.cz(qubit, qubit + 1)
    if gate == "rz":
        circuit.rz(0.3, range(n_qubits))
    observables = [SparsePauliOp.from_sparse_list([(letter, [qubit], 1.0)], n_qubits) for qubit in range(n_qubits)]
    transpiler = Transpiler(find_device("fez"))
    isa = transpiler.prepare("chain", circuit, list(parameters), observables)
    report = transpiler.report(isa)
    assert report.swaps == 0
    assert len(active_qubits(isa.circuit, isa.observables)) == n_qubits
    assert isa.circuit.num_nonlocal_gates() <= (10 if gate == "rzz" else 5)
    small, point = compact(isa), POINT[:n_qubits]
    found = exact(small.circuit, small.parameters, small.observables, point)
    np.testing.assert_allclose(found, exact(circuit, list(parameters), observables, point), atol=1e-12)
