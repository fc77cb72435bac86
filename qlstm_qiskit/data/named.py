"""Series by name: the paper's five under its protocol, and real ones without a look into the test part."""

from __future__ import annotations

from collections.abc import Sequence

from qlstm_qiskit.data.cut import make_dataset
from qlstm_qiskit.data.generators import PAPER_SERIES
from qlstm_qiskit.data.labelled_series import LABELLED_SERIES
from qlstm_qiskit.data.real import REAL_SERIES
from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import OptionError, unknown_option

#: Names of all series, the paper's first.
DATASETS: tuple[str, ...] = (*PAPER_SERIES, *REAL_SERIES)

#: Part of the windows that trains in the paper.
PAPER_FRACTION = 0.67


def load_dataset(
    name: str,
    *,
    window: int = 4,
    horizon: int = 1,
    train_fraction: float = PAPER_FRACTION,
    difference: int | str | Sequence[int | str] = (),
    transform: str | None = None,
) -> Dataset:
    """Build a series by name.

    The paper's are built with its protocol: scaled over the whole series, the first 67 % of the windows train. Real series are
    univariate, and scaled by the rows that training windows read.

    Args:
        name: "bessel", "damped_shm", "delayed_quantum_control", "narma5" or "narma10"; or one of `REAL_SERIES`.
        window, horizon: Rows in a window and values to predict; 4 and 1 in the paper.
        train_fraction: Part of the windows (rounded down) before the first that tests; 0.67 for the paper's series.
        difference, transform: As in `make_dataset`; what is changed is scaled by the training part in the paper's series too.

    Raises:
        OptionError: No series of that name, or an option out of range.
        DataError: The series is too short for the window.
    """
    if name in REAL_SERIES:
        values = REAL_SERIES[name].read()
        return make_dataset(
            name,
            values[:, None],
            values,
            features=(name,),
            target_name=name,
            window=window,
            horizon=horizon,
            train_fraction=train_fraction,
            season=REAL_SERIES[name].season,
            difference=difference,
            transform=transform,
        )
    if name not in PAPER_SERIES:
        raise _unknown(name)
    if train_fraction != PAPER_FRACTION:
        raise OptionError(
            f"train_fraction is {train_fraction}; it is {PAPER_FRACTION} for the paper's series, {name!r} too; leave it out."
        )
    series = PAPER_SERIES[name]()
    return make_dataset(
        name,
        series.inputs,
        series.target,
        features=series.features,
        target_name=series.target_name,
        window=window,
        horizon=horizon,
        scalers=(series.scaler, series.scaler),
        drop_last=1,  # the author's loop stops one window early
        difference=difference,
        transform=transform,
    )


def _unknown(name: str) -> OptionError:
    if name in LABELLED_SERIES:
        return OptionError(
            f"{name!r} has classes, and no values that could be forecast; train with --task classification (in Python: "
            "load_labelled)."
        )
    return unknown_option("dataset", name, DATASETS)
