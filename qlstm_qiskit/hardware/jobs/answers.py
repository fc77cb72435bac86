"""Recorded answers of jobs, read as what was asked for."""

from __future__ import annotations

from qlstm_qiskit.hardware.executors.results import Readout, ResultError
from qlstm_qiskit.hardware.jobs.ledger import Entry, Ledger, Values


def readout_of(ledger: Ledger, entry: Entry) -> Readout:
    """How the result of a recorded job is read.

    Raises:
        LedgerError: The record does not say, or is damaged.
    """
    try:
        return Readout.from_json(ledger.readout(entry))
    except ValueError:
        raise ledger.damaged(f"job {entry.id} does not say how its result is read") from None


def result_of(ledger: Ledger, entry: Entry) -> list[Values]:
    """The recorded result of a job that is done, which fits what was asked.

    Raises:
        LedgerError: It does not, or the record is damaged.
    """
    values, readout = ledger.result(entry), readout_of(ledger, entry)
    try:
        readout.require(values)
    except ResultError as error:
        raise ledger.damaged(f"the result of job {entry.id} is not what was asked for: {error}") from None
    return values
