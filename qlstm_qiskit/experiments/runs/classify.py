"""Predicted classes of the rows of a file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlstm_qiskit.data import SeriesTable, sliding_windows
from qlstm_qiskit.data.labels import places_of
from qlstm_qiskit.errors import DataError, require_at_least
from qlstm_qiskit.experiments.runs.classes import classes_of, names_of, probabilities
from qlstm_qiskit.experiments.runs.load import Run
from qlstm_qiskit.experiments.runs.plan import require_affordable_evaluation
from qlstm_qiskit.experiments.runs.units import scaled_series


def class_table(run: Run, series: SeriesTable, last: int | None = None) -> pd.DataFrame:
    """The class of each row of a file that ends a whole window.

    Args:
        run: A trained run of classes.
        series: What `table_of` gives of the file.
        last: Of so many rows only, the last ones; where fewer end a whole window, those.

    Returns:
        The file's columns in time order, `prediction`, the most probable class, and for each class `p_CLASS`, its probability;
        empty in the first rows.

    Raises:
        DataError: There are too few rows, a value cannot be used, or the file has a column of such a name.
        OptionError: `last` is below 1.
        BudgetError: It is above a limit of the backend's guard; nothing was submitted.
    """
    header = run.header
    scaled = scaled_series(header, series, header.window)
    table = series.cells.copy()
    names = [f"p_{name}" for name in names_of(header)]
    taken = [name for name in ("prediction", *names) if name in table.columns]
    if taken:
        raise DataError(f"{series.name} has a column {taken[0]!r} already, the name of a column of the result; rename it.")
    if not series.is_plain:
        for place, name in enumerate(header.features):
            table[name] = series.values[:, place]
    if series.times is not None and series.times.column in table.columns:
        table[series.times.column] = series.times.written()
    windows = sliding_windows(scaled, header.window)
    windows = windows[-require_at_least("last", last, 1) :] if last is not None else windows
    first = len(table) - len(windows)
    require_affordable_evaluation(run, len(windows))
    scores = run.predict_scaled(windows)
    table["prediction"] = pd.Series([None] * first + classes_of(header, scores).tolist(), dtype=object)
    found = np.concatenate([np.full((first, len(names)), np.nan), probabilities(scores)])
    table = pd.concat([table, pd.DataFrame(found, columns=names)], axis=1)
    return table if last is None else table.loc[first:].reset_index(drop=True)


def class_facts(run: Run, table: pd.DataFrame) -> dict[str, float]:
    """Accuracy and the log loss; nothing where no row has a class that the run knows.

    Args:
        run: A trained run of classes.
        table: As `class_table` gives it. Rows without a class, or with one that the run does not know, are left out.
    """
    header, task = run.header, run.spec.task
    assert header.classes is not None
    if header.target not in table.columns:
        return {}
    classes = header.classes.array
    truth, predicted = places_of(table[header.target], classes), places_of(table["prediction"], classes)
    known = (truth >= 0) & (predicted >= 0)
    if not known.any():
        return {}
    with np.errstate(divide="ignore"):
        scores = np.log(table[[f"p_{name}" for name in names_of(header)]].to_numpy(np.float64)[known])
    loss = task.error(scores, (truth[known, None] == np.arange(len(classes))).astype(np.float64))
    return {"accuracy": float(np.mean(truth[known] == predicted[known])), task.metric: loss, "compared_rows": int(known.sum())}
