"""Windows with classes: series that come with sktime, and tables with a column of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data.cells import is_text, require_columns
from qlstm_qiskit.data.labels import labels_of, named
from qlstm_qiskit.data.reading import Reading
from qlstm_qiskit.data.scaler import Floats, Scaler, scaled_rows
from qlstm_qiskit.data.table import SeriesTable, read_series
from qlstm_qiskit.data.windows import Dataset, part_of, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, installing, require_at_least, unknown_option

Labels = NDArray[Any]
_Part = tuple[Floats, Labels]


@dataclass(frozen=True, eq=False)
class LabelledWindows(Dataset):
    """Windows with a class each, in a training and a test part.

    The attributes of `Dataset` that are of a series to forecast say nothing here: targets are 1 for a window's own class and 0
    for the others, (n, n_classes), their scaler changes nothing, and there are no `values`.

    Attributes:
        classes: The classes, sorted, (n_classes,): text, whole numbers or truth values.
    """

    classes: Labels = field(default_factory=lambda: np.empty(0, str))

    @classmethod
    def of(
        cls, name: str, target: str, train: tuple[Floats, Labels], test: tuple[Floats, Labels], **more: Any
    ) -> LabelledWindows:
        """From scaled windows (n, window, features) and the class of each, (n,).

        Args:
            name: Of the data.
            target: Name of what the classes are of.
            train, test: Windows and classes.
            **more: Further attributes.

        Raises:
            DataError: There are fewer than two classes to train on, or a class stands in the test part alone.
        """
        classes = np.unique(train[1])
        unknown = np.setdiff1d(test[1], classes)
        if len(unknown):
            raise DataError(
                f"{name}: {target!r} has classes that no training window has, {named(unknown)}; a model cannot learn them. "
                "Give a larger train_fraction, more rows of them before the test part, or leave their rows out."
            )
        if len(classes) < 2:
            raise DataError(f"{name}: all training windows are of one class of {target!r}, {named(classes)}; two are needed.")
        (x_train, y_train), (x_test, y_test) = (
            (windows, (labels[:, None] == classes).astype(np.float64)) for windows, labels in (train, test)
        )
        return cls(
            name=name,
            target=target,
            classes=classes,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            target_scaler=Scaler.identity(1),
            last_test=np.empty((0, 1)),
            values=np.empty(0),
            **more,
        )

    @property
    def horizon(self) -> int:
        """1: a window has one class."""
        return 1

    @property
    def n_outputs(self) -> int:
        """Outputs of a model: one for each class."""
        return len(self.classes)

    @property
    def answers(self) -> Labels:
        """The class of each training window, (n,)."""
        return np.asarray(self.classes[self.y_train.argmax(axis=1)])

    def persistence(self, horizon: int | None = None) -> Floats:
        """There is none."""
        self._refuse()

    def seasonal_naive(self, horizon: int | None = None) -> Floats:
        """There is none."""
        self._refuse()

    def mase_scale(self) -> float:
        """There is none."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OptionError(f"{self.name} has classes, and no values that could be forecast.")


@dataclass(frozen=True)
class LabelledSeries:
    """What a series of labelled windows is.

    Attributes:
        title: What was measured, and what the classes are.
        features: Names of its columns.
        target: What the classes are of.
        window: Rows of a window.
        every: Which rows of the original windows these are: every one, every second, ...
        read: Gives windows (n, features, rows) and classes (n,) of "train" or "test".
    """

    title: str
    features: tuple[str, ...]
    target: str
    window: int
    every: int
    read: Callable[[str], _Part] = field(repr=False)


def _of_sktime(name: str) -> Callable[[str], _Part]:
    def read(part: str) -> _Part:
        windows, labels = getattr(import_module("sktime.datasets"), name)(split=part, return_type="numpy3d")
        return windows, np.asarray(labels)

    return read


#: Name -> labelled windows with a training and a test part of their own, from the files that sktime ships.
LABELLED_SERIES: Mapping[str, LabelledSeries] = MappingProxyType(
    {
        "italy_power_demand": LabelledSeries(
            title="power demand of Italy in the 24 hours of a day; days from October to March are 1, the others 2",
            features=("demand",),
            target="half_year",
            window=24,
            every=1,
            read=_of_sktime("load_italy_power_demand"),
        ),
        "basic_motions": LabelledSeries(
            title="6 channels of a smart watch (acceleration, rotation) while standing, walking, running, or at badminton",
            features=tuple(f"channel_{number}" for number in range(1, 7)),
            target="motion",
            window=25,
            every=4,
            read=_of_sktime("load_basic_motions"),
        ),
    }
)


