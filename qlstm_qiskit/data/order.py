"""The time order of rows, from the columns of dates in a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import DataError

#: Rows of a column that are read as dates: enough to see where a table goes, and a moment for tables of any size.
_SAMPLE = 400

#: What dates look like: a year, three numbers, a day and a month's name, or a time of day; numbers of a kind of part do not.
_DATE = re.compile(r"\d{4}|\d{1,2}\W\d{1,2}\W\d{2}|\d{1,2}\W?[A-Za-z]{3,9}\W?\d{2}|\d{1,2}:\d{2}")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
#: Columns of numbers that are times, by the words of their name; and words that make it a duration or a countdown.
_TIME_WORDS = {"date", "dates", "datetime", "time", "timestamp", "unixtime", "epochtime", "year", "years", "ds"}
_OTHER_WORDS = {"to", "till", "until", "remaining", "left", "since", "elapsed", "per", "of", "lead", "life", "wait", "waiting"}

_HOUR = 3600.0


def require_time_order(table: pd.DataFrame, target: str, source: Path | str) -> None:
    """Refuse a table whose dates say that its rows run backwards; warn of one whose dates are in no order.

    Dates are looked for in columns that are not numbers, and in numbers whose name says that they are times, such as "year".
    Where one such column is in order, in any way of reading it, nothing is said.

    Args:
        table: As `read_table` gives it, text.
        target: The column to predict, which is none of them.
        source: What the table was read from, for messages.

    Raises:
        DataError: The newest row comes first.
    """
    places = sampled(len(table))
    found = [(str(name), *_order(str(name), table[name], places)) for name in table.columns if name and name != target]
    orders = [order for _, order, _ in found]
    if "forward" in orders:
        return
    for name, order, (first, last) in found:
        if order == "backward":
            raise DataError(
                f"{source}: the newest row comes first (column {name!r}: {first} in line 2, {last} in line {len(table) + 1}); "
                f"rows must be in time order, so sort the file by {name!r}, the oldest row first."
            )
    for name, order, _ in found:
        if order == "mixed":
            warnings.warn(
                f"{source}: the rows are not in the order of column {name!r}; each row is taken for one time step after the "
                "one before, so sort the file if these are their times.",
                UserWarning,
                stacklevel=4,
            )
            return


def sampled(n_rows: int) -> np.ndarray:
    """Rows that are read to see where a table goes: the first, the last, and some between."""
    return np.unique(np.linspace(0, n_rows - 1, _SAMPLE).astype(int)) if n_rows else np.empty(0, int)


def order_of(name: str, column: pd.Series, places: np.ndarray) -> str:
    """Of a column of text: "forward", "backward" or "mixed", or "none" where it is not a time.

    Args:
        name: Of the column.
        column: Its cells.
        places: The rows to look at, see `sampled`.
    """
    return _order(name, column, places)[0]


def is_named_as_time(name: str) -> bool:
    """Whether the name of a column says that its numbers are times, such as "year"."""
    words = set(re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower()))
    return bool(words & _TIME_WORDS) and not words & _OTHER_WORDS


def _order(name: str, column: pd.Series, places: np.ndarray) -> tuple[str, tuple[str, str]]:
    """Of a column: "forward", "backward" or "mixed", or "none" where it is not a time; and what its first and last row say."""
    text = column.iloc[places].str.strip()
    ends = (text.iloc[0], text.iloc[-1]) if len(text) else ("", "")
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers).sum() > len(numbers) / 2:
        if not is_named_as_time(name):
            return "none", ends
        steps = np.diff(numbers[np.isfinite(numbers)])
        return ("backward" if len(steps) > 1 and (steps <= 0).all() and steps.any() else "none"), ends
    known = text[text != ""]
    if len(known) < 3 or known.str.contains(_DATE).mean() < 0.9:
        return "none", ends
    orders = {_direction(seconds, known) for seconds in _readings(known)}
    return next((order for order in ("forward", "backward", "mixed") if order in orders), "none"), ends


def _readings(text: pd.Series) -> Iterator[Floats]:
    """Seconds since 1970, for each way of reading the dates that reads nearly all of them: the month first, or the day."""
    for day_first in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, about dates that are read in one way only
            dates = pd.to_datetime(text, format="mixed", dayfirst=day_first, errors="coerce", utc=True)
        if dates.notna().mean() >= 0.9:
            yield dates.dropna().dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.float64)


def _direction(seconds: Floats, text: pd.Series) -> str:
    """Where dates go; clocks that are put back, and single rows that came late, change nothing."""
    steps = np.diff(seconds)
    back, forth = int((steps < 0).sum()), int((steps > 0).sum())
    if seconds[-1] < seconds[0] and back >= 0.9 * (back + forth):
        return "backward"
    if not back and forth:
        return "forward"
    if text.str.fullmatch(_TIME_OF_DAY).mean() > 0.9 or not back:  # which begins anew each day
        return "none"
    return "forward" if back <= 0.02 * len(steps) and steps.min() >= -_HOUR else "mixed"
