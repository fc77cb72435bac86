"""Cutting a series into windows: scaled, changed where that is asked for, and split in time order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qlstm_qiskit.data.change import Change
from qlstm_qiskit.data.known import Known
from qlstm_qiskit.data.scaler import Floats, Scaler, scaled_rows
from qlstm_qiskit.data.windows import Dataset, part_of, sliding_windows
from qlstm_qiskit.errors import DataError, OptionError, require_at_least


def make_dataset(
    name: str,
    inputs: Floats,
    target: Floats,
    *,
    features: Sequence[str],
    target_name: str,
    window: int = 4,
    horizon: int = 1,
    train_fraction: float = 0.67,
    scalers: tuple[Scaler, Scaler] | None = None,
    drop_last: int = 0,
    season: int = 1,
    difference: int | str | Sequence[int | str] = (),
    transform: str | None = None,
    known: tuple[Known, Floats] | None = None,
    lead: int = 1,
    unit: bool = False,
) -> Dataset:
    """Scale a series, cut it into windows and split them in time order.

    With `difference` or `transform` the change of the target is learned, see `Change`; the test part is the same as without.
    The target's own past among the inputs is changed alike. Other columns are left as they are: differences of a mark, or a
    logarithm of a temperature, say nothing.

    Args:
        name: Name for messages and results.
        inputs: (rows, features), in time order, in original units.
        target: (rows,): the value to predict, at the same times.
        features, target_name: Their names.
        window: Rows in each input window.
        horizon: How many of the target's next values a window predicts.
        train_fraction: Part of the windows (rounded down) before the first that tests. They train, except for the last
            horizon - 1, or lead - 1, whose targets are not known yet at the end of the first test window.
        scalers: For inputs and target; by default fitted on the rows that training windows read, and no others, as those of
            changed columns always are.
        drop_last: Windows to leave out at the end.
        season: Rows in a season of the target; 1 where it has none.
        difference: Numbers of rows that the target is differenced over, or "season"; one or several.
        transform: "log" to take the logarithm of the target first.
        known: Further inputs that are known ahead, and `Known.rows` of all rows, (rows, channels), in original units. They are
            scaled by the same rows as the others, and never changed.
        lead: How many steps ahead of a window's last row the value is that it predicts, one alone if that is more than 1.
        unit: Whether scalers that are fitted here map to [0, 1] in place of [-1, 1].

    Raises:
        DataError: The series is too short to give a window to each part, or a season before the first test row; or a value is
            no number, or too large, or has no logarithm where one is taken.
        OptionError: An option is out of range or does not go with `lead`, or two inputs have one name.
    """
    require_lead(lead, horizon=horizon, difference=difference, transform=transform, known=known)
    change, own = Change.of(difference, transform, season), (name, tuple(features), target_name)
    span = lead + horizon - 1  # rows after a window up to the last that it predicts
    n_windows = len(inputs) - window - span + 1 - drop_last
    reach = 0 if change is None else change.reach
    first, n_train = _split(name, len(inputs), n_windows, window, horizon, lead, train_fraction, season, reach)
    prepared = _Prepared.of(own, inputs, target, first + window, change, scalers, unit)
    if known is not None:
        prepared = prepared.with_known(*known, first + window, horizon)
    return prepared.cut(window, horizon, lead, n_windows - reach, first - reach, n_train, season)


def require_lead(lead: int, **others: Any) -> None:
    """Refuse a lead above 1 beside what is for forecasts of the next rows.

    Args:
        lead: Steps ahead, at least 1.
        others: Values of options by name.

    Raises:
        OptionError: It is below 1, or another option is given.
    """
    require_at_least("lead", lead, 1)
    if lead == 1:
        return
    for name, given in others.items():
        if given and (name, given) != ("horizon", 1):
            raise OptionError(
                f"lead is {lead}: the one value {lead} steps ahead is predicted, and {name} is for forecasts of the next rows; "
                "leave one of them out."
            )


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A series scaled, and changed where that is asked for; the fields of `Dataset`, and the rows that windows are cut of."""

    name: str
    features: tuple[str, ...]
    target: str
    x: Floats
    y: Floats
    scalers: tuple[Scaler, Scaler]
    values: Floats
    change: Change | None
    series_scaler: Scaler | None
    known: Known | None = None

    @classmethod
    def of(
        cls,
        own: tuple[str, tuple[str, ...], str],
        inputs: Floats,
        target: Floats,
        known: int,
        change: Change | None,
        scalers: tuple[Scaler, Scaler] | None,
        unit: bool,
    ) -> _Prepared:
        """From name, features, target, and rows in original units, of which those before `known` are fitted on."""
        name, features, target_name = own
        x, y = np.asarray(inputs, dtype=np.float64), np.asarray(target, dtype=np.float64)[:, None]
        values, series_scaler, reach = y[:, 0].copy(), None, 0
        if scalers is None:
            scalers = _fitted(name, features, x[:known], unit), _fitted(name, (target_name,), y[:known], unit)
        if change is not None:
            change.require_allowed(values, target_name, f"{name}, row")
            series_scaler, reach = scalers[1], change.reach
            scaled_rows(name, (target_name,), y, series_scaler)
            own_past = [feature == target_name for feature in features]
            x, y = change.columns(x, own_past), change.apply(values)[:, None]
            changed = _fitted(f"changed {name}", (target_name,), y[: known - reach], unit)
            scalers = _columns(own_past, changed, scalers[0]), changed
        x = scaled_rows(name, features, x, scalers[0], before=reach)
        y = scaled_rows(name, (target_name,), y, scalers[1], before=reach)
        return cls(name, features, target_name, x, y, scalers, values, change, series_scaler)

    def with_known(self, known: Known, rows: Floats, seen: int, horizon: int) -> _Prepared:
        """With inputs that are known ahead; rows in original units, of which those before `seen` are fitted on."""
        features = (*self.features, *known.inputs(horizon))
        if len(set(features)) < len(features):
            raise OptionError(f"two inputs have one name; rename a column: {', '.join(features)}.")
        channels = known.fitted(self.name, rows[:seen])
        ahead = known.scaled(self.name, rows, channels, horizon)[len(rows) - len(self.x) :]
        one, other = self.scalers[0], known.of_inputs(channels, horizon)
        scaler = Scaler((*one.low, *other.low), (*one.high, *other.high))
        x = np.concatenate([self.x, ahead], axis=1)
        return replace(self, features=features, x=x, scalers=(scaler, self.scalers[1]), known=known)

    def cut(self, window: int, horizon: int, lead: int, n_windows: int, first: int, n_train: int, season: int) -> Dataset:
        """Windows in time order, of which the first `n_train` train, and those from `first` on test."""
        x = sliding_windows(self.x, window)[:n_windows]
        y = sliding_windows(self.y[window + lead - 1 :], horizon)[:n_windows, :, 0]
        return Dataset(
            name=self.name,
            features=self.features,
            target=self.target,
            x_train=x[:n_train],
            y_train=y[:n_train],
            x_test=x[first:],
            y_test=y[first:],
            input_scaler=self.scalers[0],
            target_scaler=self.scalers[1],
            last_test=self.y[window - 1 + first : window - 1 + n_windows],
            values=self.values,
            season=season,
            change=self.change,
            series_scaler=self.series_scaler,
            known=self.known,
            inputs=None if self.known is None else self._aligned(),
            lead=lead,
        )

    def _aligned(self) -> Floats:
        """The inputs, a row per row of the series."""
        before = np.full((len(self.values) - len(self.x), self.x.shape[1]), np.nan)
        return np.concatenate([before, self.x])


