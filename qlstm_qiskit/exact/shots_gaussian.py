"""A bank with Gaussian shot noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.exact.noisy_sum import SecondMoments, noisy_sum
from qlstm_qiskit.exact.shots import NOTHING, Evaluate, ExactValues, How, Measured, SampledBank
from qlstm_qiskit.exact.states import Observables


class GaussianBank(SampledBank):
    """Shots as Gaussian noise; see `noisy_sum`. Second moments are mixed with the squares of structural weights."""

    _known: SecondMoments
    _slots: int
    _means: ExactValues
    _pairs: ExactValues | None

    def _compile(self) -> ExactValues:
        self._slots = max(
            sum(item.output == k for item in own) for own in self._measured for k in range(self.n_outputs)
        )  # bases of an output
        parts = [self._arranged(own) for own in self._measured]
        means = [tuple(item.terms if item else NOTHING for item in own) for own in parts]
        moments, self._known = _second_moments(parts)
        if self.n_candidates == 1:
            self._pairs, self._means = None, self._make([(*means[0], *moments[0])])
        else:
            self._means, self._pairs = self._make(means), self._make(moments) if moments[0] else None
        return self._means

    def _arranged(self, measured: Sequence[Measured]) -> list[Measured | None]:
        """What is measured, one slot after the other for each output; None where an output has fewer bases than another."""
        rows = [[item for item in measured if item.output == k] for k in range(self.n_outputs)]
        return [item for row in rows for item in (*row, *[None] * (self._slots - len(row)))]

    def _bound(self, weights: Tensor, mixing: Tensor | None, how: How) -> Evaluate:
        exact = self._exact(weights, mixing, how)
        coefficients = weights.new_ones(len(weights), 1) if mixing is None else mixing
        return lambda inputs: self._sampled(*exact(inputs), coefficients, self._options.generator(), self._known)

    def _exact(self, weights: Tensor, mixing: Tensor | None, how: How) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Means (batch, gates, candidates, parts), and second moments (batch, gates, pairs) mixed with the squares."""
        squares = None if mixing is None else mixing.square()
        if self.n_candidates > 1:
            means = self._means.bind_apart(weights, **how.options())
            pairs = None if self._pairs is None else self._pairs.bind(weights, squares, **how.options())
            return lambda inputs: (
                means(inputs),
                weights.new_zeros(len(inputs), len(weights), 0) if pairs is None else pairs(inputs),
            )
        together, size = self._means.bind(weights, None, **how.options()), self.n_outputs * self._slots

        def split(inputs: Tensor) -> tuple[Tensor, Tensor]:
            first, moments = together(inputs).tensor_split((size,), dim=2)
            return first.unsqueeze(2), moments if squares is None else moments * squares

        return split

    def _bound_apart(self, weights: Tensor, how: How) -> Evaluate:
        size, one = self.n_outputs * self._slots, weights.new_ones(len(weights), 1)
        means = self._means.bind_apart(weights, **how.options())
        pairs = None if self._pairs is None else self._pairs.bind_apart(weights, **how.options())

        def evaluate(inputs: Tensor) -> Tensor:
            expected, generator = means(inputs), self._options.generator()
            moments = expected[..., size:] if pairs is None else pairs(inputs)
            sampled = [
                self._sampled(expected[:, :, c : c + 1, :size], moments[:, :, c], one, generator, self._known.of(c))
                for c in range(self.n_candidates)
            ]
            return torch.stack(sampled, dim=2)

        return evaluate

    def _sampled(
        self, means: Tensor, moments: Tensor, mixing: Tensor, generator: np.random.Generator, known: SecondMoments
    ) -> Tensor:
        batch, gates, _, parts = means.shape
        normal = torch.from_numpy(generator.standard_normal((batch, gates, parts))).to(means)
        values = noisy_sum(means, moments, mixing, normal, known, self._options.shots)
        return values if self._slots == 1 else values.reshape(batch, gates, self.n_outputs, self._slots).sum(3)


def _second_moments(parts: Sequence[Sequence[Measured | None]]) -> tuple[list[Observables], SecondMoments]:
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


def _product(first: Measured | None, second: Measured | None) -> tuple[PauliTerm, ...] | None:
    """The product of two parts in one basis; None where they share no shots."""
    if first is None or second is None or first.basis != second.basis:
        return None
    sums: dict[tuple[int, int], float] = {}
    for a in first.terms:
        for b in second.terms:  # letters that meet are equal, so that their product is the identity
            key = a.x ^ b.x, a.z ^ b.z
            sums[key] = sums.get(key, 0.0) + a.coefficient * b.coefficient
    return tuple(PauliTerm(x, z, value) for (x, z), value in sums.items() if value)
