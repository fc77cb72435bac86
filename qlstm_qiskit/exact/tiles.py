"""A tile of a matrix product that stays in registers, which loops of Numba do not reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Bytes of a vector; the compiler cuts it where a processor has shorter ones.
VECTOR_BYTES = 64


def _tile(n_rows: int, n_vectors: int) -> Callable[..., Any]:
    """A function that fills `n_rows` rows of `out` from `row`, in vectors of columns from `column`, with left times right.

    Sums run from the first product to the last, each a fused multiply-add where the processor has it.
    """

    def declare(typing: Any, left: Any, right: Any, out: Any, row: Any, column: Any) -> tuple[Any, Callable[..., Any]]:
        signature = types.void(left, right, out, types.intp, types.intp)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            arrays = [context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args[:3], values, strict=False)]
            steps = [cgutils.unpack_tuple(builder, array.strides, 2) for array in arrays]
            real, item = context.get_data_type(left.dtype), left.dtype.bitwidth // 8
            lanes = VECTOR_BYTES // item
            vector, number, fused = ir.VectorType(real, lanes), ir.IntType(32), ("contract", "nsz")

            def place(which: int, i: Any, j: Any, kind: Any) -> Any:
                first = builder.ptrtoint(arrays[which].data, context.get_value_type(types.intp))
                offset = builder.add(builder.mul(i, steps[which][0]), builder.mul(j, steps[which][1]))
                return builder.inttoptr(builder.add(first, offset), kind.as_pointer())

            def shifted(value: Any, by: int) -> Any:
                return builder.add(value, context.get_constant(types.intp, by))

            row, column = values[3:]
            sums = [[cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(n_vectors)] for _ in range(n_rows)]
            size = cgutils.unpack_tuple(builder, arrays[0].shape, 2)[1]
            with cgutils.for_range(builder, size) as loop:
                ours = [
                    builder.load(place(1, loop.index, shifted(column, part * lanes), vector), align=item) for part in range(n_vectors)
                ]
                for r in range(n_rows):
                    factor = builder.load(place(0, shifted(row, r), loop.index, real))
                    first = builder.insert_element(ir.Constant(vector, ir.Undefined), factor, number(0))
                    same = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(number, lanes), [0] * lanes))
                    for part in range(n_vectors):
                        product = builder.fmul(same, ours[part], flags=fused)
                        total = builder.fadd(builder.load(sums[r][part]), product, flags=fused)
                        builder.store(total, sums[r][part])
            for r in range(n_rows):
                for part in range(n_vectors):
                    target = place(2, shifted(row, r), shifted(column, part * lanes), vector)
                    builder.store(builder.load(sums[r][part]), target, align=item)
            return context.get_dummy_value()

        return signature, generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


four_wide, four_narrow, one_wide, one_narrow = _tile(4, 2), _tile(4, 1), _tile(1, 2), _tile(1, 1)
