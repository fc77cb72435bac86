"""Labelled windows from a table with a column of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data.cells import is_text, require_columns
from qlstm_qiskit.data.content import read_content
from qlstm_qiskit.data.labelled import LabelledWindows
from qlstm_qiskit.data.labels import labels_of
from qlstm_qiskit.data.numbers import numbers
from qlstm_qiskit.data.order import is_named_as_time
from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Scaler, scaled_rows
from qlstm_qiskit.data.series import SeriesTable
from qlstm_qiskit.data.table import read_series
from qlstm_qiskit.data.windows import part_of, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, require_at_least

#: Columns that a message names at most.
_NAMED = 8
#: Decimal signs and what groups digits, by which a column may be one of numbers.
_SIGNS = ((".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))


def label_csv(
    path: Path | str | pd.DataFrame,
    target: str,
    features: Sequence[str] | None = None,
    *,
    window: int = 4,
    train_fraction: float = 0.67,
    reading: Reading | None = None,
) -> LabelledWindows:
    """Read a table with a column of classes: a window of rows has the class of its last row.

    Windows are split in time order: those that train read no row whose class is tested, and scaling is fitted on the rows that
    they read.

    Args:
        path: CSV file with a header line, Parquet file, or DataFrame, whose index may hold the dates.
        target: Column of the classes: text, whole numbers or truth values.
        features: Columns to predict them from; by default all others that are numbers, but for one of dates.
        window: Rows in each window.
        train_fraction: Part of the windows (rounded down) before the first that tests.
        reading: How to read it; what it leaves open is recognised.

    Raises:
        DataError: The file, a column or a value cannot be used, a row has no class, a class is tested and not trained, or
            there are too few rows.
        OptionError: A column or an option is not allowed, or there is no column to predict classes from.
    """
    require_at_least("window", window, 1)
    if not 0 < train_fraction < 1:
        raise OptionError(f"train_fraction is {train_fraction}; it must lie between 0 and 1.")
    names, said = chosen_features(path, target, features, reading)
    table = read_series(path, names, target, reading)
    require_columns(table.cells, [target])
    labels = labels_of(table.cells[target], table.lines, f"{table.name}, {table.place}")
    name = "DataFrame" if isinstance(path, pd.DataFrame) else Path(path).stem
    n_windows = len(labels) - window + 1
    n_train = part_of(train_fraction, max(n_windows, 0))
    if n_train < 1 or n_windows - n_train < 1:
        raise DataError(
            f"{name} has {len(labels)} rows, which give {max(n_windows, 0)} windows of {window} rows, {n_train} of them to "
            "train; give a longer table, or a smaller window."
        )
    scaler = Scaler.fit(table.values[: n_train + window - 1], [f"column {column!r} of {name}" for column in names])
    windows = sliding_windows(scaled_rows(name, names, table.values, scaler), window)
    of_windows = labels[window - 1 :]
    data = LabelledWindows.of(
        name,
        target,
        (windows[:n_train], of_windows[:n_train]),
        (windows[n_train:], of_windows[n_train:]),
        features=names,
        input_scaler=scaler,
    )
    return replace(data, times=table.times, reading=table.reading, said=_said(table, said))


def chosen_features(
    path: Path | str | pd.DataFrame, target: str, features: Sequence[str] | None, reading: Reading | None
) -> tuple[tuple[str, ...], str]:
    """The columns that classes are predicted from, and which they are in words where they were not named.

    Args:
        path, target, features, reading: As in `label_csv`.

    Raises:
        DataError: The file cannot be read.
        OptionError: There is no such column, none to predict classes from, or one is named twice or is the classes' own.
    """
    if features:
        names = tuple(features)
        if len(set(names)) < len(names):
            raise OptionError(f"features names a column twice: {', '.join(names)}.")
        if target in names:
            raise OptionError(f"{target!r} is the column of the classes, and cannot be a feature too; leave it out.")
        return names, ""
    content = read_content(path, reading or Reading(), [target])
    require_columns(content.cells, [target])
    given = content.reading.date_column
    names = tuple(
        name
        for name in map(str, content.cells.columns)
        if name
        and name not in (target, given)
        and not is_named_as_time(name)
        and _is_numbers(content.cells[name], content.reading)
    )
    times = read_series(path, names, target, reading).times if names else None
    names = tuple(name for name in names if times is None or name != times.column)
    if not names:
        raise OptionError(
            f"{content.name} has no column of numbers beside {target!r} to predict its classes from; name columns by features "
            "(--features)."
        )
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return names, f"features {shown} (all columns of numbers but for {target!r})"


def _is_numbers(column: pd.Series, reading: Reading) -> bool:
    """Whether most cells of a column are numbers, however they are written: others are then refused by line."""
    if not is_text(column):
        return not pd.api.types.is_datetime64_any_dtype(column)
    text = column.str.strip()
    text = text[text != ""]
    signs = {(reading.decimal or ".", reading.thousands), *_SIGNS}
    return any(np.isfinite(numbers(text, *one)).sum() > len(text) / 2 for one in signs)


def _said(table: SeriesTable, features: str) -> str:
    if not features:
        return table.said
    return f"{table.said}, {features}" if table.said else f"{Path(table.name).name}: {features}"
