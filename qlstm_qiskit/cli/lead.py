"""Options of forecasts several steps ahead, and of how a chaotic series is scaled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import typer

from qlstm_qiskit.cli.completion import CHAOTIC, known, names
from qlstm_qiskit.errors import OptionError

_PANEL = "Forecasts several steps ahead"

#: Options of `qlstm train`, by name.
LEAD: dict[str, Any] = {
    "lead": Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Predict the one value K steps after the last row of a window, and none between.",
            rich_help_panel=_PANEL,
            show_default="1",
        ),
    ],
    "scaling": Annotated[
        str | None,
        typer.Option(
            help=f"Rows that the scale of {', '.join(CHAOTIC)} is taken from: whole-series, as published, or training-part, "
            "which does not look ahead.",
            rich_help_panel=_PANEL,
            show_default="whole-series",
            autocompletion=names("scaling"),
            callback=known("scaling"),
        ),
    ],
}


def require_lead_alone(values: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse a lead beside options of forecasts of the next rows, and a scaling of other series, before what trains is loaded.

    Args:
        values: Of all options.
        given: Those that are on the command line.

    Raises:
        OptionError: One is given.
    """
    if values["scaling"] is not None and values["dataset"] not in CHAOTIC:
        raise OptionError(f"--scaling goes with --dataset {', '.join(CHAOTIC)}; other series have a scale of their own.")
    lead = values["lead"]
    if lead is not None and lead < 1:
        raise OptionError(f"--lead is {lead}; give at least 1.")
    for name in ("horizon", "difference", "transform", "known", "calendar", "interval"):
        if lead not in (None, 1) and name in given and (name, values[name]) != ("horizon", 1):
            raise OptionError(
                f"--lead {lead} predicts the one value {lead} steps ahead, and --{name} is for forecasts of the next rows; "
                "leave one of them out."
            )


def lead_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `DataSpec` from options."""
    return {"lead": values["lead"] or 1, "scaling": values["scaling"]}
