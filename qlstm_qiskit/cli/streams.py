"""Standard streams that are closed, full, or of an encoding that lacks a character."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

#: What a shell reports of a program that ends because nobody reads its output any longer (128 + SIGPIPE).
PIPE_CLOSED = 141


def prepare() -> None:
    """Let both streams take any text: what an encoding lacks becomes "?", and a closed stream is replaced.

    Python has None for a stream that was closed before it started. Standard output is then one that fails where something is
    written, as it does for other programs; what goes to standard error is lost.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors in ("strict", "surrogateescape"):
        reconfigure(errors="replace")


def finish() -> str | None:
    """Write what still waits for standard output; what went wrong, in words, or None.

    Raises:
        BrokenPipeError: Nobody reads it any longer.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return said(error)
    return None


def said(error: OSError) -> str:
    """An error of the operating system in words."""
    reason = error.strerror or str(error)
    return f"cannot use {error.filename}: {reason}." if error.filename else f"cannot write the output: {reason}."


def is_pipe_closed(error: BaseException) -> bool:
    """Whether the reader of the output has gone away; typer and rich end the program then."""
    if isinstance(error, SystemExit):
        return error.code == 1 and "_QLSTM_COMPLETE" not in os.environ
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def abandon() -> None:
    """Drop what could not be written: the interpreter would try again at its end, and complain."""
    for stream in (sys.__stdout__, sys.stdout):
        if stream is None:
            continue
        with contextlib.suppress(OSError, ValueError):  # it is none of the operating system's
            descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(descriptor, stream.fileno())
            os.close(descriptor)
