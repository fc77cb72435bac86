import warnings
from collections import Counter

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Measure
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime import SamplerV2

from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device.compact import (
    active_qubits,
    compact,
    compact_backend,
    compact_together,
    noise_model,
    sub_target,
)
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.readout import noise_target, readout_errors
from tests.hardware.placed import exact, noisy, outputs, placed, ring, values
from tests.speed import slow_but

POINT = np.linspace(-1.0, 2.0, 8)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("device", ["fez", "torino", "manila"])
def test_compact_circuits_have_the_values_of_the_circuit_before_transpilation(device: str, closed: bool) -> None:
    circuit, parameters = ring(4, closed=closed)
    isa = placed(find_device(device), circuit, parameters, outputs(4))
    small = compact(isa)
    assert 4 <= small.circuit.num_qubits <= 5
    assert small.parameters == isa.parameters
    expected = exact(circuit, parameters, outputs(4), POINT)
    np.testing.assert_allclose(exact(small.circuit, small.parameters, small.observables, POINT), expected, atol=1e-12)


def test_qubits_are_those_of_the_device_and_compacting_again_changes_nothing() -> None:
    circuit, parameters = ring(3, closed=False)
    isa = placed(find_device("fez"), circuit, parameters, outputs(3))
    small = compact(isa)
    assert small.qubits == active_qubits(isa.circuit, isa.observables)
    assert compact(small).fingerprint == small.fingerprint
    edges = {tuple(small.qubits[small.circuit.find_bit(q).index] for q in item.qubits) for item in small.circuit.data}
    assert edges == {tuple(isa.circuit.find_bit(q).index for q in item.qubits) for item in isa.circuit.data}


def test_a_qubit_that_is_only_measured_is_kept_and_one_behind_a_barrier_is_not() -> None:
    circuit = QuantumCircuit(5, global_phase=0.5)
    circuit.x(3)
    circuit.barrier()
    observables = (SparsePauliOp.from_sparse_list([("ZY", [3, 1], 0.5), ("", [], 2.0)], 5),)
    small = compact(ISACircuit("c", circuit, (), observables, (10, 11, 12, 13, 14)))
    assert small.qubits == (11, 13)
    assert small.observables[0].to_sparse_list() == [("YZ", [0, 1], 0.5), ("", [], 2.0)]
    assert [item.name for item in small.circuit.data] == ["x"]
    assert small.circuit.global_phase == 0.5


def test_circuits_without_a_device_stay_without() -> None:
    circuit = QuantumCircuit(3)
    circuit.x(2)
    small = compact(ISACircuit("c", circuit, (), (SparsePauliOp("ZII"),)))
    assert small.qubits == ()
    assert small.circuit.num_qubits == 1


def test_together_they_are_on_the_union_of_their_qubits() -> None:
    fez = find_device("fez")
    isas = [placed(fez, *ring(n, closed=closed), outputs(n)) for n, closed in ((3, False), (4, True), (2, False))]
    together = compact_together([isas[0], compact(isas[1]), isas[2]])
    used = sorted({qubit for isa in isas for qubit in compact(isa).qubits})
    assert [isa.qubits for isa in together] == [tuple(used)] * 3
    for isa, small in zip(isas, together, strict=True):
        assert compact(small).fingerprint == compact(isa).fingerprint


def test_the_part_of_a_target_has_its_numbers() -> None:
    target = find_device("torino").target
    qubits = (81, 80, 92)
    part = sub_target(target, qubits)
    assert part.num_qubits == 3
    assert part.dt == target.dt
    assert set(part.operation_names) == set(target.operation_names)
    assert set(part["cz"]) == {(i, j) for i in range(3) for j in range(3) if (qubits[i], qubits[j]) in target["cz"]}
    assert len(part["cz"]) == 4
    for name in ("cz", "sx", "measure", "rz"):
        for key, properties in part[name].items():
            assert properties == target[name][tuple(qubits[q] for q in key)]
    assert [p.t1 for p in part.qubit_properties] == [target.qubit_properties[q].t1 for q in qubits]


@pytest.mark.parametrize("n_qubits", slow_but([3], [2, 3, 4]))
def test_noise_on_a_part_is_that_of_the_whole_device(n_qubits: int) -> None:
    manila = find_device("manila")
    circuit, parameters = ring(n_qubits, closed=False)
    isa = placed(manila, circuit, parameters, outputs(n_qubits))
    small = compact(isa)
    assert small.circuit.num_qubits == n_qubits
    point = POINT[: 2 * n_qubits]
    expected = noisy(isa, NoiseModel.from_backend(manila, readout_error=False), point)
    assert np.abs(expected - exact(circuit, parameters, outputs(n_qubits), point)).max() > 1e-3
    found = noisy(small, noise_model(manila.target, small.qubits), point)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_readout_errors_are_those_that_aer_takes() -> None:
    manila = find_device("manila")
    found = readout_errors(manila.target, range(5))
    known = dict(NoiseModel.from_backend(manila)._local_readout_errors)
    for qubit in range(5):
        np.testing.assert_allclose(found[qubit].T, known[(qubit,)].probabilities, atol=1e-15)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_rates_of_both_wrong_bits_are_told_apart_where_the_target_has_them() -> None:
    class Rates(InstructionProperties):
        prob_meas1_prep0, prob_meas0_prep1 = 0.1, 0.3

    target = Target(num_qubits=2)
    target.add_instruction(Measure(), {(0,): Rates(error=0.2), (1,): None})
    np.testing.assert_allclose(readout_errors(target, [1, 0]), [np.eye(2), [[0.9, 0.3], [0.1, 0.7]]])
    assert np.array_equal(readout_errors(Target(num_qubits=1), [0]), [np.eye(2)])


