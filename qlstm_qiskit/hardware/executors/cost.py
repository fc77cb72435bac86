"""The cost of work on a quantum computer, before it is submitted: plan and guard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from qlstm_qiskit.errors import BudgetError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import Executor, Request, Values
from qlstm_qiskit.hardware.device.compact import simulated_slowly
from qlstm_qiskit.hardware.executors.chunks import ANYTHING, Takes, chunks

#: Seconds of QPU time that a job takes beside its shots (loading, calibration checks); assumed.
JOB_SECONDS = 2.0
#: Microseconds that a small circuit with its measurement takes beside the delay between shots; a shot of 250 us hides it.
CIRCUIT_US = 3.0
#: Copies of a circuit that zero-noise extrapolation (resilience level 2) runs by default, one for each noise factor.
ZNE_FACTORS = 3


@dataclass(frozen=True)
class Workload:
    """What is sent to a device; works can be added and repeated.

    Attributes:
        jobs, pubs: As submitted.
        circuits: Parameter sets x measured bases.
        executions: Circuits x shots; an exact evaluation counts as one shot.
    """

    jobs: int = 0
    pubs: int = 0
    circuits: int = 0
    executions: int = 0

    def __add__(self, other: Workload) -> Workload:
        return Workload(
            self.jobs + other.jobs,
            self.pubs + other.pubs,
            self.circuits + other.circuits,
            self.executions + other.executions,
        )

    def __mul__(self, times: int) -> Workload:
        return Workload(self.jobs * times, self.pubs * times, self.circuits * times, self.executions * times)

    def __sub__(self, other: Workload) -> Workload:
        return self + other * -1


def job_limits(spec: BackendSpec) -> tuple[int | None, int | None]:
    """PUBs and executions that a job may hold, as `chunks` takes them; a simulation on this machine has no limits."""
    if spec.kind in {"statevector", "aer"}:
        return None, None
    return spec.guard.max_pubs, spec.guard.max_executions


def work_of(requests: Sequence[Request], spec: BackendSpec, takes: Takes = ANYTHING) -> Workload:
    """The work of one call of an executor; `takes` is what the device takes in a job.

    Raises:
        OptionError: A single parameter set is above the limits of a job; see `chunks`.
    """
    jobs = chunks(requests, spec.shots, *job_limits(spec), takes)
    pieces = [piece for job in jobs for piece in job]
    circuits = sum(piece.circuits for piece in pieces)
    pubs = sum(piece.pubs for piece in pieces) if spec.primitive == "sampler" else len(pieces)
    executions = sum(piece.circuits * (piece.request.shots or spec.shots or 1) for piece in pieces)
    # a parameter set in more bases than a job holds circuits is not cut here, but is sent in several jobs
    sizes = [sum(piece.circuits for piece in job) for job in jobs]
    sent = sum(max(1, math.ceil(size / (takes.max_circuits or size or 1))) for size in sizes)
    return Workload(sent, pubs, circuits, executions)


def qpu_seconds(work: Workload, spec: BackendSpec) -> float:
    """Estimated seconds of QPU time: executions x (delay between shots + circuit), and an overhead for each job.

    With 4000 shots and 250 us between them, a circuit takes one second. Learning a noise model for mitigation is not counted.
    Zero for simulations by Aer and the exact interpreter; for kind "fake", and in local testing mode, the time that a
    device would take.
    """
    if spec.kind in {"statevector", "aer"}:
        return 0.0
    copies = ZNE_FACTORS if spec.mitigation.resilience_level == 2 else 1
    return work.executions * copies * (spec.rep_delay_us + CIRCUIT_US) * 1e-6 + work.jobs * JOB_SECONDS


def require_affordable(work: Workload, spec: BackendSpec, what: str) -> None:
    """Refuse work that the guard would stop on its way, before anything of it is submitted.

    Raises:
        BudgetError: It is above a limit of the guard, and `confirm` is not set.
    """
    over = excess(work, spec)
    if over is not None and not spec.guard.confirm:
        raise BudgetError(
            f"{what} on {spec.name!r} would take {over}. Nothing was submitted. See `qlstm backends plan`; take fewer shots, "
            "windows, epochs or candidates, --optimizer spsa for training, pack: auto, raise the limit, or confirm with "
            "--confirm (guard.confirm: true)."
        )


def excess(work: Workload, spec: BackendSpec) -> str | None:
    """The limit of the guard that a run's whole work exceeds, in words; None where it is within all of them."""
    limit = spec.guard.max_circuits
    if limit is not None and work.circuits > limit:
        return f"{work.circuits:,} circuits, and guard.max_circuits is {limit:,}"
    seconds, allowed = qpu_seconds(work, spec), spec.guard.max_qpu_seconds
    if allowed is not None and seconds > allowed:
        return f"{duration(seconds)} of QPU time, and guard.max_qpu_seconds is {duration(allowed)}"
    return None


