"""The Pauli-rotation form: a circuit as rotations exp(-i a P / 2) about Pauli strings, with every Clifford gate absorbed.

Clifford gates are pulled to the end and into the observables, so that ``U = C prod_j exp(-i a_j P_j / 2)`` is measured as
``C^dagger O C``, again Pauli strings. What can matter is then read off commutation relations of bit masks; see Nemkov et al.,
arXiv 2304.00818, for the Fourier expansion of variational circuits by the same pull-back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits.expressions import Angle
from qlstm_qiskit.circuits.gates import Generator, Matrix
from qlstm_qiskit.circuits.program import Fixed, PauliTerm, Rotation

Ints = NDArray[np.int64]

_TOLERANCE = 1e-12

#: Gates on more qubits are not tried: their matrices have too many Pauli strings to look through.
_LARGEST_CLIFFORD = 4
_LETTERS = (
    np.eye(2, dtype=np.complex128),
    np.array([[0, 1], [1, 0]], dtype=np.complex128),
    np.diag([1, -1]).astype(np.complex128),
    np.array([[0, -1j], [1j, 0]]),
)  # indexed by x + 2 z: I, X, Z, Y


@dataclass(frozen=True)
class Pauli:
    """The Hermitian string ``sign * i^|x & z| X^x Z^z``; bit q of the masks belongs to qubit q, both bits make a Y."""

    x: int
    z: int
    sign: int = 1


@dataclass(frozen=True)
class PauliRotation:
    """``exp(-i angle P / 2)`` with ``P = Pauli(x, z)``."""

    x: int
    z: int
    angle: Angle


@dataclass(frozen=True)
class PauliForm:
    """Rotations in the order of time on the initial state, and the observables of each output as Pauli strings."""

    n_qubits: int
    rotations: tuple[PauliRotation, ...]
    outputs: tuple[tuple[PauliTerm, ...], ...]


def pauli_form(
    operations: Iterable[Fixed | Rotation], outputs: Sequence[Sequence[PauliTerm]], n_qubits: int
) -> PauliForm | None:
    """Rewrite a circuit, or None where a numeric gate of several qubits is not Clifford.

    Args:
        operations: The lowered circuit, in the order of time.
        outputs: For each output the Pauli terms of its observable.
        n_qubits: Number of qubits.
    """
    frame = _Frame(n_qubits)
    rotations: list[PauliRotation] = []
    for operation in operations:
        if isinstance(operation, Rotation):
            parts = rotation_parts(operation.generator)
            if parts is None:
                return None
            rotations += [_rotation(frame, pauli, operation.qubits, operation.angle.scaled(f)) for pauli, f in parts]
        elif not frame.apply(operation.matrix, operation.qubits):
            if len(operation.qubits) > 1:
                return None
            rotations += [
                _rotation(frame, pauli, operation.qubits, Angle(offset)) for pauli, offset in _euler(operation.matrix)
            ]
    pulled = tuple(tuple(_pull(frame, term) for term in terms) for terms in outputs)
    return PauliForm(n_qubits, tuple(rotations), pulled)


def multiply(a: Pauli, b: Pauli) -> tuple[int, Pauli]:
    """``a b = i^power c`` with c of sign 1: return ``(power mod 4, c)``."""
    x, z = a.x ^ b.x, a.z ^ b.z
    power = (a.x & a.z).bit_count() + (b.x & b.z).bit_count() - (x & z).bit_count() + 2 * (a.z & b.x).bit_count()
    power += 2 * (a.sign < 0) + 2 * (b.sign < 0)
    return power % 4, Pauli(x, z)


def turn_sign(px: int, pz: int, x: Ints, z: Ints) -> Ints:
    """The sign s of ``i P O = s Q`` with Q a string of sign 1, for P = Pauli(px, pz) that anticommutes with O = Pauli(x, z)."""
    power = int(px & pz).bit_count() + np.bitwise_count(x & z).astype(np.int64)
    power -= np.bitwise_count((x ^ px) & (z ^ pz)).astype(np.int64)
    power += 2 * np.bitwise_count(pz & x).astype(np.int64)
    return 1 - (power + 1) % 4


def rotation_parts(generator: Generator) -> tuple[tuple[Pauli, float], ...] | None:
    """Commuting Pauli rotations equal to a gate: pairs of a local string and the factor of the gate's angle.

    None where the generator's Pauli strings do not commute with one another.
    """
    parts = [(pauli, 2 * generator.scale * c) for pauli, c in _strings(generator.matrix.tobytes()) if pauli.x or pauli.z]
    for a, _ in parts:
        if any(((a.x & b.z).bit_count() + (a.z & b.x).bit_count()) % 2 for b, _ in parts):
            return None
    return tuple(parts)


@lru_cache(maxsize=1024)
def _strings(content: bytes) -> tuple[tuple[Pauli, float], ...]:
    """The Pauli strings of a Hermitian matrix, given as its bytes."""
    matrix = np.frombuffer(content, dtype=np.complex128)
    n_qubits = (len(matrix).bit_length() - 1) // 2
    return tuple(_expand(matrix.reshape(2**n_qubits, 2**n_qubits), n_qubits))


def is_clifford(matrix: Matrix, n_qubits: int) -> bool:
    """Whether a numeric gate of few qubits takes Pauli strings to Pauli strings; of many qubits, it is not tried."""
    content = np.asarray(matrix, dtype=np.complex128).tobytes()
    return n_qubits <= _LARGEST_CLIFFORD and _conjugations(content, n_qubits) is not None


class _Frame:
    """The Clifford C met so far, as the images ``C^dagger P C`` of X and Z on each qubit."""

    def __init__(self, n_qubits: int) -> None:
        self._x = [Pauli(1 << qubit, 0) for qubit in range(n_qubits)]
        self._z = [Pauli(0, 1 << qubit) for qubit in range(n_qubits)]

    def image(self, pauli: Pauli) -> Pauli:
        """``C^dagger P C``."""
        power = (pauli.x & pauli.z).bit_count() + 2 * (pauli.sign < 0)
        total = Pauli(0, 0)
        for mask, images in ((pauli.x, self._x), (pauli.z, self._z)):
            while mask:  # bit after bit: masks are mostly empty, however wide they are
                step, total = multiply(total, images[(mask & -mask).bit_length() - 1])
                power, mask = power + step, mask & mask - 1
        assert power % 2 == 0, "conjugation keeps a string Hermitian"
        return replace(total, sign=1 - power % 4)

    def apply(self, matrix: Matrix, qubits: Sequence[int]) -> bool:
        """Append a gate to C if it is Clifford; else change nothing and return False."""
        if len(qubits) > _LARGEST_CLIFFORD:
            return False
        local = _conjugations(np.asarray(matrix, dtype=np.complex128).tobytes(), len(qubits))
        if local is None:
            return False
        images = [self.image(spread(pauli, qubits)) for pauli in local]
        for position, qubit in enumerate(qubits):
            self._x[qubit], self._z[qubit] = images[2 * position], images[2 * position + 1]
        return True


@lru_cache(maxsize=1024)
def _conjugations(content: bytes, n_qubits: int) -> tuple[Pauli, ...] | None:
    """``g^dagger P g`` for P = X, Z of each qubit in turn; None where g, given as the bytes of its matrix, is not Clifford."""
    matrix = np.frombuffer(content, dtype=np.complex128).reshape(2**n_qubits, 2**n_qubits)
    images = []
    for position in range(n_qubits):
        for local in (Pauli(1 << position, 0), Pauli(0, 1 << position)):
            terms = _expand(matrix.conj().T @ to_matrix(local, n_qubits) @ matrix, n_qubits)
            if len(terms) != 1 or abs(abs(terms[0][1]) - 1) > _TOLERANCE:
                return None
            pauli, coefficient = terms[0]
            images.append(replace(pauli, sign=1 if coefficient > 0 else -1))
    return tuple(images)


def spread(pauli: Pauli, qubits: Sequence[int]) -> Pauli:
    """Move a local string to the qubits of the register that it acts on."""
    x = sum((pauli.x >> position & 1) << qubit for position, qubit in enumerate(qubits))
    z = sum((pauli.z >> position & 1) << qubit for position, qubit in enumerate(qubits))
    return Pauli(x, z, pauli.sign)


def to_matrix(pauli: Pauli, n_qubits: int) -> Matrix:
    """The string's matrix, little-endian; shape ``(2^n, 2^n)``."""
    letters = [_LETTERS[(pauli.x >> qubit & 1) + 2 * (pauli.z >> qubit & 1)] for qubit in reversed(range(n_qubits))]
    return pauli.sign * reduce(np.kron, letters)


