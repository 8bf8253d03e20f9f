"""y = x W + b for a weight W that is packed once and used many times: the products of generating text.

Generating reads every weight at every step while x has only a few rows. ``matmul`` packs W anew for each product,
which costs as much as the product itself; here the panels of ``pack_weights`` (packing.py) are kept, and the threads
share them out, so that each weight is read once from memory by one thread. What follows the product, the bias, GELU
or the residual sum, is applied to a tile while it is in the first-level cache. A row's result does not depend on how
many other rows there are.

``set_precision`` (runtime/precision.py) decides, when a weight is packed, what its panels hold: numbers, or pairs
of bfloat16 that are neighbours in k. The rows x of a product are then rounded as well.
"""

from __future__ import annotations

import numpy as np
from numba import prange, types
from numba.extending import overload

from scratchgpt.kernels.gelu import CUBIC, LINEAR, gelu_forward_reference
from scratchgpt.kernels.matrix.packing import pack_along
from scratchgpt.kernels.matrix.register_tile import (
    TILE_ROWS,
    Operand,
    multiply,
    multiply_row,
    operand,
    round_up,
    shifted,
)
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop
from scratchgpt.kernels.runtime.precision import rounded
from scratchgpt.kernels.runtime.threads import SMALL, num_threads
from scratchgpt.kernels.runtime.vector_math import sigmoid

ROW_BLOCK = round_up(64, TILE_ROWS)


def linear_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b in NumPy; see ``linear``."""
    if panels.dtype == np.uint32:
        pairs = np.stack([panels << 16, panels & np.uint32(0xFFFF0000)], axis=2).view(np.float32)
        x, panels = rounded(x), pairs.reshape(len(panels), -1, panels.shape[2])
    products = x @ panels[:, : x.shape[1]]  # (panels, N, width)
    return products.swapaxes(0, 1).reshape(len(x), -1)[:, : len(bias)] + bias


def linear_gelu_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """gelu(x W + b) in NumPy; see ``linear_gelu``."""
    return gelu_forward_reference(linear_reference(x, panels, bias))


def _elements(x, panels):
    """The rows of x as elements like those of the panels. Compiled code only."""
    raise NotImplementedError


@overload(_elements)
def _elements_of(x, panels):
    if panels.dtype == types.uint32:
        return lambda x, panels: _round_rows(x, panels)
    return lambda x, panels: x


@loop
def _round_rows(x, panels):
    rows, depth = x.shape
    elements = np.empty((rows, (depth + 1) // 2), panels.dtype)
    for r in range(rows):
        pack_along(elements[r], 0, x[r], 0, depth)
    return elements


@loop
def _cut(rows, panels, threads):
    """In how many blocks to cut the rows, and in how many groups the panels: few blocks could not be shared evenly."""
    blocks = (rows + ROW_BLOCK - 1) // ROW_BLOCK
    return blocks, 1 if blocks >= 4 * threads else min(panels, threads)


@loop
def _part(task, blocks, groups, rows, panels):
    """What a task works on: first row, end row, first panel, end panel. A group's tasks follow one another."""
    group, block = task // blocks, task % blocks
    first_row = block * ROW_BLOCK
    return first_row, min(first_row + ROW_BLOCK, rows), group * panels // groups, (group + 1) * panels // groups


@loop
def _last_rows(x):
    """The rows of x that do not fill a tile, made a tile by rows of zeros; nothing of a single row."""
    first = x.shape[0] // TILE_ROWS * TILE_ROWS if x.shape[0] > 1 else 1
    tile = np.zeros((TILE_ROWS if first < x.shape[0] else 0, x.shape[1]), x.dtype)
    for r in range(x.shape[0] - first):
        tile[r] = x[first + r]
    return tile


@loop
def _multiply_tile(x, last_rows, rows, row, panel, depth, tile):
    """tile = rows ``row`` and on of x (rows, depth) times a panel; of a single row only the first of the tile."""
    if rows == 1:
        multiply_row(tile, tile, x, panel, depth, False)
    elif row + TILE_ROWS <= rows:
        multiply(tile, shifted(x, row, 0), panel, TILE_ROWS, panel.row, depth, False)
    else:
        multiply(tile, last_rows, panel, TILE_ROWS, panel.row, depth, False)


