"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from qlstm_qiskit.hardware.backend import Backend, Bank, Bound, StatevectorBackend
from qlstm_qiskit.hardware.loading import load_backend
from qlstm_qiskit.hardware.qnn import build_qnn

__all__ = ["Backend", "Bank", "Bound", "StatevectorBackend", "build_qnn", "load_backend"]
