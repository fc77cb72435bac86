"""The multilinear form of circuits with noise: as `rotation_form`, but from graphs of noisy programs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from qlstm_qiskit.circuits import Angle, PauliTerm
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact import noisy_kernels, plain
from qlstm_qiskit.exact.form import MultilinearForm, compressed
from qlstm_qiskit.exact.graph import NEGLIGIBLE, Graph, ReadStrings, find_graph
from qlstm_qiskit.exact.memory import MAX_NOISY_QUBITS
from qlstm_qiskit.exact.noise import NoisyProgram
from qlstm_qiskit.exact.rooms import Rooms
from qlstm_qiskit.exact.superops import INSTEAD, LocalMap, Maps, capitalised, constant_map, fused, letter_masks, program_maps
from qlstm_qiskit.exact.tables import Array

Outputs = Sequence[Sequence[PauliTerm]]

#: Strings that a single term may become in readout.
_MOST_STRINGS = 2**20


@dataclass(frozen=True, eq=False)
class _Group:
    """Candidates whose programs differ in angles only: their places, angles and data; one graph serves them."""

    members: list[int]
    maps: list[Maps]
    graph: Graph


class NoisyForm(MultilinearForm):
    """The compiled form of all candidates of a bank.

    Attributes:
        error: A bound of what values of a candidate may be off by, since negligible strings are left out.

    Args:
        programs: Of the candidates.
        observables: Of each candidate, on its program's qubits.
        sparse: Keep for each output only the products that it can depend on, which is worth it for many outputs.
        negligible: See `find_graph`.

    Raises:
        CircuitError: A program has no such form.
        CapacityError: It does not fit in memory.
    """

    _copies = 2  # of the coefficients: their gradients need as much

    def __init__(
        self,
        programs: Sequence[NoisyProgram],
        observables: Sequence[Outputs],
        *,
        sparse: bool = False,
        negligible: float = NEGLIGIBLE,
    ) -> None:
        columns = np.cumsum([0, *(program.n_weights for program in programs)]).tolist()
        groups = _groups(programs, observables, negligible)
        angles = _data_angles(groups)
        super().__init__(angles, len(observables[0]), columns[-1])
        self.members = tuple(range(len(programs)))
        self.error = max(group.graph.error for group in groups)
        rows = [
            self._row(maps.angles[r], columns[member])
            for group in groups
            for r in range(len(group.maps[0].angles))
            for maps, member in zip(group.maps, group.members, strict=True)
        ]
        self._angles = compressed(rows)
        self._join(groups, angles)
        self._place(sparse=sparse)

    @cached_property
    def apart(self) -> NoisyForm:
        """The same with the outputs of each candidate as outputs of their own, candidate after candidate."""
        result = copy.copy(self)
        result._constants, result.rooms, result.frozen = {}, Rooms(), {}
        code, output, (row, candidate, value) = self._collected
        result._collected = code, output + self.n_outputs * candidate.astype(np.int64), (row, candidate, value)
        result.n_outputs = self.n_outputs * len(self.members)
        result._place(sparse=True)
        return result

    def fill(self, weights: Array, mixing: Array, turns: Array, state: Array, matrix: Array) -> None:
        angles, sections, edges, entries = self.constants(state.dtype)
        noisy_kernels.fill(weights, mixing, angles, sections, edges, entries, turns, state, matrix)

    def undo(self, by_matrix: Array, mixing: Array, turns: Array, state: Array, by_weights: Array, by_mixing: Array) -> None:
        angles, sections, edges, entries = self.constants(state.dtype)
        noisy_kernels.fill_backward(by_matrix, mixing, angles, sections, edges, entries, turns, state, by_weights, by_mixing)

    def plain_matrix(self, weights: Tensor, mixing: Tensor) -> Tensor:
        return plain.filled_matrix(weights, mixing, self)

    def _join(self, groups: Sequence[_Group], angles: Sequence[Angle]) -> None:
        """Flat arrays of all groups; a row of `_sections` says where each lies."""
        entries = [_entries(group, angles) for group in groups]
        sections, pointers, slots, base, n_edges, n_entries, angle_base = [], [np.zeros(1, np.int64)], 0, 0, 0, 0, 0
        for group, own in zip(groups, entries, strict=True):
            c, graph = len(group.members), group.graph
            ends = (slots + graph.n_slots, base + graph.n_slots * c, n_entries + sum(len(entry.code) for entry in own))
            sections.append((slots, ends[0], base, ends[1], c, angle_base, n_entries, ends[2]))
            pointers.append(graph.pointer[1:] + n_edges)
            (slots, base, n_entries), n_edges = ends, n_edges + graph.n_edges
            angle_base += c * len(group.maps[0].angles)
        self._sections = np.array(sections, dtype=np.int64)
        self._steps = (
            np.concatenate(pointers),
            *(np.concatenate([getattr(group.graph, name) for group in groups]).astype(np.int32) for name in ("source", "turn")),
            np.concatenate([group.graph.coefficient for group in groups]),
        )
        self.n_rows = base
        flat = [entry for own in entries for entry in own]
        code, output, row, candidate, value = (
            np.concatenate([getattr(entry, name) for entry in flat]) for name in ("code", "output", "row", "candidate", "value")
        )
        self._collected = code, output, (row.astype(np.int32), candidate.astype(np.int32), value)

    def _place(self, *, sparse: bool) -> None:
        """Which products occur, and where entries go."""
        code, output, rest = self._collected
        self._set_products([code], sparse)
        self._set_entries(code, output, rest, sparse)


@dataclass(frozen=True, eq=False)
class _Entries:
    """What is collected for one candidate; rows within its section."""

    code: Array
    output: Array
    row: Array
    candidate: Array
    value: Array


def _groups(programs: Sequence[NoisyProgram], observables: Sequence[Outputs], negligible: float) -> list[_Group]:
    """Graphs, one for each set of candidates that differ in angles only."""
    drafts: dict[object, tuple[list[int], list[Maps], tuple[list[LocalMap], ReadStrings]]] = {}
    for index, (program, outputs) in enumerate(zip(programs, observables, strict=True)):
        if program.n_qubits > MAX_NOISY_QUBITS:
            raise CircuitError(f"{program.n_qubits} qubits are too many for strings as bit masks; at most {MAX_NOISY_QUBITS}.")
        maps, start = program_maps(program), _start(program, outputs)
        joined = fused(maps.maps, program.n_qubits)
        content = tuple(
            (own.qubits, tuple((factor, matrix.tobytes()) for factor, matrix in own.terms.items())) for own in joined
        )
        key = (content, *(getattr(start, name).tobytes() for name in ("x", "z", "output", "value")))
        draft = drafts.setdefault(key, ([], [], (joined, start)))
        draft[0].append(index)
        draft[1].append(maps)
    return [_Group(members, maps, find_graph(*work, negligible)) for members, maps, work in drafts.values()]


def _start(program: NoisyProgram, outputs: Outputs) -> ReadStrings:
    """The observables as they are measured: each letter through its change of basis and the errors of its bit's readout."""
    strings: dict[tuple[int, int, int], float] = {}
    for output, terms in enumerate(outputs):
        for term in terms:
            for (x, z), value in _measured(program, term).items():
                strings[x, z, output] = strings.get((x, z, output), 0.0) + value
    columns = np.array(list(strings), dtype=np.int64).reshape(-1, 3)
    return ReadStrings(columns[:, 0], columns[:, 1], columns[:, 2], np.array(list(strings.values()), dtype=np.float64))


