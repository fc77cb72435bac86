"""Files as tables of cells: compression, encoding, separator, lines that are left out; CSV, Parquet and DataFrames."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from qlstm_qiskit.data.reading import SEPARATORS, Reading
from qlstm_qiskit.data.source import openable
from qlstm_qiskit.errors import DataError

#: First bytes -> compression, as pandas calls it, for files whose names do not say it.
_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd"}
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
_PARQUET = (".parquet", ".pq")

#: What may separate columns where nothing is said, the usual one first.
_SEPARATORS = (",", ";", "\t", "|", SEPARATORS["space"])
#: Lines from which the separator is recognised, and the part of them that must have as many cells as the header.
_LINES, _MOST = 50, 0.9
#: What begins comments.
_COMMENTS = ("#", "%")
#: Bytes that no text in Windows' Western encoding has.
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
#: What Excel writes into the first line of some files.
_SAID = re.compile(r'"?sep=(.)"?')


@dataclass(frozen=True, eq=False)
class Content:
    """The cells of a file, rows as they are in it.

    Attributes:
        name: Of the file, for messages.
        cells: Text, or what a Parquet file or a DataFrame has; (rows, columns), names without blanks around them.
        lines: Line of each row in the file, from 1; where there are no lines the number of the row.
        reading: What was given, with what was recognised where a plain CSV file has it otherwise.
        separator: Of columns, as pandas has it; "" where there is no text.
        place: What messages call a row: "line" or "row".
        left_out: Lines that hold comments.
    """

    name: str
    cells: pd.DataFrame
    lines: np.ndarray
    reading: Reading
    separator: str = ""
    place: str = "line"
    left_out: int = 0


def read_content(source: Path | str | pd.DataFrame, reading: Reading, wanted: Sequence[str] = ()) -> Content:
    """Read a file, or take a DataFrame.

    Args:
        source: A CSV or Parquet file, compressed or not, or a DataFrame, whose index becomes a column unless it counts rows.
        reading: What is given.
        wanted: Columns that it should have.

    Raises:
        DataError: It cannot be read, in one line.
    """
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, "the DataFrame", reading)
    path = Path(source)
    found = openable(path)
    if path.suffix.lower() in _SHEETS and path.exists():
        raise DataError(f"{path} is a spreadsheet; save it as CSV, and give that file.")
    try:
        content = _uncompressed(found)
        if content.startswith(b"PAR1"):
            return _of_frame(_parquet(content, path), str(path), reading)
        return _of_text(content, path, reading, wanted)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path.") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty; it needs a header line and one row for each time step.") from None
    except Exception as error:  # noqa: BLE001 - whatever an archive, or a file of another kind, makes of it
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = ""
        if isinstance(error, pd.errors.ParserError):
            hint = "; say what separates columns by --sep, and how many lines are above the header by --skip"
        kind = "Parquet" if path.suffix.lower() in _PARQUET else "CSV"
        raise DataError(f"{path} cannot be read as {kind}: {reason.removesuffix('.')}{hint}.") from None


def _uncompressed(source: Path | io.BytesIO) -> bytes:
    """The content of a file, by the compression that its name says, else by the one that its first bytes say."""
    with get_handle(source, "rb", compression="infer" if isinstance(source, Path) else None, is_text=False) as handles:
        content: bytes = handles.handle.read()
    for first, compression in _COMPRESSED.items():
        if content.startswith(first):
            with get_handle(io.BytesIO(content), "rb", compression=compression, is_text=False) as handles:
                return handles.handle.read()
    return content


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    if not any(map(find_spec, ("pyarrow", "fastparquet"))):
        raise DataError(f"{path} is a Parquet file, which needs pyarrow: pip install pyarrow; or save it as CSV.")
    return pd.read_parquet(io.BytesIO(content))


def _of_frame(frame: pd.DataFrame, name: str, reading: Reading) -> Content:
    """The cells of a DataFrame: numbers and dates as they are, everything else as text."""
    if frame.columns.nlevels > 1 or frame.index.nlevels > 1:
        raise DataError(f"{name} has columns or rows with names of several levels; give plain ones.")
    if not isinstance(frame.index, pd.RangeIndex):
        index = frame.index.to_series(index=range(len(frame)))
        label = str(frame.index.name or "date")
        frame = frame.reset_index(drop=True)
        if (
            frame.index.name is not None
            or isinstance(index.dtype, pd.PeriodDtype)
            or pd.api.types.is_datetime64_any_dtype(index)
            or (label not in map(str, frame.columns) and not pd.api.types.is_integer_dtype(index))
        ):
            frame = pd.concat([index.rename(label), frame], axis=1)
    names = _names([str(column).strip() for column in frame.columns], name)
    cells = pd.concat([_cells(frame.iloc[:, place]) for place in range(len(names))], axis=1) if names else pd.DataFrame()
    cells.columns = pd.Index(names)
    return Content(name, cells.reset_index(drop=True), np.arange(1, len(frame) + 1), reading, place="row")


def _cells(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column
    return column.astype(object).where(column.notna(), "").map(str)


def _names(names: list[str], source: object) -> list[str]:
    twice = sorted({name for name in names if name and names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{source} has more than one column named {', '.join(map(repr, twice))}; rename them.")
    return names


def _of_text(content: bytes, path: Path, reading: Reading, wanted: Sequence[str]) -> Content:
    text, reading = _decoded(content, reading)
    before, zero, _ = text.partition("\0")
    if zero:  # where a cell would end, whatever comes after it
        line = before.count("\n") + 1
        raise DataError(f"{path}, line {line}: a zero byte, which no text has; write the file again.")
    skipped = list(range(reading.skip or 0))
    first = [line.rstrip("\r\n") for line in islice(io.StringIO(text, newline="\n"), len(skipped) + 2 * _LINES)]
    while len(skipped) < len(first) and not first[len(skipped)].strip():
        skipped.append(len(skipped))
    said = _SAID.fullmatch(first[len(skipped)].strip()) if len(skipped) < len(first) else None
    if said is not None:
        skipped.append(len(skipped))
        reading = replace(reading, sep=reading.sep or said.group(1))
    top = first[len(skipped) :]
    comment = reading.comment or next((sign for sign in _COMMENTS if _begins_with_comments(top, sign)), None)
    n_comments = len(skipped)
    if comment is not None:
        reading = replace(reading, comment=comment)
        every = enumerate(io.StringIO(text, newline="\n"))
        skipped += [line for line, line_text in every if line >= len(skipped) and line_text.startswith(comment)]
        top = [line for line in top if not line.startswith(comment)]
    n_comments = len(skipped) - n_comments
    separator = SEPARATORS.get(reading.sep or "", reading.sep) or _separator(top, wanted)
    if separator != ",":
        words = {value: word for word, value in SEPARATORS.items() if len(word) > 2}
        reading = replace(reading, sep=reading.sep or words.get(separator, separator))
    table = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False,
        skipinitialspace=True, skiprows=skipped or None,
    )  # fmt: skip
    names = _names([str(name).strip() for name in table.iloc[0]], path)
    filled = table.ne("").any(axis=1).to_numpy().nonzero()[0]
    if not len(filled):
        raise pd.errors.EmptyDataError
    lines = np.arange(1, len(table) + len(skipped) + 1)
    if skipped:
        lines = np.delete(lines, skipped)
    table = table.iloc[1 : filled[-1] + 1].reset_index(drop=True)  # blank lines at the end are not time steps
    table.columns = pd.Index(names)
    return Content(str(path), table, lines[1 : len(table) + 1], reading, separator, left_out=n_comments)


def _decoded(content: bytes, reading: Reading) -> tuple[str, Reading]:
    """The text, in the encoding that is given, in UTF-8, in UTF-16 where its first bytes say so, or in Windows' Western one."""
    if reading.encoding is not None:
        return content.decode(reading.encoding).removeprefix("\ufeff"), reading
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") and len(content) % 2 == 0:
        text = content.decode("utf-16", errors="replace")
        if "\n" in text and not {"\0", "\ufeff", "\ufffd"} & set(text):
            return text, replace(reading, encoding="utf-16")
    try:
        return content.decode("utf-8-sig"), reading
    except UnicodeDecodeError:
        if _NO_TEXT.search(content):
            raise
        return content.decode("cp1252"), replace(reading, encoding="cp1252")


