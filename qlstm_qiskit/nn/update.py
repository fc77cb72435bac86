"""Update equations: the next states of a cell from the pre-activations of its gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import arrays, gradients, is_watched, jit_unfused, sigmoid, tanh

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
    fits = gates.shape == (len(c), 4, c.shape[-1]) and gates.dtype == c.dtype  # which the loops do not look at
    if not fused or not fits or is_watched():
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
        lstm_backward(*map(np.ravel, by), ctx.active, before.reshape(-1), ctx.bent, by_gates, by_before.reshape(-1))
        return torch.from_numpy(_by_sample(by_gates, before)), torch.from_numpy(by_before)


def _run(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Array, Array]:
    """Next h and c, the activated gates (4, n), and the hyperbolic tangent of the next c, (n,)."""
    before = c.detach().contiguous().numpy()
    active = np.array(gates.detach().numpy().transpose(1, 0, 2), order="C").reshape(4, -1)  # a copy, which is overwritten
    h, after, bent = np.empty_like(before), np.empty_like(before), np.empty(before.size, before.dtype)
    lstm_forward(active, before.reshape(-1), h.reshape(-1), after.reshape(-1), bent)
    return torch.from_numpy(h), torch.from_numpy(after), active, bent


def _by_sample(gates: Array, state: Array) -> Array:
    """Gates (4, n) as (batch, 4, hidden), for a state (batch, hidden)."""
    return np.ascontiguousarray(gates.reshape(4, *state.shape).transpose(1, 0, 2))


@jit_unfused
def lstm_forward(active: Array, c: Array, h: Array, after: Array, bent: Array) -> None:
    """Activate the gates in place, and fill the next h and c, and ``tanh(c')``.

    Each product is rounded: which one of a sum is fused may differ between a vector and the rest of a loop, and a number would
    depend on how many are beside it.

    Args:
        active: Pre-activations i, f, g, o, (4, n); gate after gate, so that loops become vectors.
        c, h, after, bent: (n,).
    """
    for gate in range(4):
        own = active[gate]
        if gate == 2:
            for j in range(len(c)):
                own[j] = tanh(own[j])
        else:
            for j in range(len(c)):
                own[j] = sigmoid(own[j])
    i, f, g, o = active[0], active[1], active[2], active[3]
    for j in range(len(c)):
        after[j] = f[j] * c[j] + i[j] * g[j]
    for j in range(len(c)):
        bent[j] = tanh(after[j])
    for j in range(len(c)):
        h[j] = o[j] * bent[j]


@jit_unfused
def lstm_backward(
    by_h: Array, by_c: Array, active: Array, before: Array, bent: Array, by_gates: Array, by_before: Array
) -> None:
    """Fill the gradients with respect to the pre-activations (4, n) and the previous c."""
    for j in range(len(before)):
        i, f, g, o, t = active[0, j], active[1, j], active[2, j], active[3, j], bent[j]
        total = by_c[j] + by_h[j] * (o * (1 - t * t))
        by_gates[0, j] = total * g * i * (1 - i)
        by_gates[1, j] = total * before[j] * f * (1 - f)
        by_gates[2, j] = total * i * (1 - g * g)
        by_gates[3, j] = by_h[j] * t * o * (1 - o)
        by_before[j] = total * f
