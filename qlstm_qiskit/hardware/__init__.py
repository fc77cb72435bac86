"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.backend import Backend as Backend
    from qlstm_qiskit.hardware.backend import Bank as Bank
    from qlstm_qiskit.hardware.backend import Bound as Bound
    from qlstm_qiskit.hardware.backend import StatevectorBackend as StatevectorBackend
    from qlstm_qiskit.hardware.loading import load_backend as load_backend
    from qlstm_qiskit.hardware.loading import plan_backend as plan_backend
    from qlstm_qiskit.hardware.qnn import DtypeTorchConnector as DtypeTorchConnector
    from qlstm_qiskit.hardware.qnn import OnePubEstimatorQNN as OnePubEstimatorQNN
    from qlstm_qiskit.hardware.spec import BackendSpec as BackendSpec
    from qlstm_qiskit.hardware.specs_file import EXACT as EXACT
    from qlstm_qiskit.hardware.specs_file import find_spec as find_spec
    from qlstm_qiskit.hardware.specs_file import names_own_code as names_own_code

# Imported on first use: reading backends.yaml must not load torch and Qiskit.
_HOMES = {
    "EXACT": "specs_file",
    "Backend": "backend",
    "BackendSpec": "spec",
    "Bank": "backend",
    "Bound": "backend",
    "DtypeTorchConnector": "qnn",
    "OnePubEstimatorQNN": "qnn",
    "StatevectorBackend": "backend",
    "find_spec": "specs_file",
    "load_backend": "loading",
    "names_own_code": "specs_file",
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
