"""Cells as dates, and how often dates come."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qlstm_qiskit.data.order import is_named_as_time
from qlstm_qiskit.data.reading import NO_DATES, Reading
from qlstm_qiskit.errors import DataError

#: A day and a month, in whichever order, as numbers.
_DAY_AND_MONTH = r"^\s*(\d{1,2})([./\- ])(\d{1,2})[./\- ]\d{2,4}\b"
#: Units of numbers that are times since 1970, by the digits of those of our days.
_SINCE_1970 = {10: "s", 13: "ms", 16: "us", 19: "ns"}
#: More dates than this part of those that a frequency asks for are missing: it is not the frequency.
_MOST_MISSING = 0.2


class NoDateError(DataError):
    """A cell of a column of dates is none."""


@dataclass(frozen=True)
class Parsed:
    """The dates of a column, whether the day is first where that is a question, and whether they are whole years."""

    dates: pd.DatetimeIndex
    dayfirst: bool | None
    years: bool


def parse_dates(column: pd.Series, lines: np.ndarray, reading: Reading, source: str) -> Parsed | None:
    """The dates of a column; None where it holds numbers that are no years and no times since 1970.

    Args:
        column: Text without blanks around it, or dates.
        lines: Of each row, for messages.
        reading: What is given.
        source: And what a row is called there, for messages.

    Raises:
        DataError: A cell is no date, or dates can be read with the day first and with the month first.
    """
    name = str(column.name)
    if pd.api.types.is_datetime64_any_dtype(column):
        return Parsed(_whole(column, column, lines, source), None, years=False)
    if reading.date_format is not None:
        dates = pd.to_datetime(column, format=reading.date_format, errors="coerce", utc="%z" in reading.date_format)
        return Parsed(_whole(dates, column, lines, source), None, years=False)
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().mean() > 0.5:
        years = years_of(column)
        if years is not None:
            return Parsed(years, None, years=True)
        unit = _SINCE_1970.get(len(str(int(np.abs(numbers.iloc[0]))))) if np.isfinite(numbers.iloc[0]) else None
        if unit is None or not is_named_as_time(name):
            return None
        return Parsed(_whole(pd.to_datetime(numbers, unit=unit, utc=True, errors="coerce"), column, lines, source), None, False)
    day_first = reading.dayfirst
    column = column.astype(str)
    parts = column.str.extract(_DAY_AND_MONTH)
    if parts[0].notna().any():
        day_first = _day_first(column, parts, lines, reading, source)
    dates = _read(column, bool(day_first))
    return Parsed(_whole(dates, column, lines, source), day_first if parts[0].notna().any() else None, years=False)


def years_of(column: pd.Series) -> pd.DatetimeIndex | None:
    """Whole numbers of years as dates, where all are.

    Args:
        column: Text or numbers.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    if not len(numbers) or not ((numbers % 1 == 0) & numbers.between(1000, 2999)).all():
        return None
    return pd.DatetimeIndex(pd.to_datetime(numbers.astype(int).astype(str), format="%Y"))


def _day_first(column: pd.Series, parts: pd.DataFrame, lines: np.ndarray, reading: Reading, source: str) -> bool:
    """Whether the day comes before the month, by what is given, by numbers above 12, or by the order and rule of the dates."""
    first, second = (pd.to_numeric(parts[place], errors="coerce") for place in (0, 2))
    days, months = np.flatnonzero(first > 12), np.flatnonzero(second > 12)
    name = column.name
    if len(days) and len(months):
        raise DataError(
            f"{source} {lines[days[0]]}, column {name!r}: a date ({column.iloc[days[0]]!r}) has the day first, and that of "
            f"{lines[months[0]]} ({column.iloc[months[0]]!r}) the month; write all dates in one way."
        )
    if reading.dayfirst is not None:
        wrong = months if reading.dayfirst else days
        if len(wrong):
            raise DataError(
                f"{source} {lines[wrong[0]]}, column {name!r}: {column.iloc[wrong[0]]!r} has not the "
                f"{'day' if reading.dayfirst else 'month'} first; leave out --{'' if reading.dayfirst else 'no-'}dayfirst."
            )
        return reading.dayfirst
    if len(days) or len(months):
        return bool(len(days))
    readings = {choice: _read(column, choice) for choice in (True, False)}
    if readings[True].equals(readings[False]):
        return False
    for test in (_is_ordered, _has_rule):
        passed = [choice for choice, dates in readings.items() if test(pd.DatetimeIndex(dates))]
        if len(passed) == 1:
            return passed[0]
    if (parts[1].dropna() == ".").all():
        return True  # nobody writes the month before a point
    place = int(np.flatnonzero(first != second)[0])
    raise DataError(
        f"{source} {lines[place]}, column {name!r}: {column.iloc[place]!r} may have the day first or the month; say which by "
        "--dayfirst or --no-dayfirst (in Python dayfirst=True or False)."
    )


def _is_ordered(dates: pd.DatetimeIndex) -> bool:
    return bool(dates.is_monotonic_increasing or dates.is_monotonic_decreasing)


def _has_rule(dates: pd.DatetimeIndex) -> bool:
    return frequency(dates)[0] is not None


def _read(column: pd.Series, day_first: bool) -> pd.Series:
    """Cells as dates, all in the format of the first one or, where some are not, each in its own; NaT for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about formats that it does not guess
        for options in ({}, {"format": "mixed"}, {"format": "mixed", "utc": True}):
            try:
                return pd.to_datetime(column, dayfirst=day_first, **options)
            except (ValueError, OverflowError):
                continue
        return pd.to_datetime(column, dayfirst=day_first, format="mixed", errors="coerce", utc=True)


def _whole(dates: pd.Series, column: pd.Series, lines: np.ndarray, source: str) -> pd.DatetimeIndex:
    bad = np.flatnonzero(dates.isna())
    if len(bad):
        cell = column.iloc[bad[0]]
        what = f"{cell!r} is not read as a date" if str(cell) else "a date is missing"
        raise NoDateError(
            f"{source} {lines[bad[0]]}, column {str(column.name)!r}: {what} ({len(bad)} such in all); correct it, say how "
            f"dates are written by --date-format, or --date-column {NO_DATES}."
        )
    return pd.DatetimeIndex(dates)


def frequency(dates: pd.DatetimeIndex) -> tuple[str | None, pd.DatetimeIndex | None]:
    """How often dates come, as pandas names it, and those that are missing; None where they follow no rule.

    `pandas.infer_freq`, and where dates are missing the frequency of the longest part without a gap, if all others keep to it.

    Args:
        dates: Repeated ones count once.
    """
    unique = dates.unique().sort_values()
    if len(unique) < 3:
        return None, None
    freq = _inferred(unique)
    if freq is not None:
        return freq, None
    steps = unique[1:] - unique[:-1]
    breaks = np.flatnonzero(steps > 1.5 * steps.to_series().median()) + 1
    longest = max(np.split(np.arange(len(unique)), breaks), key=len)
    rules = ["B"] if (unique.dayofweek < 5).all() else []
    rules += [rule for rule in [_inferred(unique[longest[0] : longest[-1] + 1])] if rule is not None]
    for rule in rules:
        try:
            wanted = pd.date_range(unique[0], unique[-1], freq=rule)
        except (ValueError, OverflowError):
            continue
        if len(wanted) <= len(unique) / (1 - _MOST_MISSING) and unique.isin(wanted).all():
            return rule, wanted.difference(unique)
    return None, None


def _inferred(dates: pd.DatetimeIndex) -> str | None:
    try:
        return pd.infer_freq(dates)
    except (TypeError, ValueError):  # fewer than three
        return None
