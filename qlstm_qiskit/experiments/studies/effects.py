"""Sizes of paired differences: by what factor errors differ, and what factor a test could have found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies.statistics import COVERAGE, Interval, factor_of

#: The probability with which a difference of the minimal detectable size is found.
POWER = 0.8

#: Pairs for which the signed-rank test is as good as a t test on normal differences is for one: its asymptotic relative
#: efficiency (Hodges and Lehmann 1956).
_EFFICIENCY = 3 / math.pi


@dataclass(frozen=True)
class Effect:
    """By what factor the errors of one model are those of another, in pairs.

    Attributes:
        factor: The Hodges-Lehmann estimate that goes with the signed-rank test: the exponential of the median of all means of
            two log ratios (each with itself, too).
        interval: Of it: the factors that the exact signed-rank test of as many pairs without ties does not refuse at 5 %;
            None for fewer than 6 pairs, which can refuse none.
        superiority: The part of pairs in which the second model has the higher error, ties counted by half.
        detectable: The smallest factor above 1 that such a test finds with a probability of `POWER`, were log ratios normal
            with the spread that is observed; None where none can be found, or a run diverged.
    """

    factor: float
    interval: Interval | None
    superiority: float
    detectable: float | None


def effect(first: ArrayLike, second: ArrayLike, tests: int = 1) -> Effect:
    """The factor from errors (n,) of a first model to those of a second one on the same seeds.

    Args:
        first, second: Positive errors; infinity stands for a run that diverged.
        tests: How many tests p is corrected for, of which the strictest decides what is detectable.

    Raises:
        OptionError: The numbers of runs differ, or an error is negative or no number.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if a.shape != b.shape or not a.size or not (a >= 0).all() or not (b >= 0).all():
        raise OptionError(f"an effect is of pairs of errors, none of them negative; there are {a.size} and {b.size}.")
    finite, numbers = bool(np.isfinite(a).all() and np.isfinite(b).all()), np.finfo(np.float64)
    low, high = (np.log(np.clip(values, numbers.tiny, numbers.max)) for values in (a, b))
    ratios = high - low
    means = np.sort(((ratios[:, None] + ratios) / 2)[np.triu_indices(len(ratios))])
    rank = _refused(len(ratios))
    interval = None if rank is None else (factor_of(means[rank]), factor_of(means[-1 - rank]))
    return Effect(
        factor_of(float(np.median(means))),
        interval,
        float(np.mean((b > a) + 0.5 * (b == a))),
        _detectable(ratios, tests) if finite and rank is not None else None,
    )


def least_pairs(tests: int) -> int:
    """The fewest pairs with which the strictest of some tests can be decided: all differences have one sign."""
    count = 1
    while tests * 2.0 ** (1 - count) >= 1 - COVERAGE:
        count += 1
    return count


def _refused(n: int) -> int | None:
    """How many of the sorted means lie outside of the interval at each end; None where no outcome refuses anything."""
    ways: NDArray[np.float64] = np.ones(1)
    for rank in range(1, n + 1):  # the distribution of the sum of positive ranks
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways
        longer[rank:] += ways
        ways = longer
    below = np.cumsum(ways) / 2.0**n
    outside = int(np.searchsorted(below, (1 - COVERAGE) / 2, side="right"))
    return outside - 1 if outside else None


def _detectable(ratios: NDArray[np.float64], tests: int) -> float | None:
    """See `Effect`; by statsmodels, for a t test on as many pairs as make up for the efficiency."""
    from statsmodels.stats.power import TTestPower

    if len(ratios) < least_pairs(tests):
        return None
    spread = float(np.std(ratios, ddof=1))
    if spread == 0:
        return 1.0
    pairs, alpha = len(ratios) * _EFFICIENCY, (1 - COVERAGE) / tests
    size = TTestPower().solve_power(nobs=pairs, alpha=alpha, power=POWER, alternative="two-sided")
    return factor_of(float(np.squeeze(size)) * spread)
