"""Operations on replicas whose bits do not depend on how many replicas there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def batched_product(first: Tensor, second: Tensor) -> Tensor:
    """Products of R pairs of matrices; BLAS has other code for a single one, which is taken as two.

    Args:
        first, second: (R, m, k) and (R, k, n).
    """
    if len(first) > 1:
        return torch.bmm(first, second)
    return torch.bmm(first.expand(2, -1, -1), second.expand(2, -1, -1))[:1]


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
