"""A user's own series from a CSV file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from qlstm_qiskit.data.order import require_time_order
from qlstm_qiskit.data.scaler import LARGEST, Floats
from qlstm_qiskit.data.source import openable
from qlstm_qiskit.data.windows import Dataset, make_dataset
from qlstm_qiskit.errors import DataError, OptionError, unknown_option


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV file with a header line as text, one row per time step.

    Args:
        path: Of the file.

    Raises:
        DataError: The file is missing, unreadable, empty, or names a column twice.
    """
    path = Path(path)
    source = openable(path)
    try:
        text: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
        with get_handle(source, "rb", compression="infer" if isinstance(source, Path) else None, is_text=False) as handles:
            content = handles.handle.read()
        table = pd.read_csv(io.BytesIO(content), header=None, skipinitialspace=True, **text)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path.") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty; it needs a header line and one row for each time step.") from None
    except Exception as error:  # noqa: BLE001 - whatever an archive, or a file of another kind, makes of it
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as CSV: {reason}") from None
    before, zero, _ = content.partition(b"\0")
    if zero:  # where a cell would end, whatever comes after it
        line = before.count(b"\n") + 1
        raise DataError(f"{path}, line {line}: a zero byte, which no text has; write the file again.")
    names = [str(name).strip() for name in table.iloc[0]]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has more than one column named {', '.join(map(repr, twice))}; rename them.")
    filled = table.ne("").any(axis=1).to_numpy().nonzero()[0]
    table = table.iloc[1 : filled[-1] + 1].reset_index(drop=True)  # blank lines at the end are not time steps
    table.columns = pd.Index(names)
    return table


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
    for name in names:
        if name not in table.columns:
            raise unknown_option("column", f"{name}", [column for column in table.columns if column])
    values = np.empty((len(table), len(names)))
    for position, name in enumerate(names):
        text = table[name].str.strip()
        values[:, position] = pd.to_numeric(text, errors="coerce")
        bad = np.flatnonzero(~(np.abs(values[:, position]) <= LARGEST))
        if len(bad):
            given, value = text.iloc[bad[0]], values[bad[0], position]
            what = f"{given!r} is not a finite number" if given else "a value is missing"
            if np.isfinite(value):
                what = f"{given!r} is above {LARGEST:g}; use a smaller unit if it is right"
            raise DataError(
                f"{source}, line {bad[0] + 2}, column {name!r}: {what} "
                f"({len(bad)} such in all); fill or remove such rows first."
            )
    return values


def load_csv(
    path: Path | str,
    target: str,
    features: Sequence[str] | None = None,
    *,
    window: int = 4,
    horizon: int = 1,
    train_fraction: float = 0.67,
    season: int = 1,
) -> Dataset:
    """Read a series from a CSV file and cut it into windows; scaling is fitted on the training part alone.

    Args:
        path: CSV file with a header line, rows in time order.
        target: Column to predict.
        features: Columns to predict from; by default the target's own past.
        window, horizon, train_fraction, season: As in `make_dataset`.

    Raises:
        DataError: The file, a column or a value cannot be used, the newest row comes first, or the series is too short.
        OptionError: A column or an option is not allowed.
    """
    names = tuple(features) if features else (target,)
    if len(set(names)) < len(names):
        raise OptionError(f"features names a column twice: {', '.join(names)}.")
    table = read_table(path)
    values = numeric_columns(table, (*names, target), path)
    require_time_order(table, target, path)
    return make_dataset(
        Path(path).stem,
        values[:, :-1],
        values[:, -1],
        features=names,
        target_name=target,
        window=window,
        horizon=horizon,
        train_fraction=train_fraction,
        season=season,
    )
