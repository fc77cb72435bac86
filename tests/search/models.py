"""Small searches for the tests of this folder."""

import numpy as np
import torch

from qlstm_qiskit import QLSTMRegressor, SearchSpace
from qlstm_qiskit.nn import QLSTM, CircuitBank

SMALL = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])
N = len(SMALL)


def series(n: int = 40, window: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a sine and the value that follows each."""
    values = np.sin(0.7 * np.arange(n + window))
    windows = np.lib.stride_tricks.sliding_window_view(values, window)[:-1, :, None].copy()
    return windows, values[window:, None].copy()


def regressor(**options) -> QLSTMRegressor:
    return QLSTMRegressor(**({"hidden_size": 2, "depth": 1, "space": SMALL, "max_epochs": 3, "seed": 0} | options))


def fitted(**options) -> QLSTMRegressor:
    return regressor(**options).fit(*series())


def layer_of(model: QLSTMRegressor) -> QLSTM:
    layer = model.module_.recurrent
    assert isinstance(layer, QLSTM)
    return layer


def bank_of(model: QLSTMRegressor) -> CircuitBank:
    return next(layer_of(model).layers()).bank


def state_of(model: QLSTMRegressor) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.module_.state_dict().items()}


def same(first: QLSTMRegressor, second: QLSTMRegressor) -> bool:
    a, b = state_of(first), state_of(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
