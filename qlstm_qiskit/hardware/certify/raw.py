"""A device as Qiskit runs it: `run` of the device itself, and Qiskit's primitives on it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import BackendV2

from qlstm_qiskit.hardware.certify.foreign import in_two_registers, mark, means, measured, number, said
from qlstm_qiskit.hardware.certify.outcome import CHECKS, Outcome, failed, not_applicable, passed
from qlstm_qiskit.hardware.certify.probes import (
    PAIRS,
    PHASES,
    Probe,
    Values,
    idle,
    order_fault,
    phases,
    sets_fault,
    turned,
    value_fault,
)
from qlstm_qiskit.hardware.certify.probes import turns as angles_of_turned
from qlstm_qiskit.hardware.executors.cost import Workload
from qlstm_qiskit.hardware.executors.results import field_of, shown
from qlstm_qiskit.hardware.jobs.makers import shots_taken, takes_seed

#: Fewest shots of which two draws hardly ever agree.
DRAWN = 32
#: The seed that is tried.
_SEED = 11


def raw_work(n_qubits: int, shots: int) -> Workload:
    """The most that `raw_outcomes` sends to a device, by number of its qubits."""
    by_sampler = 2 + (1 if n_qubits > 1 else 0) + (2 if n_qubits > 2 else 0)
    repeated = 4 * len(angles_of_turned(n_qubits)[2:])
    circuits = 2 + 2 * by_sampler + 2 * 2 * len(PHASES) + repeated  # primitives may have to be asked twice
    jobs = 1 + 2 + 2 + 4
    return Workload(jobs, circuits, circuits, circuits * shots)


def raw_outcomes(device: BackendV2, shots: int) -> dict[str, Outcome]:
    """Each of `CHECKS` on a device, without anything of this package between.

    Args:
        device: Run directly.
        shots: Of each circuit.
    """
    found = _Raw(device, shots)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others; what they warn of is shown where this package runs the device
        for step in (found.limits, found.fit, found.answer, found.sampler, found.estimator, found.repeats):
            step()
    return {name: found.outcomes.get(name, not_applicable("Qiskit has nothing to compare")) for name in CHECKS}


class _Raw:
    """The steps of the suite on one device, and their outcomes."""

    def __init__(self, device: BackendV2, shots: int) -> None:
        self.device, self.shots = device, shots
        self.n_qubits = min(3, device.num_qubits or 3)
        self.outcomes: dict[str, Outcome] = {}
        self._fitted: dict[str, QuantumCircuit] = {}

    def limits(self) -> None:
        """What the device says of the circuits and shots of a job."""
        name = "limits of circuits and shots"
        try:
            most = self.device.max_circuits
            low, high = shots_taken(self.device)
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self.outcomes[name] = failed(f"its limits cannot be read: {said(error)}")
            return
        if most is not None and (not isinstance(most, int) or most < 1):
            self.outcomes[name] = failed(f"max_circuits is {shown(repr(most))}, which is not a number of circuits")
        elif not low <= self.shots <= high:
            self.outcomes[name] = failed(f"{self.shots} shots are not within {low:g} to {high:g}")
        else:
            circuits = "any number of circuits" if most is None else f"at most {most} circuits"
            self.outcomes[name] = passed(f"{circuits}, {'any shots' if math.isinf(high) else f'{low:g} to {high:g} shots'}")

    def fit(self) -> None:
        """Transpile unbound circuits."""
        name, lost = "parameters kept by transpilation", []
        for probe in (turned(self.n_qubits), phases(), *([idle()] if self.n_qubits > 2 else [])):
            try:
                own = transpile(probe.circuit, backend=self.device, optimization_level=1, seed_transpiler=0)
            except Exception as error:  # noqa: BLE001 - somebody else's code
                self.outcomes[name] = failed(said(error))
                continue
            self._fitted[probe.name] = own
            lost += [p.name for p in probe.inputs if p not in own.parameters]
        if name not in self.outcomes:
            self.outcomes[name] = failed(f"lost {', '.join(lost)}") if lost else passed()

    def answer(self) -> None:
        """What `run` gives for two bound circuits."""
        probe = turned(self.n_qubits)
        names = ("kind of answer", "status", "number of results", "memory", "shots as asked")
        if not self._is_fitted(probe, *names):
            return
        circuits = [measured(self._bound(probe, row)) for row in angles_of_turned(self.n_qubits)[:2]]
        memory = None
        try:
            try:
                answers = self._run(circuits, memory=True)
            except Exception as error:
                if "memory" not in str(error):
                    raise
                memory, answers = failed(f"memory is refused: {said(error)}"), self._run(circuits)
            jobs = [callable(getattr(answer, "result", None)) for answer in answers]
            results = [answer.result() if job else answer for answer, job in zip(answers, jobs, strict=True)]
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self._all(names, not_applicable("there is no result"))
            self.outcomes["kind of answer"] = failed(said(error))
            return
        kind = f"a {type(answers[0]).__name__} in place of a job"
        self.outcomes["kind of answer"] = passed() if all(jobs) else failed(kind)
        self._results(results, memory, len(circuits))

    def _results(self, results: Sequence[Any], memory: Outcome | None, asked: int) -> None:
        items = [item for result in results for item in (field_of(result, "results") or ())]
        marks = [said_of for own in (*results, *items) if (said_of := mark(own))]
        self.outcomes["status"] = failed(marks[0]) if marks else passed()
        many = f"{len(items)} results of {asked} circuits"
        self.outcomes["number of results"] = passed() if len(items) == asked else failed(many)
        data = [field_of(item, "data") for item in items]
        if not data:
            self._all(("memory", "shots as asked"), not_applicable("there is no result"))
            return
        words = [field_of(own, "memory") for own in data]
        counts = [field_of(own, "counts") for own in data]
        none = "counts without memory" if all(own is not None for own in counts) else "neither memory nor counts"
        self.outcomes["memory"] = memory or (passed() if all(own is not None for own in words) else failed(none))
        numbers = {number(*own) for own in zip(words, counts, strict=True)} - {self.shots}
        given = ", ".join(str(number) for number in sorted(numbers, key=str))
        self.outcomes["shots as asked"] = failed(f"{given} shots in place of {self.shots}") if numbers else passed()

    def sampler(self) -> None:
        """Bits from Qiskit's sampler: two parameter sets, two registers, and an idle qubit in one call."""
        probe, spare = turned(self.n_qubits), idle()
        names = ("register names", "order of qubits and bits", "several parameter sets", "subsets and idle qubits")
        if not self._is_fitted(probe, *names):
            return
        rows = angles_of_turned(self.n_qubits)
        pubs: list[Any] = [(measured(self._fitted["turned"]), self._columns(probe, rows[:2]))]
        if self.n_qubits > 1:
            pubs.append((in_two_registers(self._bound(probe, rows[0])),))
        if spare.name in self._fitted:
            pubs.append((measured(self._fitted["idle"], [0, 2]), self._columns(spare, PAIRS)))
        try:
            result, remark = self._seeded_if_need_be(BackendSamplerV2, pubs, shots=self.shots)
            found = [pub.data for pub in result]
            values = means(found[0]["c"])
            pairs = means(found[2]["c"]) if len(found) > 2 else None
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self._all(names, failed(f"Qiskit's sampler: {said(error)}"))
            return
        memory = self.outcomes.get("memory", passed()).result == "failed"
        order = order_fault(values)
        if order is not None and memory and np.all(values == 1):
            order = "zeros without memory"
        more = f"; {remark}" if remark else ""
        self.outcomes["order of qubits and bits"] = passed(remark) if order is None else failed(order + more)
        self._judge("several parameter sets", sets_fault(values), order)
        if len(found) > 1:
            registers = {name: found[1][name].num_bits for name in found[1]}
            wrong = registers != {"a": 1, "b": 1}
            self.outcomes["register names"] = failed(f"registers {shown(str(registers))}") if wrong else passed()
        if pairs is None:
            self.outcomes["subsets and idle qubits"] = not_applicable(
                "the circuit was not transpiled" if self.n_qubits > 2 else f"{self.n_qubits} qubits"
            )
        else:
            self._judge("subsets and idle qubits", value_fault(pairs, np.cos(PAIRS)), order)

    def estimator(self) -> None:
        """<X> and <Y> from Qiskit's estimator."""
        probe, name = phases(), "observables with X and Y"
        if not self._is_fitted(probe, name):
            return
        own = self._fitted[probe.name]
        observables = [[item.apply_layout(own.layout, own.num_qubits)] for item in probe.measured]
        try:
            pub = (own, observables, self._columns(probe, PHASES)[None])
            precision = (1 + 1e-9) / math.sqrt(self.shots)
            result, remark = self._seeded_if_need_be(BackendEstimatorV2, [pub], precision=precision)
            values = np.asarray(result[0].data.evs).T
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self.outcomes[name] = failed(f"Qiskit's estimator: {said(error)}")
            return
        fault = value_fault(values, np.hstack([np.cos(PHASES), np.sin(PHASES)]))
        self.outcomes[name] = passed(remark) if fault is None else failed(fault)

    def repeats(self) -> None:
        """The same circuits four times: twice without a seed, twice with one."""
        probe = turned(self.n_qubits)
        names = ("independence of jobs", "equal seeds")
        if not self._is_fitted(probe, *names):
            return
        if self.shots < DRAWN:
            self._all(names, not_applicable(f"{self.shots} shots are too few to tell"))
            return
        circuits = [measured(self._bound(probe, row)) for row in angles_of_turned(self.n_qubits)[2:]]

        def twice(**options: Any) -> bool:
            return self._counts(circuits, **options) == self._counts(circuits, **options)

        self._try(names[0], lambda: failed("two jobs have the same shots") if twice() else passed())

        def seeded() -> Outcome:
            return passed("with seed_simulator") if twice(seed_simulator=_SEED) else failed("it ignores seed_simulator")

        self._try(names[1], seeded)

    def _seeded_if_need_be(self, kind: Any, pubs: Sequence[Any], **options: Any) -> tuple[Any, str]:
        """What one of Qiskit's primitives gives, with a seed where it raises without one; and a remark on that."""
        try:
            return kind(backend=self.device).run(pubs, **options).result(), ""
        except Exception as error:
            if not takes_seed(self.device):
                raise
            try:
                seeded = kind(backend=self.device, options={"seed_simulator": _SEED}).run(pubs, **options).result()
            except Exception:  # noqa: BLE001 - the seed is not what it wants
                raise error from None
            return seeded, f"without a seed it raises {type(error).__name__}"

    def _try(self, name: str, judge: Callable[[], Outcome]) -> None:
        try:
            self.outcomes[name] = judge()
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self.outcomes[name] = failed(said(error))

    def _judge(self, name: str, fault: str | None, order: str | None) -> None:
        """A check of values that says nothing where bits are wrong altogether."""
        if order is not None:
            self.outcomes[name] = not_applicable("bits are wrong altogether")
        else:
            self.outcomes[name] = passed() if fault is None else failed(fault)

    def _all(self, names: Sequence[str], outcome: Outcome) -> None:
        self.outcomes |= dict.fromkeys(names, outcome)

    def _is_fitted(self, probe: Probe, *names: str) -> bool:
        if probe.name not in self._fitted:
            self._all(names, not_applicable("the circuit was not transpiled"))
        return probe.name in self._fitted

    def _bound(self, probe: Probe, row: Values) -> QuantumCircuit:
        values = {p: v for p, v in zip(probe.inputs, row, strict=True) if p in self._fitted[probe.name].parameters}
        return self._fitted[probe.name].assign_parameters(values)

    def _columns(self, probe: Probe, rows: Values) -> Values:
        """Parameter sets in the order in which primitives bind them."""
        column = {parameter: index for index, parameter in enumerate(probe.inputs)}
        return rows[:, [column[parameter] for parameter in self._fitted[probe.name].parameters]]

    def _run(self, circuits: Sequence[QuantumCircuit], **options: Any) -> list[Any]:
        """What `run` gives, as many circuits at a time as the device says that it takes."""
        most = self.device.max_circuits
        size = most if isinstance(most, int) and most > 0 else len(circuits)
        parts = [list(circuits[start : start + size]) for start in range(0, len(circuits), size)]
        return [self.device.run(part, shots=self.shots, **options) for part in parts]

    def _counts(self, circuits: Sequence[QuantumCircuit], **options: Any) -> list[Any]:
        answers = self._run(circuits, **options)
        results = [answer.result() if callable(getattr(answer, "result", None)) else answer for answer in answers]
        data = [field_of(item, "data") for result in results for item in field_of(result, "results")]
        return [field_of(own, "counts") or field_of(own, "memory") for own in data]
