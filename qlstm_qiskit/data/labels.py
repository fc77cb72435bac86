"""Labels of classes: cells of a column as labels, names for messages, and plain values for files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data.cells import is_text
from qlstm_qiskit.data.numbers import MISSING
from qlstm_qiskit.errors import DataError

#: Classes that a message names at most.
_NAMED = 8
#: Words of a column in which every cell is one of them.
_TRUTH = {"true": True, "false": False}


def labels_of(cells: pd.Series, lines: NDArray[Any] | None, where: str) -> NDArray[Any]:
    """The label of each row, (rows,): whole numbers or truth values where all cells are, else text, stripped.

    Args:
        cells: Text, or what a Parquet file or a DataFrame has.
        lines: Of each row; 0 for rows that were filled in.
        where: The source and what a row is called, for messages.

    Raises:
        DataError: A row has no label, or labels are numbers that are not whole.
    """
    name = str(cells.name)
    text = cells.astype(object).map(str).str.strip() if not is_text(cells) else cells.str.strip()
    lost = np.flatnonzero(cells.isna().to_numpy() | text.isin(MISSING).to_numpy())
    if len(lost):
        line = lost[0] + 1 if lines is None else lines[lost[0]]
        place = f"{where} {line}" if line else f"{where} of a date that is missing"
        raise DataError(
            f"{place}, column {name!r}: {cells.iloc[lost[0]]!r} is no class but a missing one ({len(lost)} such in all); give "
            "the class, under another name if this is it, or remove the row (--impute fills in numbers alone)."
        )
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    if np.isfinite(values).all():
        odd = np.flatnonzero((values != np.round(values)) | (np.abs(values) > 2.0**53))
        if len(odd):
            raise DataError(
                f"{where} {odd[0] + 1 if lines is None else lines[odd[0]]}, column {name!r}: {text.iloc[odd[0]]!r} is no "
                "class; classes are text or whole numbers. To forecast numbers train with --task regression."
            )
        return values.astype(np.int64)
    if text.str.lower().isin(_TRUTH).all():
        return text.str.lower().map(_TRUTH).to_numpy(bool)
    return text.to_numpy(str)


def named(classes: Iterable[Any]) -> str:
    """Classes for a message."""
    names = [repr(getattr(label, "item", lambda label=label: label)()) for label in classes]
    return ", ".join([*names[:_NAMED], *([f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else [])])


def spoken(label: Any) -> str:
    """A class as figures, tables and columns name it."""
    return str(getattr(label, "item", lambda: label)())


def places_of(cells: pd.Series, classes: NDArray[Any]) -> NDArray[np.intp]:
    """The place of each row's label among classes, (rows,); -1 where it is none of them.

    Args:
        cells: As in `labels_of`; they may be missing.
        classes: (n_classes,).
    """
    text = cells.astype(object).where(cells.notna(), "").map(str).str.strip()
    if classes.dtype.kind in "iu":
        return np.asarray(pd.Index(classes.astype(np.float64)).get_indexer(pd.to_numeric(text, errors="coerce")))
    if classes.dtype.kind == "b":
        return np.asarray(pd.Index([spoken(label).lower() for label in classes]).get_indexer(text.str.lower()))
    return np.asarray(pd.Index(classes.astype(object)).get_indexer(pd.Index(text, dtype=object)))
