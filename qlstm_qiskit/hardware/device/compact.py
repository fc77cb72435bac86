"""Large devices, reduced to the qubits that a circuit uses: circuits, targets, noise and simulated devices.

A circuit for a device of 156 qubits touches a handful of them. Simulators pay for all: building the noise of the whole
device takes 9 to 15 s and handing it to each run seconds more. Here everything is built on the active qubits alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device.readout import noise_target, readout_errors

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel

#: Instructions: a name, and qubits.
Gates = frozenset[tuple[str, tuple[int, ...]]]

#: Qubits up to which a noisy circuit is simulated by its density matrix (4^n numbers) and by state vectors, one per shot.
DENSITY_QUBITS, STATE_QUBITS = 12, 24


def active_qubits(circuit: QuantumCircuit, observables: Sequence[SparsePauliOp] = ()) -> tuple[int, ...]:
    """Qubits that a gate or an observable touches, sorted."""
    active = {circuit.find_bit(qubit).index for item in circuit.data for qubit in item.qubits if item.name != "barrier"}
    for observable in observables:
        active |= {int(qubit) for qubit in np.flatnonzero((observable.paulis.x | observable.paulis.z).any(axis=0))}
    return tuple(sorted(active))


def compact(isa: ISACircuit) -> ISACircuit:
    """The same circuit on its active qubits alone; those that are only measured are kept."""
    labels = _labels(isa)
    return _on(isa, [labels[qubit] for qubit in active_qubits(isa.circuit, isa.observables)])


def compact_together(isas: Sequence[ISACircuit]) -> list[ISACircuit]:
    """The same circuits, all on the device qubits that any of them uses, sorted."""
    used = {_labels(isa)[qubit] for isa in isas for qubit in active_qubits(isa.circuit, isa.observables)}
    return [_on(isa, sorted(used)) for isa in isas]


def moved(observable: SparsePauliOp, place: Mapping[int, int], n_qubits: int) -> SparsePauliOp:
    """The observable with qubit q as `place[q]` of `n_qubits`."""
    terms = [(letters, [place[q] for q in qubits], value) for letters, qubits, value in observable.to_sparse_list()]
    return SparsePauliOp.from_sparse_list(terms, n_qubits)


def empty_target(target: Target, n_qubits: int, properties: list[QubitProperties | None] | None) -> Target:
    """A target with the timing of another one and no instructions yet."""
    return Target(
        description=target.description,
        num_qubits=n_qubits,
        dt=target.dt,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
        qubit_properties=properties,
    )


def filtered_target(target: Target, keep: Callable[[str, tuple[int, ...], InstructionProperties | None], bool]) -> Target:
    """The instructions of a target that are to be kept, on all of its qubits.

    Args:
        target: Of a device.
        keep: Told the name of an instruction, the qubits, and its properties on them; (), None where it is for any qubits.
    """
    result = empty_target(target, target.num_qubits, target.qubit_properties)
    for name in sorted(target.operation_names):
        known = target[name]
        is_global = not known or None in known
        kept = {} if is_global else {wires: own for wires, own in known.items() if keep(name, wires, own)}
        if kept or (is_global and keep(name, (), None)):
            result.add_instruction(target.operation_from_name(name), *([kept] if kept else []), name=name)
    return result


def sub_target(target: Target, qubits: Sequence[int]) -> Target:
    """The part of a target on `qubits`, which become 0, 1, ...; instructions between others are gone."""
    place = {qubit: position for position, qubit in enumerate(qubits)}
    properties = target.qubit_properties
    result = empty_target(target, len(qubits), [properties[qubit] for qubit in qubits] if properties else None)
    for name in sorted(target.operation_names):  # their own order differs from process to process
        operation, known = target.operation_from_name(name), target[name]
        if not known or None in known:  # an instruction for any qubits
            result.add_instruction(operation, name=name)
            continue
        kept = {tuple(place[q] for q in key): value for key, value in known.items() if all(q in place for q in key)}
        if kept:
            result.add_instruction(operation, kept, name=name)
    return result


def noise_model(target: Target, qubits: Sequence[int], *, readout: bool = False, gates: Gates | None = None) -> NoiseModel:
    """Aer's noise of a device (depolarizing and thermal relaxation) on `qubits`, which become 0, 1, ...

    The channels are those of ``NoiseModel.from_backend`` on the whole device. Without `readout` bits are read without
    errors; `readout_errors` has the rates. With `gates`, on these new qubits, it has their noise and that of delays alone: that
    of a whole device takes seconds to make and to hand over.
    """
    from qiskit_aer.noise import NoiseModel

    if gates is not None:
        target = _restricted(sub_target(target, qubits), gates)
        qubits = range(len(qubits))
    return NoiseModel.from_backend(_SubDevice(target, qubits), readout_error=readout)


def gates_of(circuits: Sequence[QuantumCircuit]) -> Gates:
    """All instructions of circuits, as names and qubits."""
    found: set[tuple[str, tuple[int, ...]]] = set()
    for circuit in circuits:
        place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
        found |= {(item.name, tuple(place[qubit] for qubit in item.qubits)) for item in circuit.data}
    return frozenset(found)


def _restricted(target: Target, gates: Gates) -> Target:
    """A target with these instructions and its delays alone."""
    result = empty_target(target, target.num_qubits, target.qubit_properties)
    for name in sorted(target.operation_names):
        operation, known = target.operation_from_name(name), target[name]
        if not known or None in known:
            result.add_instruction(operation, name=name)
            continue
        kept = {wires: own for wires, own in known.items() if name == "delay" or (name, wires) in gates}
        if kept:
            result.add_instruction(operation, kept, name=name)
    return result


def compact_backend(backend: BackendV2, qubits: Sequence[int]) -> BackendV2:
    """A device of `qubits` alone, which become 0, 1, ...; `run` simulates it with its noise and readout errors by Aer.

    It stands in for the whole device wherever a `BackendV2` is wanted, such as IBM Runtime's local testing mode.
    """
    return _SubDevice(noise_target(backend), qubits, f"{backend.name}[{len(qubits)}]")


class _SubDevice(BackendV2):
    """Some qubits of a device, simulated."""

    def __init__(self, target: Target, qubits: Sequence[int], name: str = "part") -> None:
        super().__init__(name=name, description=f"device qubits {', '.join(map(str, qubits))}")
        self._target = sub_target(target, qubits)
        self._simulators: dict[bool, AerSimulator] = {}
        self._used: dict[Gates, AerSimulator] = {}

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Simulate circuits of this device's instructions; options `shots`, `memory` and `seed_simulator` as of Aer.

        Shots are drawn from exact probabilities where all measurements are at the end, else by Aer, one by one.
        """
        from qiskit.primitives import PrimitiveJob

        from qlstm_qiskit.hardware.device.sampled import can_sample

        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        drawn = all(map(can_sample, circuits)) and _method(circuits) == "density_matrix"
        job: Any = PrimitiveJob(self._sampled if drawn else self._simulated, circuits, self.options.shots, options)
        job._submit()
        return job

    def _sampled(self, circuits: list[QuantumCircuit], shots: int, options: dict[str, Any]) -> Any:
        from qlstm_qiskit.hardware.device.sampled import sample

        readout = readout_errors(self._target, range(self.num_qubits))
        seed = options.get("seed_simulator")
        simulator = self._aer(readout=False) if self.num_qubits <= DENSITY_QUBITS else self._aer_of(circuits)
        return sample(circuits, simulator, readout, options.get("shots") or shots, seed, "density_matrix")

    def _simulated(self, circuits: list[QuantumCircuit], shots: int, options: dict[str, Any]) -> Any:
        defaults = {"shots": shots, "method": _method(circuits)}
        return self._aer(readout=True).run(circuits, **(defaults | options)).result()

    def _aer(self, *, readout: bool) -> AerSimulator:
        if readout not in self._simulators:
            from qiskit_aer import AerSimulator
            from qiskit_aer.noise import NoiseModel

            self._simulators[readout] = AerSimulator(noise_model=NoiseModel.from_backend(self, readout_error=readout))
        return self._simulators[readout]

    def _aer_of(self, circuits: Sequence[QuantumCircuit]) -> AerSimulator:
        """A simulator with the noise of the gates that small circuits on some qubits of a wide device use."""
        from qiskit_aer import AerSimulator

        gates = gates_of(circuits)
        if gates not in self._used:
            self._used[gates] = AerSimulator(noise_model=noise_model(self._target, range(self.num_qubits), gates=gates))
        return self._used[gates]


