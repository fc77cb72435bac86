"""Expectation values as trigonometric polynomials of all parameters, exact.

An observable is pulled back through the turns of a circuit. A turn by a about P leaves a string O that commutes with P and
makes ``cos(a) O + sin(a) i P O`` of one that anticommutes; at the end only strings of Z and I have a value on ``|0...0>``.
Each path to such a string is a product of a factor 1, cos(f p) or sin(f p) for each parameter p, and products of cosines and
sines of one parameter are sums again. Different products are linearly independent functions. So after equal ones are added
up, what is left decides: no product, and the value is zero for all parameters; a parameter whose factor is 1 everywhere does
not matter; the frequencies that occur are the Fourier spectrum. See Nemkov et al., arXiv 2304.00818.

Frequencies are exact (`frequencies`); the result says whether two of them had to be taken as equal in spite of roundings.
Coefficients are floats; what is left out because it is small is added up and bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits.cone import least_strings, light_cone
from qlstm_qiskit.circuits.frequencies import Factors
from qlstm_qiskit.circuits.pauli import Ints, turn_sign
from qlstm_qiskit.circuits.program import PauliTerm
from qlstm_qiskit.circuits.turns import ANGLE_TOLERANCE, Turn

#: Coefficients below it, relative to the largest of the observable, are rounding errors of zero.
TOLERANCE = 1e-12

#: No value changes by more than this, relative to the largest coefficient of the observable, by all that is left out together.
LEFT_OUT = 1e-11

Bools = NDArray[np.bool_]
Codes = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Reach:
    """Which strings of an observable can contribute, and which turns move them; by commutation alone.

    Masks are those of the observable's light cone.

    Attributes:
        n_qubits: Of the light cone.
        terms: The observable.
        turns: Those that move a string which can contribute, from the last to the first.
        strings: Before each of them and at the end, the strings ``x << n_qubits | z``, sorted.
    """

    n_qubits: int
    terms: tuple[PauliTerm, ...]
    turns: tuple[Turn, ...]
    strings: tuple[Ints, ...]


def reach(turns: Sequence[Turn], terms: Sequence[PauliTerm], limit: int) -> Reach | None:
    """Pull an observable back; None beyond `limit` strings in all.

    Args:
        turns: In the order of time.
        terms: The observable.
        limit: Also bounds time and memory.
    """
    cone = light_cone(terms, turns)
    n_qubits = len(cone.qubits)
    own_terms = tuple(replace(term, x=cone.local(term.x), z=cone.local(term.z)) for term in terms)
    backwards = tuple(replace(turns[i], x=cone.local(turns[i].x), z=cone.local(turns[i].z)) for i in cone.moves)
    if least_strings(own_terms, backwards[::-1], limit + len(terms)) > limit + len(terms):
        return None
    strings = [np.unique(cone.integers(term.x << n_qubits | term.z for term in own_terms))]
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
    return Reach(n_qubits, own_terms, tuple(backwards[index] for index in kept), (*(alive[index] for index in kept), alive[-1]))


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

    def merged(self, smallest: float) -> tuple[Rows, float]:
        """Equal products added up, without those that cancel; and the sum of the sizes of what was left out."""
        if not len(self):
            return self, 0.0
        string = np.unique(self.string, return_inverse=True)[1] if self.string.dtype == object else self.string
        keys = np.concatenate([string[:, None], self.tag[:, None], self.codes], axis=1)
        order = np.lexsort(keys.T[::-1])
        starts = np.flatnonzero(np.concatenate([[True], np.any(np.diff(keys[order], axis=0), axis=1)]))
        sums = np.add.reduceat(self.coefficient[order], starts)
        sizes = np.abs(sums)
        kept = sizes > smallest
        return replace(self.take(order[starts]), coefficient=sums).take(kept), float(sizes[~kept].sum())


@dataclass(frozen=True, eq=False)
class Expansion:
    """An observable, pulled back.

    Attributes:
        rows: Its terms at strings of value 1 on ``|0...0>``; equal products are added up, whatever their string.
        scale: The largest coefficient that it had before.
        exact: Whether no two frequencies were taken as equal that are so only up to rounding.
    """

    rows: Rows
    scale: float
    exact: bool

    def __len__(self) -> int:
        return len(self.rows)


def start_rows(found: Reach, n_columns: int) -> Rows:
    """An observable that has not been pulled back yet."""
    keys = np.array([term.x << found.n_qubits | term.z for term in found.terms], dtype=found.strings[0].dtype)
    coefficient = np.array([term.coefficient for term in found.terms], dtype=np.float64)
    return Rows(keys, np.zeros(len(keys), np.int64), coefficient, np.zeros((len(keys), n_columns), dtype=np.int32))


def expand(rows: Rows, found: Reach, first: int, factors: Factors, limit: int) -> Expansion | None:
    """Pull `rows` back through the turns of `found` from number `first` on.

    None beyond `limit` rows, or where too many small ones would have been left out.
    """
    scale = float(np.abs(rows.coefficient).max(initial=0.0))
    smallest, left_out = TOLERANCE * scale, 0.0
    met: set[int | None] = {None}  # numeric turns multiply coefficients alone, and so make equal products
    for turn, after in zip(found.turns[first:], found.strings[first + 1 :], strict=True):
        rows = _turned(rows, turn, found.n_qubits, factors)
        rows = rows.take(_member(rows.string, after, np.ones(len(after), dtype=bool)))
        if turn.column in met:
            rows, lost = rows.merged(smallest)
            left_out += lost
        met.add(turn.column)
        if len(rows) > limit:
            return None
    counting = rows.take(rows.string >> found.n_qubits == 0)
    rows, lost = replace(counting, string=np.zeros_like(counting.string)).merged(smallest)
    settled = _settled(rows, factors)
    if settled is not rows:
        settled, more = settled.merged(smallest)
        lost += more
    return Expansion(settled, scale, settled is rows) if left_out + lost <= LEFT_OUT * scale else None


def _settled(rows: Rows, factors: Factors) -> Rows:
    """The rows with frequencies that are equal up to rounding as one; the same object where there are none."""
    codes, kept = rows.codes, np.ones(len(rows), dtype=bool)
    for column in range(rows.codes.shape[1]):
        for code, after in factors.settled(column).items():
            own = rows.codes[:, column] == code
            if own.any():
                codes = codes.copy() if codes is rows.codes else codes
                codes[own, column] = after or 0
                kept &= ~own if after is None else True
    return rows if codes is rows.codes else replace(rows, codes=codes).take(kept)


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
    parts, factor = [], Fraction(turn.factor)
    for code in np.unique(rows.codes[:, turn.column]):
        own = rows.take(rows.codes[:, turn.column] == code)
        for after, coefficient in factors.product(turn.column, int(code), factor, sine):
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
