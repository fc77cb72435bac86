"""Series in original units as the scaled windows that a run's model reads, and its predictions back in those units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data import Reading, Scaler, SeriesTable, read_series, scaled_rows, sliding_windows
from qlstm_qiskit.data.cells import may_have_units
from qlstm_qiskit.data.content import read_content
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import DataError, OptionError, unknown_option
from qlstm_qiskit.experiments.runs.header import ModelHeader

#: Units of windows and predictions.
UNITS = ("scaled", "original")

#: Scaled values of the training part lie from -1 to 1; where a column's own range lies beyond these, and all values within that
#: range, they are in original units.
_SCALED = (-2.0, 2.0)


def series_of(
    header: ModelHeader, own: Reading | None, source: Path | str | pd.DataFrame, reading: Reading | None = None
) -> SeriesTable:
    """Read a series with a run's columns; see `table_of`.

    Args:
        header: Of the run.
        own: How the run's own file is read.
        source, reading: As in `table_of`.
    """
    given = reading or Reading()
    chosen = (own or Reading()).with_given(reading)
    known = () if header.known is None else header.known.columns
    columns = (*header.columns, *known)
    content = read_content(source, chosen, columns)
    if not set(columns) <= set(content.cells.columns):  # of another kind than the file that was trained on
        chosen = replace(given, impute=chosen.impute, na=chosen.na)
        content = read_content(source, chosen, columns)
    if given.units is None and not may_have_units(content):
        chosen = replace(chosen, units=None)
    chosen = chosen.for_columns(list(content.cells.columns)) if given.date_column is None else chosen
    is_number = header.classes is None and header.target in content.cells.columns
    target = [header.target] if is_number else []
    return read_series(source, (*columns, *target), header.target, chosen, None if header.known is None else known)


def scaled_series(header: ModelHeader, table: SeriesTable, n_rows: int, ahead: int = 0) -> Floats:
    """The inputs, changed as for training, and scaled; (rows - reach, features).

    Where inputs are known ahead, the rows to predict follow, NaN where nothing is known.

    Args:
        header: Of the run.
        table: As `series_of` gives it.
        n_rows: Rows that there must be, at least.
        ahead: Rows to predict, at least; as many as the table has by default.

    Raises:
        DataError: There are too few rows, the target is needed and not there, or a value cannot be used.
    """
    n, width = table.n_rows, len(header.columns)
    if n < n_rows + header.reach:
        more = f" after {header.reach} that differences need" if header.reach else ""
        raise DataError(f"{table.name} has {n} rows; a window of {header.window}{more} needs at least {n_rows + header.reach}.")
    values = table.values[:n, :width]
    if header.change is not None:
        if header.target not in table.cells.columns:
            raise DataError(
                f"{table.name} has no column {header.target!r}; this run predicts its {header.change.words}, and goes on from "
                "its values. Add the column."
            )
        where = f"{table.name}, {table.place}"
        header.change.require_allowed(table.values[:n, -1], header.target, where, table.lines)
        values = header.change.columns(values, header.own_past[:width])
    scaler, known = header.input_scaler, header.known
    own, other = Scaler(scaler.low[:width], scaler.high[:width]), Scaler(scaler.low[width:], scaler.high[width:])
    scaled = scaled_rows(table.name, header.columns, values, own, before=header.reach)
    if known is None:
        return scaled
    total = n + max(table.ahead, ahead)
    later = np.full((total - n, width), np.nan)
    later[: table.ahead] = own.transform(table.values[n:, :width])
    inputs = known.scaled(
        table.name, table.known_rows(known, width, total), known.of_channels(other, header.horizon), header.horizon
    )
    return np.concatenate([np.concatenate([scaled, later]), inputs[header.reach :]], axis=1)


def frame_windows(header: ModelHeader, own: Reading | None, frame: pd.DataFrame) -> tuple[Floats, Floats | None]:
    """All windows of a frame, the last one before the row that follows it, or that is to be predicted.

    Where inputs are known ahead, those of the last windows that are not known of all rows that they predict are left out.

    Args:
        header: Of the run.
        own: How the run's own file is read.
        frame: Rows in original units, with the run's columns.

    Returns:
        Scaled windows, (n, window, features), and the rows that predictions go on from, (n, reach), where differences or
        logarithms are learned.

    Raises:
        DataError, OptionError: The frame or a column cannot be used.
    """
    table = series_of(header, own, frame)
    rows = scaled_series(header, table, header.window, header.horizon)[: table.n_rows - header.reach]
    windows, first = sliding_windows(rows, header.window), header.window + header.reach
    windows = windows[~np.isnan(windows).any(axis=(1, 2))]
    if not len(windows):
        assert header.known is not None
        raise DataError(
            f"{table.name} has no window of {header.window} rows with {', '.join(header.known.channels)} in the "
            f"{header.horizon} rows after it; add such rows, with {header.target!r} left empty."
        )
    return windows, None if header.change is None else header.change.past(table.values[:, -1], first, len(windows))


def array_windows(header: ModelHeader, windows: Floats) -> tuple[Floats, Floats | None]:
    """Scaled windows of windows in original units; returns as `frame_windows`.

    Args:
        header: Of the run.
        windows: (n, window + reach, features); reach is the number of rows that differences are over in all, else 0.

    Raises:
        DataError: The shape does not fit, or a value cannot be used.
        OptionError: The target is needed, and is no feature.
    """
    rows, features, change = header.window + header.reach, header.features, header.change
    given = np.asarray(windows, dtype=np.float64)
    if given.ndim != 3 or given.shape[1:] != (rows, len(features)):
        before = f" ({header.window} of the window after {header.reach} that differences need)" if header.reach else ""
        raise DataError(
            f"windows in original units have the shape {given.shape}; give (n, {rows}, {len(features)}): n windows of {rows} "
            f"rows{before} of {', '.join(map(repr, features))}."
        )
    past = None
    if change is not None:
        if header.target not in features:
            raise OptionError(
                f"this run predicts the {change.words} of {header.target!r} and goes on from its values, which are no feature; "
                "give a DataFrame with that column."
            )
        past = given[:, :, features.index(header.target)]
        change.require_allowed(past.ravel(), header.target, "the windows, value")
        given = change.columns(given, header.own_past)
    scaled = scaled_rows("the windows", features, given.reshape(-1, len(features)), header.input_scaler)
    return scaled.reshape(given.shape), past


def scaled_windows(
    header: ModelHeader, own: Reading | None, windows: Floats | pd.DataFrame, units: str
) -> tuple[Floats, Floats | None]:
    """Windows as the model reads them; returns as `frame_windows`.

    Args:
        header: Of the run.
        own: How the run's own file is read.
        windows, units: As in `Run.predict`.

    Raises:
        DataError: Windows are of another shape or other units, or the frame cannot be used.
        OptionError: There are no such units.
    """
    if units not in UNITS:
        raise unknown_option("units", units, UNITS)
    if isinstance(windows, pd.DataFrame):
        return frame_windows(header, own, windows)
    if units == "original":
        return array_windows(header, windows)
    require_scaled(header, windows)
    return windows, None


def predicted(
    predict: Callable[[Floats], Floats], header: ModelHeader, own: Reading | None, windows: Floats | pd.DataFrame, units: str
) -> Floats:
    """Predictions in the units of the windows; see `Run.predict`.

    Args:
        predict: Scaled predictions of scaled windows.
        header: Of the run.
        own: How the run's own file is read.
        windows, units: As in `Run.predict`.
    """
    scaled, past = scaled_windows(header, own, windows, units)
    if units == "scaled" and not isinstance(windows, pd.DataFrame):
        return predict(scaled)
    return from_scaled(header, predict(scaled), past)


def from_scaled(header: ModelHeader, predictions: Floats, past: Floats | None) -> Floats:
    """Scaled predictions in original units, (n, horizon).

    Args:
        header: Of the run.
        predictions: (n, horizon).
        past: The rows that they go on from, as `frame_windows` gives them.
    """
    values = header.target_scaler.inverse(predictions)
    return values if header.change is None or past is None else header.change.invert(values, past)


def original_units(header: ModelHeader, predictions: Floats, values: Floats, rows: NDArray[np.int64]) -> Floats:
    """Predictions (n, steps) of successive rows, scaled, in the units of the series.

    Args:
        header: What the model reads and predicts.
        predictions: Scaled, (n, steps).
        values: The target in all rows, in original units, (rows,), as far as it is known.
        rows: The first row that each window predicts, (n,).
    """
    found = header.target_scaler.inverse(predictions)
    if header.change is None:
        return found
    return header.change.invert(found, values[rows[:, None] + np.arange(-header.reach, 0)])


def require_scaled(header: ModelHeader, windows: Floats) -> None:
    """Refuse windows that are given as scaled ones, and are in original units.

    Raises:
        DataError: All values of a column lie outside of what scaled ones do, and about within the column's range in training.
    """
    if not len(windows) or np.ndim(windows) != 3 or np.shape(windows)[2] != len(header.features) or header.change is not None:
        return
    for place, name in enumerate(header.features):
        low, high = header.input_scaler.low[place], header.input_scaler.high[place]
        column = windows[:, :, place]
        least, most, span = float(np.min(column)), float(np.max(column)), high - low
        beyond = min(least, low) > _SCALED[1] or max(most, high) < _SCALED[0]
        if beyond and low - span <= least and most <= high + span:
            raise DataError(
                f"the values of {name!r} run from {least:g} to {most:g}: these are its original units; scaled ones lie from -1 "
                'to 1. Give units="original", or a DataFrame.'
            )
