"""Compilation of native loops: by Numba, which needs no compiler on the machine, and kept on disk between processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba

#: Without what makes a loop callable from Python.
_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use. Sums may be reordered and multiply-adds fused, but NaN and infinity keep their meaning.

    Args:
        function: On arrays and numbers, without Python objects. It fills arrays that it is given and returns none: to return an
            array Numba calls Python, where a Ctrl-C would come back as a SystemError.
    """
    return _compiled(function, {"contract", "reassoc", "nsz"})


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jit`, for what only other loops call: Python cannot, and a third less is compiled."""
    return _compiled(function, {"contract", "reassoc", "nsz"}, **_INNER)


def inner_in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `inner`, with sums in the order in which they are written, also within a loop that may reorder its own."""
    return _compiled(function, {"contract", "nsz"}, **_INNER)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `inner`, compiled only as a part of its callers: where it is large, and otherwise would be compiled twice."""
    return _compiled(function, {"contract", "reassoc", "nsz"}, inline="always", **_INNER)


def jit_in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jit`, with sums in the order in which they are written."""
    return _compiled(function, {"contract", "nsz"})


def jit_unfused(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jit_in_order`, with each product rounded before it is added.

    Args:
        function: As in `jit`.
    """
    return _compiled(function, {"nsz"})


def _compiled(function: Callable[..., Any], fastmath: set[str], **how: Any) -> Callable[..., Any]:
    options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True, **how}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: compile in each process
        return cast(Callable[..., Any], numba.njit(**options)(function))
    # Numba keeps a function by the date of its own file; what it calls from other files is compiled into it.
    if (kept := _kept(compiled)) is not None:
        stamps = _stamps(compiled).union(*map(_stamps, function.__globals__.values()))
        if len(stamps) > 1:
            kept._source_stamp = stamps
    return compiled


def _stamps(called: Any) -> frozenset[Any]:
    """Of the sources of a compiled function, or of one that writes code for such (an intrinsic), and of the classes of this
    package that it writes with; none of anything else.
    """
    if (kept := _kept(called)) is not None:
        return kept._source_stamp if isinstance(kept._source_stamp, frozenset) else frozenset({kept._source_stamp})
    if (written := getattr(getattr(called, "_defn", None), "__code__", None)) is None:
        return frozenset()
    classes = (used for used in called._defn.__globals__.values() if isinstance(used, type))
    files = {getattr(sys.modules.get(used.__module__), "__file__", None) for used in classes}
    own = {written.co_filename, *(file for file in files if file and Path(file).parent == Path(__file__).parent)}
    return frozenset((source.st_mtime, source.st_size) for source in (Path(file).stat() for file in own))


def _kept(compiled: Any) -> Any:
    """The index of what is kept of a compiled function, with the stamp of its source; None where Numba has no such thing."""
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    return file if hasattr(file, "_source_stamp") else None
