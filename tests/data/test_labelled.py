"""Labelled windows: of tables, and of the series that come with sktime."""

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import LABELLED_SERIES, Reading, Scaler, label_csv, load_dataset, load_labelled
from qlstm_qiskit.data.classes import load_classes
from qlstm_qiskit.data.labels import labels_of, named, places_of
from qlstm_qiskit.errors import DataError, OptionError

N = 24
TABLE = pd.DataFrame(
    {"x": np.arange(float(N)), "z": np.arange(N) % 5 - 2.0, "mood": np.array(["up", "down"])[np.arange(N) % 2]}
)
DATES = pd.date_range("2024-01-01", periods=N)


def test_windows_train_on_no_row_whose_class_is_tested() -> None:
    """The scale too: a test row far away changes nothing of what trains."""
    data = label_csv(TABLE, "mood", ["x", "z"], window=4, train_fraction=0.5)
    assert (data.window, data.horizon, data.n_outputs, data.features, data.target) == (4, 1, 2, ("x", "z"), "mood")
    assert (len(data.x_train), len(data.x_test)) == (10, 11)
    low, high = (TABLE[["x", "z"]].iloc[:13].agg(one).to_numpy() for one in ("min", "max"))
    assert data.input_scaler == Scaler(tuple(low), tuple(high))
    for windows, targets, first in ((data.x_train, data.y_train, 0), (data.x_test, data.y_test, 10)):
        for place, (window, target) in enumerate(zip(windows, targets, strict=True), first):
            own = (TABLE[["x", "z"]].iloc[place : place + 4].to_numpy() - (low + high) / 2) / ((high - low) / 2)
            np.testing.assert_allclose(window, own, rtol=0, atol=1e-12)
            assert data.classes[target.argmax()] == TABLE["mood"][place + 3]
    assert data.answers.tolist() == TABLE["mood"][3:13].tolist()
    later = TABLE.assign(x=TABLE["x"].where(TABLE.index < 13, 1e6))
    changed = label_csv(later, "mood", ["x", "z"], window=4, train_fraction=0.5)
    np.testing.assert_array_equal(changed.x_train, data.x_train)


def test_rows_are_sorted_by_their_dates_with_their_classes(tmp_path) -> None:
    shuffled = TABLE.assign(day=DATES.strftime("%Y-%m-%d")).sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "s.csv", index=False)
    data, plain = label_csv(tmp_path / "s.csv", "mood"), label_csv(TABLE, "mood", ["x", "z"])
    assert data.features == ("x", "z")
    np.testing.assert_array_equal(data.x_test, plain.x_test)
    np.testing.assert_array_equal(data.y_train, plain.y_train)
    assert data.times is not None
    assert "rows sorted by 'day'" in data.said
    assert "features x, z (all columns of numbers but for 'mood')" in data.said


@pytest.mark.parametrize(
    "columns",
    [
        {"day": DATES.strftime("%d.%m.%Y"), "id": [f"k{k}" for k in range(N)]},
        {"year": range(1990, 1990 + N), "text": "a"},
        {"time": range(N), "empty": ""},
        {"when": DATES.strftime("%Y-%m-%d %H:%M"), "more": [*["-"] * 20, *"1234"]},
    ],
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_features_are_all_columns_of_numbers_but_for_times(tmp_path, columns: dict, decimal: str) -> None:
    table = pd.DataFrame({**columns, "x": TABLE["x"] / 4, "mood": TABLE["mood"], "z": TABLE["z"] / 4})
    table.to_csv(tmp_path / "s.csv", index=False, decimal=decimal, sep=";" if decimal == "," else ",")
    data = label_csv(tmp_path / "s.csv", "mood")
    assert data.features == ("x", "z")
    np.testing.assert_array_equal(data.x_train, label_csv(table[["x", "z", "mood"]], "mood").x_train)


def test_what_was_recognised_reads_it_again(tmp_path) -> None:
    table = TABLE.assign(day=DATES.strftime("%d.%m.%Y"))[::-1]
    table.to_csv(tmp_path / "s.csv", index=False, decimal=",", sep=";")
    first = label_csv(tmp_path / "s.csv", "mood")
    again = label_csv(tmp_path / "s.csv", "mood", first.features, reading=first.reading)
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.y_test, again.y_test)


