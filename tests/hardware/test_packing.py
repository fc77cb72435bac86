import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import rustworkx as rx
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.contract.measurement import means_of_bits, rotated
from qlstm_qiskit.hardware.device.compact import active_qubits, compact
from qlstm_qiskit.hardware.device.layout import estimated_success
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.executors.packing import PackingExecutor
from qlstm_qiskit.space import SearchSpace
from tests.hardware.placed import exact, outputs, ring, values
from tests.speed import slow_but

FEZ = find_device("fez")
FITTED = Transpiler(FEZ)


class Blocks:
    """Exact values, each observable from the part of the circuit that is linked with it; keeps what it was given."""

    def __init__(self) -> None:
        self.jobs: list[list[Request]] = []

    def expect(self, requests: Sequence[Request]) -> list[NDArray[np.float64]]:
        self.jobs.append(list(requests))
        return [np.array([self.at(request.circuit, point) for point in request.values]) for request in requests]

    def at(self, isa: ISACircuit, point: NDArray[np.float64]) -> list[float]:
        graph = rx.PyGraph()
        graph.add_nodes_from(range(isa.circuit.num_qubits))
        wires = [[isa.circuit.find_bit(qubit).index for qubit in item.qubits] for item in isa.circuit.data]
        graph.add_edges_from_no_data([tuple(pair) for pair in wires if len(pair) == 2])
        angles = dict(zip(isa.parameters, point, strict=True))
        bound = isa.circuit.assign_parameters({parameter: angles[parameter] for parameter in isa.circuit.parameters})
        found = []
        for observable in isa.observables:
            read = active_qubits(QuantumCircuit(0), [observable])
            part = set().union(*(rx.node_connected_component(graph, qubit) for qubit in read))
            linked = QuantumCircuit(bound.num_qubits)
            for item, pair in zip(bound.data, wires, strict=True):
                if set(pair) <= part:
                    linked.append(item.operation, pair)
            small = compact(ISACircuit("", linked, (), (observable,)))
            found.append(float(exact(small.circuit, (), small.observables, np.array([]))[0]))
        return found


def fitted(n_qubits: int = 4, *, closed: bool = False, name: str = "c") -> ISACircuit:
    circuit, parameters = ring(n_qubits, closed=closed)
    return FITTED.prepare(name, circuit, parameters, outputs(n_qubits))


def points(n_sets: int, isa: ISACircuit, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, (n_sets, len(isa.parameters)))


