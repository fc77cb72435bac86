"""The result of a search as plain data: the circuits that each gate keeps, their weights, and their origin."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qlstm_qiskit.circuits.stored import from_qpy, to_qpy
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.nn import CELLS
from qlstm_qiskit.space.blocks import BLOCKS, ENCODINGS
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.pool import SearchSpace
from qlstm_qiskit.space.stored import Roles

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Choice(BaseModel):
    """A circuit that a gate keeps.

    Attributes:
        candidate: Its name.
        weight: Its coefficient in the gate's sum.
        score: The score by which it was chosen, if any.
    """

    model_config = _FROZEN

    candidate: str
    weight: float
    score: float | None = None


class StoredCircuit(BaseModel):
    """A user's own circuit.

    Attributes:
        qpy: The circuit in Qiskit's format, base64.
        inputs, weights: Names of its parameters, in the order of the columns of data and angles.
        observables: For each output, (Pauli string, coefficient) pairs; None for Z on qubit 0, 1, 2, ...
    """

    model_config = _FROZEN

    qpy: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    observables: tuple[tuple[tuple[str, float], ...], ...] | None = None

    @classmethod
    def of(cls, candidate: Candidate) -> StoredCircuit:
        return cls(qpy=base64.b64encode(to_qpy(candidate.circuit)).decode(), **dict(Roles.of(candidate)))

    def candidate(self, name: str) -> Candidate:
        """The circuit as a candidate, or `CircuitError` if it cannot be read."""
        try:
            circuit = from_qpy(base64.b64decode(self.qpy, validate=True))[0]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            raise CircuitError(f"the stored circuit {name!r} is damaged ({type(error).__name__}).") from None
        roles = Roles(inputs=self.inputs, weights=self.weights, observables=self.observables)
        return roles.candidate(name, circuit)


class Genotype(BaseModel):
    """The result of a search: for each layer and gate the circuits that are left, as a small readable file.

    Attributes:
        format: Format version of the file.
        depth: Number of variational layers of circuits that are known by name; None for stored ones.
        layers: For each cell of the model, a dictionary of its gates in torch's order; their names tell the kind of cell.
        circuits: The stored circuits by name; empty if the package builds all of them from their names, made of `ENCODINGS`
            and `BLOCKS`.
        provenance: The run from which it was derived, and how.
    """

    model_config = _FROZEN

    format: Literal[1] = 1
    depth: int | None = Field(default=None, ge=1)
    layers: tuple[dict[str, tuple[Choice, ...]], ...] = Field(min_length=1)
    circuits: dict[str, StoredCircuit] = {}
    provenance: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Genotype:
        for layer in self.layers:
            if cell_of(layer) != self.cell:
                raise ValueError(f"layers have the gates {', '.join(self.layers[0])} and {', '.join(layer)}; give one kind")
            for gate, choices in layer.items():
                names = [choice.candidate for choice in choices]
                if not names or len(set(names)) < len(names):
                    raise ValueError(f"the {gate} gate keeps {names}; it needs at least one circuit, each once")
                unknown = [name for name in names if name not in self.circuits and (self.circuits or not _has_name(name))]
                if unknown:
                    raise ValueError(f"the circuit {unknown[0]!r} is neither a known name nor stored in the file")
        if (self.depth is None) != bool(self.circuits):
            raise ValueError("circuits known by name need a depth, and stored ones have their own")
        return self

    @property
    def cell(self) -> str:
        """The kind of its cells, a name in `CELLS`."""
        return cell_of(self.layers[0])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all circuits that occur, each once."""
        return tuple(dict.fromkeys(c.candidate for layer in self.layers for own in layer.values() for c in own))

    @property
    def n_circuits(self) -> int:
        """Number of circuits that one time step evaluates per sample."""
        return sum(len(choices) for layer in self.layers for choices in layer.values())

    @classmethod
    def from_circuits(
        cls,
        layers: Sequence[Sequence[Sequence[tuple[Candidate, float, float | None]]]],
        depth: int | None,
        provenance: dict[str, Any],
        cell: str = "lstm",
    ) -> Genotype:
        """Build a genotype from (candidate, weight, score) triples for each cell and gate; `cell` is a name in `CELLS`.

        Raises:
            CircuitError: Two different circuits have the same name.
        """
        candidates: dict[str, Candidate] = {}
        for candidate in (candidate for layer in layers for gate in layer for candidate, _, _ in gate):
            known = candidates.setdefault(candidate.name, candidate)
            if not _is_same(known, candidate) and not (depth is not None and _is_known(candidate, depth)):
                raise CircuitError(f"two different circuits are named {candidate.name!r}; give each a name of its own.")
        by_name = depth is not None and all(_is_known(candidate, depth) for candidate in candidates.values())
        chosen = tuple(
            {
                name: tuple(Choice(candidate=c.name, weight=weight, score=score) for c, weight, score in gate)
                for name, gate in zip(CELLS[cell].cell_type.gate_names, layer, strict=True)
            }
            for layer in layers
        )
        stored = {} if by_name else {name: StoredCircuit.of(candidate) for name, candidate in candidates.items()}
        return cls(depth=depth if by_name else None, layers=chosen, circuits=stored, provenance=provenance)

    def spaces(self) -> tuple[SearchSpace, ...]:
        """For each cell, the space of its circuits, in which every gate sums over its own; for `QLSTM(space=...)`.

        Raises:
            CircuitError: A stored circuit is damaged.
        """
        return tuple(self._space(layer) for layer in self.layers)

    def _space(self, layer: dict[str, tuple[Choice, ...]]) -> SearchSpace:
        names = list(dict.fromkeys(choice.candidate for choices in layer.values() for choice in choices))
        gates = tuple(tuple(sorted(names.index(choice.candidate) for choice in own)) for own in layer.values())
        if self.circuits:
            return SearchSpace(fixed=tuple(self.circuits[name].candidate(name) for name in names), gates=gates)
        pairs = [(name, *name.split("|")) for name in names]
        return SearchSpace(choices=tuple((name, ENCODINGS[e], BLOCKS[b]) for name, e, b in pairs), gates=gates)