class MeteredExecutor:
    """Counts the work that goes to another executor and refuses, before anything is submitted, what is over budget.

    Args:
        inner: Executes; None only counts, so that a plan is made by running a model against it. It returns numbers that are
            all different, as those of a device are: equal parameter sets of one call are evaluated once.
        spec: The backend, with its guard.
        takes: What its device takes in a job.

    Attributes:
        work: Of all calls together.
    """

    def __init__(self, inner: Executor | None, spec: BackendSpec, takes: Takes = ANYTHING) -> None:
        self.inner = inner
        self.spec, self.takes = spec, takes
        self.work = Workload()
        self._rng = np.random.default_rng(0)

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """As `Executor.expect`.

        Raises:
            BudgetError: The run would be above a limit of the guard, and `confirm` is not set. Nothing was submitted.
        """
        asked = work_of(requests, self.spec, self.takes)
        if self.inner is None:
            self.work += asked
            shapes = [(len(request.values), request.circuit.measurement.n_observables) for request in requests]
            return [self._rng.uniform(-1, 1, shape) for shape in shapes]
        self._require_affordable(asked)
        self.work += asked
        return self.inner.expect(requests)

    def _require_affordable(self, asked: Workload) -> None:
        guard = self.spec.guard
        over = excess(self.work + asked, self.spec)
        if over is None or guard.confirm or guard.dry_run:
            return
        raise BudgetError(
            f"backend {self.spec.name!r}: this call asks for {_in_words(asked, self.spec)}, after "
            f"{_in_words(self.work, self.spec)} in this run; together that is {over}. Nothing of this call was submitted. "
            "Pack circuits side by side (pack: auto), take fewer shots, windows or candidates, raise the limit, or "
            "confirm with --confirm (guard.confirm: true) to go on beyond it."
        )


@dataclass(frozen=True)
class Plan:
    """What a run would cost on a backend.

    Attributes:
        spec: The backend.
        work: Of the whole run.
        unpacked: The same run without packing, to show what packing saves; None where nothing is packed.
        simulated: The most qubits that a simulation on this machine has at once; 0 where nothing is simulated.
        lost: What becomes of jobs whose process ends, where they cannot be fetched by another one; empty where they can.
    """

    spec: BackendSpec
    work: Workload
    unpacked: Workload | None = None
    simulated: int = 0
    lost: str = ""

    def __add__(self, other: Plan) -> Plan:
        unpacked = None if self.unpacked is None or other.unpacked is None else self.unpacked + other.unpacked
        widest = max(self.simulated, other.simulated)
        return replace(self, work=self.work + other.work, unpacked=unpacked, simulated=widest)

    def __mul__(self, times: int) -> Plan:
        unpacked = None if self.unpacked is None else self.unpacked * times
        return replace(self, work=self.work * times, unpacked=unpacked)

    @property
    def monthly_share(self) -> float:
        """Estimated QPU time as a part of `guard.monthly_seconds`."""
        return qpu_seconds(self.work, self.spec) / self.spec.guard.monthly_seconds

    def facts(self) -> dict[str, Any]:
        """Plain data, for JSON; "over_budget" says in words which limit of the guard is exceeded."""
        facts = {"backend": self.spec.name, **asdict(self.work), "shots": self.spec.shots}
        facts |= {
            "qpu_seconds": qpu_seconds(self.work, self.spec),
            "monthly_seconds": self.spec.guard.monthly_seconds,
            "monthly_share": self.monthly_share,
            "over_budget": excess(self.work, self.spec),
        }
        if self.spec.kind == "provider":
            facts["jobs_survive"] = not self.lost
        if self.simulated:
            facts["simulated_qubits"] = self.simulated
        if self.unpacked is not None:
            facts["unpacked"] = {**asdict(self.unpacked), "qpu_seconds": qpu_seconds(self.unpacked, self.spec)}
        return facts

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, for a table."""
        spec, work = self.spec, self.work
        rows = [
            ("jobs", f"{work.jobs:,}"),
            ("PUBs", f"{work.pubs:,}"),
            ("circuits", f"{work.circuits:,}"),
            ("shots per circuit", "exact" if spec.shots is None else f"{spec.shots:,}"),
            ("executions", f"{work.executions:,}"),
            ("QPU time", duration(qpu_seconds(work, spec))),
            (f"share of {duration(spec.guard.monthly_seconds)} per month", f"{self.monthly_share:.1%}"),
        ]
        slow = None if spec.guard.dry_run else simulated_slowly(self.simulated)
        if slow is not None:
            rows.append(("on this machine", slow))
        if self.unpacked is not None:
            time = duration(qpu_seconds(self.unpacked, spec))
            rows.append(("without packing", f"{self.unpacked.circuits:,} circuits, {time}"))
        over = excess(work, spec)
        verdict = "confirmed" if spec.guard.confirm else "would be refused"
        return [*rows, ("guard", "within its limits" if over is None else f"{verdict}: {over}")]


def duration(seconds: float) -> str:
    """Seconds as a reader says them: "56 s", "8.1 min", "27.2 h"."""
    if seconds < 99.5:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5970 else f"{seconds / 3600:,.1f} h"


def _in_words(work: Workload, spec: BackendSpec) -> str:
    return f"{work.circuits:,} circuits in {work.jobs:,} jobs ({duration(qpu_seconds(work, spec))} of QPU time)"
