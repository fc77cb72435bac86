"""Delays: waiting does nothing to an ideal qubit, and costs coherence on a device, in steps of its clock."""

from __future__ import annotations

import math

from qiskit import QuantumCircuit
from qiskit.circuit import Delay
from qiskit.transpiler import Target

from qlstm_qiskit.circuits.gates import library_name
from qlstm_qiskit.errors import CircuitError

#: Units of delays in seconds; "dt" is a device's own.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


def without_delays(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without its delays, for what simulates no time; itself where it has none."""
    kept = [item for item in circuit.data if library_name(item.operation) != "delay"]
    if len(kept) == len(circuit.data):
        return circuit
    result = circuit.copy_empty_like()
    for item in kept:
        result.append(item)
    return result


def on_the_clock(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """The circuit with delays as a device takes them: in its unit, rounded to its clock; itself where it has none.

    Args:
        circuit: For the device.
        target: Of the device, whose ``dt`` and alignments are used; without a ``dt``, delays are in seconds.

    Raises:
        CircuitError: The device has no delays, or a delay is in units of a clock that the device does not state.
    """
    delays = [item.operation for item in circuit.data if library_name(item.operation) == "delay"]
    if not delays:
        return circuit
    if "delay" not in target.operation_names:
        raise CircuitError(f"circuit {circuit.name!r} has delays, which this device cannot do; leave them out.")
    result = circuit.copy_empty_like()
    for item in circuit.data:
        operation = item.operation
        result.append(_timed(operation, target) if library_name(operation) == "delay" else operation, item.qubits)
    return result


def _timed(delay: Delay, target: Target) -> Delay:
    if target.dt is None:
        if delay.unit == "dt":
            raise CircuitError(
                f"a delay is {delay.duration} dt, and the device states no dt; give it in seconds, as in unit='us'."
            )
        return Delay(delay.duration * _SECONDS[delay.unit], "s")
    steps = delay.duration if delay.unit == "dt" else delay.duration * _SECONDS[delay.unit] / target.dt
    grid = math.lcm(
        *(max(1, int(size or 1)) for size in (target.granularity, target.pulse_alignment, target.acquire_alignment))
    )
    return Delay(grid * round(steps / grid), "dt")
