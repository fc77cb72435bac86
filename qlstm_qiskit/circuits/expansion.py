"""Expectation values as trigonometric polynomials of all parameters, exact.

An observable is pulled back through the turns of a circuit. A turn by a about P leaves a string O that commutes with P and
makes ``cos(a) O + sin(a) i P O`` of one that anticommutes; at the end only strings of Z and I have a value on ``|0...0>``.
Each path to such a string is a product of a factor 1, cos(f p) or sin(f p) for each parameter p, and products of cosines and
sines of one parameter are sums again. Different products are linearly independent functions. So after equal ones are added
up, what is left decides: no product, and the value is zero for all parameters; a parameter whose factor is 1 everywhere does
not matter; the frequencies that occur are the Fourier spectrum. See Nemkov et al., arXiv 2304.00818.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits.pauli import Ints, turn_sign
from qlstm_qiskit.circuits.program import PauliTerm
from qlstm_qiskit.circuits.turns import ANGLE_TOLERANCE, Turn

#: Strings are pairs of bit masks in one integer of 64 bits.
MAX_QUBITS = 31

#: Coefficients below it, relative to the largest of the observable, are rounding errors of zero.
TOLERANCE = 1e-12

Bools = NDArray[np.bool_]
Codes = NDArray[np.int16]


class Factors:
    """Numbers for the factors of each column: 0 is 1; for its k-th frequency f, 2 k + 1 is cos(f p) and 2 k + 2 sin(f p)."""

    def __init__(self, n_columns: int) -> None:
        self._frequencies: list[list[float]] = [[] for _ in range(n_columns)]

    @property
    def n_columns(self) -> int:
        return len(self._frequencies)

    def code(self, column: int, frequency: float, sine: bool) -> tuple[int, int]:
        """The code of cos or sin and its sign, 0 for sin(0); `frequency` may be negative."""
        known, size = self._frequencies[column], round(abs(frequency), 9)
        if size == 0:
            return 0, int(not sine)
        if size not in known:
            known.append(size)
        return 2 * known.index(size) + 1 + sine, -1 if sine and frequency < 0 else 1

    def frequency(self, column: int, code: int) -> float:
        """The frequency of a factor, zero for 1."""
        return self._frequencies[column][(code - 1) // 2] if code else 0.0

    def product(self, column: int, code: int, frequency: float, sine: bool) -> list[tuple[int, float]]:
        """A factor times cos(f p) or sin(f p), as a sum of codes with coefficients."""
        if code == 0:
            parts = [(self.code(column, frequency, sine), 1.0)]
        else:
            g, by_sine = self.frequency(column, code), code % 2 == 0
            # cos cos, cos sin, sin cos, sin sin: half the sum of a function of g + f and one of g - f
            first, second = 0.5 - sine * by_sine, 0.5 - (sine and not by_sine)
            odd = sine != by_sine
            parts = [(self.code(column, g + frequency, odd), first), (self.code(column, g - frequency, odd), second)]
        return [(number, sign * value) for (number, sign), value in parts if sign]


@dataclass(frozen=True, eq=False)
class Reach:
    """Which strings of an observable can contribute, and which turns move them; by commutation alone.

    Attributes:
        n_qubits: Of the register.
        turns: Those that move a string which can contribute, from the last to the first.
        strings: Before each of them and at the end, the strings ``x << n_qubits | z``, sorted.
    """

    n_qubits: int
    turns: tuple[Turn, ...]
    strings: tuple[Ints, ...]


def reach(turns: Sequence[Turn], terms: Sequence[PauliTerm], n_qubits: int, limit: int) -> Reach | None:
    """Pull an observable back; None beyond `limit` strings in all, or for too many qubits.

    Args:
        turns: In the order of time.
        terms: The observable.
        n_qubits: Of the register.
        limit: Also bounds time and memory.
    """
    if n_qubits > MAX_QUBITS:
        return None
    backwards = tuple(reversed(turns))
    strings = [np.unique(np.array([term.x << n_qubits | term.z for term in terms], dtype=np.int64))]
    total = 0
    for turn in backwards:
        own = strings[-1]
        moved = own[_anticommute(own, turn, n_qubits)]
        partners = moved ^ _key(turn, n_qubits)  # all different, as `moved` are
        new = partners[~_member(partners, own, np.ones(len(own), dtype=bool))]
        strings.append(np.sort(np.concatenate([own, new])) if len(new) else own)
        total += len(moved)
        if total > limit:
            return None
    end = strings[-1]
    live, moving = live_strings(backwards, strings, end >> n_qubits == 0, n_qubits)
    kept = [index for index, moves in enumerate(moving) if moves]
    alive = [own[mask] for own, mask in zip(strings, live, strict=True)]
    # a turn that moves no live string leaves the set of live ones as it is
    return Reach(n_qubits, tuple(backwards[index] for index in kept), (*(alive[index] for index in kept), alive[-1]))


def live_strings(turns: Sequence[Turn], strings: Sequence[Ints], end: Bools, n_qubits: int) -> tuple[list[Bools], list[bool]]:
    """Which strings lead to one of those that live at the end, and which turns move such a string."""
    live, moving = [end], []
    for turn, own, after in zip(reversed(turns), reversed(strings[:-1]), reversed(strings[1:]), strict=True):
        alive = _member(own, after, live[-1])
        moved = _anticommute(own, turn, n_qubits)
        alive[moved] |= _member(own[moved] ^ _key(turn, n_qubits), after, live[-1])
        moving.append(bool(np.any(alive & moved)))
        live.append(alive)
    return live[::-1], moving[::-1]


@dataclass(frozen=True, eq=False)
class Rows:
    """Terms of a polynomial: ``coefficient * prod_c factor(code_c)`` times a string; `tag` keeps sums apart.

    Attributes:
        string, tag, coefficient: (rows,).
        codes: See `Factors`; (rows, columns).
    """

    string: Ints
    tag: Ints
    coefficient: NDArray[np.float64]
    codes: Codes

    def __len__(self) -> int:
        return len(self.string)

    def take(self, which: Bools | Ints) -> Rows:
        """Some of the rows."""
        return Rows(self.string[which], self.tag[which], self.coefficient[which], self.codes[which])

    def merged(self, smallest: float) -> Rows:
        """Equal products added up; those that cancel are dropped."""
        if not len(self):
            return self
        keys = np.concatenate([self.string[:, None], self.tag[:, None], self.codes], axis=1)
        order = np.lexsort(keys.T[::-1])
        starts = np.flatnonzero(np.concatenate([[True], np.any(np.diff(keys[order], axis=0), axis=1)]))
        sums = np.add.reduceat(self.coefficient[order], starts)
        return replace(self.take(order[starts]), coefficient=sums).take(np.abs(sums) > smallest)


def start_rows(terms: Sequence[PauliTerm], n_qubits: int, n_columns: int) -> Rows:
    """An observable that has not been pulled back yet."""
    keys = np.array([term.x << n_qubits | term.z for term in terms], dtype=np.int64)
    coefficient = np.array([term.coefficient for term in terms], dtype=np.float64)
    return Rows(keys, np.zeros_like(keys), coefficient, np.zeros((len(keys), n_columns), dtype=np.int16))


def expand(rows: Rows, found: Reach, first: int, factors: Factors, limit: int) -> Rows | None:
    """Pull `rows` back through the turns of `found` from number `first` on; None beyond `limit` rows.

    What is left stands at strings of value 1 on ``|0...0>``; equal products are added up, whatever their string.
    """
    smallest = TOLERANCE * float(np.abs(rows.coefficient).max(initial=0.0))
    met: set[int | None] = {None}  # numeric turns multiply coefficients alone, and so make equal products
    for turn, after in zip(found.turns[first:], found.strings[first + 1 :], strict=True):
        rows = _turned(rows, turn, found.n_qubits, factors)
        rows = rows.take(_member(rows.string, after, np.ones(len(after), dtype=bool)))
        if turn.column in met:
            rows = rows.merged(smallest)
        met.add(turn.column)
        if len(rows) > limit:
            return None
    counting = rows.take(rows.string >> found.n_qubits == 0)
    return replace(counting, string=np.zeros_like(counting.string)).merged(smallest)


def _turned(rows: Rows, turn: Turn, n_qubits: int, factors: Factors) -> Rows:
    moved = _anticommute(rows.string, turn, n_qubits)
    split = rows.take(moved)
    x, z = split.string >> n_qubits, split.string & ((1 << n_qubits) - 1)
    sign = turn_sign(turn.x, turn.z, x, z)
    other = replace(split, string=split.string ^ _key(turn, n_qubits), coefficient=split.coefficient * sign)
    parts = [rows.take(~moved), *_times(split, turn, False, factors), *_times(other, turn, True, factors)]
    fields = zip(*((part.string, part.tag, part.coefficient, part.codes) for part in parts), strict=True)
    return Rows(*(np.concatenate(field) for field in fields))


def _times(rows: Rows, turn: Turn, sine: bool, factors: Factors) -> list[Rows]:
    """Rows times the cosine or sine of a turn's angle."""
    if turn.column is None:
        number = float(np.sin(turn.factor) if sine else np.cos(turn.factor))
        return [replace(rows, coefficient=rows.coefficient * number)] if abs(number) > ANGLE_TOLERANCE else []
    parts = []
    for code in np.unique(rows.codes[:, turn.column]):
        own = rows.take(rows.codes[:, turn.column] == code)
        for after, coefficient in factors.product(turn.column, int(code), turn.factor, sine):
            codes = own.codes.copy()
            codes[:, turn.column] = after
            parts.append(replace(own, codes=codes, coefficient=own.coefficient * coefficient))
    return parts


def _key(turn: Turn, n_qubits: int) -> int:
    return turn.x << n_qubits | turn.z


def _anticommute(strings: Ints, turn: Turn, n_qubits: int) -> Bools:
    """Whether each string anticommutes with the turn's: an odd number of places where one has X and the other Z."""
    odd: Bools = np.bitwise_count(strings & (turn.z << n_qubits | turn.x)) % 2 == 1
    return odd


def _member(strings: Ints, among: Ints, mask: Bools) -> Bools:
    """Whether each string is one of the sorted strings `among` for which `mask` holds."""
    if not len(among):
        return np.zeros(len(strings), dtype=bool)
    place = np.minimum(np.searchsorted(among, strings), len(among) - 1)
    found: Bools = (among[place] == strings) & mask[place]
    return found
