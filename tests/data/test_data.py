"""The paper's series, windows, and CSV files."""

import hashlib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.data import (
    CHAOTIC_SERIES,
    DATASETS,
    PAPER_SERIES,
    REAL_SERIES,
    Scaler,
    load_csv,
    load_dataset,
    make_dataset,
    part_of,
    split_validation,
)
from qlstm_qiskit.data.generators import bessel, damped_shm, delayed_quantum_control, narma
from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.experiments import forecast_errors

EXAMPLES = Path(__file__).parents[2] / "examples"


def digest(values: np.ndarray) -> str:
    """A checksum that the last digits of another libm do not change."""
    return hashlib.sha256(np.round(values, 9).astype("<f8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "windows", "first_x", "first_y"),
    [
        ("bessel", 251, (0.668157057, 0.857763973, 0.975597980, 1.0), 0.921383625),
        ("damped_shm", 235, (1.0, 0.951899054, 0.839206345, 0.674643488), 0.473647239),
        ("delayed_quantum_control", 2195, (-1.0, -1.0, -1.0, -1.0), -1.0),
        ("narma5", 295, (0.1, 0.100029640, 0.100235303, 0.100783), 0.149647932),
        ("narma10", 295, (0.1, 0.100029640, 0.100235303, 0.100783), 0.149647932),
    ],
)
def test_series(name: str, windows: int, first_x: tuple, first_y: float) -> None:
    data = load_dataset(name)
    n_train = int(0.67 * windows)
    assert data.x_train.shape == (n_train, 4, 1)
    assert data.x_test.shape == (windows - n_train, 4, 1)
    assert data.y_train.shape == (n_train, 1)
    assert {a.dtype for a in (data.x_train, data.y_train, data.x_test, data.y_test)} == {np.dtype(np.float64)}
    np.testing.assert_allclose(data.x_train[0, :, 0], first_x, atol=1e-6)
    np.testing.assert_allclose(data.y_train[0, 0], first_y, atol=1e-6)


CHECKSUMS = {
    "bessel": "2511578091a33f31",
    "damped_shm": "c6b7bebca9fa223c",
    "delayed_quantum_control": "a98a0bbbf0ff3e7a",
    "narma5": "f23051f88e2b5e87",
    "narma10": "58bdbfa5e085a3a3",
}


def test_names() -> None:
    assert list(PAPER_SERIES) == list(CHECKSUMS)
    assert list(DATASETS) == [*PAPER_SERIES, *CHAOTIC_SERIES, *REAL_SERIES]


@pytest.mark.parametrize("name", PAPER_SERIES)
def test_checksums(name: str) -> None:
    data = load_dataset(name)
    parts = [data.x_train.ravel(), data.y_train.ravel(), data.x_test.ravel(), data.y_test.ravel()]
    assert digest(np.concatenate(parts)) == CHECKSUMS[name]


#: Also of the last known values and the scalers, for windows of 7 rows and 3 to predict.
CHECKSUMS_WIDE = {
    "bessel": "c106c13751e007d5",
    "damped_shm": "59d910b0b105dd50",
    "delayed_quantum_control": "63c18ebbbb8852d1",
    "narma5": "af52e4f3f563469c",
    "narma10": "fd76860fbb8b796e",
}


@pytest.mark.parametrize("name", PAPER_SERIES)
def test_checksums_of_other_windows(name: str) -> None:
    data = load_dataset(name, window=7, horizon=3)
    parts = [data.x_train, data.y_train, data.x_test, data.y_test, data.last_test]
    scalers = [data.input_scaler.low, data.input_scaler.high, data.target_scaler.low, data.target_scaler.high]
    assert digest(np.concatenate([*(part.ravel() for part in parts), *scalers])) == CHECKSUMS_WIDE[name]


@pytest.mark.parametrize("name", PAPER_SERIES)
def test_the_papers_protocol_to_the_bit(name: str) -> None:
    """Written out: the whole series gives the scale, one window is dropped, 67 % train."""
    series, data = PAPER_SERIES[name](), load_dataset(name)
    assert (data.season, data.features, data.target) == (1, series.features, series.target_name)
    low, high = (-1.0, 1.0) if name.startswith("narma") else (series.target.min(), series.target.max())
    inputs, target = ((v - (low + high) / 2) / ((high - low) / 2) for v in (series.inputs[:, 0], series.target))
    n = len(target) - 5
    x = np.array([inputs[i : i + 4] for i in range(n)])[..., None]
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), x)
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test])[:, 0], target[4 : 4 + n])
    np.testing.assert_array_equal(data.last_test[:, 0], target[3 : 3 + n][int(0.67 * n) :])
    assert len(data.x_train) == int(0.67 * n)
    np.testing.assert_array_equal(data.values, series.target)
    with pytest.raises(OptionError, match="train_fraction is 0.8; it is 0.67 for the paper's series"):
        load_dataset(name, train_fraction=0.8)


@pytest.mark.parametrize(("name", "expected"), [("bessel", 0.02387), ("damped_shm", 0.04689)])
def test_constant_prediction_has_the_published_error(name: str, expected: float) -> None:
    data = load_dataset(name)
    assert np.mean((data.y_test - data.y_train.mean()) ** 2) == pytest.approx(expected, abs=5e-6)


