"""Supervised windows of a series, and what forecasts of them mean in its own units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from qlstm_qiskit.data.change import Change
from qlstm_qiskit.data.known import Known
from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats, Scaler
from qlstm_qiskit.data.times import Times
from qlstm_qiskit.errors import DataError, require_at_least


@dataclass(frozen=True, eq=False)
class Dataset:
    """Windows of a series, split in time order.

    Attributes:
        name: Name of the series or of its file.
        features, target: Names of the inputs and of the column to predict.
        x_train, x_test: Inputs, (n, window, features), scaled.
        y_train, y_test: The next `horizon` values of the target, (n, horizon), scaled; or the one that is `lead` steps ahead.
        input_scaler, target_scaler: What was applied; `inverse` gives original units, where nothing is changed.
        last_test: The target at the last step of each test window, (n, 1), scaled.
        values: The target over all rows, (rows,), in original units.
        season: Rows after which the target comes back to about the same; 1 where that is unknown.
        times: The dates of all rows, where a file has any.
        reading: What has to be said to read the file in the same way again; None for a plain one.
        said: What was recognised in the file, in words.
        change: What is learned in place of the series; None for the series itself. Inputs, targets and predictions are then
            of the changed one, see `original` and `as_series`.
        series_scaler: Scaler of the series itself, fitted as if nothing were changed; None where nothing is.
        calibration: Windows and their targets, as of training, that were set aside to calibrate intervals; None for none.
        known: Which of the inputs, the last ones, are known ahead; None for none.
        inputs: Where some are, all inputs in all rows, (rows, features), scaled; NaN where they are not known.
        lead: Steps from a window's last row to the first that it predicts; above 1 it predicts that one alone.
    """

    name: str
    features: tuple[str, ...]
    target: str
    x_train: Floats
    y_train: Floats
    x_test: Floats
    y_test: Floats
    input_scaler: Scaler
    target_scaler: Scaler
    last_test: Floats
    values: Floats
    season: int = 1
    times: Times | None = None
    reading: Reading | None = None
    said: str = ""
    change: Change | None = None
    series_scaler: Scaler | None = None
    calibration: tuple[Floats, Floats] | None = None
    known: Known | None = None
    inputs: Floats | None = None
    lead: int = 1

    @property
    def window(self) -> int:
        return self.x_train.shape[1]

    @property
    def horizon(self) -> int:
        return self.y_train.shape[1]

    @property
    def n_outputs(self) -> int:
        """Outputs of a model of it."""
        return self.horizon

    @property
    def answers(self) -> NDArray[Any]:
        """What an estimator's `fit` is given with the training windows."""
        return self.y_train

    @property
    def n_known(self) -> int:
        """Rows up to the end of the first test window: those that training windows, and calibrating ones, read."""
        aside = 0 if self.calibration is None else len(self.calibration[0]) + self.horizon - 1
        return self.first_train + len(self.x_train) + aside + self.horizon - 1

    @property
    def first_train(self) -> int:
        """The row of the series, from 0, that the first training window predicts."""
        return self.window + self.lead - 1 + (0 if self.change is None else self.change.reach)

    @property
    def first_test(self) -> int:
        """The row of the series, from 0, that the first test window predicts."""
        return self.n_known + self.lead - 1

    @property
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The first row that each window predicts, from 0: of those that train, calibrate and test."""
        n_own = 0 if self.calibration is None else len(self.calibration[0])
        first = self.n_known - self.horizon + 1 - n_own
        return (
            self.first_train + np.arange(len(self.x_train)),
            first + np.arange(n_own),
            self.first_test + np.arange(len(self.x_test)),
        )

    def original(self, scaled: Floats, first: int | None = None) -> Floats:
        """Predictions, or targets, in original units, (n, horizon), from scaled ones of consecutive windows.

        Args:
            scaled: (n, horizon).
            first: The row that the first window predicts, from 0, at least `first_train`; by default that of the test part.
        """
        return self.unchanged(self.target_scaler.inverse(scaled), first)

    def unchanged(self, values: Floats, first: int | None = None) -> Floats:
        """The same from values of the changed series that are not scaled, (n, steps), for any number of steps.

        Args:
            values: (n, steps).
            first: As in `original`.
        """
        return values if self.change is None else self.change.invert(values, self._past(first, len(values)))

    def as_series(self, scaled: Floats, first: int | None = None) -> Floats:
        """Scaled predictions, or targets, as those of the series itself, scaled, which errors are measured on; (n, horizon).

        So errors can be compared whatever is learned. Where nothing is changed they are what is given.

        Args:
            scaled, first: As in `original`.
        """
        return scaled if self.series_scaler is None else self.series_scaler.transform(self.original(scaled, first))

    def _past(self, first: int | None, n: int) -> Floats:
        assert self.change is not None
        return self.change.past(self.values, self.first_test if first is None else first, n)

    def _scaled(self, values: Floats) -> Floats:
        """Forecasts of the test part in original units, (n, steps), as a model would give them."""
        changed = values if self.change is None else self.change.ahead(values, self._past(None, len(values)))
        return self.target_scaler.transform(changed)

    def tested(self, count: int) -> Self:
        """The same with the first windows of the test part only.

        Args:
            count: How many.

        Raises:
            OptionError: None, or more than there are.
        """
        n = require_at_least("windows", count, 1, len(self.x_test))
        return replace(self, x_test=self.x_test[:n], y_test=self.y_test[:n], last_test=self.last_test[:n])

    def validation(self, fraction: float) -> tuple[Floats, Floats]:
        """The last part of the training windows and their targets, at least one: what `valid_fraction` holds out."""
        first = self.first_validation(fraction) - self.first_train
        return self.x_train[first:], self.y_train[first:]

    def first_validation(self, fraction: float) -> int:
        """The row that the first window of `validation` predicts."""
        return self.first_train + len(self.x_train) - max(part_of(fraction, len(self.x_train)), 1)

    def persistence(self, horizon: int | None = None) -> Floats:
        """The test forecast that nothing changes: the target's last known value, (n, horizon), scaled.

        `horizon` is the data set's own by default, here and in `seasonal_naive`.
        """
        steps = self.horizon if horizon is None else horizon
        if self.change is None:
            return np.repeat(self.last_test, steps, axis=1)
        last = self.values[self.n_known - 1 + np.arange(len(self.x_test))]
        return self._scaled(np.repeat(last[:, None], steps, axis=1))

    def seasonal_naive(self, horizon: int | None = None) -> Floats:
        """The test forecast that each season is as the last one: the target one season before, (n, horizon), scaled.

        Beyond a season the last known one is repeated. With a season of 1 it is `persistence`.
        """
        ahead = self.lead - 1 + np.arange(self.horizon if horizon is None else horizon)
        rows = self.n_known + np.arange(len(self.x_test))  # those after each window
        return self._scaled(self.values[rows[:, None] + ahead % self.season - self.season])

    def mase_scale(self) -> float:
        """What MASE divides a mean absolute error by: the mean of ``|y_t - y_(t - season)|`` before the test part.

        In original units, over the rows that training windows, and calibrating ones, read: the same with intervals and without.
        It is 0 where they are constant, and MASE is not defined.
        Hyndman and Koehler, International Journal of Forecasting 22 (2006) 679, with the naive forecast of the season.
        """
        known = self.values[: self.n_known]
        return float(np.mean(np.abs(known[self.season :] - known[: -self.season])))


def part_of(fraction: float, count: int) -> int:
    """So large a part of `count` things, rounded down.

    The fraction is the decimal one that is written, or the computed one that rounds to it: 0.7 of 90 are 63, though their
    product is 62.99999999999999 in floats; and 2 / 3 of 90 are 60, though it is written 0.6666666666666666.

    Args:
        fraction: At least 0.
        count: How many there are.
    """
    return max(math.floor(fraction * count), math.floor(Fraction(str(fraction)) * count))


def split_validation(n_windows: int, horizon: int, fraction: float) -> tuple[int, int]:
    """How many windows train, the first ones, and how many validate, the last ones.

    Those between, one fewer than the horizon, do neither: the values that they predict are those of windows that validate.

    Args:
        n_windows: Windows in time order, each one step after the one before.
        horizon: Values that each predicts.
        fraction: Part of the windows that validates, rounded down; 0 for none.

    Raises:
        DataError: Nothing is left to train or to validate.
    """
    n_valid = part_of(fraction, n_windows)
    n_train = n_windows - n_valid - (horizon - 1 if n_valid else 0)
    if fraction and (n_valid < 1 or n_train < 1):
        raise DataError(f"{n_windows} windows leave no validation part of {fraction}; give more of them.")
    return n_train, n_valid


def sliding_windows(values: Floats, window: int) -> Floats:
    """All runs of `window` consecutive rows.

    Args:
        values: (rows, columns).
        window: Rows in each run.

    Returns:
        (rows - window + 1, window, columns), a copy.
    """
    return np.lib.stride_tricks.sliding_window_view(values, window, axis=0).transpose(0, 2, 1).copy()
