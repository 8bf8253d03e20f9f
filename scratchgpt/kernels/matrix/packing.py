"""Copies of the operands of a product in the order in which the register tile reads them.

    panels[p, k, s] = B[k, p * width + s]        width: the columns of a register tile (register_tile.py)

A right operand is packed like that whether it serves one product (matmul.py) or many (panels.py), a left one in
blocks of rows. Both hold elements: a float each, or, in arrays of uint32, two bfloat16 that are neighbours in k
(runtime/precision.py). So the product of two packed operands is the same code in every precision, and the rounding
costs no pass over memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic, overload, register_jitable

from scratchgpt.kernels.matrix.register_tile import (
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
    Operand,
    operand,
    round_up,
    shifted,
    tile_columns,
    transpose,
    turned,
)
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.precision import BFloat, bf16_pair, precision, rounded

DEPTH_BLOCK = 512
"""Elements of k that are packed, and multiplied, at a time: a multiple of every tile's columns."""
PANEL_GROUP = 4
"""Panels that are packed together: as many columns of a row of B are read before the next row, a page away."""


def plain(matrix: np.ndarray) -> np.ndarray:
    """The matrix itself if it or its transpose is dense, otherwise a copy."""
    return matrix if matrix.T.flags.c_contiguous and matrix.flags.writeable else dense(matrix)


def strided(matrix: np.ndarray) -> Operand:
    """A plain matrix as an operand, as it lies."""
    return operand(matrix) if matrix.flags.c_contiguous else turned(operand(matrix.T))


def element_type(matrix: np.ndarray) -> np.dtype:
    """The dtype of the packed operands: what the precision in force makes of float32, pairs of bfloat16 or itself."""
    return np.dtype(np.uint32) if precision() == "bf16" and matrix.dtype == np.float32 else matrix.dtype


def pair_size(packed):
    """How many numbers an element of ``packed`` holds: 2 for uint32, otherwise 1. Compiled code only."""
    raise NotImplementedError


def element(packed, first, second):
    """The element of ``packed`` made of one number or, if it holds two, of both. Compiled code only."""
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

    packed[to + i] is made of source[at + i] and source[at + i + step], or, with ``neighbours``, of the elements of
    ``source`` as they follow one another from ``at`` on.
    """

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
    """The elements made of ``count`` numbers that lie one after the other, from packed[to] on."""
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
def pack_panels(b, depth, columns, panels, first, buffer):
    """panels[p, first + j, s] = element j of column p * width + s of B (depth, columns), zeros beyond the columns.

    ``buffer`` holds a panel the other way round: (width, at least ``depth`` elements).
    """
    size = pair_size(panels)
    count, panel_depth, width = panels.shape
    length = (depth + size - 1) // size
    lanes = width // TILE_VECTORS
    flat = panels.reshape(-1)
    if b.step == 1:
        # Row by row through all panels: a row's columns lie together, the rows a page of memory apart.
        whole = columns // lanes * lanes
        for j in range(length):
            at = b.offset + j * size * b.row
            vectors = whole if (j + 1) * size <= depth else 0
            for s in range(0, vectors, lanes):
                to = (s // width * panel_depth + first + j) * width + s % width
                _copy_across(flat, to, b.data, at + s, b.row)
            for s in range(vectors, count * width):
                to = (s // width * panel_depth + first + j) * width + s % width
                flat[to] = _edge_element(flat, b.data, at + s, b.row, depth - j * size) if s < columns else 0
        return
    # A transposed view: its columns lie one after the other. They are copied as rows and then turned in squares.
    flat_buffer = buffer.reshape(-1)
    for panel in range(count):
        for s in range(width):
            column = panel * width + s
            if column < columns:
                pack_along(flat_buffer, s * buffer.shape[1], b.data, b.offset + column * b.step, depth)
            else:
                buffer[s, :length] = 0
        # Whole squares: a panel is as deep as a multiple of its width.
        target = Operand(flat, (panel * panel_depth + first) * width, width, 1)
        transpose(operand(buffer), target, width, round_up(length, width))


@parallel_loop
def _pack(b, depth, columns, panels):
    count, _, width = panels.shape
    deepest = DEPTH_BLOCK * pair_size(panels)
    groups = (count + PANEL_GROUP - 1) // PANEL_GROUP
    for task in prange((depth + deepest - 1) // deepest * groups):
        block, group = divmod(np.int64(task), groups)
        k, panel = block * deepest, group * PANEL_GROUP
        used = panels[panel : min(panel + PANEL_GROUP, count)]
        inside = min(used.shape[0] * width, columns - panel * width)
        buffer = np.empty((width, DEPTH_BLOCK if b.step != 1 else 0), panels.dtype)
        from_here = shifted(b, k, panel * width)
        pack_panels(from_here, min(deepest, depth - k), inside, used, block * DEPTH_BLOCK, buffer)


def panels_shape(matrix: np.ndarray, depth: int) -> tuple[int, int, int]:
    """(P, J, width) of the panels of so many rows of a right operand."""
    width = tile_columns(matrix)
    length = -(-depth // 2) if element_type(matrix) == np.uint32 else depth
    # A transposed operand is turned in whole squares: a panel is as deep as a multiple of its width.
    return -(-matrix.shape[1] // width), round_up(length, width), width


def pack_part(b: np.ndarray, first_k: int, depth: int) -> np.ndarray:
    """The panels of rows first_k to first_k + depth of a plain matrix B, in the precision in force."""
    panels = np.empty(panels_shape(b, depth), element_type(b))
    _pack(shifted(strided(b), first_k, 0), depth, b.shape[1], panels)
    return panels


def pack_weights_reference(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The equation above in NumPy; see ``pack_weights``."""
    depth, columns = weights[0].shape
    count, length, width = panels_shape(weights[0], depth)
    padded = np.zeros((len(weights), 2 * length, count * width), weights[0].dtype)
    padded[:, :depth, :columns] = weights
    if element_type(weights[0]) == np.uint32:
        bits = rounded(padded).view(np.uint32)
        elements = bits[:, ::2] >> 16 | bits[:, 1::2]
    else:
        elements = padded[:, :length]
    return np.ascontiguousarray(elements.reshape(len(weights), length, count, width).swapaxes(1, 2))


