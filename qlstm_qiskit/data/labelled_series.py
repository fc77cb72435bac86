"""Series of labelled windows that come with sktime, with a training and a test part of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlstm_qiskit.data.labelled import LabelledWindows
from qlstm_qiskit.data.scaler import Floats, Scaler
from qlstm_qiskit.errors import OptionError, installing, unknown_option

Labels = NDArray[Any]
_Part = tuple[Floats, Labels]


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
