"""A record on disk of every job of a run: written before waiting, read again on resuming."""

from __future__ import annotations

import io
import secrets
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.jobs.entry import UNDER_WAY, Entry, Status, age, now, wrong_column
from qlstm_qiskit.hardware.jobs.ledger_file import BROKEN, COLUMNS, FILE, advice_on, damaged, open_record
from qlstm_qiskit.hardware.jobs.lock import Lock, lock_of

__all__ = ["FILE", "UNDER_WAY", "UNSENT", "Entry", "Ledger", "Status", "Values", "age", "now"]

Values = NDArray[np.float64]

#: The error of a new attempt that has certainly not been submitted.
UNSENT = "not submitted yet"


class Ledger:
    """Jobs of a run in an SQLite file; each call is one transaction that a crash leaves whole or undone.

    Args:
        path: The file, ``RUN/jobs.sqlite``; None keeps everything in memory.
        create: Make the file where there is none.

    Raises:
        LedgerError: The file is missing and `create` is False, it is in use, cannot be read, is damaged, or is not a ledger.
    """

    def __init__(self, path: Path | None, create: bool = True) -> None:
        self.path = path
        self._lock: Lock | None = None
        self._db = open_record(path, create)

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
        """Become the only process that submits for this run, until all ledgers of it there are closed, or it ends.

        Raises:
            LedgerError: Another process is at it, or the record has lost jobs, which would be submitted again.
        """
        if self.path is not None and self._lock is None:
            self._lock = lock_of(self.path)
            self._require_whole()

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
        if not all(isinstance(value, str) for value in row):
            raise self.damaged(f"the calibration of {device} is not text")
        return row[0], row[1]

    def remember(self, run: str, backend: str, spec: str) -> None:
        """Keep what a backend was, as JSON, so that its jobs can be asked for without backends.yaml."""
        self._execute("INSERT OR REPLACE INTO specs (run, backend, spec) VALUES (?, ?, ?)", (run, backend, spec))

    def remembered(self, entry: Entry) -> str | None:
        """What the backend of a job was, as JSON."""
        rows = self._execute("SELECT spec FROM specs WHERE run = ? AND backend = ?", (entry.run, entry.backend))
        if rows and not isinstance(rows[0][0], str):
            raise self.damaged(f"backend {entry.backend} is not text")
        return rows[0][0] if rows else None

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
        """Record what went wrong with a job that still runs."""
        return self._update(entry, error=error)

    def forget(self, entry: Entry) -> None:
        """Delete an entry."""
        self._execute("DELETE FROM jobs WHERE id = ?", (entry.id,))

    def entry(self, id: int) -> Entry:
        """The entry with this number.

        Raises:
            LedgerError: There is none.
        """
        rows = self._execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,)) if abs(id) < 1 << 63 else []
        if not rows:
            count = self._execute("SELECT COUNT(*) FROM jobs", ())[0][0]
            raise LedgerError(f"there is no job {id} in {self.path}; it has {count} jobs, see `qlstm jobs list`.")
        return self._entry(rows[0])

    def latest(self, run: str, step: int) -> Entry | None:
        """The last attempt at a step of a run."""
        rows = self._execute(
            f"SELECT {COLUMNS} FROM jobs WHERE run = ? AND step = ? ORDER BY attempt DESC LIMIT 1", (run, step)
        )
        return self._entry(rows[0]) if rows else None

    def latest_of(self, run: str, request: str, since: str = "") -> list[Entry]:
        """The last attempts at all steps of a run that asked for the same, since a moment (UTC), in the order of the steps."""
        last = {entry.step: entry for entry in self.entries(run) if entry.request == request and entry.created >= since}
        return [last[step] for step in sorted(last)]

    def next_step(self, run: str) -> int:
        """The first step of a run that is not recorded."""
        return int(self._execute("SELECT COALESCE(MAX(step) + 1, 0) FROM jobs WHERE run = ?", (run,))[0][0])

    def entries(self, run: str | None = None, statuses: Sequence[Status] = ()) -> list[Entry]:
        """Entries in the order in which they were made."""
        found = [self._entry(row) for row in self._execute(f"SELECT {COLUMNS} FROM jobs ORDER BY id", ())]
        return [e for e in found if (run is None or e.run == run) and (not statuses or e.status in statuses)]

    def result(self, entry: Entry) -> list[Values]:
        """The arrays of a job that is done, one for each of its PUBs; see `answers.result_of` for their shapes.

        Raises:
            LedgerError: There is no result, or it is damaged.
        """
        blob = self._value("result", entry)
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
                values = [arrays[str(index)] for index in range(len(arrays.files))]
        except Exception:  # noqa: BLE001 - an archive can be wrong in any way
            values = []
        if len(values) != entry.pubs or any(array.dtype != np.float64 or not np.isfinite(array).all() for array in values):
            raise self.damaged(f"the result of job {entry.id} is damaged")
        return values

    def readout(self, entry: Entry) -> str:
        """How the service's result becomes the arrays, see `results.Readout`."""
        text = self._value("readout", entry)
        if not isinstance(text, str):
            raise self.damaged(f"job {entry.id} does not say how its result is read")
        return text

    def damaged(self, what: str) -> LedgerError:
        """The error for a record that contradicts itself."""
        return damaged(self.path, what)

    def _value(self, column: str, entry: Entry) -> Any:
        rows = self._execute(f"SELECT {column} FROM jobs WHERE id = ?", (entry.id,))
        if not rows:
            raise self.damaged(f"job {entry.id} is gone")
        return rows[0][0]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        entry = Entry(*row)
        wrong = wrong_column(entry)
        if wrong is not None:
            name = f"job {entry.id}" if isinstance(entry.id, int) else "a job"
            raise self.damaged(f"no job has such a value of {wrong} as {name}")
        return entry

    def _require_whole(self) -> None:
        """Refuse a record in which a job is missing before others; its step would be taken for one that was never asked."""
        attempts: dict[tuple[str, int], list[int]] = {}
        for entry in self.entries():
            attempts.setdefault((entry.run, entry.step), []).append(entry.attempt)
        steps = Counter(run for run, _ in attempts)
        for (run, step), found in attempts.items():
            if step >= steps[run] or sorted(found) != list(range(len(found))):
                raise self.damaged(f"jobs of {run!r} are missing")

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
            raise LedgerError(
                f"the record of jobs {self.path} cannot be used: {error}; {advice_on(self.path, error)}."
            ) from error
        except BROKEN:
            raise self.damaged("it holds text or a number that is none") from None


def _packed(values: Sequence[Values]) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {str(index): array for index, array in enumerate(values)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _new_tag() -> str:
    return f"qlstm-{secrets.token_hex(12)}"
