"""Applying a run to a file, in original units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data import Reading, SeriesTable, sliding_windows
from qlstm_qiskit.data.feedback import predict_whole, unknown_later
from qlstm_qiskit.errors import DataError, OptionError, require_at_least
from qlstm_qiskit.experiments.runs.classes import refuse_classes
from qlstm_qiskit.experiments.runs.classify import class_table
from qlstm_qiskit.experiments.runs.intervals import (
    calibrated,
    calibration_windows,
    followed_windows,
    following,
    radii,
    rolled,
    windows_before,
    with_ends,
)
from qlstm_qiskit.experiments.runs.known import require_known, steps_ahead
from qlstm_qiskit.experiments.runs.load import Run
from qlstm_qiskit.experiments.runs.plan import require_affordable_evaluation
from qlstm_qiskit.experiments.runs.units import original_units, scaled_series, series_of

#: Rows of a forecast; more would take an hour, one after another.
MOST_ROWS = 1_000_000


def table_of(run: Run, source: Path | str | pd.DataFrame, reading: Reading | None = None) -> SeriesTable:
    """Read a file with a run's columns, in time order, as the run's own was read unless it is of another kind.

    Args:
        run: A trained run.
        source: A CSV or Parquet file or a DataFrame, in original units.
        reading: What is said of how to read it.

    Returns:
        Its values are those of the run's features and, where it is there, the target.

    Raises:
        DataError, OptionError: The file or a column cannot be used.
    """
    return series_of(run.header, run.spec.data.reading, source, reading)


def predict_table(run: Run, path: Path | str | pd.DataFrame | SeriesTable, last: int | None = None) -> pd.DataFrame:
    """Predictions for each row of a file that has a whole window before it, one step ahead or as many as the run's `lead` says.

    Args:
        run: A trained run.
        path: A CSV or Parquet file or a DataFrame with the run's columns, in original units; or what `table_of` gives of it.
        last: Give so many rows only, the last ones; where fewer have a whole window before them, those. Where intervals are
            adaptive, rows before them are predicted too, as many as there are calibration windows.

    Returns:
        The file's columns, and `prediction`, of an ensemble `spread`, the standard deviation of its members' predictions, of
        a run with intervals `lower` and `upper`, and (where the target is in the file)
        `persistence`, empty in the first rows; in time order. Adaptive intervals follow the rows before. Rows to predict, at
        the end, have the forecasts of `roll_out`, as far as what is known ahead reaches; they are empty beyond it. Of a run of
        classes what `class_table` gives.

    Raises:
        DataError, OptionError: The file or a column cannot be used.
        BudgetError: It is above a limit of the backend's guard; nothing was submitted.
    """
    header, window = run.header, run.header.window
    series = path if isinstance(path, SeriesTable) else table_of(run, path)
    if header.classes is not None:
        return class_table(run, series, last)
    scaled = scaled_series(header, series, window + header.lead)
    n = series.n_rows
    table = _own_columns(run, series)
    table["prediction"] = np.nan
    known = series.values[:n, -1] if header.target in table.columns else None
    windows = sliding_windows(scaled[: n - header.reach], window)[: -header.lead]
    shown = len(windows) if last is None else min(require_at_least("last", last, 1), len(windows))
    before = 0 if last is None or known is None else windows_before(run)
    windows = windows[-shown - before :]
    require_affordable_evaluation(run, len(windows), besides=calibration_windows(run))
    rows = n - len(windows) + np.arange(len(windows))
    each = np.stack([predict_whole(member.predict_scaled, header, windows)[:, :1] for member in run.members])
    predicted = original_units(header, each.mean(axis=0), series.values[:, -1], rows)
    table.loc[rows, "prediction"] = predicted[:, 0]
    if len(each) > 1:
        table["spread"] = np.nan
        table.loc[rows, "spread"] = np.std(
            [original_units(header, own, series.values[:, -1], rows)[:, 0] for own in each], axis=0
        )
    found = calibrated(run)
    if found is not None:
        scores = np.full(predicted.shape, np.nan) if known is None else np.abs(predicted - known[rows, None])
        one_step = radii(replace(found, radius=found.radius[:1]), scores)[:-1, 0]
        for name, values in with_ends(predicted[:, 0], one_step).items():
            table[name] = np.nan
            table.loc[rows, name] = values
    if known is not None:
        table[header.target] = series.values[:, -1]
        table["persistence"] = table[header.target].shift(header.lead).where(np.arange(len(table)) >= rows[0])
    steps = steps_ahead(header, series)
    if steps:
        later = roll_out(run, series, steps)
        for name in ("prediction", "spread", "lower", "upper", "persistence"):
            if name in table:
                table.loc[n + np.arange(steps), name] = later[name].to_numpy()
    return table if last is None else table.loc[n - shown :].reset_index(drop=True)


def _own_columns(run: Run, series: SeriesTable) -> pd.DataFrame:
    """The columns of a file, their values as they are used."""
    header, table = run.header, series.cells.copy()
    taken = sorted({"prediction", "persistence", *_also(run)} & set(table.columns))
    if taken:
        raise DataError(f"{series.name} has a column {taken[0]!r} already, the name of a column of the result; rename it.")
    if not series.is_plain:
        known = () if header.known is None else header.known.columns
        for place, name in enumerate((*header.columns, *known)):
            table[name] = series.values[:, place]
    if series.times is not None and series.times.column in table.columns:
        table[series.times.column] = series.times.written()
    return table


def _also(run: Run) -> tuple[str, ...]:
    """Columns that a forecast has beside the prediction and persistence."""
    return (*(("spread",) if len(run.members) > 1 else ()), *(() if run.spec.data.interval is None else ("lower", "upper")))


def roll_out(run: Run, path: Path | str | pd.DataFrame | SeriesTable, horizon: int) -> pd.DataFrame:
    """Forecast the `horizon` rows that follow a file, or its last row that has the target.

    Beyond what the model predicts at once, its predictions are fed back, which needs the target to be the only feature that is
    not known ahead. What is known ahead is read in the rows of the file that follow.

    Args:
        run: A trained run.
        path: As in `predict_table`.
        horizon: Rows to forecast, at least 1.

    Returns:
        Columns `step` (1, 2, ...), the dates, named as in the file, where they are in it or follow a rule, `prediction`,
        `spread` (of an ensemble: the standard deviation of its members' forecasts, each fed back by itself), `lower` and
        `upper` (of a run with intervals; empty for steps that too few calibration windows reach) and, where the target is in
        the file, `persistence` (its last value).

    Raises:
        DataError, OptionError: The file or a column cannot be used, what is known ahead does not reach so far, or predictions
            cannot be fed back.
        BudgetError: As of `predict_table`.
    """
    refuse_classes(run.path, run.header, "horizon", "leave --horizon out for the class of each row")
    require_at_least("horizon", horizon, 1, MOST_ROWS)
    header, at_once = run.header, run.header.horizon
    series = path if isinstance(path, SeriesTable) else table_of(run, path)
    needed, n = -(-horizon // at_once) * at_once, series.n_rows
    if header.lead > 1:
        return _led(run, series, horizon)
    scaled = scaled_series(header, series, header.window, needed)
    if horizon > at_once and unknown_later(header):
        raise OptionError(
            f"this run predicts {at_once} rows of {header.target!r} from {', '.join(header.features)}, "
            f"whose future is unknown; "
            f"ask for a horizon of at most {at_once}, or train with --horizon {horizon}."
        )
    require_known(header, series, horizon)
    besides = followed_windows(run, n - header.reach, horizon)
    require_affordable_evaluation(run, 1, calls=needed // at_once, besides=besides)
    end = n - header.reach
    after = None if header.known is None else scaled[None, end:]
    each = rolled(run, scaled[None, end - header.window : end], horizon, after)[:, 0]
    steps = _in_units(run, each.mean(axis=0), series.values[:n, -1])
    result = _steps(run, series, horizon)
    result["prediction"] = steps
    if len(each) > 1:
        result["spread"] = np.std([_in_units(run, own, series.values[:n, -1]) for own in each], axis=0)
    is_there = header.target in series.cells.columns
    radius = following(run, series.values[:n, -1], scaled, horizon, target_known=is_there)
    if radius is not None:
        result = result.assign(**with_ends(result["prediction"].to_numpy(), radius))
    if is_there:
        result["persistence"] = series.values[n - 1, -1]
    return result


def _led(run: Run, series: SeriesTable, horizon: int) -> pd.DataFrame:
    """The rows that follow, of a run that predicts several steps ahead: each from the window that ends so many rows before."""
    header, n = run.header, series.n_rows
    if horizon > header.lead:
        raise OptionError(
            f"this run predicts {header.target!r} {header.lead} steps ahead; ask for a horizon of at most {header.lead}, or "
            f"train with --lead {horizon}."
        )
    scaled = scaled_series(header, series, header.window + header.lead - 1)
    windows = sliding_windows(scaled, header.window)[-header.lead :][:horizon]
    require_affordable_evaluation(run, horizon)
    result = _steps(run, series, horizon)
    each = np.stack([header.target_scaler.inverse(member.predict_scaled(windows))[:, 0] for member in run.members])
    result["prediction"] = each.mean(axis=0)
    if len(each) > 1:
        result["spread"] = each.std(axis=0)
    if header.target in series.cells.columns:
        result["persistence"] = series.values[n - header.lead : n - header.lead + horizon, -1]
    return result


def _steps(run: Run, series: SeriesTable, horizon: int) -> pd.DataFrame:
    """The steps after a series, 1, 2, ..., with their dates where they are known."""
    n = series.n_rows
    result, dates = pd.DataFrame({"step": np.arange(1, horizon + 1)}), series.dates(n + horizon)
    if series.times is not None and dates is not None and len(dates) == n + horizon:
        name = series.times.column
        taken = ("step", "prediction", "persistence", *_also(run))
        result["date" if name in taken else name] = series.times.written(dates[n:])
    return result


def _in_units(run: Run, steps: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled forecasts of the rows that follow, (steps,), in original units.

    Raises:
        DataError: They are too large.
    """
    header = run.header
    steps = header.target_scaler.inverse(steps[:, None])[:, 0]
    if header.change is not None:
        steps = header.change.invert(steps, known)
        if not np.isfinite(steps).all():
            raise DataError("predictions that are fed back grow beyond all numbers; ask for fewer rows, or train again.")
    return steps
