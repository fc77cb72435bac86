import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.classical import expr
from qiskit.providers import BackendV2, JobStatus
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel

from qlstm_qiskit.hardware.compact import compact_backend
from qlstm_qiskit.hardware.devices import find_device
from qlstm_qiskit.hardware.part import PartDevice, sub_target

FEZ = find_device("fez").target


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the devices for which noise is built."""
    sizes: list[int] = []
    original = NoiseModel.from_backend.__func__

    def from_backend(cls: type[NoiseModel], backend: BackendV2, **options: bool) -> NoiseModel:
        sizes.append(backend.num_qubits)
        return original(cls, backend, **options)

    monkeypatch.setattr(NoiseModel, "from_backend", classmethod(from_backend))
    return sizes


def row(n_qubits: int) -> Target:
    """The first qubits of a device, in a row."""
    return sub_target(FEZ, range(n_qubits))


def pairs(n_pairs: int, angle: float = 0.0) -> QuantumCircuit:
    """Entangled neighbours 0-1, 2-3, ...; qubit q is read into bit q."""
    circuit = QuantumCircuit(2 * n_pairs, 2 * n_pairs)
    for first in range(0, 2 * n_pairs, 2):
        circuit.sx(first)
        circuit.rz(0.4 + angle + 0.1 * first, first)
        circuit.sx(first)
        circuit.sx(first + 1)
        circuit.cz(first, first + 1)
        circuit.sx(first + 1)
    circuit.barrier()
    circuit.measure(range(2 * n_pairs), range(2 * n_pairs))
    return circuit


def chain(target: Target) -> QuantumCircuit:
    """All couplings used once; two qubits are read."""
    circuit = QuantumCircuit(target.num_qubits, 2)
    circuit.sx(0)
    for pair, properties in target["cz"].items():
        if pair[0] < pair[1] and properties.error < 1:
            circuit.cz(*pair)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def bits(memory: list[str], n_bits: int) -> NDArray[np.float64]:
    """Measured bits as +1 and -1, (shots, bits)."""
    return np.array([[1.0 - 2 * (int(shot, 16) >> k & 1) for k in range(n_bits)] for shot in memory])


def test_noise_is_built_once_and_for_its_qubits_only(built: list[int]) -> None:
    device = compact_backend(find_device("fez"), (140, 141, 142))
    for seed in (1, 1, 2):
        circuit = QuantumCircuit(3, 3)
        circuit.sx(0)
        circuit.cz(0, 1)
        circuit.cz(1, 2)
        circuit.measure(range(3), range(3))
        assert device.run(circuit, shots=100, seed_simulator=seed).result().results[0].shots == 100
    assert built == [3]
    assert device.name == "fake_fez[3]"
    assert device.run(circuit).result().results[0].shots == 1024


@pytest.mark.parametrize(("n_qubits", "method"), [(3, "density_matrix"), (14, "statevector"), (26, "matrix_product_state")])
def test_the_method_follows_the_number_of_qubits(n_qubits: int, method: str) -> None:
    device = PartDevice(row(n_qubits))
    assert device.run(chain(device.target), shots=20).result().results[0].metadata["method"] == method


def test_blocks_are_sampled_as_one_circuit_is(built: list[int]) -> None:
    """Means and products of the bits of six qubits, against one simulation of all of them together."""
    shots, circuit = 40_000, pairs(3)
    device = PartDevice(row(6))
    found = device.run(circuit, shots=shots, memory=True, seed_simulator=3).result()
    assert built == [2, 2, 2]
    linked = circuit.copy_empty_like()
    for first in (1, 3):  # nothing, but now all qubits interact
        linked.cz(first, first + 1)
        linked.cz(first, first + 1)
    noiseless = sub_target(FEZ, range(6))
    for first in (1, 3):
        for pair in ((first, first + 1), (first + 1, first)):
            noiseless.update_instruction_properties("cz", pair, None)
    linked = linked.compose(circuit)
    whole = PartDevice(noiseless).run(linked, shots=shots, memory=True, seed_simulator=4).result()
    assert built[3:] == [6]
    ours, theirs = (bits(result.results[0].data.memory, 6) for result in (found, whole))
    assert (np.abs(ours.mean(axis=0)) < 0.99).all()
    for values in (lambda some: some.mean(axis=0), lambda some: some.T @ some / shots):
        assert np.abs(values(ours) - values(theirs)).max() < 5 * np.sqrt(2 / shots)


def test_blocks_of_several_circuits_are_joined_in_their_order(built: list[int]) -> None:
    device = PartDevice(row(16))
    circuits = [pairs(8), chain(row(4)), pairs(8, 1.0)]
    circuits[1] = QuantumCircuit(16, 2).compose(circuits[1], range(4), range(2))
    result = device.run(circuits, shots=5000, memory=True, seed_simulator=1).result()
    assert sorted(built) == [2] * 8 + [4]
    assert [len(result.get_memory(k)[0].replace(" ", "")) for k in range(3)] == [16, 2, 16]
    for k, angle in ((0, 0.0), (2, 1.0)):
        alone = PartDevice(row(2)).run(pairs(1, angle), shots=5000, memory=True).result()
        means = bits(result.results[k].data.memory, 16)[:, :2].mean(axis=0)
        assert np.abs(means - bits(alone.results[0].data.memory, 2).mean(axis=0)).max() < 5 * np.sqrt(2 / 5000)
    assert sum(result.get_counts(0).values()) == 5000


def test_seeds_repeat_and_blocks_that_are_alike_do_not() -> None:
    device = PartDevice(row(6))

    def sampled(seed: int | None) -> list[str]:
        return device.run(pairs(3), shots=200, memory=True, seed_simulator=seed).result().results[0].data.memory

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
    assert sampled(None) != sampled(None)
    found = bits(sampled(1), 6)
    assert not np.array_equal(found[:, 0], found[:, 2])


def test_circuits_with_more_than_gates_and_measurements_stay_whole(built: list[int]) -> None:
    circuit = pairs(2)
    with circuit.if_test(expr.lift(circuit.clbits[0])):
        circuit.x(3)
    job = PartDevice(row(4)).run(circuit, shots=10)
    assert job.result().success
    assert built == [4]


def test_a_joined_job_is_done() -> None:
    job = PartDevice(row(4)).run(pairs(2), shots=10)
    assert job.status() is JobStatus.DONE
    assert job.submit() is None
    assert job.result().success
