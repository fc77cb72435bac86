"""Numbers as people write them: which decimal sign and which grouping of digits the cells of a table have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import DataError

#: What pandas takes for a missing value in a file.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)

#: Decimal sign and grouping of digits, the plain one first. Blanks may be such that no line breaks at.
_GROUPS = (None, ",", ".", " ", "'", "\u00a0", "\u202f", "\u2019")
_CONVENTIONS = tuple((decimal, group) for group in _GROUPS for decimal in (".", ",") if decimal != group)

_Convention = tuple[str, str | None]
_PLAIN: _Convention = (".", None)
_GROUPED: _Convention = (",", ".")
_QUOTED: _Convention = (".", ",")

#: Cells from which conventions are recognised; all are checked by the one that is found.
_SAMPLE = 4000


def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    digits = r"\d+" if thousands is None else rf"(\d+|\d{{1,3}}({re.escape(thousands)}\d{{3}})+)"
    point = re.escape(decimal)
    return re.compile(rf"[+-]?({digits}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?", re.ASCII)


def with_convention(cells: pd.DataFrame, columns: Sequence[str], reading: Reading, separator: str, source: str) -> Reading:
    """A reading with decimal and thousands signs as the cells have them, where they are not given; plain ones stay None.

    Args:
        cells: Text.
        columns: Those that must be numbers; the others are asked where these leave it open.
        reading: What is given.
        separator: Of the file's columns. Where it is a comma, a comma in a cell groups thousands, and a point does not.
        source: For messages.

    Raises:
        DataError: They can be read in two ways, such as 1.234.
    """
    if reading.decimal is not None and reading.thousands is not None:
        return reading
    plain = all(_is_plain(cells[name]) for name in columns)
    if plain and separator == "," and reading.decimal is None and reading.thousands is None:
        return reading
    known = {*MISSING, *(reading.na or ())}
    texts = {str(name): _sample(cells[name], known) for name in cells.columns if name}
    asked = [texts[name] for name in columns]
    others = [text for name, text in texts.items() if name not in columns]
    allowed = [one for one in _CONVENTIONS if reading.decimal in (None, one[0]) and reading.thousands in (None, one[1])] or [
        (reading.decimal or ".", reading.thousands)
    ]
    found = [_PLAIN] if _PLAIN in allowed and plain else _best(asked, allowed)
    if _PLAIN in found:
        found = [_PLAIN, *([_GROUPED] if separator != "," and _GROUPED in allowed and _looks_grouped(asked) else [])]
    if len(found) > 1:
        found = _best([*asked, *others], found)
    if separator == "," and _QUOTED in found:
        found = [_QUOTED]
    if len(found) > 1:
        cell = next(value for text in asked for value in text if not value.isdigit())
        raise DataError(
            f"{source}: {cell!r} can be read in two ways, with a decimal sign or with one between thousands; say which by "
            "--decimal or --thousands (in Python decimal=... or thousands=...)."
        )
    if not found or found[0] == _PLAIN:
        return reading
    return replace(reading, decimal=found[0][0], thousands=found[0][1])


def _is_plain(column: pd.Series) -> bool:
    """Whether a column is numbers as Python writes them; thousands with a point look like them, see `_looks_grouped`."""
    text = column.str.strip()
    return bool(pd.to_numeric(text[text != ""], errors="coerce").notna().all())


def _looks_grouped(columns: Sequence[pd.Series]) -> bool:
    """Whether each point has three digits after it, and one to three before it that do not begin with 0."""
    pointed = [text[text.str.contains(".", regex=False)] for text in columns]
    return any(map(len, pointed)) and all(text.str.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}").all() for text in pointed)


def _sample(column: pd.Series, missing: set[str]) -> pd.Series:
    text = column.iloc[np.unique(np.linspace(0, len(column) - 1, _SAMPLE).astype(int))].str.strip() if len(column) else column
    return text[~text.isin(missing)]


def _best(columns: Sequence[pd.Series], allowed: Sequence[_Convention]) -> list[_Convention]:
    """The conventions by which most cells are numbers; of those that give the same numbers the first."""
    counts = {one: sum(int(text.str.fullmatch(_pattern(*one)).sum()) for text in columns) for one in allowed}
    most = max(counts.values(), default=0)
    found: list[_Convention] = []
    seen: list[Floats] = []
    for one in (one for one, count in counts.items() if count == most > 0):
        values = np.concatenate([numbers(text, *one) for text in columns])
        if not any(np.array_equal(values, other, equal_nan=True) for other in seen):
            found.append(one)
            seen.append(values)
    return found


def numbers(text: pd.Series, decimal: str | None, thousands: str | None) -> Floats:
    """Cells as float64, as `pandas.read_csv` reads them with these signs; NaN for what is none.

    Args:
        text: Cells without blanks around them.
        decimal, thousands: As in `Reading`; a point and no grouping where None.
    """
    if decimal in (None, ".") and thousands is None:
        return pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    kept = text.where(text.str.fullmatch(_pattern(decimal or ".", thousands)), "")
    if thousands is not None:
        kept = kept.str.replace(thousands, "", regex=False)
    if decimal == ",":
        kept = kept.str.replace(",", ".", regex=False)
    return pd.to_numeric(kept, errors="coerce").to_numpy(np.float64)
