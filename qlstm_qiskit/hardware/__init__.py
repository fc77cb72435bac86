"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from qlstm_qiskit.hardware.backend import Backend, Bank, Bound, StatevectorBackend
from qlstm_qiskit.hardware.loading import load_backend
from qlstm_qiskit.hardware.qnn import DtypeTorchConnector, OnePubEstimatorQNN

__all__ = ["Backend", "Bank", "Bound", "DtypeTorchConnector", "OnePubEstimatorQNN", "StatevectorBackend", "load_backend"]
