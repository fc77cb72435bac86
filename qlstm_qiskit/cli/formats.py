"""The format of a forecast's file, from the name of the file."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.storage import csv_name

if TYPE_CHECKING:
    import pandas as pd

#: Suffix of a name -> what separates columns; a name without one is that of a CSV file.
_SEPARATORS = {"": ",", ".csv": ",", ".txt": ",", ".tsv": "\t"}


_JSON = (".json", ".jsonl")


def require_format(path: Path) -> None:
    """Refuse a name whose format cannot be written.

    Raises:
        OptionError: Its suffix is unknown, or the package that writes it is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        if not any(map(find_spec, ("pyarrow", "fastparquet"))):
            raise OptionError(f"{path} would be a Parquet file, which needs pyarrow: pip install pyarrow; or write a .csv.")
    elif suffix not in _SEPARATORS and suffix not in _JSON:
        raise OptionError(
            f"{path} ends in {path.suffix}; --out takes .csv, .txt (commas), .tsv (tabs), .json, .jsonl "
            "(a row per line) or .parquet."
        )


def encoded(table: pd.DataFrame, path: Path) -> bytes:
    """A table in the format of a name; names of columns that a spreadsheet takes for formulas get an apostrophe."""
    if path.suffix.lower() == ".parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if path.suffix.lower() in _JSON:
        rows: str = table.to_json(
            orient="records", lines=path.suffix.lower() == ".jsonl", double_precision=15, force_ascii=False
        )
        return (rows.rstrip("\n") + "\n").encode()
    header = [csv_name(str(name)) for name in table.columns]
    text: str = table.to_csv(index=False, header=header, sep=_SEPARATORS[path.suffix.lower()])
    return text.encode()