def _fitted(name: str, columns: Sequence[str], values: Floats, unit: bool) -> Scaler:
    fit = Scaler.fit_unit if unit else Scaler.fit
    return fit(values, [f"column {column!r} of {name}" for column in columns])


def _columns(which: Sequence[bool], one: Scaler, others: Scaler) -> Scaler:
    """A scaler with some columns as the only one of another scaler."""
    low, high = np.where(which, one.low, others.low), np.where(which, one.high, others.high)
    return Scaler(tuple(low.tolist()), tuple(high.tolist()))


def _split(
    name: str, n_rows: int, n_windows: int, window: int, horizon: int, lead: int, train_fraction: float, season: int, reach: int
) -> tuple[int, int]:
    """The first window that tests, and how many train; errors as of `make_dataset`."""
    require_at_least("window", window, 1)
    require_at_least("horizon", horizon, 1)
    require_at_least("season", season, 1)
    if not 0 < train_fraction < 1:
        raise OptionError(f"train_fraction is {train_fraction}; it must lie between 0 and 1.")
    first = part_of(train_fraction, max(n_windows, 0))  # that tests
    n_train = first - (lead + horizon - 2) - reach
    if n_windows < 2 or n_train < 1:
        far, reached = (f", {lead} steps ahead", "lead") if lead > 1 else ("", "horizon")
        raise DataError(
            f"{name} has {n_rows} rows, which give {max(n_windows, 0)} windows of {window} rows and {horizon} to predict{far}, "
            f"{max(n_train, 0)} of them to train{f' after {reach} rows that differences need' if reach else ''}; give a longer "
            f"series, a smaller window{', a smaller horizon or smaller differences' if reach else f' or a smaller {reached}'}."
        )
    if first + window <= season:
        raise DataError(
            f"{name} has {first + window} rows before the first that tests, and a season of {season} needs {season + 1}; "
            "give a larger train_fraction, a longer series or a smaller season."
        )
    return first, n_train
