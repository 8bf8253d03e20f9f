"""The inner product of all matrix kernels: a small tile of C = A B kept in registers.

    C[r, s] (+)= sum_k A[r, k] * B[k, s],    r < TILE_ROWS,  s < tile_columns(dtype)

Each step k loads one row of B into a few vector registers, and multiplies it by TILE_ROWS elements of A,
each of them broadcast to a whole vector. The sums live in registers through the whole loop: 2 + 8 loads
serve 16 fused multiply-adds, so the arithmetic units, not the caches, set the pace (Goto & van de Geijn
2008). LLVM would not keep such a tile in registers if the loops were written in Python, hence the few
lines of LLVM code made by hand; LLVM lowers them to whatever vectors the CPU has.
"""

from __future__ import annotations

import platform
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from scratchgpt.kernels.dispatch import loop
from scratchgpt.kernels.environment import host_features


def _register_file() -> tuple[int, int]:
    """(bytes of a vector register, rows of a tile that fit in the registers) of the CPU Numba compiles for."""
    chosen = numba.config.CPU_FEATURES
    features = set(chosen.split(",")) if chosen else {f"+{name}" for name, on in host_features().items() if on}
    if "+avx512f" in features:
        return 64, 8
    if "+avx" in features:
        return 32, 4  # 16 registers only
    return (16, 8) if platform.machine().lower() in ("arm64", "aarch64") else (16, 4)


VECTOR_BYTES, TILE_ROWS = _register_file()
TILE_VECTORS = 2
COLUMNS32 = TILE_VECTORS * VECTOR_BYTES // 4
COLUMNS64 = TILE_VECTORS * VECTOR_BYTES // 8


@register_jitable
def tile_columns(array):
    """Columns of a tile for the dtype of `array`."""
    return COLUMNS32 if array.itemsize == 4 else COLUMNS64


@register_jitable
def round_up(n, multiple):
    """The smallest multiple of `multiple` that is at least n."""
    return (n + multiple - 1) // multiple * multiple


