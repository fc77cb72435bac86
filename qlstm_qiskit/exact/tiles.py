"""A tile of a matrix product that stays in registers, which loops of Numba do not reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

from llvmlite import binding, ir
from numba import config
from numba.core import cgutils, types
from numba.extending import intrinsic

#: Bytes of a vector; the compiler cuts it where a processor has shorter ones.
VECTOR_BYTES = 64

#: Bytes of a vector for fewer columns than those of one have.
SHORT_BYTES = 32

#: Rows and vectors of a tile of a product, whose sums are to stay in registers: 32 of 64 bytes with AVX-512, but elsewhere, as
#: with AVX2, perhaps no more than 16 of 32 bytes. Sums that do not fit go to memory and back with every product.
ROWS, VECTORS = (4, 2) if binding.get_host_cpu_features().get("avx512f") else (6, 1)


def _tile(n_rows: int, n_vectors: int, *, size: int = VECTOR_BYTES, apart: bool = False) -> Callable[..., Any]:
    """A function that fills `n_rows` rows of `out` from `row`, in vectors of columns from `column`, with left times right.

    Sums run from the first product to the last, each a fused multiply-add where the processor has it. `size`: bytes of a
    vector. `apart`: each row has a table of its own on the right, which is a row of what is given, (rows, k x columns).
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return partial(_in_numpy, n_rows, n_vectors * size, apart)

    def declare(_typing: Any, left: Any, right: Any, out: Any, _row: Any, _column: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kinds = signature.args[:3]
            tables = [_Table(context, builder, *own) for own in zip(kinds, values[:3], strict=True)]
            _write(builder, tables, values[3], values[4], (n_rows, n_vectors, size), apart)
            return context.get_dummy_value()

        return types.void(left, right, out, types.intp, types.intp), generate

    made: Callable[..., Any] = intrinsic(declare)
    return made


def _in_numpy(n_rows: int, n_bytes: int, apart: bool, left: Any, right: Any, out: Any, row: int, column: int) -> None:
    """A tile where Numba compiles nothing (NUMBA_DISABLE_JIT), as to look into the loops with a debugger."""
    rows, columns = slice(row, row + n_rows), slice(column, column + n_bytes // out.itemsize)
    if apart:
        own = right[rows].reshape(n_rows, left.shape[1], out.shape[1])[:, :, columns]
        out[rows, columns] = (left[rows, None] @ own)[:, 0]
    else:
        out[rows, columns] = left[rows] @ right[:, columns]


class _Table:
    """An array in code that is being written."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self._builder, array = builder, context.make_array(kind)(context, builder, value)
        self.index, self.number, self.item = (
            context.get_value_type(types.intp),
            context.get_data_type(kind.dtype),
            kind.dtype.bitwidth // 8,
        )
        self._first = builder.ptrtoint(array.data, self.index)
        self._steps: Any = cgutils.unpack_tuple(builder, array.strides, 2)  # type: ignore[no-untyped-call]
        self.shape: Any = cgutils.unpack_tuple(builder, array.shape, 2)  # type: ignore[no-untyped-call]

    def at(self, row: Any, column: Any, kind: Any) -> Any:
        """Where an element lies, or a vector from there."""
        add, multiply = self._builder.add, self._builder.mul
        offset = add(multiply(row, self._steps[0]), multiply(column, self._steps[1]))
        return self._builder.inttoptr(add(self._first, offset), kind.as_pointer())


def _write(builder: Any, tables: list[_Table], row: Any, column: Any, shape: tuple[int, int, int], apart: bool) -> None:
    """Write the code of a tile of a shape: rows, vectors and their bytes."""
    left, right, out = tables
    n_rows, n_vectors, size = shape
    lanes = size // out.item
    vector, fused, places = (
        ir.VectorType(out.number, lanes),
        ("contract", "nsz"),
        list(product(range(n_rows), range(n_vectors))),
    )
    rows = [builder.add(row, out.index(r)) for r in range(n_rows)]
    columns = [builder.add(column, out.index(part * lanes)) for part in range(n_vectors)]
    zero, none = ir.Constant(vector, None), ir.Constant(vector, ir.Undefined)
    first = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    sums = {place: cgutils.alloca_once_value(builder, zero) for place in places}  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, left.shape[1]) as loop:
        factors = [builder.load(left.at(own, loop.index, left.number)) for own in rows]
        all_lanes = [builder.insert_element(none, factor, ir.IntType(32)(0)) for factor in factors]
        spread = [builder.shuffle_vector(own, own, first) for own in all_lanes]
        if apart:
            first_column = builder.mul(loop.index, out.shape[1])
            own_columns = [builder.add(first_column, own) for own in columns]
            parts = {(r, p): builder.load(right.at(rows[r], own_columns[p], vector), align=out.item) for r, p in places}
        else:
            shared = [builder.load(right.at(loop.index, own, vector), align=out.item) for own in columns]
            parts = {(r, part): shared[part] for r, part in places}
        for r, part in places:
            term = builder.fmul(spread[r], parts[r, part], flags=fused)
            builder.store(builder.fadd(builder.load(sums[r, part]), term, flags=fused), sums[r, part])
    for r, part in places:
        builder.store(builder.load(sums[r, part]), out.at(rows[r], columns[part], vector), align=out.item)


tall_wide, tall_narrow, one_wide, one_narrow = _tile(ROWS, VECTORS), _tile(ROWS, 1), _tile(1, 2), _tile(1, 1)
tall_short, one_short = _tile(ROWS, 1, size=SHORT_BYTES), _tile(1, 1, size=SHORT_BYTES)
four_apart, one_apart = _tile(4, 1, apart=True), _tile(1, 1, apart=True)
