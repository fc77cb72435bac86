"""Options that several commands have."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated

import typer

from qlstm_qiskit.cli.completion import backend_names, names


def split_names(given: Iterable[str] | None, known: Collection[str] = ()) -> list[str] | None:
    """Names of an option that may be repeated: each value is a name that is known, or several, as in a line of a CSV file."""
    if given is None:
        return None
    names: list[str] = []
    for value in given:
        try:
            parts = [value] if value in known else next(csv.reader([value], skipinitialspace=True, strict=True), [])
        except csv.Error:  # a quote that is not closed is part of a name
            parts = [value]
        names += [name.strip() for name in parts]
    return names


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder made by `qlstm train`.")]
OtherBackend = Annotated[
    str | None,
    typer.Option("--backend", help="Evaluate on this backend; by default the run's own.", autocompletion=backend_names),
]
Confirm = Annotated[bool, typer.Option("--confirm", help="Submit beyond the limits of the backend's guard, this once.")]
BackendsFile = Annotated[
    Path | None,
    typer.Option(
        "--backends",
        metavar="FILE",
        help="Your entries, in a file like backends.yaml.",
        show_default="./backends.yaml where there is one",
    ),
]
TrustProvider = Annotated[
    bool,
    typer.Option("--trust-provider", help="Call the code of a provider that only the folder's own config.json names."),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        help="Log epochs to tensorboard (RUN/tensorboard) or mlflow as well; may be repeated.", autocompletion=names("logger")
    ),
]
