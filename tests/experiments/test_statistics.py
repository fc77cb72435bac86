"""Statistics against counting by hand."""

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies.statistics import compare, corrected, summarise

RNG = np.random.default_rng(2508)


@pytest.mark.parametrize("n", [5, 8, 12])
def test_the_signed_rank_test_counts_all_signs(n: int) -> None:
    a, b = np.exp(RNG.normal(0, 0.5, n)), np.exp(RNG.normal(0.4, 0.5, n))
    d = np.log(a) - np.log(b)
    ranks = np.argsort(np.argsort(abs(d))) + 1
    statistic = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    signs = np.array(list(itertools.product([0, 1], repeat=n))) @ ranks
    assert compare(a, b).p == pytest.approx(min(1.0, 2 * np.mean(signs <= statistic)), rel=1e-12)


def test_a_clean_win_of_twelve_seeds() -> None:
    a = np.linspace(1, 2, 12)
    found = compare(a, a * np.linspace(3, 4, 12))
    assert (found.n, found.p, found.delta) == (12, 2 / 2**12, -1.0)
    assert 1 / 4 < found.ratio < 1 / 3
    assert found.verdict == "better"
    assert compare(a * 5, a * np.linspace(3, 4, 12)).verdict == "worse"


def test_ties_are_counted_too() -> None:
    a = np.exp([1.0, 1, 2, 2, 3, -1, 4, 5, 0])
    found = compare(a, np.ones(9))
    d = np.log(a)
    ranks = rankdata(abs(d[d != 0]))
    signs = np.array(list(itertools.product([0, 1], repeat=8))) @ ranks
    low = min(ranks[d[d != 0] > 0].sum(), ranks[d[d != 0] < 0].sum())
    assert found.p == pytest.approx(2 * np.mean(signs <= low), rel=1e-12)


@pytest.mark.parametrize("unit", [1.0, 3.0, 0.1, 7.0, 1e-3, 2.0**-30, 1e12])
def test_equal_ratios_are_tied_in_every_unit(unit: float) -> None:
    """Ratios 1/2, 16, 16, 8, 2, 4: ranks 1.5, 5.5, 5.5, 4, 1.5, 3, one of the smallest against the others."""
    a, b = [0.125, 4, 4, 2, 1, 2], [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]
    found = compare([unit * value for value in a], [unit * value for value in b])
    assert found.p == pytest.approx(3 * 2 / 2**6, rel=1e-12), "signs with a rank sum of 0 (one) or 1.5 (two), two-sided"
    assert found.rank_biserial == pytest.approx((21 - 1.5 - 1.5) / 21, rel=1e-12)


