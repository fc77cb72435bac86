"""Scaling of columns to [-1, 1], or to [0, 1], and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlstm_qiskit.errors import DataError

Floats = NDArray[np.float64]

#: Of values, in original units and scaled: sums of their squares are still numbers. A range is at least its inverse.
LARGEST = 1e150


@dataclass(frozen=True)
class Scaler:
    """Column-wise affine map of [low, high] to [-1, 1]; plain numbers, so that a run can be stored and read back.

    A constant column (low equal to high) is only shifted, to 0.

    Attributes:
        low, high: Of each column, in original units.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, values: Floats, names: Sequence[str] = ()) -> Scaler:
        """Take the range of each column of `values` (rows, columns).

        Args:
            values: In original units.
            names: Of the columns, for messages; by default they are numbered.

        Raises:
            DataError: Values, or their range, are so large or so small that squares are no longer float64.
        """
        low, high = values.min(axis=0), values.max(axis=0)
        wide = ~(np.maximum(np.abs(low), np.abs(high)) <= LARGEST)
        narrow = ~wide & (high > low) & (high - low < 1 / LARGEST)
        for bad, unit in ((wide, "smaller"), (narrow, "larger")):
            if bad.any():
                column = int(np.flatnonzero(bad)[0])
                named = names[column] if names else f"column {column}"
                raise DataError(f"{named} runs from {low[column]:g} to {high[column]:g}; use a {unit} unit.")
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    @classmethod
    def fit_unit(cls, values: Floats, names: Sequence[str] = ()) -> Scaler:
        """The same to [0, 1]: a map of a range of twice the width to [-1, 1]. Arguments and errors as of `fit`."""
        found = cls.fit(values, names)
        return cls(tuple(low - (high - low) for low, high in zip(found.low, found.high, strict=True)), found.high)

    @classmethod
    def identity(cls, n_columns: int) -> Scaler:
        """A scaler that changes nothing."""
        return cls((-1.0,) * n_columns, (1.0,) * n_columns)

    def transform(self, values: ArrayLike) -> Floats:
        """Scale values whose last axis runs over the columns."""
        centre, half = self._affine()
        return (np.asarray(values, dtype=np.float64) - centre) / half

    def inverse(self, values: ArrayLike) -> Floats:
        """Undo `transform`."""
        centre, half = self._affine()
        return np.asarray(values, dtype=np.float64) * half + centre

    def _affine(self) -> tuple[Floats, Floats]:
        low, high = np.array(self.low), np.array(self.high)
        half = (high - low) / 2
        return (low + high) / 2, np.where(half == 0, 1.0, half)


def scaled_rows(source: str, names: Sequence[str], values: Floats, scaler: Scaler, *, before: int = 0) -> Floats:
    """Scale rows (rows, columns), or refuse values that lie too far from those that the scaler was fitted on.

    Args:
        source, names: What the rows were read from, and their columns, for messages.
        values: In original units.
        scaler: From them to the model's.
        before: Rows of the source before these.

    Raises:
        DataError: A scaled value is not a number, or too large for its square to be one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = scaler.transform(values)
    bad = np.argwhere(~(np.abs(scaled) <= LARGEST))
    if len(bad):
        row, column = bad[0]
        line = before + row + 2
        raise DataError(
            f"{source}, row {line - 1} (line {line} of a CSV file), column {names[column]!r}: {values[row, column]:g} is too "
            f"far from what is trained on, {scaler.low[column]:g} to {scaler.high[column]:g} ({len(bad)} such in all); "
            "correct or remove such rows."
        )
    return scaled
