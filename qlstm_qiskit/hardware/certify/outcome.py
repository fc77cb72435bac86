"""Outcomes of checks, and what this package does about habits of devices."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from qlstm_qiskit.hardware.executors.cost import Workload

#: Checks in the order of the table, with what this package does where the device alone is wrong.
CHECKS: dict[str, str] = {
    "limits of circuits and shots": "jobs are cut to what the device takes; other shots are refused before sending",
    "parameters kept by transpilation": "circuits are fitted once, unbound, to other gates or places where the first do not do",
    "kind of answer": "a result in place of a job is read as well",
    "status": "results marked as failed are refused",
    "number of results": "results of fewer or more circuits are refused",
    "memory": "results without memory are read from counts",
    "shots as asked": "results of another number of shots are refused",
    "register names": "circuits have one register of ours, read by place",
    "order of qubits and bits": "results without memory are read from counts",
    "several parameter sets": "each set is a circuit with a name of its own, and found by it",
    "subsets and idle qubits": "only the qubits of observables are measured, by place",
    "observables with X and Y": "the basis is changed in the gates that the device has",
    "independence of jobs": "each job has a seed of its own where the device takes seeds",
    "equal seeds": "a seed is given only where the device has the option for it",
    "values": "",
    "gradients by parameter shift": "",
}
#: How causes begin that lie in one of Qiskit's primitives.
PRIMITIVE = "Qiskit's "
_INSTEAD = "the device is run, and its results read, by this package"


@dataclass(frozen=True)
class Outcome:
    """The result of a check at one level: "passed", "failed" or "not applicable", and why, or a remark."""

    result: str
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.result}: {self.cause}" if self.cause else self.result


def passed(remark: str = "") -> Outcome:
    """The check passed."""
    return Outcome("passed", remark)


def failed(cause: str) -> Outcome:
    """The check failed, for this reason."""
    return Outcome("failed", cause)


def not_applicable(reason: str) -> Outcome:
    """There is nothing to check, for this reason."""
    return Outcome("not applicable", reason)


@dataclass(frozen=True)
class Check:
    """A check at both levels.

    Attributes:
        name: A key of `CHECKS`.
        raw: Of the device, run by Qiskit.
        here: Of the backend, as models use it.
    """

    name: str
    raw: Outcome
    here: Outcome

    @property
    def remedy(self) -> str:
        """What this package does about a device that fails alone; empty where it does not, or nothing helps."""
        if self.raw.result != "failed" or self.here.result != "passed":
            return ""
        return _INSTEAD if self.raw.cause.startswith(PRIMITIVE) else CHECKS[self.name]


@dataclass(frozen=True)
class Certificate:
    """What the suite found.

    Attributes:
        backend, kind, device: What was certified.
        shots: Of each circuit; None where values are exact.
        work: The most that was to be sent, as announced.
        checks: In the order of `CHECKS`; empty for the exact interpreter.
    """

    backend: str
    kind: str
    device: str
    shots: int | None = None
    work: Workload = field(default_factory=Workload)
    checks: tuple[Check, ...] = ()

    @property
    def first_failing(self) -> Check | None:
        """The first check of what this package relies on that failed."""
        return next((check for check in self.checks if check.here.result == "failed"), None)

    def facts(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        failing = self.first_failing
        return {
            "backend": self.backend,
            "kind": self.kind,
            "device": self.device,
            "shots": self.shots,
            "most_sent": asdict(self.work),
            "checks": [
                {"check": check.name, "raw": asdict(check.raw), "here": asdict(check.here), "remedy": check.remedy}
                for check in self.checks
            ],
            "passed": failing is None,
            "first_failing": None if failing is None else failing.name,
        }
