"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from qlstm_qiskit.errors import RunError


def exists(path: Path) -> bool:
    """Whether there is a file or folder.

    Raises:
        RunError: A folder on the way may not be entered.
    """
    try:
        return path.exists()
    except OSError as error:
        raise RunError(f"cannot look at {path}: {error.strerror or error}; choose a folder that can be read.") from None


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new, never a part.

    Raises:
        RunError: The folder cannot be written to.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose a folder that can be written to.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
