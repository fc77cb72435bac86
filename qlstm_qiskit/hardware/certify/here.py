"""A backend as models use it: `load_backend(...).bank(...)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator, Statevector

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware.certify.compared import EXACT, Reference, compared, differentiated, values_of
from qlstm_qiskit.hardware.certify.outcome import CHECKS, Outcome, failed, not_applicable, passed
from qlstm_qiskit.hardware.certify.probes import (
    INPUTS,
    PAIRS,
    PHASES,
    WEIGHTS,
    Probe,
    Values,
    entangled,
    idle,
    order_fault,
    phases,
    sets_fault,
    turned,
    turns,
    value_fault,
)
from qlstm_qiskit.hardware.certify.raw import DRAWN
from qlstm_qiskit.hardware.certify.words import concerned, in_words
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend

#: The seed of two backends that should agree.
_SEED = 7


class Here:
    """The steps of the suite on one backend, and their outcomes.

    Args:
        spec: Its entry.
        load: Makes the backend, given a seed or None.
        n_qubits: Qubits of the largest probe.
        references: What values may agree with, given the backend; the ideal circuit is always among them.
        seeds: Whether the backend takes a seed; else why not.
        states_noise: Whether the device says how noisy it is.
    """

    def __init__(
        self,
        spec: BackendSpec,
        load: Callable[[int | None], PrimitiveBackend],
        n_qubits: int,
        references: Callable[[PrimitiveBackend], Sequence[Reference]] = lambda _: (),
        seeds: str | None = None,
        states_noise: bool = True,
    ) -> None:
        self.spec, self.n_qubits = spec, n_qubits
        self._load, self._references, self._no_seeds = load, references, seeds
        self._states_noise, self._others = states_noise, 0.0  # part of shots with a certain outcome that had another
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> dict[str, Outcome]:
        """Each of `CHECKS`; what cannot be reached after an error is not applicable."""
        try:
            backend = self._load(None)
        except QLSTMError as error:
            seed = "ignore seed" in str(error)
            self.outcomes["equal seeds" if seed else "limits of circuits and shots"] = failed(in_words(error))
            return self._all()
        self.outcomes["limits of circuits and shots"] = passed()
        with closing(backend):
            self.fit(backend)
            if not self.bits(backend):
                return self._all("not tried, as nothing can be read")
            for step in (self.idle, self.letters, self.independence, self.numbers):
                step(backend)
        self.seeds()
        return self._all()

    def _all(self, reason: str = "not tried") -> dict[str, Outcome]:
        return {name: self.outcomes.get(name, not_applicable(reason)) for name in CHECKS}

    def fit(self, backend: PrimitiveBackend) -> None:
        """Fit a circuit unbound, bind it afterwards, and compare it with the circuit as it was; nothing is run."""
        probe = entangled(self.n_qubits)
        parameters = [*probe.inputs, *probe.weights]

        def judge() -> Outcome:
            isa = backend.prepare(probe.name, probe.circuit, parameters, list(probe.measured))
            lost = [p.name for p in parameters if p not in isa.circuit.parameters]
            if lost:
                return failed(f"lost {', '.join(lost)}")
            point = dict(zip(parameters, [*INPUTS[0], *WEIGHTS], strict=True))
            small = compact(isa)
            if opaque := _without_matrix(small.circuit):
                return not_applicable(f"Qiskit has no matrix of {', '.join(opaque)}")
            bound = Statevector(small.circuit.assign_parameters({p: point[p] for p in small.circuit.parameters}))
            own = [bound.expectation_value(item).real for item in small.observables]
            true = Statevector(probe.circuit.assign_parameters(point))
            wanted = [true.expectation_value(item).real for item in probe.measured]
            return passed() if np.allclose(own, wanted, atol=EXACT) else failed("bound afterwards its values are others")

        self._try("parameters kept by transpilation", judge)

    def bits(self, backend: PrimitiveBackend) -> bool:
        """Four parameter sets of the turned qubits: order, sets, shots. Whether they were read at all."""
        rows = turns(self.n_qubits)
        read = ("kind of answer", "status", "number of results", "memory", "shots as asked", "register names")
        judged = ("order of qubits and bits", "several parameter sets")
        try:
            values = values_of(backend, turned(self.n_qubits), rows)
        except Exception as error:  # noqa: BLE001 - somebody else's code below
            before = {name: own for name, own in self.outcomes.items() if own.result == "failed"}
            self.outcomes |= dict.fromkeys((*read, *judged), not_applicable("there are no values"))
            self.outcomes |= {concerned(error): failed(in_words(error))} | before
            return False
        self.outcomes |= dict.fromkeys(read, passed())
        if self.spec.shots is not None and not self._states_noise:
            self._others = float(np.abs(values[:2] - np.cos(rows[:2])).max() / 2)
        order = order_fault(values[:2])
        sets = sets_fault(values[:2])
        if self.spec.shots is not None and self.spec.primitive == "sampler":
            counts = (values + 1) / 2 * self.spec.shots
            if np.abs(counts - np.round(counts)).max() > 1e-6:
                self.outcomes["shots as asked"] = failed(f"values are not means of {self.spec.shots} shots")
        else:
            self.outcomes["shots as asked"] = not_applicable("values are not counts of bits")
        self.outcomes[judged[0]] = failed(order) if order is not None else passed("right")
        if order is not None:
            self.outcomes[judged[1]] = not_applicable("bits are wrong altogether")
        else:
            self.outcomes[judged[1]] = failed(sets) if sets is not None else passed()
        return True

    def idle(self, backend: PrimitiveBackend) -> None:
        """Qubits with nothing between them, of which only the outer ones are measured."""
        if self.n_qubits < 3:
            self.outcomes["subsets and idle qubits"] = not_applicable(f"{self.n_qubits} qubits")
            return
        self._compare(backend, "subsets and idle qubits", idle(), PAIRS, np.cos(PAIRS))

    def letters(self, backend: PrimitiveBackend) -> None:
        """<X> and <Y> of a qubit on the equator."""
        wanted = np.hstack([np.cos(PHASES), np.sin(PHASES)])
        self._compare(backend, "observables with X and Y", phases(), PHASES, wanted)

    def _compare(self, backend: PrimitiveBackend, name: str, probe: Probe, rows: Values, wanted: Values) -> None:
        def judge() -> Outcome:
            fault = value_fault(values_of(backend, probe, rows), wanted)
            return passed() if fault is None else failed(fault)

        self._try(name, judge)

    def independence(self, backend: PrimitiveBackend) -> None:
        """The same circuits in two jobs, whose shots must be others."""
        name = "independence of jobs"
        if (reason := self._without_shots()) is not None:
            self.outcomes[name] = not_applicable(reason)
            return
        rows = turns(self.n_qubits)[2:]

        def judge() -> Outcome:
            first, second = (values_of(backend, turned(self.n_qubits), rows) for _ in range(2))
            return failed("two jobs have the same shots") if np.array_equal(first, second) else passed()

        self._try(name, judge)

    def seeds(self) -> None:
        """Two backends with the same seed."""
        name, reason = "equal seeds", self._no_seeds or self._without_shots()
        if reason is not None:
            self.outcomes[name] = not_applicable(reason)
            return
        rows = turns(self.n_qubits)[2:]

        def once() -> Values:
            with closing(self._load(_SEED)) as backend:
                return values_of(backend, turned(self.n_qubits), rows)

        def judge() -> Outcome:
            if np.array_equal(once(), once()):
                return passed()
            if self.spec.seed is None and self.spec.kind == "provider":
                return not_applicable("the device ignores seeds: runs on it are not repeatable")
            return failed("equal seeds give other shots")

        self._try(name, judge)

    def numbers(self, backend: PrimitiveBackend) -> None:
        """Values and gradients of a small circuit, against those of the exact interpreter."""
        probe, names = entangled(self.n_qubits), ("values", "gradients by parameter shift")
        try:
            found = differentiated(backend, probe)
        except Exception as error:  # noqa: BLE001 - somebody else's code below
            self.outcomes |= dict.fromkeys(names, failed(in_words(error)))
            return
        references = (Reference("the ideal circuit", StatevectorBackend()), *self._references(backend))
        self.outcomes |= zip(names, compared(found, references, probe, self.spec.shots, self._others), strict=True)

    def _without_shots(self) -> str | None:
        if self.spec.shots is None:
            return "values are exact"
        return f"{self.spec.shots} shots are too few to tell" if self.spec.shots < DRAWN else None

    def _try(self, name: str, judge: Callable[[], Outcome]) -> None:
        try:
            self.outcomes[name] = judge()
        except Exception as error:  # noqa: BLE001 - somebody else's code below
            self.outcomes[name] = failed(in_words(error))


def _without_matrix(circuit: QuantumCircuit) -> list[str]:
    """Names of a maker's own gates that are neither defined nor have a matrix."""
    found = set()
    for item in circuit.data:
        if item.operation.definition is None and not item.is_parameterized():
            try:
                Operator(item.operation)
            except QiskitError:
                found.add(item.name)
    return sorted(found)
