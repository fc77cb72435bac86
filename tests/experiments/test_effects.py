"""Sizes of paired differences, against brute force and simulation."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies.effects import POWER, effect, least_pairs
from qlstm_qiskit.experiments.studies.power import undecidable
from qlstm_qiskit.experiments.studies.statistics import compare, corrected


@pytest.mark.parametrize("n", [6, 7, 9])
def test_the_interval_holds_the_factors_that_the_exact_test_does_not_refuse(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = np.exp(rng.normal(size=n)), np.exp(rng.normal(0.4, size=n))
    found, logs = effect(a, b), np.log(b / a)
    assert found.interval is not None
    for end, inside in zip(np.log(found.interval), (1, -1), strict=True):
        for step, kept in ((inside * 1e-6, True), (-inside * 1e-6, False)):
            assert (stats.wilcoxon(logs - end - step, method="exact").pvalue > 0.05) == kept
    walsh = [(x + y) / 2 for i, x in enumerate(logs) for y in logs[i:]]
    assert found.factor == pytest.approx(math.exp(np.median(walsh)))


@pytest.mark.parametrize("seed", range(8))
def test_interval_and_test_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.exp(rng.normal(size=10)), np.exp(rng.normal(0.7, size=10))
    interval = effect(a, b).interval
    assert interval is not None
    assert (compare(a, b).p < 0.05) == (not interval[0] <= 1 <= interval[1])


def test_a_factor_that_is_the_same_in_all_pairs() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = effect(a, 2 * a)
    assert (found.factor, found.interval) == (pytest.approx(2), (pytest.approx(2), pytest.approx(2)))
    assert found.superiority == 1
    assert found.detectable == pytest.approx(1)
    assert effect(a, a).superiority == 0.5
    assert effect(a, [*a[:3], *(a[3:] / 2)]).superiority == 0.25


def test_the_detectable_factor_is_found_in_four_of_five_simulations() -> None:
    rng = np.random.default_rng(0)
    n, tests, spread = 12, 3, 0.6
    logs = rng.normal(size=n)
    logs *= spread / np.std(logs, ddof=1)
    detectable = effect(np.ones(n), np.exp(logs), tests).detectable
    assert detectable is not None
    drawn = rng.normal(math.log(detectable), spread, size=(1500, n))
    share = np.mean([stats.wilcoxon(row, method="exact").pvalue < 0.05 / tests for row in drawn])
    assert share == pytest.approx(POWER, abs=0.05)


def test_fewest_pairs() -> None:
    assert [least_pairs(tests) for tests in (1, 2, 3, 4)] == [6, 7, 7, 8]  # by hand: tests / 2^(n - 1) < 0.05
    few = effect([1.0] * 5, [2.0] * 5)
    assert few.interval is None
    assert few.detectable is None
    assert effect([1.0] * 6, [1.0, 2, 3, 4, 5, 6], tests=3).detectable is None
    assert effect([1.0] * 6, [2.0] * 6, tests=3).detectable is None, "nor where all pairs differ by one factor"


@pytest.mark.parametrize("pairs", [(5,), (6,), (6, 6), (7, 7, 7), (6, 7), (5, 8), (8, 8, 8, 8, 6, 6), (10,) * 27, (12,) * 27])
def test_what_cannot_be_decided_is_known_before_anything_runs(pairs: tuple[int, ...]) -> None:
    """Where all differences have one sign, and still no test is decided."""
    best = corrected([compare([1.0] * n, np.arange(2.0, n + 2)) for n in pairs])
    assert undecidable(Counter(pairs)) == all(one.verdict == "too few" for one in best)


def test_runs_that_diverged() -> None:
    a = [1.0] * 7
    found = effect(a, [math.inf] * 4 + [2.0] * 3)
    assert found.factor == math.inf
    assert found.detectable is None
    assert found.superiority == 1
    assert effect([math.inf] * 7, a).factor == 0


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], []), ([-1.0], [1.0]), ([math.nan], [1.0])])
def test_no_pairs_of_errors(a: list[float], b: list[float]) -> None:
    with pytest.raises(OptionError, match="pairs of errors"):
        effect(a, b)