@compiled(reference=pack_weights_reference)
def pack_weights(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The panels of L weights of one shape (K, N) in the precision in force: (L, P, J, width).

    There are zeros beyond the N columns. J is K, or K / 2 pairs, rounded up to a multiple of the width, and what
    lies beyond is never read; the type uint32 tells that they are pairs. Transposed views of contiguous arrays are
    read as they lie.

    Raises:
        ValueError: if the shapes differ.
    """
    shape = weights[0].shape
    require(
        all(weight.shape == shape for weight in weights),
        f"pack_weights: one shape is needed, not {[weight.shape for weight in weights]}",
    )
    packed = np.empty((len(weights), *panels_shape(weights[0], shape[0])), element_type(weights[0]))
    for weight, panels in zip(weights, packed, strict=True):
        _pack(strided(plain(weight)), *shape, panels)
    return packed


@loop
def pack_rows(a, rows, depth, packed):
    """The elements of A (rows, depth), and zeros up to a whole tile of rows, as ``first_tile`` describes them.

    Rows that lie dense stay rows; a transposed view is copied tile by tile, (tile, element, row), since its own
    stride, often a power of two, would put every element of a tile into the same set of the first-level cache.
    """
    size = pair_size(packed)
    length, row_length = (depth + size - 1) // size, packed.shape[1]
    padded = round_up(rows, TILE_ROWS)
    flat = packed.reshape(-1)
    if a.step == 1:
        for r in range(rows):
            pack_along(flat, r * row_length, a.data, a.offset + r * a.row, depth)
        packed[rows:padded, :length] = 0
        return
    for j in range(length):
        at = a.offset + j * size * a.step
        whole_tiles = rows // TILE_ROWS * TILE_ROWS if (j + 1) * size <= depth else 0
        for first in range(0, whole_tiles, TILE_ROWS):
            _copy_tile_rows(flat, first * row_length + j * TILE_ROWS, a.data, at + first, a.step)
        for r in range(whole_tiles, padded):
            to = r // TILE_ROWS * TILE_ROWS * row_length + j * TILE_ROWS + r % TILE_ROWS
            flat[to] = _edge_element(flat, a.data, at + r, a.step, depth - j * size) if r < rows else 0


@register_jitable
def first_tile(a, packed):
    """The first tile of rows that ``pack_rows`` made of A; the one of row r begins r * packed.shape[1] further on."""
    row, step = (packed.shape[1], 1) if a.step == 1 else (1, TILE_ROWS)
    return Operand(packed.reshape(-1), 0, row, step)
