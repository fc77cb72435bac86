"""Printing results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def print_json(content: dict[str, Any], table: pd.DataFrame | None = None) -> None:
    """Print one JSON object, with the rows of a table under "table" where one is given."""
    if table is not None:
        content = content | {"table": json.loads(table.to_json(orient="records"))}
    print(json.dumps(content, indent=2))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], text: Sequence[str] = ()) -> None:
    """Print a table: the first column and those named in `text` to the left, numbers to the right; only `text` wraps."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 or name in text else "right", no_wrap=name not in text)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
