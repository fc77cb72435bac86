"""Real series, seasons, and the scale of MASE."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import REAL_SERIES, Dataset, Scaler, load_csv, load_dataset, make_dataset
from qlstm_qiskit.data.real import monthly_means
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.experiments import forecast_errors, reference_errors

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "rows", "season", "first", "last", "mean"),
    [
        ("sunspots", 309, 11, (5, 11, 16), (15.2, 7.5, 2.9), 49.752104),
        ("nile", 100, 1, (1120, 1160, 963), (718, 714, 740), 919.35),
        ("elnino", 61 * 12, 12, (23.11, 24.20, 25.37), (19.73, 20.44, 22.07), 23.092623),
        ("co2", 526, 12, (316.1, 317.2, 952.3 / 3), (368.05, 369.375, 371.02), 339.613577),
    ],
)
def test_series(name: str, rows: int, season: int, first: tuple, last: tuple, mean: float) -> None:
    series, values = REAL_SERIES[name], REAL_SERIES[name].read()
    assert (series.rows, series.season) == (rows, season)
    assert (values.shape, values.dtype) == ((rows,), np.float64)
    np.testing.assert_allclose(values[:3], first)
    np.testing.assert_allclose(values[-3:], last)
    assert values.mean() == pytest.approx(mean)


def statsmodels_table(name: str) -> pd.DataFrame:
    return importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data


@pytest.mark.parametrize("name", REAL_SERIES)
def test_source_and_licence_are_those_of_statsmodels(name: str) -> None:
    module, series = importlib.import_module(f"statsmodels.datasets.{name}"), REAL_SERIES[name]
    assert series.licence == module.COPYRIGHT
    assert "public domain" in series.licence
    assert series.source in " ".join(module.SOURCE.split())


def test_elnino_is_in_time_order() -> None:
    table, values = statsmodels_table("elnino"), REAL_SERIES["elnino"].read()
    for year, month, row in (
        (1950, "JAN", 0),
        (1950, "DEC", 11),
        (1951, "JAN", 12),
        (1997, "JUN", 47 * 12 + 5),
        (2010, "DEC", 731),
    ):
        assert values[row] == table.loc[table["YEAR"] == year, month].item()


def test_sunspots_are_those_of_the_example() -> None:
    ours, file = load_dataset("sunspots", window=11), load_csv(EXAMPLES / "sunspots.csv", "sunspots", window=11, season=11)
    for part in ("x_train", "y_train", "x_test", "y_test", "last_test", "values"):
        np.testing.assert_array_equal(getattr(ours, part), getattr(file, part))
    assert (ours.input_scaler, ours.season, ours.features) == (file.input_scaler, file.season, file.features)


def test_months_without_an_observation_are_the_month_before() -> None:
    weekly, values = statsmodels_table("co2")["co2"], REAL_SERIES["co2"].read()
    months = pd.period_range("1958-03", "2001-12", freq="M")
    seen = {month: weekly[weekly.index.to_period("M") == month].dropna() for month in months}
    gaps = [str(month) for month in months if not len(seen[month])]
    assert gaps == ["1958-06", "1958-10", "1964-02", "1964-03", "1964-04"]
    for row, month in enumerate(months):
        expected = seen[month].mean() if len(seen[month]) else values[row - 1]
        assert values[row] == pytest.approx(expected, rel=1e-14), month


def test_no_month_knows_of_a_later_one() -> None:
    weekly = statsmodels_table("co2")["co2"]
    whole = monthly_means(weekly)
    for end in ("1958-06", "1958-10", "1964-01", "1964-03", "1980-12"):
        part = monthly_means(weekly[:end])
        pd.testing.assert_series_equal(part, whole[: len(part)], check_freq=False)
        assert part.index[-1].to_period("M") == pd.Period(end)


@pytest.mark.parametrize("fraction", [0.67, 0.8])
@pytest.mark.parametrize("name", REAL_SERIES)
def test_the_test_part_changes_nothing_in_the_training_part(name: str, fraction: float) -> None:
    data, changed = load_dataset(name, window=5, horizon=2, train_fraction=fraction), REAL_SERIES[name].read()
    n_windows = len(changed) - 5 - 2 + 1
    first = int(fraction * n_windows)
    assert (len(data.x_train), len(data.x_test)) == (first - 1, n_windows - first)
    seen = len(data.x_train) + 5 + 2 - 1
    assert data.input_scaler == data.target_scaler == Scaler.fit(changed[:seen, None])
    changed[seen:] *= -1000
    options = {"features": (name,), "target_name": name, "window": 5, "horizon": 2, "train_fraction": fraction}
    other = make_dataset(name, changed[:, None], changed, season=REAL_SERIES[name].season, **options)
    assert other.input_scaler == data.input_scaler
    assert other.target_scaler == data.target_scaler
    assert other.mase_scale() == data.mase_scale()
    np.testing.assert_array_equal(other.x_train, data.x_train)
    np.testing.assert_array_equal(other.y_train, data.y_train)
    assert not np.any(other.y_test == data.y_test), "nothing that is tested was seen"


def seasonal(rows: int = 40, season: int = 4, slope: float = 0.0, horizon: int = 1) -> Dataset:
    """A season that comes back exactly, on a line."""
    values = np.array([3.0, 8.0, 5.0, 1.0])[np.arange(rows) % 4] + slope * np.arange(rows)
    options = {"features": ("a",), "target_name": "a", "window": 3, "horizon": horizon, "season": season}
    return make_dataset("a", values[:, None], values, **options)


def test_seasonal_naive_by_hand() -> None:
    data = seasonal(slope=0.5, horizon=6)
    np.testing.assert_allclose(
        data.target_scaler.inverse(data.seasonal_naive(1)), data.values[data.n_known - 4 :][: len(data.x_test), None]
    )
    first = len(data.values) - len(data.x_test) - 5  # the row that the first test window predicts first
    assert first == data.n_known == int(0.67 * 32) + 3
    v = data.values
    expected = [v[first - 4], v[first - 3], v[first - 2], v[first - 1], v[first - 4], v[first - 3]]
    np.testing.assert_allclose(data.target_scaler.inverse(data.seasonal_naive())[0], expected)
    assert data.seasonal_naive().shape == data.y_test.shape


def test_without_a_season_it_is_persistence() -> None:
    data = load_dataset("nile", horizon=3)
    np.testing.assert_array_equal(data.seasonal_naive(), data.persistence())
    np.testing.assert_array_equal(data.persistence(5), np.repeat(data.last_test, 5, axis=1))
    assert set(reference_errors(data)) == {"persistence"}


def test_mase_by_hand() -> None:
    values = np.array([1.0, 5.0, 2.0, 7.0, 4.0, 6.0, 9.0, 3.0, 8.0, 2.0])
    data = make_dataset("a", values[:, None], values, features=("a",), target_name="a", window=2, train_fraction=0.5, season=2)
    assert len(data.x_train) == 4  # of 8 windows; they read the first 6 rows
    assert data.mase_scale() == pytest.approx((1 + 2 + 2 + 1) / 4)
    naive = data.seasonal_naive()
    np.testing.assert_allclose(data.target_scaler.inverse(naive)[:, 0], values[4:8])
    errors = forecast_errors(data, naive)
    assert errors["mae_original"] == pytest.approx((5 + 3 + 1 + 1) / 4)
    assert errors["mase"] == pytest.approx(2.5 / 1.5)
    assert reference_errors(data)["seasonal_naive"] == errors


def test_mase_of_the_seasonal_naive_forecast_is_one_where_every_season_differs_by_the_same() -> None:
    data = seasonal(slope=0.5, horizon=4)
    assert data.mase_scale() == pytest.approx(2)
    assert forecast_errors(data, data.seasonal_naive())["mase"] == pytest.approx(1)
    twice = seasonal(rows=60, slope=0.5, horizon=8)  # the second season is off by twice as much
    assert forecast_errors(twice, twice.seasonal_naive())["mase"] == pytest.approx(1.5)


def test_mase_is_left_out_where_it_is_not_defined() -> None:
    data = seasonal()
    assert data.mase_scale() == 0
    assert "mase" not in forecast_errors(data, data.persistence())
    assert "mase" in forecast_errors(seasonal(season=1), data.persistence())


def test_a_season_must_fit_before_the_test_part() -> None:
    for season in (0, 2.0):
        with pytest.raises(OptionError, match=f"season is {season}"):
            seasonal(season=season)
    assert np.isfinite(seasonal(season=26).seasonal_naive()).all()
    with pytest.raises(DataError, match="a has 27 rows before the first that tests, and a season of 27 needs 28"):
        seasonal(season=27)
    with pytest.raises(DataError, match="larger train_fraction"):
        load_dataset("elnino", train_fraction=0.01)


@pytest.mark.slow
def test_statsmodels_is_imported_when_a_real_series_is_asked_for() -> None:
    script = (
        "import sys; from qlstm_qiskit.data import REAL_SERIES, load_dataset; load_dataset('bessel')\n"
        "print('statsmodels' in sys.modules); REAL_SERIES['nile'].read(); print('statsmodels' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
