"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from qlstm_qiskit.hardware.backend import Backend, StatevectorBackend, load_backend
from qlstm_qiskit.hardware.qnn import build_qnn

__all__ = ["Backend", "StatevectorBackend", "build_qnn", "load_backend"]
