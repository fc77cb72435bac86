"""The elements of a page. All text is plain: the template escapes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from qlstm_qiskit.storage import csv_name, strict_json


@dataclass(frozen=True)
class Download:
    """A file inside the page.

    Attributes:
        name: Of the file.
        kind: Its media type.
        text: Its content.
    """

    name: str
    kind: str
    text: str


def csv_file(name: str, columns: Mapping[str, Sequence[Any]]) -> Download:
    """Columns of equal length as a CSV file; None is an empty cell, and names are such as `csv_name` makes them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_name, columns))
    for row in zip(*columns.values(), strict=True):
        writer.writerow([csv_name(cell) if isinstance(cell, str) else cell for cell in row])
    return Download(f"{name}.csv", "text/csv", text.getvalue())


def json_file(name: str, content: Any) -> Download:
    """Plain data as a JSON file."""
    return Download(f"{name}.json", "application/json", strict_json(content, indent=2) + "\n")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class DataGrid:
    """A table.

    Attributes:
        caption: What it shows.
        header: Names of the columns.
        rows: Cells as they are shown, two texts below one another where a cell is a pair; the first names the row.
        left: Columns of words beside the first; all others are numbers, aligned to the right.
        notes: Said below the name of a row.
        download: The numbers as a file.
    """

    kind: ClassVar[str] = "grid"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | tuple[str, str]]]
    left: Sequence[str] = ()
    notes: Mapping[str, str] | None = None
    download: Download | None = None


@dataclass(frozen=True)
class Plot:
    """A plotly figure.

    Attributes:
        name: Of its element in the page, unique there.
        caption: What it shows.
        figure: Its traces and layout as plotly's JSON, see `figures.plotted`.
        download: What is drawn, as a file.
        height: Pixels.
        views: Names of parts of the horizontal axis, and their ends.
    """

    kind: ClassVar[str] = "plot"
    name: str
    caption: str
    figure: Mapping[str, Any]
    download: Download
    height: int = 340
    views: Mapping[str, tuple[float | str, float | str]] | None = None


@dataclass(frozen=True)
class Panels:
    """Plots beside one another where the window is wide enough."""

    kind: ClassVar[str] = "panels"
    plots: Sequence[Plot]
    columns: int = 2


@dataclass(frozen=True)
class Drawing:
    """An SVG image, which is trusted: it comes from matplotlib."""

    kind: ClassVar[str] = "drawing"
    caption: str
    svg: str


@dataclass(frozen=True)
class Listing:
    """Preformatted text, folded where it has a title."""

    kind: ClassVar[str] = "listing"
    text: str
    title: str = ""
    download: Download | None = None


Element = Text | DataGrid | Plot | Panels | Drawing | Listing


@dataclass(frozen=True)
class Section:
    """A heading and what is below it; a heading of the second level where `below` is true."""

    title: str
    parts: Sequence[Element]
    below: bool = False


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        kind: "run", "audit", "study" or "scaling".
        title: The heading.
        lead: The first paragraphs.
        sections: In order.
    """

    kind: str
    title: str
    lead: Sequence[str]
    sections: Sequence[Section]

    @property
    def plots(self) -> list[Plot]:
        """All figures."""
        found: list[Plot] = []
        for section in self.sections:
            for part in section.parts:
                found += [part] if isinstance(part, Plot) else list(part.plots) if isinstance(part, Panels) else []
        return found

    @property
    def files(self) -> dict[str, Download]:
        """All files in the page, by their names, of which there are no two."""
        parts: list[Element] = [*self.plots, *(part for section in self.sections for part in section.parts)]
        holders = [part for part in parts if isinstance(part, (DataGrid, Plot, Listing))]
        found = [part.download for part in holders if part.download is not None]
        files = {file.name: file for file in found}
        assert all(files[file.name] == file for file in found), "two files of one name"
        return files


def stacked(rows: Sequence[Sequence[str]]) -> list[list[str | tuple[str, str]]]:
    """The cells of a table, with a range in brackets below its number."""
    return [[row[0], *(_pair(cell) for cell in row[1:])] for row in rows]


def _pair(cell: str) -> str | tuple[str, str]:
    number, _, interval = cell.partition(" ")
    return (number, interval) if interval[:1] in {"(", "["} and interval else cell


def number(value: float | None) -> str:
    """Three digits at least, as people write numbers up to a billion, and nothing for a number that is not there."""
    if value is None:
        return ""
    return f"{value:,.0f}" if isinstance(value, int) or 999.5 <= abs(value) < 1e9 else f"{value:.3g}"
