"""Banks with fixed angles and structural weights, and the last ones that were bound."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.exact.adjoint import same_tensor
from qlstm_qiskit.exact.filled import Filled
from qlstm_qiskit.exact.plain import is_watched


class Owner(Protocol):
    """A bank, as a bound one needs it."""

    n_inputs: int

    def apart(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate, (batch, gates, candidates, outputs)."""


class OfReplicas:
    """The bank of R replicas, as a bound one needs it: rows of inputs are those of the first, then of the next.

    Args:
        bank: Of each.
        weights: Angles in radians, (R, gates, sum of `n_weights`).
    """

    def __init__(self, bank: Owner, weights: Tensor) -> None:
        self.n_inputs, self._bank, self._weights = bank.n_inputs, bank, weights

    def apart(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """As `Owner.apart`, of each row at the angles of its replica."""
        rows = inputs.chunk(len(self._weights))
        return torch.cat([self._bank.apart(*own) for own in zip(self._weights, rows, strict=True)])


class BoundBank:
    """A bank with fixed angles and structural weights; call it with inputs, once for each time step.

    Args:
        bank: Whose it is.
        weights: Angles in radians, (gates, sum of `n_weights`).
        parts: What is summed: from inputs (batch, n_inputs) to outputs (batch, gates, outputs).
        n_outputs: Of each gate.
        is_native: Whether all of it runs by native operations, on the CPU.
    """

    def __init__(
        self,
        bank: Owner,
        weights: Tensor,
        parts: Sequence[Callable[[Tensor], Tensor]],
        n_outputs: int,
        *,
        is_native: bool,
    ) -> None:
        self._bank, self._weights, self._parts, self._n_outputs = bank, weights, parts, n_outputs
        self.is_native = is_native

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        """Mixed outputs ``sum_j w_j f_j(inputs)``, (batch, gates, outputs); `inputs` is (batch, n_inputs), in radians.

        `constant` is for banks whose gradients cost something for each input; here they come together.
        """
        self._check(inputs)
        if not len(inputs):
            return self._weights.new_zeros(0, len(self._weights), self._n_outputs) + 0 * self._weights.sum()
        total = self._parts[0](inputs)
        for part in self._parts[1:]:
            total = total + part(inputs)
        return total

    @property
    def whole(self) -> Filled | None:
        """All of it as one dense form on the inputs as they are, where it is one."""
        part = self._parts[0]
        return part if len(self._parts) == 1 and isinstance(part, Filled) and part.reads_inputs else None

    @property
    def n_inputs(self) -> int:
        return self._bank.n_inputs

    def candidates(self, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate before mixing, (batch, gates, candidates, outputs)."""
        self._check(inputs)
        return self._bank.apart(self._weights, inputs)

    def _check(self, inputs: Tensor) -> None:
        if inputs.dim() != 2 or inputs.shape[1] != self._bank.n_inputs:
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (batch, {self._bank.n_inputs}).")


class LastBound:
    """What was bound without gradients: equal parameters give it again. A copy starts without it."""

    def __init__(self) -> None:
        self._last: dict[Hashable, _Last] = {}

    def bound(
        self,
        key: Hashable,
        weights: Tensor,
        mixing: Tensor | None,
        samples: int,
        bind: Callable[[Tensor, Tensor | None], BoundBank],
    ) -> BoundBank:
        """What `bind` gives for these parameters, or has given for equal ones and as many samples under the same key."""
        if torch.is_grad_enabled() or is_watched():
            return bind(weights, mixing)
        last = self._last.get(key)
        if last is None or last.samples < samples or not (_equal(last.weights, weights) and _equal(last.mixing, mixing)):
            own = weights.clone(), None if mixing is None else mixing.clone()  # the caller's change when they are trained
            last = self._last[key] = _Last(*own, samples, bind(*own))
        return last.bound

    def __getstate__(self) -> dict[str, Any]:
        return {"_last": {}}


class _Last(NamedTuple):
    """What was bound without gradients, copies of the parameters, and the batch size that was checked to fit."""

    weights: Tensor
    mixing: Tensor | None
    samples: int
    bound: BoundBank


def _equal(before: Tensor | None, now: Tensor | None) -> bool:
    if before is None or now is None:
        return before is now
    return same_tensor(before, now)
