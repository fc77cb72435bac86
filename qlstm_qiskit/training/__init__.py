"""Training: the models by name, the scikit-learn estimator, and weights on disk."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlstm_qiskit.training.callbacks import ProgressBar as ProgressBar
    from qlstm_qiskit.training.models import MODELS as MODELS
    from qlstm_qiskit.training.models import build_forecaster as build_forecaster
    from qlstm_qiskit.training.regressor import QLSTMRegressor as QLSTMRegressor
    from qlstm_qiskit.training.spsa import SPSA as SPSA

# Imported on first use: the options of the command line are declared in this room, and must not load torch and Qiskit.
_HOMES = {
    "MODELS": "models",
    "SPSA": "spsa",
    "ProgressBar": "callbacks",
    "QLSTMRegressor": "regressor",
    "build_forecaster": "models",
}

__all__ = ["MODELS", "SPSA", "ProgressBar", "QLSTMRegressor", "build_forecaster"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