def test_series_in_original_units() -> None:
    assert len(bessel()) == 256
    assert len(delayed_quantum_control()) == 2200
    velocity = damped_shm()
    assert velocity.shape == (240,)
    assert velocity[0] == 3.0
    # the pendulum loses energy and nothing else: with theta from a sum of velocities it must match a fine Euler-Richardson run
    theta, omega, step = 0.0, 3.0, 20 / 239 / 2000
    for _ in range(2000 * 10):
        middle_theta, middle = theta + omega * step / 2, omega + (-0.15 * omega - 9.81 * np.sin(theta)) * step / 2
        theta, omega = theta + middle * step, omega + (-0.15 * middle - 9.81 * np.sin(middle_theta)) * step
    assert velocity[10] == pytest.approx(omega, abs=1e-7)


def test_narma_recurrence_by_hand() -> None:
    u, y = narma(5)
    assert len(u) == len(y) == 300
    assert y[0] == 0.196
    assert y[1] == pytest.approx(0.3 * 0.196 + 0.05 * 0.196 * 0.196 + 0.1)
    t = 57
    expected = 0.3 * y[t] + 0.05 * y[t] * (y[t] + y[t - 1] + y[t - 2] + y[t - 3] + y[t - 4]) + 1.5 * u[t - 4] * u[t] + 0.1
    assert y[t + 1] == pytest.approx(expected)


def test_windows_follow_one_another() -> None:
    values = np.arange(20.0)
    identity = Scaler.identity(1)
    data = make_dataset(
        "count",
        values[:, None],
        values,
        features=("value",),
        target_name="value",
        window=3,
        horizon=2,
        scalers=(identity, identity),
    )
    assert (len(data.x_train), len(data.x_test)) == (9, 6), "of 16; the tenth would train on what the first test predicts"
    np.testing.assert_array_equal(data.x_train[0, :, 0], [0, 1, 2])
    np.testing.assert_array_equal(data.y_train[0], [3, 4])
    np.testing.assert_array_equal(data.x_test[-1, :, 0], [15, 16, 17])
    np.testing.assert_array_equal(data.y_test[-1], [18, 19])
    np.testing.assert_array_equal(data.persistence()[-1], [17, 17])
    assert data.y_test[0, 0] == data.y_train[-1, -1] + 1 == data.n_known


def test_scaling_does_not_look_into_the_test_part() -> None:
    values = np.arange(100.0)
    options = {"features": ("a",), "target_name": "a", "window": 4}
    data = make_dataset("a", values[:, None], values, **options)
    changed = values.copy()
    n_seen = len(data.x_train) + 4
    changed[n_seen:] *= 1000
    other = make_dataset("a", changed[:, None], changed, **options)
    np.testing.assert_array_equal(data.x_train, other.x_train)
    np.testing.assert_array_equal(data.y_train, other.y_train)
    assert data.input_scaler == other.input_scaler == data.target_scaler
    assert data.x_train.min() == -1
    assert data.y_train.max() == 1  # the last row that a training window reads


def test_scaler_round_trip_and_constant_column() -> None:
    values = np.array([[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]])
    scaler = Scaler.fit(values)
    np.testing.assert_allclose(scaler.transform(values), [[-1, 0], [1, 0], [0, 0]])
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values)


def test_example_sunspots() -> None:
    data = load_csv(EXAMPLES / "sunspots.csv", "sunspots", window=11)
    assert data.x_train.shape[1:] == (11, 1)
    assert len(data.x_train) + len(data.x_test) == 309 - 11
    first = data.input_scaler.inverse(data.x_train[0])[:, 0]
    np.testing.assert_allclose(first, [5, 11, 16, 23, 36, 58, 29, 20, 10, 8, 3], atol=1e-12)


