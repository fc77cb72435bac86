"""Quantum recurrent layers as torch modules."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.cell import RecurrentCell
from qlstm_qiskit.nn.classical import ClassicalBank
from qlstm_qiskit.nn.forecaster import EVALUATION_BATCH, Forecaster, predict_windows, trace_windows
from qlstm_qiskit.nn.mixing import MIXINGS, Mixing
from qlstm_qiskit.nn.qfwp import QFWP, QFWPCell
from qlstm_qiskit.nn.qgru import QGRU, QGRUCell
from qlstm_qiskit.nn.qlstm import QLSTM, QLSTMCell
from qlstm_qiskit.nn.recurrent import Recurrent
from qlstm_qiskit.nn.replaced import CLASSICAL_BANKS

#: Recurrent layers by the name of their cell; a new one is known everywhere once it stands here.
CELLS: Mapping[str, type[Recurrent[Any]]] = MappingProxyType({"lstm": QLSTM, "gru": QGRU, "fast-weight": QFWP})

__all__ = [
    "CELLS",
    "CLASSICAL_BANKS",
    "EVALUATION_BATCH",
    "MIXINGS",
    "QFWP",
    "QGRU",
    "QLSTM",
    "CircuitBank",
    "ClassicalBank",
    "Forecaster",
    "Mixing",
    "QFWPCell",
    "QGRUCell",
    "QLSTMCell",
    "Recurrent",
    "RecurrentCell",
    "predict_windows",
    "trace_windows",
]
