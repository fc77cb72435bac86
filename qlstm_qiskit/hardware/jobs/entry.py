"""One job as the record knows it, and checks of its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, get_args

Status = Literal["prepared", "submitted", "done", "failed", "cancelled"]

#: States of jobs that may still give a result.
UNDER_WAY: tuple[Status, ...] = ("prepared", "submitted")


@dataclass(frozen=True)
class Entry:
    """One job, as the ledger knows it.

    Attributes:
        id: Number of the entry in its ledger.
        run: Which work of the run folder, e.g. "train".
        step: Number of the job in that work, from 0.
        attempt: From 0; a failed or cancelled job that is tried again is another attempt.
        request: Hash of all that decides the result: circuits, values, shots, options.
        tag: Unique; the service knows the job by it even where its id never arrived.
        backend: Name of the entry of backends.yaml.
        device: Name of the device.
        status: "prepared": may have been submitted. "submitted": has a job id. "done": the result is here.
        job: Id at the service.
        created, updated: UTC, ISO 8601.
        pubs, circuits: In the job.
        shots: Of each circuit; 0 where exact.
        usage: QPU seconds, where the service tells.
        error: What went wrong last.
    """

    id: int
    run: str
    step: int
    attempt: int
    request: str
    tag: str
    backend: str
    device: str
    status: Status
    job: str | None
    created: str
    updated: str
    pubs: int
    circuits: int
    shots: int
    usage: float | None
    error: str | None


def age(entry: Entry) -> float:
    """Seconds since something was last recorded of a job."""
    return (datetime.now(timezone.utc) - moment_of(entry.updated)).total_seconds()


def wrong_column(entry: Entry) -> str | None:
    """The first column with a value that is never written there."""
    rules: dict[Callable[[Any], bool], tuple[str, ...]] = {
        _is_count: ("id", "step", "attempt", "pubs", "circuits", "shots"),
        lambda value: isinstance(value, str): ("run", "request", "tag", "backend", "device"),
        lambda value: isinstance(value, str | None): ("job", "error"),
        lambda value: value in get_args(Status): ("status",),
        lambda value: value is None or (isinstance(value, int | float) and 0 <= value < math.inf): ("usage",),
        _is_date: ("created", "updated"),
    }
    return next((name for rule, names in rules.items() for name in names if not rule(getattr(entry, name))), None)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_date(value: Any) -> bool:
    try:
        moment_of(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def moment_of(text: str) -> datetime:
    """A date of an entry; UTC where it says nothing else."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def now(before: timedelta = timedelta(0)) -> str:
    """The time, or what it was some time before, as entries have it."""
    return (datetime.now(timezone.utc) - before).isoformat(timespec="milliseconds")
