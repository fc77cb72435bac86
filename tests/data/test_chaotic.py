"""Chaotic series against reservoirpy, and forecasts several steps ahead against loops written out."""

import numpy as np
import pytest

from qlstm_qiskit.data import CHAOTIC_SERIES, Intervals, Scaler, forecast_errors, load_dataset, make_dataset, rolled_windows
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.experiments.runs.series import DataSpec

TASKS = [(name, k, lag) for name, series in CHAOTIC_SERIES.items() for k in series.leads for lag in (4, 8, 16)]


def test_series_are_reservoirpys_to_the_last_bit() -> None:
    from reservoirpy import datasets

    theirs = {"henon": datasets.henon_map, "mackey_glass": datasets.mackey_glass, "lorenz": datasets.lorenz}
    for name, series in CHAOTIC_SERIES.items():
        np.testing.assert_array_equal(series.read(), theirs[name](1000)[:, 0])


def test_there_are_27_tasks() -> None:
    assert len(TASKS) == 27


@pytest.mark.parametrize(("name", "k", "lag"), TASKS)
def test_windows_by_hand(name: str, k: int, lag: int) -> None:
    values, data = CHAOTIC_SERIES[name].read(), load_dataset(name, k=k, lag=lag)
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low)
    x, y, target_rows = [], [], []
    for end in range(lag - 1, 1000 - k):  # the last row of a window
        x.append([scaled[end - lag + 1 + step] for step in range(lag)])
        y.append(scaled[end + k])
        target_rows.append(end + k)
    first = int(0.8 * len(x))
    origin = lag - 1 + first  # the last row of the first test window
    trained = [place for place, row in enumerate(target_rows) if row <= origin]
    assert (data.lead, data.window, data.horizon) == (k, lag, 1)
    for found, wanted in (
        (data.x_train[:, :, 0], np.array(x)[trained]),
        (data.y_train[:, 0], np.array(y)[trained]),
        (data.x_test[:, :, 0], np.array(x)[first:]),
        (data.y_test[:, 0], np.array(y)[first:]),
        (data.last_test[:, 0], np.array(x)[first:, -1]),
        (data.persistence()[:, 0], np.array(x)[first:, -1]),
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-14, rtol=0)
    np.testing.assert_array_equal(data.rows[0], np.array(target_rows)[trained])
    np.testing.assert_array_equal(data.rows[2], target_rows[first:])
    assert data.n_known == origin + 1
    np.testing.assert_array_equal(data.original(data.y_test)[:, 0], data.target_scaler.inverse(data.y_test)[:, 0])
    np.testing.assert_allclose(data.original(data.y_test)[:, 0], values[data.rows[2]], atol=1e-12)
    naive = np.mean([abs(values[row] - values[row - 1]) for row in range(1, origin + 1)])
    away = np.mean([abs(values[row] - values[row - k]) for row in target_rows[first:]])
    assert forecast_errors(data, data.persistence())["mase"] == pytest.approx(away / naive, rel=1e-12)


@pytest.mark.parametrize("name", CHAOTIC_SERIES)
def test_only_the_published_scale_looks_ahead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    k = CHAOTIC_SERIES[name].leads[-1]
    options = {"k": k, "lag": 8, "scaling": "training-part"}
    before, published = load_dataset(name, **options), load_dataset(name, k=k, lag=8)
    values = CHAOTIC_SERIES[name].read()
    values[before.n_known :] = 100 + np.arange(1000 - before.n_known)  # another future
    changed = CHAOTIC_SERIES[name]._replace(read=lambda: values)
    monkeypatch.setattr("qlstm_qiskit.data.named.CHAOTIC_SERIES", {**CHAOTIC_SERIES, name: changed})
    after, looked = load_dataset(name, **options), load_dataset(name, k=k, lag=8)
    for part in ("x_train", "y_train"):
        np.testing.assert_array_equal(getattr(before, part), getattr(after, part))
        assert not np.array_equal(getattr(published, part), getattr(looked, part))
    np.testing.assert_array_equal(before.x_test[0], after.x_test[0])
    assert before.input_scaler == after.input_scaler == after.target_scaler
    known = values[: before.n_known]
    np.testing.assert_allclose(before.input_scaler.transform([[known.min()], [known.max()]]), [[0], [1]], atol=1e-15)
    assert (before.values == published.values).all()


