"""A lock, so that one process at a time submits jobs for a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

from qlstm_qiskit.errors import LedgerError


class Lock:
    """The right to submit for a run, shared by all ledgers of this process; it is given up with the last of them."""

    def __init__(self, path: Path) -> None:
        import fcntl

        try:
            self._file: IO[str] = _file(path).open("a+", errors="replace")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except BlockingIOError:
            raise LedgerError(
                f"another process ({owner_of(path) or 'unknown'}) submits jobs for {path.parent}; wait for it or stop it."
            ) from None
        except OSError as error:
            raise LedgerError(
                f"cannot lock {_file(path)}: {error.strerror or error}; nothing is submitted without the lock. Free some space "
                "if the disk is full, else make the folder one that can be written to."
            ) from None

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def owner_of(path: Path) -> str:
    """The process that has submitted last for the run whose record is `path`; empty where nobody knows."""
    try:
        text = _file(path).read_text(errors="replace").strip()
    except OSError:
        return ""
    return text if text.isdecimal() else ""


def _file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


_locks: WeakValueDictionary[Path, Lock] = WeakValueDictionary()


def lock_of(path: Path) -> Lock | None:
    """The right to submit for the run whose record is `path`; None on Windows, which has no such locks.

    Raises:
        LedgerError: Another process has it.
    """
    if sys.platform == "win32":
        return None
    path = path.resolve()
    return _locks.get(path) or _locks.setdefault(path, Lock(path))
