"""Matrix product C = A B, and the same with bias and GELU applied while a block of C is still in cache.

Blocking after Goto & van de Geijn (2008): k is cut in blocks of 256, B is packed into panels one tile wide
(256 x 32 floats: 32 KB, first-level cache), A and C are worked on in blocks of rows that stay in the
second-level cache, and the register tile (register_tile.py) does the arithmetic.
"""

from __future__ import annotations


import numpy as np
from numba import prange

from scratchgpt.kernels.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.gelu import gelu_forward_reference, gelu_into
from scratchgpt.kernels.register_tile import TILE_ROWS, multiply, round_up, tile_columns

DEPTH_BLOCK = 256
ROW_BLOCK = 64


def matmul_reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b by NumPy's BLAS; see `matmul`."""
    return a @ b


def matmul_bias_gelu_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre) in NumPy; see `matmul_bias_gelu`."""
    pre = a @ b + bias
    return pre, gelu_forward_reference(pre)


@loop
def _pack_panel(b, first_k, depth, first_column, panel):
    """panel[k, s] = b[first_k + k, first_column + s], with zeros beyond the last column."""
    columns = min(panel.shape[1], b.shape[1] - first_column)
    for k in range(depth):
        source = b[first_k + k, first_column : first_column + columns]
        target = panel[k]
        for s in range(columns):
            target[s] = source[s]
        for s in range(columns, target.size):
            target[s] = 0


@loop
def _pack_rows(a, first_row, first_k, depth, packed):
    """packed[tile, k, r] = a[first_row + tile * TILE_ROWS + r, first_k + k], with zeros beyond the last row."""
    for tile in range(packed.shape[0]):
        row = first_row + tile * TILE_ROWS
        rows = min(TILE_ROWS, a.shape[0] - row)
        for k in range(depth):
            target = packed[tile, k]
            for r in range(rows):
                target[r] = a[row + r, first_k + k]
            for r in range(rows, TILE_ROWS):
                target[r] = 0


@loop
def _multiply_rows(a, packed_b, first_row, c):
    """One block of rows of C, all its columns."""
    rows, depth = a.shape
    columns = c.shape[1]
    blocks, panels, _, width = packed_b.shape
    tiles = (min(ROW_BLOCK, rows - first_row) + TILE_ROWS - 1) // TILE_ROWS
    packed_a = np.empty((tiles, DEPTH_BLOCK, TILE_ROWS), a.dtype)
    edge = np.empty((TILE_ROWS, width), a.dtype)
    flat = c.reshape(-1)
    for block in range(blocks):
        size = min(DEPTH_BLOCK, depth - block * DEPTH_BLOCK)
        _pack_rows(a, first_row, block * DEPTH_BLOCK, size, packed_a)
        for panel in range(panels):
            column = panel * width
            right = packed_b[block, panel].reshape(-1)
            for tile in range(tiles):
                row = first_row + tile * TILE_ROWS
                left = packed_a[tile].reshape(-1)
                if row + TILE_ROWS <= rows and column + width <= columns:
                    multiply(
                        flat, row * columns + column, columns, left, 0, 1, TILE_ROWS, right, 0, width,
                        TILE_ROWS, width, size, block > 0,
                    )  # fmt: skip
                else:
                    # A tile over the edge goes to a buffer, and only what lies inside is copied out of it.
                    multiply(
                        edge.reshape(-1), 0, width, left, 0, 1, TILE_ROWS, right, 0, width,
                        TILE_ROWS, width, size, False,
                    )  # fmt: skip
                    for r in range(min(TILE_ROWS, rows - row)):
                        for s in range(min(width, columns - column)):
                            if block > 0:
                                c[row + r, column + s] += edge[r, s]
                            else:
                                c[row + r, column + s] = edge[r, s]


@parallel_loop
def _pack(b, packed):
    blocks, panels, _, width = packed.shape
    for task in prange(blocks * panels):
        block, panel = divmod(np.int64(task), panels)
        first_k = block * DEPTH_BLOCK
        _pack_panel(b, first_k, min(DEPTH_BLOCK, b.shape[0] - first_k), panel * width, packed[block, panel])


@parallel_loop
def _multiply(a, packed_b, c):
    for task in prange((a.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK):
        _multiply_rows(a, packed_b, np.int64(task) * ROW_BLOCK, c)


@parallel_loop
def _multiply_bias_gelu(a, packed_b, bias, pre, out):
    for task in prange((a.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK):
        first_row = np.int64(task) * ROW_BLOCK
        _multiply_rows(a, packed_b, first_row, pre)
        for i in range(first_row, min(first_row + ROW_BLOCK, a.shape[0])):
            row = pre[i]
            for j in range(row.size):
                row[j] += bias[j]
            gelu_into(row, out[i])


def _packed(b: np.ndarray) -> np.ndarray:
    width = tile_columns(b)
    panels, blocks = -(-b.shape[1] // width), -(-b.shape[0] // DEPTH_BLOCK)
    packed = np.empty((blocks, panels, min(DEPTH_BLOCK, b.shape[0]), width), b.dtype)
    _pack(dense(b), packed)
    return packed


def _check(a: np.ndarray, b: np.ndarray) -> None:
    require(
        a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] > 0 and a.dtype == b.dtype,
        f"matmul: a {a.shape} {a.dtype} and b {b.shape} {b.dtype} do not fit",
    )


@compiled(reference=matmul_reference)
def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) times b (K, N): (M, N). Raises ValueError if shapes or dtypes do not fit."""
    _check(a, b)
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)
    _multiply(dense(a), _packed(b), c)
    return c


@compiled(reference=matmul_bias_gelu_reference)
def matmul_bias_gelu(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre), each (M, N), for a (M, K), b (K, N), bias (N,).

    Backward needs pre. Raises ValueError if shapes or dtypes do not fit."""
    _check(a, b)
    require(bias.shape == b.shape[1:], f"matmul_bias_gelu: bias {bias.shape} for {b.shape[1]} columns")
    pre = np.empty((a.shape[0], b.shape[1]), a.dtype)
    out = np.empty_like(pre)
    _multiply_bias_gelu(dense(a), _packed(b), dense(bias), pre, out)
    return pre, out
