"""Rows of a series in time: whether each follows the one before, and which of them a horizon means."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.errors import DataError

#: Rows that are forecast at most: each takes a prediction.
FURTHEST = 100_000

#: For dates that do not follow one another.
_ADVICE = (
    " Give them a frequency, such as with y.asfreq('D') and a value for each row that is new; or where the gaps mean nothing "
    "count the rows, y.reset_index(drop=True)."
)


@dataclass(frozen=True)
class Grid:
    """How rows follow one another.

    Attributes:
        kind: "dates", "periods" or "numbers".
        step: From each to the next: an offset of pandas, or a difference of numbers.
    """

    kind: str
    step: Any

    @classmethod
    def of(cls, index: pd.Index) -> Grid:
        """That of an index.

        Raises:
            DataError: Rows are missing, come twice, or have no frequency; or the index is of another kind.
        """
        kind = _kind(index)
        if index.has_duplicates:
            raise DataError(f"y has more than one row at {index[index.duplicated()][0]}; keep one of them.")
        if kind == "periods":
            step = index.freq
        elif kind == "dates":
            step = index.freq or (pd.tseries.frequencies.to_offset(found) if (found := _inferred(index)) else None)
            if step is None:
                raise _no_frequency(index)
        else:
            step = int(np.diff(index.to_numpy()).min()) if len(index) > 1 else 1
            if step <= 0:
                raise DataError("the index of y falls; sort its rows: y.sort_index().")
        grid = cls(kind, step)
        grid.require_whole(index)
        return grid

    def require_whole(self, index: pd.Index) -> None:
        """Raise `DataError` where an index is not the rows of this grid without a gap."""
        if _kind(index) != self.kind or (self.kind == "periods" and index.freq != self.step):
            raise DataError(f"the index of y is {_words(index)}; that of the rows before was of {self.kind} at {self._said()}.")
        expected = self.ahead(index[0], len(index) - 1)
        other = np.flatnonzero(np.asarray(expected != index))
        if len(other):
            between, place = self._between(index[0], index[-1]), int(other[0])
            what = f"y has {len(index)} rows where {between} lie between {index[0]} and {index[-1]}; fill the gap first"
            raise DataError(
                f"{what if between != len(index) else 'the rows of y do not follow one another'}: after "
                f"{index[max(place - 1, 0)]} comes {index[place]}, and at {self._said()} it would be {expected[place]}."
                f"{_ADVICE if self.kind == 'dates' else ''}"
            )

    def ahead(self, first: Any, count: int) -> pd.Index:
        """A label and so many that follow it."""
        try:
            if self.kind == "dates":
                return pd.date_range(first, periods=count + 1, freq=self.step)
            if self.kind == "periods":
                return pd.period_range(first, periods=count + 1, freq=self.step)
        except (ValueError, OverflowError) as error:  # OutOfBoundsDatetime is one
            raise DataError(f"{count} rows at {self._said()} from {first} end where pandas has no dates: {error}.") from None
        return pd.RangeIndex(int(first), int(first) + self.step * (count + 1), self.step)

    def steps(self, cutoff: Any, horizon: pd.Index, *, relative: bool) -> NDArray[np.int64]:
        """How many rows after the last one those of a horizon are.

        Args:
            cutoff: The last row's label.
            horizon: Labels; or where it is `relative` numbers of rows, as sktime counts them, or time differences.
            relative: Whether it counts from the last row.

        Raises:
            DataError: It is of another kind than the rows, there is no such row, or it is not ahead or too far.
        """
        counted = relative and pd.api.types.is_integer_dtype(horizon)
        if counted and self.kind != "numbers":
            return _bounded(horizon, horizon.to_numpy())
        labels = self._labels(cutoff, horizon, relative=relative)
        if (labels <= cutoff).any():
            raise _behind(labels[labels <= cutoff][0])
        if self.kind == "dates":
            found = self._places(cutoff, labels)
        else:
            distance = labels.asi8 - cutoff.ordinal if self.kind == "periods" else labels.to_numpy() - int(cutoff)
            size = self.step.n if self.kind == "periods" else self.step
            found = np.where(distance % size == 0, distance // size, -1)
        if (found < 0).any():
            raise DataError(
                f"fh asks for {labels[found < 0][0]}, where no row is: they follow {cutoff} at {self._said()}, as "
                f"{self.ahead(cutoff, 1)[1]} does. Give numbers of rows, or labels of rows."
            )
        return _bounded(horizon, found)

    def _labels(self, cutoff: Any, horizon: pd.Index, *, relative: bool) -> pd.Index:
        """The labels of a horizon, of the kind that the rows have."""
        try:
            if relative:
                moved = [int(cutoff) + int(step) if self.kind == "numbers" else cutoff + step for step in horizon]
                labels = pd.PeriodIndex(moved) if self.kind == "periods" else pd.Index(moved)
            else:
                labels = horizon
            same = _kind(labels) == self.kind
        except (TypeError, ValueError, OverflowError):  # such as a difference that lies between two periods
            same = False
        if same and self.kind != "numbers":
            same = labels.freq == self.step if self.kind == "periods" else (labels.tz is None) == (cutoff.tz is None)
        if not same:
            raise DataError(
                f"fh is {_words(horizon)}, and the rows of y are {self.kind} at {self._said()}; give numbers of rows such as "
                f"[1, 2], or labels such as {self.ahead(cutoff, 1)[1]!r}."
            )
        return labels

    def _places(self, cutoff: Any, labels: pd.Index) -> NDArray[np.int64]:
        """For each date how many rows it is after the last one; -1 where no row is there."""
        near = self.ahead(cutoff, 2)
        if (labels.max() - cutoff) / min(np.diff(near)) > 2 * FURTHEST:
            raise _too_far(labels.max())
        return np.asarray(pd.date_range(cutoff, labels.max(), freq=self.step).get_indexer(labels))

    def _between(self, first: Any, last: Any) -> int | str:
        """How many rows lie between two, themselves included, or that they are very many."""
        if self.kind == "numbers":
            return int((last - first) // self.step) + 1
        if self.kind == "periods":
            return int((last.ordinal - first.ordinal) // self.step.n) + 1
        shortest = min(np.diff(self.ahead(first, 2)))
        return "many more" if (last - first) / shortest > 10 * FURTHEST else len(pd.date_range(first, last, freq=self.step))

    def _said(self) -> str:
        return f"steps of {self.step}" if self.kind == "numbers" else f"the frequency {self.step.freqstr!r}"


def _bounded(horizon: pd.Index, found: NDArray[Any]) -> NDArray[np.int64]:
    if (found < 1).any():
        raise _behind(horizon[found < 1][0])
    if (found > FURTHEST).any():
        raise _too_far(horizon[found > FURTHEST][0])
    return np.asarray(found, dtype=np.int64)


def _behind(value: Any) -> DataError:
    return DataError(f"fh holds {value}, which is not after the last row; only rows ahead are forecast.")


def _too_far(value: Any) -> DataError:
    return DataError(f"fh holds {value}, more than {FURTHEST} rows after the last one; ask for fewer.")


def _kind(index: pd.Index) -> str:
    if isinstance(index, pd.PeriodIndex):
        return "periods"
    if isinstance(index, pd.DatetimeIndex):
        return "dates"
    if pd.api.types.is_integer_dtype(index):
        return "numbers"
    raise DataError(f"the index of y is {_words(index)}; it must be of dates, periods or integers.")


def _words(index: pd.Index) -> str:
    return f"a {type(index).__name__} of {index.dtype} that begins with {index[0]!r}" if len(index) else "empty"


def _inferred(index: pd.DatetimeIndex) -> str | None:
    return pd.infer_freq(index) if len(index) > 2 else None


def _no_frequency(index: pd.DatetimeIndex) -> DataError:
    """The error for dates that do not follow one another, with the gap where most of them do."""
    parts = [index[start : start + 8] for start in range(0, len(index) - 2, 8)]
    likely = Counter(found for part in parts if (found := _inferred(part)) is not None).most_common()
    for frequency, times in sorted(likely, key=lambda item: item[0] != "B"):  # a week of business days has both
        if times < max(1, len(parts) // 3):
            continue
        try:
            Grid("dates", pd.tseries.frequencies.to_offset(frequency)).require_whole(index)
        except DataError as error:
            return error
    return DataError(f"the dates of y have no frequency, from {index[0]} and {index[min(1, len(index) - 1)]} on.{_ADVICE}")
