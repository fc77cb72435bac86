"""Jobs that survive a crash: recorded before they are submitted, submitted once, then answered from the record."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from qlstm_qiskit.errors import JobError, LedgerError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.primitives import PreparedJob
from qlstm_qiskit.hardware.jobs.answers import readout_of, result_of
from qlstm_qiskit.hardware.jobs.failures import FOREIGN
from qlstm_qiskit.hardware.jobs.fetch import ATTEMPTS, Jobs, log
from qlstm_qiskit.hardware.jobs.ledger import UNDER_WAY, UNSENT, Entry, Ledger, Values
from qlstm_qiskit.hardware.jobs.maker_jobs import device_name
from qlstm_qiskit.hardware.jobs.pending import error_of_lost

#: What qiskit-ibm-runtime warns of before it submits for an account without QPU time.
_USED_UP = "This instance has met its usage limit|There is currently no more time available"


class JobRunner(Jobs):
    """Runs the jobs of an executor (`primitives.Submit`) and records them; meeting them again, it answers from the record.

    Jobs are counted from 0 in each process. A process that is started again asks for the same jobs in the same order, gets
    the results that are there, waits for those that were submitted, and submits the rest. Where the order is free, a job is
    known by what it asks for instead: what is asked n times in a process is answered by the n-th recorded job of its kind.

    Args:
        ledger: Of the run folder; None keeps unfinished jobs in memory only.
        service: See `Jobs`.
        spec: Of the backend.
        run: Which work of the folder, e.g. "train".
        device: Its name is recorded; where it has a `status()`, it is asked before jobs are submitted.
        ordered: Whether the work always asks for the same jobs in the same order, as a training does; other jobs are an error.
        since: Where the order is free, jobs that were recorded before this moment (UTC, ISO 8601) answer nothing.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        service: Any,
        spec: BackendSpec,
        run: str = "run",
        device: Any = None,
        ordered: bool = True,
        since: str = "",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ledger or Ledger(None), service, spec, sleep, clock)
        self.run = run
        self.device = device
        self.ordered = ordered
        self.since = since
        self._step = 0
        self._asked: Counter[str] = Counter()
        self.ledger.claim()
        self._require_same_provider()
        self.ledger.remember(run, spec.name, spec.model_dump_json())

    def __call__(self, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
        """Results of the jobs of one call; all are submitted before the first is waited for."""
        begun = [self._begin(prepared) for prepared in jobs]
        return [self._finish(entry, job) for entry, job in begun]

    def _begin(self, prepared: PreparedJob) -> tuple[Entry, Any]:
        """Bring a job to "submitted" or "done"; the job itself is there if this call submitted it."""
        request = self._request(prepared)
        step, entry = self._place(request)
        if entry is None:
            where = (self.spec.name, self._device_name, prepared.readout.to_json())
            entry = self.ledger.prepare(self.run, step, request, *where, prepared.pubs, prepared.circuits, prepared.shots)
            return self._submit(entry, prepared)
        if entry.request != request:
            raise LedgerError(
                f"{self.ledger.path}: job {entry.id}, step {step} of {self.run!r} on {entry.device}, was made for other "
                "circuits, values or options, so the run was changed since. Undo the change, or start in a new run folder."
            )
        if readout_of(self.ledger, entry).positions != prepared.readout.positions:
            raise self.ledger.damaged(f"job {entry.id} says that something else was measured than is asked for")
        if entry.status in {"failed", "cancelled"}:
            raise self.error(entry, f"in an earlier attempt {entry.error}", retry=True)
        if entry.status == "done":
            log.debug("job %d is answered from the record", entry.id)
            return entry, None
        if self.lost(entry):
            return self._lost(entry, prepared)
        entry = self.reconcile(entry)
        return self._submit(entry, prepared, unclear=entry.error != UNSENT) if entry.status == "prepared" else (entry, None)

    def _place(self, request: str) -> tuple[int, Entry | None]:
        """The step of a job, and its last attempt where it was met before."""
        if self.ordered:
            step, self._step = self._step, self._step + 1
            return step, self.ledger.latest(self.run, step)
        known, before = self.ledger.latest_of(self.run, request, self.since), self._asked[request]
        self._asked[request] += 1
        return (known[before].step, known[before]) if before < len(known) else (self.ledger.next_step(self.run), None)

    def _lost(self, entry: Entry, prepared: PreparedJob) -> tuple[Entry, Any]:
        """A job whose process is gone, and which nobody can be asked about."""
        if self.spec.kind == "provider" and entry.error != UNSENT:
            raise error_of_lost(self, entry)
        return self._submit(entry, prepared)

    def _submit(self, entry: Entry, prepared: PreparedJob, unclear: bool = False) -> tuple[Entry, Any]:
        """Submit a prepared job; `unclear` says that it may have been accepted before, and is not listed yet."""
        self._require_open(entry)
        entry, failure = self.ledger.note(entry, None) if entry.error == UNSENT else entry, None
        for attempt in range(ATTEMPTS):
            if failure is not None:
                self._pause(attempt, failure)
            log.info("submitting job %d: step %d, %d circuits, tag %s", entry.id, entry.step, entry.circuits, entry.tag)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("error", message=_USED_UP)  # it would wait in the queue for a month
                    job = prepared.start(entry.step, (*self.spec.tags, entry.tag))
            except (UserWarning, *FOREIGN) as error:
                failure = self._understand(error)
            else:
                entry = self._accepted(entry, job)
                return self._single(entry, job) if unclear and self.searches else (entry, job)
            entry = self.ledger.note(entry, failure.sentence)
            if failure.unclear and self.searches:
                unclear = True
                entry = self.reconcile(entry)
                if entry.status == "submitted":
                    return entry, None
            if failure.kind not in {"network", "busy"} or not self.searches:
                break
        assert failure is not None
        if self.spec.kind == "provider":  # a maker may send circuits one by one, and fail after the first
            what = f"it could not be submitted, or may have been in part: {failure.sentence}"
            raise self.error(self.ledger.note(entry, what), what, retry=True)
        raise self.stopped(entry, f"it could not be submitted: {failure.sentence}")

    def _accepted(self, entry: Entry, job: Any) -> Entry:
        """Record the id of a job that was just submitted."""
        named = self.service is not None or self.spec.local  # a provider's id may mean nothing in another process
        name = self._id(entry, job) if named else None
        try:
            return self.ledger.submitted(entry, name)
        except LedgerError as error:
            known = f" as {name}" if name else ""
            found = "it is found by its tag" if self.searches else "it is not submitted again without --retry"
            raise LedgerError(
                f"job {entry.id} was submitted{known}, which could not be recorded: {error} When the run goes on {found}."
            ) from None

    def _id(self, entry: Entry, job: Any) -> str | None:
        name = self.ask(job.job_id, entry)
        return None if name is None else str(name)

    def _single(self, entry: Entry, job: Any) -> tuple[Entry, Any]:
        """A job that was submitted a second time, or the first one if the service has both after all."""
        try:
            before = [other for other in self.tagged(entry) if other.job_id() != entry.job]
        except JobError:
            return entry, job  # not worth stopping for
        if not before:
            return entry, job
        return self.ledger.submitted(entry, self.first(entry, [job, *before])), None

    def _finish(self, entry: Entry, job: Any) -> list[Values]:
        values = result_of(self.ledger, entry) if entry.status == "done" else self.collect(entry, job)
        if self.ledger.path is None:
            self.ledger.forget(entry)
        return values

    def _require_open(self, entry: Entry) -> None:
        """Refuse to submit to a device that is offline; the job stays prepared."""
        status = getattr(self.device, "status", None)
        if not self.searches or status is None:  # of makers some give a word, and simulators say that they are closed
            return
        state = self.ask(status, entry)
        if not getattr(state, "operational", True):
            message = getattr(state, "status_msg", "") or "no reason given"
            raise self.stopped(entry, f"the device is offline or in maintenance ({message}); it was not submitted")

    def _require_same_provider(self) -> None:
        """Refuse to ask another provider about jobs that are under way: it may know the same ids."""
        for entry in self.ledger.entries(self.run, UNDER_WAY) if self.spec.kind == "provider" else ():
            text = self.ledger.remembered(entry) if entry.backend == self.spec.name else None
            before = json.loads(text).get("provider", self.spec.provider) if text else self.spec.provider
            if before != self.spec.provider:
                self.ledger.close()
                raise LedgerError(
                    f"{self.ledger.path}: job {entry.id} was submitted by provider {before!r}, and backend {self.spec.name} "
                    f"has {self.spec.provider!r} now. Put that back, or give the job up: qlstm jobs cancel."
                )

    @property
    def _device_name(self) -> str:
        return self.spec.device or self.spec.name if self.device is None else device_name(self.device)

    def _request(self, prepared: PreparedJob) -> str:
        """Hash of all that decides the result."""
        decisive = {"kind", "primitive", "mitigation"} | ({"rep_delay_us"} if self.spec.kind == "ibm" else set())
        options = self.spec.model_dump(mode="json", include=decisive)
        text = json.dumps([prepared.fingerprint, self._device_name, options], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
