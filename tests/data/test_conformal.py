"""Conformal half-widths: the formula by hand, coverage of what is exchangeable, and the part that is set aside."""

import math
from itertools import pairwise

import numpy as np
import pytest

from qlstm_qiskit.data import Dataset, Intervals, conformal_radius, load_dataset, make_dataset, tracked, windows_needed
from qlstm_qiskit.data.conformal import STEP
from qlstm_qiskit.errors import DataError, OptionError, ShapeError


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


class TestRadius:
    @pytest.mark.parametrize(
        ("n", "level", "place"),
        [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (20, 0.9, 19), (39, 0.9, 36), (39, 0.95, 38), (19, 0.95, 19), (1, 0.5, 1)],
    )
    def test_it_is_the_score_at_the_place_of_the_formula(self, n: int, level: float, place: int) -> None:
        """The ceil((n + 1) * level)-th smallest."""
        scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
        assert conformal_radius(scores[:, None], level).tolist() == [place]

    @pytest.mark.parametrize(("level", "needed"), [(0.5, 1), (0.7, 3), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.1, 1)])
    def test_fewer_than_needed_have_no_ends(self, level: float, needed: int) -> None:
        assert windows_needed(level) == needed
        scores = np.arange(float(needed))[:, None]
        assert np.isfinite(conformal_radius(scores, level)).all()
        assert np.isinf(conformal_radius(scores[1:], level)).all()

    def test_each_step_has_its_own_and_unknown_scores_do_not_count(self) -> None:
        scores = np.column_stack([np.arange(20.0), 10 * np.arange(20.0)])
        scores[10:, 1] = math.nan
        assert conformal_radius(scores, 0.9).tolist() == [18, 90], "of 20 the 19th, of 10 the 10th"

    def test_the_next_value_is_covered_as_often_as_the_theorem_says(self) -> None:
        """Of n + 1 exchangeable scores the last is one of the ceil((n + 1) * level) smallest with just that share."""
        rng, n, level, repeats = np.random.default_rng(20250814), 24, 0.9, 4000
        scores = np.abs(rng.standard_t(3, size=(n + 1, repeats)))
        covered = float(np.mean(scores[-1] <= conformal_radius(scores[:-1], level)))
        share = math.ceil((n + 1) * level) / (n + 1)
        assert abs(covered - share) < 4 * math.sqrt(share * (1 - share) / repeats)

    @pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, math.nan, True, "0.9"])
    def test_a_level_lies_between_0_and_1(self, level: object) -> None:
        with pytest.raises(OptionError, match="it must lie between 0 and 1"):
            conformal_radius(column(1, 2), level)  # type: ignore[arg-type]


class TestTracked:
    def test_by_hand(self) -> None:
        """Step 1 knows of the window before, step 2 of the one before that."""
        scores = np.array([[2.0, 0.5], [0.5, 4.0], [math.nan, 0.5]])
        hit, miss = math.exp(-STEP * 0.1), math.exp(STEP * 0.9)
        expected = [[1, 1], [miss, 1], [miss * hit, hit], [miss * hit, hit * miss]]
        np.testing.assert_allclose(tracked(np.ones(2), scores, 0.9), expected)

    def test_what_comes_later_changes_nothing_before(self) -> None:
        rng = np.random.default_rng(1)
        scores = rng.exponential(size=(50, 3))
        other = scores.copy()
        other[30:] *= 100
        first, second = tracked(np.ones(3), scores, 0.9), tracked(np.ones(3), other, 0.9)
        np.testing.assert_array_equal(first[:31], second[:31])
        assert (first[33:] != second[33:]).any()

    @pytest.mark.parametrize("drift", [30.0, 1.0, 1 / 30], ids=["growing", "steady", "shrinking"])
    def test_coverage_is_that_of_the_level_however_errors_change(self, drift: float) -> None:
        scores = np.random.default_rng(5).exponential(size=(400, 1)) * np.linspace(1, drift, 400)[:, None]
        radius = tracked(column(2.3)[0], scores, 0.9)
        covered = float(np.mean(scores <= radius[:-1]))
        assert covered == pytest.approx(0.9 - math.log(radius[-1, 0] / 2.3) / STEP / 400), "all moves added up"
        assert 0.85 < covered < 0.95

    def test_no_half_width_is_stuck_at_zero(self) -> None:
        assert tracked(np.zeros(1), column(0, 3, 1), 0.9)[:, 0].tolist() == [0, 0, 3, 3 * math.exp(-STEP * (1 - 0.9))]

    def test_another_number_of_steps_is_refused(self) -> None:
        with pytest.raises(ShapeError, match=r"the scores have the shape \(4, 2\), and there are 1 half-widths"):
            tracked(np.ones(1), np.ones((4, 2)), 0.9)


class TestCut:
    def counted(self, horizon: int) -> tuple[Dataset, Dataset]:
        """A series whose values are the numbers of their rows, whole and cut."""
        rows = np.arange(100.0)
        names = {"features": ["row"], "target_name": "row"}
        whole = make_dataset("rows", rows[:, None], rows, **names, window=5, horizon=horizon)
        return whole, Intervals(0.9, 0.25).cut(whole)

    @pytest.mark.parametrize("horizon", [1, 3])
    def test_no_part_knows_what_the_next_is_asked(self, horizon: int) -> None:
        whole, cut = self.counted(horizon)
        assert cut.calibration is not None
        asked = [cut.target_scaler.inverse(part) for part in (cut.y_train, cut.calibration[1], cut.y_test)]
        assert len(asked[1]) == len(whole.x_train) // 4
        for before, after in pairwise(asked):
            assert round(before.max()) + 1 == round(after.min()), "and no row is lost between"
        for first, part in zip(cut.rows, asked, strict=True):
            np.testing.assert_allclose(first, part[:, 0], atol=1e-9)

    @pytest.mark.parametrize("horizon", [1, 3])
    def test_the_rest_is_as_it_was(self, horizon: int) -> None:
        whole, cut = self.counted(horizon)
        assert cut.n_known == whole.n_known
        assert cut.mase_scale() == whole.mase_scale()
        np.testing.assert_array_equal(cut.seasonal_naive(), whole.seasonal_naive())
        np.testing.assert_array_equal(cut.x_test, whole.x_test)
        np.testing.assert_array_equal(np.concatenate(whole.rows[::2]), [*whole.rows[0], *cut.rows[2]])

    def test_too_few_are_refused_with_the_number_that_is_needed(self) -> None:
        nile = load_dataset("nile")
        with pytest.raises(DataError, match="need 19 calibration windows, and 0.2 of the 64 windows of nile .* are 12"):
            Intervals(0.95).cut(nile)
        rows, names = np.arange(60.0), {"features": ["a"], "target_name": "a", "horizon": 3}
        with pytest.raises(DataError, match="33 calibration windows of 34 leave none to train"):
            Intervals(0.9, 0.999).cut(make_dataset("rows", rows[:, None], rows, **names))

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"level": 1.0}, "interval is 1.0; it must lie between 0 and 1"),
            ({"level": 0.9, "calibration_fraction": 0.0}, "calibration_fraction is 0.0"),
            ({"level": 0.9, "method": "splitt"}, "unknown interval_method 'splitt'. Did you mean 'split'"),
        ],
    )
    def test_options_are_checked(self, options: dict, said: str) -> None:
        with pytest.raises(OptionError, match=said):
            Intervals(**options)
