"""The parts that a form is compiled from: candidates with the structure, and how their observables propagate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle, PauliTerm, Program
from qlstm_qiskit.circuits.pauli import PauliForm, pauli_form
from qlstm_qiskit.exact.encoding import ProductEncoding, split_encoding
from qlstm_qiskit.exact.memory import MAX_FORM_QUBITS
from qlstm_qiskit.exact.propagation import Propagation, propagate

#: Plane rotations beyond which a structure is not worth a form; also bounds the time and memory of compiling.
STEP_LIMIT = 2_000_000

Array = NDArray[Any]


class StepLimitError(Exception):
    """No structure of a form stays within `STEP_LIMIT`; the caller takes another path."""


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
    encoding = split_encoding(program) if program.n_qubits <= MAX_FORM_QUBITS else None
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


def find_pieces(group: Sequence[Member], angle_base: int, limit: int) -> list[Piece] | None:
    """Propagate the common structure, output by output, keeping what any of the encodings can see.

    None where that takes more than `limit` plane rotations.
    """
    allowed = {
        tuple(int(sum(1 << letter for letter in range(4) if row[letter].any())) for row in member.encoding.bloch)
        for member in group
    }
    form = group[0].form
    pieces = []
    for output, terms in enumerate(form.outputs):
        found = propagate(form.rotations, terms, sorted(allowed), limit)
        if found is None:
            return None
        limit -= found.n_steps
        pieces.append(Piece(found, len(group), output, angle_base, *_entries(group, found)))
    return pieces


def _entries(group: Sequence[Member], found: Propagation) -> tuple[Array, Array, Array, Array]:
    """Which products each string is for each candidate's encoding: feature code, row, candidate, value; by row."""
    parts = []
    for position, member in enumerate(group):
        node = np.arange(found.n_nodes)
        code, value = np.zeros(len(node), dtype=np.int64), np.ones(len(node))
        for qubit, bloch in enumerate(member.encoding.bloch):
            letter = (found.x[node] >> qubit & 1) + 2 * (found.z[node] >> qubit & 1)
            which, digit = np.nonzero(bloch[letter])  # a component may be a sum of features
            value = value[which] * bloch[letter[which], digit]
            node, code = node[which], code[which] + digit * 3**qubit
        parts.append((code, node * len(group) + position, np.full(len(node), member.index), value))
    code, row, candidate, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")  # coefficients are many, slots are few: read the former in order
    return code[order], row[order], candidate[order], value[order]
