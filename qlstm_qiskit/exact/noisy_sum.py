"""Gaussian shot noise: weighted sums of candidates, each measured with shots of its own, in the limit of many shots.

Outputs that one circuit gives in one basis share its shots; with outcomes s of +1 and -1 their means have the covariance

    cov(k, l) = (<O_k O_l> - <O_k> <O_l>) / shots,

and that of a weighted sum is ``sum_j w_j^2 cov_j``. The noise is L n, where L L^T is that covariance (Cholesky) and n is
standard normal, so that its size and shape have gradients by angles, structural weights and inputs (reparameterised).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact.native import jit
from qlstm_qiskit.exact.plain import arrays, gradients, is_watched

Array = NDArray[Any]

#: A variance per shot below this is none: the square root has no derivative at 0.
_FLOOR = 1e-12


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

    def of(self, candidate: int) -> SecondMoments:
        """Those of one candidate."""
        own = slice(candidate, candidate + 1)
        return SecondMoments(self.constant[own], self.shared[own], self.column)


def noisy_sum(means: Tensor, moments: Tensor, mixing: Tensor, normal: Tensor, known: SecondMoments, shots: int) -> Tensor:
    """Weighted sums of candidates as `shots` shots of each give them, (batch, gates, outputs).

    Args:
        means: Expectation values, (batch, gates, candidates, outputs).
        moments: Evaluated second moments, summed over candidates with the squares of `mixing`, (batch, gates, pairs).
        mixing: Structural weights, (gates, candidates).
        normal: Standard normal numbers, (batch, gates, outputs).
        known: What `moments` leaves out.
        shots: Of each circuit.
    """
    if means.device.type != "cpu" or is_watched():
        return _plain(means, moments, mixing, normal, known, shots)
    if torch.is_grad_enabled():
        result: Tensor = _Gaussian.apply(means, moments, mixing, normal, known, shots)  # type: ignore[no-untyped-call]
        return result
    return _run(means, moments, mixing, normal, known, shots)


def _plain(means: Tensor, moments: Tensor, mixing: Tensor, normal: Tensor, known: SecondMoments, shots: int) -> Tensor:
    """`noisy_sum` in torch operations."""
    like: dict[str, Any] = {"dtype": means.dtype, "device": means.device}
    constant, shared = (torch.as_tensor(table, **like) for table in (known.constant, known.shared))
    squares = mixing.square()
    covariance = torch.einsum("gc,cpq->gpq", squares, constant) - torch.einsum(
        "gc,cpq,bgcp,bgcq->bgpq", squares, shared, means, means
    )
    padded = torch.cat([moments, moments.new_zeros(*moments.shape[:2], 1)], dim=2)  # column -1
    left = (covariance + padded[:, :, torch.as_tensor(known.column, device=means.device)]) / shots
    noise = [torch.zeros_like(normal[..., 0])] * normal.shape[-1]
    for j in range(normal.shape[-1]):  # column j of Cholesky's factor, of what the columns before it leave
        pivot = left[..., 0, 0]
        active = pivot * shots > _FLOOR
        column = torch.where(active[..., None], left[..., :, 0], 0.0) / torch.where(active, pivot, 1.0).sqrt()[..., None]
        for i in range(j, normal.shape[-1]):
            noise[i] = noise[i] + column[..., i - j] * normal[..., j]
        left = (left - column[..., :, None] * column[..., None, :])[..., 1:, 1:]
    return torch.einsum("gc,bgcp->bgp", mixing, means) + torch.stack(noise, dim=-1)


class _Gaussian(torch.autograd.Function):
    """`noisy_sum` by native loops; derivatives beyond the first come from `_plain`."""

    @staticmethod
    def forward(
        ctx: Any, means: Tensor, moments: Tensor, mixing: Tensor, normal: Tensor, known: SecondMoments, shots: int
    ) -> Tensor:
        ctx.save_for_backward(means, moments, mixing, normal)
        ctx.known, ctx.shots = known, shots
        return _run(means, moments, mixing, normal, known, shots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, given = ctx.saved_tensors, arrays(gradient)
        if given is None:
            found = gradients(partial(_plain, known=ctx.known, shots=ctx.shots), saved, (gradient,))
            return (*found, None, None)
        means, moments, mixing, normal = (value.detach().contiguous().numpy() for value in saved)
        by = [np.zeros_like(value) for value in (means, moments, mixing)]
        tables = (ctx.known.constant, ctx.known.shared, ctx.known.column)
        _backward(means, moments, mixing, normal, *tables, ctx.shots, given[0], *by)
        return (*(torch.from_numpy(value) for value in by), None, None, None)


def _run(means: Tensor, moments: Tensor, mixing: Tensor, normal: Tensor, known: SecondMoments, shots: int) -> Tensor:
    given = [value.detach().contiguous().numpy() for value in (means, moments, mixing, normal)]
    result = np.empty(normal.shape, given[0].dtype)
    _forward(*given, known.constant, known.shared, known.column, shots, result)
    return torch.from_numpy(result)


@jit
def _factor(
    means: Array,
    moments: Array,
    squares: Array,
    constant: Array,
    shared: Array,
    column: Array,
    factor: Array,
) -> None:
    """Fill the lower triangle of `factor` (p, p) with Cholesky's factor of the covariance of a shot, of a sample and gate."""
    n = len(column)
    for p in range(n):
        for q in range(p + 1):
            total = factor.dtype.type(0)
            for c in range(len(squares)):
                total += squares[c] * (constant[c, p, q] - shared[c, p, q] * means[c, p] * means[c, q])
            if column[p, q] >= 0:
                total += moments[column[p, q]]
            factor[p, q] = total
    for j in range(n):
        if factor[j, j] > _FLOOR:
            root = np.sqrt(factor[j, j])
            factor[j, j] = root
            for i in range(j + 1, n):
                factor[i, j] /= root
        else:
            for i in range(j, n):
                factor[i, j] = 0
        for i in range(j + 1, n):
            for k in range(j + 1, i + 1):
                factor[i, k] -= factor[i, j] * factor[k, j]


