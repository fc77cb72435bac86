"""Aer as an executor: exact values, statistics of shots, noise, readout."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator

from qlstm_qiskit.circuits import GENERATORS
from qlstm_qiskit.circuits.gates import LIBRARY
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.contract.measurement import read_out
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.readout import readout_errors
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.executors import aer
from qlstm_qiskit.hardware.executors.aer import AerExecutor, prepare_for_aer

P = ParameterVector("p", 3)


def entangled() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(P[qubit], qubit)
    circuit.cx(0, 1)
    circuit.rx(0.4, 1)
    circuit.cx(1, 2)
    return circuit


OBSERVABLES = [SparsePauliOp("IIZ"), SparsePauliOp(["XYI", "ZII", "III"], [0.5, -1.5, 0.25]), SparsePauliOp("III", [2.0])]


def oracle(circuit: QuantumCircuit, values: np.ndarray) -> np.ndarray:
    states = [Statevector(circuit.assign_parameters(dict(zip(P, row, strict=True)))) for row in values]
    return np.array([[state.expectation_value(o).real for o in OBSERVABLES] for state in states])


def values(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3))


def isa() -> ISACircuit:
    return prepare_for_aer("entangled", entangled(), tuple(P), OBSERVABLES)


@pytest.mark.parametrize("method", [None, "density_matrix", "matrix_product_state"])
def test_exact_values_in_several_bases(method: str | None) -> None:
    sets = values(5)
    (result,) = AerExecutor(method=method).expect([Request(isa(), sets)])
    np.testing.assert_allclose(result, oracle(entangled(), sets), rtol=0, atol=1e-12)


def test_more_sets_than_one_call_of_aer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aer, "_ROWS", 4)
    sets = values(11)
    (result,) = AerExecutor().expect([Request(isa(), sets)])
    np.testing.assert_allclose(result, oracle(entangled(), sets), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*GENERATORS, "u", "cu", "r"])
def test_every_parameterised_gate_is_bound_rightly(name: str) -> None:
    """Aer 0.18 binds the parameters of controlled rotations wrongly; circuits are opened before it sees them."""
    p = ParameterVector("q", {"u": 3, "cu": 4, "r": 2}.get(name, 1))
    gate = LIBRARY[name](*p)
    circuit = QuantumCircuit(2)
    for qubit in range(2):
        circuit.ry(0.3 + qubit, qubit)
        circuit.rz(0.4 + qubit, qubit)
    circuit.append(gate, range(gate.num_qubits))
    circuit.rx(0.7, 0)
    circuit.ry(0.9, 1)
    sets = np.random.default_rng(1).normal(size=(2, len(p)))
    observable = SparsePauliOp(["ZI", "IZ", "XY"], [1.0, 2.0, 0.5])
    (result,) = AerExecutor().expect([Request(prepare_for_aer(name, circuit, tuple(p), [observable]), sets)])
    for row, value in zip(sets, result[:, 0], strict=True):
        state = Statevector(circuit.assign_parameters(dict(zip(p, row, strict=True))))
        assert value == pytest.approx(state.expectation_value(observable).real, abs=1e-12)


def test_constants_and_circuits_without_parameters() -> None:
    bare = QuantumCircuit(1)
    bare.h(0)
    observables = [SparsePauliOp("X"), SparsePauliOp("I", [3.0])]
    circuit = prepare_for_aer("bare", bare, (), observables)
    only = prepare_for_aer("constant", bare, (), observables[1:])
    results = AerExecutor().expect([Request(circuit, np.zeros((4, 0))), Request(only, np.zeros((2, 0)))])
    np.testing.assert_allclose(results[0], [[1.0, 3.0]] * 4, atol=1e-12)
    np.testing.assert_array_equal(results[1], [[3.0]] * 2)


@pytest.mark.slow
def test_shots_have_the_variance_of_shots_and_every_job_its_own_noise() -> None:
    circuit = QuantumCircuit(1)
    circuit.ry(P[0], 0)
    request = Request(ISACircuit("one", circuit, (P[0],), (SparsePauliOp("Z"),)), np.full((4000, 1), 1.1))
    executor = AerExecutor(shots=200, seed=5)
    first, second = (executor.expect([request])[0][:, 0] for _ in range(2))
    assert not np.array_equal(first, second)
    for sample in (first, second):
        variance = (1 - np.cos(1.1) ** 2) / 200
        assert sample.mean() == pytest.approx(np.cos(1.1), abs=5 * np.sqrt(variance / 4000))
        assert sample.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / 4000))
        counts = (1 - sample) * 100
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)  # whole numbers of shots
    again = AerExecutor(shots=200, seed=5)
    assert np.array_equal(again.expect([request])[0][:, 0], first)
    assert np.array_equal(again.expect([request])[0][:, 0], second)
    unseeded = [AerExecutor(shots=200).expect([request])[0] for _ in range(2)]
    assert not np.array_equal(*unseeded)


def test_observables_of_one_circuit_come_from_the_same_shots() -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    request = Request(ISACircuit("bell", circuit, (), (SparsePauliOp("IZ"), SparsePauliOp("ZI"))), np.zeros((50, 0)))
    (result,) = AerExecutor(shots=64, seed=1).expect([request])
    assert np.array_equal(result[:, 0], result[:, 1])
    assert np.any(result)


def test_reading_out_is_a_matrix_on_each_bit() -> None:
    errors = np.array([[[0.9, 0.3], [0.1, 0.7]], [[0.95, 0.2], [0.05, 0.8]]])  # [qubit, read, true]
    true = np.array([[0.1, 0.2, 0.3, 0.4]])
    expected = np.zeros(4)
    for read in range(4):
        for outcome in range(4):
            both = errors[0, read & 1, outcome & 1] * errors[1, read >> 1, outcome >> 1]
            expected[read] += both * true[0, outcome]
    np.testing.assert_allclose(read_out(true, errors)[0], expected, atol=1e-15)


@pytest.mark.slow
def test_noise_is_that_of_aer_on_the_whole_device() -> None:
    """Gates and readout, against AerSimulator.from_backend with many shots; within 5 standard errors."""
    device = find_device("manila")
    prepared = Transpiler(device).prepare("entangled", entangled(), tuple(P), OBSERVABLES[:1])
    sets, shots = values(3, seed=2), 100_000
    (result,) = AerExecutor(noise=device.target).expect([Request(compact(prepared), sets)])
    simulator = AerSimulator.from_backend(device, method="density_matrix")
    (qubit,) = [q for q in range(5) if prepared.observables[0].paulis.z[0, q]]
    for row, value in zip(sets, result[:, 0], strict=True):
        bound = prepared.circuit.assign_parameters(dict(zip(P, row, strict=True)))
        measured = QuantumCircuit(5, 1).compose(bound)
        measured.measure(qubit, 0)
        counts = simulator.run(measured, shots=shots, seed_simulator=3).result().get_counts()
        mean = (counts.get("0", 0) - counts.get("1", 0)) / shots
        assert value == pytest.approx(mean, abs=5 / np.sqrt(shots))


def test_readout_errors_can_be_left_out() -> None:
    device = find_device("manila")
    circuit = QuantumCircuit(1)
    circuit.ry(P[0], 0)
    prepared = compact(Transpiler(device).prepare("one", circuit, (P[0],), [SparsePauliOp("Z")]))
    request = Request(prepared, np.zeros((1, 1)))
    with_errors, without = (AerExecutor(noise=device.target, readout=flag).expect([request])[0][0, 0] for flag in (True, False))
    ((keep, flip), (_, _)) = readout_errors(device.target, prepared.qubits)[0]
    mean = (1 + without) / 2
    assert with_errors == pytest.approx(2 * (keep * mean + flip * (1 - mean)) - 1, abs=1e-12)
    assert without > with_errors
