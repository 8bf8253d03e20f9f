"""y = x W + b for a weight W that is packed once and used many times: the products of generating text.

    panels[p, k, s] = W[k, p * width + s]        width: the columns of a register tile (register_tile.py)

Generating reads every weight at every step while x has only a few rows. `matmul` packs W anew for each product,
which costs as much as the product itself; here the panels are kept, and the threads share them out, so that
each weight is read once from memory by one thread. What follows the product, the bias, GELU or the residual
sum, is applied to a tile while it is in the first-level cache. A row's result does not depend on how many other
rows there are.

`set_precision` (runtime/precision.py) decides, when a weight is packed, what its panels hold: numbers, or pairs
of bfloat16 that are neighbours in k. The rows x of a product are then rounded as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange, types
from numba.extending import overload

from scratchgpt.kernels.gelu import CUBIC, LINEAR, gelu_forward_reference
from scratchgpt.kernels.matrix.packing import element_type, pack_along, pack_panels, plain, strided
from scratchgpt.kernels.matrix.register_tile import TILE_ROWS, multiply, multiply_row, tile_columns
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.precision import rounded
from scratchgpt.kernels.runtime.threads import SMALL, num_threads
from scratchgpt.kernels.runtime.vector_math import sigmoid

ROW_BLOCK = 64
PANEL_GROUP = 4



def pack_weights_reference(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The equation above in NumPy; see `pack_weights`."""
    depth, columns = weights[0].shape
    width = tile_columns(weights[0])
    panels = -(-columns // width)
    packed = _empty_panels(weights)
    padded = np.zeros((len(weights), 2 * packed.shape[2], panels * width), weights[0].dtype)
    padded[:, :depth, :columns] = weights
    if packed.dtype == np.uint32:
        bits = rounded(padded).view(np.uint32)
        elements = bits[:, ::2] >> 16 | bits[:, 1::2]
    else:
        elements = padded[:, : packed.shape[2]]
    packed[...] = elements.reshape(len(weights), -1, panels, width).swapaxes(1, 2)
    return packed


def linear_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b in NumPy; see `linear`."""
    if panels.dtype == np.uint32:
        pairs = np.stack([panels << 16, panels & np.uint32(0xFFFF0000)], axis=2).view(np.float32)
        x, panels = rounded(x), pairs.reshape(len(panels), -1, panels.shape[2])
    products = x @ panels[:, : x.shape[1]]  # (panels, N, width)
    return products.swapaxes(0, 1).reshape(len(x), -1)[:, : len(bias)] + bias


def linear_gelu_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """gelu(x W + b) in NumPy; see `linear_gelu`."""
    return gelu_forward_reference(linear_reference(x, panels, bias))


def _empty_panels(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Room for the panels of the weights."""
    (depth, columns), width, kind = weights[0].shape, tile_columns(weights[0]), element_type(weights[0])
    length = -(-depth // 2) if kind == np.uint32 else depth
    # A transposed weight is turned in squares: a panel is as deep as a multiple of its width.
    return np.empty((len(weights), -(-columns // width), -(-length // width) * width, width), kind)


@parallel_loop
def _pack(weight, row, column, depth, columns, panels):
    count, _, width = panels.shape
    for group in prange((count + PANEL_GROUP - 1) // PANEL_GROUP):
        first = group * PANEL_GROUP
        target = panels[first : first + PANEL_GROUP]
        turned = np.empty((width, panels.shape[1] if column != 1 else 0), panels.dtype)
        inside = min(target.shape[0] * width, columns - first * width)
        pack_panels(weight, row, column, 0, depth, first * width, inside, target, turned)


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
def _multiply_tile(x, last_rows, row, panels, p, tile):
    """tile = x[row : row + TILE_ROWS] panels[p]; of a single row only the first of the tile."""
    depth, width = x.shape[1], panels.shape[2]
    start_of_panel = p * panels.shape[1] * width
    if x.shape[0] == 1:
        multiply_row(tile.reshape(-1), 0, x.reshape(-1), 0, panels.reshape(-1), start_of_panel, width, depth)
        return
    whole = row + TILE_ROWS <= x.shape[0]
    source, start = (x, row * depth) if whole else (last_rows, 0)
    multiply(
        tile.reshape(-1), 0, width, source.reshape(-1), start, depth, 1,
        panels.reshape(-1), start_of_panel, width, TILE_ROWS, width, depth, False,
    )  # fmt: skip


@loop
def _set_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y = x W + b, a part of it"""
    width = panels.shape[2]
    elements = _elements(x[first_row:end_row], panels)
    tile, last_rows = np.empty((TILE_ROWS, width), x.dtype), _last_rows(elements)
    for p in range(first_panel, end_panel):
        b = bias[p * width : (p + 1) * width]
        for row in range(0, elements.shape[0], TILE_ROWS):
            _multiply_tile(elements, last_rows, row, panels, p, tile)
            for r in range(min(TILE_ROWS, elements.shape[0] - row)):
                source, target = tile[r], y[first_row + row + r, p * width : (p + 1) * width]
                for s in range(target.size):
                    target[s] = source[s] + b[s]


@loop
def _add_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y += x W + b, a part of it"""
    width = panels.shape[2]
    elements = _elements(x[first_row:end_row], panels)
    tile, last_rows = np.empty((TILE_ROWS, width), x.dtype), _last_rows(elements)
    for p in range(first_panel, end_panel):
        b = bias[p * width : (p + 1) * width]
        for row in range(0, elements.shape[0], TILE_ROWS):
            _multiply_tile(elements, last_rows, row, panels, p, tile)
            for r in range(min(TILE_ROWS, elements.shape[0] - row)):
                source, target = tile[r], y[first_row + row + r, p * width : (p + 1) * width]
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


@compiled(reference=pack_weights_reference)
def pack_weights(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The panels of L weights of one shape (K, N) in the precision in force: (L, P, J, width).

    There are zeros beyond the N columns. J is K, or K / 2 pairs, rounded up to a multiple of the width, and what
    lies beyond is never read; the type uint32 tells that they are pairs. Transposed views of contiguous arrays are
    read as they lie. Raises ValueError if the shapes differ."""
    shape = weights[0].shape
    require(
        all(weight.shape == shape for weight in weights),
        f"pack_weights: one shape is needed, not {[weight.shape for weight in weights]}",
    )
    packed = _empty_panels(weights)
    for weight, panels in zip(weights, packed, strict=True):
        _pack(*strided(plain(weight)), *shape, panels)
    return packed


def _check(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> None:
    # Plain `if`s: prompts are read in a few milliseconds, and to format messages nobody reads would be 3% of them.
    pairs = panels.dtype == np.uint32
    fits = x.ndim == 2 and panels.ndim == 3 and bias.ndim == 1 and x.shape[1] > 0
    columns, length = panels.shape[0] * panels.shape[2], -(-x.shape[1] // 2) if pairs else x.shape[1]
    if not (fits and 0 <= columns - len(bias) < panels.shape[2] and 0 <= panels.shape[1] - length < panels.shape[2]):
        raise ValueError(f"linear: x {x.shape}, panels {panels.shape} and bias {bias.shape} do not fit")
    if not (x.dtype == bias.dtype and (x.dtype == np.float32 if pairs else x.dtype == panels.dtype)):
        raise ValueError(f"linear: dtypes {x.dtype}, {panels.dtype}, {bias.dtype} differ")


@compiled(reference=linear_reference)
def linear(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b: x (M, K), panels (P, J, width) of W (K, N), bias (N,) -> (M, N).

    Raises ValueError if shapes or dtypes do not fit."""
    _check(x, panels, bias)
    y = np.empty((len(x), len(bias)), x.dtype)
    linear_into(dense(x), dense(panels), dense(bias), y, num_threads())
    return y


@compiled(reference=linear_gelu_reference)
def linear_gelu(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """gelu(x W + b); see `linear`."""
    _check(x, panels, bias)
    y = np.empty((len(x), len(bias)), x.dtype)
    linear_gelu_into(dense(x), dense(panels), dense(bias), y, num_threads())
    return y
