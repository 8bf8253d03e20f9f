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
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from scratchgpt.kernels.runtime import cpu
from scratchgpt.kernels.runtime.dispatch import loop
from scratchgpt.kernels.runtime.precision import BFloat

CPU = cpu.target()
VECTOR_BYTES, TILE_ROWS, TILE_VECTORS = CPU.register_bytes, CPU.tile_rows, CPU.tile_vectors
COLUMNS32 = TILE_VECTORS * VECTOR_BYTES // 4
COLUMNS64 = TILE_VECTORS * VECTOR_BYTES // 8


class Operand(NamedTuple):
    """A matrix as the tile sees it: element (i, j) is data[offset + i * row + j * step], strides in elements.

    That makes a part, a transposed view and a packed copy one kind of thing. Nobody checks the bounds.
    """

    data: np.ndarray
    """a flat array"""
    offset: int
    row: int
    """from one row to the next; 0 repeats one row, such as a bias"""
    step: int
    """from one column to the next"""


@register_jitable
def operand(matrix):
    """A C-contiguous matrix as an operand."""
    return Operand(matrix.reshape(-1), 0, matrix.shape[1], 1)


@register_jitable
def turned(operand):
    """The transpose of an operand."""
    return Operand(operand.data, operand.offset, operand.step, operand.row)


@register_jitable
def shifted(operand, row, column):
    """What is left of an operand from its element (row, column) on."""
    offset = operand.offset + row * operand.row + column * operand.step
    return Operand(operand.data, offset, operand.row, operand.step)


@register_jitable
def tile_columns(array):
    """Columns of a tile for the dtype of ``array``."""
    return COLUMNS32 if array.itemsize == 4 else COLUMNS64


@register_jitable
def round_up(n, multiple):
    """The smallest multiple of ``multiple`` that is at least n."""
    return (n + multiple - 1) // multiple * multiple


def _multiply_add(builder: Any, vector: Any, pairs: bool) -> Callable[[Any, Any, Any], Any]:
    """f(x, y, sum) = x * y + sum on vectors, the product of floats or the sum of the two products of a pair."""
    if not pairs:
        name = f"llvm.fmuladd.v{vector.count}{vector.element.intrinsic_name}"
        kind = ir.FunctionType(vector, [vector] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return lambda x, y, total: builder.call(function, [x, y, total])
    halves = ir.VectorType(BFloat(), 2 * vector.count)
    kind = ir.FunctionType(vector, [vector, halves, halves])
    function = cgutils.get_or_insert_function(builder.module, kind, CPU.bf16_instruction)
    return lambda x, y, total: builder.call(function, [total, builder.bitcast(x, halves), builder.bitcast(y, halves)])


def _members(context: Any, builder: Any, kind: Any, operand: Any) -> list[Any]:
    """The pointer to an operand's data, its offset and its strides."""
    array, *numbers = cgutils.unpack_tuple(builder, operand, 4)
    return [context.make_array(kind.types[0])(context, builder, array).data, *numbers]


def _tile_of(height: int) -> Any:
    """The tile with so many rows, a function for compiled code."""

    @intrinsic
    def tile(typing_context: Any, c: Any, start: Any, a: Any, b: Any, depth: Any, accumulate: Any) -> Any:
        """C = start + A B, or A B without ``accumulate``; rows of B, C and start are contiguous (their step is 1)."""
        kind, pairs = c.types[0], a.types[0].dtype == types.uint32
        if not (
            kind.ndim == 1
            and start.types[0].dtype == kind.dtype
            and a.types[0].dtype == b.types[0].dtype
            and (pairs or a.types[0].dtype == kind.dtype)
        ):
            return None
        lanes = VECTOR_BYTES * 8 // kind.dtype.bitwidth
        signature = types.void(c, start, a, b, types.intp, types.boolean)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            *operands, depth, accumulate = args
            c_data, c_offset, c_row, _ = _members(context, builder, c, operands[0])
            start_data, start_offset, start_row, _ = _members(context, builder, start, operands[1])
            a_data, a_offset, a_row, a_step = _members(context, builder, a, operands[2])
            b_data, b_offset, b_row, _ = _members(context, builder, b, operands[3])
            scalar = context.get_value_type(kind.dtype)
            element = context.get_value_type(a.types[0].dtype)
            vector, elements = ir.VectorType(scalar, lanes), ir.VectorType(element, lanes)
            size = kind.dtype.bitwidth // 8

            def times(number: int, stride: Any) -> Any:
                return builder.mul(stride, ir.Constant(stride.type, number))

            def load(content: Any, pointer: Any, offset: Any) -> Any:
                place = builder.bitcast(builder.gep(pointer, [offset]), content.as_pointer())
                return builder.load(place, align=size)

            def lane_offset(offset: Any, v: int) -> Any:
                return builder.add(offset, ir.Constant(offset.type, v * lanes))

            rows, columns = range(height), range(TILE_VECTORS)
            zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * lanes)
            flag = cgutils.as_bool_bit(builder, accumulate)
            a_pointers = [builder.gep(a_data, [builder.add(a_offset, times(r, a_row))]) for r in rows]

            entry = builder.block
            body = builder.append_basic_block("tile.step")
            done = builder.append_basic_block("tile.done")
            builder.branch(body)
            builder.position_at_end(body)
            k = builder.phi(depth.type)
            k.add_incoming(ir.Constant(depth.type, 0), entry)
            sums = [builder.phi(vector) for _ in range(height * TILE_VECTORS)]
            b_now = builder.add(b_offset, builder.mul(k, b_row))
            b_vectors = [load(elements, b_data, lane_offset(b_now, v)) for v in columns]
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
                    following.append(multiply_add(wide, b_vectors[v], sums[r * TILE_VECTORS + v]))
            after = builder.add(k, ir.Constant(k.type, 1))
            k.add_incoming(after, body)
            for phi, then in zip(sums, following, strict=True):
                phi.add_incoming(zero, entry)
                phi.add_incoming(then, body)
            builder.cbranch(builder.icmp_signed("<", after, depth), body, done)
            builder.position_at_end(done)
            # `start` is added to the finished sum: a sum that began there would round away more of every product.
            for r in rows:
                for v in columns:
                    place = lane_offset(builder.add(start_offset, times(r, start_row)), v)
                    begin = builder.select(flag, load(vector, start_data, place), zero)
                    total = builder.fadd(following[r * TILE_VECTORS + v], begin)
                    place = builder.gep(c_data, [lane_offset(builder.add(c_offset, times(r, c_row)), v)])
                    target = builder.bitcast(place, vector.as_pointer())
                    builder.store(total, target, align=size)
            return context.get_dummy_value()

        return signature, codegen

    return tile


