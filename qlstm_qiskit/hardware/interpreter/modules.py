"""Modules whose circuits torch cannot see into, under its compilers, tracers, transforms and autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.rnn import PackedSequence

from qlstm_qiskit.errors import UnsupportedError
from qlstm_qiskit.exact import is_watched

Method = TypeVar("Method", bound=Callable[..., Any])

_HALF = (torch.float16, torch.bfloat16)


class Circuits(nn.Module):
    """A module that evaluates circuits."""

    def __prepare_scriptable__(self) -> NoReturn:
        raise UnsupportedError(f"{type(self).__name__} cannot be a script: TorchScript has no circuits; use torch.jit.trace.")


def whole(method: Method) -> Method:
    """Decorate a `forward`: one piece to torch, in the module's own dtype.

    `torch.compile` leaves it out of its graphs, and runs it between them. Under autocast it computes in the dtype of the
    module's parameters, and takes inputs of half precision, as autocast makes them, in that dtype.
    """
    left_out: list[Callable[..., Any]] = []

    def run(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch._C._is_any_autocast_enabled():
            return _without_autocast(method, module, args, kwargs)
        return method(module, *args, **kwargs)

    @functools.wraps(method)
    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            if not left_out:
                left_out.append(torch.compiler.disable(run))  # type: ignore[no-untyped-call]
            return left_out[0](module, *args, **kwargs)
        if args and isinstance(args[0], fx.Proxy):
            raise UnsupportedError(
                f"torch.fx cannot look into {type(module).__name__}, whose circuits are not torch modules; make it a leaf "
                "(`fx.Tracer.is_leaf_module`), or use torch.jit.trace."
            )
        return run(module, *args, **kwargs)

    return cast(Method, call)


def _without_autocast(method: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    own = next(module.parameters())

    def converted(value: Any) -> Any:
        if isinstance(value, PackedSequence):
            return value.to(own.dtype) if value.data.dtype in _HALF else value
        if isinstance(value, tuple | list):
            return tuple(map(converted, value))
        return value.to(own.dtype) if isinstance(value, Tensor) and value.dtype in _HALF else value

    with torch.autocast(own.device.type, enabled=False):
        return method(module, *converted(args), **{name: converted(value) for name, value in kwargs.items()})


def require_unwatched(what: str) -> None:
    """Raise `UnsupportedError` in a transform or tracer of torch, which would take the values of `what` for constants."""
    if is_watched():
        raise UnsupportedError(
            f"{what} cannot be followed by torch.func, forward-mode derivatives, torch.jit.trace, torch.export or "
            "torch.onnx.export; a CircuitBank, QLSTMCell or QLSTM with backend='statevector' can."
        )


def last_derivative(what: str, results: Sequence[Tensor | None], depends_on: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
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
    def backward(ctx: Any, *_: Tensor) -> None:
        raise UnsupportedError(
            f"second derivatives of {ctx.what} are not supported: only first ones. Use a CircuitBank, "
            "QLSTMCell or QLSTM with backend='statevector', which has derivatives of any order."
        )
