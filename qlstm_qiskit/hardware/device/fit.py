"""Qiskit's transpiler, whose failures are said in words: which circuit, which device, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from qlstm_qiskit.hardware.config.secrets import scrub
from qlstm_qiskit.hardware.device.compact import filtered_target
from qlstm_qiskit.hardware.device.layout import FREE

#: Methods by which a device names transpiler stages of its maker.
STAGES = ("get_translation_stage_plugin", "get_scheduling_stage_plugin")

#: What Qiskit adds when gates cannot be translated: guesses, and an address.
_TAIL = re.compile(r" This likely means the target basis .*")


class UnfitError(Exception):
    """A circuit cannot be fitted to a device; the reason, without the circuit's name."""

    def words(self, name: str, device: str) -> str:
        """The error as users read it."""
        return (
            f"circuit {name!r} does not fit {device} ({self}). Choose another device, a circuit of its gates and couplers, or "
            "place it yourself (transpile.layout in the backend's entry)."
        )


def fitted(circuit: QuantumCircuit, backend: BackendV2, target: Target | None = None, **options: Any) -> QuantumCircuit:
    """A circuit transpiled for a device with its own transpiler stages, or for a target in its place.

    Gates that take a part of all angles only, as R_ZZ on some of IBM's devices, are left to fixed angles: a parameter may get
    any value, and shifted ones. A circuit with a parameter in one of them is fitted to the other gates. Where a maker's stages
    fail on it, its gates of several qubits that have parameters are opened, as AQT's take no R_XX of an open angle.

    Args:
        circuit: Any.
        backend: The device.
        target: Taken in place of the device where one is given.
        options: Of `qiskit.transpile`.

    Raises:
        UnfitError: The transpiler, or a stage of the device's maker, fails.
    """
    try:
        return _fitted(circuit, backend, target, options)
    except Exception as error:  # noqa: BLE001 - stages of makers raise what they like
        reason = error
    if (opened := _opened(circuit)) is not None:
        with suppress(Exception):
            return _fitted(opened, backend, target, options)
    said = (
        _TAIL.sub("", " ".join(scrub(str(reason)).strip("'\"").replace("\\'", "'").split())).rstrip(".") or "it gives no reason"
    )
    raise UnfitError(f"{type(reason).__name__}: {said}") from None


def _fitted(circuit: QuantumCircuit, backend: BackendV2, target: Target | None, options: dict[str, Any]) -> QuantumCircuit:
    where: dict[str, Any] = {"backend": backend} if target is None else {"target": target}
    found = transpile(circuit, **where, **options)
    own = backend.target if target is None else target
    is_limited = getattr(own, "gate_has_angle_bounds", lambda _: False)  # Qiskit before 2.2 knows no bounds
    limited = {item.name for item in found.data if item.is_parameterized() and is_limited(item.name)}
    return transpile(circuit, target=_without(own, sorted(limited)), **options) if limited else found


def _opened(circuit: QuantumCircuit) -> QuantumCircuit | None:
    """The circuit without parameters in gates of several qubits, whose definitions take their place; None if it has none."""
    found = circuit
    while names := {item.name for item in found.data if item.is_parameterized() and len(item.qubits) > 1}:
        before, found = found, found.decompose(gates_to_decompose=sorted(names))
        if found == before:
            return None
    return None if found is circuit else found


def stages_of(backend: BackendV2) -> list[str | None]:
    """Names of the transpiler stages of a device's maker; nothing for a device that names none."""
    return [getattr(backend, stage)() for stage in STAGES if hasattr(backend, stage)]


def of_one_kind(target: Target) -> Iterator[Target]:
    """The device with one of its two-qubit gates at a time, where couplers have different ones; the most frequent first.

    Qiskit 2.6.2 does not turn a gate round on a coupler that has it in the other direction where other couplers have another
    gate.
    """
    pairs = {name: len(known) for name in target.operation_names if (known := target[name]) and _is_pair(known)}
    if len(pairs) < 2:
        return
    for kept in sorted(pairs, key=lambda name: (-pairs[name], name)):
        yield _without(target, [name for name in pairs if name != kept])


def is_of_qiskit(target: Target) -> bool:
    """Whether a target is of Qiskit's own class; stages of makers may want their own, and no part of it in its place."""
    return type(target) is Target


def goes_beyond(circuit: QuantumCircuit, target: Target) -> bool:
    """Whether a fitted circuit has what its target has not.

    A maker's stages may put in instructions and qubits of their own, as MOVE and the resonator of IQM's star.
    """
    known, n_qubits = set(target.operation_names) | set(FREE), target.num_qubits or circuit.num_qubits
    wires = {circuit.find_bit(qubit).index for item in circuit.data for qubit in item.qubits if item.name not in FREE}
    return max(wires, default=0) >= n_qubits or any(item.name not in known for item in circuit.data)


def gate_names(target: Target) -> frozenset[str]:
    """Names of a device's gates that Qiskit knows, so that circuits can be written in them."""
    names = set(target.operation_names) & set(get_standard_gate_name_mapping())
    return frozenset(name for name in names if isinstance(target.operation_from_name(name), Gate))


def gates_on(target: Target, names: frozenset[str], qubits: Sequence[int]) -> frozenset[str]:
    """Those of some gates that a device has on each of some qubits; of gates for several qubits, all."""
    return frozenset(name for name in names if all(_is_on(target, name, qubit) for qubit in qubits))


def _is_on(target: Target, name: str, qubit: int) -> bool:
    known = target[name]
    return not known or None in known or len(next(iter(known))) > 1 or (qubit,) in known


def _is_pair(known: Any) -> bool:
    return all(wires is not None and len(wires) == 2 for wires in known)


def _without(target: Target, left_out: Sequence[str]) -> Target:
    return filtered_target(target, lambda name, *_: name not in left_out)
