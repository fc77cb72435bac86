"""Circuits of a device with its noise, for the exact interpreter: what kind aer simulates with `noise`, as data.

The channels are those of Aer's ``NoiseModel.from_backend`` on the qubits in use: depolarizing and thermal relaxation behind
each gate, relaxation during delays; see `device.channels`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.transpiler import Target

from qlstm_qiskit.circuits import (
    Angle,
    Fixed,
    Rotation,
    Tree,
    check_parameters,
    lower,
    lower_observable,
    split,
)
from qlstm_qiskit.circuits.gates import library_name
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact import Channel, NoisyProgram
from qlstm_qiskit.hardware.contract.backend import CandidateLike
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Prepare
from qlstm_qiskit.hardware.contract.measurement import Basis, Measurement, rotated
from qlstm_qiskit.hardware.device.channels import gate_errors, relaxation
from qlstm_qiskit.hardware.device.compact import compact, sub_target
from qlstm_qiskit.hardware.device.readout import readout_errors
from qlstm_qiskit.hardware.interpreter.reduction import Evaluation, reduced, unreduced

Operation = Fixed | Rotation | Channel
#: Instructions that take no time and change nothing.
_NOTHING = frozenset({"barrier", "global_phase"})


def noisy_program(
    isa: ISACircuit, target: Target, inputs: Sequence[Parameter], weights: Sequence[Parameter], readout: bool = True
) -> NoisyProgram:
    """A circuit that was fitted to a device, with the device's noise.

    Args:
        isa: On device qubits `isa.qubits`; only those in use count, and the program is on them (`compact`).
        target: The device.
        inputs, weights: The circuit's parameters.
        readout: Whether bits are also read wrongly.

    Raises:
        CircuitError: The device lacks a gate of the circuit, or a qubit.
        OptionError: The target gives gates a duration, and no T1 and T2 for their qubits.
    """
    columns = check_parameters(isa.circuit, inputs, weights)
    parameters = tuple(columns)
    angles = tuple(
        Angle(inputs=((column, 1.0),)) if kind == "x" else Angle(weights=((column, 1.0),)) for kind, column in columns.values()
    )
    return _program(compact(isa), target, parameters, angles, (len(inputs), len(weights)), readout)


def noisy_bank(
    candidates: Sequence[CandidateLike],
    n_outputs: int | None,
    target: Target,
    readout: bool,
    prepare: Prepare,
    *,
    reduce: bool = True,
) -> tuple[list[NoisyProgram], list[Measurement]]:
    """Programs of a bank of candidates on a device, and what is measured, as `PrimitiveBank` has it there.

    Args:
        candidates: All take the same number of inputs.
        n_outputs: Observables read from each; all where None.
        target: The device.
        readout: Whether bits are also read wrongly.
        prepare: Fits a circuit to the device, as that of kind aer does.
        reduce: Leave out circuits that are proven dead, and take one of equal circuits for all of them, as backends do by
            default (`BackendSpec.reduce`): such a circuit has the value 0, and the noise of the one that runs.

    Raises:
        CircuitError, OptionError: As `noisy_program`.
    """
    observables = [candidate.observables(n_outputs) for candidate in candidates]
    splits = [split(item.circuit, item.inputs, item.weights) for item in candidates]
    if reduce:
        terms = [
            [lower_observable(observable, candidate.circuit.num_qubits) for observable in outputs]
            for candidate, outputs in zip(candidates, observables, strict=True)
        ]
        evaluations = reduced(candidates, splits, terms)
    else:
        evaluations = unreduced(splits)
    fitted = {
        index: compact(prepare(candidates[index].name, splits[index].circuit, splits[index].parameters, observables[index]))
        for index, evaluation in enumerate(evaluations)
        if evaluation.source == index
    }
    programs, measurements = [], []
    for candidate, evaluation, own in zip(candidates, evaluations, observables, strict=True):
        sizes = (len(candidate.inputs), len(candidate.weights))
        program, measurement = _evaluated(evaluation, fitted, target, sizes, len(own), readout)
        programs.append(program)
        measurements.append(measurement)
    return programs, measurements


def _evaluated(
    evaluation: Evaluation,
    fitted: dict[int, ISACircuit],
    target: Target,
    sizes: tuple[int, int],
    n_outputs: int,
    readout: bool,
) -> tuple[NoisyProgram, Measurement]:
    if evaluation.source is None:
        return NoisyProgram(1, *sizes, (), np.eye(2)[None], {}), Measurement((), (0.0,) * n_outputs)
    isa, item = fitted[evaluation.source], evaluation.item
    program = _program(isa, target, item.parameters, item.angles, sizes, readout)
    return program, Measurement.of([evaluation.sign * observable for observable in isa.observables])


def _program(
    isa: ISACircuit,
    target: Target,
    parameters: Sequence[Parameter],
    angles: Sequence[Angle],
    sizes: tuple[int, int],
    readout: bool,
) -> NoisyProgram:
    """A compact circuit with noise, whose parameters stand for these angles."""
    if len(isa.qubits) != isa.circuit.num_qubits:
        raise CircuitError(f"circuit {isa.name!r} was not fitted to a device; transpile it for the one whose noise it has.")
    if isa.qubits and max(isa.qubits) >= (target.num_qubits or 0):
        raise CircuitError(f"circuit {isa.name!r} needs device qubit {max(isa.qubits)}; the device has {target.num_qubits}.")
    device = _Device(target, isa)
    n_qubits = isa.circuit.num_qubits
    operations: list[Operation] = []
    for item in isa.circuit.data:
        wires = tuple(isa.circuit.find_bit(qubit).index for qubit in item.qubits)
        operations += device.lowered(item.operation, wires, tuple(parameters))
    changes = {}
    for qubit, letter in {pair for observable in isa.observables for pair in _letters(observable)}:
        change = rotated(QuantumCircuit(n_qubits), Basis((qubit,), (letter,), ()), isa.basis_gates)
        parts = [part for item in change.data for part in device.lowered(item.operation, (qubit,), ())]
        changes[qubit, letter] = tuple(part for part in parts if not isinstance(part, Rotation))
    rates = readout_errors(target, isa.qubits) if readout else np.tile(np.eye(2), (n_qubits, 1, 1))
    placed = [part for operation in operations for part in _placed(operation, angles)]
    return NoisyProgram(n_qubits, *sizes, tuple(placed), rates, changes)


def _letters(observable: Any) -> Iterator[tuple[int, str]]:
    """Qubits and letters other than Z and I in an observable."""
    for letters, qubits, _ in observable.to_sparse_list():
        yield from ((qubit, letter) for qubit, letter in zip(qubits, letters, strict=True) if letter in "XY")


class _Device:
    """The gates of the device qubits of one circuit, with their noise."""

    def __init__(self, target: Target, isa: ISACircuit) -> None:
        self._isa, self._errors = isa, gate_errors(target, isa.qubits)
        self._target = sub_target(target, isa.qubits)

    def lowered(self, gate: Any, wires: tuple[int, ...], parameters: tuple[Parameter, ...]) -> list[Operation]:
        """One instruction: what it does, and its noise."""
        name = library_name(gate)
        if name in _NOTHING:
            return []
        if not self._target.instruction_supported(gate.name, wires):
            where = ", ".join(str(self._isa.qubits[wire]) for wire in wires)
            raise CircuitError(
                f"circuit {self._isa.name!r} has the gate {gate.name} on device qubits {where}, which the device lacks; "
                "transpile it for this device."
            )
        result: list[Operation] = [
            type(part)(tuple(wires[q] for q in part.qubits), *_rest(part)) for part in _lowered(gate, parameters)
        ]
        error = self._errors.get((gate.name, wires))
        if error is not None:
            result.append(Channel(wires, error))
        if name == "delay" and (waited := relaxation(self._target, gate, wires[0])) is not None:
            result.append(Channel(wires, waited))
        return result


def _rest(part: Fixed | Rotation) -> tuple[Any, ...]:
    return (part.matrix,) if isinstance(part, Fixed) else (part.generator, part.angle)


def _lowered(gate: Any, parameters: tuple[Parameter, ...]) -> tuple[Fixed | Rotation, ...]:
    """A gate on qubits 0, 1, ...; its angles read `parameters` as weights."""
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    return lower(circuit, (), parameters).operations


def _placed(operation: Operation, angles: Sequence[Angle]) -> Iterator[Operation]:
    """An operation with angles in inputs and weights, where it had parameters; a sum of expressions is several rotations."""
    if not isinstance(operation, Rotation):
        yield operation
        return
    turned = partial(Rotation, operation.qubits, operation.generator)
    given = operation.angle
    if given.tree is not None:
        yield turned(Angle(tree=_with_trees(given.tree, angles)))
        return
    offset = given.offset
    by_input: dict[int, float] = {}
    by_weight: dict[int, float] = {}
    for column, factor in given.weights:
        own = angles[column].scaled(factor)
        if own.tree is not None:
            yield turned(own)
            continue
        offset += own.offset
        for total, pairs in ((by_input, own.inputs), (by_weight, own.weights)):
            for index, value in pairs:
                total[index] = total.get(index, 0.0) + value
    yield turned(Angle(offset, _pairs(by_input), _pairs(by_weight)))


def _pairs(total: dict[int, float]) -> tuple[tuple[int, float], ...]:
    return tuple(sorted((index, value) for index, value in total.items() if value))


def _with_trees(tree: Tree, angles: Sequence[Angle]) -> Tree:
    """An expression of parameters with their angles in place of them."""
    if not isinstance(tree, tuple):
        return tree
    if tree[0] == "w":
        return _tree(angles[tree[1]])
    return (tree[0], *(_with_trees(part, angles) for part in tree[1:]))


def _tree(angle: Angle) -> Tree:
    if angle.tree is not None:
        return angle.tree
    parts: list[Tree] = [
        (kind, column) if value == 1 else ("Mul", value, (kind, column))
        for kind, pairs in (("x", angle.inputs), ("w", angle.weights))
        for column, value in pairs
    ]
    parts += [angle.offset] if angle.offset or not parts else []
    return parts[0] if len(parts) == 1 else ("Add", *parts)