multiply_tile = _tile_of(TILE_ROWS)
"""multiply_tile(c, start, a, b, depth, accumulate): one tile of C = start + A B, of A B without ``accumulate``.

Rows of B, C and start are contiguous (their step is 1). For compiled code; not checked.
"""
multiply_row = _tile_of(1)
"""The same of one row: an eighth of the arithmetic where there is only one."""


@intrinsic
def _transpose_square(typing_context: Any, source: Any, target: Any) -> Any:
    """target[l, i] = source[i, l] for a square of as many rows as a vector has lanes."""
    dtype = source.types[0].dtype
    lanes = VECTOR_BYTES * 8 // dtype.bitwidth
    signature = types.void(source, target)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(dtype), lanes)
        size = dtype.bitwidth // 8

        def pointers(kind: Any, operand: Any) -> list[Any]:
            data, offset, row, _ = _members(context, builder, kind, operand)
            places = [builder.add(offset, builder.mul(row, ir.Constant(row.type, i))) for i in range(lanes)]
            return [builder.bitcast(builder.gep(data, [place]), vector.as_pointer()) for place in places]

        def shuffle(x: Any, y: Any, picks: list[int]) -> Any:
            chosen = ir.Constant(ir.VectorType(ir.IntType(32), lanes), picks)
            return builder.shuffle_vector(x, y, chosen)

        rows = [builder.load(pointer, align=size) for pointer in pointers(source, args[0])]
        # Swap the off-diagonal squares of size 1, 2, 4, ... of rows that lie `step` apart.
        step = 1
        while step < lanes:
            for i in (i for i in range(lanes) if not i & step):
                x, y = rows[i], rows[i + step]
                rows[i] = shuffle(x, y, [lanes + k - step if k & step else k for k in range(lanes)])
                rows[i + step] = shuffle(x, y, [lanes + k if k & step else k + step for k in range(lanes)])
            step *= 2
        for value, pointer in zip(rows, pointers(target, args[1]), strict=True):
            builder.store(value, pointer, align=size)
        return context.get_dummy_value()

    return signature, codegen


@loop
def transpose(source, target, rows, columns):
    """target[j, i] = source[i, j] for i < rows, j < columns, both multiples of the lanes of a vector.

    A square of vectors is turned by shuffles in registers, eight times faster than element by element. The rows of
    both are contiguous (their step is 1). Not checked.
    """
    lanes = tile_columns(source.data) // TILE_VECTORS
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            _transpose_square(shifted(source, i, j), shifted(target, j, i))


@loop
def multiply(c, a, b, rows, columns, depth, accumulate):
    """C[rows, columns] (+)= A[rows, depth] B[depth, columns].

    A may be strided both ways (so A transposed is free); B and C have contiguous rows. rows must be a multiple
    of TILE_ROWS, columns one of tile_columns, depth at least 1: the caller pads its buffers. Not checked.
    """
    width = tile_columns(c.data)
    for column in range(0, columns, width):
        for row in range(0, rows, TILE_ROWS):
            corner = shifted(c, row, column)
            multiply_tile(corner, corner, shifted(a, row, 0), shifted(b, 0, column), depth, accumulate)
