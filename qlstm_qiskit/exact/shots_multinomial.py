"""A bank with the noise of bit strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.shot_passes import Counts, ExactValues, How, Sample, Shots
from qlstm_qiskit.exact.shots import NOTHING, MeasuredSum, SampledBank

#: Qubits measured together of which all 2^n outcomes are written down.
_MOST_BITS = 14

Array = NDArray[Any]


class MultinomialBank(SampledBank):
    """Shots as bit strings, drawn with probabilities from the expectation values of all strings of measured letters.

    Args:
        make, measured, constants, shots: As of `SampledBank`.
    """

    _values: ExactValues

    def _compile(self) -> ExactValues:
        self._bases = [_bases(own) for own in self._measured]
        strings = [[string for basis in own for string in basis.strings()] for own in self._bases]
        longest = max(1, *map(len, strings))
        self._read = np.zeros((self.n_candidates, longest, self.n_outputs))
        for c, (own, measured) in enumerate(zip(strings, self._measured, strict=True)):
            place = {string: row for row, string in enumerate(own)}
            for item in measured:
                for term in item.terms:
                    self._read[c, place[item.basis, term.x, term.z], item.output] += term.coefficient
        self._values = self._make(
            [(*((PauliTerm(x, z, 1.0),) for _, x, z in own), *[NOTHING] * (longest - len(own))) for own in strings]
        )
        return self._values

    @property
    def has_forms(self) -> bool:
        return self._values.has_forms

    def _bound(self, weights: Tensor, mixing: Tensor | None, how: How) -> Sample:
        apart = self._bound_apart(weights, how)
        if mixing is None:
            return lambda inputs, shots: apart(inputs, shots).squeeze(2)
        rows = how.each(mixing, dim=0)

        def evaluate(inputs: Tensor, shots: Counts) -> Tensor:
            pairs = zip(how.each(apart(inputs, shots)), rows, strict=True)
            sums = [torch.einsum("bgck,gc->bgk", *own) for own in pairs]
            return sums[0].contiguous() if len(sums) == 1 else torch.cat(sums, dim=1)

        return evaluate

    def _bound_apart(self, weights: Tensor, how: How) -> Sample:
        values = how.bound(self._values, weights, None, apart=True)
        read = torch.as_tensor(self._read, dtype=weights.dtype, device=weights.device)

        def evaluate(inputs: Tensor, shots: Counts) -> Tensor:
            expected = values(inputs)
            # The draw has no derivative: that of the mean stands for it.
            noisy = expected + (self._draw(expected.detach(), shots, how.sources) - expected.detach())
            sums = [torch.einsum("bgcs,csk->bgck", own, read) for own in how.each(noisy)]
            return sums[0] if len(sums) == 1 else torch.cat(sums, dim=1)

        return evaluate

    def _draw(self, expected: Tensor, shots: Counts, sources: Sequence[Shots]) -> Tensor:
        """Means over shots of all strings, from their expectation values (batch, gates, candidates, strings)."""
        exact = np.split(expected.to("cpu", torch.float64).numpy(), len(sources), axis=1)
        drawn = [
            self._drawn(np.ascontiguousarray(own), shots, source.generator())
            for own, source in zip(exact, sources, strict=True)
        ]
        return torch.from_numpy(np.concatenate(drawn, axis=1)).to(expected)

    def _drawn(self, exact: Array, shots: Counts, generator: np.random.Generator) -> Array:
        drawn = exact.copy()
        for c, bases in enumerate(self._bases):
            start = 0
            for basis in bases:
                own = slice(start, start + 2 ** len(basis.qubits) - 1)
                start = own.stop
                drawn[:, :, c, own] = basis.sampled(exact[:, :, c, own], shots, generator)
        return drawn


@dataclass(frozen=True)
class _Outcomes:
    """The bits of one basis."""

    number: int
    qubits: tuple[int, ...]
    x: int
    z: int

    def strings(self) -> list[tuple[int, int, int]]:
        """Basis and masks of each string of its letters but the identity, in the order of the subsets of its bits."""
        masks = (
            sum(1 << qubit for bit, qubit in enumerate(self.qubits) if subset >> bit & 1)
            for subset in range(1, 2 ** len(self.qubits))
        )
        return [(self.number, self.x & mask, self.z & mask) for mask in masks]

    @cached_property
    def signs(self) -> Array:
        """Value of each string, the identity first, in each outcome, (outcomes, strings): a Walsh-Hadamard matrix."""
        numbers = np.arange(2 ** len(self.qubits))
        return 1.0 - 2.0 * (np.bitwise_count(numbers[:, None] & numbers) % 2)

    def sampled(self, means: Array, shots: Counts, generator: np.random.Generator) -> Array:
        """Means over shots from expectation values, (batch, gates, strings without the identity)."""
        require_bytes(24 * means.size, "the probabilities of all outcomes", torch.device("cpu"))
        chances = (means @ self.signs[:, 1:].T + 1).clip(0)
        chances /= chances.sum(axis=-1, keepdims=True)
        found: Array = generator.multinomial(shots, chances) / np.asarray(shots)[..., None] @ self.signs[:, 1:]
        return found


def _bases(measured: Sequence[MeasuredSum]) -> list[_Outcomes]:
    masks: dict[int, tuple[int, int]] = {}
    for item in measured:
        for term in item.terms:
            x, z = masks.get(item.basis, (0, 0))
            masks[item.basis] = x | term.x, z | term.z
    found = []
    for number, (x, z) in masks.items():
        qubits = tuple(qubit for qubit in range((x | z).bit_length()) if (x | z) >> qubit & 1)
        if len(qubits) > _MOST_BITS:
            raise OptionError(
                f"sampling 'multinomial' writes down all outcomes, and {len(qubits)} qubits are measured together; at most "
                f"{_MOST_BITS} can be. Use 'gaussian'."
            )
        found.append(_Outcomes(number, qubits, x, z))
    return found
