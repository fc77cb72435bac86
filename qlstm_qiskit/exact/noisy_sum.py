"""Gaussian shot noise: weighted sums of candidates, each measured with shots of its own, in the limit of many shots.

Outputs that one circuit gives in one basis share its shots; with outcomes s of +1 and -1 their means have the covariance

    cov(k, l) = (<O_k O_l> - <O_k> <O_l>) / shots,

and that of a weighted sum is ``sum_j w_j^2 cov_j``. The noise is L n, where L L^T is that covariance (Cholesky) and n is
standard normal, so that its size and shape have gradients by angles, structural weights and inputs (reparameterised).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact.noise_kernels import FLOOR, noisy_sum_backward, noisy_sum_forward
from qlstm_qiskit.exact.plain import arrays, gradients, is_watched

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SecondMoments:
    """What is known of the second moments ``<O_k O_l>`` of the p outputs of c candidates, before any angle is.

    Attributes:
        constant: Those that no angle changes, such as ``Z^2 = 1``; 0 where it is evaluated, or where there is none, (c, p, p).
        shared: 1 where both outputs come from the same shots, else 0, (c, p, p).
        column: Which evaluated moment is that of a pair, -1 where none is evaluated, (p, p).
    """

    constant: NDArray[np.float64]
    shared: NDArray[np.float64]
    column: NDArray[np.int64]

    @property
    def sizes(self) -> tuple[int, int]:
        """Candidates and outputs."""
        return self.constant.shape[0], self.constant.shape[1]

    def of(self, candidate: int) -> SecondMoments:
        """Those of one candidate."""
        own = slice(candidate, candidate + 1)
        return SecondMoments(self.constant[own], self.shared[own], self.column)


def noisy_sum(
    values: Tensor, moments: Tensor | None, mixing: Tensor | None, normal: Array, known: SecondMoments, shots: int
) -> Tensor:
    """Weighted sums of candidates as `shots` shots of each give them, (batch, gates, outputs).

    Args:
        values: Expectation values, (batch, gates, candidates x outputs); behind them, where `moments` is None, the evaluated
            second moments of a single candidate.
        moments: Evaluated second moments, summed over candidates with the squares of `mixing`, (batch, gates, pairs).
        mixing: Structural weights, (gates, candidates); 1 where None.
        normal: Standard normal numbers, (batch, gates, outputs).
        known: The second moments that are not evaluated.
        shots: Of each circuit.
    """
    if values.device.type != "cpu" or is_watched():
        return _plain(values, moments, mixing, normal=normal, known=known, shots=shots)
    if torch.is_grad_enabled():
        result: Tensor = _Gaussian.apply(values, moments, mixing, normal, known, shots)  # type: ignore[no-untyped-call]
        return result
    return torch.from_numpy(_run(_given(values, moments, mixing, known), normal, known, shots))


def _plain(
    values: Tensor, moments: Tensor | None, mixing: Tensor | None, *, normal: Array, known: SecondMoments, shots: int
) -> Tensor:
    """`noisy_sum` in torch operations."""
    (candidates, n), like = known.sizes, {"dtype": values.dtype, "device": values.device}
    constant, shared, noise = (torch.as_tensor(table, **like) for table in (known.constant, known.shared, normal))  # type: ignore[arg-type]
    means = values[..., : candidates * n].reshape(*values.shape[:2], candidates, n)
    weights = values.new_ones(values.shape[1], candidates) if mixing is None else mixing
    squares = weights.square()
    evaluated = values[..., n:] * squares if moments is None else moments
    padded = torch.cat([evaluated, evaluated.new_zeros(*evaluated.shape[:2], 1)], dim=2)  # column -1
    left = torch.einsum("gc,cpq->gpq", squares, constant) + padded[:, :, torch.as_tensor(known.column, device=values.device)]
    left = left - torch.einsum("gc,cpq,bgcp,bgcq->bgpq", squares, shared, means, means)
    parts = [torch.zeros_like(noise[..., 0])] * n
    for j in range(n):  # column j of Cholesky's factor, of what the columns before it leave
        active = left[..., 0, 0] > FLOOR
        root = torch.where(active, left[..., 0, 0], 1.0).sqrt()
        column = torch.where(active[..., None], left[..., :, 0], 0.0) / root[..., None]
        for i in range(j, n):
            parts[i] = parts[i] + column[..., i - j] * noise[..., j]
        left = (left - column[..., :, None] * column[..., None, :])[..., 1:, 1:]
    return torch.einsum("gc,bgcp->bgp", weights, means) + torch.stack(parts, dim=-1) / shots**0.5


class _Gaussian(torch.autograd.Function):
    """`noisy_sum` by native loops; derivatives beyond the first come from `_plain`."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        moments: Tensor | None,
        mixing: Tensor | None,
        normal: Array,
        known: SecondMoments,
        shots: int,
    ) -> Tensor:
        ctx.save_for_backward(values, moments, mixing)
        ctx.how = normal, known, shots
        return torch.from_numpy(_run(_given(values, moments, mixing, known), normal, known, shots))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (normal, known, shots), saved, by = ctx.how, ctx.saved_tensors, arrays(gradient)
        present = [value for value in saved if value is not None]
        if by is None:

            def plain(*own: Tensor) -> Tensor:
                left = iter(own)
                values, moments, mixing = (None if value is None else next(left) for value in saved)
                assert values is not None
                return _plain(values, moments, mixing, normal=normal, known=known, shots=shots)

            found = iter(gradients(plain, present, (gradient,)))
            return (*(None if value is None else next(found) for value in saved), None, None, None)
        values, moments, mixing = saved
        given = _given(values, moments, mixing, known)
        by_values, by_mixing = np.zeros_like(given.values), np.zeros_like(given.mixing)
        by_moments = by_values if given.together else np.zeros_like(given.moments)
        tables = (known.constant, known.shared, known.column)
        noisy_sum_backward(*given, normal, *tables, shots, by[0], by_values, by_moments, by_mixing)
        filled = (by_values, by_moments, by_mixing)
        return (
            *(None if value is None else torch.from_numpy(own) for value, own in zip(saved, filled, strict=True)),
            None,
            None,
            None,
        )


class _Given(NamedTuple):
    """What the loops read: second moments begin at column `start` of `moments`, `together` with the values of one candidate."""

    values: Array
    moments: Array
    start: int
    together: bool
    mixing: Array


def _given(values: Tensor, moments: Tensor | None, mixing: Tensor | None, known: SecondMoments) -> _Given:
    flat = values.detach().contiguous().numpy()
    candidates, n = known.sizes
    weights = np.ones((flat.shape[1], candidates), flat.dtype) if mixing is None else mixing.detach().contiguous().numpy()
    if moments is None:
        return _Given(flat, flat, n, True, weights)
    return _Given(flat, moments.detach().contiguous().numpy(), 0, False, weights)


def _run(given: _Given, normal: Array, known: SecondMoments, shots: int) -> Array:
    result = np.empty(normal.shape, given.values.dtype)
    noisy_sum_forward(*given, normal, known.constant, known.shared, known.column, shots, result)
    return result
