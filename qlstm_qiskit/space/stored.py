"""A search space as it is kept in files: its circuits in QPY, and what they are in it as plain data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SparsePauliOp, Statevector
from typing_extensions import Self

from qlstm_qiskit.circuits import Fixed, without_layout
from qlstm_qiskit.circuits.place import place_of, placed
from qlstm_qiskit.circuits.stored import from_qpy, to_qpy
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.dead import KINDS
from qlstm_qiskit.space.pool import SearchSpace

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

#: What Qiskit draws or counts in names of gates that were made of circuits, and QPY in those of controlled ones.
_COUNTED = re.compile(r"circuit-\d+(-\d+)?|_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|_[0-9a-f]{32}")

#: Decimals of matrix elements that a digest sees: another machine may round the last ones otherwise.
_DECIMALS = 9

#: Largest number of qubits for which states are compared.
_MOST_COMPARED = 16


class Roles(BaseModel):
    """What a circuit is as a candidate.

    Attributes:
        inputs, weights: Names of its parameters, in the order of the columns of data and angles.
        observables: For each output (Pauli string, coefficient) pairs; None for Z on qubit 0, 1, 2, ...
    """

    model_config = _FROZEN

    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    observables: tuple[tuple[tuple[str, float], ...], ...] | None = None

    @classmethod
    def of(cls, candidate: Candidate) -> Roles:
        measured = None
        if candidate.measured is not None:
            measured = tuple(tuple((pauli, float(c.real)) for pauli, c in op.to_list()) for op in candidate.measured)
        return cls(
            inputs=tuple(parameter.name for parameter in candidate.inputs),
            weights=tuple(parameter.name for parameter in candidate.weights),
            observables=measured,
        )

    def candidate(self, name: str, circuit: QuantumCircuit) -> Candidate:
        """The candidate that a circuit, read back, is.

        Raises:
            CircuitError: The circuit is not the one that these roles are of.
        """
        circuit = without_layout(circuit)  # files from before layouts were read: its qubits are meant as they are
        there = {parameter.name: parameter for parameter in circuit.parameters}
        inputs = tuple(there.get(key) or Parameter(key) for key in self.inputs)  # a circuit may not use all of them
        missing = [key for key in self.weights if key not in there]
        if missing:
            raise CircuitError(f"the stored circuit {name!r} has no parameter {missing[0]!r}; the file is damaged.")
        try:
            measured = self.observables and tuple(SparsePauliOp.from_list(terms) for terms in self.observables)
        except (QiskitError, ValueError) as error:
            raise CircuitError(f"an observable of the stored circuit {name!r} is damaged ({error}).") from None
        return Candidate(name, circuit, inputs, tuple(there[key] for key in self.weights), measured)


class StoredSpace(BaseModel):
    """What the circuits of a file are in a search space.

    Attributes:
        circuits: By name, in the order of the circuits in the file.
        gates, leaves_out: As in `SearchSpace`.
    """

    model_config = _FROZEN

    circuits: dict[str, Roles] = Field(min_length=1)
    gates: tuple[tuple[int, ...], ...] | None = None
    leaves_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not set(self.leaves_out) <= set(KINDS):
            raise ValueError(f"leaves_out is {list(self.leaves_out)}; it may hold {', '.join(KINDS)}")
        places = [place for own in self.gates or () for place in own]
        if self.gates is not None and (not all(self.gates) or not all(0 <= place < len(self.circuits) for place in places)):
            raise ValueError(f"gates is {self.gates}; each needs at least one place among {len(self.circuits)} circuits")
        return self

    @classmethod
    def of(cls, space: SearchSpace) -> StoredSpace:
        """The roles of given circuits.

        Raises:
            CircuitError: Two of them have one name.
        """
        names = space.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CircuitError(f"more than one circuit is named {', '.join(map(repr, twice))}; give each a name of its own.")
        return cls(
            circuits={candidate.name: Roles.of(candidate) for candidate in space.fixed},
            gates=space.gates,
            leaves_out=tuple(sorted(space.leaves_out)),
        )

    def space(self, circuits: Sequence[QuantumCircuit]) -> SearchSpace:
        """The space of circuits that were read back, in their order; `CircuitError` where they are not those that it is of."""
        if len(circuits) != len(self.circuits):
            raise CircuitError(f"there are {len(circuits)} circuits in place of {len(self.circuits)}.")
        fixed = [roles.candidate(name, own) for (name, roles), own in zip(self.circuits.items(), circuits, strict=True)]
        made = SearchSpace.from_circuits(fixed)
        return SearchSpace(fixed=made.fixed, gates=self.gates, leaves_out=frozenset(self.leaves_out))


def fixed_space(space: SearchSpace, n_qubits: int | None, depth: int | None) -> SearchSpace:
    """A space of given circuits: those that a space builds, what it leaves out among them; arguments as in its `candidates`."""
    if space.fixed:
        space.resolve_depth(depth)
        return space
    return SearchSpace(fixed=space.draft(n_qubits, depth).candidates, gates=space.gates, leaves_out=space.leaves_out)


def store(spaces: Sequence[SearchSpace]) -> tuple[bytes, tuple[StoredSpace, ...]]:
    """Spaces of given circuits as the content of one QPY file, and what its circuits are in them.

    Raises:
        CircuitError: Two circuits of a space have one name, or one is another one when it is read back.
    """
    roles = tuple(map(StoredSpace.of, spaces))
    content = _written([candidate for space in spaces for candidate in space.fixed])
    for space, kept in zip(spaces, restore(content, roles), strict=True):
        for before, after in zip(space.fixed, kept.fixed, strict=True):
            if _outline(before) != _outline(after) and not _is_same(before, after):
                raise CircuitError(f"candidate {before.name!r}, kept in Qiskit's format QPY, is another circuit; {_ADVICE}.")
    return content, roles


def restore(content: bytes, roles: Sequence[StoredSpace]) -> tuple[SearchSpace, ...]:
    """The spaces that `store` has written.

    Raises:
        CircuitError: The file is damaged, or its circuits are not those that `roles` are of.
    """
    try:
        circuits = from_qpy(content)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it
        reason = " ".join(str(error).split())
        raise CircuitError(f"the stored circuits are damaged ({type(error).__name__}: {reason}).") from None
    spaces = []
    for own in roles:
        spaces.append(own.space(circuits[: len(own.circuits)]))
        circuits = circuits[len(own.circuits) :]
    if circuits:
        raise CircuitError(f"there are {len(circuits)} circuits more than were stored.")
    return tuple(spaces)


def digest(spaces: Sequence[SearchSpace]) -> str:
    """SHA-256 of what given circuits are and do, the same wherever and whenever they are built.

    QPY has no such digest: it holds numbers that Qiskit draws for parameters and controlled gates.
    """
    told = [
        {
            "candidates": {candidate.name: _outline(candidate) for candidate in space.fixed},
            "gates": space.gates,
            "leaves_out": sorted(space.leaves_out),
        }
        for space in spaces
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


_ADVICE = "build it of gates of Qiskit's library, or give its gate a definition"


def _written(candidates: Sequence[Candidate]) -> bytes:
    circuits = []
    for candidate in candidates:
        circuits.append(placed(candidate.circuit, place_of(candidate.circuit)))  # other metadata may be anything
    try:
        return to_qpy(circuits)
    except Exception as error:  # noqa: BLE001 - whatever Qiskit has for it
        reason = " ".join(str(error).split())
        raise CircuitError(f"the circuits cannot be kept in Qiskit's format QPY ({reason}); {_ADVICE}.") from None


def _outline(candidate: Candidate) -> list[Any]:
    """A candidate as plain data: its instructions, what they are for the exact interpreter, and its observables."""
    circuit, program = candidate.circuit, candidate.program
    instructions = [
        [
            _COUNTED.sub("", item.operation.name),
            [circuit.find_bit(qubit).index for qubit in item.qubits],
            [repr(float(value)) for value in item.operation.params if isinstance(value, int | float)],
        ]
        for item in circuit.data
    ]
    lowered: list[Any] = [
        [own.qubits, _numbers(own.matrix)]
        if isinstance(own, Fixed)
        else [own.qubits, _numbers(own.generator.matrix), own.generator.scale, repr(own.angle)]
        for own in program.operations
    ]
    roles = Roles.of(candidate).observables
    return [program.n_qubits, program.n_inputs, program.n_weights, instructions, lowered, roles]


def _numbers(matrix: Any) -> list[list[float]]:
    flat = np.round(np.asarray(matrix, dtype=np.complex128), _DECIMALS).ravel() + 0.0  # which has no negative zeros
    return [[float(value.real) + 0.0, float(value.imag) + 0.0] for value in flat]


def _is_same(first: Candidate, second: Candidate) -> bool:
    """Whether two candidates make the same state at a random point: a gate may have been kept as its definition."""
    if first.n_qubits > _MOST_COMPARED:
        return True
    values = np.random.default_rng(0).uniform(-np.pi, np.pi, len(first.inputs) + len(first.weights))
    states = []
    for own in (first, second):
        circuit = own.circuit
        bound = {
            key: value for key, value in zip((*own.inputs, *own.weights), values, strict=True) if key in circuit.parameters
        }
        states.append(Statevector(circuit.assign_parameters(bound)))
    return bool(states[0].equiv(states[1]))
