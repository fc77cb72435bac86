"""How far a file reaches in what a run knows ahead."""

from __future__ import annotations

import numpy as np

from qlstm_qiskit.data import SeriesTable
from qlstm_qiskit.data.feedback import unknown_later
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.experiments.runs.header import ModelHeader


def require_known(header: ModelHeader, table: SeriesTable, horizon: int) -> None:
    """Refuse a forecast that needs more rows after the last one with the target than a file has.

    Args:
        header: Of the run.
        table: As `series_of` gives it.
        horizon: Rows to forecast.

    Raises:
        DataError: What is known ahead does not reach so far.
    """
    if header.known is None:
        return
    needed = -(-horizon // header.horizon) * header.horizon
    reached = _reached(header, table, needed)
    if reached.min() >= needed:
        return
    name, there = header.known.channels[int(reached.argmin())], int(reached.min())
    whole = "" if needed == horizon else f", {header.horizon} at once,"
    asked = f"a forecast of {_rows(horizon)}{whole} needs"
    last, add = table.where(table.n_rows - 1), f"add {needed - there} more, with {header.target!r} left empty"
    if name not in header.known.columns:
        raise DataError(
            f"{table.name}: the dates follow no rule that says the next ones, and {asked} those of {_rows(needed)} after "
            f"{last} for {name}: {add}."
        )
    until = f"ends {_rows(there)} later" if there else "ends there, too"
    raise DataError(
        f"{table.name}: {header.target!r} ends in {last}, and {name!r}, which is to be known ahead, {until}; {asked} it in "
        f"{_rows(needed)} after {header.target!r} ends: {add}."
    )


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"


def steps_ahead(header: ModelHeader, table: SeriesTable) -> int:
    """How many of the rows to predict can be predicted with what the file has.

    Args:
        header: Of the run.
        table: As `series_of` gives it.
    """
    if header.known is None or not table.ahead:
        return 0
    steps = int(_reached(header, table, table.ahead + header.horizon).min()) // header.horizon * header.horizon
    return min(steps, header.horizon if unknown_later(header) else steps, table.ahead)


def _reached(header: ModelHeader, table: SeriesTable, rows: int) -> np.ndarray:
    """In how many rows after the last one with the target each channel is known, without a break, of so many."""
    assert header.known is not None
    channels = table.known_rows(header.known, len(header.columns), table.n_rows + rows)[table.n_rows :]
    lost = np.isnan(channels)
    return np.where(lost.any(axis=0), lost.argmax(axis=0), rows)
