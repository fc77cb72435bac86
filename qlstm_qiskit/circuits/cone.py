"""Light cones: what of a circuit an observable can meet, with its qubits numbered anew, so that registers may be of any width.

Strings are pairs of bit masks in arrays. Where the cone has up to `WORD_QUBITS` qubits, two masks fit into one integer of 64
bits; beyond, the same arrays hold Python's integers, which numpy treats alike and some fifty times as slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

#: Two masks of so many qubits fit into one integer of 64 bits.
WORD_QUBITS = 31


#: Of so many terms, and from so many strings on, `least_strings` looks.
_STARTS = 8


class Masked(Protocol):
    """Whatever has the masks of a Pauli string."""

    @property
    def x(self) -> int: ...

    @property
    def z(self) -> int: ...


@dataclass(frozen=True)
class LightCone:
    """What an observable can meet on its way back.

    Attributes:
        moves: Which rotations may fail to commute with a string that is met, from the last to the first.
        qubits: Those that any such string may act on, ascending; local qubit k is ``qubits[k]``.
    """

    moves: tuple[int, ...]
    qubits: tuple[int, ...]

    def local(self, mask: int) -> int:
        """A mask on the qubits of the cone, of one on the register; bits beyond the cone are left out."""
        return sum((mask >> qubit & 1) << place for place, qubit in enumerate(self.qubits))

    def integers(self, values: Iterable[int]) -> NDArray[Any]:
        """An array of local masks, or of pairs of them in one integer."""
        return np.array(list(values), dtype=np.int64 if len(self.qubits) <= WORD_QUBITS else object)


def light_cone(terms: Iterable[Masked], rotations: Sequence[Masked]) -> LightCone:
    """The light cone of an observable, found without a list of strings: those that are met lie in it, and maybe others.

    Args:
        terms: Of the observable.
        rotations: About Pauli strings, in the order of time.
    """
    generators: list[Masked] = list(terms)
    by_x, by_z = (reduce(or_, (getattr(term, name) for term in generators), 0) for name in "xz")
    moves = []
    for index in reversed(range(len(rotations))):
        own = rotations[index]
        # what commutes with all factors of a string commutes with the string; masks say soon that most do
        if (own.x & by_z or own.z & by_x) and not all(_commute(other, own) for other in generators):
            moves.append(index)
            generators.append(own)
            by_x, by_z = by_x | own.x, by_z | own.z
    touched = by_x | by_z
    return LightCone(tuple(moves), tuple(qubit for qubit in range(touched.bit_length()) if touched >> qubit & 1))


def least_strings(terms: Iterable[Masked], rotations: Sequence[Masked], most: int | None = None) -> int:
    """A number of strings that an observable becomes at least, found without listing them.

    Of rotations that commute with one another and not with a string, each subset makes another string of it, as long as no
    product of them is the identity. Sets of such are looked for greedily, from several strings on the way back.

    Args:
        terms: Of the observable; of the first ones that which becomes most counts.
        rotations: In the order of time.
        most: Look no further once there are more.
    """
    largest, backwards = 1, rotations[::-1]
    if most is not None and 2 ** len(rotations) <= most:
        return largest
    for term in islice(terms, _STARTS):
        own = _Masks(term.x, term.z)
        for number, rotation in enumerate(backwards):
            if number % (1 + len(rotations) // _STARTS) == 0:
                for string in (term, own):  # those that turn as late, and as early, as they can
                    moving = [other for other in backwards[number:] if not _commute(string, other)]
                    largest = max(largest, 2 ** _greedy(moving, most))
                if most is not None and largest > most:
                    return largest
            if not _commute(own, rotation):
                own = _Masks(own.x ^ rotation.x, own.z ^ rotation.z)
    return largest


class _Masks(NamedTuple):
    x: int
    z: int


def _greedy(rotations: Sequence[Masked], most: int | None) -> int:
    """How many of some rotations commute with one another and are independent, taken one after the other."""
    chosen: list[Masked] = []
    pivots: dict[int, tuple[int, int]] = {}  # rows of a basis over GF(2), by their highest bit
    for rotation in rotations:
        if all(_commute(other, rotation) for other in chosen):
            x, z = rotation.x, rotation.z
            while (place := _highest(x, z)) in pivots:
                x, z = x ^ pivots[place][0], z ^ pivots[place][1]
            if place:
                pivots[place] = x, z
                chosen.append(rotation)
        if most is not None and 2 ** len(chosen) > most:
            break
    return len(chosen)


def _commute(first: Masked, second: Masked) -> bool:
    return ((first.x & second.z).bit_count() + (first.z & second.x).bit_count()) % 2 == 0


def _highest(x: int, z: int) -> int:
    """A number for the highest bit of two masks, 0 for none."""
    return x.bit_length() or -z.bit_length()
