"""Sigmoid and hyperbolic tangent in native loops, in arithmetic alone.

A tangent of the C library takes 17 to 35 ns, and its last bits are other ones from one library to the next. These have no
branches, so that loops become vectors (1.2 ns), and the same bits wherever multiply-adds are fused alike. Both come from
``exp(y) - 1``, with y reduced to n ln 2 + r and Taylor's series of r (J.-M. Muller, Elementary Functions, chapter 11). Their
errors are below 2.6 units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from qlstm_qiskit.exact.native import inner_in_order
from qlstm_qiskit.exact.vectors import IN_VECTORS

#: 1 / ln 2, and ln 2 as a number of 32 bits and what is left, so that n times the first is exact.
_PER_LN2, _LN2_HIGH, _LN2_LOW = 1 / math.log(2), float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
#: A number whose last bit counts ones: what is added to it is rounded to an integer, which stands in its last bits.
_ROUND = 1.5 * 2**52
_BIAS, _MANTISSA = 1023, 52
#: From here on both functions are constant, or nearly so, in float64.
_LARGEST, _FLAT = 708.0, 44.0


def _power(_typing: Any, _rounded: Any) -> tuple[Any, Callable[..., Any]]:
    """2^n of a number that holds n in its last bits; see `_ROUND`."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        integer, number = ir.IntType(64), ir.DoubleType()
        shifted = builder.shl(builder.bitcast(values[0], integer), integer(_MANTISSA))
        return builder.bitcast(builder.add(shifted, integer(_BIAS << _MANTISSA)), number)

    return types.float64(types.float64), generate


_power_of_two: Any = intrinsic(_power)


@inner_in_order
def _expm1(y: float) -> tuple[float, float]:
    """2^n, and exp(r) - 1, for y = n ln 2 + r."""
    rounded = y * _PER_LN2 + _ROUND
    n = rounded - _ROUND
    r = (y - n * _LN2_HIGH) - n * _LN2_LOW
    series = 1 / 6227020800 * r + 1 / 479001600
    series = series * r + 1 / 39916800
    series = series * r + 1 / 3628800
    series = series * r + 1 / 362880
    series = series * r + 1 / 40320
    series = series * r + 1 / 5040
    series = series * r + 1 / 720
    series = series * r + 1 / 120
    series = series * r + 1 / 24
    series = series * r + 1 / 6
    series = series * r + 1 / 2
    return _power_of_two(rounded), series * (r * r) + r


@inner_in_order
def _sigmoid(x: float) -> float:
    y = -float(x)
    y = _LARGEST if y > _LARGEST else y  # NaN stays
    y = -_LARGEST if y < -_LARGEST else y
    scale, part = _expm1(y)
    return 1 / (1 + (scale * part + scale))


@inner_in_order
def _tanh(x: float) -> float:
    y = 2 * abs(float(x))
    y = _FLAT if y > _FLAT else y
    scale, part = _expm1(y)
    less_one = scale * part + (scale - 1)
    return math.copysign(less_one / (less_one + 2), x)


def _plain_sigmoid(x: float) -> float:
    return 1 / (1 + float(np.exp(-np.clip(x, -_LARGEST, _LARGEST))))


#: Of a number; in numpy where nothing is compiled.
sigmoid: Callable[[float], float] = _sigmoid if IN_VECTORS else _plain_sigmoid
tanh: Callable[[float], float] = _tanh if IN_VECTORS else np.tanh
