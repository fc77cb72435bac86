"""Statistics of a table: intervals, paired tests, effect sizes. All of it is computed by scipy and statsmodels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qlstm_qiskit.errors import OptionError

#: Resamples of a bootstrap, and the coverage of its intervals.
RESAMPLES, COVERAGE = 9999, 0.95

#: Fewer values do not span their distribution's median with 95 %.
LEAST = 6

#: Pairs up to which all signs are tried where differences are tied, which scipy's exact distribution does not know.
PERMUTED = 16

#: Ratios that differ by less, relatively, are tied: two errors in another unit are each rounded once more, by 2^-53 at most.
_ROUNDED = Fraction(1, 2**49)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """Errors over seeds.

    Attributes:
        n: How many.
        median, iqm: Median, and mean of the middle half (interquartile mean, Agarwal et al. 2021, arXiv 2108.13264).
        median_interval, iqm_interval: 95 %, bias-corrected and accelerated bootstrap (Efron 1987); both ends equal where all
            values are. The range of fewer values than `LEAST`, of which no bootstrap has such a coverage, and where one is
            infinite.
    """

    n: int
    median: float
    median_interval: Interval
    iqm: float
    iqm_interval: Interval


def summarise(values: ArrayLike, seed: int = 0) -> Summary:
    """Summarise errors (n,); infinity stands for a run that diverged. `seed` is that of the bootstrap."""
    errors = np.asarray(values, dtype=np.float64)
    middle = partial(stats.trim_mean, proportiontocut=0.25)
    return Summary(
        len(errors),
        float(np.median(errors)),
        _interval(errors, np.median, seed),
        float(middle(errors)),
        _interval(errors, middle, seed),
    )


def _interval(values: NDArray[np.float64], statistic: Callable[..., Any], seed: int) -> Interval:
    if len(values) < LEAST or np.all(values == values[0]) or not np.isfinite(values).all():
        return float(values.min()), float(values.max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where BCa cannot be computed the percentile interval is taken
        for method in ("BCa", "percentile"):
            found = stats.bootstrap(
                (values,), statistic, n_resamples=RESAMPLES, confidence_level=COVERAGE, method=method, rng=seed
            ).confidence_interval
            if np.isfinite(found).all():
                break
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same seeds and splits.

    Attributes:
        n: Pairs.
        ratio: Median of the paired ratios of errors, first to second; below 1 the first is better.
        p: Of the two-sided Wilcoxon signed-rank test on the differences of log errors: exact, but its normal approximation for
            more than `PERMUTED` pairs with ties.
        p_holm: Corrected for all comparisons of its family (Holm 1979); `p` until `corrected`.
        p_least: The smallest `p_holm` that any outcome could reach; of a single test until `corrected`.
        delta: Cliff's delta, P(first > second) - P(first < second): -1 where the first is always better, 1 where never.
        rank_biserial: What the test is about: the sum of signed ranks by that of all ranks, -1 where the first is better in
            all pairs that differ (Kerby, Comprehensive Psychology 3 (2014) 11.IT.3.1).
    """

    n: int
    ratio: float
    p: float
    p_holm: float
    p_least: float
    delta: float
    rank_biserial: float

    @property
    def verdict(self) -> str:
        """Of the first: "better", "worse" or "undecided"; or "too few" where no outcome of so few pairs could decide."""
        if self.p_least >= 1 - COVERAGE:
            return "too few"
        if self.p_holm >= 1 - COVERAGE:
            return "undecided"
        return "better" if self.rank_biserial < 0 else "worse"


def compare(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare errors (n,) of two models that are paired by seed and split; infinity stands for a run that diverged.

    Raises:
        OptionError: The numbers of runs differ, or an error is negative or no number.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if a.shape != b.shape or not a.size:
        raise OptionError(f"a paired test needs as many runs of one model as of the other; there are {a.size} and {b.size}.")
    if not (a >= 0).all() or not (b >= 0).all():
        raise OptionError("errors must not be negative to be compared by their ratios.")
    numbers = np.finfo(np.float64)
    a_known, b_known = (np.clip(values, numbers.tiny, numbers.max) for values in (a, b))  # ratios of 0 and infinity too
    difference = np.log(a_known) - np.log(b_known)
    places = _signed_places(a_known, b_known)
    p, biserial = 1.0, 0.0
    if places.any():
        tied = len(np.unique(abs(places))) < a.size or not places.all()
        method = stats.PermutationMethod(n_resamples=2**a.size) if tied and a.size <= PERMUTED else "auto" if tied else "exact"
        p = float(stats.wilcoxon(places, method=method).pvalue)
        different = places[places != 0]
        ranks = stats.rankdata(abs(different))
        biserial = float(np.sign(different) @ ranks / ranks.sum())
    delta = 2 * float(stats.mannwhitneyu(a, b).statistic) / a.size**2 - 1
    return Comparison(a.size, factor_of(float(np.median(difference))), p, p, _least(a.size), delta, biserial)


def factor_of(log: float) -> float:
    """The exponential; infinite, or 0, beyond what errors of runs that ended can differ by.

    Args:
        log: Of a ratio of errors, or a mean of some.
    """
    return math.inf if log > 300 else 0.0 if log < -300 else math.exp(log)


def _signed_places(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """Differences of log errors by their order alone: 1 for the smallest, the same for tied ones, 0 for none, with their signs.

    Ratios are compared as fractions. Logarithms of equal ones differ in the last bit, so that the unit would decide on ties.
    """
    sizes = [Fraction(max(pair)) / Fraction(min(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    places, place, last = np.zeros(len(sizes), np.int64), 0, Fraction(0)
    for number in sorted(range(len(sizes)), key=sizes.__getitem__):
        if sizes[number] > 1:  # equal errors are equal in every unit
            place += sizes[number] > last * (1 + _ROUNDED)
            places[number], last = place, sizes[number]
    return places * np.where(a < b, -1, 1)


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with `p_holm` for their whole family."""
    from statsmodels.stats.multitest import multipletests

    if not family:
        return []
    found = multipletests([one.p for one in family], method="holm")[1]
    later = [sum(other.n <= one.n for other in family) for one in family]  # not rejected before this one, at best
    return [
        replace(one, p_holm=float(p), p_least=min(1.0, count * _least(one.n)))
        for one, p, count in zip(family, found, later, strict=True)
    ]


def _least(n: int) -> float:
    """The smallest p of the exact test on n pairs: all differences have one sign."""
    return float(2.0 ** (1 - n))
