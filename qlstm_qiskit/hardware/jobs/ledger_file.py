"""The file of a record of jobs: made as a whole, opened only if it is whole, with advice where it cannot be used."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.jobs.lock import owner_of
from qlstm_qiskit.storage import _WRITING, exists

#: What to do about a record that is damaged.
DAMAGED = "restore a copy of the file: without its record jobs would be submitted, and paid for, again"

#: What Python's module raises for text and numbers that it cannot turn into its own.
BROKEN = (UnicodeError, OverflowError, MemoryError)

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
COLUMNS = (
    "id, run, step, attempt, request, tag, backend, device, status, job, created, updated, pubs, circuits, shots, usage, error"
)
#: Columns that are read.
_TABLES = {
    "jobs": {*COLUMNS.split(", "), "readout", "result"},
    "pins": {"run", "device", "made", "content"},
    "specs": {"run", "backend", "spec"},
}


def open_record(path: Path | None, create: bool) -> sqlite3.Connection:
    """Open a record of jobs; None is one in memory.

    Raises:
        LedgerError: The file is missing and `create` is False, it is in use, cannot be read, is damaged, or is not a record.
    """
    if path is not None:
        _require_file(path, create)
    try:
        database = sqlite3.connect(path or ":memory:", timeout=30.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        # One file and a rollback journal: a process killed in a commit is undone when the file is next opened.
        database.execute("PRAGMA synchronous = EXTRA")
        if path is None:
            _write_tables(database)
        _require_ours(path, database)
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, error) from error
    except BROKEN:
        database.close()
        raise damaged(path, "SQLite finds text in it that is none") from None
    except LedgerError:
        database.close()
        raise
    return database


def _require_ours(path: Path | None, database: sqlite3.Connection) -> None:
    """Refuse a file that is not a whole record of a format that is known here."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise LedgerError(f"{path} was written by a later version of this package (format {version}); update the package.")
    if version < 1:
        raise damaged(path, "it is an SQLite file of something else")
    for table, columns in _TABLES.items():
        missing = columns - {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        if missing:
            raise damaged(path, f"its table {table} lacks {', '.join(sorted(missing))}")
    (problem,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        raise damaged(path, "SQLite finds parts of it that do not fit together")


def _require_file(path: Path, create: bool) -> None:
    """Refuse what cannot be a record, and make one where there is nothing."""
    if not exists(path):
        if not create:
            raise LedgerError(f"{path.parent} has no record of jobs ({path.name}); nothing was submitted from this run folder.")
        _make(path)
    elif path.is_file() and path.stat().st_size == 0:
        raise LedgerError(
            f"the record of jobs {path} is empty; {DAMAGED}. If nothing was ever submitted from this folder, delete the file."
        )


def _make(path: Path) -> None:
    """Make a record without jobs: a crash leaves all of it or nothing, and one that another process has made stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_WRITING}")
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = OFF")
            _write_tables(database)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                temporary.replace(path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise LedgerError(
            f"cannot make the record of jobs {path}: {error.strerror or error}; choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_tables(database: sqlite3.Connection) -> None:
    for statement in ("BEGIN", _SCHEMA, _PINS, _SPECS, f"PRAGMA user_version = {VERSION}", "COMMIT"):
        database.execute(statement)


def damaged(path: Path | None, what: str) -> LedgerError:
    """The error for a record that is not as it was written."""
    return LedgerError(f"the record of jobs {path} is damaged: {what}; {DAMAGED}.")


def _unusable(path: Path | None, error: sqlite3.Error) -> LedgerError:
    return LedgerError(f"cannot open the record of jobs {path}: {error}; {advice_on(path, error)}.")


def advice_on(path: Path | None, error: sqlite3.Error) -> str:
    """What to do about what SQLite says; never to do without the record, since jobs would be submitted again."""
    text = str(error)
    if "locked" in text:
        owner = owner_of(path) if path is not None else ""
        known = f" (process {owner} was the last to submit from here)" if owner else ""
        return f"another process is using it{known}; wait until it has ended, or stop it, and try again"
    if "full" in text:
        return "free some space on the disk, and try again"
    if "readonly" in text or "unable to open" in text or "permission" in text:
        return "make sure that you may read and write the file and its folder, and try again"
    if "I/O" in text:
        return "the disk can be full or failing; look after it, and try again"
    return DAMAGED
