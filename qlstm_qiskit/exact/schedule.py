"""Schedules of programs: neighbouring gates fused, so that circuits of one structure have equal signatures.

Three facts are used, all exact: numeric one-qubit gates multiply into the gate beside them; gates that only permute basis
states up to a phase (X, Z, S, T, CX, CY, CZ, SWAP, ...) compose to one permutation with phases; a rotation by a constant is a
numeric gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, Program, Rotation
from qlstm_qiskit.circuits.gates import Matrix

_TOLERANCE = 1e-14


@dataclass(frozen=True, eq=False)
class Factor:
    """The matrix ``constant + cos(scale a) cosine + sin(scale a) sine``; `angle` is None where it is `constant` alone."""

    constant: Matrix
    cosine: Matrix | None = None
    sine: Matrix | None = None
    scale: float = 1.0
    angle: Angle | None = None

    def between(self, left: Matrix, right: Matrix) -> Factor:
        """Return ``left @ self @ right``."""
        if self.cosine is None or self.sine is None:
            return replace(self, constant=left @ self.constant @ right)
        return replace(
            self,
            constant=left @ self.constant @ right,
            cosine=left @ self.cosine @ right,
            sine=left @ self.sine @ right,
        )

    @property
    def kind(self) -> tuple[object, ...]:
        """What must be equal for two candidates to be evaluated together."""
        if self.angle is None:
            return ("constant",)
        return (self.angle.depends_on_inputs, self.angle.depends_on_weights, self.angle.tree)


@dataclass(eq=False)
class Dense:
    """A product of factors on a few qubits, in the order of time."""

    qubits: tuple[int, ...]
    factors: list[Factor]


@dataclass(eq=False)
class Monomial:
    """Gates that together permute the basis states of the register up to phases, in the order of time."""

    gates: list[tuple[tuple[int, ...], Matrix]]

    def action(self, n_qubits: int) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
        """``(source, phase)``, each of shape ``(2^n,)``, with ``new[i] = phase[i] * old[source[i]]``."""
        source, phase = np.arange(2**n_qubits), np.ones(2**n_qubits, dtype=np.complex128)
        for qubits, matrix in self.gates:
            step_source, step_phase = _register_action(matrix, qubits, n_qubits)
            source, phase = source[step_source], step_phase * phase[step_source]
        return source, phase


@dataclass(frozen=True, eq=False)
class GateSchedule:
    """The steps of one candidate, and the signature that it shares with candidates of the same structure."""

    n_qubits: int
    n_inputs: int
    n_weights: int
    steps: tuple[Dense | Monomial, ...]

    @property
    def n_permutations(self) -> int:
        return sum(isinstance(step, Monomial) for step in self.steps)

    @property
    def signature(self) -> tuple[object, ...]:
        steps = tuple(
            (step.qubits, *(factor.kind for factor in step.factors)) if isinstance(step, Dense) else "monomial"
            for step in self.steps
        )
        return (self.n_qubits, self.n_inputs, self.n_weights, steps)


def schedule(program: Program) -> GateSchedule:
    """Fuse the operations of a program."""
    builder = _Builder()
    for operation in program.operations:
        if isinstance(operation, Rotation):
            builder.add_rotation(operation)
        else:
            builder.add_fixed(operation.qubits, operation.matrix)
    builder.flush(range(program.n_qubits))
    return GateSchedule(program.n_qubits, program.n_inputs, program.n_weights, tuple(builder.steps))


@dataclass
class _Builder:
    steps: list[Dense | Monomial] = field(default_factory=list)
    last: dict[int, Dense | Monomial] = field(default_factory=dict)  # the last step that touches a qubit
    pending: dict[int, Matrix] = field(default_factory=dict)  # numeric one-qubit gates that wait for a neighbour

    def add_rotation(self, rotation: Rotation) -> None:
        qubits, angle, scale = rotation.qubits, rotation.angle, rotation.generator.scale
        constant, cosine, sine = rotation.generator.parts()
        if not (angle.depends_on_inputs or angle.depends_on_weights):
            turn = scale * angle.offset
            self.add_fixed(qubits, constant + np.cos(turn) * cosine + np.sin(turn) * sine)
            return
        self._add_dense(qubits, Factor(constant, cosine, sine, scale, angle))

    def add_fixed(self, qubits: tuple[int, ...], matrix: Matrix) -> None:
        if len(qubits) == 1:
            self._add_one_qubit(qubits[0], matrix)
        elif _is_monomial(matrix):
            self._add_monomial(qubits, matrix)
        else:
            self._add_dense(qubits, Factor(matrix))

    def flush(self, qubits: Sequence[int]) -> None:
        """Emit what waits on these qubits as steps of their own."""
        for qubit in qubits:
            if qubit in self.pending:
                self._emit((qubit,), Dense((qubit,), [Factor(self.pending.pop(qubit))]))

    def _add_one_qubit(self, qubit: int, matrix: Matrix) -> None:
        before = self.last.get(qubit)
        if isinstance(before, Dense):
            left = embed(matrix, (before.qubits.index(qubit),), len(before.qubits))
            before.factors[-1] = before.factors[-1].between(left, _identity(len(before.qubits)))
        else:
            self.pending[qubit] = matrix @ self.pending.get(qubit, _identity(1))

    def _add_dense(self, qubits: tuple[int, ...], factor: Factor) -> None:
        right = _identity(len(qubits))
        for position, qubit in enumerate(qubits):
            if qubit in self.pending:
                right = right @ embed(self.pending.pop(qubit), (position,), len(qubits))
        factor = factor.between(_identity(len(qubits)), right)
        before = self.last.get(qubits[0])
        if isinstance(before, Dense) and before.qubits == qubits and all(self.last.get(q) is before for q in qubits):
            before.factors.append(factor)
        else:
            self._emit(qubits, Dense(qubits, [factor]))

    def _add_monomial(self, qubits: tuple[int, ...], matrix: Matrix) -> None:
        for qubit in qubits:
            if qubit in self.pending and _is_monomial(self.pending[qubit]):
                self._compose((qubit,), self.pending.pop(qubit))
        self.flush(qubits)
        self._compose(qubits, matrix)

    def _compose(self, qubits: tuple[int, ...], matrix: Matrix) -> None:
        before = self.steps[-1] if self.steps else None
        if isinstance(before, Monomial):
            before.gates.append((qubits, matrix))
            self.last.update(dict.fromkeys(qubits, before))
        else:
            self._emit(qubits, Monomial([(qubits, matrix)]))

    def _emit(self, qubits: tuple[int, ...], step: Dense | Monomial) -> None:
        self.steps.append(step)
        self.last.update(dict.fromkeys(qubits, step))


def embed(matrix: Matrix, positions: tuple[int, ...], n_qubits: int) -> Matrix:
    """Extend a matrix on the qubits at `positions` to `n_qubits` qubits, little-endian; shape ``(2^n, 2^n)``."""
    size = 2**n_qubits
    index = np.arange(size)
    sub = sum(((index >> position) & 1) << bit for bit, position in enumerate(positions))
    rest = index & ~sum(1 << position for position in positions)
    same = rest[:, None] == rest[None, :]
    return np.where(same, matrix[np.asarray(sub)[:, None], np.asarray(sub)[None, :]], 0)


def _identity(n_qubits: int) -> Matrix:
    return np.eye(2**n_qubits, dtype=np.complex128)


def _is_monomial(matrix: Matrix) -> bool:
    return bool((np.count_nonzero(np.abs(matrix) > _TOLERANCE, axis=1) == 1).all())


def _register_action(
    matrix: Matrix, qubits: tuple[int, ...], n_qubits: int
) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
    """The action of one monomial matrix on the whole register, as in `Monomial.action`."""
    index = np.arange(2**n_qubits)
    row = np.zeros_like(index)
    for bit, qubit in enumerate(qubits):
        row |= ((index >> qubit) & 1) << bit
    column = np.abs(matrix).argmax(axis=1)[row]
    source = index.copy()
    for bit, qubit in enumerate(qubits):
        source = (source & ~(1 << qubit)) | (((column >> bit) & 1) << qubit)
    return source, matrix[row, column]
