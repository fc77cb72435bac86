"""Options of what is learned in place of a series: its differences, its logarithm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.known import KNOWN
from qlstm_qiskit.cli.lead import LEAD
from qlstm_qiskit.cli.options import READING, Command, split_names, with_keywords


def _differences(given: Iterable[str] | None) -> list[int | str] | None:
    """Numbers of rows, and words, of an option that may be repeated."""
    parts = split_names(given) or ()
    return [int(part) if part.isdecimal() and len(part) < 20 else part for part in parts] or None  # Python reads 4300 digits


_PANEL = "What is learned in place of the series (errors and forecasts are of the series itself)"
CHANGE: dict[str, Any] = {
    "difference": Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROWS|season",
            help="Its differences over so many rows, or over a season: 1 takes out a trend. May be repeated.",
            rich_help_panel=_PANEL,
            show_default=False,
            callback=_differences,
        ),
    ],
    "transform": Annotated[
        str | None,
        typer.Option(
            help="log for its logarithm, as where it grows by a percentage; its values must be positive.",
            rich_help_panel=_PANEL,
            show_default=False,
            autocompletion=names("transform"),
            callback=known("transform"),
        ),
    ],
}


def with_series(command: Command) -> Command:
    """Give a command that takes keywords the options of `LEAD`, `KNOWN`, `CHANGE` and `READING`, at its end."""
    return with_keywords(command, LEAD | KNOWN | CHANGE | READING)


def require_change(values: Mapping[str, Any]) -> None:
    """Refuse options of `CHANGE` that are not allowed for the series, before what trains is loaded."""
    if not any(values[name] for name in CHANGE):
        return
    from qlstm_qiskit.data import REAL_SERIES, Change

    own = REAL_SERIES.get(values["dataset"] or "")
    season = (values["season"] or 1) if own is None else own.season
    Change.of(values["difference"] or (), values["transform"], season)
