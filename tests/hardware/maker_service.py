"""A device of another maker, with a service that is a folder: what a killed process has sent is there for the next one."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler
from qiskit.providers import JobStatus
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.result import Result

from qlstm_qiskit.hardware.contract.executor import circuit_bytes

#: Where a process can be made to die: of the n-th job, before it is accepted, after that, and when it is asked for.
MOMENTS = ("before", "accepted", "status", "result")


class Remote(GenericBackendV2):
    """Five ideal qubits at a service; `retrieve_job` gives a job by its id.

    Args:
        folder: Where the service keeps everything.
        most: Circuits that a job holds.

    Attributes:
        kill: A number of a job and a moment at which this process dies.
        faults: Exceptions that the next calls of `run`, "status", "result", "retrieve" and "cancel" raise.
        outcome: How new jobs end, in the maker's words.
        polls: How often a new job is seen waiting.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        super().__init__(5, noise_info=False, seed=1)
        self.name = "lab"
        self.folder, self._most = folder, most
        self.kill: tuple[int, str] | None = None
        self.faults: dict[str, list[Exception]] = {}
        self.outcome: Any = JobStatus.DONE
        self.polls = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def max_circuits(self) -> int | None:
        return self._most

    def log(self) -> list[dict[str, Any]]:
        """The jobs that were accepted, in order."""
        path = self.folder / "accepted.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def meet(self, what: str, number: int | None = None) -> None:
        """Raise what was prepared for a call, or die."""
        if self.faults.get(what):
            raise self.faults[what].pop(0)
        if number is not None and self.kill == (number, what):
            os.kill(os.getpid(), signal.SIGKILL)

    def run(self, run_input: Any, **options: Any) -> RemoteJob:
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        number = len(self.log())
        self.meet("run")
        self.meet("before", number)
        content = _content(circuits, options)
        ideal = _measured(circuits, options["shots"], int(content[:7], 16))
        name = f"job-{number}"
        job = {"outcome": getattr(self.outcome, "name", self.outcome), "enum": isinstance(self.outcome, JobStatus)}
        job |= {"polls": self.polls, "result": ideal}
        (self.folder / f"{name}.json").write_text(json.dumps(job))
        with (self.folder / "accepted.jsonl").open("a") as file:
            file.write(json.dumps({"content": content, "circuits": len(circuits), "name": circuits[0].name}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.meet("accepted", number)
        return RemoteJob(self, name)

    def retrieve_job(self, job_id: str) -> RemoteJob:
        self.meet("retrieve")
        if not (self.folder / f"{job_id}.json").exists():
            raise KeyError(job_id)
        return RemoteJob(self, job_id)


class Forgetful(Remote):
    """Its maker has no way to a job of another process."""

    retrieve_job = None  # type: ignore[assignment]


class RemoteJob:
    """A job at the service."""

    def __init__(self, device: Remote, name: str) -> None:
        self._device, self._id = device, name

    def job_id(self) -> str:
        return self._id

    def status(self) -> Any:
        self._device.meet("status", int(self._id[4:]))
        job = self._job()
        if job["polls"]:
            self._save(job | {"polls": job["polls"] - 1})
            return JobStatus.QUEUED if job["enum"] else "waiting"
        return JobStatus[job["outcome"]] if job["enum"] else job["outcome"]

    def result(self) -> Result:
        self._device.meet("result", int(self._id[4:]))
        return Result.from_dict(self._job()["result"])

    def cancel(self) -> bool:
        self._device.meet("cancel")
        self._save(self._job() | {"outcome": "CANCELLED", "enum": True, "polls": 0})
        return True

    def _job(self) -> dict[str, Any]:
        return dict(json.loads((self._device.folder / f"{self._id}.json").read_text()))

    def _save(self, job: dict[str, Any]) -> None:
        (self._device.folder / f"{self._id}.json").write_text(json.dumps(job))


def _content(circuits: Sequence[QuantumCircuit], options: dict[str, Any]) -> str:
    """Hash of the work that is asked for, without names."""
    digest = hashlib.sha256(str(options["shots"]).encode())
    for circuit in circuits:
        digest.update(circuit_bytes(circuit.copy(name="c")))
    return digest.hexdigest()


def _measured(circuits: Sequence[QuantumCircuit], shots: int, seed: int) -> dict[str, Any]:
    """A result without Aer, whose threads are not there in a forked process."""
    found = StatevectorSampler(seed=seed).run([(circuit,) for circuit in circuits], shots=shots).result()
    results = [
        {
            "success": True,
            "shots": shots,
            "header": {"name": circuit.name, "memory_slots": circuit.num_clbits},
            "data": {"counts": {hex(int(word, 2)): count for word, count in pub.join_data().get_counts().items()}},
        }
        for circuit, pub in zip(circuits, found, strict=True)
    ]
    return {"backend_name": "lab", "backend_version": "1", "job_id": "", "success": True, "results": results}
