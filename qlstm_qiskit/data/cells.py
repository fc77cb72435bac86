"""Cells as the numbers of a series, or refused with line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from qlstm_qiskit.data.content import Content
from qlstm_qiskit.data.numbers import MISSING, numbers
from qlstm_qiskit.data.scaler import LARGEST, Floats
from qlstm_qiskit.errors import DataError, OptionError, unknown_option


def require_columns(cells: pd.DataFrame, names: Sequence[str], skip: int | None = None) -> None:
    """Refuse names of columns that there are none of, as `OptionError`; `skip`: lines that were left out above the header."""
    for name in names:
        if name not in cells.columns:
            error = unknown_option("column", f"{name}", [str(column) for column in cells.columns if column])
            raise OptionError(f"{error} The header is taken from below {skip} lines (skip).") if skip else error


def require_numbers(
    values: Floats, cells: pd.Series, lines: np.ndarray, where: str, *, missing: np.ndarray | None = None
) -> None:
    """Refuse a column with values that are missing, no numbers, not finite or above `LARGEST`.

    Args:
        values: (rows,).
        cells: What they were read from.
        lines: Of each row.
        where: The source and what a row is called, for messages.
        missing: Rows that may be.

    Raises:
        DataError: The first of them.
    """
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(values) <= LARGEST)
    bad = np.flatnonzero(wrong if missing is None else wrong & ~missing)
    if not len(bad):
        return
    given, value = cells.iloc[bad[0]], values[bad[0]]
    what = f"{given!r} is not a finite number"
    if given == "" or (np.isnan(value) and not isinstance(given, str)):
        what = "a value is missing"
    if np.isfinite(value):
        what = f"{given!r} is above {LARGEST:g}; use a smaller unit if it is right"
    raise DataError(
        f"{where} {lines[bad[0]]}, column {str(cells.name)!r}: {what} ({len(bad)} such in all); "
        "fill or remove such rows first, or have missing values filled in by --impute."
    )


def is_text(column: pd.Series) -> bool:
    """Whether the cells of a column are text."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def values_of(content: Content, columns: Sequence[str], *, may_miss: bool = False) -> tuple[Floats, np.ndarray]:
    """Columns as numbers, and which of them are missing and may be, as all with `may_miss`; (rows, columns) both."""
    reading = content.reading
    may_miss = may_miss or reading.impute is not None
    values = np.empty((len(content.cells), len(columns)))
    missing = np.zeros(values.shape, bool)
    marks = [*(reading.na or ()), *(MISSING if may_miss else ())]
    for place, name in enumerate(columns):
        column = content.cells[name]
        if is_text(column):
            column = column.str.strip()
            values[:, place] = numbers(column, reading.decimal, reading.thousands)
            lost = column.isin(marks).to_numpy() | np.isin(values[:, place], _as_numbers(reading.na))
            column = column.where(~lost | column.isin(MISSING), "")
        else:
            values[:, place] = column.to_numpy(np.float64, na_value=np.nan)
            lost = np.isnan(values[:, place]) | np.isin(values[:, place], _as_numbers(reading.na))
        values[lost, place] = np.nan
        missing[:, place] = lost
        require_numbers(
            values[:, place],
            column,
            content.lines,
            f"{content.name}, {content.place}",
            missing=lost if may_miss else None,
        )
    return values, missing


def _as_numbers(marks: Sequence[str] | None) -> Floats:
    found = pd.to_numeric(pd.Series(list(marks or ()), dtype=object), errors="coerce").to_numpy(np.float64)
    return found[np.isfinite(found)]


def without_units(content: Content, columns: Sequence[str]) -> tuple[Content, bool]:
    """Without a line of units after the header: words, where all below are numbers.

    Raises:
        DataError: There should be one, and the first line is of numbers where those below are.
    """
    wanted = content.reading.units
    if wanted is False or not columns or not len(content.cells):
        return content, False
    if wanted is None:
        if len(content.cells) < 3:
            return content, False
        for name in columns:
            values = numbers(content.cells[name].iloc[:3].str.strip(), content.reading.decimal, content.reading.thousands)
            first = content.cells[name].iloc[0].strip()
            if first in (*MISSING, *(content.reading.na or ())) or any(map(str.isdigit, first)):
                return content, False
            if not np.isnan(values[0]) or not np.isfinite(values[1:]).all():
                return content, False
    elif not may_have_units(content):
        raise DataError(
            f"{content.name}: {content.place} {content.lines[0]} should be a line of units, but is like the one below it; "
            "leave out --units (in Python units=True)."
        )
    rest = content.cells.iloc[1:].reset_index(drop=True)
    return replace(content, cells=rest, lines=content.lines[1:], reading=replace(content.reading, units=True)), True


def may_have_units(content: Content) -> bool:
    """Whether some column has a word in the first row, and a number in the second."""
    return any(_changes_to_numbers(content, name) for name in content.cells.columns)


def _changes_to_numbers(content: Content, name: str) -> bool:
    cells = content.cells[name].iloc[:2]
    if len(cells) < 2 or not is_text(cells) or cells.iloc[0].strip() in (*MISSING, *(content.reading.na or ())):
        return False
    values = numbers(cells.str.strip(), content.reading.decimal, content.reading.thousands)
    return bool(np.isnan(values[0]) and np.isfinite(values[1:]).all())
