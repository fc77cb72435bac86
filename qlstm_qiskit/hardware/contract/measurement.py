"""Measured bases of observables, and expectation values from probabilities or bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler.exceptions import TranspilerError

from qlstm_qiskit.errors import CircuitError

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredTerm:
    """``coefficient * P`` of one observable; P is the product of the signs of the bits at `positions` of its basis."""

    observable: int
    coefficient: float
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Basis:
    """Qubits that are measured together: `letters[i]` ("X", "Y" or "Z") on `qubits[i]`, which becomes bit i."""

    qubits: tuple[int, ...]
    letters: tuple[str, ...]
    terms: tuple[MeasuredTerm, ...]

    def signs(self) -> Values:
        """Value of each term's Pauli string in each outcome, (2^bits, terms); bit i of an outcome is that of `qubits[i]`."""
        outcomes = np.arange(1 << len(self.qubits))
        bits = 1 - 2 * ((outcomes[:, None] >> np.arange(len(self.qubits))) & 1)
        return np.stack([bits[:, list(term.positions)].prod(axis=1) for term in self.terms], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Measurement:
    """Bases that cover all terms of `n_observables` observables, and the constants that need no measuring."""

    bases: tuple[Basis, ...]
    constants: tuple[float, ...]

    @property
    def n_observables(self) -> int:
        return len(self.constants)

    @classmethod
    def of(cls, observables: Sequence[SparsePauliOp]) -> Measurement:
        """Group terms that agree in their letter on every qubit that they share; the first basis that fits takes a term."""
        constants = [0.0] * len(observables)
        drafts: list[tuple[dict[int, str], list[tuple[int, float, tuple[int, ...]]]]] = []
        for index, observable in enumerate(observables):
            for letters, qubits, coefficient in observable.simplify().to_sparse_list():
                value = float(np.real(coefficient))
                if not qubits:
                    constants[index] += value
                    continue
                wanted = dict(zip(qubits, letters, strict=True))
                draft = next((draft for draft in drafts if _agree(draft[0], wanted)), None)
                if draft is None:
                    draft = ({}, [])
                    drafts.append(draft)
                draft[0].update(wanted)
                draft[1].append((index, value, tuple(sorted(wanted))))
        bases = []
        for known, terms in drafts:
            order = sorted(known)
            place = {qubit: position for position, qubit in enumerate(order)}
            bases.append(
                Basis(
                    tuple(order),
                    tuple(known[qubit] for qubit in order),
                    tuple(MeasuredTerm(index, value, tuple(place[q] for q in qubits)) for index, value, qubits in terms),
                )
            )
        return cls(tuple(bases), tuple(constants))

    def combine(self, means: Sequence[Values], n_sets: int) -> Values:
        """Expectation values (sets, observables) from the mean of each term's Pauli string, a (sets, terms) for each basis."""
        total = np.tile(np.array(self.constants), (n_sets, 1))
        for basis, values in zip(self.bases, means, strict=True):
            for column, term in enumerate(basis.terms):
                total[:, term.observable] += term.coefficient * values[:, column]
        return total


def _agree(known: Mapping[int, str], wanted: Mapping[int, str]) -> bool:
    return all(known.get(qubit, letter) == letter for qubit, letter in wanted.items())


def means_of_bits(basis: Basis, bits: NDArray[np.bool_]) -> Values:
    """Means of each term's Pauli string, (sets, terms), from measured bits (sets, shots, bits)."""
    signs = 1 - 2 * bits.astype(np.int8)
    return np.stack([signs[:, :, list(term.positions)].prod(axis=2).mean(axis=1) for term in basis.terms], axis=1)


def read_out(probabilities: Values, errors: Values) -> Values:
    """Probabilities of outcomes as they are read, (sets, 2^bits).

    Args:
        probabilities: Of the true outcomes, (sets, 2^bits); bit i of an outcome is qubit i of `errors`.
        errors: P(read | true) of each qubit, (bits, read, true).
    """
    bits = probabilities.reshape(-1, *(2,) * len(errors))  # the last axis is bit 0
    for position, matrix in enumerate(errors):
        axis = len(errors) - position
        bits = np.moveaxis(np.tensordot(bits, matrix, axes=(axis, 1)), -1, axis)
    return bits.reshape(probabilities.shape)


def rotated(circuit: QuantumCircuit, basis: Basis, basis_gates: frozenset[str] | None = None) -> QuantumCircuit:
    """The circuit followed by the rotations that turn the basis into Z on every measured qubit; no measurement."""
    result = circuit.copy()
    for qubit, letter in zip(basis.qubits, basis.letters, strict=True):
        if letter != "Z":
            result.compose(_change(letter, basis_gates), [qubit], inplace=True)
    return result


def _change(letter: str, basis_gates: frozenset[str] | None) -> QuantumCircuit:
    change = QuantumCircuit(1)
    if letter == "Y":
        change.sdg(0)
    change.h(0)
    if basis_gates is None:
        return change
    try:
        return transpile(change, basis_gates=sorted(basis_gates), optimization_level=1)
    except TranspilerError:
        raise CircuitError(
            f"an observable with {letter} cannot be measured on a device whose gates are {', '.join(sorted(basis_gates))}, as "
            "it has to be turned into Z; take observables of Z, or another device."
        ) from None