def _begins_with_comments(lines: Sequence[str], sign: str) -> bool:
    """Whether the first lines are comments: not where one of them names columns, and numbers follow."""
    rest = [line for line in lines if not line.startswith(sign)]
    if not lines or not rest or not lines[0].startswith(sign):
        return False
    cells = pd.Series([cell.strip() for cell in next(csv.reader([rest[0]], delimiter=_separator(rest, ())[-1]), [])])
    return bool(pd.to_numeric(cells, errors="coerce").isna().all())


def _separator(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """What separates columns: a comma where that cuts lines into as many cells as the header, else what cuts them into most.

    Args:
        lines: The header, and lines after it.
        wanted: Columns that the header should have.
    """
    lines = [line for line in lines if line.strip()][:_LINES]
    headers: dict[str, list[str]] = {}
    for separator in _SEPARATORS:
        rows = [_cut(line, separator) for line in lines]
        if not rows or len(rows[0]) < 2 or len(rows) < 2:
            continue
        width, count = Counter(map(len, rows[1:])).most_common(1)[0]
        if width == len(rows[0]) and count >= _MOST * (len(rows) - 1):
            headers[separator] = [cell.strip() for cell in rows[0]]
    having = [one for one, header in headers.items() if set(wanted) <= set(header)] if wanted else []
    candidates = having or list(headers)
    if not candidates or "," in candidates:
        return ","
    return max(candidates, key=lambda one: (one != _SEPARATORS[-1], len(headers[one])))


def _cut(line: str, separator: str) -> list[str]:
    if separator == _SEPARATORS[-1]:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []
