"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from qlstm_qiskit.hardware.backend import Backend, Bank, Bound, StatevectorBackend
from qlstm_qiskit.hardware.loading import load_backend, plan_backend
from qlstm_qiskit.hardware.qnn import DtypeTorchConnector, OnePubEstimatorQNN
from qlstm_qiskit.hardware.spec import BackendSpec
from qlstm_qiskit.hardware.specs_file import find_spec

__all__ = [
    "Backend",
    "BackendSpec",
    "Bank",
    "Bound",
    "DtypeTorchConnector",
    "OnePubEstimatorQNN",
    "StatevectorBackend",
    "find_spec",
    "load_backend",
    "plan_backend",
]