def load_labelled(name: str) -> LabelledWindows:
    """Build a series of labelled windows by name, scaled to [-1, 1] by the range of its training part.

    Training windows are ordered so that classes take turns, since files list one class after another: the last of them, which
    may validate, are of all classes.

    Args:
        name: One of `LABELLED_SERIES`.

    Raises:
        OptionError: There is none of that name, or sktime, which it comes with, is not installed.
    """
    if name not in LABELLED_SERIES:
        raise unknown_option("series of labelled windows", name, LABELLED_SERIES)
    if find_spec("sktime") is None:
        raise OptionError(f"the series {name!r} comes with sktime, which is not installed; {installing('sktime')}.")
    series = LABELLED_SERIES[name]
    (train, of_train), (test, of_test) = (series.read(part) for part in ("train", "test"))
    scaler = Scaler.fit(np.concatenate(train.transpose(0, 2, 1)), series.features)
    x_train, x_test = (scaler.transform(part.transpose(0, 2, 1)[:, :: series.every]) for part in (train, test))
    order = _in_turns(of_train)
    return LabelledWindows.of(
        name,
        series.target,
        (x_train[order], of_train[order]),
        (x_test, of_test),
        features=series.features,
        input_scaler=scaler,
    )


def _in_turns(labels: Labels) -> NDArray[np.intp]:
    """An order in which classes take turns as long as they last; windows of a class stay in their order."""
    turns = pd.Series(labels).groupby(labels).cumcount().to_numpy()
    return np.lexsort((labels, turns))


def label_csv(
    path: Path | str | pd.DataFrame,
    target: str,
    features: Sequence[str] | None = None,
    *,
    window: int = 4,
    train_fraction: float = 0.67,
    reading: Reading | None = None,
) -> LabelledWindows:
    """Read a table with a column of classes: a window of rows has the class of its last row.

    Windows are split in time order: those that train read no row whose class is tested, and scaling is fitted on the rows that
    they read.

    Args:
        path: CSV file with a header line, Parquet file, or DataFrame, whose index may hold the dates.
        target: Column of the classes: text, whole numbers or truth values.
        features: Columns to predict them from; by default all others that are numbers, but for one of dates.
        window: Rows in each window.
        train_fraction: Part of the windows (rounded down) before the first that tests.
        reading: How to read it; what it leaves open is recognised.

    Raises:
        DataError: The file, a column or a value cannot be used, a row has no class, a class is tested and not trained, or
            there are too few rows.
        OptionError: A column or an option is not allowed, or there is no column to predict classes from.
    """
    require_at_least("window", window, 1)
    if not 0 < train_fraction < 1:
        raise OptionError(f"train_fraction is {train_fraction}; it must lie between 0 and 1.")
    names, said = chosen_features(path, target, features, reading)
    table = read_series(path, names, target, reading)
    require_columns(table.cells, [target])
    labels = labels_of(table.cells[target], table.lines, f"{table.name}, {table.place}")
    name = "DataFrame" if isinstance(path, pd.DataFrame) else Path(path).stem
    n_windows = len(labels) - window + 1
    n_train = part_of(train_fraction, max(n_windows, 0))
    if n_train < 1 or n_windows - n_train < 1:
        raise DataError(
            f"{name} has {len(labels)} rows, which give {max(n_windows, 0)} windows of {window} rows, {n_train} of them to "
            "train; give a longer table, or a smaller window."
        )
    scaler = Scaler.fit(table.values[: n_train + window - 1], [f"column {column!r} of {name}" for column in names])
    windows = sliding_windows(scaled_rows(name, names, table.values, scaler), window)
    of_windows = labels[window - 1 :]
    data = LabelledWindows.of(
        name,
        target,
        (windows[:n_train], of_windows[:n_train]),
        (windows[n_train:], of_windows[n_train:]),
        features=names,
        input_scaler=scaler,
    )
    return replace(data, times=table.times, reading=table.reading, said=_said(table, said))


def chosen_features(
    path: Path | str | pd.DataFrame, target: str, features: Sequence[str] | None, reading: Reading | None
) -> tuple[tuple[str, ...], str]:
    """The columns that classes are predicted from, and which they are in words where they were not named.

    Args:
        path, target, features, reading: As in `label_csv`.

    Raises:
        DataError: The file cannot be read.
        OptionError: There is no such column, none to predict classes from, or one is named twice or is the classes' own.
    """
    if features:
        names = tuple(features)
        if len(set(names)) < len(names):
            raise OptionError(f"features names a column twice: {', '.join(names)}.")
        if target in names:
            raise OptionError(f"{target!r} is the column of the classes, and cannot be a feature too; leave it out.")
        return names, ""
    table = read_series(path, (), target, reading)
    require_columns(table.cells, [target])
    dates = None if table.times is None else table.times.column
    given = None if reading is None else reading.date_column
    names = tuple(
        str(name) for name in table.cells.columns if name and name not in (target, dates, given) and _is_numbers(table, name)
    )
    if not names:
        raise OptionError(
            f"{table.name} has no column of numbers beside {target!r} to predict its classes from; name columns by features "
            "(--features)."
        )
    return names, f"features {', '.join(names)} (all columns of numbers but for {target!r})"


def _is_numbers(table: SeriesTable, name: str) -> bool:
    """Whether the cells of a column are numbers, most of them: others are then refused by line."""
    column = table.cells[name]
    if not is_text(column):
        return not pd.api.types.is_datetime64_any_dtype(column)
    text = column.str.strip().str.replace(",", ".", regex=False)
    known = text[text != ""]
    return len(known) > 0 and bool(pd.to_numeric(known, errors="coerce").notna().mean() > 0.5)


def _said(table: SeriesTable, features: str) -> str:
    if not features:
        return table.said
    return f"{table.said}, {features}" if table.said else f"{Path(table.name).name}: {features}"
