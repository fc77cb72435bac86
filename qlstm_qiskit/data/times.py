"""Dates of rows: which column holds them, in which order they are, how often they come, and which are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from qlstm_qiskit.data.dates import frequency, years_of
from qlstm_qiskit.data.order import is_named_as_time, order_of, sampled
from qlstm_qiskit.data.reading import NO_DATES, Reading
from qlstm_qiskit.errors import DataError, unknown_option

#: Clocks are put back by so much at most.
_CLOCKS = pd.Timedelta(hours=1)
#: More repeated dates than this part, in rows that are in no order: they are several series below one another.
_MOST_REPEATED = 0.05

_WORDS = {
    "D": "daily",
    "B": "business days",
    "W": "weekly",
    "h": "hourly",
    "min": "every minute",
    "s": "every second",
    **dict.fromkeys(("MS", "ME", "BMS", "BME"), "monthly"),
    **dict.fromkeys(("QS", "QE", "BQS", "BQE"), "quarterly"),
    **dict.fromkeys(("YS", "YE", "BYS", "BYE"), "yearly"),
}
_UNITS = {
    "D": "days",
    "B": "business days",
    "W": "weeks",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    **dict.fromkeys(("MS", "ME", "BMS", "BME"), "months"),
    **dict.fromkeys(("QS", "QE", "BQS", "BQE"), "quarters"),
    **dict.fromkeys(("YS", "YE", "BYS", "BYE"), "years"),
}


@dataclass(frozen=True, eq=False)
class Times:
    """The dates of a series.

    Attributes:
        column: Name of the column that they are from.
        dates: One per row, in the order of the rows.
        freq: pandas' name of how often they come; None where there is no rule that says what the next ones are.
        missing: Dates that the rule asks for, and no row has.
        years: Whether they were written as whole numbers of years.
    """

    column: str
    dates: pd.DatetimeIndex
    freq: str | None = None
    missing: pd.DatetimeIndex | None = None
    years: bool = False

    @classmethod
    def of(cls, column: str, dates: pd.DatetimeIndex, *, years: bool = False) -> Times:
        """With the frequency that the dates have."""
        freq, missing = frequency(dates)
        return cls(column, dates, freq, missing, years)

    @property
    def often(self) -> str:
        """How often dates come, in words; "" where they follow no rule."""
        if self.freq is None:
            return ""
        offset = to_offset(self.freq)
        name = offset.name.split("-")[0].lstrip("0123456789")
        return _WORDS.get(name, self.freq) if offset.n == 1 else f"every {offset.n} {_UNITS.get(name, name)}"

    def after(self, steps: int) -> pd.DatetimeIndex | None:
        """The dates of so many rows after the last one; None where no rule says them, or where it has left some out.

        Holidays are such: business days with some of them missing do not tell of the next one.
        """
        holidays = self.missing is not None and len(self.missing) and to_offset(self.freq).name == "B"
        if self.freq is None or holidays:
            return None
        try:
            return pd.date_range(self.dates[-1], periods=steps + 1, freq=self.freq)[1:]
        except (ValueError, OverflowError):  # beyond the last date that there is
            return None

    def written(self, dates: pd.DatetimeIndex | None = None) -> list[str] | list[int]:
        """Dates as files and tables have them: ISO 8601, without the time of day where all are at midnight; or years."""
        dates = self.dates if dates is None else dates
        if self.years:
            return [int(year) for year in dates.year]
        if (self.dates == self.dates.normalize()).all():
            return [str(day) for day in dates.strftime("%Y-%m-%d")]
        return [one.isoformat() for one in dates]

    def gaps(self) -> np.ndarray:
        """Rows before which dates are missing, (gaps,)."""
        if self.missing is None or not len(self.missing) or to_offset(self.freq).name == "B":
            return np.empty(0, int)
        return np.unique(self.dates.searchsorted(self.missing))


def find_times(cells: pd.DataFrame, target: str, reading: Reading, source: str) -> tuple[str, str]:
    """The column of dates or of other times, and where its rows go: "forward", "backward" or "mixed"; "" where there is none.

    Args:
        cells: Text, rows as they are in the file.
        target: The column to predict, which is none of them unless it is named.
        reading: What is given.
        source: For messages.

    Raises:
        OptionError: There is no column of that name.
        DataError: Rows are in the order of none of several columns of dates.
    """
    named = reading.date_column
    if named is not None and named not in cells.columns:
        if named == NO_DATES:
            return "", ""
        raise unknown_option("date column", named, [str(column) for column in cells.columns if column])
    if named is not None:
        return named, "given"
    places = sampled(len(cells))
    seen = {name: cells[name].iloc[places].astype(str) for name in map(str, cells.columns) if name and name != target}
    orders = {name: order_of(name, column, np.arange(len(places))) for name, column in seen.items()}
    for wanted in ("forward", "backward", "mixed"):
        found = [name for name, order in orders.items() if order == wanted]
        if wanted == "mixed" and len(found) > 1 and reading.sort is not False:
            raise DataError(
                f"{source}: rows are in the order of none of the columns {', '.join(map(repr, found))}; say which "
                f"one holds their dates by --date-column, or --date-column {NO_DATES} to take rows as they are."
            )
        if found:
            return found[0], wanted
    years = [name for name in orders if is_named_as_time(name) and years_of(seen[name]) is not None]
    return (years[0], "forward") if years else ("", "")


def time_order(dates: pd.DatetimeIndex, source: str, lines: np.ndarray) -> np.ndarray | None:
    """The order in which rows are sorted by date; None where they are already. Rows of one date keep their order.

    Rows whose newest comes first are turned round, with those of one date among them. Where clocks are put back, an hour comes
    twice, and rows that are in order stay so.

    Args:
        dates: One per row.
        source, lines: For messages.

    Raises:
        DataError: They are in no order, and many dates are there more than once.
    """
    places = np.arange(len(dates))
    values = dates.asi8
    if len(values) > 1 and values[-1] < values[0] and (np.diff(values) <= 0).mean() >= 0.9:
        places = places[::-1]
    if not _keeps(dates[places]):
        repeated = dates.duplicated(keep=False)
        if repeated.mean() > _MOST_REPEATED and not _is_backward(places):
            first, second = np.flatnonzero(dates == dates[repeated][0])[:2]
            raise DataError(
                f"{source}: rows are in no order and {int(dates.duplicated().sum())} dates are there more than once, such as "
                f"that of lines {lines[first]} and {lines[second]}; keep several series in files of their own."
            )
        places = places[np.argsort(values[places], kind="stable")]
    return None if (places == np.arange(len(places))).all() else places


def _is_backward(places: np.ndarray) -> bool:
    return len(places) > 1 and bool(places[0] > places[-1])


def _keeps(dates: pd.DatetimeIndex) -> bool:
    """Whether dates never go back, but for an hour that comes twice."""
    steps = dates[1:] - dates[:-1]
    back = np.flatnonzero(steps < pd.Timedelta(0))
    return not len(back) or bool(
        (steps[back] >= -_CLOCKS).all()
        and dates.tz is None
        and dates[back + 1].isin(dates[: back[-1] + 1]).all()
        and len(back) < 0.02 * len(dates)
    )
