"""Any circuit as a list of turns: Pauli rotations whose angle is a multiple of one variable, or a number.

Clifford gates are absorbed as in `pauli_form`. Angles of several parameters become commuting turns about the same string, one
for each parameter and one for the offset. Numeric gates of several qubits that are not Clifford are opened by Qiskit's
synthesis to one-qubit gates and CNOTs, so that every circuit has this form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit, transpile

from qlstm_qiskit.circuits.expressions import Angle, Tree
from qlstm_qiskit.circuits.pauli import PauliRotation, is_clifford, pauli_form
from qlstm_qiskit.circuits.program import Fixed, PauliTerm, Program, Rotation, lower

#: Angles below it are rounding errors of zero, and so are terms of an observable, relative to its largest one.
ANGLE_TOLERANCE = 1e-14


@dataclass(frozen=True)
class Turn:
    """``exp(-i factor u P / 2)`` with ``P = Pauli(x, z)``; u is the variable of `column`, or 1 where that is None."""

    x: int
    z: int
    factor: float
    column: int | None


@dataclass(frozen=True, eq=False)
class TurnForm:
    """A circuit on ``|0...0>`` as turns in the order of time, and its observables as Pauli strings.

    Attributes:
        n_qubits, n_inputs, n_weights: Of the circuit.
        atoms: Angles that are not linear in the parameters. Each is a variable of its own.
        turns: Their columns count inputs, then weights, then atoms.
        outputs: For each output the Pauli terms of its observable, each string once.
    """

    n_qubits: int
    n_inputs: int
    n_weights: int
    atoms: tuple[Tree, ...]
    turns: tuple[Turn, ...]
    outputs: tuple[tuple[PauliTerm, ...], ...]

    @property
    def n_columns(self) -> int:
        return self.n_inputs + self.n_weights + len(self.atoms)

    def variables(self, column: int) -> tuple[frozenset[int], frozenset[int]]:
        """The inputs and the weights that a column stands for."""
        if column < self.n_inputs:
            return frozenset([column]), frozenset()
        if column < self.n_inputs + self.n_weights:
            return frozenset(), frozenset([column - self.n_inputs])
        angle = Angle(tree=self.atoms[column - self.n_inputs - self.n_weights])
        return angle.input_columns, angle.weight_columns


def turn_form(program: Program, outputs: Sequence[Sequence[PauliTerm]]) -> TurnForm:
    """Rewrite a circuit.

    Args:
        program: The lowered circuit.
        outputs: For each output the Pauli terms of its observable.
    """
    operations = [part for operation in program.operations for part in _opened(operation)]
    form = pauli_form(operations, outputs, program.n_qubits)
    assert form is not None, "all gates of several qubits are Clifford now, and the parts of tabled gates commute"
    atoms: dict[Tree, int] = {}
    turns = [turn for rotation in form.rotations for turn in _turns(rotation, program, atoms)]
    merged = tuple(_merged(terms) for terms in form.outputs)
    return TurnForm(program.n_qubits, program.n_inputs, program.n_weights, tuple(atoms), tuple(turns), merged)


def separated(program: Program) -> Program:
    """The program with an angle of its own for each rotation, in their order: columns of weights; there are no inputs.

    The rotations correspond to the parameters of `split`. What is proven about this program holds for any values of the gates'
    angles, whatever they are computed from.

    Args:
        program: A lowered circuit.
    """
    count = 0
    operations: list[Fixed | Rotation] = []
    for operation in program.operations:
        if isinstance(operation, Rotation):
            operation = Rotation(operation.qubits, operation.generator, Angle(weights=((count, 1.0),)))
            count += 1
        operations.append(operation)
    return Program(program.n_qubits, 0, count, tuple(operations))


def _opened(operation: Fixed | Rotation) -> Iterator[Fixed | Rotation]:
    """A numeric gate of several qubits that is not Clifford as one-qubit gates and CNOTs; any other as it is."""
    if isinstance(operation, Rotation) or len(operation.qubits) == 1 or is_clifford(operation.matrix, len(operation.qubits)):
        yield operation
        return
    circuit = QuantumCircuit(len(operation.qubits))
    circuit.unitary(operation.matrix, range(len(operation.qubits)))
    for part in lower(transpile(circuit, basis_gates=["u", "cx"], optimization_level=0), (), ()).operations:
        assert isinstance(part, Fixed), "a numeric gate has no parameters"
        yield Fixed(tuple(operation.qubits[qubit] for qubit in part.qubits), part.matrix)


def _turns(rotation: PauliRotation, program: Program, atoms: dict[Tree, int]) -> Iterator[Turn]:
    """The turns of one rotation; angles that are new atoms are added to `atoms`."""
    x, z, angle = rotation.x, rotation.z, rotation.angle
    for column, factor in angle.inputs:
        yield Turn(x, z, factor, column)
    for column, factor in angle.weights:
        yield Turn(x, z, factor, program.n_inputs + column)
    if angle.tree is not None:
        factor, tree = _without_factor(angle.tree)
        yield Turn(x, z, factor, program.n_inputs + program.n_weights + atoms.setdefault(tree, len(atoms)))
    offset = float(np.remainder(angle.offset + np.pi, 2 * np.pi) - np.pi)
    if abs(offset) > ANGLE_TOLERANCE:
        yield Turn(x, z, offset, None)


def _without_factor(tree: Tree) -> tuple[float, Tree]:
    """A tree as a number times another tree."""
    factor = 1.0
    while isinstance(tree, tuple) and len(tree) == 3 and tree[0] == "Mul" and isinstance(tree[1], float):
        factor, tree = factor * tree[1], tree[2]
    return factor, tree


def _merged(terms: Sequence[PauliTerm]) -> tuple[PauliTerm, ...]:
    sums: dict[tuple[int, int], float] = {}
    for term in terms:
        sums[term.x, term.z] = sums.get((term.x, term.z), 0.0) + term.coefficient
    largest = max(map(abs, sums.values()), default=0.0)
    return tuple(PauliTerm(x, z, value) for (x, z), value in sums.items() if abs(value) > ANGLE_TOLERANCE * largest)
