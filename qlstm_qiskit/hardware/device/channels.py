"""The noise of a device's gates as Pauli transfer matrices, as Aer's ``NoiseModel.from_backend`` makes it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Delay
from qiskit.quantum_info import PTM, SuperOp
from qiskit.transpiler import Target

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware.device.compact import sub_target

#: Aer 0.18 leaves out terms of an error that are as rare as this, without a word; products of errors on two qubits are.
_DROPPED = 1e-10

#: Seconds of a unit of a delay; "dt" is a device's own.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}

Errors = dict[tuple[str, tuple[int, ...]], NDArray[np.float64]]


@dataclass(frozen=True)
class _Part:
    """Some qubits of a device, known by the identity of its target."""

    identity: int
    qubits: tuple[int, ...]
    target: Target = field(compare=False)


def gate_errors(target: Target, qubits: Sequence[int]) -> Errors:
    """Transfer matrices (Qiskit's `PTM`) of the noise behind the gates between `qubits`, which become 0, 1, ...

    Depolarizing and thermal relaxation. A gate whose error or duration the target does not state has none, as in Aer.

    Raises:
        OptionError: The target gives gates a duration, and no T1 and T2 for their qubits.
    """
    return _of(_Part(id(target), tuple(qubits), target))


def relaxation(target: Target, delay: Delay, qubit: int) -> NDArray[np.float64] | None:
    """The transfer matrix of a qubit that waits, as in Aer's `RelaxationNoisePass`; None where the target states no times.

    Raises:
        CircuitError: The delay is in steps of a clock that the target does not state.
    """
    from qiskit_aer.noise import thermal_relaxation_error

    properties = (target.qubit_properties or {qubit: None})[qubit]
    if properties is None or (properties.t1 is None and properties.t2 is None):
        return None
    t1 = np.inf if properties.t1 is None else properties.t1
    t2 = min(2 * t1, np.inf if properties.t2 is None else properties.t2)
    unit = target.dt if delay.unit == "dt" else _SECONDS[delay.unit]
    if unit is None:
        raise CircuitError("a delay is in steps of the device's clock, and the device states no dt; give it in seconds.")
    return transfer_matrix(thermal_relaxation_error(t1, t2, delay.duration * unit))


@lru_cache(maxsize=256)
def _of(part: _Part) -> Errors:
    from qiskit_aer import AerError
    from qiskit_aer.noise.device import basic_device_gate_errors

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = basic_device_gate_errors(target=sub_target(part.target, part.qubits))
    except (TypeError, AttributeError, AerError) as error:
        raise OptionError(
            f"Aer cannot make noise from what the device states about itself ({type(error).__name__}: {error}); it needs the "
            "T1 and T2 of qubits whose gates have a duration."
        ) from error
    return {(name, tuple(qubits)): transfer_matrix(error) for name, qubits, error in found}


def transfer_matrix(error: Any) -> NDArray[np.float64]:
    """The transfer matrix of one of Aer's errors, as Aer applies it: without terms that it drops for being rare."""
    kept = [(term, weight) for term, weight in zip(error.circuits, error.probabilities, strict=True) if weight > _DROPPED]
    total = sum(weight for _, weight in kept)
    matrix = PTM(SuperOp(type(error)([(term, weight / total) for term, weight in kept]))).data
    return np.ascontiguousarray(matrix.real)
