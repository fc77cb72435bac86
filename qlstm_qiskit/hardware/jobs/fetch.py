"""Questions to a service about recorded jobs: their ids, states and results. Nothing is ever submitted here."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from qlstm_qiskit.errors import JobError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.results import ResultError
from qlstm_qiskit.hardware.jobs.answers import readout_of
from qlstm_qiskit.hardware.jobs.failures import FOREIGN, Failure, understand
from qlstm_qiskit.hardware.jobs.ledger import UNDER_WAY, UNSENT, Entry, Ledger, Values, age
from qlstm_qiskit.hardware.jobs.maker_jobs import Asked, MakerJob, MakerService

log = logging.getLogger("qlstm_qiskit.hardware.jobs.runner")
T = TypeVar("T")

#: How often a read is tried, and a submission that the service certainly did not take.
ATTEMPTS = 6
#: Seconds before the second try; doubled for each further one, with up to half as much again at random.
FIRST_PAUSE = 1.0
#: Seconds before each look for a job whose submission is unclear: lists may lag behind, and what is missed is paid twice.
LOOKS = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0)
#: Seconds between polls: the first, how they grow, the last; and the first of a maker's device, which may be a simulator.
POLL, POLL_GROWTH, POLL_MAX = 0.5, 1.5, 10.0
FIRST_POLL = 0.02
#: The error of a job that nobody can cancel.
GIVEN_UP = "it was given up by the user, and may have run at the provider"
_ENDED = {"DONE", "ERROR", "CANCELLED"}
#: What is said of a job that has certainly ended.
_NO_RESULT = {"failed", "too long", "cancelled"}


class Jobs:
    """Reads of a service, for jobs that a ledger records. Reads are repeated; nothing is ever submitted here.

    Args:
        ledger: Of the run.
        service: Has `job(id)` and `jobs(job_tags=...)`, as `QiskitRuntimeService`, or is a `MakerService`, which has no search;
            None where jobs end with their process.
        spec: Of the backend.
        sleep, clock: For tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        service: Any,
        spec: BackendSpec,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.service = service
        self.spec = spec
        self._sleep = sleep
        self._clock = clock
        self._random = random.Random()

    def __getstate__(self) -> None:
        raise TypeError("jobs hold a connection to a service and cannot be pickled or copied")

    @property
    def searches(self) -> bool:
        """Whether the service finds jobs by their tags, so that one whose id never arrived is not lost."""
        return self.service is not None and not isinstance(self.service, MakerService)

    def lost(self, entry: Entry) -> bool:
        """Whether only the process that submitted a job can know what became of it."""
        return not self.searches and (self.service is None or entry.job is None)

    def find(self, entry: Entry) -> str | None:
        """Id of the job that carries the entry's tag, if the service has one.

        Raises:
            JobError: The service cannot be asked.
        """
        if entry.error == UNSENT:
            return None
        for pause in LOOKS:
            self._sleep(pause)
            found = self.tagged(entry)
            if found:
                return self.first(entry, found)
            if age(entry) > sum(LOOKS):
                break  # its list had the time to catch up
        return None

    def tagged(self, entry: Entry) -> list[Any]:
        """The jobs that carry the entry's tag, the last one accepted first."""
        return list(self.ask(lambda: self.service.jobs(limit=None, job_tags=[entry.tag]), entry))

    def first(self, entry: Entry, found: Sequence[Any]) -> str:
        """Id of the job that was accepted first, the last of the list; the others are cancelled."""
        kept = str(found[-1].job_id())
        for other in found[:-1]:
            log.warning("job %d was accepted twice; %s is kept and %s cancelled", entry.id, kept, other.job_id())
            with suppress(JobError):
                self._try(other.cancel, entry)
        return kept

    def reconcile(self, entry: Entry) -> Entry:
        """Give a prepared entry the id of its job, if the service has the job."""
        job = self.find(entry) if entry.status == "prepared" and self.searches else None
        if job is None:
            return entry
        log.info("job %d was accepted as %s", entry.id, job)
        return self.ledger.submitted(entry, job)

    def collect(self, entry: Entry, job: Any = None) -> list[Values]:
        """Wait for a submitted job, and record and return its result.

        Args:
            entry: With status "submitted".
            job: The job, where this process submitted it.

        Raises:
            JobError: There is no result, or not yet.
        """
        readout = readout_of(self.ledger, entry)
        if job is None:
            job = self._retrieved(entry)
        status = "DONE" if self.lost(entry) else self._wait(entry, job)
        try:
            if isinstance(job, MakerJob) and job.asked is None:
                job.asked = Asked.of(readout, entry.tag)
            result = self._try(job.result, entry)
            if isinstance(result, Failure):
                raise self._ended(entry, result, status)
            values = readout.values(result)
        except ResultError as error:
            what = f"there is no usable result: {error}"
            raise self.error(self.ledger.ended(entry, "failed", what), what, retry=True) from None
        entry = self.ledger.done(entry, values, self._usage(job))
        log.info("job %d (%s) is done", entry.id, entry.job)
        return values

    def _retrieved(self, entry: Entry) -> Any:
        """A job of another process, by its id."""
        if entry.job is None:
            raise self.ledger.damaged(f"job {entry.id} was submitted and has no id")
        if isinstance(self.service, MakerService) and self.service.name != entry.device:
            raise self.stopped(entry, f"backend {self.spec.name} is {self.service.name} now; give it the provider of then")
        job = self._try(lambda: self.service.job(entry.job), entry)
        if isinstance(job, Failure):
            raise self._ended(entry, job)
        return job

    def cancel(self, entry: Entry) -> Entry:
        """Cancel a job at the service and in the record; one that has ended stays as it is.

        Without a service, or where a maker cannot do it, it is given up in the record only.

        Raises:
            JobError: The service cannot be asked.
        """
        entry = self.reconcile(entry)
        if entry.status not in UNDER_WAY:
            return entry
        if isinstance(self.service, MakerService):
            return self._cancel_at_maker(entry)
        if entry.status == "submitted" and self.service is not None:
            answer = self._try(lambda: self.service.job(entry.job).cancel(), entry)
            if isinstance(answer, Failure) and answer.kind == "cancelled":  # the service says so of any job that has ended
                with suppress(JobError):
                    self.collect(entry)
                return self.ledger.entry(entry.id)
            if isinstance(answer, Failure) and answer.kind != "unknown job":
                raise self.stopped(entry, f"it cannot be cancelled: {answer.sentence}")
        return self._cancelled(entry, self.spec.kind != "provider")

    def _cancel_at_maker(self, entry: Entry) -> Entry:
        """Whatever a maker answers, the job is not waited for any more; a result that is there is kept."""
        done = False
        if not self.lost(entry) and self.service.name == entry.device:
            job = self._try(lambda: self.service.job(entry.job), entry)
            if not isinstance(job, Failure):
                if self._try(job.status, entry) not in _ENDED:
                    done = self._try(job.cancel, entry) is True
                else:
                    with suppress(JobError):
                        self.collect(entry, job)
                    entry = self.ledger.entry(entry.id)
                    if entry.status not in UNDER_WAY:
                        return entry
        return self._cancelled(entry, done)

    def _cancelled(self, entry: Entry, done: bool) -> Entry:
        log.info("job %d (%s) is cancelled", entry.id, entry.job)
        return self.ledger.ended(entry, "cancelled", "it was cancelled by the user" if done else GIVEN_UP)

    def ask(self, read: Callable[[], T], entry: Entry) -> T:
        """The answer to a read, which is repeated with growing pauses while the service cannot be reached.

        Raises:
            JobError: There is no answer, or it is no.
        """
        answer = self._try(read, entry)
        if isinstance(answer, Failure):
            raise self.stopped(entry, answer.sentence)
        return answer

    def _try(self, read: Callable[[], T], entry: Entry) -> T | Failure:
        """As `ask`, with a "no" as a result."""
        failure = None
        for attempt in range(ATTEMPTS):
            if failure is not None:
                self._pause(attempt, failure)
            try:
                return read()
            except ResultError:
                raise
            except FOREIGN as error:
                failure = self._understand(error)
            if not failure.passing or self.service is None:
                return failure
        assert failure is not None
        raise self.stopped(entry, failure.sentence)

    def stopped(self, entry: Entry, what: str, stuck: bool = False) -> JobError:
        """The error for a job that still runs, which the record keeps too; `stuck` where it may be so for ever."""
        return self.error(self.ledger.note(entry, what), what, stuck=stuck)

    def error(self, entry: Entry, what: str, retry: bool = False, stuck: bool = False) -> JobError:
        """The error that says what happened to a job, that nothing is lost, and how to continue, or to give it up."""
        name = f"job {entry.id}" + (f" ({entry.job})" if entry.job else "")
        if self.ledger.path is None:
            kept = "It was not recorded on disk" + (f"; fetch it from the service by its id {entry.job}." if entry.job else ".")
        else:
            run = self.ledger.path.parent
            command = f"qlstm resume {run}{' --retry' if retry else ''}"
            kept = f"Nothing is lost: {self.ledger.path} has all that was submitted. Continue with: {command}"
            if stuck:
                kept += f"; or, where that says the same again, give it up: qlstm jobs cancel {run} {entry.id}"
        return JobError(f"{name} on {entry.device}: {what}. {kept}")

    def _wait(self, entry: Entry, job: Any) -> str:
        """The status with which a job has ended."""
        began, pause = self._clock(), POLL if self.searches else FIRST_POLL
        while (status := self._status(entry, job)) not in _ENDED:
            limit = self.spec.timeout_s
            if limit is not None and self._clock() - began >= limit:
                what = f"no result after timeout_s={limit:g} seconds; it lives on at the service, {status.lower()}"
                raise self.stopped(entry, what)
            log.debug("job %d (%s) is %s", entry.id, entry.job, status)
            self._sleep(pause)
            pause = min(pause * POLL_GROWTH, POLL_MAX)
        return status

    def _status(self, entry: Entry, job: Any) -> str:
        status = self._try(job.status, entry)
        if isinstance(status, Failure):
            raise self._ended(entry, status)
        return _name(status)

    def _ended(self, entry: Entry, failure: Failure, status: str = "DONE") -> JobError:
        """The error for a job without a result; recorded as ended only if it has certainly ended."""
        # what a maker raises says less than its status
        if status != "DONE" and not (failure.passing or failure.kind in _NO_RESULT or self.searches):
            failure = Failure("cancelled" if status == "CANCELLED" else "failed", failure.detail)
        if failure.kind not in _NO_RESULT and self.service is not None:
            return self.stopped(entry, failure.sentence, stuck=failure.kind in {"refused", "unknown job"})
        self.ledger.ended(entry, "cancelled" if failure.kind == "cancelled" else "failed", failure.sentence)
        log.info("job %d (%s) has no result: %s", entry.id, entry.job, failure.sentence)
        return self.error(entry, failure.sentence, retry=True)

    def _usage(self, job: Any) -> float | None:
        """QPU seconds, if the service has counted them; not worth a second try."""
        with suppress(AttributeError, TypeError, *FOREIGN):
            return float(job.usage())
        return None

    def _understand(self, error: BaseException) -> Failure:
        return understand(error, self.spec.token_env)

    def _pause(self, attempt: int, failure: Failure) -> None:
        seconds = FIRST_PAUSE * 2 ** (attempt - 1) * (1 + self._random.random() / 2)
        log.debug("%s; try %d of %d in %.1f s", failure.sentence, attempt + 1, ATTEMPTS, seconds)
        self._sleep(seconds)


def _name(status: Any) -> str:
    """Runtime jobs give a string, local ones an enum."""
    return str(getattr(status, "name", status))
