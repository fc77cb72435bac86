"""A record on disk of every job of a run: written before waiting, read again by whoever resumes."""

from __future__ import annotations

import io
import secrets
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.lock import Lock, lock_of

Values = NDArray[np.float64]
Status = Literal["prepared", "submitted", "done", "failed", "cancelled"]

#: States of jobs that may still give a result.
UNDER_WAY: tuple[Status, ...] = ("prepared", "submitted")

#: The error of a new attempt that has certainly not been submitted.
UNSENT = "not submitted yet"

FILE = "jobs.sqlite"
VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, request TEXT NOT NULL,
    tag TEXT NOT NULL UNIQUE, backend TEXT NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, job TEXT,
    created TEXT NOT NULL, updated TEXT NOT NULL, pubs INTEGER NOT NULL, circuits INTEGER NOT NULL, shots INTEGER NOT NULL,
    usage REAL, error TEXT, readout TEXT NOT NULL, result BLOB, UNIQUE (run, step, attempt)
)
"""
_PINS = """
CREATE TABLE pins (
    run TEXT NOT NULL, device TEXT NOT NULL, made TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (run, device)
)
"""
_SPECS = "CREATE TABLE specs (run TEXT NOT NULL, backend TEXT NOT NULL, spec TEXT NOT NULL, PRIMARY KEY (run, backend))"
_COLUMNS = (
    "id, run, step, attempt, request, tag, backend, device, status, job, created, updated, pubs, circuits, shots, usage, error"
)


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


class Ledger:
    """Jobs of a run in an SQLite file; each call is one transaction that a crash leaves whole or undone.

    Args:
        path: The file, ``RUN/jobs.sqlite``; None keeps everything in memory.
        create: Make the file where there is none.

    Raises:
        LedgerError: The file is missing and `create` is False, it cannot be written, or is not a ledger.
    """

    def __init__(self, path: Path | None, create: bool = True) -> None:
        self.path = path
        self._lock: Lock | None = None
        if path is not None and not create and not path.is_file():
            raise LedgerError(f"{path.parent} has no record of jobs ({path.name}); nothing was submitted from this run folder.")
        try:
            self._db = sqlite3.connect(path or ":memory:", timeout=30.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            # One file and a rollback journal: a process killed in a commit is undone when the file is next opened.
            self._db.execute("PRAGMA synchronous = EXTRA")
            version = self._version() or self._make()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        if version > VERSION:
            self._db.close()
            raise LedgerError(f"{path} was written by a later version of this package (format {version}); update the package.")

    def __getstate__(self) -> None:
        raise TypeError("a ledger is an open file; pass its path on instead")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()
        self._lock = None

    def claim(self) -> None:
        """Be in the only process that submits for this run, until all ledgers of it there are closed, or it ends.

        Raises:
            LedgerError: Another process is at it.
        """
        if self.path is not None and self._lock is None:
            self._lock = lock_of(self.path)

    def pinned(self, run: str, device: str, content: str, max_age: timedelta | None = None) -> tuple[str, str]:
        """What was first given here for a run on a device: whatever its jobs depend on and may have changed since.

        Args:
            run, device: Of the jobs.
            content: It is kept where there is nothing yet.
            max_age: It also replaces what is older, unless jobs are under way.

        Returns:
            The content that holds, and since when: UTC, ISO 8601.
        """
        if max_age is not None and not any(entry.device == device for entry in self.entries(run, UNDER_WAY)):
            oldest = now(max_age)
            self._execute("DELETE FROM pins WHERE run = ? AND device = ? AND made < ?", (run, device, oldest))
        self._execute(
            "INSERT OR IGNORE INTO pins (run, device, made, content) VALUES (?, ?, ?, ?)", (run, device, now(), content)
        )
        row = self._execute("SELECT content, made FROM pins WHERE run = ? AND device = ?", (run, device))[0]
        return str(row[0]), str(row[1])

    def remember(self, run: str, backend: str, spec: str) -> None:
        """Keep what a backend was, as JSON, so that its jobs can be asked for without backends.yaml."""
        self._execute("INSERT OR REPLACE INTO specs (run, backend, spec) VALUES (?, ?, ?)", (run, backend, spec))

    def remembered(self, entry: Entry) -> str | None:
        """What the backend of a job was, as JSON."""
        rows = self._execute("SELECT spec FROM specs WHERE run = ? AND backend = ?", (entry.run, entry.backend))
        return str(rows[0][0]) if rows else None

    def prepare(
        self,
        run: str,
        step: int,
        request: str,
        backend: str,
        device: str,
        readout: str,
        pubs: int,
        circuits: int,
        shots: int,
    ) -> Entry:
        """Record a job that is about to be submitted, as a new attempt where there are earlier ones."""
        made = now()
        columns = (run, step, request, _new_tag(), backend, device, made, made, pubs, circuits, shots, readout)
        self._execute(
            "INSERT INTO jobs (run, step, request, tag, backend, device, created, updated, pubs, circuits, shots, readout, "
            f"status, attempt) VALUES ({', '.join('?' * len(columns))}, 'prepared', "
            "(SELECT COALESCE(MAX(attempt) + 1, 0) FROM jobs WHERE run = ? AND step = ?))",
            (*columns, run, step),
        )
        entry = self.latest(run, step)
        assert entry is not None
        return entry

    def again(self, entry: Entry) -> Entry:
        """Record another attempt at a failed or cancelled job, with a tag of its own."""
        what = (entry.run, entry.step, entry.request, entry.backend, entry.device, self.readout(entry))
        return self.note(self.prepare(*what, entry.pubs, entry.circuits, entry.shots), UNSENT)

    def submitted(self, entry: Entry, job: str | None) -> Entry:
        """Record the id under which the service knows the job; None where there is no service."""
        return self._update(entry, status="submitted", job=job, error=None)

    def done(self, entry: Entry, values: Sequence[Values], usage: float | None = None) -> Entry:
        """Record the result, an array for each PUB, and QPU seconds."""
        return self._update(entry, status="done", result=_packed(values), usage=usage, error=None)

    def ended(self, entry: Entry, status: Literal["failed", "cancelled"], error: str) -> Entry:
        """Record that there will be no result."""
        return self._update(entry, status=status, error=error)

    def note(self, entry: Entry, error: str | None) -> Entry:
        """Record what went wrong with a job that lives on."""
        return self._update(entry, error=error)

    def forget(self, entry: Entry) -> None:
        """Delete an entry."""
        self._execute("DELETE FROM jobs WHERE id = ?", (entry.id,))

    def entry(self, id: int) -> Entry:
        """The entry with this number.

        Raises:
            LedgerError: There is none.
        """
        rows = self._execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,))
        if not rows:
            count = self._execute("SELECT COUNT(*) FROM jobs", ())[0][0]
            raise LedgerError(f"there is no job {id} in {self.path}; it has {count} jobs, see `qlstm jobs list`.")
        return Entry(*rows[0])

    def latest(self, run: str, step: int) -> Entry | None:
        """The last attempt at a step of a run."""
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE run = ? AND step = ? ORDER BY attempt DESC LIMIT 1", (run, step)
        )
        return Entry(*rows[0]) if rows else None

    def latest_of(self, run: str, request: str, since: str = "") -> list[Entry]:
        """The last attempts at all steps of a run that asked for the same, since a moment (UTC), in the order of the steps."""
        last = {entry.step: entry for entry in self.entries(run) if entry.request == request and entry.created >= since}
        return [last[step] for step in sorted(last)]

    def next_step(self, run: str) -> int:
        """The first step of a run that is not recorded."""
        return int(self._execute("SELECT COALESCE(MAX(step) + 1, 0) FROM jobs WHERE run = ?", (run,))[0][0])

    def entries(self, run: str | None = None, statuses: Sequence[Status] = ()) -> list[Entry]:
        """Entries in the order in which they were made."""
        found = [Entry(*row) for row in self._execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY id", ())]
        return [e for e in found if (run is None or e.run == run) and (not statuses or e.status in statuses)]

    def result(self, entry: Entry) -> list[Values]:
        """The arrays of a job that is done.

        Raises:
            LedgerError: There is no result, or it is damaged.
        """
        blob = self._execute("SELECT result FROM jobs WHERE id = ?", (entry.id,))[0][0]
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
                return [arrays[str(index)] for index in range(len(arrays.files))]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise LedgerError(
                f"the result of job {entry.id} in {self.path} is damaged; restore the file from a copy."
            ) from error

    def readout(self, entry: Entry) -> str:
        """How the service's result becomes the arrays, see `primitives.Readout`."""
        return str(self._execute("SELECT readout FROM jobs WHERE id = ?", (entry.id,))[0][0])

    def _unusable(self, error: sqlite3.Error) -> LedgerError:
        return LedgerError(f"cannot open the record of jobs {self.path}: {error}; restore a copy or move it away.")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _make(self) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        if self._version() == 0:  # no other process was faster
            self._db.execute(_SCHEMA)
            self._db.execute(_PINS)
            self._db.execute(_SPECS)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.execute("COMMIT")
        return self._version()

    def _update(self, entry: Entry, **columns: object) -> Entry:
        columns["updated"] = now()
        names = ", ".join(f"{name} = ?" for name in columns)
        self._execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), entry.id))
        return self.entry(entry.id)

    def _execute(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with closing(self._db.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"the record of jobs {self.path} cannot be used: {error}.") from error


def age(entry: Entry) -> float:
    """Seconds since something was last recorded of a job."""
    return (datetime.now(timezone.utc) - datetime.fromisoformat(entry.updated)).total_seconds()


def _packed(values: Sequence[Values]) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {str(index): array for index, array in enumerate(values)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _new_tag() -> str:
    return f"qlstm-{secrets.token_hex(12)}"


def now(before: timedelta = timedelta(0)) -> str:
    """The time, or what it was some time before, as entries have it."""
    return (datetime.now(timezone.utc) - before).isoformat(timespec="milliseconds")
