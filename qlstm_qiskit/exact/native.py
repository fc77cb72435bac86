"""Compilation of native loops: by Numba, which needs no compiler on the machine, and kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use. Sums may be reordered and multiply-adds fused, but NaN and infinity keep their meaning.

    Args:
        function: On arrays and numbers, without Python objects. It fills arrays that it is given and returns none: to return an
            array Numba calls Python, where a Ctrl-C would come back as a SystemError.
    """
    return _compiled(function, {"contract", "reassoc", "nsz"})


def jit_in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jit`, with sums in the order in which they are written."""
    return _compiled(function, {"contract", "nsz"})


def jit_unfused(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jit_in_order`, with each product rounded before it is added."""
    return _compiled(function, {"nsz"})


def _compiled(function: Callable[..., Any], fastmath: set[str]) -> Callable[..., Any]:
    options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: compile in each process
        return cast(Callable[..., Any], numba.njit(**options)(function))
    # Numba keeps a function by the date of its own file; what it calls from other files is compiled into it.
    if (kept := _kept(compiled)) is not None:
        called = [_kept(value) for value in function.__globals__.values()]
        stamps = frozenset({kept._source_stamp}).union(*(_stamps(other) for other in called if other is not None))
        if len(stamps) > 1:
            kept._source_stamp = stamps
    return compiled


def _stamps(kept: Any) -> frozenset[Any]:
    """Of the sources of a compiled function."""
    return kept._source_stamp if isinstance(kept._source_stamp, frozenset) else frozenset({kept._source_stamp})


def _kept(compiled: Any) -> Any:
    """The index of what is kept of a compiled function, with the stamp of its source; None where Numba has no such thing."""
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    return file if hasattr(file, "_source_stamp") else None
