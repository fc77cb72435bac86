"""Applying a run to a file, in original units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data import Reading, SeriesTable, sliding_windows
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import DataError, OptionError, require_at_least
from qlstm_qiskit.experiments.runs.classes import refuse_classes
from qlstm_qiskit.experiments.runs.classify import class_table
from qlstm_qiskit.experiments.runs.intervals import (
    calibrated,
    calibration_windows,
    followed_windows,
    following,
    radii,
    with_ends,
)
from qlstm_qiskit.experiments.runs.plan import require_affordable_evaluation
from qlstm_qiskit.experiments.runs.run import Run
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


def predict_table(run: Run, path: Path | str | pd.DataFrame | SeriesTable) -> pd.DataFrame:
    """One-step predictions for each row of a file that has a whole window before it.

    Args:
        run: A trained run.
        path: A CSV or Parquet file or a DataFrame with the run's columns, in original units; or what `table_of` gives of it.

    Returns:
        The file's columns, and `prediction`, of a run with intervals `lower` and `upper`, and (where the target is in the file)
        `persistence`, empty in the first rows; in time order. Adaptive intervals follow the rows before. Of a run of classes
        what `class_table` gives.

    Raises:
        DataError, OptionError: The file or a column cannot be used.
        BudgetError: It is above a limit of the backend's guard; nothing was submitted.
    """
    header, window = run.header, run.header.window
    if header.classes is not None:
        return class_table(run, path if isinstance(path, SeriesTable) else table_of(run, path))
    series, _, scaled = _scaled(run, path, window + 1)
    first = window + header.reach
    table = series.cells.copy()
    ends = () if run.spec.data.interval is None else ("lower", "upper")
    taken = sorted({"prediction", "persistence", *ends} & set(table.columns))
    if taken:
        raise DataError(f"{series.name} has a column {taken[0]!r} already, the name of a column of the result; rename it.")
    if not series.is_plain:
        for place, name in enumerate(header.features):
            table[name] = series.values[:, place]
    if series.times is not None and series.times.column in table.columns:
        table[series.times.column] = series.times.written()
    table["prediction"] = np.nan
    known = series.values[:, -1] if header.target in table.columns else None
    windows = sliding_windows(scaled, window)[:-1]
    require_affordable_evaluation(run, len(windows), besides=calibration_windows(run))
    rows = first + np.arange(len(windows))
    predicted = original_units(header, run.predict_scaled(windows)[:, :1], series.values[:, -1], rows)
    table.loc[first:, "prediction"] = predicted[:, 0]
    found = calibrated(run)
    if found is not None:
        scores = np.full(predicted.shape, np.nan) if known is None else np.abs(predicted - known[first:, None])
        one_step = radii(replace(found, radius=found.radius[:1]), scores)[:-1, 0]
        for name, values in with_ends(predicted[:, 0], one_step).items():
            table[name] = np.concatenate([np.full(first, np.nan), values])
    if known is not None:
        table[header.target] = known
        table["persistence"] = table[header.target].shift(1).where(np.arange(len(table)) >= first)
    return table


def roll_out(run: Run, path: Path | str | pd.DataFrame | SeriesTable, horizon: int) -> pd.DataFrame:
    """Forecast the `horizon` rows that follow a file.

    Beyond what the model predicts at once, its predictions are fed back, which needs the target to be the only feature.

    Args:
        run: A trained run.
        path: As in `predict_table`.
        horizon: Rows to forecast, at least 1.

    Returns:
        Columns `step` (1, 2, ...), the dates, named as in the file, where they follow a rule, `prediction`, `lower` and `upper`
        (of a run with intervals; empty for steps that too few calibration windows reach) and, where the target is in the file,
        `persistence` (its last value).

    Raises:
        DataError, OptionError: The file or a column cannot be used, or predictions cannot be fed back.
        BudgetError: As of `predict_table`.
    """
    refuse_classes(run.path, run.header, "horizon", "leave --horizon out for the class of each row")
    require_at_least("horizon", horizon, 1, MOST_ROWS)
    series, values, scaled = _scaled(run, path, run.header.window)
    header, at_once = run.header, run.header.horizon
    if horizon > at_once and header.features != (header.target,):
        raise OptionError(
            f"this run predicts {at_once} rows of {header.target!r} from {', '.join(header.features)}, "
            f"whose future is unknown; "
            f"ask for a horizon of at most {at_once}, or train with --horizon {horizon}."
        )
    besides = followed_windows(run, len(scaled), horizon)
    require_affordable_evaluation(run, 1, calls=-(-horizon // at_once), besides=besides)
    known = values[-run.header.window :]
    steps: list[float] = []
    while len(steps) < horizon:
        prediction = header.target_scaler.inverse(run.predict_scaled(header.input_scaler.transform(known)[None])[0][:, None])
        steps += prediction[:, 0].tolist()
        known = np.concatenate([known, prediction])[-run.header.window :] if len(steps) < horizon else known
    if header.change is not None:
        steps = header.change.invert(np.array(steps[:horizon]), series.values[:, -1]).tolist()
        if not np.isfinite(steps).all():
            raise DataError("predictions that are fed back grow beyond all numbers; ask for fewer rows, or train again.")
    result = pd.DataFrame({"step": np.arange(1, horizon + 1)})
    dates = None if series.times is None else series.times.after(horizon)
    if series.times is not None and dates is not None:
        name = series.times.column
        taken = ("step", "prediction", "persistence", *(() if run.spec.data.interval is None else ("lower", "upper")))
        result["date" if name in taken else name] = series.times.written(dates)
    result["prediction"] = steps[:horizon]
    is_there = header.target in series.cells.columns
    radius = following(run, series.values[:, -1], scaled, horizon, target_known=is_there)
    if radius is not None:
        result = result.assign(**with_ends(result["prediction"].to_numpy(), radius))
    if is_there:
        result["persistence"] = series.values[-1, -1]
    return result


def _scaled(run: Run, path: Path | str | pd.DataFrame | SeriesTable, n_rows: int) -> tuple[SeriesTable, Floats, Floats]:
    """The file as a table, and the features' values, changed as for training, and scaled; at least `n_rows` rows of them."""
    table = path if isinstance(path, SeriesTable) else table_of(run, path)
    return table, *scaled_series(run.header, table, n_rows)