@intrinsic
def _tile(
    typing_context: Any,
    c: Any, c_offset: Any, c_row: Any,
    a: Any, a_offset: Any, a_row: Any, a_step: Any,
    b: Any, b_offset: Any, b_step: Any,
    depth: Any, accumulate: Any,
) -> Any:  # fmt: skip
    """One tile. Offsets and strides count elements of the flat arrays a, b and c."""
    if not (isinstance(c, types.Array) and c.ndim == 1 and a.dtype == b.dtype == c.dtype):
        return None
    lanes = VECTOR_BYTES * 8 // c.dtype.bitwidth
    index = types.intp
    signature = types.void(
        c, index, index, a, index, index, index, b, index, index, index, types.boolean
    )  # fmt: skip

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (c_array, c_offset, c_row, a_array, a_offset, a_row, a_step, b_array, b_offset, b_step, depth, accumulate) = (
            args
        )
        scalar = context.get_value_type(c.dtype)
        vector = ir.VectorType(scalar, lanes)
        size = c.dtype.bitwidth // 8

        def data(kind: Any, array: Any) -> Any:
            return context.make_array(kind)(context, builder, array).data

        def times(number: int, stride: Any) -> Any:
            return builder.mul(stride, ir.Constant(stride.type, number))

        def vector_pointer(pointer: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

        def lane_offset(offset: Any, v: int) -> Any:
            return builder.add(offset, ir.Constant(offset.type, v * lanes))

        rows, columns = range(TILE_ROWS), range(TILE_VECTORS)
        a_data, b_data, c_data = data(a, a_array), data(b, b_array), data(c, c_array)
        zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * lanes)
        flag = cgutils.as_bool_bit(builder, accumulate)
        targets, start = [], []
        for r in rows:
            for v in columns:
                offset = lane_offset(builder.add(c_offset, times(r, c_row)), v)
                targets.append(vector_pointer(c_data, offset))
                start.append(builder.select(flag, builder.load(targets[-1], align=size), zero))
        a_pointers = [builder.gep(a_data, [builder.add(a_offset, times(r, a_row))]) for r in rows]

        entry = builder.block
        body = builder.append_basic_block("tile.step")
        done = builder.append_basic_block("tile.done")
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.phi(depth.type)
        k.add_incoming(ir.Constant(depth.type, 0), entry)
        sums = [builder.phi(vector) for _ in start]
        b_now = builder.add(b_offset, builder.mul(k, b_step))
        b_row = [builder.load(vector_pointer(b_data, lane_offset(b_now, v)), align=size) for v in columns]
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{c.dtype.bitwidth}"
        )
        a_now = builder.mul(k, a_step)
        undefined = ir.Constant(vector, ir.Undefined)
        first = ir.Constant(ir.IntType(32), 0)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [first] * lanes)
        following = []
        for r in rows:
            one = builder.insert_element(undefined, builder.load(builder.gep(a_pointers[r], [a_now])), first)
            wide = builder.shuffle_vector(one, undefined, everywhere)
            for v in columns:
                following.append(builder.call(multiply_add, [wide, b_row[v], sums[r * TILE_VECTORS + v]]))
        after = builder.add(k, ir.Constant(k.type, 1))
        k.add_incoming(after, body)
        for phi, before, then in zip(sums, start, following, strict=True):
            phi.add_incoming(before, entry)
            phi.add_incoming(then, body)
        builder.cbranch(builder.icmp_signed("<", after, depth), body, done)
        builder.position_at_end(done)
        for target, value in zip(targets, following, strict=True):
            builder.store(value, target, align=size)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _transpose_square(
    typing_context: Any, source: Any, offset: Any, row: Any, target: Any, target_offset: Any, target_row: Any
) -> Any:
    """target[l, i] = source[i, l] for a square of as many rows as a vector has lanes."""
    lanes = VECTOR_BYTES * 8 // source.dtype.bitwidth
    index = types.intp
    signature = types.void(source, index, index, target, index, index)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source_array, offset, row, target_array, target_offset, target_row = args
        vector = ir.VectorType(context.get_value_type(source.dtype), lanes)
        size = source.dtype.bitwidth // 8

        def pointer(kind: Any, array: Any, offset: Any, row: Any, i: int) -> Any:
            place = builder.add(offset, builder.mul(row, ir.Constant(row.type, i)))
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

        def shuffle(x: Any, y: Any, picks: list[int]) -> Any:
            chosen = ir.Constant(ir.VectorType(ir.IntType(32), lanes), picks)
            return builder.shuffle_vector(x, y, chosen)

        rows = [builder.load(pointer(source, source_array, offset, row, i), align=size) for i in range(lanes)]
        # Swap the off-diagonal squares of size 1, 2, 4, ... of rows that lie `step` apart.
        step = 1
        while step < lanes:
            for i in (i for i in range(lanes) if not i & step):
                x, y = rows[i], rows[i + step]
                rows[i] = shuffle(x, y, [lanes + k - step if k & step else k for k in range(lanes)])
                rows[i + step] = shuffle(x, y, [lanes + k if k & step else k + step for k in range(lanes)])
            step *= 2
        for i, value in enumerate(rows):
            builder.store(value, pointer(target, target_array, target_offset, target_row, i), align=size)
        return context.get_dummy_value()

    return signature, codegen


@loop
def transpose(source, offset, row, target, target_offset, target_row, rows, columns):
    """target[j, i] = source[i, j] on flat arrays, i < rows, j < columns, both multiples of half a tile's columns.

    A square of vectors is turned by shuffles in registers, eight times faster than element by element."""
    lanes = tile_columns(source) // TILE_VECTORS
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            _transpose_square(
                source, offset + i * row + j, row, target, target_offset + j * target_row + i, target_row
            )


@loop
def multiply(c, c_offset, c_row, a, a_offset, a_row, a_step, b, b_offset, b_step, rows, columns, depth, accumulate):
    """C[rows, columns] (+)= A[rows, depth] B[depth, columns] on flat arrays; strides count elements.

    A may be strided both ways (so A transposed is free); B and C have contiguous rows. rows must be a multiple
    of TILE_ROWS, columns one of tile_columns, depth at least 1: the caller pads its buffers. Not checked."""
    width = tile_columns(c)
    for column in range(0, columns, width):
        for row in range(0, rows, TILE_ROWS):
            _tile(
                c, c_offset + row * c_row + column, c_row,
                a, a_offset + row * a_row, a_row, a_step,
                b, b_offset + column, b_step, depth, accumulate,
            )  # fmt: skip