def separately(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    smalls = [compact(request.circuit) for request in requests]
    return [
        np.array([exact(small.circuit, small.parameters, small.observables, point) for point in request.values])
        for small, request in zip(smalls, requests, strict=True)
    ]


@pytest.mark.parametrize("pack", slow_but([3, "auto"], [1, 3, 6, "auto", "off"]))
def test_packed_values_are_those_of_separate_runs(pack: int | str) -> None:
    inner = Blocks()
    packing = PackingExecutor(inner, FEZ.target, pack)
    linear, cyclic, small = fitted(), fitted(closed=True), fitted(2)
    requests = [
        Request(linear, points(7, linear)),
        Request(small, points(3, small, 1)),
        Request(cyclic, points(5, cyclic, 2)),
        Request(linear, points(2, linear, 3)),
    ]
    found = packing.expect(requests)
    assert len(inner.jobs) == 1
    for ours, theirs in zip(found, separately(requests), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_what_stands_side_by_side_has_as_many_shots() -> None:
    inner, small = Blocks(), fitted(2)
    requests = [replace(Request(small, points(4, small, seed)), shots=shots) for seed, shots in enumerate((10, 20, 10, None))]
    packing = PackingExecutor(inner, FEZ.target, 8)
    for ours, theirs in zip(packing.expect(requests), separately(requests), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    packing.expect([replace(request, shots=7) for request in requests])
    circuits = [[(request.shots, len(request.values)) for request in job] for job in inner.jobs]
    assert circuits == [[(10, 1), (20, 1), (None, 1)], [(7, 2)]]


def test_a_request_without_sets_costs_nothing() -> None:
    inner, small = Blocks(), fitted(2)
    requests = [Request(small, points(0, small)), Request(small, points(2, small))]
    found = PackingExecutor(inner, FEZ.target, 2).expect(requests)
    assert [values.shape for values in found] == [(0, 3), (2, 3)]
    assert [len(request.values) for request in inner.jobs[0]] == [1]


@pytest.mark.slow
def test_six_blocks_of_four_qubits_in_one_statevector() -> None:
    """The packed circuit as it is, on 24 qubits: exact values to 1e-10, and means of measured bits within their error."""
    z_only = [replace(isa, observables=isa.observables[:4]) for isa in (fitted(), fitted(closed=True))]
    requests = [Request(isa, points(3, isa, seed)) for seed, isa in enumerate(z_only)]
    packing = PackingExecutor(Blocks(), FEZ.target, 6)
    (packed,) = packing.packed(requests)
    assert len(packed.values) == 1
    small = compact(packed.circuit)
    assert small.circuit.num_qubits == 24
    (basis,) = small.measurement.bases
    circuit = values(rotated(small.circuit, basis, small.basis_gates), small.parameters, packed.values[0])
    for k, observable in enumerate(small.observables):
        circuit.save_expectation_value(observable, range(24), label=str(k))
    shots = 4000
    circuit.measure_all()
    result = AerSimulator(method="statevector").run(circuit, shots=shots, seed_simulator=1, memory=True).result()
    expected = np.concatenate([values.ravel() for values in separately(requests)])
    found = np.array([result.data(0)[str(k)] for k in range(24)])
    np.testing.assert_allclose(found, expected, atol=1e-10)
    memory = np.array([[bit == "1" for bit in reversed(shot)] for shot in result.get_memory()])
    means = small.measurement.combine([means_of_bits(basis, memory[None][:, :, list(basis.qubits)])], 1)[0]
    assert (np.abs(means - expected) <= 5 * np.sqrt((1 - expected**2) / shots) + 1e-12).all()


def test_blocks_of_several_bases_share_as_many_as_one_block_has() -> None:
    isa = fitted()
    assert len(isa.measurement.bases) == 2
    (packed,) = PackingExecutor(Blocks(), FEZ.target, 5).packed([Request(isa, points(5, isa))])
    assert len(packed.circuit.observables) == 25
    assert len(packed.circuit.measurement.bases) == 2


@pytest.mark.parametrize(
    ("pack", "sets", "rows"),
    [
        (20, [20], [1]),
        (20, [41], [3]),
        (6, [3, 3], [1]),
        (4, [8, 8], [4]),
        (2, [5, 5, 5, 5], [5, 5]),
        (3, [9, 2, 2, 9], [9, 2]),
        (1, [4], [4]),
    ],
)
def test_rows_are_spread_evenly(pack: int, sets: list[int], rows: list[int]) -> None:
    isas = [fitted(name=f"c{k}", closed=bool(k % 2)) for k in range(len(sets))]
    requests = [Request(isa, points(n_sets, isa)) for isa, n_sets in zip(isas, sets, strict=True)]
    packed = PackingExecutor(Blocks(), FEZ.target, pack).packed(requests)
    assert [len(request.values) for request in packed] == rows


def test_the_same_packing_is_composed_once_and_one_block_not_at_all() -> None:
    inner, isa = Blocks(), fitted(2)
    packing = PackingExecutor(inner, FEZ.target, 3)
    for seed in range(2):
        packing.expect([Request(isa, points(3, isa, seed))])
    packing.expect([Request(isa, points(1, isa))])
    first, second, single = (job[0].circuit for job in inner.jobs)
    assert first is second
    assert single is isa


@pytest.mark.parametrize(("device", "most", "auto"), [("fez", 25, 23), ("torino", 20, 11)])
def test_regions_are_apart_and_good(device: str, most: int, auto: int) -> None:
    backend = find_device(device)
    candidate = SearchSpace.paper().candidates(4, 2)[0]  # linear
    isa = Transpiler(backend).prepare(
        "line", candidate.circuit, (*candidate.inputs, *candidate.weights), candidate.observables()
    )
    distances = rx.distance_matrix(backend.target.build_coupling_map().graph, as_undirected=True)
    best = None
    for pack, expected in ((100, most), ("auto", auto), (6, 6)):
        packing = PackingExecutor(Blocks(), backend.target, pack)
        regions = packing.regions_for(isa)
        assert len(regions) == expected
        successes = []
        for region in regions:
            moved = QuantumCircuit(backend.num_qubits)
            moved.compose(compact(isa).circuit.copy(), region, inplace=True)
            successes.append(estimated_success(moved, backend.target, region))
        assert successes == sorted(successes, reverse=True)
        best = max(best or 0.0, *successes)
        assert min(successes) > 0
        for one, other in itertools.combinations(regions, 2):
            assert min(distances[q, p] for q in one for p in other) >= 2
        if pack == "auto":
            assert min(successes) >= 0.9 * best * (1 - 1e-12)
    assert packing.describe(isa) == "line: 6 side by side (pack: 6)"


def test_fewer_regions_than_asked_for_are_said_and_used() -> None:
    manila = find_device("manila")
    circuit, parameters = ring(4, closed=False)
    isa = Transpiler(manila).prepare("line", circuit, parameters, outputs(4))
    inner = Blocks()
    packing = PackingExecutor(inner, manila.target, 4)
    assert packing.describe(isa) == "line: 1 side by side (pack: 4); 4 were asked for, no more fit"
    request = Request(isa, points(3, isa))
    np.testing.assert_allclose(packing.expect([request])[0], separately([request])[0], atol=1e-12)
    assert inner.jobs[0][0].circuit is isa
    assert PackingExecutor(inner, manila.target, "off").describe(isa) == "line: one circuit at a time"
    assert PackingExecutor(inner, manila.target, "off").regions_for(isa) == [compact(isa).qubits]


def test_gates_stay_where_the_device_has_them_on_directed_couplers() -> None:
    eagle = find_device("sherbrooke")
    circuit, parameters = ring(3, closed=False)
    isa = Transpiler(eagle).prepare("line", circuit, parameters, outputs(3))
    (packed,) = PackingExecutor(Blocks(), eagle.target, 5).packed([Request(isa, points(5, isa))])
    assert len(packed.values) == 1
    for item in packed.circuit.circuit.data:
        wires = tuple(packed.circuit.circuit.find_bit(qubit).index for qubit in item.qubits)
        assert eagle.target.instruction_supported(item.operation.name, wires)


def test_circuits_whose_qubits_do_not_all_interact_are_packed_too() -> None:
    circuit, (a, b) = QuantumCircuit(3), (Parameter("a"), Parameter("b"))
    circuit.rx(a, 0)
    circuit.ry(b, 1)
    circuit.cx(1, 2)
    idle = Parameter("idle")
    isa = FITTED.prepare("parts", circuit, [b, idle, a], [SparsePauliOp("IIZ"), SparsePauliOp("XZI")])
    request = Request(isa, points(9, isa))
    inner = Blocks()
    (found,) = PackingExecutor(inner, FEZ.target, 8).expect([request])
    small = [values(circuit, [b, a], point[[0, 2]]) for point in request.values]
    expected = [exact(bound, (), [SparsePauliOp("IIZ"), SparsePauliOp("XZI")], np.array([])) for bound in small]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(inner.jobs[0][0].values) == 2


def test_a_compact_circuit_cannot_be_packed() -> None:
    isa = compact(fitted())
    with pytest.raises(CircuitError, match="packing needs it on all 156 of the device"):
        PackingExecutor(Blocks(), FEZ.target, 2).expect([Request(isa, points(2, isa))])


def test_packing_needs_a_map_of_couplings() -> None:
    target = AerSimulator(n_qubits=30).target
    PackingExecutor(None, target, "off")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="set pack: off"):
        PackingExecutor(None, target, "auto")  # type: ignore[arg-type]
