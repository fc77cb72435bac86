"""Predictions that are fed back, and what else the rows after a window hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.known import Known, own_columns
from qlstm_qiskit.data.scaler import Floats, Scaler


class Fed(Protocol):
    """What a model reads and predicts: a `Dataset`, or the header of a run."""

    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> str: ...
    @property
    def window(self) -> int: ...
    @property
    def horizon(self) -> int: ...
    @property
    def input_scaler(self) -> Scaler: ...
    @property
    def target_scaler(self) -> Scaler: ...
    @property
    def known(self) -> Known | None: ...


def unknown_later(own: Fed) -> tuple[str, ...]:
    """The features whose later values are neither predicted nor known ahead, so that nothing can be fed back."""
    ahead = () if own.known is None else own.known.columns
    return tuple(name for name in own_columns(own.features, own.known, own.horizon) if name not in (own.target, *ahead))


def fed_back(predict: Callable[[Floats], Floats], own: Fed, windows: Floats, steps: int, after: Floats | None = None) -> Floats:
    """Scaled predictions of scaled windows, (n, steps); those of steps beyond the horizon are made from predictions.

    Args:
        predict: From scaled windows (n, window, features) to scaled predictions (n, horizon).
        own: What the model reads and predicts.
        windows: (n, window, features).
        steps: How far.
        after: The inputs in the rows after each window, (n, at least steps rounded up to whole horizons, less one, features),
            scaled, where some are known ahead; NaN where they are not known, and so are predictions that need them.
    """
    found = np.empty((len(windows), 0))
    places = [place for place, name in enumerate(own_columns(own.features, own.known, own.horizon)) if name == own.target]
    low, high = (tuple(np.take(end, places).tolist()) for end in (own.input_scaler.low, own.input_scaler.high))
    while found.shape[1] < steps:
        predicted = predict_whole(predict, own, windows)
        if found.shape[1] + own.horizon < steps:
            fed = Scaler(low, high).transform(np.repeat(own.target_scaler.inverse(predicted)[:, :, None], len(places), axis=2))
            if after is not None:
                rows = after[:, found.shape[1] : found.shape[1] + own.horizon].copy()
                rows[:, :, places] = fed
                fed = rows
            windows = np.concatenate([windows, fed], axis=1)[:, -own.window :]
        found = np.concatenate([found, predicted], axis=1)
    return found[:, :steps]


def predict_whole(predict: Callable[[Floats], Floats], own: Fed, windows: Floats) -> Floats:
    """Predictions of windows, NaN for those with an input that is not known; errors as of `predict`.

    Args:
        predict, own, windows: As in `fed_back`.
    """
    whole = ~np.isnan(windows).any(axis=(1, 2)) if own.known is not None else np.ones(len(windows), bool)
    if whole.all():
        return predict(windows)
    found = np.full((len(windows), own.horizon), np.nan)
    if whole.any():
        found[whole] = predict(windows[whole])
    return found


def rows_after(inputs: Floats, first: NDArray[np.int64], steps: int) -> Floats:
    """The rows from these on, (n, steps, features); NaN beyond the last one.

    Args:
        inputs: (rows, features), scaled.
        first: Rows of them, (n,).
        steps: How many each.
    """
    after = np.concatenate(
        [inputs, np.full((max(int(first.max(initial=0)) + steps - len(inputs), 0), inputs.shape[1]), np.nan)]
    )
    return after[first[:, None] + np.arange(steps)]
