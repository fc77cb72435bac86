"""The gate table: the action of each parameterised Qiskit gate, as data.

Every parameterised gate that the exact interpreter knows has the form ``U(a) = exp(-i s a G)`` with a Hermitian generator
that satisfies ``G^3 = G`` (eigenvalues -1, 0, 1), hence

    U(a) = (1 - G^2) + cos(s a) G^2 - i sin(s a) G.

Matrices are little-endian, as in Qiskit: the first qubit of a gate is the least significant bit of the index.
A gate that is not in the table is lowered through its own Qiskit definition, and a gate without free parameters through
`qiskit.quantum_info.Operator`; `checked` sees to it that the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Barrier, Operation
from qiskit.circuit.library import get_standard_gate_name_mapping

Matrix = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True)
class Generator:
    """A one-parameter gate ``U(a) = exp(-i scale a matrix)``.

    Attributes:
        matrix: The Hermitian generator, little-endian, (2^k, 2^k); its third power is itself.
        scale: A factor of the angle, 1/2 for rotations.
    """

    matrix: Matrix
    scale: float

    def parts(self) -> tuple[Matrix, Matrix, Matrix]:
        """Return ``(A, B, C)`` with ``U(a) = A + cos(scale a) B + sin(scale a) C``; each of shape ``(2^k, 2^k)``."""
        square = self.matrix @ self.matrix
        return np.eye(len(square), dtype=np.complex128) - square, square, -1j * self.matrix


_I = np.eye(2, dtype=np.complex128)
_X = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y = np.array([[0, -1j], [1j, 0]], dtype=np.complex128)
_Z = np.diag([1, -1]).astype(np.complex128)
_ONE = np.diag([0, 1]).astype(np.complex128)


def _controlled(pauli: Matrix) -> Matrix:
    """Generator of a rotation of qubit 1 that qubit 0 controls."""
    return np.kron(pauli, _ONE)


#: Qiskit gate name -> generator, for every gate with exactly one angle.
GENERATORS: dict[str, Generator] = {
    "rx": Generator(_X, 0.5),
    "ry": Generator(_Y, 0.5),
    "rz": Generator(_Z, 0.5),
    "p": Generator(-_ONE, 1.0),
    "u1": Generator(-_ONE, 1.0),
    "rxx": Generator(np.kron(_X, _X), 0.5),
    "ryy": Generator(np.kron(_Y, _Y), 0.5),
    "rzz": Generator(np.kron(_Z, _Z), 0.5),
    "rzx": Generator(np.kron(_X, _Z), 0.5),
    "crx": Generator(_controlled(_X), 0.5),
    "cry": Generator(_controlled(_Y), 0.5),
    "crz": Generator(_controlled(_Z), 0.5),
    "cp": Generator(-np.kron(_ONE, _ONE), 1.0),
    "cu1": Generator(-np.kron(_ONE, _ONE), 1.0),
}

#: Gate name -> (gate name, index of the angle that it takes) in the order of time, equal up to a global phase.
DECOMPOSITIONS: dict[str, tuple[tuple[str, int], ...]] = {
    "u": (("rz", 2), ("ry", 0), ("rz", 1)),
    "u3": (("rz", 2), ("ry", 0), ("rz", 1)),
}

#: Instructions that leave every expectation value as it is.
NO_EFFECT = frozenset({"barrier", "id", "delay", "global_phase"})

#: Qiskit's own gates by name.
LIBRARY: dict[str, type[Operation]] = {
    **{name: gate.base_class for name, gate in get_standard_gate_name_mapping().items()},
    "barrier": Barrier,
}


def library_name(gate: Operation) -> str:
    """The gate's name if it is Qiskit's own gate of that name; "" for a user's gate, whatever it is called."""
    known = LIBRARY.get(gate.name)
    return gate.name if known is not None and getattr(gate, "base_class", type(gate)) is known else ""
