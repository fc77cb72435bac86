"""A bank with Gaussian shot noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.exact.noisy_sum import SecondMoments, noisy_sum
from qlstm_qiskit.exact.shot_passes import Counts, ExactValues, How, Sample
from qlstm_qiskit.exact.shots import NOTHING, MeasuredSum, SampledBank
from qlstm_qiskit.exact.states import Observables


class GaussianBank(SampledBank):
    """Shots as Gaussian noise; see `noisy_sum`. Second moments are mixed with the squares of structural weights.

    Args:
        make, measured, constants, shots: As of `SampledBank`.
    """

    _known: SecondMoments
    _slots: int
    _means: ExactValues
    _pairs: ExactValues | None

    def _compile(self) -> ExactValues:
        bases = [sum(item.output == k for item in own) for own in self._measured for k in range(self.n_outputs)]
        self._slots = max(1, *bases)  # of an output
        parts = [self._arranged(own) for own in self._measured]
        means = [tuple(item.terms if item else NOTHING for item in own) for own in parts]
        moments, self._known = _second_moments(parts)
        if self.n_candidates == 1:
            self._pairs, self._means = None, self._make([(*means[0], *moments[0])])
        else:
            self._means, self._pairs = self._make(means), self._make(moments) if moments[0] else None
        return self._means

    def _arranged(self, measured: Sequence[MeasuredSum]) -> list[MeasuredSum | None]:
        """What is measured, one slot after the other for each output; None where an output has fewer bases than another."""
        rows = [[item for item in measured if item.output == k] for k in range(self.n_outputs)]
        return [item for row in rows for item in (*row, *[None] * (self._slots - len(row)))]

    @property
    def has_forms(self) -> bool:
        return self._means.has_forms and (self._pairs is None or self._pairs.has_forms)

    def form_bytes(self, n_gates: int, *, samples: int, calls: int) -> int:
        pairs = 0 if self._pairs is None else self._pairs.form_bytes(n_gates, samples=samples, calls=calls)
        return pairs + super().form_bytes(n_gates, samples=samples, calls=calls)

    def _bound(self, weights: Tensor, mixing: Tensor | None, how: How) -> Sample:
        if self.n_candidates == 1:
            together = how.bound(self._means, weights, None)
            return lambda inputs, shots: self._sampled(together(inputs), None, mixing, self._known, shots, how)
        assert mixing is not None, "several candidates are mixed"
        means = how.bound(self._means, weights, None, apart=True)
        pairs = None if self._pairs is None else how.bound(self._pairs, weights, mixing.square())

        def evaluate(inputs: Tensor, shots: Counts) -> Tensor:
            expected = means(inputs).flatten(2)
            moments = expected.new_zeros(*expected.shape[:2], 0) if pairs is None else pairs(inputs)
            return self._sampled(expected, moments, mixing, self._known, shots, how)

        return evaluate

    def _bound_apart(self, weights: Tensor, how: How) -> Sample:
        size = self.n_outputs * self._slots
        means = how.bound(self._means, weights, None, apart=True)
        pairs = None if self._pairs is None else how.bound(self._pairs, weights, None, apart=True)

        def evaluate(inputs: Tensor, shots: Counts) -> Tensor:
            expected = means(inputs)
            moments = expected[..., size:] if pairs is None else pairs(inputs)
            sampled = [
                self._sampled(expected[:, :, c, :size], moments[:, :, c], None, self._known.of(c), shots, how)
                for c in range(self.n_candidates)
            ]
            return torch.stack(sampled, dim=2)

        return evaluate

    def _sampled(
        self,
        values: Tensor,
        moments: Tensor | None,
        mixing: Tensor | None,
        known: SecondMoments,
        shots: Counts,
        how: How,
    ) -> Tensor:
        batch, gates, _ = values.shape
        shape = (batch, gates, self.n_outputs, self._slots)
        own = (batch, gates // len(how.sources), self.n_outputs * self._slots)
        drawn = [source.generator().standard_normal(own) for source in how.sources]
        normal = drawn[0] if len(drawn) == 1 else np.concatenate(drawn, axis=1)
        if not isinstance(shots, int):  # noise is in proportion to them, so that loops that take one number serve
            normal, shots = normal / np.sqrt(shots)[:, None], 1
        sums = noisy_sum(values, moments, mixing, normal, known, shots)
        return sums if self._slots == 1 else sums.reshape(shape).sum(3)


def _second_moments(parts: Sequence[Sequence[MeasuredSum | None]]) -> tuple[list[Observables], SecondMoments]:
    """For each candidate the products of its parts that angles change, and what is known of the others."""
    n_candidates, n = len(parts), len(parts[0])
    constant, shared = np.zeros((n_candidates, n, n)), np.zeros((n_candidates, n, n))
    column = np.full((n, n), -1, dtype=np.int64)
    moments: list[list[tuple[PauliTerm, ...]]] = [[] for _ in parts]
    for p in range(n):
        for q in range(p + 1):
            products = [_product(own[p], own[q]) for own in parts]
            shared[:, p, q] = shared[:, q, p] = [product is not None for product in products]
            if all(product is None or not any(term.x | term.z for term in product) for product in products):
                constant[:, p, q] = constant[:, q, p] = [
                    sum(term.coefficient for term in product or ()) for product in products
                ]
            else:
                column[p, q] = column[q, p] = len(moments[0])
                for own, product in zip(moments, products, strict=True):
                    own.append(product or NOTHING)
    return [tuple(own) for own in moments], SecondMoments(constant, shared, column)


def _product(first: MeasuredSum | None, second: MeasuredSum | None) -> tuple[PauliTerm, ...] | None:
    """The product of two parts in one basis; None where they share no shots."""
    if first is None or second is None or first.basis != second.basis:
        return None
    sums: dict[tuple[int, int], float] = {}
    for a in first.terms:
        for b in second.terms:  # letters that meet are equal, so that their product is the identity
            key = a.x ^ b.x, a.z ^ b.z
            sums[key] = sums.get(key, 0.0) + a.coefficient * b.coefficient
    return tuple(PauliTerm(x, z, value) for (x, z), value in sums.items() if value)
