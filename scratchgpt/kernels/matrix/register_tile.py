"""The inner product of all matrix kernels: a small tile of C = A B kept in registers.

    C[r, s] = start[r, s] + sum_k A[r, k] * B[k, s],    r < TILE_ROWS,  s < tile_columns(dtype)

Each step k loads one row of B into a few vector registers, and multiplies it by TILE_ROWS elements of A,
each of them broadcast to a whole vector. The sums live in registers through the whole loop: 2 + 8 loads
serve 16 fused multiply-adds, so the arithmetic units, not the caches, set the pace (Goto & van de Geijn
2008). LLVM would not keep such a tile in registers if the loops were written in Python, hence the few
lines of LLVM code made by hand; LLVM lowers them to whatever vectors the CPU has.

An element of A and B is a float, or, where the arrays are of uint32, a pair of bfloat16 neighbours in k
(runtime/precision.py): one instruction then adds both products to a float32 sum, twice the arithmetic of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from scratchgpt.kernels.runtime.cpu import target
from scratchgpt.kernels.runtime.dispatch import loop
from scratchgpt.kernels.runtime.precision import BFloat


VECTOR_BYTES, TILE_ROWS, TILE_VECTORS = target().register_bytes, target().tile_rows, target().tile_vectors
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


def _multiply_add(builder: Any, vector: Any, pairs: bool) -> Callable[[Any, Any, Any], Any]:
    """f(x, y, sum) = x * y + sum on vectors, the product of floats or the sum of the two products of a pair."""
    if not pairs:
        name = f"llvm.fmuladd.v{vector.count}{vector.element.intrinsic_name}"
        kind = ir.FunctionType(vector, [vector] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return lambda x, y, total: builder.call(function, [x, y, total])
    halves = ir.VectorType(BFloat(), 2 * vector.count)
    kind, name = ir.FunctionType(vector, [vector, halves, halves]), target().bf16_instruction
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return lambda x, y, total: builder.call(function, [total, builder.bitcast(x, halves), builder.bitcast(y, halves)])


def _tile_of(height: int) -> Any:
    """The tile with so many rows, a function for compiled code."""

    @intrinsic
    def tile(
        typing_context: Any,
        c: Any, c_offset: Any, c_row: Any,
        start: Any, start_offset: Any, start_row: Any,
        a: Any, a_offset: Any, a_row: Any, a_step: Any,
        b: Any, b_offset: Any, b_step: Any,
        depth: Any, accumulate: Any,
    ) -> Any:  # fmt: skip
        """Offsets and strides count elements of the flat arrays; without `accumulate` the sums start at 0."""
        pairs = a.dtype == types.uint32
        if not (c.ndim == 1 and a.dtype == b.dtype and start.dtype == c.dtype and (pairs or a.dtype == c.dtype)):
            return None
        lanes = VECTOR_BYTES * 8 // c.dtype.bitwidth
        index = types.intp
        signature = types.void(
            c, index, index, start, index, index, a, index, index, index, b, index, index, index, types.boolean
        )  # fmt: skip

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (
                c_array, c_offset, c_row, start_array, start_offset, start_row,
                a_array, a_offset, a_row, a_step, b_array, b_offset, b_step, depth, accumulate,
            ) = args  # fmt: skip
            scalar, element = context.get_value_type(c.dtype), context.get_value_type(a.dtype)
            vector, elements = ir.VectorType(scalar, lanes), ir.VectorType(element, lanes)
            size = c.dtype.bitwidth // 8

            def data(kind: Any, array: Any) -> Any:
                return context.make_array(kind)(context, builder, array).data

            def times(number: int, stride: Any) -> Any:
                return builder.mul(stride, ir.Constant(stride.type, number))

            def load(kind: Any, pointer: Any, offset: Any) -> Any:
                place = builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer())
                return builder.load(place, align=size)

            def lane_offset(offset: Any, v: int) -> Any:
                return builder.add(offset, ir.Constant(offset.type, v * lanes))

            rows, columns = range(height), range(TILE_VECTORS)
            a_data, b_data = data(a, a_array), data(b, b_array)
            c_data, start_data = data(c, c_array), data(start, start_array)
            zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * lanes)
            flag = cgutils.as_bool_bit(builder, accumulate)
            first_sums = []
            for r in rows:
                for v in columns:
                    place = lane_offset(builder.add(start_offset, times(r, start_row)), v)
                    first_sums.append(builder.select(flag, load(vector, start_data, place), zero))
            a_pointers = [builder.gep(a_data, [builder.add(a_offset, times(r, a_row))]) for r in rows]

            entry = builder.block
            body = builder.append_basic_block("tile.step")
            done = builder.append_basic_block("tile.done")
            builder.branch(body)
            builder.position_at_end(body)
            k = builder.phi(depth.type)
            k.add_incoming(ir.Constant(depth.type, 0), entry)
            sums = [builder.phi(vector) for _ in first_sums]
            b_now = builder.add(b_offset, builder.mul(k, b_step))
            b_row = [load(elements, b_data, lane_offset(b_now, v)) for v in columns]
            multiply_add = _multiply_add(builder, vector, pairs)
            a_now = builder.mul(k, a_step)
            undefined = ir.Constant(elements, ir.Undefined)
            first = ir.Constant(ir.IntType(32), 0)
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [first] * lanes)
            following = []
            for r in rows:
                one = builder.insert_element(undefined, builder.load(builder.gep(a_pointers[r], [a_now])), first)
                wide = builder.shuffle_vector(one, undefined, everywhere)
                for v in columns:
                    following.append(multiply_add(wide, b_row[v], sums[r * TILE_VECTORS + v]))
            after = builder.add(k, ir.Constant(k.type, 1))
            k.add_incoming(after, body)
            for phi, before, then in zip(sums, first_sums, following, strict=True):
                phi.add_incoming(before, entry)
                phi.add_incoming(then, body)
            builder.cbranch(builder.icmp_signed("<", after, depth), body, done)
            builder.position_at_end(done)
            for r in rows:
                for v in columns:
                    place = builder.gep(c_data, [lane_offset(builder.add(c_offset, times(r, c_row)), v)])
                    target = builder.bitcast(place, vector.as_pointer())
                    builder.store(following[r * TILE_VECTORS + v], target, align=size)
            return context.get_dummy_value()

        return signature, codegen

    return tile


_tile = _tile_of(TILE_ROWS)
_row = _tile_of(1)


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
def multiply_tile(
    c, c_offset, c_row, start, start_offset, start_row, a, a_offset, a_row, a_step, b, b_offset, b_step, depth
):  # fmt: skip
    """One tile of C = start + A B on flat arrays; strides count elements, start_row may be 0 (a bias). Not checked."""
    _tile(
        c, c_offset, c_row, start, start_offset, start_row, a, a_offset, a_row, a_step, b, b_offset, b_step, depth, True
    )  # fmt: skip


@loop
def multiply_row(c, c_offset, a, a_offset, b, b_offset, b_step, depth):
    """One row of one tile, C = A B on flat arrays: an eighth of the arithmetic where there is only one. Not checked."""
    _row(c, c_offset, 0, c, c_offset, 0, a, a_offset, 0, 1, b, b_offset, b_step, depth, False)


@loop
def multiply(c, c_offset, c_row, a, a_offset, a_row, a_step, b, b_offset, b_step, rows, columns, depth, accumulate):
    """C[rows, columns] (+)= A[rows, depth] B[depth, columns] on flat arrays; strides count elements.

    A may be strided both ways (so A transposed is free); B and C have contiguous rows. rows must be a multiple
    of TILE_ROWS, columns one of tile_columns, depth at least 1: the caller pads its buffers. Not checked."""
    width = tile_columns(c)
    for column in range(0, columns, width):
        for row in range(0, rows, TILE_ROWS):
            corner = c_offset + row * c_row + column
            _tile(
                c, corner, c_row, c, corner, c_row,
                a, a_offset + row * a_row, a_row, a_step,
                b, b_offset + column, b_step, depth, accumulate,
            )  # fmt: skip
