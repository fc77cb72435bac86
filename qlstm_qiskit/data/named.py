"""Series by name: the paper's five and chaotic ones under their protocols, real ones without a look into the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qlstm_qiskit.data.chaotic import CHAOTIC_FRACTION, CHAOTIC_SERIES, SCALINGS
from qlstm_qiskit.data.cut import make_dataset
from qlstm_qiskit.data.generators import PAPER_SERIES
from qlstm_qiskit.data.labelled_series import LABELLED_SERIES
from qlstm_qiskit.data.real import REAL_SERIES
from qlstm_qiskit.data.scaler import Scaler
from qlstm_qiskit.data.windows import Dataset
from qlstm_qiskit.errors import OptionError, unknown_option

#: Names of all series, the paper's first.
DATASETS: tuple[str, ...] = (*PAPER_SERIES, *CHAOTIC_SERIES, *REAL_SERIES)

#: Part of the windows that trains in the paper.
PAPER_FRACTION = 0.67


def load_dataset(
    name: str,
    *,
    window: int | None = None,
    horizon: int = 1,
    train_fraction: float | None = None,
    difference: int | str | Sequence[int | str] = (),
    transform: str | None = None,
    lead: int | None = None,
    scaling: str | None = None,
    lag: int | None = None,
    k: int | None = None,
) -> Dataset:
    """Build a series by name.

    The paper's are built with its protocol: scaled over the whole series, the first 67 % of the windows train. So are chaotic
    ones with theirs: scaled to [0, 1] over the whole series, 80 % of the windows before those that test, of which the last
    quarter is to validate (`valid_fraction=0.25`). Real series are univariate, and scaled by the rows that training windows
    read.

    Args:
        name: "bessel", "damped_shm", "delayed_quantum_control", "narma5" or "narma10"; "henon", "mackey_glass" or "lorenz"; or
            one of `REAL_SERIES`.
        window, horizon: Rows in a window and values to predict; 4 and 1 by default, as in the paper.
        train_fraction: Part of the windows (rounded down) before the first that tests; 0.67 by default, and for the paper's
            series; 0.8 for chaotic ones.
        difference, transform: As in `make_dataset`; what is changed is scaled by the training part in all series.
        lead: How many steps ahead the value is that a window predicts; 1 by default, see `make_dataset`.
        scaling: Of a chaotic series: "whole-series", which looks into the test part, or "training-part".
        lag, k: Other names of `window` and `lead`, as benchmarks of chaotic series have them.

    Raises:
        OptionError: No series of that name, or an option out of range, or given by both of its names.
        DataError: The series is too short for the window.
    """
    cut: dict[str, Any] = {"window": _either("window", window, "lag", lag, 4), "lead": _either("lead", lead, "k", k, 1)}
    cut |= {"horizon": horizon, "difference": difference, "transform": transform}
    if name in CHAOTIC_SERIES:
        return _chaotic(name, train_fraction, scaling, cut)
    if scaling is not None:
        raise OptionError(f"scaling goes with {', '.join(CHAOTIC_SERIES)}; {name!r} has its own.")
    if name in REAL_SERIES:
        return _real(name, train_fraction, cut)
    if name not in PAPER_SERIES:
        raise _unknown(name)
    return _paper(name, train_fraction, cut)


def _real(name: str, train_fraction: float | None, cut: Mapping[str, Any]) -> Dataset:
    """A measured series; options as of `load_dataset`."""
    values = REAL_SERIES[name].read()
    return make_dataset(
        name,
        values[:, None],
        values,
        features=(name,),
        target_name=name,
        train_fraction=PAPER_FRACTION if train_fraction is None else train_fraction,
        season=REAL_SERIES[name].season,
        **cut,
    )


def _paper(name: str, train_fraction: float | None, cut: Mapping[str, Any]) -> Dataset:
    """A series of the paper under its protocol; options as of `load_dataset`."""
    _require_fraction(name, train_fraction, PAPER_FRACTION, "the paper's series")
    series = PAPER_SERIES[name]()
    return make_dataset(
        name,
        series.inputs,
        series.target,
        features=series.features,
        target_name=series.target_name,
        scalers=(series.scaler, series.scaler),
        drop_last=1,  # the author's loop stops one window early
        **cut,
    )


def own_fraction(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a data set, with the part of a chaotic series before its test part where none is given.

    Args:
        given: Fields, by name.
    """
    is_chaotic = isinstance(given.get("dataset"), str) and given["dataset"] in CHAOTIC_SERIES
    return {"train_fraction": CHAOTIC_FRACTION, **given} if is_chaotic else dict(given)


def _chaotic(name: str, train_fraction: float | None, scaling: str | None, cut: Mapping[str, Any]) -> Dataset:
    """A chaotic series under its protocol, or scaled by the part before the test part; options as of `load_dataset`."""
    _require_fraction(name, train_fraction, CHAOTIC_FRACTION, "chaotic series")
    if scaling not in (None, *SCALINGS):
        raise unknown_option("scaling", scaling, SCALINGS)
    values = CHAOTIC_SERIES[name].read()
    whole = Scaler.fit_unit(values[:, None])
    return make_dataset(
        name,
        values[:, None],
        values,
        features=("value",),
        target_name="value",
        train_fraction=CHAOTIC_FRACTION,
        scalers=None if scaling == SCALINGS[1] else (whole, whole),
        unit=True,
        **cut,
    )


def _require_fraction(name: str, given: float | None, allowed: float, series: str) -> None:
    if given not in (None, allowed):
        raise OptionError(f"train_fraction is {given}; it is {allowed} for {series}, {name!r} too; leave it out.")


def _either(name: str, given: int | None, other: str, also: int | None, default: int) -> int:
    """The value of an option that has two names."""
    if given is not None and also is not None:
        raise OptionError(f"{name} and {other} are two names of one option; give one of them.")
    found = also if given is None else given
    return default if found is None else found


def _unknown(name: str) -> OptionError:
    if name in LABELLED_SERIES:
        return OptionError(
            f"{name!r} has classes, and no values that could be forecast; train with --task classification (in Python: "
            "load_labelled)."
        )
    return unknown_option("dataset", name, DATASETS)
