"""Printed results: tables, JSON, progress."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.errors import printable
from qlstm_qiskit.storage import strict_json

if TYPE_CHECKING:
    import pandas as pd

#: Width in columns of a table that is not shown in a terminal.
_PIPE_WIDTH = 1000


def print_json(content: dict[str, Any], table: pd.DataFrame | None = None) -> None:
    """Print one JSON object, with the rows of a table under "table" where one is given."""
    if table is not None:
        content = content | {"table": json.loads(table.to_json(orient="records"))}
    print(strict_json(content, indent=2))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], text: Sequence[str] = ()) -> None:
    """Print a table: the first column and those named in `text` to the left, numbers to the right.

    All of it is shown as it is: names are not markup, and a header alone may have line breaks. On a terminal those on the left
    wrap where it is narrow, and numbers never do; in a pipe a row is one line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(header):
        left = position == 0 or name in text
        table.add_column(
            Text(name), justify="left" if left else "right", no_wrap=not left, overflow="fold" if left else "ellipsis"
        )
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(Text(printable(title)), style="italic", highlight=False)
    console.print(table)


class Steps:
    """Progress over long steps: one line each, and a bar with the time left, on standard error; silent unless it is a terminal.

    Args:
        what: What is counted.
    """

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn(), TextColumn("left"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, text: str) -> None:
        """`done` of `total` are finished; say how the last one ended."""
        from rich.text import Text

        self._bar.update(self._task, completed=done, total=total)
        if not self._bar.disable:
            self._bar.console.print(Text(printable(text)), highlight=False)


def _cell(value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{value:,.0f}" if 1e6 <= abs(value) < 1e12 else f"{value:,.6g}"
    return printable(str(value))
