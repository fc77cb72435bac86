"""The end of what is differentiable: operations that torch cannot see, with first derivatives alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.errors import UnsupportedError
from qlstm_qiskit.exact import is_watched


def require_unwatched(what: str) -> None:
    """Raise `UnsupportedError` in a transform or tracer of torch, which would take the values of `what` for constants."""
    if is_watched():
        raise UnsupportedError(
            f"{what} cannot be seen by torch.func, forward-mode derivatives, torch.jit.trace, torch.export or "
            "torch.onnx.export; use backend='statevector' there."
        )


def last_derivative(
    what: str, results: Sequence[Tensor | None], depends_on: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Gradients that a backward pass returns: to differentiate them in turn is an error, whatever they are differentiated by.

    Args:
        what: Whose gradients they are, for the message.
        results: The gradients; those that are None stay so.
        depends_on: All that they depend on.
    """
    if not torch.is_grad_enabled() or not any(value.requires_grad for value in depends_on):
        return tuple(results)
    given = iter(_Last.apply(what, *(result for result in results if result is not None), *depends_on))  # type: ignore[no-untyped-call]
    return tuple(None if result is None else next(given) for result in results)


class _Last(torch.autograd.Function):
    """Passes on some tensors and has no gradient."""

    @staticmethod
    def forward(ctx: Any, what: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.what = what
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *by_results: Tensor) -> None:
        raise UnsupportedError(
            f"second derivatives of {ctx.what} are not supported: parameter shift gives first ones. Use a module with "
            "backend='statevector', which has derivatives of any order, or leave out create_graph=True."
        )
