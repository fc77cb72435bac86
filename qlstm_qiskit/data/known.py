"""Inputs that are known ahead: columns such as a holiday or a planned price, and the calendar of the dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from qlstm_qiskit.data.scaler import Floats, Scaler, scaled_rows
from qlstm_qiskit.errors import DataError, OptionError, unknown_option

#: Cycles of a date, and where in one it is, from 0 to 1: read as a sine and a cosine, so that its end is next to its start.
CYCLES: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "minute": lambda dates: (dates.minute + dates.second / 60) / 60,
    "hour": lambda dates: (dates.hour + dates.minute / 60 + dates.second / 3600) / 24,
    "weekday": lambda dates: dates.dayofweek / 7,
    "day": lambda dates: (dates.day - 1) / dates.days_in_month,
    "month": lambda dates: (dates.month - 1) / 12,
    "quarter": lambda dates: (dates.quarter - 1) / 4,
    "dayofyear": lambda dates: (dates.dayofyear - 1) / np.where(dates.is_leap_year, 366, 365),
}

#: Marks of a date, 0 or 1.
MARKS: dict[str, Callable[[pd.DatetimeIndex], Any]] = {"weekend": lambda dates: dates.dayofweek >= 5}

#: All that `Known.calendar` may name.
CALENDAR = (*CYCLES, *MARKS)

#: Below this a sine has not moved.
_SAME = 1e-9


@dataclass(frozen=True)
class Known:
    """Inputs whose values in the rows to predict are known when these are predicted.

    A model that predicts rows t+1 to t+h reads each of them *shifted* at the step of row t: the column "holiday" as "holiday+1"
    to "holiday+h", its values in rows t+1 to t+h. So it reads ahead in these columns, and no further than it predicts. The
    sine and cosine of a cycle are read in row t+1 alone: those of later rows follow from them.

    Attributes:
        columns: Names of columns.
        calendar: Names in `CALENDAR`, computed from the dates of the rows.

    Raises:
        OptionError: A name is unknown, or there twice.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    columns: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, names in (("known", self.columns), ("calendar", self.calendar)):
            if len(set(names)) < len(names):
                raise OptionError(f"{what} names one twice: {', '.join(names)}.")
        for name in self.calendar:
            if name not in CALENDAR:
                raise unknown_option("calendar", name, CALENDAR)

    @classmethod
    def of(cls, columns: Sequence[str], calendar: Sequence[str], target: str | None = None) -> Known | None:
        """What options ask for; None for nothing.

        Args:
            columns, calendar: See the class.
            target: The column to predict, which is not known ahead.

        Raises:
            OptionError: A value is not allowed.
        """
        if target in columns:
            raise OptionError(f"known names {target!r}, the column to predict; leave it out there.")
        return cls(tuple(columns), tuple(calendar)) if len(columns) or len(calendar) else None

    @property
    def channels(self) -> tuple[str, ...]:
        """What `rows` has, in this order: the columns, and those of the calendar."""
        cycles = [part for name in self.calendar for part in ((f"sin({name})", f"cos({name})") if name in CYCLES else (name,))]
        return (*self.columns, *cycles)

    def _shifts(self, horizon: int) -> Iterator[tuple[int, int]]:
        """For each input, its channel and how many rows ahead it is read."""
        cycles = {part for name in CYCLES for part in (f"sin({name})", f"cos({name})")}
        for place, name in enumerate(self.channels):
            alone = place >= len(self.columns) and name in cycles
            yield from ((place, ahead) for ahead in range(1, 2 if alone else horizon + 1))

    def inputs(self, horizon: int) -> tuple[str, ...]:
        """Names of the inputs of a model, such as "holiday+1"."""
        return tuple(f"{self.channels[place]}+{ahead}" for place, ahead in self._shifts(horizon))

    def rows(self, values: Floats, dates: pd.DatetimeIndex | None, source: str) -> Floats:
        """The channels of each row, (rows, channels), in original units.

        Args:
            values: Of `columns`, (rows, columns).
            dates: Of as many of the rows as have one, the first ones; later ones have NaN.
            source: What the rows were read from, for messages.

        Raises:
            DataError: There are no dates, and the calendar needs them.
        """
        if not self.calendar:
            return values
        if dates is None:
            raise DataError(
                f"{source} has no dates that {', '.join(self.calendar)} could be made from; name their column by --date-column."
            )
        made = np.full((len(values), len(self.channels)), np.nan)
        made[:, : len(self.columns)] = values
        made[: len(dates), len(self.columns) :] = np.stack(list(_calendar(self.calendar, dates)), axis=1)
        return made

    def fitted(self, source: str, rows: Floats) -> Scaler:
        """A scaler of the channels; those of the calendar have the same one in every series.

        Args:
            source: For messages.
            rows: (rows, channels), that training windows may see.

        Raises:
            DataError: A column of the calendar is the same in all of them, or a value is too large.
        """
        n = len(self.columns)
        place = n
        for name in self.calendar:
            width = 2 if name in CYCLES else 1
            if (np.ptp(rows[:, place : place + width], axis=0) < _SAME).all():
                raise DataError(
                    f"the {name} is the same in all rows of {source} before its test part; leave it out of the calendar."
                )
            place += width
        columns = Scaler.fit(rows[:, :n], [f"column {column!r} of {source}" for column in self.columns])
        low = [0.0 if name in MARKS else -1.0 for name in self.channels[n:]]
        return Scaler((*columns.low, *low), (*columns.high, *[1.0] * len(low)))

    def scaled(self, source: str, rows: Floats, scaler: Scaler, horizon: int) -> Floats:
        """The inputs of each row, (rows, inputs), scaled; NaN where the row that they are of is not there.

        Args:
            source: For messages.
            rows: (rows, channels) in original units; NaN where they are not known.
            scaler: Of the channels.
            horizon: Rows that are predicted.

        Raises:
            DataError: A value is too far from those that the scaler was fitted on.
        """
        given = np.isfinite(rows)
        own = scaled_rows(source, self.channels, np.where(given, rows, scaler.low), scaler)
        own = np.where(given, own, np.nan)
        after = np.concatenate([own, np.full((horizon, own.shape[1]), np.nan)])
        return np.stack([after[ahead : ahead + len(own), place] for place, ahead in self._shifts(horizon)], axis=1)

    def of_inputs(self, channels: Scaler, horizon: int) -> Scaler:
        """The scaler of the inputs from that of the channels."""
        places = [place for place, _ in self._shifts(horizon)]
        return Scaler(tuple(channels.low[place] for place in places), tuple(channels.high[place] for place in places))

    def of_channels(self, inputs: Scaler, horizon: int) -> Scaler:
        """The scaler of the channels from that of the inputs."""
        first = [number for number, (_, ahead) in enumerate(self._shifts(horizon)) if ahead == 1]
        return Scaler(tuple(inputs.low[number] for number in first), tuple(inputs.high[number] for number in first))


def _calendar(names: Sequence[str], dates: pd.DatetimeIndex) -> Iterator[Floats]:
    for name in names:
        if name in MARKS:
            yield np.asarray(MARKS[name](dates), dtype=np.float64)
        else:
            angle = 2 * np.pi * np.asarray(CYCLES[name](dates), dtype=np.float64)
            yield np.sin(angle)
            yield np.cos(angle)


def own_columns(features: tuple[str, ...], known: Known | None, horizon: int) -> tuple[str, ...]:
    """The inputs that are columns in the row itself: those before the ones that are known ahead.

    Args:
        features: Names of all inputs.
        known: What of them is known ahead.
        horizon: Rows that are predicted.
    """
    return features if known is None else features[: len(features) - len(known.inputs(horizon))]
