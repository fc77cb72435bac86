"""Conformal intervals: a part of the windows that calibrates, and the half-widths that its residuals give."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from qlstm_qiskit.data.cut import require_lead
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.data.windows import Dataset, part_of
from qlstm_qiskit.errors import DataError, OptionError, ShapeError, unknown_option

#: How half-widths come about: beginning with the calibration part and following what is observed, or from that part alone.
INTERVAL_METHODS = ("adaptive", "split")

#: Of the logarithm of an adaptive half-width: three misses in a row at level 0.9 double it.
STEP = 0.25


@dataclass(frozen=True)
class Intervals:
    """Forecast intervals of a run.

    Attributes:
        level: Part of the values that is to lie within them, above 0 and below 1.
        calibration_fraction: Part of the windows before the test part, the last of them, that calibrates and does not train.
        method: "split" for half-widths from the calibration part alone, "adaptive" for ones that begin with those and follow
            what is observed, see `tracked`: series are seldom so steady that what held in one part holds in the next.

    Raises:
        OptionError: A value is not allowed.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    level: float
    calibration_fraction: float = 0.2
    method: str = "adaptive"

    def __post_init__(self) -> None:
        require_level(self.level, "interval")
        if not 0 < self.calibration_fraction < 1:
            raise OptionError(f"calibration_fraction is {self.calibration_fraction}; it must lie between 0 and 1.")
        if self.method not in INTERVAL_METHODS:
            raise unknown_option("interval_method", self.method, INTERVAL_METHODS)

    def cut(self, dataset: Dataset) -> Dataset:
        """The same series with the last part of its training windows set aside, in `Dataset.calibration`.

        Windows between, one fewer than the horizon, are left out: the values that they predict are those of windows that
        calibrate. The test part is as it was.

        Args:
            dataset: A series without a calibration part.

        Raises:
            OptionError: The series is predicted several steps ahead, without those between.
            DataError: The part has too few windows for the level, or leaves none to train.
        """
        require_lead(dataset.lead, interval=self)
        count, least = len(dataset.x_train), windows_needed(self.level)
        n_own = part_of(self.calibration_fraction, count)
        n_train = count - n_own - (dataset.horizon - 1)
        if n_own < least:
            raise DataError(
                f"intervals of level {self.level:g} need {least} calibration windows, and {self.calibration_fraction:g} of the "
                f"{count} windows of {dataset.name} before its test part are {n_own}; give a longer series, a larger "
                "calibration_fraction or a lower level."
            )
        if n_train < 1:
            raise DataError(f"{n_own} calibration windows of {count} leave none to train; give a smaller calibration_fraction.")
        part = dataset.x_train[count - n_own :], dataset.y_train[count - n_own :]
        return replace(dataset, x_train=dataset.x_train[:n_train], y_train=dataset.y_train[:n_train], calibration=part)


def require_level(level: float, name: str = "level") -> float:
    """The level, or `OptionError` where it does not lie between 0 and 1.

    Args:
        level: Part of the values that is to lie within an interval.
        name: What the option is called.

    Raises:
        OptionError: It does not lie between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise OptionError(f"{name} is {level!r}; it must lie between 0 and 1, such as 0.9.")
    return float(level)


def windows_needed(level: float) -> int:
    """How many residuals an interval of this level needs at least: level / (1 - level), rounded up.

    With fewer, the only interval that is known to hold the next value so often has no ends.

    Args:
        level: Part of the values that is to lie within it.

    Raises:
        OptionError: The level does not lie between 0 and 1.
    """
    exact = Fraction(str(require_level(level)))
    return math.ceil(exact / (1 - exact))


def conformal_radius(scores: Floats, level: float) -> Floats:
    """Half-widths of intervals that hold the next value with the probability `level` at least.

    Of n scores it is the ceil((n + 1) * level)-th smallest. The probability is over calibration and next value together, and
    holds where they are exchangeable: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); Lei,
    G'Sell, Rinaldo, Tibshirani and Wasserman, JASA 113 (2018) 1094, theorem 2.2 (split conformal prediction).

    Args:
        scores: Absolute residuals of forecasts that were not trained on, (n, steps), in any unit; those that are not known are
            NaN.
        level: Between 0 and 1.

    Returns:
        (steps,), in the unit of the scores. It is infinite for a step with fewer than `windows_needed(level)` of them.

    Raises:
        OptionError: The level does not lie between 0 and 1.
    """
    exact, radius = Fraction(str(require_level(level))), np.full(scores.shape[1], np.inf)
    for step in range(scores.shape[1]):
        known = np.sort(scores[~np.isnan(scores[:, step]), step])
        place = math.ceil((len(known) + 1) * exact)
        if place <= len(known):
            radius[step] = known[place - 1]
    return radius


def tracked(radius: Floats, scores: Floats, level: float) -> Floats:
    """Half-widths that follow what is observed: wider after each miss, a little narrower after each hit.

    The radius of a window is known when it ends: it has learned from those before whose values have come true by then, which
    for step s are the windows up to s before it. Its logarithm moves by `STEP` * (missed - (1 - level)), so that in the long
    run 1 - level of the values are missed however the series changes: quantile tracking, Angelopoulos, Candes and Tibshirani,
    Conformal PID control for time series prediction, NeurIPS 2023, on the logarithm of the residuals; after Gibbs and Candes,
    Adaptive conformal inference under distribution shift, NeurIPS 2021.

    Args:
        radius: To begin with, (steps,).
        scores: Absolute residuals of successive windows, (n, steps); NaN where it is not known what came true.
        level: Between 0 and 1.

    Returns:
        (n + 1, steps): the radius of each window, and of the one after them.

    Raises:
        OptionError: The level does not lie between 0 and 1.
        ShapeError: The scores are of another number of steps.
    """
    level = require_level(level)
    if scores.ndim != 2 or scores.shape[1:] != radius.shape:
        raise ShapeError(f"the scores have the shape {scores.shape}, and there are {len(radius)} half-widths.")
    found = np.tile(radius.astype(np.float64), (len(scores) + 1, 1))
    for step in range(len(radius)):
        current = found[0, step]
        for window in range(len(found)):
            seen = window - step - 1
            if seen >= 0 and not math.isnan(scores[seen, step]):
                missed = bool(scores[seen, step] > found[seen, step])
                grown = current * math.exp(STEP * (missed - (1 - level)))
                current = float(scores[seen, step]) if missed and not current else grown
            found[window, step] = current
    return found
