"""A device with the calibration of a fixed moment.

Devices are calibrated every day, and circuits are fitted to what they are at the time. A run that goes on tomorrow must ask
for the circuits of today, or nothing that was submitted would be found again.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.transpiler import InstructionProperties, Target

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.device.compact import empty_target
from qlstm_qiskit.hardware.device.fit import STAGES, is_of_qiskit
from qlstm_qiskit.hardware.jobs.ledger_file import DAMAGED
from qlstm_qiskit.hardware.jobs.maker_jobs import device_name


class PinnedDevice(BackendV2):
    """The qubits and errors that were written down, for transpilation and layouts; it runs nothing.

    It has the device's own stages of transpilation, since a maker's device may take no circuits without them.

    Args:
        device: The device today, which gives the kinds of instructions.
        calibration: What `calibration_of` wrote.

    Raises:
        LedgerError: The device no longer has an instruction that was written down, or what was written down is damaged.
    """

    def __init__(self, device: BackendV2, calibration: str) -> None:
        super().__init__(name=device_name(device))
        self._target = _read(device, calibration)
        for stage in STAGES:
            if hasattr(device, stage):
                setattr(self, stage, getattr(device, stage))

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        raise NotImplementedError("a pinned device is a description; submit to the device itself")


def calibration_of(target: Target) -> str:
    """All that changes from calibration to calibration, as JSON."""
    qubits = target.qubit_properties
    facts = {
        "qubits": None if qubits is None else [None if q is None else [q.t1, q.t2, q.frequency] for q in qubits],
        "instructions": _written(target),
    }
    return json.dumps(facts | {"digest": _digest(facts)})


def _written(target: Target) -> dict[str, Any]:
    instructions: dict[str, Any] = {}
    for name in sorted(target.operation_names):
        known = target[name]
        if not known or None in known:
            instructions[name] = None
            continue
        rows = [[list(qubits), *_figures(properties)] for qubits, properties in known.items()]
        instructions[name] = sorted(rows, key=lambda row: row[0])
    return instructions


def _places(instructions: dict[str, Any]) -> dict[str, Any]:
    """Which instructions there are, and between which qubits."""
    return {name: rows and [row[0] for row in rows] for name, rows in instructions.items()}


def _with_figures(device: str, today: Target, facts: dict[str, Any]) -> Target:
    """A target with the figures of that time. Which angles its gates take, and what its maker has added, can only be copied."""
    if facts["instructions"] == _written(today):  # the most common, and some of the makers' cannot be copied
        return today
    try:
        target = copy.deepcopy(today)
    except Exception as error:  # noqa: BLE001 - of the maker's class
        raise LedgerError(
            f"{device} was calibrated since the recorded jobs were fitted to it, and its maker's {type(today).__name__} cannot "
            f"be remade with the figures of then ({type(error).__name__} when it is copied); start in a new run folder."
        ) from None
    for name, value in getattr(today, "__dict__", {}).items():  # of the maker's class; Qiskit's copy leaves it behind
        target.__dict__.setdefault(name, value)
    for name, rows in facts["instructions"].items():
        for wires, *figures in rows or ():
            own = InstructionProperties(error=figures[0], duration=figures[1]) if figures else None
            target.update_instruction_properties(name, tuple(wires), own)
    if facts["qubits"] is not None and None not in facts["qubits"]:
        target.qubit_properties = [QubitProperties(*q) for q in facts["qubits"]]
    return target


def _read(device: BackendV2, calibration: str) -> Target:
    """The target of what was written down; other circuits than then would be asked for if any of it were wrong."""
    try:
        facts = json.loads(calibration)
        digest = facts.pop("digest", None)  # older versions have written none
        if digest is None or digest == _digest(facts):
            target = _restored(device_name(device), device.target, facts)
            if target.num_qubits == device.target.num_qubits:
                return target
    except LedgerError:
        raise
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is damaged
        pass
    raise LedgerError(f"the calibration of {device_name(device)} in the record of jobs is damaged; {DAMAGED}.")


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _figures(properties: InstructionProperties | None) -> tuple[float | None, ...]:
    return () if properties is None else (properties.error, properties.duration)


def _restored(device: str, today: Target, facts: dict[str, Any]) -> Target:
    gone = sorted(facts["instructions"].keys() - set(today.operation_names))
    if gone:
        raise LedgerError(
            f"{device} no longer has the instruction {gone[0]!r}, which the recorded jobs were fitted to; start in a new run "
            "folder."
        )
    qubits = facts["qubits"]
    has_own = getattr(today, "has_angle_bounds", bool)() or not is_of_qiskit(today)
    if has_own and _places(facts["instructions"]) == _places(_written(today)):
        return _with_figures(device, today, facts)
    if not is_of_qiskit(today):
        raise LedgerError(
            f"{device} has other gates or couplers than those that the recorded jobs were fitted to, and its maker's target "
            "cannot be made again; start in a new run folder."
        )
    target = empty_target(
        today, today.num_qubits, None if qubits is None else [None if q is None else QubitProperties(*q) for q in qubits]
    )
    for name, rows in facts["instructions"].items():
        operation = today.operation_from_name(name)
        if rows is None:
            target.add_instruction(operation, name=name)
            continue
        known = {
            tuple(wires): InstructionProperties(error=figures[0], duration=figures[1]) if figures else None
            for wires, *figures in rows
        }
        target.add_instruction(operation, known, name=name)
    return target
