"""The quantum LSTM as torch modules."""

from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.cell import QLSTMCell
from qlstm_qiskit.nn.forecaster import EVALUATION_BATCH, Forecaster, predict_windows, trace_windows
from qlstm_qiskit.nn.mixing import MIXINGS, Mixing
from qlstm_qiskit.nn.qlstm import QLSTM

__all__ = [
    "EVALUATION_BATCH",
    "MIXINGS",
    "QLSTM",
    "CircuitBank",
    "Forecaster",
    "Mixing",
    "QLSTMCell",
    "predict_windows",
    "trace_windows",
]