def simulated_slowly(n_qubits: int) -> str | None:
    """Why the noise of so many qubits takes long on this machine, in words; None where it does not."""
    if n_qubits <= DENSITY_QUBITS:
        return None
    how = "state vectors" if n_qubits <= STATE_QUBITS else "matrix product states"
    return f"{n_qubits} qubits with noise by {how}, shot by shot: seconds per circuit at 13 qubits, minutes at 20"


def _method(circuits: Sequence[QuantumCircuit]) -> str:
    n_qubits = max((len(active_qubits(circuit)) for circuit in circuits), default=0)  # Aer leaves idle ones out
    if n_qubits <= DENSITY_QUBITS:
        return "density_matrix"  # one run, whatever the number of shots
    return "statevector" if n_qubits <= STATE_QUBITS else "matrix_product_state"


def _labels(isa: ISACircuit) -> tuple[int, ...]:
    return isa.qubits or tuple(range(isa.circuit.num_qubits))


def _on(isa: ISACircuit, labels: Sequence[int]) -> ISACircuit:
    """The circuit with the qubits of these labels, in this order; gates on others (barriers only) are dropped."""
    known = {label: position for position, label in enumerate(labels)}
    place = {wire: known[label] for wire, label in enumerate(_labels(isa)) if label in known}
    circuit = QuantumCircuit(len(labels), name=isa.circuit.name, global_phase=isa.circuit.global_phase)
    for item in isa.circuit.data:
        wires = [isa.circuit.find_bit(qubit).index for qubit in item.qubits]
        if all(wire in place for wire in wires):
            circuit.append(item.operation, [place[wire] for wire in wires])
    observables = tuple(moved(observable, place, len(labels)) for observable in isa.observables)
    return replace(isa, circuit=circuit, observables=observables, qubits=tuple(labels) if isa.qubits else ())
