"""Quantum LSTMs that design their own circuits (DiffQAS-QLSTM, arXiv 2508.14955), from a laptop to a QPU."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlstm_qiskit.data import load_dataset as load_dataset
    from qlstm_qiskit.hardware import load_backend as load_backend
    from qlstm_qiskit.nn import QGRU as QGRU
    from qlstm_qiskit.nn import QLSTM as QLSTM
    from qlstm_qiskit.nn import CircuitBank as CircuitBank
    from qlstm_qiskit.nn import QGRUCell as QGRUCell
    from qlstm_qiskit.nn import QLSTMCell as QLSTMCell
    from qlstm_qiskit.space import Candidate as Candidate
    from qlstm_qiskit.space import SearchSpace as SearchSpace
    from qlstm_qiskit.space import analyze as analyze
    from qlstm_qiskit.training import QLSTMRegressor as QLSTMRegressor

__version__ = "0.1.0"

# Imported on first use: `import qlstm_qiskit`, and with it `qlstm --help`, must not load torch and Qiskit.
_HOMES = {
    "Candidate": "space",
    "CircuitBank": "nn",
    "QGRU": "nn",
    "QGRUCell": "nn",
    "QLSTM": "nn",
    "QLSTMCell": "nn",
    "QLSTMRegressor": "training",
    "SearchSpace": "space",
    "analyze": "space",
    "load_backend": "hardware",
    "load_dataset": "data",
}

__all__ = [
    "QGRU",
    "QLSTM",
    "Candidate",
    "CircuitBank",
    "QGRUCell",
    "QLSTMCell",
    "QLSTMRegressor",
    "SearchSpace",
    "analyze",
    "load_backend",
    "load_dataset",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
