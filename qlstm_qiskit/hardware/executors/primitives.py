"""Executors on Qiskit's V2 primitives: requests become PUBs, PUBs one job, and its result expectation values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray

from qlstm_qiskit.hardware.config.parts import GuardSpec
from qlstm_qiskit.hardware.contract.executor import Draws, ISACircuit, Request, Values
from qlstm_qiskit.hardware.contract.measurement import Basis, rotated
from qlstm_qiskit.hardware.executors.chunks import ANYTHING, Chunk, Takes, chunks, unchunk
from qlstm_qiskit.hardware.executors.results import REGISTER, Readout, ResultError, bounds_of

#: Makes the primitive for a job from the job's number and its tags: a fresh seed for each job, tags that the service keeps.
MakeSampler = Callable[[int, Sequence[str]], BaseSamplerV2]
MakeEstimator = Callable[[int, Sequence[str]], BaseEstimatorV2]


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """One job that has not been submitted.

    Attributes:
        start: Submits it, given its number in the run and its tags, and returns the job.
        readout: What to make of the result.
        fingerprint: Hash of circuits, values, shots and the kind of primitive; the same in every process.
        pubs, circuits: In the job.
        shots: Of each circuit, the mean where they differ; 0 where exact.
    """

    start: Callable[[int, Sequence[str]], Any]
    readout: Readout
    fingerprint: str
    pubs: int
    circuits: int
    shots: int


class Submit(Protocol):
    """Runs the jobs of one `expect`."""

    def __call__(self, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
        """The arrays of `Readout.values` for each job."""


@dataclass
class Direct:
    """Submits and waits, without a record: for simulators on this machine.

    Attributes:
        draws: Jobs submitted so far; the number of the next job, from which its seed is made.
        name: Of the backend, for messages.
    """

    draws: Draws = field(default_factory=Draws)
    name: str = "of primitives"

    def __call__(self, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
        started = []
        for prepared in jobs:
            started.append(prepared.start(self.draws.count, ()))
            self.draws.count += 1
        return [self._read(prepared, job) for prepared, job in zip(jobs, started, strict=True)]

    def _read(self, prepared: PreparedJob, job: Any) -> list[Values]:
        try:
            return prepared.readout.values(job.result())
        except ResultError as error:
            raise ResultError(f"backend {self.name}: there is no usable result: {error}.") from None


@dataclass(eq=False)
class SamplerExecutor:
    """Expectation values from the bits of any V2 sampler.

    Measures only the qubits that observables act on, one PUB for each circuit and basis, and takes means here.

    Attributes:
        sampler: Makes the primitive for each job.
        shots: For each circuit.
        guard: Limits of a job.
        submit: Runs jobs.
        takes: What the device takes in a job.
    """

    sampler: MakeSampler
    shots: int
    guard: GuardSpec = field(default_factory=GuardSpec)
    submit: Submit = field(default_factory=Direct)
    takes: Takes = ANYTHING
    _measured: WeakKeyDictionary[ISACircuit, tuple[QuantumCircuit, ...]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables); one job, or as few as the limits allow."""
        cut = chunks(requests, self.shots, self.guard.max_pubs, self.guard.max_executions, self.takes)
        jobs = [self._prepared(pieces) for pieces in cut]
        answers = _run(self.submit, jobs)
        results = []
        for pieces, means in zip(cut, answers, strict=True):
            rest = iter(means)
            results.append([_combine(piece, [next(rest) for _ in range(piece.pubs)]) for piece in pieces])
        return unchunk(cut, results, len(requests))

    def _prepared(self, pieces: Sequence[Chunk]) -> PreparedJob:
        pubs, shots = [], [piece.request.shots or self.shots for piece in pieces]
        for piece, own in zip(pieces, shots, strict=True):
            pubs += [(measured, bindings(piece.request), own) for measured in self.measured(piece.request.circuit)]
        of_pubs = tuple(own for *_, own in pubs)
        bases = [basis for piece in pieces for basis in piece.request.circuit.measurement.bases]
        return PreparedJob(
            start=lambda number, tags: self.sampler(number, tags).run(pubs),
            readout=Readout(
                positions=tuple(tuple(term.positions for term in basis.terms) for basis in bases),
                sets=tuple(len(piece.request.values) for piece in pieces for _ in range(piece.pubs)),
                shots=of_pubs[0] if len(set(of_pubs)) == 1 else of_pubs,
            ),
            fingerprint=_fingerprint("sampler", self.shots, pieces),
            pubs=len(pubs),
            circuits=sum(piece.circuits for piece in pieces),
            shots=_mean_shots(pieces, shots),
        )

    def measured(self, circuit: ISACircuit) -> tuple[QuantumCircuit, ...]:
        """The circuit with each of its bases measured into one register; built once."""
        if circuit not in self._measured:
            self._measured[circuit] = tuple(
                measured(circuit.circuit, basis, circuit.basis_gates) for basis in circuit.measurement.bases
            )
        return self._measured[circuit]


