"""y = x W + b for a weight W that is packed once and used many times: the products of generating text.

    panels[p, k, s] = W[k, p * width + s]        width: the columns of a register tile (register_tile.py)

Generating reads every weight at every step while x has only a few rows. `matmul` packs W anew for each product,
which costs as much as the product itself; here the panels are kept, and the threads share them out, so that
each weight is read once from memory by one thread. What follows the product, the bias, GELU or the residual
sum, is applied to a tile while it is in the first-level cache. A row's result does not depend on how many other
rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange

from scratchgpt.kernels.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.gelu import CUBIC, LINEAR, gelu_forward_reference
from scratchgpt.kernels.register_tile import TILE_ROWS, TILE_VECTORS, multiply, tile_columns, transpose
from scratchgpt.kernels.threads import num_threads
from scratchgpt.kernels.vector_math import sigmoid

ROW_BLOCK = 64


def pack_weights_reference(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The equation above in NumPy; see `pack_weights`."""
    depth, columns = weights[0].shape
    width = tile_columns(weights[0])
    panels = -(-columns // width)
    padded = np.zeros((len(weights), depth, panels * width), weights[0].dtype)
    padded[:, :, :columns] = weights
    return np.ascontiguousarray(padded.reshape(len(weights), depth, panels, width).swapaxes(1, 2))


def linear_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b in NumPy; see `linear`."""
    products = x @ panels  # (panels, N, width)
    return products.swapaxes(0, 1).reshape(len(x), -1)[:, : len(bias)] + bias


def linear_gelu_reference(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """gelu(x W + b) in NumPy; see `linear_gelu`."""
    return gelu_forward_reference(linear_reference(x, panels, bias))


@parallel_loop
def _pack_rows(weight, panels):
    """Row by row through all panels: memory is read as it lies."""
    width = panels.shape[2]
    for k in prange(weight.shape[0]):
        for p in range(panels.shape[0]):
            source, target = weight[k, p * width : (p + 1) * width], panels[p, k]
            for s in range(source.size):
                target[s] = source[s]
            target[source.size :] = 0


@parallel_loop
def _pack_columns(columns, panels):
    """The same for a weight given by its columns (N, K): squares of it are turned in registers."""
    depth, width = panels.shape[1:]
    lanes = width // TILE_VECTORS
    for p in prange(panels.shape[0]):
        part, panel = columns[p * width : (p + 1) * width], panels[p]
        turned = depth // lanes * lanes if part.shape[0] == width else 0
        transpose(part.reshape(-1), 0, depth, panel.reshape(-1), 0, width, width, turned)
        for k in range(turned, depth):
            for s in range(part.shape[0]):
                panel[k, s] = part[s, k]
        panel[:, part.shape[0] :] = 0


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
    """The rows of x that do not fill a tile, made a tile by rows of zeros."""
    first = x.shape[0] // TILE_ROWS * TILE_ROWS
    tile = np.zeros((TILE_ROWS, x.shape[1]), x.dtype)
    for r in range(x.shape[0] - first):
        tile[r] = x[first + r]
    return tile


@loop
def _multiply_tile(x, last_rows, row, panels, p, tile):
    """tile = x[row : row + TILE_ROWS] panels[p]"""
    depth, width = panels.shape[1:]
    whole = row + TILE_ROWS <= x.shape[0]
    source, start = (x, row * depth) if whole else (last_rows, 0)
    multiply(
        tile.reshape(-1), 0, width, source.reshape(-1), start, depth, 1,
        panels.reshape(-1), p * depth * width, width, TILE_ROWS, width, depth, False,
    )  # fmt: skip


@loop
def _set_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y = x W + b, a part of it"""
    width = panels.shape[2]
    tile, last_rows = np.empty((TILE_ROWS, width), x.dtype), _last_rows(x)
    for p in range(first_panel, end_panel):
        b = bias[p * width : (p + 1) * width]
        for row in range(first_row, end_row, TILE_ROWS):
            _multiply_tile(x, last_rows, row, panels, p, tile)
            for r in range(min(TILE_ROWS, end_row - row)):
                source, target = tile[r], y[row + r, p * width : (p + 1) * width]
                for s in range(target.size):
                    target[s] = source[s] + b[s]


@loop
def _add_part(x, panels, bias, y, first_row, end_row, first_panel, end_panel):
    """y += x W + b, a part of it"""
    width = panels.shape[2]
    tile, last_rows = np.empty((TILE_ROWS, width), x.dtype), _last_rows(x)
    for p in range(first_panel, end_panel):
        b = bias[p * width : (p + 1) * width]
        for row in range(first_row, end_row, TILE_ROWS):
            _multiply_tile(x, last_rows, row, panels, p, tile)
            for r in range(min(TILE_ROWS, end_row - row)):
                source, target = tile[r], y[row + r, p * width : (p + 1) * width]
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
    blocks, groups = _cut(x.shape[0], panels.shape[0], threads)
    for task in prange(blocks * groups):
        rows_and_panels = _part(np.int64(task), blocks, groups, x.shape[0], panels.shape[0])
        _set_part(x, panels, bias, y, *rows_and_panels)


@parallel_loop
def linear_gelu_into(x, panels, bias, y, threads):
    """y = gelu(x W + b) for dense arrays, inside other kernels as well."""
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
    blocks, groups = _cut(x.shape[0], panels.shape[0], threads)
    for task in prange(blocks * groups):
        rows_and_panels = _part(np.int64(task), blocks, groups, x.shape[0], panels.shape[0])
        _add_part(x, panels, bias, y, *rows_and_panels)


@compiled(reference=pack_weights_reference)
def pack_weights(weights: Sequence[np.ndarray]) -> np.ndarray:
    """The panels of L weights of one shape (K, N): (L, P, K, width), with zeros beyond the N columns.

    Transposed views of contiguous arrays are read as they lie. Raises ValueError if the shapes differ."""
    depth, columns = weights[0].shape
    require(
        all(weight.shape == (depth, columns) for weight in weights),
        f"pack_weights: one shape is needed, not {[weight.shape for weight in weights]}",
    )
    width = tile_columns(weights[0])
    packed = np.empty((len(weights), -(-columns // width), depth, width), weights[0].dtype)
    for weight, panels in zip(weights, packed, strict=True):
        if weight.T.flags.c_contiguous and not weight.flags.c_contiguous:
            _pack_columns(dense(weight.T), panels)
        else:
            _pack_rows(dense(weight), panels)
    return packed


def _check(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> None:
    fits = x.ndim == 2 and panels.ndim == 3 and bias.ndim == 1 and x.shape[1] == panels.shape[1] > 0
    require(
        fits and 0 <= panels.shape[0] * panels.shape[2] - len(bias) < panels.shape[2],
        f"linear: x {x.shape}, panels {panels.shape} and bias {bias.shape} do not fit",
    )
    require(x.dtype == panels.dtype == bias.dtype, f"linear: dtypes {x.dtype}, {panels.dtype}, {bias.dtype} differ")


@compiled(reference=linear_reference)
def linear(x: np.ndarray, panels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W + b: x (M, K), panels (P, K, width) of W (K, N), bias (N,) -> (M, N).

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
