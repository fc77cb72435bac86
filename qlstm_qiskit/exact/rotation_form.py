"""The multilinear form of circuits: observables pulled back through rotations, once as strings and then as plane rotations.

Every candidate is a product encoding followed by Clifford gates and Pauli rotations by weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from torch import Tensor

from qlstm_qiskit.circuits import Angle, PauliTerm, Program
from qlstm_qiskit.circuits.cone import WORD_QUBITS
from qlstm_qiskit.exact import kernels, plain, replica_kernels
from qlstm_qiskit.exact.cost import form_cost
from qlstm_qiskit.exact.form import MultilinearForm, compressed
from qlstm_qiskit.exact.pieces import STEP_LIMIT, Member, Piece, StepLimitError, find_member, find_pieces, merge_angles
from qlstm_qiskit.exact.tables import Array
from qlstm_qiskit.exact.window import near_order


def find_forms(
    programs: Sequence[Program],
    observables: Sequence[Sequence[Sequence[PauliTerm]]],
    *,
    apart: bool = False,
    sparse: bool = False,
    shared: bool = False,
    refused: dict[int, str] | None = None,
) -> tuple[RotationForm, ...]:
    """Compile the forms of a bank: one for each set of data angles, of the candidates that have the structure.

    `apart`: The outputs of each candidate by themselves in place of their sums, (candidates x outputs) of each gate.
    `sparse`: Keep for each output only the products that it can depend on, which is worth it for many outputs; always done on
    more than `WORD_QUBITS` qubits.
    `shared`: All candidates have the same weights, so that circuits that differ in their encodings alone are rotated once.
    `refused`: Filled with what there is too much of, for the candidates that have the structure and are too large for a form.
    """
    refused = {} if refused is None else refused
    columns = np.cumsum([0, *(program.n_weights for program in programs)]).tolist()
    families: list[tuple[tuple[Angle | None, ...], list[Member]]] = []
    for index, (program, outputs) in enumerate(zip(programs, observables, strict=True)):
        member = find_member(index, program, outputs)
        if member is None:
            continue
        # Candidates share a form, and with it the products of each time step, where no qubit carries two different data angles.
        for place, (angles, members) in enumerate(families):
            merged = merge_angles(angles, member.encoding.angles)
            if merged is not None:
                families[place] = (merged, [*members, member])
                break
        else:
            families.append((member.encoding.angles, [member]))
    forms = []
    for angles, members in families:
        try:
            forms.append(RotationForm(members, angles, columns, apart=apart, sparse=sparse, shared=shared, refused=refused))
        except StepLimitError:
            continue
    return tuple(forms)


class RotationForm(MultilinearForm):
    """The compiled form of candidates that read the same data angles.

    Attributes:
        members: Places in the bank of the candidates that it covers: those whose structures stay within `STEP_LIMIT`.

    Args:
        members: The candidates; `find_member` made them.
        angles: Their data angles, merged.
        columns: For each candidate of the bank, where its weights start among all weights.
        apart, sparse, shared, refused: See `find_forms`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        angles: Sequence[Angle | None],
        columns: Sequence[int],
        *,
        apart: bool = False,
        sparse: bool = False,
        shared: bool = False,
        refused: dict[int, str],
    ) -> None:
        n_outputs = len(members[0].form.outputs)
        super().__init__(angles, n_outputs * (len(columns) - 1) if apart else n_outputs, columns[-1])
        self._own_outputs = n_outputs if apart else 0
        sparse = sparse or len(angles) > WORD_QUBITS
        structures: dict[tuple[object, ...], list[Member]] = {}
        for member in members:
            structures.setdefault(member.structure, []).append(member)
        rows: list[tuple[float, list[tuple[int, float]]]] = []
        pieces: list[Piece] = []
        kept: list[Member] = []
        for group in structures.values():
            lanes = _lanes(group, shared)
            found = find_pieces(group, lanes, len(rows), STEP_LIMIT - sum(piece.found.n_steps for piece in pieces))
            if isinstance(found, str):
                refused.update((member.index, found) for member in group)
                continue  # the bank evaluates these candidates as states
            pieces += found
            kept += group
            # Rotation by rotation, then candidate by candidate: the kernels turn a run of neighbours at once.
            turned = [group[lanes.index(lane)] for lane in range(max(lanes) + 1)]
            for r in range(len(group[0].form.rotations)):
                rows += [self._row(member.form.rotations[r].angle, columns[member.index]) for member in turned]
        if not kept:
            raise StepLimitError
        self.members = tuple(sorted(member.index for member in kept))
        self._angles = compressed(rows)
        self._set_products([piece.code for piece in pieces], sparse)
        self._set_steps(pieces, sparse)

    @cached_property
    def largest(self) -> int:
        """Rows of the largest section."""
        return int((self._sections[:, 3] - self._sections[:, 2]).max())

    def fill(self, weights: Array, mixing: Array, turns: Array, state: Array, matrix: Array) -> None:
        angles, sections, (*steps, start), entries = self.constants(state.dtype)
        kernels.build_forward(weights, mixing, angles, sections, tuple(steps), start, entries, *turns, state, matrix)

    def undo(self, by_matrix: Array, mixing: Array, turns: Array, state: Array, by_weights: Array, by_mixing: Array) -> None:
        angles, sections, (*steps, _), entries = self.constants(state.dtype)
        by = np.ascontiguousarray(by_matrix)
        rooms = self._rooms(by, (self.largest, by.shape[1]), (turns.shape[1],))
        kernels.build_backward(
            by, mixing, angles, sections, tuple(steps), entries, *turns, state, *rooms, by_weights, by_mixing
        )
        self.rooms.give(*rooms)

    def fill_many(self, weights: Array, mixing: Array, turns: Array, matrix: Array) -> None:
        angles, sections, (*_, start), entries = self.constants(matrix.dtype)
        (room,) = self._rooms(matrix, (self.largest, matrix.shape[1]))
        replica_kernels.build_forward(weights, mixing, angles, sections, self._near, start, entries, *turns, room, matrix)
        self.rooms.give(room)

    def undo_many(
        self, by_matrix: Array, mixing: Array, turns: Array, state: Array | None, by_weights: Array, by_mixing: Array
    ) -> None:
        angles, sections, (*_, start), entries = self.constants(by_matrix.dtype)
        coefficients = self.largest, by_matrix.shape[1]
        rooms = self._rooms(by_matrix, coefficients, coefficients, (turns.shape[1],))
        replica_kernels.build_backward(
            by_matrix, mixing, angles, sections, self._near, start, entries, *turns, *rooms, by_weights, by_mixing
        )
        self.rooms.give(*rooms)

    def _rooms(self, matrix: Array, *shapes: tuple[int, ...]) -> list[Array]:
        """Memory with the dtype of a matrix."""
        return [self.rooms.take(shape, matrix.dtype) for shape in shapes]

    @cached_property
    def _near(self) -> tuple[Array, ...]:
        """The steps in an order in which what they turn stays in a core's first cache, if many gates are turned at once."""
        order = np.concatenate(
            [low + near_order(*(own[low:high] for own in self._steps[:3])) for low, high in self._sections[:, :2]]
        )
        return tuple(own[order] for own in self._steps[:3])

    def plain_matrix(self, weights: Tensor, mixing: Tensor) -> Tensor:
        return plain.rotated_matrix(weights, mixing, self)

    def cost(self, n_gates: int, *, samples: int, calls: int, gradients: bool) -> float:
        """Nanoseconds of a pass; see `form_cost`."""
        steps = self._sections[:, 1] - self._sections[:, 0]
        return form_cost(
            steps=int(steps.sum()),
            lane_steps=int((steps * self._sections[:, 4]).sum()) * n_gates,
            terms=self.n_slots * n_gates,
            samples=samples,
            calls=calls,
            gradients=gradients,
        )

    def _set_steps(self, pieces: Sequence[Piece], sparse: bool) -> None:
        """Join the pieces' steps and entries into flat arrays; a row of `_sections` says where each piece lies."""
        # Flat, as compiled loops read arrays and no lists of objects; of 32 bits, which halves what the loops read.
        sections, n_steps, n_entries, base = [], 0, 0, 0
        for piece in pieces:
            found, c = piece.found, piece.n_candidates
            ends = (n_steps + found.n_steps, n_entries + len(piece.code), base + found.n_nodes * c)
            sections.append((n_steps, ends[0], base, ends[2], c, piece.angle_base, n_entries, ends[1]))
            n_steps, n_entries, base = ends
        self._sections = np.array(sections, dtype=np.int64)
        self.n_rows = base
        self._steps = (
            *(
                np.concatenate([getattr(piece.found, name) for piece in pieces]).astype(np.int32)
                for name in ("rotation", "first", "second")
            ),
            np.concatenate([np.repeat(piece.found.start, piece.n_candidates) for piece in pieces]),
        )
        code, row, candidate, value = (
            np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("code", "row", "candidate", "value")
        )
        output = np.concatenate([piece.output + self._own_outputs * piece.candidate for piece in pieces])
        self._set_entries(code, output, (row.astype(np.int32), candidate.astype(np.int32), value), sparse)


def _lanes(group: Sequence[Member], shared: bool) -> list[int]:
    """Which coefficients each candidate of a structure has: its own, or, of shared weights, those of its angles."""
    if not shared:
        return list(range(len(group)))
    seen: dict[tuple[Angle, ...], int] = {}
    return [seen.setdefault(tuple(rotation.angle for rotation in member.form.rotations), len(seen)) for member in group]