@pytest.mark.slow
def test_errors_that_differ_in_their_unit_alone_are_compared_alike() -> None:
    """Errors and units without short binary forms: each product is rounded, and equal ratios stay tied."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        a = rng.uniform(0.01, 1, 8)
        b = a * rng.choice([0.3, 0.3, 1 / 0.3, 1.7, 1.0], 8)
        known = compare(a, b)
        for unit in (0.1, 1 / 3, 1e-7, 12345.6789):
            other = compare(a * unit, b * unit)
            assert (other.p, other.rank_biserial) == (known.p, known.rank_biserial)


def test_near_ratios_are_not_tied() -> None:
    a = np.array([1 + 1e-14, 1 + 2e-14, 1 + 4e-14, 1 - 8e-14, 1.5, 1.6])
    d = np.array([1, 2, 3, -4, 5, 6])
    signs = np.array(list(itertools.product([0, 1], repeat=6))) @ abs(d)
    assert compare(a, np.ones(6)).p == pytest.approx(2 * np.mean(signs <= 4), rel=1e-12)


def test_equal_errors_decide_nothing() -> None:
    found = compare(np.ones(12), np.ones(12))
    assert (found.p, found.ratio, found.delta, found.verdict) == (1.0, 1.0, 0.0, "undecided")


def test_few_pairs_cannot_decide() -> None:
    found = compare([1, 1.1, 1.2, 1.3, 1.4], [2, 3, 4, 5, 6])
    assert found.p == 2 / 2**5
    assert found.verdict == "too few"


@pytest.mark.slow
def test_seeds_that_suffice_for_one_test_may_be_too_few_for_a_family() -> None:
    """Six pairs reach p = 1/32: enough alone, not among ten tests, where another with more pairs takes no share."""
    a, few, many = np.linspace(1, 2, 12), slice(6), slice(12)
    wins = [compare(a[few], 3 * a[few] ** 2), compare(a[many], 3 * a[many] ** 2)]
    assert [one.verdict for one in corrected(wins)] == ["better"] * 2
    family = corrected([wins[0]] * 9 + [wins[1]])
    assert [one.verdict for one in family] == ["too few"] * 9 + ["better"]
    assert family[0].p_least == pytest.approx(9 / 32)
    assert all(one.p_holm >= one.p_least for one in family)
    assert corrected([compare(a[few], a[few])])[0].verdict == "undecided", "it might have been decided"


def test_cliffs_delta_counts_pairs() -> None:
    a, b = RNG.uniform(1, 2, 12), RNG.uniform(1.2, 2.2, 12)
    expected = np.mean(np.sign(a[:, None] - b[None, :]))
    assert compare(a, b).delta == pytest.approx(expected, abs=1e-12)


def test_holm_is_its_definition() -> None:
    family = [compare(RNG.uniform(1, 2, 12), RNG.uniform(1, 2, 12) * factor) for factor in (1.0, 1.2, 1.5, 2.0, 3.0)]
    p = np.array([one.p for one in family])
    running, expected = 0.0, np.empty(5)
    for place, k in enumerate(np.argsort(p)):
        running = max(running, min(1.0, (5 - place) * p[k]))
        expected[k] = running
    np.testing.assert_allclose([one.p_holm for one in corrected(family)], expected, rtol=1e-12)
    assert corrected([]) == []


def test_diverged_runs_are_the_worst() -> None:
    good, bad = np.linspace(1, 2, 12), np.linspace(1, 2, 12).copy()
    bad[3:] = np.inf
    assert compare(good, bad * 1.01).verdict == "better"
    summary = summarise(bad)
    assert summary.median == np.inf
    assert summary.median_interval == (1.0, np.inf)


def test_errors_of_nothing_and_of_infinity_are_compared() -> None:
    """A forecast may be exact, and a row may diverge throughout: both have a place, without a warning."""
    ones, large = np.ones(8) * np.linspace(1, 2, 8), np.full(8, np.inf)
    assert compare(np.zeros(8), ones).verdict == compare(ones, large).verdict == "better"
    found = compare(large, ones / 1e5)
    assert (found.verdict, found.ratio, found.rank_biserial) == ("worse", np.inf, 1)
    half = np.where(np.arange(8) < 4, np.inf, ones)
    assert (compare(half, ones).ratio, compare(ones, half).ratio) == (np.inf, 0.0), "no mean of a ratio and infinity"


@pytest.mark.slow
def test_the_direction_is_that_of_the_test() -> None:
    """Where most pairs are equal, or many are lost by little, the median ratio says nothing of it, or the contrary."""
    equal = compare([1.0] * 7 + [0.5, 0.6, 0.7, 0.8, 0.9, 0.95], [1.0] * 13)
    assert (equal.ratio, equal.p, equal.verdict) == (1, 2 / 2**6, "better")
    lost, won = 1.01 + np.arange(16) / 1e4, 0.1 + np.arange(14) / 1e3
    some = compare([*lost, *won], [1.0] * 30)
    assert some.ratio > 1
    assert some.p < 0.05
    assert some.verdict == "better"
    for found in (equal, some):
        assert -1 <= found.rank_biserial < 0


def test_summary() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 100])
    summary = summarise(values)
    assert (summary.n, summary.median, summary.iqm) == (8, 4.5, np.mean([3, 4, 5, 6]))
    for low, high in (summary.median_interval, summary.iqm_interval):
        assert 1 <= low < 4.5 < high <= 100
    assert summarise(values) == summary, "the same numbers each time"
    assert summarise(np.full(12, 0.3)).median_interval == (0.3, 0.3)
    assert summarise([3.0, 1, 2]).median_interval == summarise([3.0, 1, 2]).iqm_interval == (1, 3), "too few for a bootstrap"


@pytest.mark.slow
def test_an_interval_covers_the_median_as_often_as_it_says() -> None:
    """Of 200 samples of 12 about 95 %, with four standard errors of room and some for small samples."""
    hits = [low <= 1 <= high for low, high in (summarise(np.exp(RNG.normal(0, 1, 12))).median_interval for _ in range(200))]
    assert 0.85 <= np.mean(hits) <= 1


@pytest.mark.parametrize(
    ("a", "b", "message"), [([1, 2], [1], "as many runs"), ([], [], "as many runs"), ([-1, 1], [1, 1], "negative")]
)
def test_what_cannot_be_compared_is_refused(a, b, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        compare(a, b)
