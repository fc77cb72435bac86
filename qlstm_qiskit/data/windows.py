"""Supervised windows of a series: scaled, cut and split in time order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats, Scaler, scaled_rows
from qlstm_qiskit.data.times import Times
from qlstm_qiskit.errors import DataError, OptionError, require_at_least


@dataclass(frozen=True, eq=False)
class Dataset:
    """Windows of a series, split in time order.

    Attributes:
        name: Name of the series or of its file.
        features, target: Names of the input columns and of the column to predict.
        x_train, x_test: Inputs, (n, window, features), scaled.
        y_train, y_test: The next `horizon` values of the target, (n, horizon), scaled.
        input_scaler, target_scaler: What was applied; `inverse` gives original units.
        last_test: The target at the last step of each test window, (n, 1), scaled.
        values: The target over all rows, (rows,), in original units.
        season: Rows after which the target comes back to about the same; 1 where that is unknown.
        times: The dates of all rows, where a file has any.
        reading: What has to be said to read the file in the same way again; None for a plain one.
        said: What was recognised in the file, in words.
        calibration: Windows and their targets, as of training, that were set aside to calibrate intervals; None for none.
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
    calibration: tuple[Floats, Floats] | None = None

    @property
    def window(self) -> int:
        return self.x_train.shape[1]

    @property
    def horizon(self) -> int:
        return self.y_train.shape[1]

    @property
    def n_known(self) -> int:
        """Rows before the first that a test window predicts: those that training windows, and calibrating ones, read."""
        aside = 0 if self.calibration is None else len(self.calibration[0]) + self.horizon - 1
        return len(self.x_train) + aside + self.window + self.horizon - 1

    @property
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The first row that each window predicts, from 0: of those that train, calibrate and test."""
        n_own = 0 if self.calibration is None else len(self.calibration[0])
        first = self.n_known - self.horizon + 1 - n_own
        return (
            self.window + np.arange(len(self.x_train)),
            first + np.arange(n_own),
            self.n_known + np.arange(len(self.x_test)),
        )

    def validation(self, fraction: float) -> tuple[Floats, Floats]:
        """The last part of the training windows and their targets, at least one: what `valid_fraction` holds out."""
        first = len(self.x_train) - max(part_of(fraction, len(self.x_train)), 1)
        return self.x_train[first:], self.y_train[first:]

    def persistence(self, horizon: int | None = None) -> Floats:
        """The test forecast that nothing changes: the target's last known value, (n, horizon), scaled.

        `horizon` is the data set's own by default, here and in `seasonal_naive`.
        """
        return np.repeat(self.last_test, self.horizon if horizon is None else horizon, axis=1)

    def seasonal_naive(self, horizon: int | None = None) -> Floats:
        """The test forecast that each season is as the last one: the target one season before, (n, horizon), scaled.

        Beyond a season the last known one is repeated. With a season of 1 it is `persistence`.
        """
        steps = np.arange(self.horizon if horizon is None else horizon) % self.season - self.season
        rows = self.n_known + np.arange(len(self.x_test))  # the first one that each window predicts
        return self.target_scaler.transform(self.values[rows[:, None] + steps])

    def mase_scale(self) -> float:
        """What MASE divides a mean absolute error by: the mean of ``|y_t - y_(t - season)|`` in the training part.

        In original units, over the rows that training windows read. It is 0 where they are constant, and MASE is not defined.
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


def make_dataset(
    name: str,
    inputs: Floats,
    target: Floats,
    *,
    features: Sequence[str],
    target_name: str,
    window: int = 4,
    horizon: int = 1,
    train_fraction: float = 0.67,
    scalers: tuple[Scaler, Scaler] | None = None,
    drop_last: int = 0,
    season: int = 1,
) -> Dataset:
    """Scale a series, cut it into windows and split them in time order.

    Args:
        name: Name for messages and results.
        inputs: (rows, features), in time order, in original units.
        target: (rows,): the value to predict, at the same times.
        features, target_name: Their names.
        window: Rows in each input window.
        horizon: How many of the target's next values a window predicts.
        train_fraction: Part of the windows (rounded down) before the first that tests. They train, except for the last
            horizon - 1, whose targets test windows predict too.
        scalers: For inputs and target; by default fitted on the rows that training windows read, and no others.
        drop_last: Windows to leave out at the end.
        season: Rows in a season of the target; 1 where it has none.

    Raises:
        DataError: The series is too short to give a window to each part, or a season before the first test row; or a value is
            no number, or too large.
        OptionError: An option is out of range.
    """
    n_windows = len(inputs) - window - horizon + 1 - drop_last
    first, n_train = _split(name, len(inputs), n_windows, window, horizon, train_fraction, season)
    known = first + window  # rows before the first that is tested
    column = np.asarray(target, dtype=np.float64)[:, None]
    if scalers is None:
        named = [f"column {feature!r} of {name}" for feature in features]
        scalers = Scaler.fit(inputs[:known], named), Scaler.fit(column[:known], [f"column {target_name!r} of {name}"])
    input_scaler, target_scaler = scalers
    scaled = scaled_rows(name, features, np.asarray(inputs, dtype=np.float64), input_scaler)
    scaled_target = scaled_rows(name, (target_name,), column, target_scaler)
    x = sliding_windows(scaled, window)[:n_windows]
    y = sliding_windows(scaled_target[window:], horizon)[:n_windows, :, 0]
    return Dataset(
        name=name,
        features=tuple(features),
        target=target_name,
        x_train=x[:n_train],
        y_train=y[:n_train],
        x_test=x[first:],
        y_test=y[first:],
        input_scaler=input_scaler,
        target_scaler=target_scaler,
        last_test=scaled_target[window - 1 + first : window - 1 + n_windows],
        values=column[:, 0].copy(),
        season=season,
    )


def _split(
    name: str, n_rows: int, n_windows: int, window: int, horizon: int, train_fraction: float, season: int
) -> tuple[int, int]:
    """The first window that tests, and how many train; errors as of `make_dataset`."""
    require_at_least("window", window, 1)
    require_at_least("horizon", horizon, 1)
    require_at_least("season", season, 1)
    if not 0 < train_fraction < 1:
        raise OptionError(f"train_fraction is {train_fraction}; it must lie between 0 and 1.")
    first = part_of(train_fraction, max(n_windows, 0))  # that tests
    n_train = first - (horizon - 1)
    if n_windows < 2 or n_train < 1:
        raise DataError(
            f"{name} has {n_rows} rows, which give {max(n_windows, 0)} windows of {window} rows and {horizon} to predict, "
            f"{max(n_train, 0)} of them to train; give a longer series, a smaller window or a smaller horizon."
        )
    if first + window <= season:
        raise DataError(
            f"{name} has {first + window} rows before the first that tests, and a season of {season} needs {season + 1}; "
            "give a larger train_fraction, a longer series or a smaller season."
        )
    return first, n_train