def _expand(matrix: Matrix, n_qubits: int) -> list[tuple[Pauli, float]]:
    """The Pauli strings of a Hermitian matrix with their coefficients, except for those that vanish."""
    terms = []
    for x, z in product(range(2**n_qubits), repeat=2):
        pauli = Pauli(x, z)
        coefficient = float(np.trace(to_matrix(pauli, n_qubits) @ matrix).real) / 2**n_qubits
        if abs(coefficient) > _TOLERANCE:
            terms.append((pauli, coefficient))
    return terms


def _rotation(frame: _Frame, pauli: Pauli, qubits: Sequence[int], angle: Angle) -> PauliRotation:
    image = frame.image(spread(pauli, qubits))
    return PauliRotation(image.x, image.z, angle.scaled(image.sign))


def _pull(frame: _Frame, term: PauliTerm) -> PauliTerm:
    image = frame.image(Pauli(term.x, term.z))
    return PauliTerm(image.x, image.z, image.sign * term.coefficient)


def _euler(matrix: Matrix) -> list[tuple[Pauli, float]]:
    """Angles of ``RZ RY RZ``, equal to a one-qubit unitary up to a global phase, in the order of time."""
    special = matrix / np.sqrt(np.linalg.det(matrix))  # ((., .), (sin e^(i (last - first) / 2), cos e^(i (last + first) / 2)))
    theta = 2 * np.arctan2(abs(special[1, 0]), abs(special[1, 1]))
    plus, minus = np.angle(special[1, 1]), np.angle(special[1, 0])
    return [(Pauli(0, 1), float(plus - minus)), (Pauli(1, 1), float(theta)), (Pauli(0, 1), float(plus + minus))]
