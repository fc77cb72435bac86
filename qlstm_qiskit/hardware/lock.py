"""One process at a time submits jobs for a run."""

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

        self._file: IO[str] = path.with_name(path.name + ".lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip()
            raise LedgerError(
                f"another process ({owner or 'unknown'}) submits jobs for {path.parent}; wait for it or stop it."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


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
