"""Recorded jobs that have not come to an end: fetched, given up, or prepared to be submitted again."""

from __future__ import annotations

from typing import Any

from qlstm_qiskit.errors import JobError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.jobs.fetch import Jobs
from qlstm_qiskit.hardware.jobs.ledger import UNDER_WAY, UNSENT, Entry, Ledger

#: What is known of a job that nobody can be asked about.
LOST = "its process has ended and the provider gives no way to fetch its result; it may have run"
#: The same where the device would give it, had its id been noted.
NO_ID = "its process has ended, or its submission failed, before its id was noted; it may have run, see the provider's list"


def fetch_pending(
    ledger: Ledger, service: Any, spec: BackendSpec, *, give_up: bool = False, **clocks: Any
) -> tuple[list[Entry], list[JobError]]:
    """Fetch the results of all jobs that were submitted to a backend, without submitting any.

    Args:
        ledger: Of the run.
        service, spec: As of `Jobs`.
        give_up: Record jobs that nobody can be asked about as failed, so that they can be tried again.
        clocks: For tests.

    Returns:
        The entries that are done now, and an error for each job that has no result, or not yet. A prepared job that the
        service does not know was never accepted; it stays prepared and is submitted when the run is resumed.
    """
    jobs = Jobs(ledger, service, spec, **clocks)
    fetched, errors = [], []
    for entry in ledger.entries(statuses=UNDER_WAY):
        if entry.backend != spec.name:
            continue
        try:
            if jobs.lost(entry):
                _lost(jobs, entry, give_up)
                continue
            entry = jobs.reconcile(entry)
            if entry.status == "submitted":
                jobs.collect(entry)
                fetched.append(ledger.entry(entry.id))
        except JobError as error:
            errors.append(error)
    return fetched, errors


def error_of_lost(jobs: Jobs, entry: Entry) -> JobError:
    """The error for a job of a provider that may have run, and that nobody can be asked about."""
    return jobs.error(entry, LOST if jobs.service is None else NO_ID, retry=True)


def retry_ended(ledger: Ledger) -> list[Entry]:
    """Prepare a new attempt at each failed or cancelled job; the run submits them when it is resumed."""
    ended = [
        entry for entry in ledger.entries(statuses=["failed", "cancelled"]) if ledger.latest(entry.run, entry.step) == entry
    ]
    return [ledger.again(entry) for entry in ended]


def _lost(jobs: Jobs, entry: Entry, give_up: bool) -> None:
    if give_up:
        jobs.ledger.ended(entry, "failed", "its process ended before its result was there")
    elif jobs.spec.kind == "provider" and entry.error != UNSENT:
        raise error_of_lost(jobs, entry)
