"""Circuits that were made for qubits of a device begin with them there: no SWAPs, and no two-qubit gates beyond their own."""

import dataclasses

import numpy as np
import pytest
from qiskit.circuit.library import SXGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qlstm_qiskit import SearchSpace
from qlstm_qiskit.circuits import SplitCircuit, split
from qlstm_qiskit.circuits.place import place_of, placed
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device import transpile as module
from qlstm_qiskit.hardware.device.layout import ErrorMap, own_place
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.device.transpile import Transpiler
from tests.hardware.placed import exact
from tests.hardware.test_layout import grid
from tests.speed import slow_but


def candidate(entangler: str, n_qubits: int, depth: int = 2) -> tuple[SplitCircuit, list[SparsePauliOp]]:
    (made,) = SearchSpace.handcrafted(1, entangler).candidates(n_qubits, depth)
    return split(made.circuit, made.inputs, made.weights), made.observables()


def prepare(transpiler: Transpiler, item: SplitCircuit, observables: list[SparsePauliOp]) -> ISACircuit:
    return transpiler.prepare("c", item.circuit, item.parameters, observables)


ON = [("fez", 8), ("fez", 100), ("torino", 20), ("torino", 100), ("nighthawk", 16), ("nighthawk", 100), ("sherbrooke", 60)]


@pytest.mark.parametrize(("name", "n_qubits"), slow_but([("fez", 8), ("nighthawk", 16)], [*ON, ("fez", 154)]))
def test_a_devices_own_entangler_needs_no_swaps_there(name: str, n_qubits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    fitted = module.fitted
    monkeypatch.setattr(module, "fitted", lambda *a, **k: given.append(k.get("initial_layout")) or fitted(*a, **k))
    item, observables = candidate(f"device:{name}", n_qubits)
    transpiler = Transpiler(find_device(name))
    isa = prepare(transpiler, item, observables)
    report = transpiler.report(isa)
    logical = sum(len(own.qubits) == 2 for own in item.circuit.data)
    assert (report.swaps, report.two_qubit_gates) == (0, (logical, logical))
    assert sum(len(own.qubits) == 2 for own in isa.circuit.data) == logical
    assert given == [list(place_of(item.circuit) or ())]  # one pass, and no search for a layout
    assert sorted(set(report.qubits)) == sorted(report.qubits)
    assert report.success > 0


@pytest.mark.parametrize(
    ("entangler", "name", "n_qubits"),
    slow_but([("heavy-hex", "fez", 20)], [("heavy-hex", "fez", 20), ("heavy-hex", "torino", 20), ("grid", "nighthawk", 36)]),
)
def test_lattices_find_their_place_on_devices_of_their_kind(entangler: str, name: str, n_qubits: int) -> None:
    item, observables = candidate(entangler, n_qubits)
    assert place_of(item.circuit) is None
    transpiler = Transpiler(find_device(name))
    report = transpiler.report(prepare(transpiler, item, observables))
    assert (report.swaps, report.two_qubit_gates[0]) == (0, report.two_qubit_gates[1])


def test_it_has_the_values_of_the_circuit() -> None:
    item, observables = candidate("device:manila", 4)
    isa = prepare(Transpiler(find_device("manila")), item, observables)
    point = np.linspace(-1.0, 2.0, len(item.parameters))
    np.testing.assert_allclose(
        exact(isa.circuit, isa.parameters, isa.observables, point),
        exact(item.circuit, item.parameters, observables, point),
        atol=1e-9,
    )


def test_a_place_that_does_not_work_is_not_taken() -> None:
    item, observables = candidate("device:fez", 8)
    for name in ("torino", "manila", "nighthawk"):  # other couplings, or fewer qubits
        assert own_place(item.circuit, ErrorMap(find_device(name).target)) is None
    assert own_place(item.circuit, None) is None
    errors = ErrorMap(find_device("fez").target)
    place = own_place(item.circuit, errors)
    assert place == place_of(item.circuit)
    alone = Target(num_qubits=156)
    alone.add_instruction(SXGate())
    assert own_place(item.circuit, ErrorMap(alone)) is None  # no gates of two qubits
    dead = placed(item.circuit.copy(), [31, 32, *[q for q in place if q not in (31, 32)]][:8])
    assert own_place(dead, errors) is None  # a coupler of error 1
    assert own_place(placed(item.circuit.copy(), None), errors) is None
    transpiler = Transpiler(find_device("torino"))
    report = transpiler.report(prepare(transpiler, item, observables))
    assert (report.swaps, report.success > 0.5) == (0, True)  # it is searched for


@pytest.mark.parametrize("directed", [False, True])
def test_a_coupler_counts_in_either_direction(directed: bool) -> None:
    item, _ = candidate("grid", 4, 1)
    errors = ErrorMap(grid(2, 2, directed=directed))
    for place in ([0, 1, 2, 3], [3, 2, 1, 0]):
        assert own_place(placed(item.circuit, place), errors) == tuple(place)
    assert own_place(placed(item.circuit, [0, 3, 1, 2]), errors) is None


def test_a_prescribed_layout_goes_first_and_places_are_told_apart() -> None:
    item, observables = candidate("device:fez", 3, 1)
    wanted = (0, 1, 2)
    transpiler = Transpiler(find_device("fez"), TranspileSpec(layout=wanted))
    assert transpiler.report(prepare(transpiler, item, observables)).qubits == wanted
    other = dataclasses.replace(item, circuit=placed(item.circuit.copy(), None))
    transpiler = Transpiler(find_device("fez"))
    prepare(transpiler, item, observables)
    prepare(transpiler, item, observables)
    assert transpiler.count == 1
    prepare(transpiler, other, observables)
    assert transpiler.count == 2