def cell_of(gates: Iterable[str]) -> str:
    """The kind of cell, a name in `CELLS`, with gates of these names in this order, or `ValueError` if there is none."""
    names = tuple(gates)
    for cell, kind in CELLS.items():
        if kind.cell_type.gate_names == names:
            return cell
    known = " or ".join(", ".join(kind.cell_type.gate_names) for kind in CELLS.values())
    raise ValueError(f"a layer has the gates {', '.join(names)}; expected {known}, in this order")


def _has_name(name: str) -> bool:
    encoding, _, block = name.partition("|")
    return encoding in ENCODINGS and block in BLOCKS


def _is_known(candidate: Candidate, depth: int) -> bool:
    """Whether the package builds the same circuit from the name alone."""
    if not _has_name(candidate.name) or candidate.measured is not None:
        return False
    encoding, _, block = candidate.name.partition("|")
    built = SearchSpace.product((encoding,), (block,)).candidates(candidate.n_qubits, depth)[0]
    return _is_same(built, candidate)


def _is_same(first: Candidate, second: Candidate) -> bool:
    """Whether two candidates are the same circuit with parameters of the same names."""
    if first is second:
        return True
    names = [[[p.name for p in part] for part in (item.inputs, item.weights)] for item in (first, second)]
    if names[0] != names[1] or first.measured != second.measured:
        return False
    renamed = dict(zip((*second.inputs, *second.weights), (*first.inputs, *first.weights), strict=True))
    used = {own: other for own, other in renamed.items() if own in second.circuit.parameters}
    same: bool = first.circuit == second.circuit.assign_parameters(used)
    return same
