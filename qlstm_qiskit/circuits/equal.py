"""Equality of circuits as functions, up to a sign and relabelled weights.

Both are written as trigonometric polynomials (see `expansion`). They are equal up to a sign, a permutation of the weights that
matter and w -> -w for some of them, if and only if the permutation takes the products of one to those of the other with
coefficients of equal size, and the signs agree: a flip changes the sign of each product with a sine of that weight, which is a
system of linear equations over GF(2). Frequencies are compared in twelve digits.

The permutation is found by colour refinement: weights get the same colour while nothing tells them apart, and where some
colour is left with several weights, one of them is tried after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits.expansion import Rows, expand, reach, start_rows
from qlstm_qiskit.circuits.frequencies import Factors, readable
from qlstm_qiskit.circuits.program import PauliTerm, Program
from qlstm_qiskit.circuits.structure import STRING_LIMIT
from qlstm_qiskit.circuits.turns import turn_form

#: Terms of all outputs of a circuit beyond which it is not compared with others.
COMPARISON_LIMIT = 2**17

#: Permutations that are tried for one pair of circuits.
_MOST_TRIALS = 64

#: Largest difference of coefficients that are equal, relative to the largest.
_CLOSE = 1e-12

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Relabelling:
    """One function in terms of another: ``f(x, w) = sign * g(x, v)`` with ``v[k] = flip * w[column]``.

    Attributes:
        sign: 1 or -1, of all outputs.
        weights: For each weight k of g that matters ``k -> (column, flip)``; the others may have any value.
    """

    sign: int
    weights: dict[int, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """All outputs of a circuit as sums of products of factors of its inputs and of the weights that matter.

    Attributes:
        given: What no relabelling changes, (terms, 1 + inputs): the output, and a number for the factor of each input.
        factors: For each weight that matters a number of its factor, (terms, weights): 0 is 1, sines are negative.
        coefficients: (terms,).
        columns: The weights that matter.
    """

    given: NDArray[np.int64]
    factors: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    columns: tuple[int, ...]

    @property
    def signature(self) -> tuple[int, ...]:
        """Equal for circuits that are the same function up to a sign and relabelled weights; rarely for others."""
        _, rows = _refined(self, np.zeros(len(self.columns), dtype=np.uint64))
        return (len(rows), len(self.columns), int(rows.sum(dtype=np.uint64)))


def polynomial(program: Program, outputs: Sequence[Sequence[PauliTerm]], *, limit: int = COMPARISON_LIMIT) -> Polynomial | None:
    """Write a circuit as a polynomial; None beyond `limit` terms, or where an angle is not linear in the parameters.

    Args:
        program: The lowered circuit.
        outputs: For each output the Pauli terms of its observable.
        limit: Terms of all outputs together.
    """
    form = turn_form(program, outputs)
    if form.atoms:
        return None
    table, parts = Factors(form.n_columns, form.turns), []
    for output, terms in enumerate(form.outputs):
        found = reach(form.turns, terms, STRING_LIMIT)
        if found is None:
            return None
        expanded = expand(start_rows(found, form.n_columns), found, 0, table, limit)
        if expanded is None:
            return None
        limit -= len(expanded)
        parts.append(replace(expanded.rows, tag=np.full(len(expanded), output)))
    joined = Rows(
        *(np.concatenate([getattr(rows, name) for rows in parts]) for name in ("string", "tag", "coefficient", "codes"))
    )
    numbers = _numbers(joined, table)
    n_inputs = form.n_inputs
    live = np.flatnonzero(joined.codes[:, n_inputs:].any(axis=0))
    given = np.concatenate([joined.tag[:, None], numbers[:, :n_inputs]], axis=1)
    return Polynomial(given, numbers[:, n_inputs + live], joined.coefficient, tuple(live.tolist()))


def relabelling(f: Polynomial, g: Polynomial) -> Relabelling | None:
    """Write f in terms of g, or None if they differ (or, for very symmetric functions, if too many permutations fit).

    What is returned was checked term by term.

    Args:
        f, g: Polynomials of two circuits, with the same inputs.
    """
    if f.factors.shape != g.factors.shape or f.signature != g.signature:
        return None
    for trial, order in enumerate(_permutations(f, g)):
        found = _signs(f, g, order)
        if found is not None:
            sign, flips = found
            pairs = zip(g.columns, order, flips, strict=True)
            return Relabelling(sign, {column: (f.columns[place], flip) for column, place, flip in pairs})
        if trial + 1 == _MOST_TRIALS:
            break
    return None


def _numbers(rows: Rows, table: Factors) -> NDArray[np.int64]:
    """Codes as numbers that mean the same in all circuits: for the frequency in twelve digits, negative for a sine."""
    numbers = np.zeros(rows.codes.shape, dtype=np.int64)
    for column in range(rows.codes.shape[1]):
        for code in np.unique(rows.codes[:, column]):
            size = _size(readable(table.frequency(column, int(code))))
            numbers[rows.codes[:, column] == code, column] = -size if code and code % 2 == 0 else size
    return numbers


def _size(frequency: float) -> int:
    """A number for a frequency: itself in 1e-9 where that is whole, else its bits, which are a far larger number."""
    scaled = frequency * 1e9
    return int(scaled) if scaled < 2**53 and scaled == int(scaled) else int(np.float64(frequency).view(np.int64))


def _mix(values: NDArray[np.generic]) -> Hashes:
    """Scramble integers (the finaliser of splitmix64)."""
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    scrambled: Hashes = mixed ^ (mixed >> np.uint64(31))
    return scrambled


def _refined(item: Polynomial, colours: Hashes) -> tuple[Hashes, Hashes]:
    """Colours of weights, refined until no further ones are told apart, and of terms."""
    base = _mix(np.round(np.abs(item.coefficients) * 1e8).astype(np.int64))
    for column in item.given.T:
        base = _mix(base ^ _mix(column))
    letters = _mix(item.factors)
    occurs = item.factors != 0
    classes = len(np.unique(colours))
    while True:
        own = np.where(occurs, _mix(letters ^ colours), np.uint64(0))
        rows = _mix(base + own.sum(axis=1, dtype=np.uint64))
        seen = np.where(occurs, _mix(letters ^ rows[:, None]), np.uint64(0)).sum(axis=0, dtype=np.uint64)
        colours = _mix(colours ^ _mix(seen))
        found = len(np.unique(colours))
        if found <= classes:
            return colours, rows
        classes = found


def _permutations(f: Polynomial, g: Polynomial) -> Iterator[tuple[int, ...]]:
    """For each weight of g a weight of f, in ways that refinement does not exclude."""
    n = len(f.columns)
    stack = [(np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64))]
    while stack:
        (by_f, rows_f), (by_g, rows_g) = (_refined(item, start) for item, start in zip((f, g), stack.pop(), strict=True))
        if not np.array_equal(np.sort(by_f), np.sort(by_g)) or rows_f.sum(dtype=np.uint64) != rows_g.sum(dtype=np.uint64):
            continue
        values, counts = np.unique(by_f, return_counts=True)
        if len(values) == n:
            place = {int(colour): index for index, colour in enumerate(by_f)}
            yield tuple(place[int(colour)] for colour in by_g)
            continue
        colour = values[counts > 1][0]
        first = np.flatnonzero(by_g == colour)[0]
        for other in np.flatnonzero(by_f == colour)[::-1]:
            pair = by_f.copy(), by_g.copy()
            pair[0][other] = pair[1][first] = _mix(np.array([colour]))[0]
            stack.append(pair)


def _signs(f: Polynomial, g: Polynomial, order: Sequence[int]) -> tuple[int, tuple[int, ...]] | None:
    """The global sign and the flip of each weight of g that make g equal to f under a permutation; None if there are none."""
    ours = np.concatenate([f.given, f.factors[:, list(order)]], axis=1)
    theirs = np.concatenate([g.given, g.factors], axis=1)
    by_f, by_g = np.lexsort(ours.T), np.lexsort(theirs.T)
    a, b = f.coefficients[by_f], g.coefficients[by_g]
    scale = np.abs(a).max(initial=0.0)
    if not np.array_equal(ours[by_f], theirs[by_g]) or not np.allclose(np.abs(a), np.abs(b), rtol=0, atol=_CLOSE * scale):
        return None
    sines = g.factors[by_g] < 0
    equations = np.concatenate([np.ones((len(a), 1), dtype=bool), sines, ((a < 0) != (b < 0))[:, None]], axis=1)
    solution = _solved(np.unique(equations, axis=0))
    if solution is None:
        return None
    sign, *flips = (-1 if bit else 1 for bit in solution)
    return sign, tuple(flips)


def _solved(equations: NDArray[np.bool_]) -> list[bool] | None:
    """Solve ``A s = b`` over GF(2), rows (A, b); free unknowns are 0. None without a solution."""
    n = equations.shape[1] - 1
    pivots: dict[int, int] = {}  # unknown -> row, as bits: unknown k is bit n - k, the right-hand side bit 0
    for row in equations:
        bits = int("".join("1" if bit else "0" for bit in row), 2)
        while bits > 1 and n + 1 - bits.bit_length() in pivots:
            bits ^= pivots[n + 1 - bits.bit_length()]
        if bits == 1:
            return None
        if bits:
            pivots[n + 1 - bits.bit_length()] = bits
    solution = [False] * n
    for unknown in sorted(pivots, reverse=True):
        bits = pivots[unknown]
        value = bits & 1
        for other in range(unknown + 1, n):
            value ^= (bits >> (n - other) & 1) & solution[other]
        solution[unknown] = bool(value)
    return solution