@jit
def _forward(
    means: Array,
    moments: Array,
    mixing: Array,
    normal: Array,
    constant: Array,
    shared: Array,
    column: Array,
    shots: int,
    result: Array,
) -> None:
    """Fill `result`; see `noisy_sum`."""
    n_samples, n_gates, n_candidates, n = means.shape
    factor, squares = np.empty((n, n), means.dtype), mixing * mixing
    scale = 1 / np.sqrt(shots)
    for b in range(n_samples):
        for g in range(n_gates):
            _factor(means[b, g], moments[b, g], squares[g], constant, shared, column, factor)
            for p in range(n):
                total = means.dtype.type(0)
                for q in range(p + 1):
                    total += factor[p, q] * normal[b, g, q]
                total *= scale
                for c in range(n_candidates):
                    total += mixing[g, c] * means[b, g, c, p]
                result[b, g, p] = total


@jit
def _undo_column(j: int, factor: Array, by_factor: Array, by_left: Array) -> None:
    """From the gradient by column j of Cholesky's factor to that by what the columns before it have left."""
    n = len(factor)
    for i in range(j + 1, n):
        for k in range(j + 1, i + 1):
            by_factor[i, j] -= by_left[i, k] * factor[k, j]
            by_factor[k, j] -= by_left[i, k] * factor[i, j]
    root, by_root = factor[j, j], by_factor[j, j]
    for i in range(j + 1, n):
        by_left[i, j] = by_factor[i, j] / root
        by_root -= by_factor[i, j] * factor[i, j] / root
    by_left[j, j] = by_root / (2 * root)


@jit
def _backward(
    means: Array,
    moments: Array,
    mixing: Array,
    normal: Array,
    constant: Array,
    shared: Array,
    column: Array,
    shots: int,
    gradient: Array,
    by_means: Array,
    by_moments: Array,
    by_mixing: Array,
) -> None:
    """Add to the gradients of `_forward`; that of Cholesky's factor is undone column by column, from the last to the first."""
    n_samples, n_gates, n_candidates, n = means.shape
    factor, by_factor, by_left = np.empty((n, n), means.dtype), np.empty((n, n), means.dtype), np.empty((n, n), means.dtype)
    squares, scale = mixing * mixing, 1 / np.sqrt(shots)
    for b in range(n_samples):
        for g in range(n_gates):
            _factor(means[b, g], moments[b, g], squares[g], constant, shared, column, factor)
            by_left[:] = 0
            for p in range(n):
                for q in range(p + 1):
                    by_factor[p, q] = gradient[b, g, p] * normal[b, g, q] * scale
                for c in range(n_candidates):
                    by_means[b, g, c, p] += mixing[g, c] * gradient[b, g, p]
                    by_mixing[g, c] += means[b, g, c, p] * gradient[b, g, p]
            for j in range(n - 1, -1, -1):
                if factor[j, j] > 0:
                    _undo_column(j, factor, by_factor, by_left)
            for p in range(n):
                for q in range(p + 1):
                    by = by_left[p, q]
                    for c in range(n_candidates):
                        product = means[b, g, c, p] * means[b, g, c, q]
                        by_mixing[g, c] += by * 2 * mixing[g, c] * (constant[c, p, q] - shared[c, p, q] * product)
                        own = by * squares[g, c] * shared[c, p, q]
                        by_means[b, g, c, p] -= own * means[b, g, c, q]
                        by_means[b, g, c, q] -= own * means[b, g, c, p]
                    if column[p, q] >= 0:
                        by_moments[b, g, column[p, q]] += by
