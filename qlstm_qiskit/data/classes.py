"""Labelled windows as options ask for them, and options that only forecasts have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qlstm_qiskit.data.labelled import LabelledWindows
from qlstm_qiskit.data.labelled_files import label_csv
from qlstm_qiskit.data.labelled_series import LABELLED_SERIES, load_labelled
from qlstm_qiskit.data.named import DATASETS, PAPER_FRACTION
from qlstm_qiskit.errors import OptionError, unknown_option

#: Options of a series that is forecast, with the values that ask for nothing, and why classes have none.
_OF_FORECASTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "horizon": ((1,), "a window has one class, that of its last row"),
    "difference": ((None, (), []), "classes have no differences, and features are read as they are"),
    "transform": ((None,), "classes have no logarithms, and features are read as they are"),
    "known": ((None, (), []), "the class is that of the window's last row, and nothing later is read"),
    "calendar": ((None, (), []), "the class is that of the window's last row, and nothing later is read"),
    "interval": ((None,), "classes have probabilities in place of intervals (qlstm predict)"),
    "season": ((None, 1), "no earlier season is repeated to forecast a class"),
    "lead": ((None, 1), "the class is that of the window's last row"),
    "scaling": ((None,), "features are scaled by the training part"),
}


def own_window(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a data set, with the window of a labelled series where none is given: it has windows of its own.

    Args:
        given: Fields, by name.
    """
    known = LABELLED_SERIES.get(given["dataset"]) if isinstance(given.get("dataset"), str) else None
    return dict(given) if known is None else {"window": known.window, **given}


def require_classes(given: Mapping[str, Any]) -> None:
    """Refuse options that make no sense for classes.

    Args:
        given: `dataset`, `target`, `features`, `window` and `train_fraction`, and options that only forecasts have, by name.

    Raises:
        OptionError: One is given.
    """
    for name, (none, why) in _OF_FORECASTS.items():
        if name in given and given[name] not in none:
            raise OptionError(f"--{name} is for forecasts: {why}; leave it out, or train with --task regression.")
    dataset = given.get("dataset")
    if dataset is None:
        return
    if dataset not in LABELLED_SERIES:
        if dataset in DATASETS:
            raise OptionError(
                f"the dataset {dataset!r} has values and no classes; give {' or '.join(LABELLED_SERIES)}, a CSV file with a "
                "column of classes (--csv and --target), or --task regression."
            )
        raise unknown_option("dataset", dataset, (*DATASETS, *LABELLED_SERIES))
    for name in ("target", "features", "reading"):
        if given.get(name) is not None:
            raise OptionError(f"{name} goes with a CSV file; the dataset {dataset!r} has its own.")
    window = LABELLED_SERIES[dataset].window
    if given["window"] != window:
        raise OptionError(f"window is {given['window']}; the windows of {dataset!r} have {window} rows; leave --window out.")
    if given["train_fraction"] != PAPER_FRACTION:
        raise OptionError(
            f"train_fraction is {given['train_fraction']}; {dataset!r} has a training and a test part of its own; leave it out."
        )


def load_classes(given: Mapping[str, Any]) -> LabelledWindows:
    """Read labelled windows as options say.

    Args:
        given: As in `require_classes`, and `csv` and `reading`.

    Raises:
        OptionError: An option is not allowed, or there is no column of classes.
        DataError: The file cannot be used.
    """
    require_classes(given)
    if given["dataset"] is not None:
        return load_labelled(given["dataset"])
    if given["target"] is None:
        raise OptionError("a CSV file needs the name of the column of its classes (--target).")
    cut = {name: given[name] for name in ("window", "train_fraction", "reading")}
    return label_csv(str(given["csv"]), given["target"], given["features"], **cut)
