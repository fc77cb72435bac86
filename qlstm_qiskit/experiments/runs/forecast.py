"""Applying a run to a CSV file, in original units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from qlstm_qiskit.data import numeric_columns, read_table, require_time_order, scaled_rows, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, require_at_least
from qlstm_qiskit.experiments.runs.plan import require_affordable_evaluation
from qlstm_qiskit.experiments.runs.run import Run

#: Rows of a forecast; more would take an hour, one after another.
MOST_ROWS = 1_000_000


def predict_table(run: Run, path: Path | str) -> pd.DataFrame:
    """One-step predictions for each row of a CSV file that has a whole window before it.

    Args:
        run: A trained run.
        path: A CSV file with the run's columns, in original units.

    Returns:
        The file's columns, and `prediction` and (where the target is in the file) `persistence`, empty in the first rows.

    Raises:
        DataError, OptionError: The file or a column cannot be used.
        BudgetError: It is above a limit of the backend's guard; nothing was submitted.
    """
    window = run.header.window
    table, _, scaled = _read(run, path, window + 1)
    taken = sorted({"prediction", "persistence"} & set(table.columns))
    if taken:
        raise DataError(f"{path} has a column {taken[0]!r} already, the name of a column of the result; rename it.")
    table["prediction"] = np.nan
    known = numeric_columns(table, [run.header.target], path)[:, 0] if run.header.target in table.columns else None
    windows = sliding_windows(scaled, window)[:-1]
    require_affordable_evaluation(run, len(windows))
    table.loc[window:, "prediction"] = run.header.target_scaler.inverse(run.predict(windows)[:, :1])[:, 0]
    if known is not None:
        table[run.header.target] = known
        table["persistence"] = table[run.header.target].shift(1).where(np.arange(len(table)) >= window)
    return table


def roll_out(run: Run, path: Path | str, horizon: int) -> pd.DataFrame:
    """Forecast the `horizon` rows that follow a CSV file.

    Beyond what the model predicts at once, its predictions are fed back, which needs the target to be the only feature.

    Args:
        run: A trained run.
        path: A CSV file with the run's columns, in original units.
        horizon: Rows to forecast, at least 1.

    Returns:
        Columns `step` (1, 2, ...), `prediction` and, where the target is in the file, `persistence` (its last value).

    Raises:
        DataError, OptionError: The file or a column cannot be used, or predictions cannot be fed back.
        BudgetError: As of `predict_table`.
    """
    require_at_least("horizon", horizon, 1, MOST_ROWS)
    table, values, _ = _read(run, path, run.header.window)
    header, at_once = run.header, run.header.horizon
    if horizon > at_once and header.features != (header.target,):
        raise OptionError(
            f"this run predicts {at_once} rows of {header.target!r} from {', '.join(header.features)}, "
            f"whose future is unknown; "
            f"ask for a horizon of at most {at_once}, or train with --horizon {horizon}."
        )
    require_affordable_evaluation(run, 1, calls=-(-horizon // at_once))
    known = values[-run.header.window :]
    steps: list[float] = []
    while len(steps) < horizon:
        prediction = header.target_scaler.inverse(run.predict(header.input_scaler.transform(known)[None])[0][:, None])
        steps += prediction[:, 0].tolist()
        known = np.concatenate([known, prediction])[-run.header.window :] if len(steps) < horizon else known
    result = pd.DataFrame({"step": np.arange(1, horizon + 1), "prediction": steps[:horizon]})
    if run.header.target in table.columns:
        result["persistence"] = numeric_columns(table, [run.header.target], path)[-1, 0]
    return result


def _read(run: Run, path: Path | str, n_rows: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The file as a table, and the features' values in original units and scaled; at least `n_rows` rows."""
    table = read_table(path)
    values = numeric_columns(table, run.header.features, path)
    require_time_order(table, run.header.target, path)
    if len(values) < n_rows:
        raise DataError(f"{path} has {len(values)} rows; a window of {run.header.window} needs at least {n_rows}.")
    return table, values, scaled_rows(str(path), run.header.features, values, run.header.input_scaler)
