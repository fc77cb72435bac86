"""The part of a program that reads the data, where it is a product of one-qubit encodings.

Such a program starts with gates on single qubits, each qubit taking one data angle u, and only weights act after that.
Qubit q is then in a state whose Bloch components are linear in (1, cos u, sin u), and any expectation value is linear in the
products of these over the qubits: the multilinear form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, Fixed, Program, Rotation
from qlstm_qiskit.circuits.gates import Matrix
from qlstm_qiskit.circuits.pauli import Pauli, to_matrix

_TOLERANCE = 1e-14


@dataclass(frozen=True, eq=False)
class ProductEncoding:
    """A program cut in two.

    Attributes:
        angles: For each qubit its data angle u, or None where it reads no data.
        bloch: For each qubit and letter (I, X, Z, Y: x + 2 z) the coefficients of 1, cos u, sin u; shape (n, 4, 3).
        rest: What follows; it reads weights alone.
    """

    angles: tuple[Angle | None, ...]
    bloch: NDArray[np.float64]
    rest: tuple[Fixed | Rotation, ...]


def split_encoding(program: Program) -> ProductEncoding | None:
    """Cut a program behind its encoding; None where data is read again later, or by gates of several qubits."""
    leading: list[list[Fixed | Rotation]] = [[] for _ in range(program.n_qubits)]
    angles: list[Angle | None] = [None] * program.n_qubits
    closed = [False] * program.n_qubits
    rest: list[Fixed | Rotation] = []
    for operation in program.operations:
        angle = operation.angle if isinstance(operation, Rotation) else Angle()
        qubit = operation.qubits[0]
        alone = len(operation.qubits) == 1 and not closed[qubit] and not angle.depends_on_weights
        if alone and not (angle.depends_on_inputs and angles[qubit] is not None):
            leading[qubit].append(operation)
            if angle.depends_on_inputs:
                angles[qubit] = angle
        elif angle.depends_on_inputs:
            return None
        else:
            rest.append(operation)
            for used in operation.qubits:
                closed[used] = True
    bloch = np.array([_bloch(operations) for operations in leading])
    for coefficients, operations in zip(bloch, leading, strict=True):
        if not np.allclose(coefficients @ (1, np.cos(0.7), np.sin(0.7)), _components(operations, 0.7), atol=1e-12):
            return None  # a gate of another frequency
    units = tuple(None if angle is None else _unit(angle) for angle in angles)
    for qubit, unit in enumerate(units):
        if unit is not None and not np.any(bloch[qubit, :, 1:]):  # an encoding that the observables cannot see
            angles[qubit] = None
    seen = tuple(unit if angle is not None else None for unit, angle in zip(units, angles, strict=True))
    return ProductEncoding(seen, bloch, tuple(rest))


def _unit(angle: Angle) -> Angle:
    """The angle u that a qubit's features are taken of: an angle of one input without its sign and offset."""
    if angle.tree is None and len(angle.inputs) == 1:
        column, coefficient = angle.inputs[0]
        return Angle(inputs=((column, abs(coefficient)),))
    return angle


def _bloch(operations: list[Fixed | Rotation]) -> NDArray[np.float64]:
    """Coefficients (4, 3) of the Bloch components: they are trigonometric polynomials of degree 1 in u."""
    turns = np.array([0.0, np.pi / 2, np.pi])
    values = np.array([_components(operations, turn) for turn in turns]).T  # (4, 3): c0 + c1, c0 + c2, c0 - c1
    constant = (values[:, 0] + values[:, 2]) / 2
    coefficients = np.stack([constant, (values[:, 0] - values[:, 2]) / 2, values[:, 1] - constant], axis=1)
    return np.where(np.abs(coefficients) < _TOLERANCE, 0.0, coefficients)


def _components(operations: list[Fixed | Rotation], unit: float) -> list[float]:
    state = np.array([1, 0], dtype=np.complex128)
    for operation in operations:
        state = _numeric(operation, unit) @ state
    return [float((state.conj() @ to_matrix(Pauli(i & 1, i >> 1), 1) @ state).real) for i in range(4)]


def _numeric(operation: Fixed | Rotation, unit: float) -> Matrix:
    if isinstance(operation, Fixed):
        return operation.matrix
    angle = operation.angle
    value = angle.offset
    if angle.depends_on_inputs:
        simple = angle.tree is None and len(angle.inputs) == 1
        value = angle.offset + np.sign(angle.inputs[0][1]) * unit if simple else unit
    constant, cosine, sine = operation.generator.parts()
    turn = operation.generator.scale * value
    matrix: Matrix = constant + np.cos(turn) * cosine + np.sin(turn) * sine
    return matrix