def test_two_features(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = [f"{i},{i * i},{-i}" for i in range(30)]
    path.write_text("a, b ,y\n" + "\n".join(rows) + "\n")
    data = load_csv(path, "y", ["a", "b"], window=2)
    assert data.features == ("a", "b")
    np.testing.assert_allclose(data.input_scaler.inverse(data.x_train[3]), [[3, 9], [4, 16]])
    np.testing.assert_allclose(data.target_scaler.inverse(data.y_train[3]), [-5])


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        (None, {}, DataError, "there is no file"),
        ("", {}, DataError, "is empty"),
        ("a,a\n1,2\n", {}, DataError, "more than one column named 'a'"),
        ("a,b\n1,2\n3,4,5\n", {}, DataError, "cannot be read as CSV"),
        ("a,volume\n1,2\n", {"target": "volumes"}, OptionError, "Did you mean 'volume'"),
        ("a,b\n1,2\n", {"features": ["a", "c"]}, OptionError, "unknown column"),
        ("a\n1\n2\nx\n4\n", {}, DataError, "line 4, column 'a': 'x' is not a finite number"),
        ("a,b\n1,1\n,2\n", {}, DataError, "line 3, column 'a': a value is missing"),
        ("a\n1\nnan\n", {}, DataError, "line 3, column 'a': 'nan'"),
        ("a\n1\n2\x00" + "5\n1\n" * 50, {}, DataError, "line 3: a zero byte"),
        ("a\n1\n2\n-inf\n", {}, DataError, "line 4, column 'a': '-inf'"),
        ("a\n1\n\n3\n", {}, DataError, "line 3, column 'a': a value is missing"),
        ("a\n" + "1\n" * 50 + "\n\n", {"features": ["a", "a"]}, OptionError, "twice"),
        (
            "a\n1.7e308\n" + "-1.7e308\n" * 50,
            {},
            DataError,
            "line 2, column 'a': '1.7e308' is above 1e\\+150; use a smaller unit",
        ),
        ("a\n" + "1\n2\n" * 25 + "1e200\n", {}, DataError, "line 52, column 'a': '1e200' is above"),
        ("a\n" + "0\n1e-155\n" * 25, {}, DataError, "column 'a' of series runs from 0 to 1e-155; use a larger unit"),
        ("a\n" + "0\n5e-324\n" * 25, {}, DataError, "use a larger unit"),
        (
            "a\n" + "0\n1e-20\n" * 25 + "1e140\n",
            {},
            DataError,
            "line 52.*column 'a': 1e\\+140 is too far from what is trained on",
        ),
        ("a\n1\n2\n3\n", {}, DataError, "has 3 rows, which give 0 windows of 4 rows"),
        ("a\n" + "1\n" * 5, {}, DataError, "has 5 rows, which give 1 windows"),
        ("a\n" + "1\n" * 50, {"window": 0}, OptionError, "window is 0"),
        ("a\n" + "1\n" * 50, {"horizon": 0}, OptionError, "horizon is 0"),
        ("a\n" + "1\n" * 50, {"train_fraction": 1.0}, OptionError, "train_fraction is 1.0"),
    ],
)
def test_bad_files_and_options(tmp_path: Path, content: str | None, options: dict, error: type, message: str) -> None:
    path = tmp_path / "series.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=message):
        load_csv(path, **({"target": "a"} | options))


def test_the_largest_values_have_finite_errors(tmp_path: Path) -> None:
    """In the part that tests, where no scaler is fitted: squares of what is let through are numbers."""
    path = tmp_path / "large.csv"
    path.write_text("a\n" + "1\n2\n" * 25 + "1e149\n-1e149\n1\n")
    data = load_csv(path, "a")
    with np.errstate(all="raise"):
        errors = forecast_errors(data, data.persistence())
    assert np.isfinite(list(errors.values())).all()


@pytest.mark.parametrize("fraction", [0.1, 0.29, 0.57, 0.58, 0.67, 0.7, 0.9, np.float64(0.7), np.float32(0.7)])
def test_a_part_is_rounded_down_once(fraction: float) -> None:
    """Decimal arithmetic is the oracle; products of floats lose a window where the right one is whole."""
    for count in range(1, 400):
        exact = int(Decimal(str(fraction)) * count)
        assert part_of(fraction, count) == exact
        if 0 < exact < count:
            assert split_validation(count, 1, fraction) == (count - exact, exact)
    assert [part_of(k / 3, 90) for k in range(3)] == [0, 30, 60], "thirds that are computed"


def test_no_window_is_lost_to_rounding() -> None:
    y = np.arange(94.0)
    data = make_dataset("a", y[:, None], y, features=["y"], target_name="y", train_fraction=0.7)
    assert (len(data.x_train), len(data.x_test)) == (63, 27)
    assert len(make_dataset("a", y[:, None], y, features=["y"], target_name="y", train_fraction=2 / 3).x_train) == 60
    y = np.arange(153.0)
    data = make_dataset("a", y[:, None], y, features=["y"], target_name="y")
    assert len(data.x_train) == 99
    assert len(make_dataset("a", y[:, None], y, features=["y"], target_name="y", window=3).validation(0.29)[0]) == 29


def test_published_splits_have_no_such_product() -> None:
    """0.67 and 0.2, of studies and series, are cut as products of floats are, at any length."""
    for fraction in (0.67, 0.2):
        assert all(part_of(fraction, count) == int(fraction * count) for count in range(1, 3000))


def test_errors_in_original_units_survive_a_constant_training_part(tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("a\n" + "5\n" * 30 + "\n".join(map(str, range(10, 20))) + "\n\n")
    data = load_csv(path, "a")
    np.testing.assert_allclose(data.target_scaler.inverse(data.y_test)[-3:, 0], [17, 18, 19])
    np.testing.assert_allclose(data.target_scaler.inverse(data.y_train)[0], 5)


def test_binary_file_and_folder(tmp_path: Path) -> None:
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80" * 9)
    for path, said in ((binary, "cannot be read"), (tmp_path, "is a folder; give a CSV file")):
        with pytest.raises(DataError, match=said):
            load_csv(path, "a")


def test_unknown_dataset() -> None:
    with pytest.raises(OptionError, match="Did you mean 'damped_shm'"):
        load_dataset("dampedshm")
