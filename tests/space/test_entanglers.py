"""Entanglers on graphs: their edges are those of a device or lattice, in few layers; circuits have stock Qiskit's values."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CXGate, RZGate, SXGate
from qiskit.providers import BackendV2
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit import SearchSpace, load_backend
from qlstm_qiskit.circuits.place import PLACE, place_of
from qlstm_qiskit.circuits.stored import from_qpy, to_qpy
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.region import find_region
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.space import (
    BLOCKS,
    ENTANGLERS,
    blocks_of,
    device_entangler,
    graph_entangler,
    grid_entangler,
    heavy_hex_entangler,
    variational_block,
)
from qlstm_qiskit.space.stored import restore, store
from tests.parity.oracle import assert_parity
from tests.speed import slow_but

NEW = ("heavy-hex", "grid", "device:fez", "device:nighthawk")
DEVICES = ("fez", "torino", "nighthawk", "sherbrooke", "manila")


def pairs(circuit: QuantumCircuit) -> list[tuple[int, int]]:
    """Control and target of each CNOT."""
    assert set(circuit.count_ops()) <= {"cx"}
    return pairs_of(circuit)


def pairs_of(circuit: QuantumCircuit) -> list[tuple[int, int]]:
    """The same of a circuit with other gates."""
    found = [item for item in circuit.data if item.operation.name == "cx"]
    return [(circuit.find_bit(item.qubits[0]).index, circuit.find_bit(item.qubits[1]).index) for item in found]


def graph(circuit: QuantumCircuit) -> nx.Graph:
    made = nx.Graph(pairs(circuit))
    made.add_nodes_from(range(circuit.num_qubits))
    return made


def error(target: Target, name: str, *qubits: int) -> float:
    properties = target[name].get(qubits) if name in target.operation_names else None
    return 0.0 if properties is None or properties.error is None else properties.error


class Small(BackendV2):
    """A device of three couplers, each in one direction: 1 -> 0, 1 -> 2, 3 -> 2."""

    def __init__(self, **errors: float) -> None:
        super().__init__(name="small")
        self._target = Target(num_qubits=4)
        self._target.add_instruction(
            CXGate(), {pair: InstructionProperties(error=errors.get("cx", 0.01)) for pair in ((1, 0), (1, 2), (3, 2))}
        )
        self._target.add_instruction(
            SXGate(), {(q,): InstructionProperties(error=errors.get(f"sx{q}", 0.001)) for q in range(4)}
        )
        self._target.add_instruction(RZGate(Parameter("t")), {(q,): None for q in range(4)})
        self._target.add_instruction(
            Measure(), {(q,): InstructionProperties(error=errors.get(f"measure{q}", 0.01)) for q in range(4)}
        )

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> None:
        return None

    def run(self, run_input: object, **options: object) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "n_qubits"), [(name, n) for name in DEVICES for n in (1, 2, 5, 20, 60, 100) if n <= 5 or name != "manila"]
)
def test_its_edges_are_all_working_couplers_of_a_connected_part_of_the_device(name: str, n_qubits: int) -> None:
    circuit, target = device_entangler(n_qubits, name), find_device(name).target
    place, found = place_of(circuit), set(pairs(circuit))
    assert place is not None
    assert len(place) == n_qubits
    assert nx.is_connected(graph(circuit))
    gate = next(own for own in ("cz", "ecr", "cx") if own in target.operation_names)
    working = {(a, b) for a, b in target[gate] if error(target, gate, a, b) < 1}
    there = {(a, b) for a in range(n_qubits) for b in range(n_qubits) if (place[a], place[b]) in working}
    assert {frozenset(edge) for edge in found} == {frozenset(edge) for edge in there}
    assert found <= there  # along the couplers, where they have one direction
    for qubit in place:
        assert error(target, "measure", qubit) < 0.5
        assert all(error(target, own, qubit) < 1 for own in ("x", "sx", "rz"))
    degree = max(dict(graph(circuit).degree).values())
    assert circuit.depth() == degree <= (4 if name == "nighthawk" else 3)


@pytest.mark.parametrize("n_qubits", [1, 2, 3, 12, 37, 100, 156])
@pytest.mark.parametrize(("build", "degree", "girth"), [(heavy_hex_entangler, 3, 12), (grid_entangler, 4, 4)])
def test_a_lattice_is_connected_of_its_degree_and_its_rings(build, degree: int, girth: int, n_qubits: int) -> None:
    circuit = build(n_qubits)
    made = graph(circuit)
    assert nx.is_connected(made)
    assert circuit.depth() == max(dict(made.degree).values(), default=0) <= degree
    assert all(control < target for control, target in pairs(circuit))
    if n_qubits >= 37:
        assert (max(dict(made.degree).values()), nx.girth(made)) == (degree, girth)


def test_a_grid_is_networkx_grid() -> None:
    assert nx.is_isomorphic(graph(grid_entangler(36)), nx.grid_2d_graph(6, 6))
    assert nx.is_isomorphic(graph(grid_entangler(4)), nx.cycle_graph(4))


def test_heavy_hexagons_are_those_of_the_device_without_its_faults() -> None:
    """100 qubits of the lattice are a part of the devices' coupling maps; IBM's own drawing of it is theirs."""
    for name in ("torino", "fez", "sherbrooke"):
        whole = nx.Graph(list(find_device(name).target.build_coupling_map().get_edges()))
        matcher = nx.algorithms.isomorphism.GraphMatcher(whole, graph(heavy_hex_entangler(40)))
        assert matcher.subgraph_is_monomorphic()


def test_a_triangle_takes_a_layer_more_and_edges_are_checked() -> None:
    assert graph_entangler(3, [(0, 1), (1, 2), (2, 0)]).depth() == 3
    assert pairs(graph_entangler(4, [(3, 2), (0, 1)])) == [(0, 1), (3, 2)]
    assert pairs(graph_entangler(4, [])) == []
    for edges, message in (
        ([(0, 3)], r"the edge \(0, 3\) does not join two of 3 qubits; give pairs of 0 to 2"),
        ([(1, 1)], "does not join two of 3 qubits"),
        ([(0, True)], "does not join two of 3 qubits"),
        ([(0, 1), (1, 0)], "an edge is given twice"),
        ([0, 1], "the edge 0 does not join two of 3 qubits; give pairs of 0 to 2"),
        ([(0, 1, 2)], r"the edge \(0, 1, 2\) does not join"),
        ([(0, 1.0)], r"the edge \(0, 1.0\) does not join"),
        (["01"], "the edge '01' does not join"),
        (None, "edges is None; give pairs of 0 to 2"),
    ):
        with pytest.raises(OptionError, match=message):
            graph_entangler(3, edges)


@pytest.mark.parametrize("edges", [np.array([[0, 1], [1, 2]]), nx.path_graph(3).edges, nx.path_graph(np.arange(3)).edges])
def test_edges_of_numpy_and_networkx(edges: object) -> None:
    assert graph_entangler(np.int64(3), edges) == graph_entangler(3, [(0, 1), (1, 2)])


@pytest.mark.parametrize("make", [grid_entangler, heavy_hex_entangler, lambda n: device_entangler(n, "fez")])
@pytest.mark.parametrize("n_qubits", [2.5, "3", 0, [4], None])
def test_numbers_of_qubits_are_checked(make: Callable[[object], object], n_qubits: object) -> None:
    with pytest.raises(OptionError, match="n_qubits is .*; it must be an integer of at least 1"):
        make(n_qubits)


def test_a_part_without_faults_is_chosen_or_there_is_none() -> None:
    region = find_region(Small(), 4)
    assert {(region.qubits[a], region.qubits[b]) for a, b in region.couplers} == {(1, 0), (1, 2), (3, 2)}
    assert set(find_region(Small(measure0=0.6), 3).qubits) == {1, 2, 3}
    assert set(find_region(Small(sx3=1.0), 3).qubits) == {0, 1, 2}
    assert set(find_region(Small(measure0=0.2), 3).qubits) == {1, 2, 3}  # which is read better
    for device, n_qubits, largest in ((Small(sx1=1.0), 3, 2), (Small(cx=1.0), 2, 1), (Small(), 5, 4)):
        with pytest.raises(
            OptionError, match=f"small has no {n_qubits} qubits in one piece: working couplers join {largest} at"
        ):
            find_region(device, n_qubits)
    with pytest.raises(OptionError, match="has no couplers that circuits could follow"):
        device_entangler(2, BasicSimulator())
    with pytest.raises(OptionError, match="fake_fez has no 156 qubits in one piece: working couplers join 154 at most"):
        device_entangler(156, "fez")
    with pytest.raises(OptionError, match="Did you mean 'fez'"):
        device_entangler(2, "fezz")
    for strange in (None, 3, Target()):
        with pytest.raises(OptionError, match=r'device is .*; give a BackendV2, or the name of a snapshot, such as "fez"'):
            device_entangler(2, strange)


def test_the_same_device_gives_the_same_circuit() -> None:
    made = GenericBackendV2(20, seed=3), GenericBackendV2(20, seed=3), GenericBackendV2(20, seed=4)
    first, again, other = (device_entangler(7, device) for device in made)
    assert (first, place_of(first)) == (again, place_of(again))
    assert place_of(first) != place_of(other)


def test_the_papers_space_is_what_it_was() -> None:
    assert list(BLOCKS) == [f"{entangler}-R{axis}" for entangler in ("linear", "cyclic") for axis in "YZX"]
    assert len(SearchSpace.paper()) == 36
    assert SearchSpace.paper().names == SearchSpace.paper(("linear", "cyclic")).names
    assert set(ENTANGLERS) == {"linear", "cyclic", "heavy-hex", "grid"}


def test_spaces_take_entanglers_by_name() -> None:
    space = SearchSpace.paper(entanglers=("linear", "device:fez"))
    assert len(space) == 36
    assert space.names[3] == "H-RY|device:fez-RY"
    assert str(space.candidates(4, 1)[0].draw()) == str(SearchSpace.paper().candidates(4, 1)[0].draw())
    own = SearchSpace.product(("RX",), blocks_of(["grid"]))
    assert own.names == ("RX|grid-RY", "RX|grid-RZ", "RX|grid-RX")
    (crafted,) = SearchSpace.handcrafted(2, "heavy-hex").candidates(5, 2)
    assert crafted.name == "H-RZ|heavy-hex-RY"
    assert pairs_of(crafted.circuit) == 2 * pairs(heavy_hex_entangler(5))
    assert pairs_of(variational_block(5, "grid", "Y")) == pairs(grid_entangler(5))
    for wrong, message in (
        (("linaer",), r"Did you mean 'linear'\? Allowed: cyclic, device:NAME, grid"),
        (("device:",), "unknown entangler 'device:'. Did you mean 'device:NAME'"),
        ((), "give a list of names"),
        ("grid", "give a list of names"),
    ):
        with pytest.raises(OptionError, match=message):
            SearchSpace.paper(wrong)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("name", "n_qubits"), slow_but([("device:fez", 5)], [(name, n) for name in NEW for n in (5, 8)]))
def test_values_and_gradients_are_stock_qiskits(name: str, n_qubits: int, depth: int) -> None:
    candidates = SearchSpace.handcrafted(1, name).candidates(n_qubits, depth)
    assert_parity(list(candidates), seed=n_qubits + depth, samples=1, n_outputs=3, paths=("states", "form"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NEW)
def test_values_and_gradients_on_twelve_qubits(name: str) -> None:
    """The largest heavy-hexagon ring, and grids with rings of four, against statevectors."""
    candidates = SearchSpace.handcrafted(6, name).candidates(12, 2)
    assert_parity(list(candidates), seed=12, samples=1, n_outputs=2, paths=("form",))


@pytest.mark.parametrize("name", ["heavy-hex", "device:nighthawk"])
def test_aer_agrees(name: str) -> None:
    generator, candidates = torch.Generator().manual_seed(5), SearchSpace.handcrafted(4, name).candidates(6, 2)
    x = torch.rand((3, 6), generator=generator, dtype=torch.float64) * 3
    found = []
    for backend in ("statevector", "aer-exact"):
        bank = CircuitBank(candidates, backend=load_backend(backend), angle_std=1.0, generator=torch.Generator().manual_seed(7))
        values = bank(x)
        values.sum().backward()
        found.append((values.detach().numpy(), *(own.grad.numpy() for own in bank.parameters() if own.grad is not None)))
    assert len(found[0]) > 1
    for exact, aer in zip(*found, strict=True):
        np.testing.assert_allclose(aer, exact, atol=1e-9)


def test_the_place_is_kept_in_files_and_other_metadata_is_not() -> None:
    space = SearchSpace.handcrafted(1, "device:fez")
    (candidate,) = fixed = space.candidates(6, 1)
    place = place_of(candidate.circuit)
    assert place == place_of(device_entangler(6, "fez"))
    circuit = candidate.circuit
    circuit.metadata = {PLACE: list(place), "mine": object()}
    noted = type(candidate)(candidate.name, circuit, candidate.inputs, candidate.weights)
    kept = restore(*store([SearchSpace.from_circuits([noted])]))[0].fixed[0].circuit
    assert kept.metadata == {PLACE: list(place)}
    assert place_of(from_qpy(to_qpy(fixed[0].circuit))[0]) == place
    for odd in (
        [1, 2],
        [0, 0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4, -1],
        [0, 1, 2, 3, 4, 5.0],
        [True, 2, 3, 4, 5, 6],
        "012345",
        None,
        7,
    ):
        circuit.metadata = {PLACE: odd}
        assert place_of(circuit) is None
