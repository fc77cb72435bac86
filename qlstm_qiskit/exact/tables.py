"""The compiled arrays of a form, and room for the passes that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact.rooms import Rooms

Array = NDArray[Any]

M = TypeVar("M", Array, Tensor)


class FormTables(ABC):
    """What the kernels read of a form, and those that fill its matrix; the children of `MultilinearForm` compile it.

    Attributes:
        n_outputs: Observables of each candidate.
        feature_codes: The products of 1, cos u and sin u that are used: one digit to the base 3 per data angle, (features,).
        codes: The same, cut into parts of `width` digits, (parts, features).
        factors: See `codes.factors_of`.
        width: Data angles in a part.
        is_grid: Whether all products are used, in their order, which factor into those of two parts.
        n_rows: Coefficients of one gate, in all candidates.
        slots: Where the matrix is sparse, the product and the output of each of its rows, output by output, (2, rows); None
            where it has a row for each product, with all outputs.
        rooms: Memory for its passes.
        frozen: By their shape, angles that were not trained when they were last seen, and their coefficients; of two shapes, as
            the stages of a GRU have them.
    """

    n_outputs: int
    feature_codes: Array
    codes: NDArray[np.int32]
    factors: tuple[NDArray[np.int64], NDArray[np.int32]]
    width: int
    is_grid: bool
    n_rows: int
    slots: NDArray[np.int32] | None = None
    _angles: tuple[Array, Array, Array, Array]
    _sections: NDArray[np.int64]
    _steps: tuple[Array, ...]
    _entries: tuple[Array, ...]

    def __init__(self) -> None:
        self._constants: dict[np.dtype[Any], Any] = {}
        self.rooms = Rooms()
        self.frozen: dict[tuple[int, ...], tuple[Tensor, Array]] = {}

    @property
    def n_slots(self) -> int:
        """Numbers of the matrix for each gate."""
        return len(self.feature_codes) * self.n_outputs if self.slots is None else self.slots.shape[1]

    @property
    def largest(self) -> int:
        """Coefficients of one gate that are turned together."""
        return self.n_rows

    @property
    def n_angles(self) -> int:
        """Angles of rotations by weights, in all candidates."""
        return len(self._angles[0])

    def shaped(self, matrix: M) -> M:
        """The matrix, given as (slots, gates): (features, outputs x gates), unless it is sparse."""
        return matrix if self.slots is not None else matrix.reshape(len(self.feature_codes), -1)

    @abstractmethod
    def fill(self, weights: Array, mixing: Array, turns: Array, state: Array, matrix: Array) -> None:
        """Fill the matrix, and what `undo` needs.

        Args:
            weights: Angles, (columns, gates).
            mixing: Coefficients, (candidates, gates).
            turns: For the cosines of all angles and their sines, (2, angles x gates).
            state: For all coefficients, (rows, gates).
            matrix: To fill, (slots, gates).
        """

    @abstractmethod
    def undo(self, by_matrix: Array, mixing: Array, turns: Array, state: Array, by_weights: Array, by_mixing: Array) -> None:
        """Gradients of `fill` from that by the matrix, into `by_weights` and `by_mixing`; uses up `state`."""

    def fill_many(self, weights: Array, mixing: Array, turns: Array, matrix: Array) -> Array | None:
        """As `fill`, for the gates of many models at once; returns the coefficients where `undo_many` needs them."""
        state = self.rooms.take((self.n_rows, matrix.shape[1]), matrix.dtype)
        self.fill(weights, mixing, turns, state, matrix)
        return state

    def undo_many(
        self, by_matrix: Array, mixing: Array, turns: Array, state: Array | None, by_weights: Array, by_mixing: Array
    ) -> None:
        """As `undo`, for the gates of many models at once."""
        assert state is not None
        self.undo(by_matrix, mixing, turns, state, by_weights, by_mixing)

    @abstractmethod
    def plain_matrix(self, weights: Tensor, mixing: Tensor) -> Tensor:
        """The matrix of angles (gates, columns) and coefficients (gates, candidates) in plain torch, (slots, gates)."""

    def constants(self, dtype: np.dtype[Any]) -> Any:
        """What the kernels read, with its numbers in `dtype`: angles, sections, steps, entries."""
        if dtype not in self._constants:

            def read(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
                return tuple(array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays)

            self._constants[dtype] = (read(self._angles), self._sections, read(self._steps), read(self._entries))
        return self._constants[dtype]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_constants": {}, "frozen": {}}
