"""Rows of sktime's X: columns that are known ahead, read in the row that is predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data import Scaler
from qlstm_qiskit.errors import DataError

Floats = NDArray[np.float64]

#: What to do about missing values, in words.
IMPUTER = (
    "compose with sktime.transformations.series.impute.Imputer: Imputer() * QLSTMForecaster(...) fills y, and "
    "Imputer() ** QLSTMForecaster(...) fills X."
)


@dataclass(frozen=True, eq=False)
class Exogenous:
    """All rows of X that have been given so far.

    Attributes:
        rows: One per label of time, sorted.
        scaler: Of the rows that the model was fitted on.
    """

    rows: pd.DataFrame
    scaler: Scaler

    @classmethod
    def fit(cls, X: pd.DataFrame, index: pd.Index) -> Exogenous:
        """From the X of a fit, scaled by its rows at the labels of y.

        Raises:
            DataError: It has no row where y has one, or more than one.
        """
        _require_once(X)
        found = cls(X.sort_index(), Scaler.identity(X.shape[1]))
        return replace(found, scaler=Scaler.fit(found._at(index), [f"column {name!r} of X" for name in X.columns]))

    def joined(self, X: pd.DataFrame | None) -> Exogenous:
        """With further or corrected rows.

        Raises:
            DataError: It has other columns, an index of another kind, or a label twice.
        """
        if X is None:
            return self
        if list(X.columns) != list(self.rows.columns):
            raise DataError(f"X has the columns {_names(X)}; this forecaster was fitted with {_names(self.rows)}. Give those.")
        _require_once(X)
        try:
            rows = pd.concat([self.rows, X])
            rows = rows[~rows.index.duplicated(keep="last")].sort_index()
        except TypeError as error:
            raise DataError(f"the index of X does not go with that of the rows before: {error}.") from None
        return replace(self, rows=rows)

    def scaled(self, labels: pd.Index) -> Floats:
        """The rows of these labels, (rows, columns), scaled.

        Raises:
            DataError: One is not there.
        """
        return self.scaler.transform(self._at(labels))

    def _at(self, labels: pd.Index) -> Floats:
        try:
            places = self.rows.index.get_indexer(labels)
        except (TypeError, ValueError):  # pandas compares periods of one frequency only
            places = np.full(len(labels), -1)
        lost = np.flatnonzero(places < 0)
        if len(lost):
            there = f"those from {self.rows.index[0]} to {self.rows.index[-1]}" if len(self.rows) else "none"
            raise DataError(
                f"X has no row at {labels[lost[0]]} ({len(lost)} such in all); give one for each row of y, and to predict "
                f"one for each row up to the farthest of fh. There are {there}."
            )
        values = self.rows.to_numpy(dtype=np.float64)[places]
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            name = self.rows.columns[column]
            raise DataError(f"column {name!r} of X has no finite number at {labels[row]}; {IMPUTER}")
        return values


def _require_once(X: pd.DataFrame) -> None:
    if X.index.has_duplicates:
        raise DataError(f"X has more than one row at {X.index[X.index.duplicated()][0]}; keep one of them.")


def _names(X: pd.DataFrame) -> str:
    return ", ".join(map(repr, X.columns))