def _measured(program: NoisyProgram, term: PauliTerm) -> dict[tuple[int, int], float]:
    found = {(0, 0): term.coefficient}
    for qubit in range(max(term.x.bit_length(), term.z.bit_length())):
        letter = (term.x >> qubit & 1) + 2 * (term.z >> qubit & 1)
        if not letter:
            continue
        means = program.readout[qubit, 0] - program.readout[qubit, 1]  # of the sign of the bit that is read, by the true bit
        row = np.array([means.sum() / 2, 0.0, (means[0] - means[1]) / 2, 0.0])
        if letter != 2:
            for operation in reversed(program.changes[qubit, "XY"[letter // 2]]):
                row = row @ constant_map(operation).terms[-1, 0]
        found = {
            (x | masks[0], z | masks[1]): value * row[other]
            for (x, z), value in found.items()
            for other in np.flatnonzero(row)
            for masks in [letter_masks(int(other), [qubit])]
        }
        if len(found) > _MOST_STRINGS:
            raise CircuitError(f"an observable is read as over {_MOST_STRINGS} strings, on so many qubits; {INSTEAD}.")
    return found


def _data_angles(groups: Sequence[_Group]) -> list[Angle]:
    """The data angles of all candidates, each once: those of single inputs first, in the order of the inputs."""
    found = {angle for group in groups for maps in group.maps for angle, _ in maps.data}
    if len(found) > MAX_NOISY_QUBITS:
        raise CircuitError(
            f"the circuits read {len(found)} different angles of the data; at most {MAX_NOISY_QUBITS} are taken. "
            f"{capitalised(INSTEAD)}."
        )
    return sorted(found, key=lambda angle: (angle.tree is not None, len(angle.inputs), angle.inputs, repr(angle.tree)))


def _entries(group: _Group, angles: Sequence[Angle]) -> list[_Entries]:
    """What is collected, with the digits of each candidate's own data angles: those of the bank."""
    graph, c = group.graph, len(group.members)
    digits = graph.code[:, None] // 3 ** np.arange(len(group.maps[0].data)) % 3
    place = {angle: index for index, angle in enumerate(angles)}
    result = []
    for position, (member, maps) in enumerate(zip(group.members, group.maps, strict=True)):
        code, value = np.zeros(len(graph.code), dtype=np.int64), graph.value.copy()
        used = np.zeros((len(code), len(angles)), dtype=bool)
        for digit, (angle, sign) in zip(digits.T, maps.data, strict=True):
            own = place[angle]
            if (used[:, own] & (digit > 0)).any():
                raise CircuitError(
                    "a circuit reads the same angle of the data twice on the way to an output; the exact interpreter with "
                    f"noise takes circuits that read it once. {capitalised(INSTEAD)}."
                )
            used[:, own] |= digit > 0
            code += digit * 3**own
            value = np.where(digit == 2, sign * value, value)
        result.append(_Entries(code, graph.output, graph.row * c + position, np.full(len(code), member), value))
    return result
