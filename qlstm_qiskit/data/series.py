"""A series as it is used: numbers in time order, with the dates of its rows, and what reading it has come to in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from qlstm_qiskit.data.known import Known
from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.data.times import Times


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Columns of a series in time order.

    Attributes:
        name: What it was read from.
        cells: All columns, as text where the file is text; (rows, columns).
        values: The columns that are needed, in original units; (rows, needed).
        times: The dates of the rows, where there are any.
        reading: What has to be said to read the file in the same way again; None for a plain one.
        said: What was recognised, in words.
        lines: Line of each row in what it was read from, or its number; 0 for rows that were filled in. (rows,).
        place: What these are called, "line" or "row".
        ahead: How many rows at the end are to be predicted: columns that are not known ahead are NaN there.
    """

    name: str
    cells: pd.DataFrame
    values: Floats
    times: Times | None
    reading: Reading | None
    said: str
    lines: np.ndarray | None = None
    place: str = "row"
    ahead: int = 0

    @property
    def n_rows(self) -> int:
        """Rows before those that are to be predicted."""
        return len(self.values) - self.ahead

    def dates(self, n_rows: int) -> pd.DatetimeIndex | None:
        """The dates of the first so many rows, and after the last one as far as a rule says them; None where there are none."""
        if self.times is None:
            return None
        more = self.times.after(n_rows - len(self.values)) if n_rows > len(self.values) else None
        return self.times.dates[:n_rows] if more is None else self.times.dates.append(more)

    def known_rows(self, known: Known, first: int, n_rows: int | None = None) -> Floats:
        """`Known.rows` of the first so many rows, all by default; NaN where they are not known.

        Args:
            known: What is known ahead.
            first: Where its columns begin in `values`.
            n_rows: Rows, which may be more than there are.
        """
        n_rows = len(self.values) if n_rows is None else n_rows
        values = self.values[:n_rows, first : first + len(known.columns)]
        below = np.full((n_rows - len(values), values.shape[1]), np.nan)
        return known.rows(np.concatenate([values, below]), self.dates(n_rows), self.name)

    def where(self, row: int) -> str:
        """A row in words, by its line and its date."""
        line = "" if self.lines is None else f"{self.place} {self.lines[row]}"
        return line if self.times is None else f"{line} ({self.times.written(self.times.dates[[row]])[0]})"

    def before(self) -> SeriesTable:
        """Without the rows that are to be predicted."""
        n, times = self.n_rows, self.times
        if not self.ahead:
            return self
        return replace(
            self,
            cells=self.cells.iloc[:n],
            values=self.values[:n],
            times=None if times is None else Times.of(times.column, times.dates[:n], years=times.years),
            lines=None if self.lines is None else self.lines[:n],
            ahead=0,
        )

    @property
    def is_plain(self) -> bool:
        """Whether cells hold the values as they are used, in plain numbers."""
        reading = self.reading or Reading()
        return reading.decimal is None and reading.thousands is None and reading.impute is None and reading.na is None
