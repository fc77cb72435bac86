"""Faults in a device's calibration that spoil results: dead couplers, misread qubits, gates without an error rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakSet

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qlstm_qiskit.errors import QLSTMWarning
from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device.compact import active_qubits
from qlstm_qiskit.hardware.device.layout import FREE, Footprint
from qlstm_qiskit.hardware.device.transpile import Transpiler

#: An estimated success below which values are said to be noise.
LOW = 0.1

Wires = tuple[int, ...]


@dataclass(frozen=True)
class Health:
    """What is wrong with a device, or with the part of it that a circuit uses.

    Attributes:
        couplers, dead: Pairs of qubits with a gate, and those of them whose gates are all marked as always wrong (error 1).
        broken: Qubits with another gate that is always wrong.
        misread: Qubits that are read wrongly half of the time or more.
        lost: Qubits whose T1 is 0.
        unknown: Gates without an error where others of their kind have one; they are counted as perfect.
    """

    couplers: int
    dead: tuple[Wires, ...]
    broken: tuple[int, ...]
    misread: tuple[int, ...]
    lost: tuple[int, ...]
    unknown: tuple[tuple[str, Wires], ...]

    @classmethod
    def of(cls, target: Target, used: Iterable[tuple[str, Wires]] | None = None) -> Health:
        """Of a whole device, or of instructions ("measure" among them) on certain qubits."""
        errors = {item: _error(target, *item) for item in _instructions(target)}
        told = {name for (name, _), error in errors.items() if error is not None}
        chosen = errors if used is None else {item: errors[item] for item in used if item in errors}
        pairs: dict[Wires, list[bool]] = {}
        for (_, wires), error in chosen.items():
            if len(wires) == 2:
                pairs.setdefault(tuple(sorted(wires)), []).append(_is_dead(error))
        singles = {item: error for item, error in chosen.items() if len(item[1]) == 1}
        qubits = {qubit for _, wires in chosen for qubit in wires}
        return cls(
            couplers=len({tuple(sorted(wires)) for _, wires in errors if len(wires) == 2}),
            dead=tuple(sorted(pair for pair, dead in pairs.items() if all(dead))),
            broken=_sorted(wires for (name, wires), error in singles.items() if name != "measure" and _is_dead(error)),
            misread=_sorted(
                wires for (name, wires), error in singles.items() if name == "measure" and error is not None and not error < 0.5
            ),
            lost=tuple(sorted(qubit for qubit in qubits if _t1(target, qubit) == 0)),
            unknown=tuple(sorted(item for item, error in chosen.items() if error is None and item[0] in told)),
        )

    def sentences(self) -> list[str]:
        """What is wrong, in words; nothing where all is well."""
        found = []
        if self.dead:
            found.append(f"{len(self.dead)} of {self.couplers} couplers are marked dead (error 1)")
        if self.broken:
            found.append(f"gates on {_named(self.broken)} are marked as always wrong (error 1)")
        if self.misread:
            verb = "is" if len(self.misread) == 1 else "are"
            found.append(f"{_named(self.misread)} {verb} read wrongly half of the time or more")
        if self.lost:
            found.append(f"{_named(self.lost)} {'has' if len(self.lost) == 1 else 'have'} T1 = 0")
        if self.unknown:
            few = ", ".join(f"{name} on {'-'.join(map(str, wires))}" for name, wires in self.unknown[:3])
            more = f" and {len(self.unknown) - 3} more" if len(self.unknown) > 3 else ""
            found.append(f"gates are missing from the calibration and counted as perfect: {few}{more}")
        return found


def doubt(transpiler: Transpiler, isa: ISACircuit) -> str | None:
    """Why the values of a circuit that was fitted to a device will be noise; None where there is no reason to think so."""
    footprint = Footprint.of(isa.circuit, active_qubits(QuantumCircuit(0), isa.observables))
    used = {(name, wires) for (name, wires), _ in footprint.counts} | {("measure", (qubit,)) for qubit in footprint.measured}
    found = Health.of(transpiler.target, used).sentences()
    success = transpiler.report(isa).success
    if success < LOW:  # NaN, of a device that says nothing, is not
        whole = Health.of(transpiler.target).sentences()[:1] if success == 0 else []
        found = [f"the estimated success is {'0' if success == 0 else f'below {LOW:g}'}", *(whole or found)]
    if not found:
        return None
    return (
        f"{transpiler.backend.name}: {'; '.join(found)}. Values will be noise; choose another device or other qubits "
        "(transpile.layout)"
    )


class Watched:
    """Prepares circuits as a transpiler does, and warns of those whose values will be noise, once for each reason.

    Args:
        transpiler: Of the device.
    """

    def __init__(self, transpiler: Transpiler) -> None:
        self._transpiler = transpiler
        self._seen: WeakSet[ISACircuit] = WeakSet()
        self._said: set[str] = set()

    def __call__(
        self, name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit:
        """As `Transpiler.prepare`."""
        isa = self._transpiler.prepare(name, circuit, parameters, observables)
        if isa not in self._seen:
            self._seen.add(isa)
            reason = doubt(self._transpiler, isa)
            if reason is not None and reason not in self._said:
                self._said.add(reason)
                warnings.warn(f"{reason}. The first such circuit is {name!r}.", QLSTMWarning, stacklevel=2)
        return isa


def _instructions(target: Target) -> Iterator[tuple[str, Wires]]:
    for name in target.operation_names:
        for wires in target[name] or ():
            if wires is not None and name not in FREE and len(wires) <= 2:
                yield name, wires


def _error(target: Target, name: str, wires: Wires) -> float | None:
    properties = target[name][wires]
    return None if properties is None else properties.error


def _t1(target: Target, qubit: int) -> float | None:
    properties = (target.qubit_properties or {qubit: None})[qubit]
    return None if properties is None else properties.t1


def _is_dead(error: float | None) -> bool:
    return error is not None and not error < 1  # NaN is not an error rate


def _sorted(wires: Iterable[Wires]) -> tuple[int, ...]:
    return tuple(sorted({qubit for own in wires for qubit in own}))


def _named(qubits: Sequence[int]) -> str:
    few = ", ".join(map(str, qubits[:5])) + (f" and {len(qubits) - 5} more" if len(qubits) > 5 else "")
    return f"qubit{'s' * (len(qubits) > 1)} {few}"
