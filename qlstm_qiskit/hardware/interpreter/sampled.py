"""The exact interpreter with the shots of a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BaseEstimatorV2

from qlstm_qiskit.circuits import PauliTerm, find_structure, lower_observable
from qlstm_qiskit.errors import require_at_least
from qlstm_qiskit.exact import ExactBank, GaussianBank, MeasuredSum, MultinomialBank, SampledBank
from qlstm_qiskit.exact.states import Observables
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend, CandidateLike, Pairs
from qlstm_qiskit.hardware.contract.executor import Draws
from qlstm_qiskit.hardware.contract.measurement import Basis, Measurement

_KINDS: dict[str, type[SampledBank]] = {"gaussian": GaussianBank, "multinomial": MultinomialBank}


class SampledBackend:
    """Expectation values as jobs of a number of shots return them, with gradients by autograd, at the speed of exact ones.

    Every call draws afresh, in training and in evaluation alike: the k-th call of a backend is the same for the same seed.

    Args:
        spec: Its entry in backends.yaml, with shots.
        seed: Of the shots; fresh where None.
        circuits: Gives a backend that runs the circuits themselves with the same shots, for estimators.
        path: See `ExactBank`.
    """

    def __init__(self, spec: BackendSpec, seed: int | None, circuits: Callable[[Draws], Backend], path: str = "auto") -> None:
        self.spec, self.name, self.path, self.draws = spec, spec.name, path, Draws()
        self._circuits = circuits
        assert spec.shots is not None
        self._source = ShotSource(spec.shots, seed, self.draws)

    @property
    def shots(self) -> int:
        """Of each circuit; may be set, for all banks of the backend and whatever they evaluate from then on."""
        return self._source.number

    @shots.setter
    def shots(self, number: int) -> None:
        self._source.number = require_at_least("shots", number, 1)

    def estimator(self) -> BaseEstimatorV2:
        return self._circuits(self.draws).estimator()

    def bank(
        self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None
    ) -> SampledBank:
        measured = [self._measurement(candidate, n_outputs) for candidate in candidates]

        def make(observables: Sequence[Observables]) -> ExactBank:
            return ExactBank([candidate.program for candidate in candidates], observables, self.path, sparse=True)

        return _KINDS[self.spec.sampling](
            make,
            [measured_parts(item) for item in measured],
            [item.constants for item in measured],
            self._source,
        )

    def _measurement(self, candidate: CandidateLike, n_outputs: int | None) -> Measurement:
        """What is measured of a candidate: nothing where it is proven dead, as it is never submitted then."""
        observables = candidate.observables(n_outputs)
        terms = [lower_observable(observable, candidate.program.n_qubits) for observable in observables]
        if self.spec.reduce and find_structure(candidate.program, terms).is_zero:
            return Measurement((), (0.0,) * len(observables))
        return Measurement.of(observables)

    def close(self) -> None:
        """Nothing is held open."""


class ShotSource:
    """How many shots, and their random numbers: each draw has a seed of its own, made from its number.

    Args:
        number: Shots of each circuit.
        seed: Fresh where None.
        draws: Counts the draws.
    """

    def __init__(self, number: int, seed: int | None, draws: Draws) -> None:
        self.number = number
        self._entropy, self._draws = np.random.SeedSequence(seed).entropy, draws

    def generator(self) -> np.random.Generator:
        sequence = np.random.SeedSequence(self._entropy, spawn_key=(self._draws.count,))
        self._draws.count += 1
        return np.random.default_rng(sequence)

    def __deepcopy__(self, memo: dict[int, Any]) -> ShotSource:
        return self  # copies of a model draw from one source


def measured_parts(measurement: Measurement) -> list[MeasuredSum]:
    """What each basis measures of each output."""
    parts: dict[tuple[int, int], list[PauliTerm]] = {}
    for number, basis in enumerate(measurement.bases):
        for term in basis.terms:
            parts.setdefault((term.observable, number), []).append(_pauli(basis, term.positions, term.coefficient))
    return [MeasuredSum(output, basis, tuple(terms)) for (output, basis), terms in sorted(parts.items())]


def _pauli(basis: Basis, positions: Sequence[int], coefficient: float) -> PauliTerm:
    letters = [(basis.qubits[position], basis.letters[position]) for position in positions]
    x = sum(1 << qubit for qubit, letter in letters if letter in "XY")
    z = sum(1 << qubit for qubit, letter in letters if letter in "YZ")
    return PauliTerm(x, z, coefficient)
