"""A star: qubits with gates through a resonator alone, which the stage of its maker puts in, as on IQM's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Measure, Parameter
from qiskit.circuit.library import CZGate, RGate, SwapGate
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, Layout, PassManager, Target, TransformationPass
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePluginManager
from qiskit_aer import AerSimulator

STAGE = "moves_of_the_tests"


class Move(Gate):
    """The state of a qubit into the resonator, or back; neither defined nor with a matrix."""

    def __init__(self) -> None:
        super().__init__("move", 2, [])


class StarTarget(Target):
    """A target of its maker's own class: couplers that are there by way of the resonator only, and no errors."""

    def __new__(cls, *args: Any, **options: Any) -> StarTarget:
        return super().__new__(cls, *args, **options)

    @classmethod
    def of(cls, n_qubits: int, error: float | None = None) -> StarTarget:
        own = cls(num_qubits=n_qubits)
        own.resonator = n_qubits
        theta, phi = Parameter("theta"), Parameter("phi")
        pairs = [(first, second) for first in range(n_qubits) for second in range(n_qubits) if first != second]
        own.add_instruction(RGate(theta, phi), {(qubit,): None for qubit in range(n_qubits)})
        own.add_instruction(CZGate(), {pair: None if error is None else InstructionProperties(error=error) for pair in pairs})
        own.add_instruction(Measure(), {(qubit,): None for qubit in range(n_qubits)})
        return own


class Star(BackendV2):
    """An ideal one; results have no memory, and circuits are checked as a device would check them."""

    def __init__(self, n_qubits: int = 5, error: float | None = None) -> None:
        super().__init__(name="star")
        self._target = StarTarget.of(n_qubits, error)
        self.seen: list[QuantumCircuit] = []

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    def get_scheduling_stage_plugin(self) -> str:
        return STAGE

    def run(self, run_input: Any, shots: int = 1024, **ignored: Any) -> Any:
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        self.seen += circuits
        return AerSimulator().run([self._simulated(circuit) for circuit in circuits], shots=shots)

    def _simulated(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit with SWAP for each MOVE, if all of its gates are the device's."""
        resonator, found, inside = self._target.num_qubits, circuit.copy_empty_like(), None
        for item in circuit.data:
            wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
            if item.name == "move":
                assert wires[1] == resonator
                assert inside in (None, wires[0])
                inside = wires[0] if inside is None else None
                item = item.replace(operation=SwapGate())
            elif item.name == "cz":
                assert wires[1] == resonator, f"{wires} is not allowed for cz"
                assert inside is not None
            else:
                assert item.name in {"r", "measure", "barrier"}, item
                assert inside not in wires
            found.append(item)
        assert inside is None
        return found


def large() -> Star:
    """With seven qubits."""
    return Star(7)


class Moves(TransformationPass):
    """Puts MOVE round each CZ, on a target that it knows; bits are found by their registers."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def run(self, dag: Any) -> Any:
        if not isinstance(self._target, StarTarget):
            return dag
        circuit, resonator = dag_to_circuit(dag), self._target.resonator
        found = QuantumCircuit(QuantumRegister(resonator + 1, "q"), *circuit.cregs)
        for item in circuit.data:
            wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
            bits = [register[place] for bit in item.clbits for register, place in [circuit.find_bit(bit).registers[0]]]
            if item.name == "cz":
                found.append(Move(), [wires[0], resonator])
                found.cz(wires[1], resonator)
                found.append(Move(), [wires[0], resonator])
            else:
                found.append(item.operation, wires, bits)
        self._grow(dag, found)
        return circuit_to_dag(found)

    def _grow(self, dag: Any, found: QuantumCircuit) -> None:
        """Layouts with the resonator in them."""
        register = QuantumRegister(1, "resonators")
        if (layout := self.property_set.get("layout")) is not None:
            layout = layout.copy()
            layout.add_register(register)
            layout.add(register[0], self._target.resonator)
            self.property_set["layout"] = layout
            self.property_set["original_qubit_indices"][register[0]] = self._target.resonator
        final = {qubit: place for place, qubit in enumerate(found.qubits)}
        if (before := self.property_set.get("final_layout")) is not None:
            final |= {found.qubits[dag.find_bit(qubit).index]: place for qubit, place in before.get_virtual_bits().items()}
        self.property_set["final_layout"] = Layout(final)


@contextmanager
def installed() -> Iterator[None]:
    """The stage, as if its maker's package were installed."""
    stage = PassManagerStagePluginManager.get_passmanager_stage

    def found(self: Any, name: str, plugin: str, config: Any, *args: Any, **options: Any) -> Any:
        if plugin == STAGE:
            return PassManager([Moves(config.target)])
        return stage(self, name, plugin, config, *args, **options)

    with mock.patch.object(PassManagerStagePluginManager, "get_passmanager_stage", found):
        yield


def entry(shots: int = 4000) -> dict[str, Any]:
    """Of backends.yaml, with `load_provider` patched to give the device."""
    return {"name": "star", "kind": "provider", "provider": "a:b", "shots": shots, "guard": {"confirm": True}}


def near(values: Any, wanted: Any, shots: int = 4000) -> None:
    np.testing.assert_allclose(values, wanted, atol=5 / shots**0.5)
