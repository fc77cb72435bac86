import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CXGate, CZGate, RZGate, SXGate
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware.device.compact import active_qubits, compact
from qlstm_qiskit.hardware.device.health import Health
from qlstm_qiskit.hardware.device.layout import ErrorMap, Footprint, alive, best_place, estimated_success
from qlstm_qiskit.hardware.device.named import find_device
from tests.hardware.placed import outputs, placed, ring


def grid(rows: int, columns: int, *, directed: bool = False, seed: int = 1) -> Target:
    """A square lattice with random errors, whose couplers work in one direction only where it is directed."""
    random = np.random.default_rng(seed)

    def error() -> InstructionProperties:
        return InstructionProperties(error=float(random.uniform(0.001, 0.05)))

    def at(row: int, column: int) -> int:
        return row * columns + column

    pairs = [(at(i, j), at(i, j + 1)) for i in range(rows) for j in range(columns - 1)]
    pairs += [(at(i, j), at(i + 1, j)) for i in range(rows - 1) for j in range(columns)]
    if not directed:
        pairs += [pair[::-1] for pair in pairs]
    n_qubits = rows * columns
    target = Target(num_qubits=n_qubits)
    target.add_instruction(CXGate() if directed else CZGate(), {pair: error() for pair in pairs})
    target.add_instruction(SXGate(), {(qubit,): error() for qubit in range(n_qubits)})
    target.add_instruction(RZGate(Parameter("t")), {(qubit,): None for qubit in range(n_qubits)})
    target.add_instruction(Measure(), {(qubit,): error() for qubit in range(n_qubits)})
    return target


def chain(n_qubits: int, gate: str) -> QuantumCircuit:
    circuit = QuantumCircuit(n_qubits)
    circuit.sx(0)
    circuit.rz(Parameter("a"), 1)
    for qubit in range(n_qubits - 1):
        getattr(circuit, gate)(qubit, qubit + 1)
        circuit.sx(qubit + 1)
    getattr(circuit, gate)(0, 1)
    return circuit


def test_success_is_the_product_over_gates_and_readout() -> None:
    circuit = QuantumCircuit(5)
    circuit.sx(1)
    circuit.sx(1)
    circuit.rz(0.3, 1)
    circuit.cx(1, 2)
    circuit.barrier()
    target = find_device("manila").target
    gates = (1 - target["sx"][(1,)].error) ** 2 * (1 - target["cx"][(1, 2)].error)
    readout = (1 - target["measure"][(2,)].error) * (1 - target["measure"][(4,)].error)
    assert estimated_success(circuit, target) == pytest.approx(gates, rel=1e-12)
    assert estimated_success(circuit, target, [2, 4]) == pytest.approx(gates * readout, rel=1e-12)


def test_success_is_nothing_where_a_gate_is_missing_or_dead() -> None:
    target = find_device("manila").target
    missing, unknown = QuantumCircuit(5), QuantumCircuit(5)
    missing.cx(0, 2)
    unknown.h(0)
    assert estimated_success(missing, target) == estimated_success(unknown, target) == 0.0
    torino = find_device("torino").target
    dead = [pair for pair, properties in torino["cz"].items() if properties.error == 1]
    assert dead
    circuit = QuantumCircuit(133)
    circuit.cz(*dead[0])
    assert estimated_success(circuit, torino) == 0.0


def test_an_ideal_device_has_no_errors_and_one_of_unknown_size_is_refused() -> None:
    target = Target(num_qubits=3)
    target.add_instruction(CXGate())
    circuit = QuantumCircuit(3)
    circuit.cx(0, 2)
    assert estimated_success(circuit, target, [0, 1]) == 1.0
    found, _ = Footprint.of(circuit).embeddings((0, 2), ErrorMap(target))
    assert sorted(map(tuple, found.tolist())) == sorted(itertools.permutations(range(3), 2))
    with pytest.raises(CircuitError, match="does not say how many qubits"):
        ErrorMap(Target())


