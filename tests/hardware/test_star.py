"""A device whose maker's stage puts in gates and a qubit that its target does not have: every way leads to that stage."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.certify.suite import certify_backend
from qlstm_qiskit.hardware.contract.executor import Request
from qlstm_qiskit.hardware.device.fit import goes_beyond
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.jobs.pinned import PinnedDevice, calibration_of
from tests.hardware.star import Star, StarTarget, entry, installed, near

ANGLES = np.array([[0.4], [2.1]])
THETA = Parameter("theta")
OBSERVABLES = [SparsePauliOp("IIZ"), SparsePauliOp("IXI"), SparsePauliOp("YZI")]


@pytest.fixture(autouse=True)
def _stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path / "cache"))
    with installed():
        yield


def chain() -> QuantumCircuit:
    circuit = QuantumCircuit(3, name="chain")
    circuit.ry(THETA, 0)
    circuit.ry(0.7, 1)
    circuit.rx(1.1, 2)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.rx(0.3, 1)
    return circuit


def exact() -> np.ndarray:
    states = [Statevector(chain().assign_parameters(own)) for own in ANGLES]
    return np.array([[state.expectation_value(item).real for item in OBSERVABLES] for state in states])


def test_loose_bits_are_what_the_stage_does_not_know() -> None:
    """That the imitation is as demanding as the real one."""
    circuit = QuantumCircuit(2)
    circuit.add_bits(QuantumCircuit(0, 1).clbits)
    circuit.measure(0, 0)
    with pytest.raises(IndexError):
        transpile(circuit, Star())


def test_a_recorded_run_is_fitted_by_the_stage_and_answered_from_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = Star()
    monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
    found = []
    for _ in range(2):
        backend = load_backend(BackendSpec.model_validate(entry()), record=tmp_path / "run")
        isa = backend.prepare("chain", chain(), [THETA], OBSERVABLES)
        assert goes_beyond(isa.circuit, device.target)
        found.append(backend.executor.expect([Request(isa, ANGLES)])[0])
        backend.close()
    near(found[0], exact())
    np.testing.assert_array_equal(*found)
    assert len(device.seen) == len(ANGLES) * len(isa.measurement.bases)
    assert all("move" in circuit.count_ops() for circuit in device.seen)


@pytest.mark.parametrize("figure", [None, 0.25])
def test_a_calibration_of_another_day_keeps_the_stage(figure: float | None) -> None:
    """Its class and what its maker has added, which a copy of Qiskit's leaves behind."""
    pinned = PinnedDevice(Star(error=0.01), calibration_of(Star(error=figure).target))
    assert isinstance(pinned.target, StarTarget)
    own = pinned.target["cz"][(0, 1)]
    assert (own.error if own is not None else None) == figure
    assert "move" in Transpiler(pinned).prepare("chain", chain(), [THETA], OBSERVABLES).circuit.count_ops()


def test_other_couplers_than_were_recorded_cannot_be_made_again() -> None:
    with pytest.raises(LedgerError, match="star has other gates or couplers than those .* new run folder"):
        PinnedDevice(Star(5), calibration_of(Star(6).target))


def test_what_the_target_does_not_have_is_neither_moved_nor_judged() -> None:
    transpiler = Transpiler(Star())
    isa = transpiler.prepare("chain", chain(), [THETA], OBSERVABLES)
    report = transpiler.report(isa)
    assert math.isnan(report.success)
    assert isa.circuit.num_qubits == 6
    assert all(0 <= qubit < 5 for qubit in report.qubits)
    fresh = Transpiler(Star()).prepare("chain", chain(), [THETA], OBSERVABLES)
    assert fresh.fingerprint == isa.fingerprint


def test_the_suite_passes_and_says_that_there_is_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Star()
    monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
    found = certify_backend(BackendSpec.model_validate(entry(900)))
    assert found.first_failing is None, found.first_failing
    checks = {check.name: check for check in found.checks}
    assert checks["parameters kept by transpilation"].here.cause == "Qiskit has no matrix of move"
    assert checks["values"].here.result == "passed"
    assert checks["order of qubits and bits"].raw.cause == "zeros without memory"
    json.dumps(found.facts())


def test_a_barrier_before_the_measurements_for_a_layout_passes_the_stage() -> None:
    circuit = QuantumCircuit(3)
    circuit.ry(THETA, range(3))
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    observables = [SparsePauliOp("IIX"), SparsePauliOp("XII")]
    isa = Transpiler(Star()).prepare("chain", circuit, [THETA], observables)
    assert {name: isa.circuit.count_ops()[name] for name in ("move", "cz")} == {"move": 4, "cz": 2}
