"""Memory that the passes of a form use again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Of each shape, how many wait for the next pass.
_KEPT = 4

#: Bytes of a line of a cache. A vector that lies across two of them is read and written at half the speed.
_LINE = 64


class Rooms:
    """Arrays that were given back are taken again, as fresh memory costs more than the work on it. A copy starts with none."""

    def __init__(self) -> None:
        self._free: dict[tuple[tuple[int, ...], np.dtype[Any]], list[Array]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array with any numbers in it, which begins at a line of the cache."""
        try:
            return self._free[shape, dtype].pop()
        except (KeyError, IndexError):
            size = math.prod(shape) * dtype.itemsize
            room = np.empty(size + _LINE, np.uint8)
            first = -room.ctypes.data % _LINE
            return room[first : first + size].view(dtype).reshape(shape)

    def give(self, *rooms: Array) -> None:
        """Take back what is no longer read; a few are kept."""
        for room in rooms:
            kept = self._free.setdefault((room.shape, room.dtype), [])
            if len(kept) < _KEPT:
                kept.append(room)

    def __getstate__(self) -> dict[str, Any]:
        return {"_free": {}}
