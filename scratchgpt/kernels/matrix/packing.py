"""Copies of the operands of a product in the order in which the register tile reads them.

A packed operand holds elements: a float each, or, in arrays of uint32, two bfloat16 that are neighbours in k
(runtime/precision.py). So the product of two packed operands is the same code in every precision, and the rounding
costs no pass over memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from scratchgpt.kernels.matrix.register_tile import TILE_ROWS, TILE_VECTORS, VECTOR_BYTES, tile_columns, transpose
from scratchgpt.kernels.runtime.dispatch import dense, loop
from scratchgpt.kernels.runtime.precision import BFloat, bf16_pair, precision


def plain(matrix: np.ndarray) -> np.ndarray:
    """The matrix itself if it or its transpose is dense, otherwise a copy."""
    return matrix if matrix.T.flags.c_contiguous and matrix.flags.writeable else dense(matrix)


def strided(matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The elements of a plain matrix as a flat array as they lie, and the strides of row and column in it."""
    if matrix.flags.c_contiguous:
        return matrix.reshape(-1), matrix.shape[1], 1
    return matrix.T.reshape(-1), 1, matrix.shape[0]


def element_type(matrix: np.ndarray) -> np.dtype:
    """The dtype of the packed operands: what the precision in force makes of float32, pairs of bfloat16 or itself."""
    return np.dtype(np.uint32) if precision() == "bf16" and matrix.dtype == np.float32 else matrix.dtype


def pair_size(packed):
    """How many numbers an element of `packed` holds: 2 for uint32, otherwise 1. Compiled code only."""
    raise NotImplementedError


def element(packed, first, second):
    """The element of `packed` made of one number or, if it holds two, of both. Compiled code only."""
    raise NotImplementedError


@overload(pair_size)
def _pair_size(packed):
    size = 2 if packed.dtype == types.uint32 else 1
    return lambda packed: size


@overload(element)
def _element(packed, first, second):
    if packed.dtype == types.uint32:
        return lambda packed, first, second: bf16_pair(first, second)
    return lambda packed, first, second: first


