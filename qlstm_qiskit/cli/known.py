"""Options of inputs that are known ahead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.options import split_names

_PANEL = "Inputs that are known ahead, read in the rows that are predicted (of a file)"


def _calendar(given: Iterable[str] | None) -> list[str] | None:
    return known("calendar")(split_names(given)) or None


#: Options of `qlstm train`, by name.
KNOWN: dict[str, Any] = {
    "known": Annotated[
        list[str] | None,
        typer.Option(
            help="Columns whose later values are known when a forecast is made, such as a holiday or a planned price; may be "
            "repeated.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ],
    "calendar": Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Made from the dates: minute, hour, weekday, day, month, quarter, dayofyear (each a sine and a cosine) or "
            "weekend; may be repeated.",
            rich_help_panel=_PANEL,
            show_default=False,
            autocompletion=names("calendar"),
            callback=_calendar,
        ),
    ],
}