def test_a_compact_device_samples_what_aer_samples_of_the_whole() -> None:
    manila = find_device("manila")
    circuit, parameters = ring(3, closed=False)
    isa = placed(manila, circuit, parameters, outputs(3)[:3])
    small = compact(isa)
    bound = values(small.circuit, small.parameters, POINT[:6])
    bound.measure_all()
    shots = 40_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = SamplerV2(mode=compact_backend(manila, small.qubits), options={"simulator": {"seed_simulator": 3}})
        found = sampler.run([bound], shots=shots).result()[0].data.meas.get_counts()
    whole = values(isa.circuit, isa.parameters, POINT[:6])
    whole.save_density_matrix()
    state = AerSimulator(noise_model=NoiseModel.from_backend(manila, readout_error=False)).run(whole).result().data(0)
    read = [matrix.T for matrix in readout_errors(noise_target(manila), small.qubits)]
    expected = state["density_matrix"].probabilities(list(small.qubits)).reshape(2, 2, 2)
    expected = np.einsum("abc,ax,by,cz->xyz", expected, read[2], read[1], read[0]).ravel()
    counted = np.array([found.get(f"{outcome:03b}", 0) for outcome in range(8)]) / shots
    deviation = np.sqrt(expected * (1 - expected) / shots)
    assert (np.abs(counted - expected) < 5 * deviation).all()


def test_stock_aer_agrees_with_a_compact_device() -> None:
    manila = find_device("manila")
    circuit, parameters = ring(3, closed=False)
    isa = placed(manila, circuit, parameters, outputs(3)[:3])
    small = compact(isa)
    shots, counts = 40_000, []
    whole = AerSimulator.from_backend(compact_backend(manila, range(5)))  # with both rates of misreading
    for backend, item in ((whole, isa), (compact_backend(manila, small.qubits), small)):
        bound = values(item.circuit, item.parameters, POINT[:6])
        bound.add_register(*QuantumCircuit(0, 3).cregs)
        bound.measure(small.qubits if item is isa else range(3), range(3))
        found = backend.run(bound, shots=shots, seed_simulator=5).result().get_counts()
        counts.append(np.array([found.get(f"{outcome:03b}", 0) for outcome in range(8)]) / shots)
    deviation = np.sqrt(2 * counts[0] * (1 - counts[0]) / shots)
    assert (np.abs(counts[0] - counts[1]) < 5 * deviation).all()


def test_a_compact_device_of_a_large_one_knows_only_its_qubits(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = NoiseModel.from_backend.__func__

    def from_backend(cls: type[NoiseModel], backend: BackendV2, **options: bool) -> NoiseModel:
        built.append(backend)
        return original(cls, backend, **options)

    monkeypatch.setattr(NoiseModel, "from_backend", classmethod(from_backend))
    device = compact_backend(find_device("fez"), (140, 141, 142))
    circuit = QuantumCircuit(3, 3)
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.measure(range(3), range(3))
    for seed in (1, 1, 2):
        device.run(circuit, shots=100, seed_simulator=seed).result()
    assert [backend.num_qubits for backend in built] == [3]
    assert device.name == "fake_fez[3]"
    assert device.run(circuit, memory=True).result().results[0].shots == 1024


METHODS = [(2, "density_matrix"), (14, "statevector"), (40, "matrix_product_state")]


@pytest.mark.parametrize(("n_qubits", "method"), slow_but(METHODS[:1], METHODS))
def test_the_method_follows_the_number_of_qubits(n_qubits: int, method: str) -> None:
    device = compact_backend(find_device("fez"), range(n_qubits))
    circuit = QuantumCircuit(n_qubits, 2)
    circuit.sx(range(n_qubits))
    circuit.measure([0, 1], [0, 1])
    assert device.run(circuit, shots=20).result().results[0].metadata["method"] == method


@pytest.mark.slow
def test_a_large_device_costs_no_more_than_the_circuit() -> None:
    device = compact_backend(find_device("fez"), range(30))
    circuit = QuantumCircuit(30, 1)
    circuit.x(7)
    circuit.measure(7, 0)
    assert device.run(circuit, shots=20).result().results[0].metadata["method"] == "density_matrix"


def test_shots_from_probabilities_are_those_of_aer() -> None:
    """Bits in any order and with gaps, against Aer's own sampling with its readout errors; each to 5 standard errors."""
    device = compact_backend(find_device("manila"), (1, 2, 3))
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(3, "b"))
    for qubit, angle in enumerate((0.4, 1.3, 2.2)):
        circuit.rz(angle, qubit)
        circuit.sx(qubit)
        circuit.rz(2 * angle, qubit)
        circuit.sx(qubit)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.measure([0, 2, 1], [3, 0, 1])
    shots = 20_000
    ours = device.run(circuit, shots=shots, memory=True, seed_simulator=3).result()
    aer = AerSimulator(noise_model=NoiseModel.from_backend(device), method="density_matrix")
    oracle = aer.run(circuit, shots=shots, seed_simulator=4).result().get_counts()
    counts = ours.get_counts()
    assert Counter(ours.get_memory()) == counts
    for key in set(counts) | set(oracle):
        p = oracle.get(key, 0) / shots
        assert abs(counts.get(key, 0) / shots - p) < 5 * (2 * max(p * (1 - p), 1e-4) / shots) ** 0.5

    def shots_of(**options) -> list[str]:
        return device.run(circuit, shots=50, memory=True, **options).result().get_memory()

    assert shots_of(seed_simulator=3) == shots_of(seed_simulator=3)
    assert shots_of() != shots_of()


def test_a_measurement_in_the_middle_is_left_to_aer() -> None:
    device = compact_backend(find_device("manila"), (1, 2))
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    counts = device.run(circuit, shots=500).result().get_counts()
    assert max(counts, key=counts.get) == "01"