def _vector_copy(lanes_of: Callable[[Any], int], neighbours: bool) -> Any:
    """An intrinsic that makes several elements at once; LLVM finds vectors here only if they are written down.

    packed[to + i] is made of source[at + i] and source[at + i + step], or, with `neighbours`, of the elements of
    `source` as they follow one another from `at` on."""

    @intrinsic
    def copy(typing_context: Any, packed: Any, to: Any, source: Any, at: Any, step: Any) -> Any:
        pairs = packed.dtype == types.uint32
        lanes = lanes_of(packed)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            packed_array, to, source_array, at, step = args
            number, word, half = context.get_value_type(source.dtype), ir.IntType(32), ir.IntType(16)

            def place(kind: Any, array: Any, index: Any, content: Any) -> Any:
                data = context.make_array(kind)(context, builder, array).data
                return builder.bitcast(builder.gep(data, [index]), content.as_pointer())

            def numbers(index: Any, count: int) -> Any:
                content = ir.VectorType(number, count)
                return builder.load(place(source, source_array, index, content), align=source.dtype.bitwidth // 8)

            def halves(values: Any) -> Any:
                rounded = builder.fptrunc(values, ir.VectorType(BFloat(), values.type.count))
                return builder.bitcast(rounded, ir.VectorType(half, values.type.count))

            if not pairs:
                result = numbers(at, lanes)
            elif neighbours:
                result = builder.bitcast(halves(numbers(at, 2 * lanes)), ir.VectorType(word, lanes))
            else:
                words = ir.VectorType(word, lanes)
                low = builder.zext(halves(numbers(at, lanes)), words)
                high = builder.zext(halves(numbers(builder.add(at, step), lanes)), words)
                result = builder.or_(low, builder.shl(high, ir.Constant(words, [16] * lanes)))
            target = place(packed, packed_array, to, result.type)
            builder.store(result, target, align=packed.dtype.bitwidth // 8)
            return context.get_dummy_value()

        index = types.intp
        return types.void(packed, index, source, index, index), codegen

    return copy


def _vector_lanes(packed: Any) -> int:
    return VECTOR_BYTES * 8 // packed.dtype.bitwidth


_copy_neighbours = _vector_copy(_vector_lanes, neighbours=True)
_copy_across = _vector_copy(_vector_lanes, neighbours=False)
_copy_tile_rows = _vector_copy(lambda packed: TILE_ROWS, neighbours=False)


@loop
def pack_along(packed, to, source, at, count):
    """The elements made of `count` numbers that lie one after the other, from packed[to] on."""
    size = pair_size(packed)
    lanes = tile_columns(packed) // TILE_VECTORS
    whole = count // size
    vectors = whole // lanes * lanes
    for j in range(0, vectors, lanes):
        _copy_neighbours(packed, to + j, source, at + j * size, 1)
    for j in range(vectors, whole):
        packed[to + j] = element(packed, source[at + j * size], source[at + j * size + size - 1])
    if whole * size < count:
        packed[to + whole] = element(packed, source[at + whole * size], source.dtype.type(0))


@loop
def _edge_element(packed, source, at, step, present):
    """One element whose second number may lie beyond the end: then it is zero."""
    if present >= pair_size(packed):
        return element(packed, source[at], source[at + (pair_size(packed) - 1) * step])
    return element(packed, source[at], source.dtype.type(0))


@loop
def pack_panels(b, b_row, b_column, first_k, depth, first_column, columns, panels, turned):
    """panels[p, j, s] = element j of column first_column + p * width + s of B[first_k :], zeros beyond `columns`.

    B lies strided in flat b; `turned` is a buffer of one panel's shape the other way round."""
    size = pair_size(panels)
    count, panel_depth, width = panels.shape
    length = (depth + size - 1) // size
    start = first_k * b_row + first_column * b_column
    lanes = width // TILE_VECTORS
    flat = panels.reshape(-1)
    if b_column == 1:
        # Row by row through all panels: a row's columns lie together, the rows a page of memory apart.
        whole = columns // lanes * lanes
        for j in range(length):
            at = start + j * size * b_row
            vectors = whole if (j + 1) * size <= depth else 0
            for s in range(0, vectors, lanes):
                to = (s // width * panel_depth + j) * width + s % width
                _copy_across(flat, to, b, at + s, b_row)
            for s in range(vectors, count * width):
                to = (s // width * panel_depth + j) * width + s % width
                flat[to] = _edge_element(flat, b, at + s, b_row, depth - j * size) if s < columns else 0
        return
    # A transposed view: its columns lie one after the other. They are copied as rows and then turned in squares.
    flat_turned = turned.reshape(-1)
    round_length = (length + width - 1) // width * width  # the panel's depth is a multiple of its width
    for panel in range(count):
        for s in range(width):
            if panel * width + s < columns:
                pack_along(flat_turned, s * turned.shape[1], b, start + (panel * width + s) * b_column, depth)
            else:
                turned[s, :length] = 0
        transpose(flat_turned, 0, turned.shape[1], flat, panel * panel_depth * width, width, width, round_length)


@loop
def pack_rows(a, a_row, a_column, first_row, rows, first_k, depth, packed):
    """Elements of A[first_row : first_row + rows, first_k : first_k + depth] and zeros up to a whole tile of rows.

    Returns (row stride, step): row r begins at r * packed.shape[1] in whole tiles, its elements lie `step` apart.
    Rows that lie dense stay rows; a transposed view is copied tile by tile, (tile, element, row), since its own
    stride, often a power of two, would put every element of a tile into the same set of the first-level cache."""
    size = pair_size(packed)
    length, row_length = (depth + size - 1) // size, packed.shape[1]
    start = first_row * a_row + first_k * a_column
    padded = (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    flat = packed.reshape(-1)
    if a_column == 1:
        for r in range(rows):
            pack_along(flat, r * row_length, a, start + r * a_row, depth)
        packed[rows:padded, :length] = 0
        return row_length, 1
    for j in range(length):
        at = start + j * size * a_column
        whole_tiles = rows // TILE_ROWS * TILE_ROWS if (j + 1) * size <= depth else 0
        for first in range(0, whole_tiles, TILE_ROWS):
            _copy_tile_rows(flat, first * row_length + j * TILE_ROWS, a, at + first, a_column)
        for r in range(whole_tiles, padded):
            to = r // TILE_ROWS * TILE_ROWS * row_length + j * TILE_ROWS + r % TILE_ROWS
            flat[to] = _edge_element(flat, a, at + r, a_column, depth - j * size) if r < rows else 0
    return 1, TILE_ROWS
