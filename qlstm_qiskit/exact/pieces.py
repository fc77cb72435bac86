"""The parts that a form is compiled from: candidates with the structure, and how their observables propagate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, PauliTerm, Program
from qlstm_qiskit.circuits.cone import WORD_QUBITS, least_strings
from qlstm_qiskit.circuits.pauli import PauliForm, pauli_form
from qlstm_qiskit.exact.codes import digit_codes, first_codes
from qlstm_qiskit.exact.encoding import ProductEncoding, split_encoding
from qlstm_qiskit.exact.propagation import Propagation, letters, propagate

#: Plane rotations beyond which a structure is not worth a form; also bounds the time and memory of compiling.
STEP_LIMIT = 2_000_000

Array = NDArray[Any]


#: Products of the data's sines and cosines that an output may be a sum of, for a candidate; bounds time and memory too.
PRODUCT_LIMIT = 2**22


class StepLimitError(Exception):
    """No structure of a form stays within the limits; the caller takes another path."""


@dataclass(frozen=True, eq=False)
class Member:
    """A candidate whose program has the structure of a form."""

    index: int
    encoding: ProductEncoding
    form: PauliForm

    @property
    def structure(self) -> tuple[object, ...]:
        """What candidates that propagate together have in common."""
        return (tuple((r.x, r.z) for r in self.form.rotations), self.form.outputs)


def find_member(index: int, program: Program, outputs: Sequence[Sequence[PauliTerm]]) -> Member | None:
    """Analyse one candidate; None where it has no product encoding or is not made of Clifford gates and Pauli rotations."""
    encoding = split_encoding(program)
    if encoding is None:
        return None
    form = pauli_form(encoding.rest, outputs, program.n_qubits)
    return None if form is None else Member(index, encoding, form)


def merge_angles(first: Sequence[Angle | None], second: Sequence[Angle | None]) -> tuple[Angle | None, ...] | None:
    """Data angles that serve both encodings, or None where they disagree on a qubit."""
    if len(first) != len(second) or any(a and b and a != b for a, b in zip(first, second, strict=True)):
        return None
    return tuple(a or b for a, b in zip(first, second, strict=True))


@dataclass(frozen=True, eq=False)
class Piece:
    """One output of the candidates of one structure.

    Attributes:
        found: How its strings propagate.
        n_candidates: Candidates with coefficients of their own.
        angle_base: Where the angles of the structure start, rotation after rotation, candidate after candidate.
        code, row, candidate, value: What is collected in the end: ``value * mixing[candidate]`` times the coefficient in `row`
            (node after node, candidate after candidate) goes to the product of features with that code.
    """

    found: Propagation
    n_candidates: int
    output: int
    angle_base: int
    code: Array
    row: Array
    candidate: Array
    value: Array


def find_pieces(group: Sequence[Member], lanes: Sequence[int], angle_base: int, limit: int) -> list[Piece] | str:
    """Propagate the common structure, output by output, keeping what any of the encodings can see.

    `lanes`: Of each candidate, which of its structure's coefficients of a string it has; those of equal angles have the same.
    In words what there is too much of, where that takes more than `limit` plane rotations, or `PRODUCT_LIMIT` products.
    """
    allowed = {
        tuple(int(sum(1 << letter for letter in range(4) if row[letter].any())) for row in member.encoding.bloch)
        for member in group
    }
    form = group[0].form
    pieces, wide_products = [], 0.0
    for output, terms in enumerate(form.outputs):
        found = propagate(form.rotations, terms, sorted(allowed), limit)
        if found is None:
            most = max(least_strings(own, form.rotations) for own in form.outputs)
            number = f"at least 2^{most.bit_length() - 1}" if most > STEP_LIMIT else f"more than {STEP_LIMIT:,}"
            return f"{number} terms (Pauli strings), and {STEP_LIMIT:,} are the limit"
        limit -= found.n_steps
        for member in group:
            products = _count_products(member, found)
            wide_products += products if form.n_qubits > WORD_QUBITS else 0
            if max(products, wide_products) > PRODUCT_LIMIT:
                return f"at least {max(products, wide_products):.2g} products of the data, and {PRODUCT_LIMIT:,} are the limit"
        pieces.append(Piece(found, max(lanes) + 1, output, angle_base, *_entries(group, lanes, found)))
    return pieces


def _count_products(member: Member, found: Propagation) -> float:
    """How many products of features the strings are, for one encoding."""
    number = np.ones(found.n_nodes)
    for place, qubit in enumerate(found.qubits):
        number *= np.count_nonzero(member.encoding.bloch[qubit], axis=1)[letters(found.x, found.z, place)]
    return float(number.sum())


def _entries(group: Sequence[Member], lanes: Sequence[int], found: Propagation) -> tuple[Array, Array, Array, Array]:
    """Which products each string is for each candidate's encoding: feature code, row, candidate, value; by row."""
    parts = []
    for lane, member in zip(lanes, group, strict=True):
        node = np.arange(found.n_nodes)
        code, value = first_codes(len(node), len(member.encoding.angles)), np.ones(len(node))
        places = {qubit: place for place, qubit in enumerate(found.qubits)}
        for qubit, bloch in enumerate(member.encoding.bloch):
            if qubit not in places:  # the letter is I, whose component is 1
                value = value * bloch[0, 0] if len(member.encoding.bloch) <= WORD_QUBITS else value  # up to rounding
                continue
            letter = letters(found.x[node], found.z[node], places[qubit])
            which, digit = np.nonzero(bloch[letter])  # a component may be a sum of features
            value = value[which] * bloch[letter[which], digit]
            node, code = node[which], code[which] + digit_codes(digit, qubit, code)
        parts.append((code, node * (max(lanes) + 1) + lane, np.full(len(node), member.index), value))
    code, row, candidate, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")  # coefficients are many, slots are few: read the former in order
    return code[order], row[order], candidate[order], value[order]