def test_features_are_filled_in_and_classes_are_not() -> None:
    holes = TABLE.assign(x=TABLE["x"].where(TABLE.index != 5))
    with pytest.raises(DataError, match="row 6, column 'x': a value is missing"):
        label_csv(holes, "mood", ["x"])
    filled = label_csv(holes, "mood", ["x"], reading=Reading(impute="linear"))
    np.testing.assert_allclose(filled.x_train, label_csv(TABLE, "mood", ["x"]).x_train, atol=1e-12)
    with pytest.raises(DataError, match=r"row 3, column 'mood': '' is no class but a missing one \(1 such in all\)"):
        label_csv(TABLE.assign(mood=TABLE["mood"].where(TABLE.index != 2)), "mood", ["x"], reading=Reading(impute="linear"))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", " 3 "], np.array([1, 2, 3])),
        (["1.0", "-2", "+3"], np.array([1, -2, 3])),
        (["True", "false", "TRUE"], np.array([True, False, True])),
        (["1", "b", "none"], np.array(["1", "b", "none"])),
        ([1.0, 2.0, 3.0], np.array([1, 2, 3])),
        ([True, False, True], np.array([True, False, True])),
        (["1", "2", "inf"], np.array(["1", "2", "inf"])),
    ],
)
def test_cells_become_labels(cells: list, expected: np.ndarray) -> None:
    column = pd.Series(cells, name="c")
    found = labels_of(column, None, "s, row")
    assert found.dtype.kind == expected.dtype.kind
    assert found.tolist() == expected.tolist()
    places = places_of(column, np.unique(found))
    assert np.unique(found)[places].tolist() == expected.tolist()
    assert places_of(pd.Series(["other", None]), np.unique(found)).tolist() == [-1, -1]


@pytest.mark.parametrize(("cells", "what"), [(["1", "2.5"], "'2.5'"), ([1e300, 2.0], "'1e[+]300'"), ([0.5, 1.5], "'0.5'")])
def test_fractions_are_no_classes(cells: list, what: str) -> None:
    with pytest.raises(
        DataError, match=f"{what} is no class; classes are text or whole numbers. To forecast numbers train with"
    ):
        labels_of(pd.Series(cells, name="c"), None, "s, row")


def test_messages_name_a_few_classes() -> None:
    assert named(np.arange(10)) == "0, 1, 2, 3, 4, 5, 6, 7, and 2 more"
    assert named(np.array(["a", "b"])) == "'a', 'b'"


@pytest.mark.parametrize("name", LABELLED_SERIES)
def test_series_of_sktime(name: str) -> None:
    """Windows are those of the files; classes take turns, so that the last fifth has all of them."""
    sktime = pytest.importorskip("sktime.datasets")
    windows, labels = getattr(sktime, f"load_{name}")(split="train", return_type="numpy3d")
    data, series = load_labelled(name), LABELLED_SERIES[name]
    assert data.x_train.shape == (len(labels), series.window, len(series.features))
    kept = data.input_scaler.inverse(data.x_train).transpose(0, 2, 1)
    for label in np.unique(labels):
        of_one = windows[labels == label][:, :, :: series.every]
        np.testing.assert_allclose(kept[data.answers == label], of_one, rtol=0, atol=1e-9)
    assert set(data.answers[-len(labels) // 5 :]) == set(labels)
    assert np.abs(data.x_train).max() <= 1 + 1e-12


def test_what_forecasts_need_is_not_there() -> None:
    data = label_csv(TABLE, "mood", ["x"])
    for ask in (data.persistence, data.seasonal_naive, data.mase_scale):
        with pytest.raises(OptionError, match="DataFrame has classes, and no values that could be forecast"):
            ask()
    with pytest.raises(OptionError, match=r"'basic_motions' has classes, and no values.*load_labelled"):
        load_dataset("basic_motions")
    with pytest.raises(OptionError, match="unknown series of labelled windows 'nile'"):
        load_labelled("nile")
    with pytest.raises(OptionError, match="train_fraction is 1.5"):
        label_csv(TABLE, "mood", train_fraction=1.5)
    with pytest.raises(OptionError, match="window is 0; it must be an integer of at least 1"):
        label_csv(TABLE, "mood", window=0)
    given = {"dataset": "besel", "window": 4, "train_fraction": 0.67}
    with pytest.raises(OptionError, match="unknown dataset 'besel'. Did you mean 'bessel'"):
        load_classes(given)
