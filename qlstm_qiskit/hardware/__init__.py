"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.config.file import EXACT as EXACT
    from qlstm_qiskit.hardware.config.file import find_spec as find_spec
    from qlstm_qiskit.hardware.config.file import names_own_code as names_own_code
    from qlstm_qiskit.hardware.config.spec import BackendSpec as BackendSpec
    from qlstm_qiskit.hardware.contract.backend import Backend as Backend
    from qlstm_qiskit.hardware.contract.backend import Bank as Bank
    from qlstm_qiskit.hardware.contract.backend import Bound as Bound
    from qlstm_qiskit.hardware.interpreter.qnn import DtypeTorchConnector as DtypeTorchConnector
    from qlstm_qiskit.hardware.interpreter.qnn import OnePubEstimatorQNN as OnePubEstimatorQNN
    from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend as StatevectorBackend
    from qlstm_qiskit.hardware.loading import load_backend as load_backend
    from qlstm_qiskit.hardware.loading import plan_backend as plan_backend

# Imported on first use: reading backends.yaml must not load torch and Qiskit.
_HOMES = {
    "EXACT": "config.file",
    "Backend": "contract.backend",
    "BackendSpec": "config.spec",
    "Bank": "contract.backend",
    "Bound": "contract.backend",
    "DtypeTorchConnector": "interpreter.qnn",
    "OnePubEstimatorQNN": "interpreter.qnn",
    "StatevectorBackend": "interpreter.statevector",
    "find_spec": "config.file",
    "load_backend": "loading",
    "names_own_code": "config.file",
    "plan_backend": "loading",
}

__all__ = [
    "EXACT",
    "Backend",
    "BackendSpec",
    "Bank",
    "Bound",
    "DtypeTorchConnector",
    "OnePubEstimatorQNN",
    "StatevectorBackend",
    "find_spec",
    "load_backend",
    "names_own_code",
    "plan_backend",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
