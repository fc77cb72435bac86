"""Operations on replicas whose bits do not depend on how many replicas there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.exact import plain
from qlstm_qiskit.exact.sequence_kernels import multiply_all


def batched_product(first: Tensor, second: Tensor) -> Tensor:
    """Products of R pairs of matrices, (R, m, n), each with the bits that it has by itself.

    Sums run from the first product to the last, each a fused multiply-add. BLAS adds otherwise on each kind of processor, for
    each size, and on some for each place in a batch and in memory.

    Args:
        first: (R, m, k).
        second: (R, k, n).
    """
    fits = first.dim() == second.dim() == 3 and first.shape[::2] == second.shape[:2] and first.dtype == second.dtype
    native = fits and first.device.type == second.device.type == "cpu" and first.dtype in (torch.float32, torch.float64)
    if not native or plain.is_watched():
        return torch.bmm(first, second)  # which refuses what does not fit
    if torch.is_grad_enabled() and (first.requires_grad or second.requires_grad):
        result: Tensor = _Product.apply(first, second)  # type: ignore[no-untyped-call]
        return result
    return _product(first, second)


def _product(first: Tensor, second: Tensor) -> Tensor:
    left, right = (value.detach().contiguous().numpy() for value in (first, second))
    out = np.empty((*left.shape[:2], right.shape[2]), left.dtype)
    multiply_all(left, right, out)
    return torch.from_numpy(out)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(first, second)
        return _product(first, second)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        first, second = ctx.saved_tensors
        if plain.arrays(gradient) is None:
            return tuple(plain.gradients(torch.bmm, (first, second), (gradient,)))
        by_first, by_second = ctx.needs_input_grad
        return (
            _product(gradient, second.mT) if by_first else None,
            _product(first.mT, gradient) if by_second else None,
        )


def even_sigmoid(values: Tensor) -> Tensor:
    """The sigmoid, of each number by the same code: torch's own has another for the last few numbers of a tensor.

    Args:
        values: Of any shape.
    """
    result: Tensor = _Sigmoid.apply(values)  # type: ignore[no-untyped-call]
    return result


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = values.neg().exp_().add_(1).reciprocal_()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradient * (1 - result) * result
