"""Compilation of native loops: by Numba, which needs no compiler on the machine, and kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use. Sums may be reordered and multiply-adds fused, but NaN and infinity keep their meaning.

    Args:
        function: On arrays and numbers, without Python objects. It fills arrays that it is given and returns none: to return an
            array Numba calls Python, where a Ctrl-C would come back as a SystemError.
    """
    options: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy", "nogil": True}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: compile in each process
        compiled = numba.njit(**options)(function)
    return compiled
