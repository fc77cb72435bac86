"""Proofs about a circuit: dead outputs, blind circuits, inert parameters, and the frequencies of its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qlstm_qiskit.circuits.expansion import Reach, Rows, expand, live_strings, reach, start_rows
from qlstm_qiskit.circuits.frequencies import Factors, readable
from qlstm_qiskit.circuits.program import PauliTerm, Program
from qlstm_qiskit.circuits.turns import TurnForm, turn_form

#: Terms of the polynomial of one output, and strings of its propagation, beyond which less is proven.
TERM_LIMIT, STRING_LIMIT = 2**17, 2**20

#: Coefficients below it, relative to the largest of the observable, may be sums of rounding errors: they are not called dead,
#: and what hangs on them alone is not called alive for certain.
DOUBT = 1e-10


@dataclass(frozen=True)
class Structure:
    """What is proven about a circuit and its outputs, for all values of inputs and weights.

    What is called dead (`zero`, an input or weight that is not listed) is dead in any case. Up to the rounding of the factors
    of angles as they are given (`frequencies.ROUNDING`), it moves no value by more than `expansion.LEFT_OUT` of the largest
    coefficient of its observable. With `complete` the reverse holds too: what is not called dead is alive. `complete` is False
    for angles that are not linear in the parameters, beyond the limits, and wherever a tolerance decides: for factors that add
    up to zero, or to one another, only up to rounding (3 times 1/3, and 1), and for effects so small that they may be rounding
    errors.

    Attributes:
        zero: For each output, whether it is 0 everywhere.
        inputs, weights: Columns that some output depends on.
        frequencies: The Fourier support: vectors with a magnitude for each input that occur in some output; sorted. None
            where it is not known.
        complete: See above.
    """

    zero: tuple[bool, ...]
    inputs: frozenset[int]
    weights: frozenset[int]
    frequencies: tuple[tuple[float, ...], ...] | None
    complete: bool

    @property
    def is_zero(self) -> bool:
        """Whether all outputs are 0 everywhere."""
        return all(self.zero)

    @property
    def is_blind(self) -> bool:
        """Whether no output depends on an input."""
        return not self.inputs


def find_structure(program: Program, outputs: Sequence[Sequence[PauliTerm]], *, limit: int = TERM_LIMIT) -> Structure:
    """Analyse a circuit; see `expansion` for the method.

    Args:
        program: The lowered circuit.
        outputs: For each output the Pauli terms of its observable.
        limit: Terms of one output's polynomial beyond which only commutation is looked at.
    """
    form = turn_form(program, outputs)
    factors = Factors(form.n_columns, form.turns)
    found = [_find(form, terms, factors, limit) for terms in form.outputs]
    inputs: set[int] = set()
    weights: set[int] = set()
    for column in set().union(*(item.columns for item in found)):
        by_inputs, by_weights = form.variables(column)
        inputs |= by_inputs
        weights |= by_weights
    supports = [item.frequencies for item in found if item.frequencies is not None]
    atoms_read_inputs = any(form.variables(form.n_columns - 1 - k)[0] for k in range(len(form.atoms)))
    known = len(supports) == len(found) and not atoms_read_inputs
    return Structure(
        zero=tuple(item.zero for item in found),
        inputs=frozenset(inputs),
        weights=frozenset(weights),
        frequencies=tuple(sorted(set().union(*supports))) if known else None,
        complete=not form.atoms and all(item.complete for item in found),
    )


@dataclass(frozen=True)
class _Found:
    """What is proven about one output; columns are those that it depends on."""

    zero: bool
    columns: frozenset[int]
    frequencies: frozenset[tuple[float, ...]] | None
    complete: bool


def _find(form: TurnForm, terms: Sequence[PauliTerm], factors: Factors, limit: int) -> _Found:
    found = reach(form.turns, terms, STRING_LIMIT)
    if found is None:
        return _Found(False, frozenset(range(form.n_columns)), None, False)
    uses = Counter(turn.column for turn in found.turns)
    apart = len(terms) == 1 and None not in uses and max(uses.values(), default=0) <= 1
    cut = _cut(found, uses, form.n_inputs) if len(terms) == 1 else 0
    rows = start_rows(found, form.n_columns)
    if cut:
        strings = found.strings[cut]
        ones, codes = np.ones(len(strings)), np.zeros((len(strings), form.n_columns), dtype=np.int32)
        rows = Rows(strings, np.arange(len(strings)), ones, codes)
    expanded = expand(rows, found, cut, factors, limit)
    if expanded is None:
        # different paths are different products where each turn has a variable of its own, so that nothing cancels
        columns = frozenset(turn.column for turn in found.turns if turn.column is not None)
        return _Found(not len(found.strings[0]), columns, None, apart)
    columns = _columns(found, cut, expanded.rows)
    firm = expanded.rows.take(np.abs(expanded.rows.coefficient) > DOUBT * expanded.scale)
    certain = len(firm) == len(expanded) or (len(firm) > 0 and _columns(found, cut, firm) == columns)
    codes = np.unique(expanded.rows.codes[:, : form.n_inputs], axis=0).tolist()
    known = {(c, code): readable(factors.frequency(c, code)) for c, code in {pair for row in codes for pair in enumerate(row)}}
    vectors = frozenset(tuple(known[pair] for pair in enumerate(row)) for row in codes)
    return _Found(not len(expanded), columns, vectors, expanded.exact and certain)


def _columns(found: Reach, cut: int, rows: Rows) -> frozenset[int]:
    """What an output depends on that is the sum of these products."""
    return frozenset(np.flatnonzero(rows.codes.any(axis=0)).tolist()) | _late(found, cut, rows)


def _cut(found: Reach, uses: Counter[int | None], n_inputs: int) -> int:
    """How many of the last turns need no polynomial: those by weights that turn nothing else.

    Paths of one string through them differ in a factor, so that the paths to different strings are linearly independent sums
    of products, which no later turn multiplies. Each string that they reach may be looked at alone.
    """
    for index, turn in enumerate(found.turns):
        if turn.column is None or turn.column < n_inputs or uses[turn.column] > 1:
            return index
    return len(found.turns)


def _late(found: Reach, cut: int, expanded: Rows) -> frozenset[int]:
    """Columns of the first `cut` turns that move a string with a value in the end."""
    alive = np.zeros(len(found.strings[cut]), dtype=bool)
    if cut:
        alive[expanded.tag] = True
    _, moving = live_strings(found.turns[:cut], found.strings[: cut + 1], alive, found.n_qubits)
    turns = zip(found.turns[:cut], moving, strict=True)
    return frozenset(turn.column for turn, moves in turns if moves and turn.column is not None)
