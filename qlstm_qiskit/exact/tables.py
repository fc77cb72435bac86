"""The compiled arrays of a form, and room for the passes that read them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

#: Buffers of coefficients that wait for the next pass.
_KEPT_BUFFERS = 4

Array = NDArray[Any]

M = TypeVar("M", Array, Tensor)


class FormTables:
    """What the kernels read of a form; `MultilinearForm` compiles it.

    Attributes:
        n_outputs: Observables of each candidate.
        feature_codes: The products of 1, cos u and sin u that are used: one digit to the base 3 per data angle, (features,).
        codes: The same, cut into parts of `width` digits, (parts, features).
        width: Data angles in a part.
        slots: Where the matrix is sparse, the product and the output of each of its rows, output by output, (2, rows); None
            where it has a row for each product, with all outputs.
        frozen: Angles that were not trained when they were last seen, and their coefficients.
    """

    n_outputs: int
    feature_codes: NDArray[np.int64]
    codes: NDArray[np.int32]
    width: int
    slots: NDArray[np.int32] | None = None
    _angles: tuple[Array, Array, Array, Array]
    _sections: NDArray[np.int64]
    _steps: tuple[Array, ...]
    _start: Array
    _entries: tuple[Array, ...]

    def __init__(self) -> None:
        self._constants: dict[np.dtype[Any], Any] = {}
        self._buffers: dict[tuple[int, np.dtype[Any]], list[Array]] = {}
        self.frozen: tuple[Tensor, Array] | None = None

    @property
    def n_slots(self) -> int:
        """Numbers of the matrix for each gate."""
        return len(self.feature_codes) * self.n_outputs if self.slots is None else self.slots.shape[1]

    def shaped(self, matrix: M) -> M:
        """The matrix, given as (slots, gates): (features, outputs x gates), unless it is sparse."""
        return matrix if self.slots is not None else matrix.reshape(len(self.feature_codes), -1)

    def constants(self, dtype: np.dtype[Any]) -> Any:
        """What the kernels read, with its numbers in `dtype`: angles, sections, steps, start, entries."""
        if dtype not in self._constants:
            offset, pointer, column, value = self._angles
            slot, lane, candidate, factor = self._entries
            self._constants[dtype] = (
                (offset.astype(dtype), pointer, column, value.astype(dtype)),
                self._sections,
                self._steps,
                self._start.astype(dtype),
                (slot, lane, candidate, factor.astype(dtype)),
            )
        return self._constants[dtype]

    def take_buffer(self, n_gates: int, dtype: np.dtype[Any]) -> Array:
        """Room for the coefficients, (rows, gates): one that was given back, as fresh memory costs more than the work on it."""
        try:
            return self._buffers[n_gates, dtype].pop()
        except (KeyError, IndexError):
            return np.empty((len(self._start), n_gates), dtype)

    def give_buffer(self, buffer: Array) -> None:
        """Take back what is no longer read; a few are kept."""
        kept = self._buffers.setdefault((buffer.shape[1], buffer.dtype), [])
        if len(kept) < _KEPT_BUFFERS:
            kept.append(buffer)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_buffers": {}, "_constants": {}, "frozen": None}