def test_a_unit_scale() -> None:
    values = np.array([[2.0, -1.0], [6.0, -1.0], [3.0, -1.0]])
    scaler = Scaler.fit_unit(values)
    np.testing.assert_array_equal(scaler.transform(values), [[0, 0], [1, 0], [0.25, 0]])
    np.testing.assert_array_equal(scaler.inverse([[0.25, 0]]), [[3, -1]])


@pytest.mark.parametrize(("lead", "season"), [(1, 4), (3, 4), (4, 4), (5, 4), (9, 4), (6, 1)])
def test_the_seasonal_forecast_repeats_what_is_known(lead: int, season: int) -> None:
    values = np.random.default_rng(lead).normal(size=60)
    data = make_dataset("a", values[:, None], values, features=("a",), target_name="a", lead=lead, season=season)
    forecast = data.target_scaler.inverse(data.seasonal_naive())[:, 0]
    for row, value in zip(data.rows[2], forecast, strict=True):
        known = [past for past in range(row - lead + 1) if (row - past) % season == 0]  # up to the end of the window
        assert value == pytest.approx(values[known[-1]], abs=1e-12)


def test_lead_1_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=50)
    options = {"features": ("a",), "target_name": "a", "horizon": 2, "season": 3}
    plain, said = (make_dataset("a", values[:, None], values, **options, **own) for own in ({}, {"lead": 1}))
    for name in ("x_train", "y_train", "x_test", "y_test", "last_test"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(said, name))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"k": 2, "horizon": 3},
            "lead is 2: the one value 2 steps ahead is predicted, and horizon is for forecasts of the next",
        ),
        ({"k": 2, "difference": 1}, "and difference is for"),
        ({"k": 2, "transform": "log"}, "and transform is for"),
        ({"k": 0}, "lead is 0"),
        ({"k": 2, "lead": 2}, "lead and k are two names of one option"),
        ({"lag": 4, "window": 4}, "window and lag are two names"),
        ({"scaling": "none"}, "unknown scaling 'none'"),
        ({"train_fraction": 0.67}, "train_fraction is 0.67; it is 0.8 for chaotic series, 'henon' too"),
    ],
)
def test_options_that_do_not_go_together(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_dataset("henon", **options)


def test_what_needs_the_next_rows_is_refused() -> None:
    data = load_dataset("henon", k=2, lag=4)
    with pytest.raises(OptionError, match="values of 'value' are predicted 2 steps ahead, and rolling out feeds back"):
        rolled_windows(data, 3)
    with pytest.raises(OptionError, match="lead is 2: the one value 2 steps ahead is predicted, and interval is for"):
        Intervals(0.9).cut(data)
    with pytest.raises(OptionError, match="scaling goes with henon, mackey_glass, lorenz; 'bessel' has its own"):
        load_dataset("bessel", scaling="training-part")
    with pytest.raises(OptionError, match="--lead is for forecasts"):
        DataSpec(dataset="italy_power_demand", task="classification", lead=2).load()
    with pytest.raises(DataError, match=r"of 4 rows and 1 to predict, 996 steps ahead, .* or a smaller lead"):
        load_dataset("henon", k=996, lag=4)


def test_fields_of_a_run_are_left_out_where_they_are_the_default() -> None:
    plain = DataSpec(dataset="henon").model_dump()
    assert (plain["train_fraction"], "lead" in plain, "scaling" in plain) == (0.8, False, False)
    spec = DataSpec(dataset="henon", lead=4, scaling="training-part")
    assert DataSpec.model_validate(spec.model_dump()) == spec
    assert spec.load().lead == 4
    assert DataSpec(dataset="sunspots").train_fraction == 0.67
