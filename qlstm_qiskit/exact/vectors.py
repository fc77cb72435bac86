"""Vectors in native loops: loops of Numba test each time whether their arrays overlap, and leave a rest.

Which product of a sum is rounded, and which is fused, is said here, and does not depend on what a compiler makes of a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[Any]

#: Whether Numba compiles; it does not with NUMBA_DISABLE_JIT, as to look into the loops with a debugger.
IN_VECTORS = not config.DISABLE_JIT  # type: ignore[attr-defined]

#: Numbers of a vector of the functions below.
LANES = 8


class Vectors:
    """Writes code for `n_lanes` neighbours of flat arrays, from given places on."""

    def __init__(self, n_lanes: int, context: Any, builder: Any, kinds: Sequence[Any], arrays: Sequence[Any]) -> None:
        self._builder = builder
        self._firsts = [context.make_array(kind)(context, builder, own).data for kind, own in zip(kinds, arrays, strict=True)]
        self._kind = ir.VectorType(context.get_data_type(kinds[0].dtype), n_lanes)
        self._item = kinds[0].dtype.bitwidth // 8
        fused = ir.FunctionType(self._kind, [self._kind] * 3)
        name = f"llvm.fmuladd.v{n_lanes}f{8 * self._item}"
        self._fused = cgutils.get_or_insert_function(builder.module, fused, name)  # type: ignore[no-untyped-call]

    def _at(self, which: int, index: Any) -> Any:
        place = cgutils.gep(self._builder, self._firsts[which], index)  # type: ignore[no-untyped-call]
        return self._builder.bitcast(place, self._kind.as_pointer())

    def read(self, which: int, index: Any) -> Any:
        return self._builder.load(self._at(which, index), align=self._item)

    def write(self, value: Any, which: int, index: Any) -> None:
        self._builder.store(value, self._at(which, index), align=self._item)

    def all(self, value: Any) -> Any:
        """A number in all lanes."""
        first = self._builder.insert_element(ir.Constant(self._kind, ir.Undefined), value, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self._kind.count), [0] * self._kind.count)
        return self._builder.shuffle_vector(first, first, lanes)

    def sum(self, left: Any, right: Any) -> Any:
        return self._builder.fadd(left, right)

    def times(self, left: Any, right: Any) -> Any:
        """Left times right, rounded."""
        return self._builder.fmul(left, right)

    def plus(self, left: Any, right: Any, more: Any) -> Any:
        """Left times right, plus more."""
        return self._builder.call(self._fused, (left, right, more))

    def minus(self, left: Any, right: Any, more: Any) -> Any:
        """Left times right, minus more."""
        return self.plus(left, right, self._builder.fneg(more))

    def less(self, left: Any, right: Any, more: Any) -> Any:
        """More, minus left times right."""
        return self.plus(self._builder.fneg(left), right, more)


def _of_one(write: Callable[[Vectors, Any, Any], None], plain: Callable[..., None]) -> Callable[..., Any]:
    """A function of the vector of a flat array from a place on, and of another one."""
    if not IN_VECTORS:
        return lambda left, i, out, k: plain(left[i : i + LANES], out[k : k + LANES])

    def declare(_typing: Any, left: Any, _i: Any, out: Any, _k: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kinds = signature.args[0], signature.args[2]
            write(Vectors(LANES, context, builder, kinds, (values[0], values[2])), values[1], values[3])
            return context.get_dummy_value()

        return types.void(left, types.intp, out, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


def _of_two(write: Callable[[Vectors, Any, Any, Any], None], plain: Callable[..., None]) -> Callable[..., Any]:
    """As `_of_one`, of the vectors of two arrays, and of a third one."""
    if not IN_VECTORS:
        return lambda left, i, right, j, out, k: plain(left[i : i + LANES], right[j : j + LANES], out[k : k + LANES])

    def declare(_typing: Any, left: Any, _i: Any, right: Any, _j: Any, out: Any, _k: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            write(Vectors(LANES, context, builder, signature.args[::2], values[::2]), *values[1::2])
            return context.get_dummy_value()

        return types.void(left, types.intp, right, types.intp, out, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


#: Copy a vector.
put = _of_one(lambda own, i, k: own.write(own.read(0, i), 1, k), lambda left, out: np.copyto(out, left))
#: Add a vector.
add = _of_one(
    lambda own, i, k: own.write(own.sum(own.read(1, k), own.read(0, i)), 1, k), lambda left, out: np.add(out, left, out=out)
)
#: Multiply two vectors.
times = _of_two(
    lambda own, i, j, k: own.write(own.times(own.read(0, i), own.read(1, j)), 2, k),
    lambda left, right, out: np.multiply(left, right, out=out),
)
#: Add the product of two vectors, fused.
add_times = _of_two(
    lambda own, i, j, k: own.write(own.plus(own.read(0, i), own.read(1, j), own.read(2, k)), 2, k),
    lambda left, right, out: np.add(out, left * right, out=out),
)
#: Subtract the product of two vectors, fused.
subtract_times = _of_two(
    lambda own, i, j, k: own.write(own.less(own.read(0, i), own.read(1, j), own.read(2, k)), 2, k),
    lambda left, right, out: np.subtract(out, left * right, out=out),
)
