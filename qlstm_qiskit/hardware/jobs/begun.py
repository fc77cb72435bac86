"""Where a work on a device is recorded, and the device that it was begun on."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from platformdirs import PlatformDirs
from platformdirs.unix import Unix

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.jobs.ledger import UNDER_WAY, Ledger, now

#: For which evaluations and predictions are answered from the record; devices are calibrated every day.
MAX_AGE = timedelta(days=1)


def begun_on(ledger: Ledger, run: str, ordered: bool) -> str | None:
    """The device that recorded work needs where the backend leaves it open, if jobs may be met again."""
    entries = [e for e in ledger.entries(run) if ordered or e.status in UNDER_WAY or e.created >= now(MAX_AGE)]
    return entries[-1].device if entries else None


def require_same_device(ledger: Ledger, run: str, backend: str, device: str) -> None:
    """Refuse to go on with a training on another device than it was begun on.

    Raises:
        LedgerError: It was begun on another one.
    """
    begun = begun_on(ledger, run, ordered=True)
    if begun is not None and begun != device:
        ledger.close()
        raise LedgerError(
            f"{ledger.path}: {run!r} was begun on {begun}, and backend {backend} is {device} now. Set device: {begun}, or "
            "start in a new run folder."
        )


def state_folder() -> Path:
    """A folder for the jobs of this process, which no other has."""
    system = PlatformDirs if sys.platform == "win32" else Unix  # macOS keeps the folder that it has always had
    base = Path(os.environ.get("QLSTM_STATE") or system("qlstm_qiskit", appauthor=False).user_state_path)
    return base / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(2).hex()}"


def made(folder: Path) -> Path:
    """A folder for a record, made where it is missing.

    Raises:
        LedgerError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"cannot make the folder {folder} for the record of jobs: {error.strerror or error}; give another one as `record`, "
            "or set QLSTM_STATE."
        ) from None
    return folder
