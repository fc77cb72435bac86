"""Gates and channels as maps of Pauli strings, and their fusion to few maps.

In the Heisenberg picture an observable is pulled back from the last operation to the first. A string whose letters on the
qubits of an operation are `i` becomes the sum over `j` of ``matrix[i, j]`` times the string with the letters `j`, where
`matrix` is the Pauli transfer matrix of the operation. Where an angle is a weight or data, the matrix is a sum of constants,
each times the cosine or sine of the angle, or 1.

The letters I, X, Z, Y are numbered ``x + 2 z`` here, from the bit masks of a string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, Fixed, Rotation
from qlstm_qiskit.circuits.pauli import Pauli, rotation_parts, to_matrix
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact.memory import MAX_NOISY_QUBITS
from qlstm_qiskit.exact.noise import Channel, NoisyProgram

Reals = NDArray[np.float64]

#: Entries of matrices below it are rounding errors.
_ROUNDING = 1e-15

#: What is left to do where this interpreter cannot take a circuit.
INSTEAD = "evaluate such circuits on a backend of kind aer with noise, such as aer-noise-fez"


@dataclass(frozen=True, eq=False)
class LocalMap:
    """A map of Pauli strings on a few qubits.

    Attributes:
        qubits: Those that it acts on, sorted.
        terms: Matrices (4^k, 4^k) whose sum it is, each with its factor: ``(turn, code)``. `turn` is -1, or ``2 r`` for the
            cosine of the angle of rotation r by weights and ``2 r + 1`` for its sine; `code` has a digit to the base 3 for each
            data angle: 0 for 1, 1 for its cosine, 2 for its sine.
    """

    qubits: tuple[int, ...]
    terms: dict[tuple[int, int], Reals]

    @property
    def turns(self) -> bool:
        return any(turn >= 0 for turn, _ in self.terms)

    @property
    def reads(self) -> bool:
        return any(code for _, code in self.terms)

    def after(self, earlier: LocalMap) -> LocalMap:
        """Both in one: an operation at a time before this one first."""
        qubits = tuple(sorted({*self.qubits, *earlier.qubits}))
        terms: dict[tuple[int, int], Reals] = {}
        for (turn, code), matrix in self.terms.items():
            for (other_turn, other_code), other in earlier.terms.items():
                factor = (max(turn, other_turn), code + other_code)
                product = _embedded(matrix, self.qubits, qubits) @ _embedded(other, earlier.qubits, qubits)
                terms[factor] = terms[factor] + product if factor in terms else product
        return LocalMap(qubits, {factor: kept for factor, own in terms.items() if (kept := _clean(own)).any()})


@dataclass(frozen=True, eq=False)
class Maps:
    """A program as maps, and what its angles are.

    Attributes:
        maps: In the order of time.
        angles: Of each rotation by weights.
        data: The data angle of each rotation by data, without offset, and its sign: one digit of a code each.
    """

    maps: tuple[LocalMap, ...]
    angles: tuple[Angle, ...]
    data: tuple[tuple[Angle, int], ...]


def program_maps(program: NoisyProgram) -> Maps:
    """The maps of a program's operations, one for each; rotations by several kinds of angles are several.

    Raises:
        CircuitError: An angle is an expression of data and weights that is not their sum, or data is read too often.
    """
    maps: list[LocalMap] = []
    angles: list[Angle] = []
    data: list[tuple[Angle, int]] = []
    for operation in program.operations:
        if not isinstance(operation, Rotation):
            maps.append(constant_map(operation))
            continue
        parts = rotation_parts(operation.generator)
        if parts is None:
            raise CircuitError(f"a gate's generator is a sum of strings that do not commute; {INSTEAD}.")
        for pauli, factor in parts:
            fixed, cosine, sine = _turn(pauli, len(operation.qubits))
            for kind, angle, sign in _kinds(operation.angle, factor):
                if kind == "x":
                    digit = 3 ** len(data)
                    data.append((angle, sign))
                    terms = {(-1, 0): fixed, (-1, digit): cosine, (-1, 2 * digit): sine}
                elif kind == "w":
                    turn = 2 * len(angles)
                    angles.append(angle)
                    terms = {(-1, 0): fixed, (turn, 0): cosine, (turn + 1, 0): sine}
                else:
                    terms = {(-1, 0): fixed + np.cos(angle.offset) * cosine + np.sin(angle.offset) * sine}
                maps.append(_sorted(operation.qubits, terms))
    if len(data) > MAX_NOISY_QUBITS:
        raise CircuitError(
            f"a circuit has {len(data)} rotations by data; at most {MAX_NOISY_QUBITS} are taken with noise. "
            f"{capitalised(INSTEAD)}."
        )
    return Maps(tuple(maps), tuple(angles), tuple(data))


def capitalised(words: str) -> str:
    """The words as a sentence begins."""
    return words[0].upper() + words[1:]


def constant_map(operation: Fixed | Channel) -> LocalMap:
    """The map of a numeric gate or channel."""
    if isinstance(operation, Channel):
        order = _qiskit_order(len(operation.qubits))
        return _sorted(operation.qubits, {(-1, 0): operation.ptm[np.ix_(order, order)]})
    matrix = np.ascontiguousarray(operation.matrix, dtype=np.complex128)
    return _sorted(operation.qubits, {(-1, 0): _transfer(matrix.tobytes(), len(operation.qubits))})


def fused(maps: Sequence[LocalMap], n_qubits: int) -> list[LocalMap]:
    """Few maps equal to the given ones on ``|0...0>``, in the order in which an observable is pulled back through them.

    Constant maps of one qubit are joined to rotations of that qubit, else to maps of two. A qubit's last map takes its strings
    to numbers, and comes as early as it may, since that makes strings fewer.
    """
    start = np.zeros((4, 4))
    start[0, 0] = start[2, 0] = 1  # the values of I and Z on |0>
    ends = [LocalMap((qubit,), {(-1, 0): start}) for qubit in range(n_qubits)]
    joined = _joined([*reversed(maps), *ends], _same_qubits)
    return _scheduled(_joined(joined, _constant_inside))


def _joined(maps: Sequence[LocalMap], may_join: Callable[[LocalMap, LocalMap], bool]) -> list[LocalMap]:
    """Join each map to the one before it on the same qubits, where `may_join` says so."""
    result: list[LocalMap] = []
    last: dict[int, int] = {}
    gone: set[int] = set()
    for own in maps:
        before = {last[qubit] for qubit in own.qubits if qubit in last}
        # a map that lies inside of the new one can be drawn into it, since nothing has acted on its qubits since
        for index in sorted(before):
            inside = set(result[index].qubits) < set(own.qubits) and all(last[q] == index for q in result[index].qubits)
            if inside and may_join(result[index], own):
                own = result[index].after(own)
                gone.add(index)
                before.discard(index)
        index = max(before, default=-1)
        if len(before) == 1 and set(own.qubits) <= set(result[index].qubits) and may_join(own, result[index]):
            result[index] = result[index].after(own)
            continue
        last.update(dict.fromkeys(own.qubits, len(result)))
        result.append(own)
    return [own for index, own in enumerate(result) if index not in gone]


def _same_qubits(own: LocalMap, other: LocalMap) -> bool:
    """Whether one matrix takes both without more factors than it needs."""
    if own.qubits != other.qubits:
        return False
    return not (own.turns and other.turns) and not (own.turns and other.reads) and not (own.reads and other.turns)


def _constant_inside(own: LocalMap, other: LocalMap) -> bool:
    """Whether a constant map of one qubit goes into a constant one of two."""
    return len(own.qubits) == 1 and len(other.qubits) == 2 and not (own.turns or own.reads or other.turns or other.reads)


def _scheduled(maps: Sequence[LocalMap]) -> list[LocalMap]:
    """The same maps, those of one qubit as early as they may come."""
    queues: dict[int, list[int]] = {}
    for index, own in enumerate(maps):
        for qubit in own.qubits:
            queues.setdefault(qubit, []).append(index)
    waiting, order = list(range(len(maps))), []
    while waiting:
        ready = [index for index in waiting if all(queues[qubit][0] == index for qubit in maps[index].qubits)]
        chosen = min(ready, key=lambda index: (len(maps[index].qubits) > 1, index))
        for qubit in maps[chosen].qubits:
            queues[qubit].pop(0)
        waiting.remove(chosen)
        order.append(maps[chosen])
    return order


def _kinds(angle: Angle, factor: float) -> Iterator[tuple[str, Angle, int]]:
    """An angle times a factor as a sum of data ("x", without offset), weights ("w") and numbers (""), with a sign."""
    if angle.tree is not None:
        if not angle.depends_on_weights:
            sign = -1 if factor < 0 else 1
            yield "x", Angle(tree=angle.tree).scaled(abs(factor)), sign
        elif angle.depends_on_inputs:
            raise CircuitError(
                "an angle multiplies data and weights, or is another function of both; the exact interpreter with noise takes "
                f"sums of data and weights only. {capitalised(INSTEAD)}."
            )
        else:
            yield "w", angle.scaled(factor), 1
        return
    scaled = angle.scaled(factor)
    if scaled.inputs:
        sign = -1 if scaled.inputs[0][1] < 0 else 1
        yield "x", Angle(inputs=tuple((column, sign * value) for column, value in scaled.inputs)), sign
    if scaled.weights:
        yield "w", Angle(scaled.offset, (), scaled.weights), 1
    elif scaled.offset:
        yield "", Angle(scaled.offset), 1


def _turn(pauli: Pauli, n_qubits: int) -> tuple[Reals, Reals, Reals]:
    """Matrices A, B, C with ``A + cos(a) B + sin(a) C`` that of ``exp(-i a P / 2)``."""
    generator, one = to_matrix(pauli, n_qubits), np.eye(2**n_qubits)
    none, quarter, half = (
        _transfer((np.cos(a / 2) * one - 1j * np.sin(a / 2) * generator).astype(np.complex128).tobytes(), n_qubits)
        for a in (0, np.pi / 2, np.pi)
    )
    fixed = _clean((none + half) / 2)
    return fixed, _clean((none - half) / 2), _clean(quarter - fixed)


@lru_cache(maxsize=4096)
def _transfer(content: bytes, n_qubits: int) -> Reals:
    """The transfer matrix of a unitary, given as its bytes."""
    unitary = np.frombuffer(content, dtype=np.complex128).reshape(2**n_qubits, 2**n_qubits)
    paulis = _paulis(n_qubits)
    turned = unitary @ paulis @ unitary.conj().T
    return _clean(np.einsum("iab,jba->ij", paulis, turned).real / 2**n_qubits)


@lru_cache(maxsize=8)
def _paulis(n_qubits: int) -> NDArray[np.complex128]:
    letters = range(4**n_qubits)
    strings = [Pauli(*letter_masks(index, range(n_qubits))) for index in letters]
    return np.array([to_matrix(string, n_qubits) for string in strings])


def letter_masks(index: int, qubits: Sequence[int]) -> tuple[int, int]:
    """The masks (x, z) of the letters that are the digits to the base 4 of `index`, on `qubits`."""
    digits = [(qubit, index >> 2 * place & 3) for place, qubit in enumerate(qubits)]
    return sum((digit & 1) << qubit for qubit, digit in digits), sum((digit >> 1) << qubit for qubit, digit in digits)


@lru_cache(maxsize=8)
def _qiskit_order(n_qubits: int) -> NDArray[np.int64]:
    """For each local index here, that of the same string in the order I, X, Y, Z."""
    index = np.arange(4**n_qubits)
    digits = [index >> 2 * place & 3 for place in range(n_qubits)]
    return sum(np.array([0, 1, 3, 2])[digit] << 2 * place for place, digit in enumerate(digits))


def _sorted(qubits: tuple[int, ...], terms: dict[tuple[int, int], Reals]) -> LocalMap:
    order = tuple(sorted(qubits))
    return LocalMap(order, {factor: _embedded(own, qubits, order) for factor, own in terms.items() if own.any()})


def _embedded(matrix: Reals, qubits: Sequence[int], into: Sequence[int]) -> Reals:
    """The matrix of a map on `qubits` as one on `into`, which has these qubits and perhaps others, in its own order."""
    if tuple(qubits) == tuple(into):
        return matrix
    index = np.arange(4 ** len(into))
    inner = sum(((index >> 2 * into.index(qubit) & 3) << 2 * place for place, qubit in enumerate(qubits)), np.zeros_like(index))
    outer = index.copy()
    for qubit in qubits:
        outer &= ~(3 << 2 * into.index(qubit))
    return np.where(outer[:, None] == outer, matrix[np.ix_(inner, inner)], 0.0)


def _clean(matrix: Reals) -> Reals:
    return np.where(np.abs(matrix) < _ROUNDING, 0.0, matrix)
