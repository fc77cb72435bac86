"""Frequencies of a circuit's parameters, as exact sums of the factors of its angles.

Factors are floats, and their sums are kept as fractions, so that what cancels is zero. Three times the float 1/3 is not 1,
though: `Factors.settled` finds the frequencies of a parameter that differ by no more than the roundings of its factors, which
are taken as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from qlstm_qiskit.circuits.turns import Turn

#: Frequencies of a parameter are equal if they differ by less than this times the sum of its factors: some roundings of each.
ROUNDING = 2.0**-50


class Factors:
    """Numbers for the factors of each column: 0 is 1; for its k-th frequency f, 2 k + 1 is cos(f p) and 2 k + 2 sin(f p).

    Args:
        n_columns: Of the circuit.
        turns: Of the circuit; their factors say how well its frequencies are known.
    """

    def __init__(self, n_columns: int, turns: Sequence[Turn]) -> None:
        self._frequencies: list[list[Fraction]] = [[] for _ in range(n_columns)]
        self._places: list[dict[Fraction, int]] = [{} for _ in range(n_columns)]
        self._slack = [0.0] * n_columns
        for turn in turns:
            if turn.column is not None:
                self._slack[turn.column] += ROUNDING * abs(turn.factor)

    def code(self, column: int, frequency: Fraction, sine: bool) -> tuple[int, int]:
        """The code of cos or sin and its sign, 0 for sin(0); `frequency` may be negative."""
        if not frequency:
            return 0, int(not sine)
        known, size = self._frequencies[column], abs(frequency)
        place = self._places[column].setdefault(size, len(known))
        if place == len(known):
            known.append(size)
        return 2 * place + 1 + sine, -1 if sine and frequency < 0 else 1

    def frequency(self, column: int, code: int) -> Fraction:
        """The frequency of a factor, zero for 1."""
        return self._frequencies[column][(code - 1) // 2] if code else Fraction(0)

    def product(self, column: int, code: int, frequency: Fraction, sine: bool) -> list[tuple[int, float]]:
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

    def settled(self, column: int) -> dict[int, int | None]:
        """For codes of a column the code of the frequency that theirs is equal to up to rounding; None for sin(0).

        Codes that stay as they are do not occur.
        """
        known, slack = self._frequencies[column], self._slack[column]
        result: dict[int, int | None] = {}
        before, settled = Fraction(0), -1  # the frequency zero, which has no place
        for place in sorted(range(len(known)), key=known.__getitem__):
            if known[place] - before > slack:
                settled = place
            before = known[place]
            if settled != place:
                code = 2 * settled + 1
                result[2 * place + 1], result[2 * place + 2] = (code, code + 1) if settled >= 0 else (0, None)
        return result


def readable(frequency: Fraction | float) -> float:
    """A frequency in twelve digits, without the roundings of its factors: 0.2 for 0.3 - 0.1."""
    return float(f"{float(frequency):.12g}")