@dataclass(eq=False)
class EstimatorExecutor:
    """Expectation values from any V2 estimator: one PUB for each circuit, with all of its observables in it.

    Attributes:
        estimator: Makes the primitive for each job.
        shots: For each circuit, asked for as the precision 1 / sqrt(shots); None where the estimator is exact.
        guard: Limits of a job.
        submit: Runs jobs.
        mitigated: Whether errors are mitigated, which takes values beyond their bounds.
        takes: What the device takes in a job.
    """

    estimator: MakeEstimator
    shots: int | None = None
    guard: GuardSpec = field(default_factory=GuardSpec)
    submit: Submit = field(default_factory=Direct)
    mitigated: bool = False
    takes: Takes = ANYTHING
    _observables: WeakKeyDictionary[ISACircuit, ObservablesArray] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables); one job, or as few as the limits allow."""
        cut = chunks(requests, self.shots, self.guard.max_pubs, self.guard.max_executions, self.takes)
        jobs = [self._prepared([piece for piece in pieces if piece.pubs]) for pieces in cut]
        results = []
        for pieces, answer in zip(cut, _run(self.submit, jobs), strict=True):
            rest = iter(answer)
            results.append([next(rest) if piece.pubs else _combine(piece, []) for piece in pieces])
        return unchunk(cut, results, len(requests))

    def _prepared(self, pieces: Sequence[Chunk]) -> PreparedJob:
        pubs, shots = [], [piece.request.shots or self.shots for piece in pieces]
        for piece, own in zip(pieces, shots, strict=True):
            circuit, precision = piece.request.circuit, 0.0 if own is None else precision_of(own)
            pubs.append((circuit.circuit, self.observables(circuit), bindings(piece.request, leading=1), precision))
        return PreparedJob(
            start=lambda number, tags: self.estimator(number, tags).run(pubs),
            readout=Readout(
                sets=tuple(len(piece.request.values) for piece in pieces),
                bounds=tuple(
                    bounds_of(piece.request.circuit.observables, own, self.mitigated)
                    for piece, own in zip(pieces, shots, strict=True)
                ),
            ),
            fingerprint=_fingerprint("estimator", self.shots or 0, pieces),
            pubs=len(pubs),
            circuits=sum(piece.circuits for piece in pieces),
            shots=_mean_shots(pieces, shots),
        )

    def observables(self, circuit: ISACircuit) -> ObservablesArray:
        """All observables of a circuit, (observables, 1), to be broadcast against bindings (1, sets)."""
        if circuit not in self._observables:
            self._observables[circuit] = ObservablesArray([[observable] for observable in circuit.observables])
        return self._observables[circuit]


def measured(circuit: QuantumCircuit, basis: Basis, basis_gates: frozenset[str] | None = None) -> QuantumCircuit:
    """The circuit with the basis measured: its qubit i becomes bit i of the only classical register."""
    result = rotated(circuit, basis, basis_gates)
    register = ClassicalRegister(len(basis.qubits), REGISTER)
    result.add_register(register)
    result.measure(basis.qubits, register)
    return result


def bindings(request: Request, leading: int = 0) -> BindingsArray:
    """The parameter sets of a request as primitives take them, bound by name; of shape (sets,) after `leading` ones."""
    circuit, values = request.circuit, request.values
    shape = (1,) * leading + (len(values),)
    if not circuit.parameters:
        return BindingsArray({}, shape=shape)
    ordered = circuit.order(np.asarray(values, dtype=np.float64))
    return BindingsArray({tuple(circuit.circuit.parameters): ordered.reshape(*shape, -1)}, shape=shape)


def precision_of(shots: int) -> float:
    """The precision for which an estimator takes this number of shots: ``ceil(1 / precision^2)``, whatever the rounding."""
    return float((1 + 1e-12) / np.sqrt(shots))


def _run(submit: Submit, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
    """Run the jobs that hold anything."""
    answers = iter(submit([prepared for prepared in jobs if prepared.pubs]))
    return [next(answers) if prepared.pubs else [] for prepared in jobs]


def _combine(piece: Chunk, means: Sequence[Values]) -> Values:
    return piece.request.circuit.measurement.combine(means, len(piece.request.values))


def _mean_shots(pieces: Sequence[Chunk], shots: Sequence[int | None]) -> int:
    """Of a circuit, for the record; 0 where values are exact."""
    circuits = sum(piece.circuits for piece in pieces)
    executions = sum(piece.circuits * (own or 0) for piece, own in zip(pieces, shots, strict=True))
    return round(executions / max(1, circuits))


def _fingerprint(kind: str, shots: int, pieces: Sequence[Chunk]) -> str:
    digest = hashlib.sha256(f"{kind} {shots}".encode())
    for piece in pieces:
        values = np.ascontiguousarray(piece.request.values, dtype=np.float64)
        digest.update(piece.request.circuit.fingerprint.encode())
        digest.update(repr(values.shape).encode())
        digest.update(values.tobytes())
        if piece.request.shots is not None:
            digest.update(f" {piece.request.shots}".encode())
    return digest.hexdigest()