@loop
def _set_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y = x W + b, a part of it"""
    _, panel_depth, width = panels.shape
    elements = _elements(x[first_row:end_row], panels)
    rows, depth = elements.shape
    sums, flat = np.empty((TILE_ROWS, width), x.dtype), panels.reshape(-1)
    tile, left, last = operand(sums), operand(elements), operand(_last_rows(elements))
    for p in range(first_panel, end_panel):
        panel = Operand(flat, p * panel_depth * width, width, 1)
        b = bias[p * width : (p + 1) * width]
        for row in range(0, rows, TILE_ROWS):
            _multiply_tile(left, last, rows, row, panel, depth, tile)
            for r in range(min(TILE_ROWS, rows - row)):
                source, target = sums[r], y[first_row + row + r, p * width : (p + 1) * width]
                for s in range(target.size):
                    target[s] = source[s] + b[s]


@loop
def _add_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y += x W + b, a part of it"""
    _, panel_depth, width = panels.shape
    elements = _elements(x[first_row:end_row], panels)
    rows, depth = elements.shape
    sums, flat = np.empty((TILE_ROWS, width), x.dtype), panels.reshape(-1)
    tile, left, last = operand(sums), operand(elements), operand(_last_rows(elements))
    for p in range(first_panel, end_panel):
        panel = Operand(flat, p * panel_depth * width, width, 1)
        b = bias[p * width : (p + 1) * width]
        for row in range(0, rows, TILE_ROWS):
            _multiply_tile(left, last, rows, row, panel, depth, tile)
            for r in range(min(TILE_ROWS, rows - row)):
                source, target = sums[r], y[first_row + row + r, p * width : (p + 1) * width]
                for s in range(target.size):
                    target[s] += source[s] + b[s]


@loop
def _gelu(y):
    """y = gelu(y) for an array (N,)"""
    linear, cubic = y.dtype.type(LINEAR), y.dtype.type(CUBIC)
    for i in range(y.size):
        y[i] = y[i] * sigmoid(y[i] * (linear + cubic * y[i] * y[i]))


@parallel_loop
def linear_into(x, panels, bias, y, threads):
    """y = x W + b for dense arrays, inside other kernels as well."""
    if threads == 1 or x.shape[0] * panels.size <= SMALL:
        _set_part(x, panels, bias, y, 0, x.shape[0], 0, panels.shape[0])
        return
    blocks, groups = _cut(x.shape[0], panels.shape[0], threads)
    for task in prange(blocks * groups):
        rows_and_panels = _part(np.int64(task), blocks, groups, x.shape[0], panels.shape[0])
        _set_part(x, panels, bias, y, *rows_and_panels)


@parallel_loop
def linear_gelu_into(x, panels, bias, y, threads):
    """y = gelu(x W + b) for dense arrays, inside other kernels as well."""
    if threads == 1 or x.shape[0] * panels.size <= SMALL:
        _set_part(x, panels, bias, y, 0, x.shape[0], 0, panels.shape[0])
        _gelu(y.reshape(-1))
        return
    width = panels.shape[2]
    blocks, groups = _cut(x.shape[0], panels.shape[0], threads)
    for task in prange(blocks * groups):
        rows_and_panels = _part(np.int64(task), blocks, groups, x.shape[0], panels.shape[0])
        _set_part(x, panels, bias, y, *rows_and_panels)
        first_row, end_row, first_panel, end_panel = rows_and_panels
        for row in range(first_row, end_row):
            _gelu(y[row, first_panel * width : end_panel * width])


@parallel_loop
def linear_add_into(x, panels, bias, y, threads):
    """y += x W + b for dense arrays, inside other kernels as well."""
    if threads == 1 or x.shape[0] * panels.size <= SMALL:
        _add_part(x, panels, bias, y, 0, x.shape[0], 0, panels.shape[0])
        return
    blocks, groups = _cut(x.shape[0], panels.shape[0], threads)
    for task in prange(blocks * groups):
        rows_and_panels = _part(np.int64(task), blocks, groups, x.shape[0], panels.shape[0])
        _add_part(x, panels, bias, y, *rows_and_panels)


def _check(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> None:
    # Plain `if`s: prompts are read in a few milliseconds, and to format messages nobody reads would be 3% of them.
    pairs = panels.dtype == np.uint32
    fits = x.ndim == 2 and panels.ndim == 3 and bias.ndim == 1 and x.shape[1] > 0
    if fits:
        count, deep, width = panels.shape
        length = -(-x.shape[1] // 2) if pairs else x.shape[1]
        fits = 0 <= count * width - len(bias) < width and 0 <= deep - length < width
    if not fits:
        raise ValueError(f"linear: x {x.shape}, panels {panels.shape} and bias {bias.shape} do not fit")
    if not (x.dtype == bias.dtype and (x.dtype == np.float32 if pairs else x.dtype == panels.dtype)):
        raise ValueError(f"linear: dtypes {x.dtype}, {panels.dtype}, {bias.dtype} differ")


@compiled(reference=linear_reference)
def linear(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b: x (M, K), panels (P, J, width) of W (K, N), bias (N,) -> (M, N).

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check(x, panels, bias)
    y = np.empty((len(x), len(bias)), x.dtype)
    linear_into(dense(x), dense(panels), dense(bias), y, num_threads())
    return y


@compiled(reference=linear_gelu_reference)
def linear_gelu(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """gelu(x W + b); see ``linear``."""
    _check(x, panels, bias)
    y = np.empty((len(x), len(bias)), x.dtype)
    linear_gelu_into(dense(x), dense(panels), dense(bias), y, num_threads())
    return y
