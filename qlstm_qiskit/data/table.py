"""Reading of a series: its rows in time order, what is missing in them, and what was recognised in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data.cells import is_text, require_columns, require_numbers, values_of, without_units
from qlstm_qiskit.data.content import Content, read_content
from qlstm_qiskit.data.dates import NoDateError, parse_dates
from qlstm_qiskit.data.numbers import numbers, with_convention
from qlstm_qiskit.data.order import require_time_order
from qlstm_qiskit.data.reading import NO_DATES, Reading
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.data.series import SeriesTable
from qlstm_qiskit.data.times import Times, find_times, time_order
from qlstm_qiskit.errors import DataError, OptionError

#: Dates, or lines, that a message names.
_NAMED = 3


def read_series(
    source: Path | str | pd.DataFrame,
    columns: Sequence[str],
    target: str,
    reading: Reading | None = None,
    known: Sequence[str] | None = None,
) -> SeriesTable:
    """Read a series, its rows in time order.

    Args:
        source: A CSV or Parquet file, or a DataFrame.
        columns: That must be numbers.
        target: The column to predict, whether or not it is one of them.
        reading: How to read it; what it leaves open is recognised.
        known: Those of the columns that are known ahead. Rows after the last one that has the target are then allowed, as those
            to predict; without it they are refused.

    Raises:
        DataError: It cannot be read, a value is missing or no number, or rows cannot be put in the order of their dates.
        OptionError: There is no column of a name that is asked for.
    """
    given = reading or Reading()
    content = read_content(source, given, columns)
    require_columns(content.cells, columns, content.reading.skip)
    texts = [str(name) for name in content.cells.columns if is_text(content.cells[name])]
    asked = [name for name in columns if name in texts]
    if asked:
        own = with_convention(content.cells[texts], asked, content.reading, content.separator or ",", content.name)
        content = replace(content, reading=own)
    content, units = without_units(content, asked)
    values, missing = values_of(content, columns, may_miss=known is not None)
    read = _Read(content, values, missing, target, columns)
    read.put_in_order()
    if known is not None:
        read.open_end(known)
    read.fill()
    return read.table(units)


class _Read:
    """A series on its way from the cells of a file to a table."""

    def __init__(self, content: Content, values: Floats, missing: np.ndarray, target: str, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.open = np.zeros(len(columns), bool)  # those not known ahead, where rows are to predict
        self.once = [self.columns.index(name) for name in dict.fromkeys(columns)]  # the columns, each of them
        self.content, self.values, self.missing, self.target = content, values, missing, target
        self.reading, self.lines = content.reading, content.lines
        self.times: Times | None = None
        self.words: list[str] = []

    def put_in_order(self) -> None:
        """Find the dates, and sort rows by them."""
        cells, name, reading = self._cells_of_dates(), self.content.name, self.reading
        column, order = find_times(cells, self.target, reading, name)
        if reading.sort is False:
            texts = cells.apply(lambda one: one.astype(str)) if self.content.place == "row" else cells
            require_time_order(texts, self.target, name)
        if not column:
            return
        try:
            parsed = parse_dates(_stripped(self.content.cells[column]), self.lines, reading, f"{name}, {self.content.place}")
        except NoDateError:
            if order != "forward":
                raise
            self.words.append(f"rows taken as they are, since column {column!r} is not dates throughout")
            return
        dates = None if parsed is None else parsed.dates
        if dates is not None:
            places = time_order(dates, name, self.lines)
        else:
            counts = pd.to_numeric(self.content.cells[column], errors="coerce").to_numpy(np.float64)
            if np.isnan(counts).any():
                row = int(np.flatnonzero(np.isnan(counts))[0])
                raise DataError(
                    f"{name}, {self.content.place} {self.lines[row]}, column {column!r}: "
                    f"{self.content.cells[column].iloc[row]!r} is no time; correct it, or --date-column {NO_DATES}."
                )
            places = np.argsort(counts, kind="stable") if (np.diff(counts) < 0).any() else None
        if places is not None and reading.sort is not False:
            turned = bool((places == np.arange(len(places))[::-1]).all())
            self.words.append("newest row first, turned round" if turned else f"rows sorted by {column!r}")
            self._take(places)
            dates = None if dates is None else dates[places]
            self.reading = replace(self.reading, date_column=column)
        elif places is not None:
            dates = None  # they say nothing of rows that are in another order
        if parsed is not None and parsed.dayfirst is not None:
            self.reading = replace(self.reading, date_column=column, dayfirst=parsed.dayfirst)
        if dates is not None and parsed is not None:
            self.times = Times.of(column, dates, years=parsed.years)

    def _cells_of_dates(self) -> pd.DataFrame:
        """The columns that may hold dates: not those that are numbers with signs that dates have too."""
        cells, reading = self.content.cells, self.reading
        if reading.decimal is None and reading.thousands is None:
            return cells
        kept = [
            name
            for name in cells.columns
            if not is_text(cells[name])
            or not len(cells)
            or np.isfinite(numbers(cells[name].str.strip(), reading.decimal, reading.thousands)).mean() < 0.5
        ]
        return cells[kept]

    def _take(self, places: np.ndarray) -> None:
        self.content = replace(self.content, cells=self.content.cells.iloc[places].reset_index(drop=True))
        self.values, self.missing, self.lines = self.values[places], self.missing[places], self.lines[places]

    def open_end(self, known: Sequence[str]) -> None:
        """Find the rows to predict; refuse what is missing before them, unless it is to be filled in."""
        self.open = np.array([name not in known for name in self.columns])
        end = self.end
        self.values[end:, self.open], self.missing[end:, self.open] = np.nan, False  # whatever they hold
        if self.reading.impute is None:
            for place, name in enumerate(self.columns):
                blank = pd.Series("", index=range(end), name=name)
                where = f"{self.content.name}, {self.content.place}"
                require_numbers(self.values[:end, place], blank, self.lines[:end], where)

    @property
    def end(self) -> int:
        """The row after the last one that has the target, or any column that is not known ahead where there is no target."""
        marks = [self.columns.index(self.target)] if self.target in self.columns else np.flatnonzero(self.open)
        given = np.flatnonzero(~np.isnan(self.values[:, marks]).all(axis=1))
        return int(given[-1]) + 1 if self.open.any() and len(given) else len(self.values)

    def fill(self) -> None:
        """Say which dates are repeated or missing, and fill in what is missing where that is asked for."""
        times, method = self.times, self.reading.impute
        repeated = np.empty(0, int) if times is None else np.flatnonzero(times.dates.duplicated())
        if times is not None and len(repeated):
            first = int(np.flatnonzero(times.dates == times.dates[repeated[0]])[0])
            where = f"{self.content.place}s {self.lines[first]} and {self.lines[repeated[0]]}"
            self.words.append(f"{_count(len(repeated), 'date')} repeated ({times.written(times.dates[[first]])[0]} in {where})")
        gaps = times is not None and times.missing is not None and len(times.missing) > 0
        if times is not None and times.missing is not None and gaps:
            named = ", ".join(map(str, times.written(times.missing[:_NAMED]))) + (
                ", ..." if len(times.missing) > _NAMED else ""
            )
            kind = "business day" if times.often == "business days" else "date"
            self.words.append(f"{_count(len(times.missing), kind)} missing ({named})")
        if method is None:
            return
        if method == "time" and times is None:
            raise OptionError("impute is 'time', which needs dates; name their column by --date-column, or take linear.")
        inserted = 0
        if times is not None and gaps and len(times.gaps()) and not len(repeated):
            inserted = self._insert(times)
        frame = pd.DataFrame(self.values, index=None if self.times is None else self.times.dates)
        filled = frame.ffill() if method == "ffill" else frame.interpolate(method, limit_area="inside")
        end, values = self.end, filled.to_numpy(np.float64, copy=True)
        for place, is_open in enumerate(self.open):  # nothing is carried into the rows to predict, or beyond what is known
            given = np.flatnonzero(frame[place].notna())
            values[end if is_open else max([end, *given[-1:] + 1]) :, place] = np.nan
        n_missing = int((self.missing & ~np.isnan(values))[:, self.once].sum())
        left = np.argwhere(np.isnan(values[:end]))
        if len(left):
            row = int(left[0][0])
            raise DataError(
                f"{self.content.name}, {self.content.place} {self.lines[row]}: a value is missing at "
                f"{'the start' if np.isnan(self.values[: row + 1, left[0][1]]).all() else 'the end'} of the series, where "
                f"--impute {method} has nothing to fill it from; remove such rows first."
            )
        self.values = values
        if n_missing or inserted:
            what = [_count(n_missing, "value")] * bool(n_missing) + [_count(inserted, "row")] * bool(inserted)
            self.words.append(f"{' and '.join(what)} filled in ({method})")

    def _insert(self, times: Times) -> int:
        """Rows for the dates that are missing."""
        dates = times.dates.union(times.missing)
        places = times.dates.get_indexer(dates)
        new = places < 0
        cells = self.content.cells.iloc[np.where(new, 0, places)].reset_index(drop=True)
        for name in cells.columns:
            cells[name] = cells[name].mask(new, "" if is_text(cells[name]) else None)
        self.content = replace(self.content, cells=cells)
        self.values = np.where(new[:, None], np.nan, self.values[places])
        self.missing = np.where(new[:, None], False, self.missing[places])
        self.lines = np.where(new, 0, self.lines[places])
        self.times = replace(times, dates=dates, missing=None)
        return int(new.sum())

    def table(self, units: bool) -> SeriesTable:
        """What it has come to."""
        content, reading, times = self.content, self.reading, self.times
        words = []
        if reading.encoding is not None:
            words.append(f"encoding {reading.encoding}")
        if reading.sep is not None:
            words.append(
                f"separator {reading.sep!r}" if len(reading.sep) == 1 and reading.sep != "\t" else f"separator {reading.sep}"
            )
        words += [f"{name} {sign!r}" for name in ("decimal", "thousands") if (sign := getattr(reading, name)) is not None]
        if content.left_out:
            words.append(f"{_count(content.left_out, 'line')} of comments left out")
        if units:
            words.append("a line of units left out")
        if times is not None:
            kind = [times.often or "in no regular steps"]
            if reading.dayfirst is not None:
                kind.append("day first" if reading.dayfirst else "month first")
            if times.dates.tz is not None:
                kind.append(str(times.dates.tz))
            words.append(f"dates in column {times.column!r} ({', '.join(kind)})")
        words += self.words
        n_ahead = len(self.values) - self.end
        words += [f"{_count(n_ahead, 'row')} at the end to predict"] * bool(n_ahead)
        name = Path(content.name).name if content.place == "line" or "DataFrame" not in content.name else content.name
        return SeriesTable(
            name=content.name,
            cells=content.cells,
            values=self.values,
            times=times,
            reading=None if reading == Reading() else reading,
            said=f"{name}: {', '.join(words)}" if words else "",
            lines=self.lines,
            place=content.place,
            ahead=n_ahead,
        )


def _stripped(column: pd.Series) -> pd.Series:
    return column.str.strip() if is_text(column) else column


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
