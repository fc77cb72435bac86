"""Shots inside the exact interpreter: what jobs of a number of shots would return, drawn from exact expectation values.

Each candidate of each gate is a circuit with shots of its own, and each call, sample, gate and candidate draws afresh. Outputs
that a circuit gives in one basis share its shots, and are correlated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.exact.batched import batched_product
from qlstm_qiskit.exact.checks import check_bank_parameters
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.shot_passes import CallShots, Counts, ExactValues, How, Sample, Shots
from qlstm_qiskit.exact.states import Observables

#: An output that is 0, where a candidate has fewer than another.
NOTHING = (PauliTerm(0, 0, 0.0),)


@dataclass(frozen=True)
class MeasuredSum:
    """What one basis measures of one output: a sum of Pauli strings that share shots.

    Attributes:
        output: Its place.
        basis: Number of the basis; outputs in one basis share their shots.
        terms: Strings whose letters agree wherever two of them, or those of another output in the basis, share a qubit.
    """

    output: int
    basis: int
    terms: tuple[PauliTerm, ...]


class SampledBank(ABC):
    """The contract of `ExactBank`, with the noise of shots in every call, in training and in evaluation alike.

    Args:
        make: Compiles the candidates, read at the observables that it is given for each.
        measured: What is measured of each candidate.
        constants: Of each candidate's outputs, what needs no measuring.
        shots: How it is sampled.
    """

    def __init__(
        self,
        make: Callable[[Sequence[Observables]], ExactValues],
        measured: Sequence[Sequence[MeasuredSum]],
        constants: Sequence[Sequence[float]],
        shots: Shots,
    ) -> None:
        self._make, self._shots = make, shots
        self._measured, self._constants = tuple(map(tuple, measured)), np.array(constants, dtype=np.float64)
        self.n_candidates, self.n_outputs = self._constants.shape
        self._inner = self._compile()
        self.n_inputs, self.n_weights = self._inner.n_inputs, self._inner.n_weights

    @abstractmethod
    def _compile(self) -> ExactValues:
        """Compile what is to be evaluated; one of the banks, for sizes and plans."""

    @property
    @abstractmethod
    def has_forms(self) -> bool:
        """As `ExactBank.has_forms`, of all that is evaluated."""

    def form_bytes(self, n_gates: int, *, samples: int, calls: int) -> int:
        """Bytes that the forms of all that is evaluated take in a pass with gradients; see `ExactBank.form_bytes`."""
        return self._inner.form_bytes(n_gates, samples=samples, calls=calls, apart=self.n_candidates > 1)

    @abstractmethod
    def _bound(self, weights: Tensor, mixing: Tensor | None, how: How) -> Sample:
        """From inputs to sampled weighted sums, (batch, gates, outputs), without constants."""

    @abstractmethod
    def _bound_apart(self, weights: Tensor, how: How) -> Sample:
        """From inputs to sampled outputs of each candidate, (batch, gates, candidates, outputs), without constants."""

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
        shots: NDArray[np.int64] | None = None,
    ) -> BoundSamples:
        """Fix angles and structural weights for one forward pass; arguments and errors as in `ExactBank.bind`.

        `shots`: Of the circuits of each gate in each call, (calls, gates); those of the bank for all where None.
        """
        check_bank_parameters(self.n_weights, weights, mixing)
        how = How(samples, calls, gates, (self._shots,))
        return BoundSamples(self, weights, mixing, how, CallShots(shots))

    def bind_replicas(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        banks: Sequence[SampledBank],
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
    ) -> BoundSamples:
        """As `ExactBank.bind_replicas`; each replica draws what its bank would draw by itself.

        Args:
            weights, mixing, samples, calls, gates: As there.
            banks: That of each replica; of the same candidates.
        """
        how = How(samples, calls, gates, tuple(bank._shots for bank in banks), joint=True)
        flat = None if mixing is None else mixing.flatten(0, 1)
        check_bank_parameters(self.n_weights, weights.flatten(0, 1), flat)
        return BoundSamples(self, weights.flatten(0, 1), flat, how, CallShots(None))

    @property
    def n_bases(self) -> tuple[int, ...]:
        """Of each candidate, how many circuits one evaluation takes: one for each basis, none where nothing is measured."""
        return tuple(len({item.basis for item in own}) for own in self._measured)

    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str:
        """As `ExactBank.plan`, of the exact values."""
        return self._inner.plan(weights, samples=samples, calls=calls)

    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries:
        """As `ExactBank.fourier`, without shots."""
        outputs = [
            tuple(
                (PauliTerm(0, 0, float(constant)), *(term for own in measured if own.output == k for term in own.terms))
                for k, constant in enumerate(constants)
            )
            for measured, constants in zip(self._measured, self._constants, strict=True)
        ]
        return self._make(outputs).fourier(weights, mixing)


class BoundSamples:
    """A sampled bank with fixed angles and structural weights; each call is a job of its own."""

    def __init__(self, bank: SampledBank, weights: Tensor, mixing: Tensor | None, how: How, shots: CallShots) -> None:
        self._bank, self._weights, self._mixing, self._how, self._shots = bank, weights, mixing, how, shots
        self._evaluate = bank._bound(weights, mixing, how)
        self._offset = self._constants(mixing)

    @property
    def is_native(self) -> bool:
        """Whether values come contiguous and on the CPU, for native operations."""
        return self._weights.device.type == "cpu"

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        """Sampled sums ``sum_j w_j f_j(inputs)``, (batch, gates, outputs); as `BoundBank`, fresh shots in each call."""
        values = self._evaluate(inputs, self._counts(self._shots.take()))
        return self._how.by_row(values if self._offset is None else values + self._offset)

    def candidates(self, inputs: Tensor) -> Tensor:
        """Sampled outputs of each candidate, (batch, gates, candidates, outputs)."""
        values = self._bank._bound_apart(self._weights, self._how)(inputs, self._counts(self._shots.here()))
        return self._how.by_row(values + torch.as_tensor(self._bank._constants, dtype=values.dtype, device=values.device))

    def _counts(self, own: NDArray[np.int64] | None) -> Counts:
        return self._bank._shots.number if own is None else own

    def _constants(self, mixing: Tensor | None) -> Tensor | None:
        if not self._bank._constants.any():
            return None
        constants = torch.as_tensor(self._bank._constants, dtype=self._weights.dtype, device=self._weights.device)
        if mixing is None:
            return constants[0].expand(len(self._weights), -1)
        if not self._how.joint:
            return mixing @ constants
        own = self._how.split(mixing)
        return batched_product(own, constants.expand(len(own), -1, -1)).flatten(0, 1)
