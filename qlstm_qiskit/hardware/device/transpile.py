"""Circuits fitted to a device: each is transpiled once, keeps its parameters, and is remembered."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit import __version__ as qiskit_version
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qlstm_qiskit.circuits.place import place_of
from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device.compact import active_qubits, compact, moved
from qlstm_qiskit.hardware.device.delays import on_the_clock
from qlstm_qiskit.hardware.device.fit import (
    UnfitError,
    fitted,
    gate_names,
    gates_on,
    goes_beyond,
    is_of_qiskit,
    of_one_kind,
    stages_of,
)
from qlstm_qiskit.hardware.device.isa_cache import read_entry, write_entry
from qlstm_qiskit.hardware.device.layout import ErrorMap, Footprint, alive, best_place, estimated_success, own_place
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport, compare

_DEFAULT = TranspileSpec()


class Transpiler:
    """Fits circuits to one device, each once.

    A circuit that was made for qubits of the device (`circuits.place`) begins with them, if they still work. Else, for each of
    ``spec.seeds`` seeds, it gets a layout (with ``measure_aware`` that of a copy in which its qubits
    are measured, so that readout errors count), is transpiled, and is then moved to the best place of the device that
    takes it as it is, unless its maker's stages have put in what the target does not have. The best by estimated success
    is kept. A seed that needs no SWAPs and no dead coupler ends the search: others would differ only in the place. Where
    all of them need a dead coupler, the circuit is fitted to what is alive.

    Args:
        backend: The device.
        spec: How.
        cache: Folder in which results are kept, or None. Entries that cannot be read are made again.

    Attributes:
        count: Circuits transpiled so far; those found in memory or on disk are not among them.
    """

    def __init__(self, backend: BackendV2, spec: TranspileSpec = _DEFAULT, cache: Path | None = None) -> None:
        self.backend, self.spec, self.cache = backend, spec, cache
        self.target: Target = backend.target
        self.count = 0
        self._errors = ErrorMap(self.target) if self.target.num_qubits else None
        self._basis = gate_names(self.target)
        setting = (5, qiskit_version, backend.name, target_hash(self.target), sorted(spec.model_dump().items()))
        self._setting = repr((*setting, *stages_of(backend)))
        self._made: dict[str, tuple[ISACircuit, TranspileReport]] = {}
        self._given: dict[tuple[str, str, tuple[Parameter, ...]], ISACircuit] = {}
        self._reports: dict[str, TranspileReport] = {}

    def prepare(
        self, name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit:
        """Fit a circuit to the device; the same object for the same arguments.

        Args:
            name: For tables and messages.
            circuit: Without measurements.
            parameters: All of the circuit's, in the order of the columns of its parameter sets; they stay unbound.
            observables: On the circuit's qubits.

        Returns:
            The circuit on all qubits of the device, so that its `qubits` are 0, 1, 2, ... Which of them the circuit's
            own have become is in its `report`; `compact` leaves the idle ones out.

        Raises:
            CircuitError: It has more qubits than the device, parameters that are not listed, or does not fit the device.
            OptionError: The layout of the spec does not fit the circuit or the device.
        """
        self._check(name, circuit, parameters)
        circuit = on_the_clock(circuit, self.target)
        key = self._key(circuit, parameters, observables)
        given = (key, name, tuple(parameters))
        if given not in self._given:
            if key not in self._made:
                try:
                    self._made[key] = self._read(key, parameters) or self._make(key, circuit, parameters, observables)
                except UnfitError as error:
                    raise CircuitError(error.words(name, self.backend.name)) from None
            made, report = self._made[key]
            isa = replace(made, name=name, parameters=tuple(parameters), circuit=_with_parameters(made.circuit, parameters))
            self._given[given] = isa
            self._reports[isa.fingerprint] = report
        return self._given[given]

    def report(self, isa: ISACircuit) -> TranspileReport:
        """What fitting a circuit has cost that `prepare` returned."""
        return replace(self._reports[isa.fingerprint], name=isa.name)

    def _key(self, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]) -> str:
        asked = ISACircuit("", circuit, tuple(parameters), tuple(observables))
        place = "" if self.spec.layout is not None else place_of(circuit) or ""
        return hashlib.sha256((self._setting + asked.fingerprint + str(place)).encode()).hexdigest()

    def _check(self, name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter]) -> None:
        stray = sorted(parameter.name for parameter in circuit.parameters if parameter not in set(parameters))
        if stray:
            raise CircuitError(f"circuit {name!r} has the parameters {', '.join(stray)}, which are not listed; list them all.")
        wanted, there, device = circuit.num_qubits, self.target.num_qubits or math.inf, self.backend.name
        if wanted > there:
            raise CircuitError(f"circuit {name!r} has {wanted} qubits and {device} has {there}; choose a larger device.")
        layout = self.spec.layout
        if layout is not None and len(layout) != wanted:
            raise OptionError(f"transpile.layout is {list(layout)}; circuit {name!r} needs {wanted} device qubits.")
        if layout is not None and max(layout) >= there:
            raise OptionError(f"transpile.layout is {list(layout)}; the qubits of {device} are 0 to {there - 1}.")

    def _read(self, key: str, parameters: Sequence[Parameter]) -> tuple[ISACircuit, TranspileReport] | None:
        entry = None if self.cache is None else read_entry(self.cache / f"{key}.json")
        if entry is None:
            return None
        circuit, observables, report = entry
        return self._isa(circuit, parameters, observables), report

    def _make(
        self, key: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> tuple[ISACircuit, TranspileReport]:
        self.count += 1
        best = self._search(circuit, observables)
        isa = self._isa(best.circuit, parameters, best.observables)
        success = math.nan
        if self._errors is not None and not goes_beyond(best.circuit, self.target):
            success = estimated_success(best.circuit, self._errors, _measured(best.observables))
        report = compare(circuit, isa.circuit, self.backend, swaps=best.swaps, success=success, qubits=best.qubits)
        if self.cache is not None:
            write_entry(self.cache / f"{key}.json", isa, report)
        return isa, report

    def _search(self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp]) -> _Found:
        found: list[_Found] = []
        failed: list[UnfitError] = []
        for seed in range(self.spec.seed, self.spec.seed + self.spec.seeds):
            try:
                found.append(self._settled(self._transpiled(circuit, observables, seed)))
            except UnfitError as error:
                failed.append(error)
                continue
            if not found[-1].swaps and (self._errors is None or found[-1].score > 0):
                break
        is_plain = is_of_qiskit(self.target)  # a maker's stages may know no other
        if not found and is_plain:
            found += self._first(circuit, observables, of_one_kind(self.target))
        if not found:
            raise failed[0]
        best = max(found, key=lambda item: (item.score, -item.swaps))  # the first of equals
        if self._errors is None or best.score > 0 or self.spec.layout is not None or not is_plain:
            return best
        others = self._first(circuit, observables, [alive(self.target)])  # none where nothing that is alive is large enough
        return max(others, key=lambda item: item.score) if any(other.score > 0 for other in others) else best

    def _first(self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], targets: Iterable[Target]) -> list[_Found]:
        """The circuit fitted to the first of some targets that it fits, in place of the device; nothing where it fits none."""
        for target in targets:
            try:
                return [self._settled(self._transpiled(circuit, observables, self.spec.seed, target))]
            except UnfitError:
                continue
        return []

    def _transpiled(
        self, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], seed: int, target: Target | None = None
    ) -> _Found:
        layout = None if self.spec.layout is None else list(self.spec.layout)
        if layout is None and target is None and seed == self.spec.seed:
            place = own_place(circuit, self._errors)
            layout = None if place is None else list(place)
        if layout is None and self.spec.measure_aware:
            measured = _measured(observables)
            copy, register = circuit.copy(), ClassicalRegister(len(measured), "measured")
            copy.add_register(register)  # stages of makers know no bits without one
            if any(len(item.qubits) > 1 and item.name != "cx" for item in circuit.data):
                copy.barrier()  # else Qiskit drops diagonal gates that are measured next, and with them the couplers
            copy.measure(measured, register)
            placed = self._run(copy, seed, target).layout
            layout = None if placed is None else placed.initial_index_layout(filter_ancillas=True)
        swaps, last = 0, circuit.count_ops().get("swap", 0)

        def watch(**state: Any) -> None:
            nonlocal swaps, last
            now = state["dag"].count_ops().get("swap", 0)
            swaps, last = swaps + max(0, now - last), now

        isa = self._run(circuit, seed, target, initial_layout=layout, callback=watch)
        qubits = range(circuit.num_qubits) if isa.layout is None else isa.layout.final_index_layout(filter_ancillas=True)
        laid = tuple(observable.apply_layout(isa.layout, isa.num_qubits) for observable in observables)
        return _Found(isa, laid, tuple(qubits), swaps)

    def _run(self, circuit: QuantumCircuit, seed: int, target: Target | None, **options: Any) -> QuantumCircuit:
        """Transpile for the device, or for a target in its place."""
        return fitted(circuit, self.backend, target, optimization_level=self.spec.level, seed_transpiler=seed, **options)

    def _settled(self, found: _Found) -> _Found:
        """The circuit at the best place that takes it as it is, unless the layout is prescribed; and its score."""
        if self._errors is None:
            return found
        if goes_beyond(found.circuit, self.target):
            return replace(found, score=1.0)  # places and errors of what its maker has put in are not known here
        small = compact(self._isa(found.circuit, (), found.observables))
        place = small.qubits
        if self.spec.layout is None:
            footprint = Footprint.of(small.circuit, _measured(small.observables) if self.spec.measure_aware else ())
            place = best_place(footprint, self._errors, at_least=small.qubits)
        n_qubits, wires = found.circuit.num_qubits, dict(zip(small.qubits, place, strict=True))
        circuit = QuantumCircuit(n_qubits)  # without the registers and the layout of the first place
        circuit.compose(small.circuit, place, inplace=True)
        observables = tuple(moved(observable, wires, n_qubits) for observable in found.observables)
        measured = _measured(observables) if self.spec.measure_aware else ()
        score = estimated_success(circuit, self._errors, measured)
        return _Found(circuit, observables, tuple(wires.get(qubit, -1) for qubit in found.qubits), found.swaps, score)

    def _isa(
        self, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit:
        qubits = tuple(range(circuit.num_qubits))
        gates = gates_on(self.target, self._basis, _measured(observables))
        return ISACircuit("", circuit, tuple(parameters), tuple(observables), qubits, gates)


@dataclass(frozen=True)
class _Found:
    """A result of the search: the circuit on all device qubits, where its qubits end, and what it is worth."""

    circuit: QuantumCircuit
    observables: tuple[SparsePauliOp, ...]
    qubits: tuple[int, ...]
    swaps: int
    score: float = 0.0


def target_hash(target: Target) -> str:
    """Hash of all that a device says about itself; a new calibration changes it. The same in every process."""
    lines = [repr((target.num_qubits, target.dt))]
    for properties in target.qubit_properties or ():
        lines.append(repr((properties.t1, properties.t2, properties.frequency) if properties is not None else None))
    for name in sorted(target.operation_names):
        known = target[name] or {}
        for qubits in sorted(known, key=repr):
            properties = known[qubits]
            lines.append(repr((name, qubits, (properties.error, properties.duration) if properties is not None else None)))
        lines.append(name)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _measured(observables: Sequence[SparsePauliOp]) -> tuple[int, ...]:
    return active_qubits(QuantumCircuit(0), observables)


def _with_parameters(circuit: QuantumCircuit, parameters: Sequence[Parameter]) -> QuantumCircuit:
    """The circuit with the caller's parameters in place of others of the same names."""
    by_name = {parameter.name: parameter for parameter in parameters}
    strange = {parameter: by_name[parameter.name] for parameter in circuit.parameters if parameter != by_name[parameter.name]}
    return circuit.assign_parameters(strange) if strange else circuit
