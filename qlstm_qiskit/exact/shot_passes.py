"""A pass through a sampled bank: its sizes, its shots, and where its random numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.exact.fourier import FourierSeries

Evaluate = Callable[[Tensor], Tensor]
#: Shots of each circuit: one number, or one for each gate.
Counts = int | NDArray[np.int64]
#: From inputs, and the shots of this call, to sampled values.
Sample = Callable[[Tensor, Counts], Tensor]


class ExactValues(Protocol):
    """Exact expectation values of a bank; see `ExactBank`."""

    n_inputs: int
    n_weights: tuple[int, ...]

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
    ) -> Evaluate: ...
    def bind_apart(
        self, weights: Tensor, *, samples: int = 1, calls: int = 1, gates: tuple[int, ...] | None = None
    ) -> Evaluate: ...
    def bind_replicas(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
        apart: bool = False,
    ) -> Evaluate: ...
    def form_bytes(self, n_gates: int, *, samples: int, calls: int, gradients: bool = True, apart: bool = False) -> int: ...
    @property
    def has_forms(self) -> bool: ...
    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str: ...
    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries: ...


class Shots(Protocol):
    """How often circuits are run, and where random numbers come from."""

    @property
    def number(self) -> int:
        """Of each circuit in each basis, from now on."""

    def generator(self) -> np.random.Generator:
        """Random numbers for a call."""


@dataclass(frozen=True)
class How:
    """Sizes of a pass, as `ExactBank.bind` takes them, and where its random numbers come from.

    The gates of replicas lie side by side in a pass, (batch, replicas x gates, ...).

    Attributes:
        sources: Of each replica; one where there are none.
        joint: Whether there are replicas.
    """

    samples: int
    calls: int
    gates: tuple[int, ...] | None
    sources: tuple[Shots, ...]
    joint: bool = False

    def bound(self, bank: ExactValues, weights: Tensor, mixing: Tensor | None, *, apart: bool = False) -> Evaluate:
        """From inputs to exact values, (batch, gates, outputs), or, apart, (batch, gates, candidates, outputs)."""
        options: dict[str, Any] = {"samples": self.samples, "calls": self.calls, "gates": self.gates}
        if not self.joint:
            return bank.bind_apart(weights, **options) if apart else bank.bind(weights, mixing, **options)
        split = None if mixing is None else self.split(mixing)
        bound = bank.bind_replicas(self.split(weights), split, apart=apart, **options)
        n, gates, candidates = len(self.sources), len(weights), len(bank.n_weights)

        def evaluate(inputs: Tensor) -> Tensor:
            by_row = bound(inputs)
            values = by_row.view(n, -1, *by_row.shape[1:]).transpose(0, 1).reshape(-1, gates, by_row.shape[2])
            return values.view(len(values), gates, candidates, -1) if apart else values

        return evaluate

    def split(self, values: Tensor) -> Tensor:
        """What there is for each gate, (replicas x gates, ...), as (replicas, gates, ...)."""
        return values.view(len(self.sources), -1, *values.shape[1:])

    def each(self, values: Tensor, dim: int = 1) -> tuple[Tensor, ...]:
        """Values of all gates, which are along `dim`, for each replica; in memory as they are of one by itself."""
        return tuple(own.contiguous() for own in values.chunk(len(self.sources), dim)) if self.joint else (values,)

    def by_row(self, values: Tensor) -> Tensor:
        """Values (batch, replicas x gates, ...) as (replicas x batch, gates, ...)."""
        if not self.joint:
            return values
        apart = values.view(len(values), len(self.sources), -1, *values.shape[2:]).transpose(0, 1)
        return apart.reshape(-1, *apart.shape[2:])


class CallShots:
    """The shots of each call of a pass, one call after the other.

    Args:
        rows: (calls, gates); None where a backend's own number holds for all.
    """

    def __init__(self, rows: NDArray[np.int64] | None) -> None:
        self._rows, self._done = rows, 0

    def here(self) -> NDArray[np.int64] | None:
        """Shots of each gate in this call; None for the backend's own.

        Raises:
            ShapeError: There are more calls than rows.
        """
        if self._rows is None:
            return None
        if self._done == len(self._rows):
            raise ShapeError(
                f"shots are allocated for {self._done} time steps, and this is one more; allocate them for sequences of this "
                "length."
            )
        row: NDArray[np.int64] = self._rows[self._done]
        return row

    def take(self) -> NDArray[np.int64] | None:
        """As `here`, and on to the next call."""
        found = self.here()
        self._done += 1
        return found
