"""Printing results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Columns of a table that nobody looks at in a terminal.
_PIPE_WIDTH = 1000


def print_json(content: dict[str, Any], table: pd.DataFrame | None = None) -> None:
    """Print one JSON object, with the rows of a table under "table" where one is given."""
    if table is not None:
        content = content | {"table": json.loads(table.to_json(orient="records"))}
    print(json.dumps(content, indent=2))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], text: Sequence[str] = ()) -> None:
    """Print a table: the first column and those named in `text` to the left, numbers to the right.

    On a terminal those on the left wrap where it is narrow, and numbers never do; in a pipe a row is one line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for position, name in enumerate(header):
        left = position == 0 or name in text
        table.add_column(name, justify="left" if left else "right", no_wrap=not left, overflow="fold" if left else "ellipsis")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = Console()
    console.print(table, width=None if console.is_terminal else _PIPE_WIDTH, crop=False)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
