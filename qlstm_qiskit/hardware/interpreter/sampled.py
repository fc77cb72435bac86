"""The exact interpreter with the shots and the noise of a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from qiskit.transpiler import Target

from qlstm_qiskit.circuits import PauliTerm, find_structure, lower_observable
from qlstm_qiskit.errors import require_at_least
from qlstm_qiskit.exact import ExactBank, GaussianBank, MeasuredSum, MultinomialBank, NoisyBank, NoisyProgram, SampledBank
from qlstm_qiskit.exact.states import Observables
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend, CandidateLike, Pairs
from qlstm_qiskit.hardware.contract.executor import Draws, Prepare
from qlstm_qiskit.hardware.contract.measurement import Basis, Measurement

#: What strings must contribute to be kept where shots add noise. With 36 candidates on 6 qubits, depth 2, values are off by
#: less than 1e-5 then, and an eighth of the edges is left.
_NEGLIGIBLE = 1e-9

_KINDS: dict[str, type[SampledBank]] = {"gaussian": GaussianBank, "multinomial": MultinomialBank}


@dataclass(frozen=True)
class Device:
    """A device whose noise circuits have.

    Attributes:
        target: What it says of itself.
        prepare: Fits circuits to it.
        readout: Whether bits are also read wrongly.
    """

    target: Target
    prepare: Prepare
    readout: bool


class NoisyBackend:
    """Exact expectation values of circuits with the noise of a device, with gradients by autograd; no circuit is simulated.

    Args:
        spec: Its entry in backends.yaml, with noise.
        device: Whose noise.
        circuits: Gives a backend that simulates the circuits themselves, for estimators.
    """

    def __init__(self, spec: BackendSpec, device: Device, circuits: Callable[[Draws], Backend]) -> None:
        self.spec, self.name, self.draws = spec, spec.name, Draws()
        self._device, self._circuits = device, circuits

    def estimator(self) -> BaseEstimatorV2:
        return self._circuits(self.draws).estimator()

    def bank(self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None) -> NoisyBank:
        programs, measurements = _on(self._device, candidates, n_outputs, self.spec.reduce)
        return NoisyBank(programs, list(map(_whole, measurements)))

    def close(self) -> None:
        """Nothing is held open."""


class SampledBackend:
    """Expectation values as jobs of a number of shots return them, with gradients by autograd, at the speed of exact ones.

    Every call draws afresh, in training and in evaluation alike: the k-th call of a backend is the same for the same seed.

    Args:
        spec: Its entry in backends.yaml, with shots.
        seed: Of the shots; fresh where None.
        circuits: Gives a backend that runs the circuits themselves with the same shots, for estimators.
        path: See `ExactBank`; with noise there is one.
        device: Whose noise the circuits have; None for ideal ones.
    """

    def __init__(
        self,
        spec: BackendSpec,
        seed: int | None,
        circuits: Callable[[Draws], Backend],
        path: str = "auto",
        *,
        device: Device | None = None,
    ) -> None:
        self.spec, self.name, self.path, self.draws = spec, spec.name, path, Draws()
        self._device, self._circuits = device, circuits
        assert spec.shots is not None
        self._source = ShotSource(spec.shots, seed, self.draws)

    @property
    def shots(self) -> int:
        """Of each circuit; may be set, for all banks of the backend and whatever they evaluate from then on."""
        return self._source.number

    @shots.setter
    def shots(self, number: int) -> None:
        self._source.number = require_at_least("shots", number, 1)

    @property
    def noisy(self) -> bool:
        """Whether circuits have the noise of a device."""
        return self._device is not None

    def estimator(self) -> BaseEstimatorV2:
        return self._circuits(self.draws).estimator()

    def bank(
        self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None
    ) -> SampledBank:
        make, measured = self._compiled(candidates, n_outputs)
        return _KINDS[self.spec.sampling](
            make,
            [measured_parts(item) for item in measured],
            [item.constants for item in measured],
            self._source,
        )

    def _compiled(
        self, candidates: Sequence[CandidateLike], n_outputs: int | None
    ) -> tuple[Callable[[Sequence[Observables]], ExactBank | NoisyBank], list[Measurement]]:
        """What evaluates the candidates, and what is measured of each."""
        if self._device is not None:
            noisy, measured = _on(self._device, candidates, n_outputs, self.spec.reduce)
            return lambda observables: NoisyBank(noisy, observables, sparse=True, negligible=_NEGLIGIBLE), measured
        programs = [candidate.program for candidate in candidates]
        measured = [self._measurement(candidate, n_outputs) for candidate in candidates]
        names = [candidate.name for candidate in candidates]
        return lambda observables: ExactBank(programs, observables, self.path, sparse=True, names=names), measured

    def _measurement(self, candidate: CandidateLike, n_outputs: int | None) -> Measurement:
        """What is measured of a candidate: nothing where it is proven dead, as it is never submitted then."""
        observables = candidate.observables(n_outputs)
        terms = [lower_observable(observable, candidate.program.n_qubits) for observable in observables]
        if self.spec.reduce and find_structure(candidate.program, terms).is_zero:
            return Measurement((), (0.0,) * len(observables))
        return Measurement.of(observables)

    def close(self) -> None:
        """Nothing is held open."""


def _on(
    device: Device, candidates: Sequence[CandidateLike], n_outputs: int | None, reduce: bool
) -> tuple[list[NoisyProgram], list[Measurement]]:
    from qlstm_qiskit.hardware.interpreter.noisy import noisy_bank  # which loads Aer

    return noisy_bank(candidates, n_outputs, device.target, device.readout, device.prepare, reduce=reduce)


def _whole(measurement: Measurement) -> Observables:
    """The outputs with all their terms."""
    terms = [[PauliTerm(0, 0, constant)] if constant else [] for constant in measurement.constants]
    for part in measured_parts(measurement):
        terms[part.output] += part.terms
    return tuple(map(tuple, terms))


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
