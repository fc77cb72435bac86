"""Cosines and sines of many angles in native loops, in arithmetic alone.

Both of one angle take 20 to 30 ns by the C library, and their last bits are other ones from one library to the next. This has
no branches, so that loops become vectors (3 ns), and the same bits wherever multiply-adds are fused alike. An angle is reduced
to r in [-pi/4, pi/4] by multiples of pi/2, which stands here in four parts, so that the first three products are exact; then
come Taylor's series of r (J.-M. Muller, Elementary Functions, chapter 11). Errors are below 2 units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import inner, inner_in_order
from qlstm_qiskit.exact.vectors import IN_VECTORS

#: 2 / pi, and pi / 2 as three numbers of 33 bits and what is left, so that n times each of those is exact.
_PER_QUARTER = 2 / math.pi
_FIRST = float.fromhex("0x1.921fb54400000p+0")
_SECOND = float.fromhex("0x1.0b4611a600000p-34")
_THIRD = float.fromhex("0x1.3198a2e000000p-69")
_REST = float.fromhex("0x1.b839a252049c1p-104")
#: A number whose last bit counts ones: what is added to it is rounded to an integer, which stands in its last bits.
_ROUND = 1.5 * 2**52
#: Up to here n has 20 bits; larger angles are left to the C library.
_LARGEST = 2.0**20


def _bits(_typing: Any, _rounded: Any) -> tuple[Any, Callable[..., Any]]:
    """The last two bits of a number that holds an integer there; see `_ROUND`."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        integer = ir.IntType(64)
        return builder.and_(builder.bitcast(values[0], integer), integer(3))

    return types.int64(types.float64), generate


_last_bits: Any = intrinsic(_bits)


@inner_in_order
def _cosine_sine(x: float) -> tuple[float, float]:
    rounded = float(x) * _PER_QUARTER + _ROUND
    n = rounded - _ROUND
    r = (((float(x) - n * _FIRST) - n * _SECOND) - n * _THIRD) - n * _REST
    z = r * r
    series = 1 / 355687428096000 * z - 1 / 1307674368000
    series = series * z + 1 / 6227020800
    series = series * z - 1 / 39916800
    series = series * z + 1 / 362880
    series = series * z - 1 / 5040
    series = series * z + 1 / 120
    series = series * z - 1 / 6
    s = r + r * z * series
    series = 1 / 20922789888000 * z - 1 / 87178291200
    series = series * z + 1 / 479001600
    series = series * z - 1 / 3628800
    series = series * z + 1 / 40320
    series = series * z - 1 / 720
    series = series * z + 1 / 24
    half = 0.5 * z
    near = 1 - half
    c = near + (((1 - near) - half) + z * z * series)  # what `near` has lost comes back
    quarter = _last_bits(rounded)
    cosine, sine = (s, c) if quarter & 1 else (c, s)
    return -cosine if (quarter + 1) & 2 else cosine, -sine if quarter & 2 else sine


@inner
def _in_loops(angles: NDArray[Any], cosine: NDArray[Any], sine: NDArray[Any]) -> None:
    for i in range(len(angles)):
        cosine[i], sine[i] = _cosine_sine(angles[i])
    for i in range(len(angles)):
        if not abs(angles[i]) <= _LARGEST:  # NaN too
            cosine[i], sine[i] = np.cos(angles[i]), np.sin(angles[i])


def _plain(angles: NDArray[Any], cosine: NDArray[Any], sine: NDArray[Any]) -> None:
    cosine[:], sine[:] = np.cos(angles), np.sin(angles)


#: Fill `cosine` and `sine` with those of angles in radians, all three flat and apart; in numpy where nothing is compiled.
turned: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], None] = _in_loops if IN_VECTORS else _plain
