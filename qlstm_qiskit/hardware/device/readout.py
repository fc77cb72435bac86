"""Both rates at which a device misreads a qubit, where its calibration gives them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qiskit.providers import BackendV2
from qiskit.transpiler import InstructionProperties, Target

#: By device, so that a device has one target of this kind, which others may keep noise of.
_KNOWN: WeakKeyDictionary[BackendV2, Target] = WeakKeyDictionary()


class MeasurementProperties(InstructionProperties):
    """Properties of a measurement with both rates of misreading, under the names that Aer looks for.

    Attributes:
        prob_meas1_prep0, prob_meas0_prep1: Probabilities of reading 1 where the qubit is in 0, and 0 where it is in 1.
    """

    def __new__(cls, duration: float | None, error: float | None, *_: float) -> Any:
        return super().__new__(cls, duration, error)

    def __init__(self, duration: float | None, error: float | None, one_for_zero: float, zero_for_one: float) -> None:
        super().__init__(duration, error)
        self.prob_meas1_prep0, self.prob_meas0_prep1 = one_for_zero, zero_for_one

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.duration, self.error, self.prob_meas1_prep0, self.prob_meas0_prep1)


def noise_target(device: BackendV2) -> Target:
    """The target of a device for simulating its noise: measurements have both rates of misreading where they are known.

    A target has one error per measurement, which hides an offset of every <Z>: reading 0 for 1 is two to three times as
    frequent as 1 for 0 on some devices. The calibration that IBM's devices return from `properties()` has both rates. They
    count where its readout error is that of the target; a target that says otherwise is a newer one, or was changed by hand.
    Other devices have their own target.

    Args:
        device: Any device; asked for its properties once.
    """
    if device not in _KNOWN:
        _KNOWN[device] = _with_rates(device.target, _properties(device))
    return _KNOWN[device]


def _properties(device: BackendV2) -> Any:
    ask = getattr(device, "properties", None)
    try:
        return ask() if callable(ask) else ask
    except Exception:  # noqa: BLE001 - another maker's, which need not be like IBM's
        return None


def _with_rates(target: Target, properties: Any) -> Target:
    known = target["measure"] if "measure" in target.operation_names else {}
    rates = {wires: _rates(properties, wires[0], own) for wires, own in (known or {}).items() if wires is not None}
    if not any(rates.values()):
        return target
    own = copy.deepcopy(target)
    for wires, pair in rates.items():
        if pair is not None:
            before = target["measure"][wires]
            own.update_instruction_properties("measure", wires, MeasurementProperties(before.duration, before.error, *pair))
    return own


def _rates(properties: Any, qubit: int, own: InstructionProperties | None) -> tuple[float, float] | None:
    """Both rates of a qubit: 1 for 0, and 0 for 1; None where they are not known."""
    if own is None or own.error is None:
        return None
    try:
        found = [float(properties.qubit_property(qubit, name)[0]) for name in ("prob_meas1_prep0", "prob_meas0_prep1")]
        error = float(properties.readout_error(qubit))
    except Exception:  # noqa: BLE001 - it has none, in whatever way it says so
        return None
    is_probability = all(0 <= rate <= 1 for rate in found)
    return (found[0], found[1]) if is_probability and math.isclose(error, own.error, abs_tol=1e-12) else None


def readout_errors(target: Target, qubits: Sequence[int]) -> NDArray[np.float64]:
    """Probabilities of reading a bit as m where it is t: entry [q, m, t] of an array (qubits, 2, 2), as Aer takes them.

    Each matrix times the probabilities (p0, p1) of a qubit gives those of its measured bit. The identity where the
    target has no rate.
    """
    result = np.tile(np.eye(2), (len(qubits), 1, 1))
    known = target["measure"] if "measure" in target.operation_names else {}
    for position, qubit in enumerate(qubits):
        properties = (known or {}).get((qubit,))
        if properties is None:
            continue
        error = properties.error or 0.0
        one_for_zero = getattr(properties, "prob_meas1_prep0", error)
        zero_for_one = getattr(properties, "prob_meas0_prep1", error)
        result[position] = [[1 - one_for_zero, zero_for_one], [one_for_zero, 1 - zero_for_one]]
    return result
