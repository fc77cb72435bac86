"""A user's own series from a CSV file, a Parquet file or a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data.cells import require_columns, require_numbers
from qlstm_qiskit.data.change import Change
from qlstm_qiskit.data.content import read_content
from qlstm_qiskit.data.cut import make_dataset
from qlstm_qiskit.data.known import Known
from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.data.table import read_series
from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import OptionError


def read_table(path: Path | str, reading: Reading | None = None) -> pd.DataFrame:
    """Read a file with a header line as text, one row per time step, as they are in it.

    Args:
        path: Of the file.
        reading: How to read it; what it leaves open is recognised.

    Raises:
        DataError: The file is missing, unreadable, empty, or names a column twice.
    """
    return read_content(path, reading or Reading()).cells


def numeric_columns(table: pd.DataFrame, names: Sequence[str], source: Path | str) -> Floats:
    """Take columns as float64, (rows, columns).

    Args:
        table: As `read_table` gives it, text.
        names: Columns to take, in this order.
        source: What the table was read from, for messages.

    Raises:
        DataError: A value is missing, not a number, not finite or above `LARGEST`; the message says in which line.
        OptionError: There is no column of that name.
    """
    require_columns(table, names)
    values = np.empty((len(table), len(names)))
    for position, name in enumerate(names):
        text = table[name].str.strip()
        values[:, position] = pd.to_numeric(text, errors="coerce")
        require_numbers(values[:, position], text, np.arange(2, len(table) + 2), f"{source}, line")
    return values


def load_csv(
    path: Path | str | pd.DataFrame,
    target: str,
    features: Sequence[str] | None = None,
    *,
    window: int = 4,
    horizon: int = 1,
    train_fraction: float = 0.67,
    season: int = 1,
    reading: Reading | None = None,
    difference: int | str | Sequence[int | str] = (),
    transform: str | None = None,
    known: Sequence[str] = (),
    calendar: Sequence[str] = (),
    lead: int = 1,
) -> Dataset:
    """Read a series from a file or a DataFrame and cut it into windows; scaling is fitted on the training part alone.

    Rows are put in the order of their dates, where there are any; `Dataset.said` says what was recognised.

    Args:
        path: CSV file with a header line, Parquet file, or DataFrame, whose index may hold the dates.
        target: Column to predict.
        features: Columns to predict from; by default the target's own past.
        window, horizon, train_fraction, season, lead: As in `make_dataset`.
        reading: How to read it; what it leaves open is recognised.
        difference, transform: As in `make_dataset`: what is learned in place of the target itself.
        known: Columns whose values are known ahead, read in the rows that are predicted. Rows after the last one with the
            target, which are for `predict`, are then left out.
        calendar: Names in `CALENDAR` of what is read of the dates of these rows.

    Raises:
        DataError: The file, a column or a value cannot be used, rows cannot be put in order, or the series is too short.
        OptionError: A column or an option is not allowed.
    """
    names = tuple(features) if features else (target,)
    if len(set(names)) < len(names):
        raise OptionError(f"features names a column twice: {', '.join(names)}.")
    ahead = Known.of(known, calendar, target)
    whole = read_series(path, (*names, *known, target), target, reading, None if ahead is None else known)
    table = whole.before()
    change = Change.of(difference, transform, season)
    if change is not None:
        change.require_allowed(table.values[:, -1], target, f"{table.name}, {table.place}", table.lines)
    dataset = make_dataset(
        "DataFrame" if isinstance(path, pd.DataFrame) else Path(path).stem,
        table.values[:, : len(names)],
        table.values[:, -1],
        features=names,
        target_name=target,
        window=window,
        horizon=horizon,
        train_fraction=train_fraction,
        season=season,
        difference=difference,
        transform=transform,
        known=None if ahead is None else (ahead, table.known_rows(ahead, len(names))),
        lead=lead,
    )
    return replace(dataset, times=table.times, reading=table.reading, said=whole.said)
