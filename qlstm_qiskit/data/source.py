"""Paths of data: files, pipes that somebody writes to, and what no series can be read from."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from pathlib import Path

from qlstm_qiskit.errors import DataError

#: Seconds that somebody has to begin to write into a named pipe.
PIPE_PATIENCE = 5.0


def openable(path: Path) -> Path | io.BytesIO:
    """The path of a file, or the content of a named pipe; a path that is not there is given back for others to say so.

    Raises:
        DataError: A folder, a device or a socket; a name that no file can have; or a pipe that nobody writes to.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(path)!r} cannot be read: {reason}; check the path.") from None
    if stat.S_ISREG(mode):
        return path
    if stat.S_ISFIFO(mode):
        return io.BytesIO(_from_pipe(path))
    raise DataError(f"{path} is a {'folder' if stat.S_ISDIR(mode) else 'device or socket'}; give a CSV file.")


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's content.

    Raises:
        DataError: It is no file, or cannot be read.
    """
    try:
        if not Path(path).is_file():
            raise DataError(f"{path} is no file; a run keeps the path of its series, to read it again.")
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _from_pipe(path: Path) -> bytes:
    """All that is written to a pipe; opening it in the usual way would wait forever where nobody writes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        end = time.monotonic() + PIPE_PATIENCE
        first = b""
        while not first:
            try:
                first = os.read(descriptor, 1 << 16)
            except BlockingIOError:  # somebody has opened it, and has written nothing yet
                break
            if not first:
                if time.monotonic() > end:
                    raise DataError(f"{path} is a pipe that nobody writes to; give a CSV file.")
                time.sleep(0.02)
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            return first + file.read()
    finally:
        os.close(descriptor)