@pytest.mark.parametrize("directed", [False, True])
def test_places_are_those_that_trying_all_finds(directed: bool) -> None:
    target = grid(2, 4, directed=directed)
    circuit = chain(4, "cx" if directed else "cz")
    footprint = Footprint.of(circuit, [0, 3])
    part = footprint.parts[0]
    found, score = footprint.embeddings(part, ErrorMap(target))
    expected = {}
    for place in itertools.permutations(range(8), 4):
        moved = QuantumCircuit(8)
        moved.compose(circuit, place, inplace=True)
        success = estimated_success(moved, target, [place[0], place[3]])
        if success > 0:
            expected[place] = success
    columns = np.argsort(part)
    got = {tuple(row[columns].tolist()): np.exp(value) for row, value in zip(found, score, strict=True)}
    assert len(expected) > 2
    assert got.keys() == expected.keys()
    assert all(got[place] == pytest.approx(expected[place], rel=1e-12) for place in got)
    assert (np.diff(score) <= 0).all()


def test_a_narrow_beam_finds_good_places_all_the_same() -> None:
    footprint, errors = Footprint.of(chain(6, "cz"), range(6)), ErrorMap(grid(5, 5))
    part = footprint.parts[0]
    every, best = footprint.embeddings(part, errors)
    few, score = footprint.embeddings(part, errors, beam=50)
    assert len(few) <= 50 < len(every)
    assert best[20] <= score[0] <= best[0]


def test_parts_that_do_not_interact_get_places_of_their_own() -> None:
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cz(1, 3)
    circuit.cz(2, 4)
    target = grid(2, 3)
    footprint, errors = Footprint.of(circuit, [0]), ErrorMap(target)
    assert sorted(map(sorted, footprint.parts)) == [[0], [1, 3], [2, 4]]
    place = best_place(footprint, errors, at_least=(0, 1, 2, 4, 5))
    assert len(set(place)) == 5
    moved = QuantumCircuit(6)
    moved.compose(circuit, place, inplace=True)
    assert estimated_success(moved, target, [place[0]]) == pytest.approx(np.exp(footprint.score(place, errors)))
    assert footprint.score(place, errors) > -np.inf


def test_what_fits_nowhere_else_stays() -> None:
    wide = QuantumCircuit(3)
    wide.ccx(0, 1, 2)
    errors = ErrorMap(grid(2, 2))
    assert best_place(Footprint.of(wide), errors, at_least=(3, 1, 0)) == (3, 1, 0)
    ring_of_three = QuantumCircuit(3)
    for pair in ((0, 1), (1, 2), (2, 0)):
        ring_of_three.cz(*pair)
    assert best_place(Footprint.of(ring_of_three), errors, at_least=(0, 1, 2)) == (0, 1, 2)


@pytest.mark.parametrize("device", ["fez", "torino"])
@pytest.mark.parametrize(("n_qubits", "closed"), [(4, False), (4, True), (6, False)])
def test_the_best_place_is_no_worse_than_a_layout_by_qiskit_that_knows_the_readout(
    device: str, n_qubits: int, closed: bool
) -> None:
    backend = find_device(device)
    circuit, parameters = ring(n_qubits, closed=closed)
    copy = circuit.copy()
    copy.measure_all()
    layout = transpile(copy, backend, optimization_level=3, seed_transpiler=1).layout.initial_index_layout(filter_ancillas=True)
    stock = transpile(circuit, backend, optimization_level=2, seed_transpiler=1, initial_layout=layout)
    theirs = estimated_success(stock, backend.target, stock.layout.final_index_layout())
    small = compact(placed(backend, circuit, parameters, outputs(n_qubits)))
    errors = ErrorMap(backend.target)
    footprint = Footprint.of(small.circuit, active_qubits(QuantumCircuit(0), small.observables))
    ours = np.exp(footprint.score(best_place(footprint, errors, small.qubits), errors))
    assert ours >= theirs * 0.999


def test_couplers_of_a_qubit_whose_gates_are_always_wrong_are_left_out() -> None:
    target = find_device("nighthawk").target
    broken = set(Health.of(target).broken)
    assert broken, "this snapshot has such a qubit"
    pairs = set(alive(target)["cz"])
    assert pairs == {pair for pair, own in target["cz"].items() if own.error < 1 and broken.isdisjoint(pair)}
    assert any(not broken.isdisjoint(pair) and own.error < 1 for pair, own in target["cz"].items())
