"""Plane rotations of neighbours in vectors.

Which product of a sum is rounded, and which is fused, is as the compiler has it for the loop that is written out; so the bits
are those of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from qlstm_qiskit.exact.native import inlined
from qlstm_qiskit.exact.vectors import IN_VECTORS, Vectors

Array = NDArray[Any]


def _turn(n_lanes: int) -> Callable[..., Any]:
    """A function that turns two runs of `n_lanes` neighbours.

    Args of it: coefficients, cosines and sines, all flat; where both runs and the angles begin.
    """

    def declare(_typing: Any, state: Any, cosine: Any, sine: Any, _a: Any, _b: Any, _r: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            own = Vectors(n_lanes, context, builder, signature.args[:3], values[:3])
            a, b, r = values[3:]
            x, y, cos, sin = own.read(0, a), own.read(0, b), own.read(1, r), own.read(2, r)
            own.write(own.plus(sin, y, own.times(cos, x)), 0, a)
            own.write(own.minus(cos, y, own.times(sin, x)), 0, b)
            return context.get_dummy_value()

        return types.void(state, cosine, sine, types.intp, types.intp, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


def _undo(n_lanes: int) -> Callable[..., Any]:
    """A function that turns two runs of `n_lanes` neighbours and their gradients back, and adds to the gradients by angles.

    Args of it: coefficients, their gradients, cosines, sines and gradients by angles, all flat; where both runs and the angles
    begin.
    """

    def declare(
        _typing: Any, state: Any, gradient: Any, cosine: Any, sine: Any, by_angle: Any, _a: Any, _b: Any, _r: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            own = Vectors(n_lanes, context, builder, signature.args[:5], values[:5])
            a, b, r = values[5:]
            x, y, u, v = own.read(0, a), own.read(0, b), own.read(1, a), own.read(1, b)
            cos, sin, times = own.read(2, r), own.read(3, r), own.times
            own.write(own.less(v, x, own.plus(u, y, own.read(4, r))), 4, r)
            own.write(own.minus(cos, x, times(sin, y)), 0, a)
            own.write(own.plus(cos, y, times(sin, x)), 0, b)
            own.write(own.minus(cos, u, times(sin, v)), 1, a)
            own.write(own.plus(cos, v, times(sin, u)), 1, b)
            return context.get_dummy_value()

        return types.void(state, gradient, cosine, sine, by_angle, types.intp, types.intp, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


def _add_product(n_lanes: int) -> Callable[..., Any]:
    """A function that adds a number times two runs of `n_lanes` neighbours to a third run.

    Args of it: the sums, both factors, all flat; the number; where the three runs begin.
    """

    def declare(_typing: Any, sums: Any, left: Any, right: Any, _scale: Any, _a: Any, _b: Any, _c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            own = Vectors(n_lanes, context, builder, signature.args[:3], values[:3])
            a, b, c = values[4:]
            own.write(own.plus(own.times(own.all(values[3]), own.read(1, b)), own.read(2, c), own.read(0, a)), 0, a)
            return context.get_dummy_value()

        return types.void(sums, left, right, sums.dtype, types.intp, types.intp, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


_turn_eight, _turn_four = _turn(8), _turn(4)
_undo_eight, _undo_four = _undo(8), _undo(4)
_add_eight, _add_four = _add_product(8), _add_product(4)


@inlined
def turn(state: Array, cosine: Array, sine: Array, a: int, b: int, r: int, n: int) -> None:
    """Turn the `n` coefficients from `a` and those from `b` by the `n` angles from `r`; all flat."""
    i = 0
    while IN_VECTORS and i + 8 <= n:
        _turn_eight(state, cosine, sine, a + i, b + i, r + i)
        i += 8
    if IN_VECTORS and i + 4 <= n:
        _turn_four(state, cosine, sine, a + i, b + i, r + i)
        i += 4
    while i < n:
        x, y = state[a + i], state[b + i]  # both, before one of them is overwritten
        state[a + i] = cosine[r + i] * x + sine[r + i] * y
        state[b + i] = cosine[r + i] * y - sine[r + i] * x
        i += 1


@inlined
def undo(state: Array, gradient: Array, cosine: Array, sine: Array, by_angle: Array, a: int, b: int, r: int, n: int) -> None:
    """The inverse of `turn`, of coefficients and gradients; the gradients by the angles are added to `by_angle`.

    The inverse of a rotation is its transpose: coefficients before it are computed from those after it, and nothing is stored
    on the way forward. The gradient turns back in the same way. With a' = c a + s b and b' = c b - s a: da'/dt = b',
    db'/dt = -a'.
    """
    i = 0
    while IN_VECTORS and i + 8 <= n:
        _undo_eight(state, gradient, cosine, sine, by_angle, a + i, b + i, r + i)
        i += 8
    if IN_VECTORS and i + 4 <= n:
        _undo_four(state, gradient, cosine, sine, by_angle, a + i, b + i, r + i)
        i += 4
    while i < n:
        x, y, u, v = state[a + i], state[b + i], gradient[a + i], gradient[b + i]
        by_angle[r + i] += u * y - v * x  # of the values after the step: before they are turned back
        state[a + i] = cosine[r + i] * x - sine[r + i] * y
        state[b + i] = sine[r + i] * x + cosine[r + i] * y
        gradient[a + i] = cosine[r + i] * u - sine[r + i] * v
        gradient[b + i] = sine[r + i] * u + cosine[r + i] * v
        i += 1


@inlined
def add_product(sums: Array, left: Array, right: Array, scale: float, a: int, b: int, c: int, n: int) -> None:
    """Add `scale` times the `n` numbers from `b` times those from `c` to those from `a`; all flat."""
    i = 0
    while IN_VECTORS and i + 8 <= n:
        _add_eight(sums, left, right, scale, a + i, b + i, c + i)
        i += 8
    if IN_VECTORS and i + 4 <= n:
        _add_four(sums, left, right, scale, a + i, b + i, c + i)
        i += 4
    while i < n:
        sums[a + i] += scale * left[b + i] * right[c + i]
        i += 1
