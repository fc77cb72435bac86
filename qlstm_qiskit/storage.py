"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import RunError, printable

#: Seconds that a folder may still be claimed by a process that is about to end.
PATIENCE = 5.0

#: The ending of files that are being written.
_WRITING = ".qlstm-writing"

#: What a spreadsheet takes for the beginning of a formula, the wide forms of the signs among it.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def strict_json(content: Any, indent: int | None = None) -> str:
    """Plain data as JSON that any reader takes: numbers that are not finite, which JSON does not know, are null."""
    try:
        return json.dumps(content, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(finite(content), indent=indent, allow_nan=False)


def finite(content: Any) -> Any:
    """Plain data with None for numbers that are not finite."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def exists(path: Path) -> bool:
    """Whether there is a file or folder.

    Raises:
        RunError: A folder on the way may not be entered.
    """
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot look at {path}: {reason}; choose a folder that can be read.") from None


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and those that it lies in; return those that were not there before, the deepest first.

    Raises:
        RunError: It cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not exists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}; choose another one.") from None
    return missing


def take_back(folder: Path, names: Iterable[str], made: Iterable[Path]) -> None:
    """Remove files of these names, and folders that were made for them unless somebody else put something there."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for path in made:
        with contextlib.suppress(OSError):
            path.rmdir()


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Become the only process that writes into a folder, and remove what the writes of killed ones have left.

    A process that dies gives it up. On Windows, and on file systems that know no locks, nothing is claimed.

    Raises:
        RunError: Another process has claimed it, for `PATIENCE` seconds or longer; or it cannot be read.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot read {folder}: {reason}; choose another folder.") from None
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RunError(f"another process writes into {folder}; wait for it or stop it.") from None
                time.sleep(0.1)
            except OSError:
                yield
                return
        for path in folder.glob(f".*{_WRITING}"):
            path.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def csv_name(name: str) -> str:
    """A name as a cell of a CSV file: one that a spreadsheet would take for a formula gets an apostrophe before it.

    What reads as a number, such as -1.5, stays as it is; ends of lines and other control characters become escapes.
    """
    name = printable(name)
    if not name.startswith(_FORMULA):
        return name
    try:
        float(name)
    except ValueError:
        return f"'{name}"
    return name


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new, never a part.

    Raises:
        RunError: The folder cannot be written to, there is no file of such a name, or the text is none that UTF-8 can hold.
    """
    try:
        data = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        raise RunError(f"cannot write {path}: {error}; a name in it is not text.") from None
    if not path.name or "\0" in str(path):
        raise RunError(f"cannot write {str(path)!r}: it is not the name of a file; choose another one.")
    temporary = path.with_name(f".{secrets.token_hex(8)}{_WRITING}")  # not longer than the name itself may be
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
