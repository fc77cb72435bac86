"""Large devices, reduced to the qubits that a circuit uses: circuits, targets, noise and simulated devices.

A circuit for a device of 156 qubits touches a handful of them. Simulators pay for all: building the noise of the whole
device takes 9 to 15 s and handing it to each run seconds more. Here everything is built on the active qubits alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qlstm_qiskit.hardware.executor import ISACircuit
from qlstm_qiskit.hardware.part import PartDevice, sub_target

if TYPE_CHECKING:
    from qiskit_aer.noise import NoiseModel


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


def noise_model(target: Target, qubits: Sequence[int], *, readout: bool = False) -> NoiseModel:
    """Aer's noise of a device (depolarizing and thermal relaxation) on `qubits`, which become 0, 1, ...

    The channels are those of ``NoiseModel.from_backend`` on the whole device. Without `readout` bits are read without
    errors; `readout_errors` has the rates.
    """
    from qiskit_aer.noise import NoiseModel

    return NoiseModel.from_backend(PartDevice(sub_target(target, qubits)), readout_error=readout)


def readout_errors(target: Target, qubits: Sequence[int]) -> NDArray[np.float64]:
    """Probabilities of reading a bit as m where it is t: entry [q, m, t] of an array (qubits, 2, 2), as Aer takes them.

    Each matrix times the probabilities (p0, p1) of a qubit gives those of its measured bit. The identity where the
    target has no rate.
    """
    result = np.tile(np.eye(2), (len(qubits), 1, 1))
    known = target["measure"] if "measure" in target.operation_names else {}
    for position, qubit in enumerate(qubits):
        properties = (known or {}).get((qubit,))
        if properties is None:
            continue
        error = properties.error or 0.0
        one_for_zero = getattr(properties, "prob_meas1_prep0", error)
        zero_for_one = getattr(properties, "prob_meas0_prep1", error)
        result[position] = [[1 - one_for_zero, zero_for_one], [one_for_zero, 1 - zero_for_one]]
    return result


def compact_backend(backend: BackendV2, qubits: Sequence[int]) -> BackendV2:
    """A device of `qubits` alone, which become 0, 1, ...; `run` simulates it with its noise and readout errors by Aer.

    It stands in for the whole device wherever a `BackendV2` is wanted, such as IBM Runtime's local testing mode. Blocks
    of a circuit that do not interact, as packing puts side by side, are simulated one by one; see `PartDevice`.
    """
    return PartDevice(sub_target(backend.target, qubits), f"{backend.name}[{len(qubits)}]")


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
