"""Update equations: the next states of a cell from the pre-activations of its gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import arrays, gradients, is_watched, jit

Array = NDArray[Any]

#: Names of the gates as used in files and figures, in torch's order.
LSTM_GATES = ("input", "forget", "cell", "output")
GRU_GATES = ("reset", "update", "new")
FAST_WEIGHT_GATES = ("fast",)


def gru_update(update: Tensor, new: Tensor, h: Tensor) -> Tensor:
    """Next h: ``h' = (1 - z) tanh(n) + z h``, for z = `update` after its sigmoid and the pre-activation n = `new`."""
    return torch.lerp(torch.tanh(new), h, update)


def lstm_update(gates: Tensor, c: Tensor, *, fused: bool) -> tuple[Tensor, Tensor]:
    """Next h and c of an LSTM: ``c' = sigmoid(f) c + sigmoid(i) tanh(g)``, ``h' = sigmoid(o) tanh(c')``.

    Args:
        gates: Pre-activations i, f, g, o, (batch, 4, hidden).
        c: (batch, hidden).
        fused: Whether to use one native operation, which runs on the CPU; otherwise torch operations.
    """
    if not fused or is_watched():
        return lstm_plain(gates, c)
    if torch.is_grad_enabled():
        h, c = _Update.apply(gates, c)  # type: ignore[no-untyped-call]
        return h, c
    return _run(gates, c)[:2]


def lstm_plain(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Next h and c in torch operations."""
    i, f, _, o = torch.sigmoid(gates).unbind(1)  # of all four: one operation costs less than three
    c = torch.addcmul(f * c, i, torch.tanh(gates[:, 2]))
    return o * torch.tanh(c), c


class _Update(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        h, after, ctx.active, ctx.bent = _run(gates, c)
        ctx.save_for_backward(gates, c)  # autograd then notices changes in place
        return h, after

    @staticmethod
    def backward(ctx: Any, by_h: Tensor, by_c: Tensor) -> tuple[Tensor | None, ...]:
        gates, c = ctx.saved_tensors
        by = arrays(by_h, by_c)
        if by is None:
            return tuple(gradients(lstm_plain, (gates, c), (by_h, by_c)))
        before = c.detach().contiguous().numpy()
        by_gates, by_before = np.empty_like(ctx.active), np.empty_like(before)
        lstm_backward(*by, ctx.active, before, ctx.bent, by_gates, by_before)
        return torch.from_numpy(by_gates), torch.from_numpy(by_before)


def _run(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Array, Array]:
    """Next h and c, the activated gates, and the hyperbolic tangent of the next c."""
    before = c.detach().numpy()
    h, after, active, bent = (np.empty(shape, before.dtype) for shape in (c.shape, c.shape, gates.shape, c.shape))
    lstm_forward(gates.detach().numpy(), before, active, h, after, bent)
    return torch.from_numpy(h), torch.from_numpy(after), active, bent


@jit
def lstm_forward(gates: Array, c: Array, active: Array, h: Array, after: Array, bent: Array) -> None:
    """Fill the activated gates, the next h and c, and ``tanh(c')``, which costs as much as all else of the way back."""
    n_samples, hidden = c.shape
    for b in range(n_samples):
        for k in range(hidden):
            i = 1 / (1 + np.exp(-gates[b, 0, k]))
            f = 1 / (1 + np.exp(-gates[b, 1, k]))
            g = np.tanh(gates[b, 2, k])
            o = 1 / (1 + np.exp(-gates[b, 3, k]))
            active[b, 0, k], active[b, 1, k], active[b, 2, k], active[b, 3, k] = i, f, g, o
            after[b, k] = f * c[b, k] + i * g
            bent[b, k] = np.tanh(after[b, k])
            h[b, k] = o * bent[b, k]


@jit
def lstm_backward(
    by_h: Array, by_c: Array, active: Array, before: Array, bent: Array, by_gates: Array, by_before: Array
) -> None:
    """Fill the gradients with respect to the pre-activations and the previous c."""
    n_samples, hidden = before.shape
    for b in range(n_samples):
        for k in range(hidden):
            i, f, g, o = active[b, 0, k], active[b, 1, k], active[b, 2, k], active[b, 3, k]
            t = bent[b, k]
            total = by_c[b, k] + by_h[b, k] * (o * (1 - t * t))
            by_gates[b, 0, k] = total * g * i * (1 - i)
            by_gates[b, 1, k] = total * before[b, k] * f * (1 - f)
            by_gates[b, 2, k] = total * i * (1 - g * g)
            by_gates[b, 3, k] = by_h[b, k] * t * o * (1 - o)
            by_before[b, k] = total * f
