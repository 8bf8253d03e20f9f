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
from scratchgpt.kernels.register_tile import TILE_ROWS, multiply, tile_columns, transpose

DEPTH_BLOCK = 256
ROW_BLOCK = 64
PACKED_ELEMENTS = 1 << 20


def matmul_reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b by NumPy's BLAS; see `matmul`."""
    return a @ b


def matmul_bias_gelu_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre) in NumPy; see `matmul_bias_gelu`."""
    pre = a @ b + bias
    return pre, gelu_forward_reference(pre)


# Why this is fast: see register_tile.py for the arithmetic. The blocks see to it that the tile never waits: a
# panel of B stays in the first-level cache while all tiles of a block of rows go over it. B is turned while it
# is packed where it is a transposed view, and A is read where it lies, so that the products of backward,
# dY W^T and X^T dY, need no copies.


@loop
def _pack_panel(b, b_row, b_column, first_k, depth, first_column, columns, panel):
    """panel[k, s] = B[first_k + k, first_column + s] for s < columns, then zeros; B lies strided in flat b."""
    start = first_k * b_row + first_column * b_column
    turned = 0
    if b_column == 1:
        for k in range(depth):
            source = b[start + k * b_row : start + k * b_row + columns]
            target = panel[k]
            for s in range(columns):
                target[s] = source[s]
    else:
        width = panel.shape[1]
        if columns == width:
            turned = depth // width * width
            transpose(b, start, b_column, panel.reshape(-1), 0, width, width, turned)
        for k in range(turned, depth):
            for s in range(columns):
                panel[k, s] = b[start + k * b_row + s * b_column]
    panel[:depth, columns:] = 0


@loop
def _pack_rows(a, a_row, a_column, first_row, rows, first_k, depth, packed):
    """packed[k, r] = A[first_row + r, first_k + k] for r < rows, then zeros: one tile of rows."""
    start = first_row * a_row + first_k * a_column
    for k in range(depth):
        target = packed[k]
        for r in range(rows):
            target[r] = a[start + r * a_row + k * a_column]
        for r in range(rows, TILE_ROWS):
            target[r] = 0


@loop
def _copy_edge(edge, c, row, column, add):
    """Write the part of the tile at (row, column) that lies inside C, or add it to what is there."""
    for r in range(min(edge.shape[0], c.shape[0] - row)):
        for s in range(min(edge.shape[1], c.shape[1] - column)):
            c[row + r, column + s] = edge[r, s] + (c[row + r, column + s] if add else edge.dtype.type(0))


@loop
def _multiply_rows(a, a_row, a_column, first_k, depth, packed_b, first_row, c, add):
    """One block of rows of C, all its columns: (+)= A[:, first_k : first_k + depth] times the packed part of B."""
    rows, columns = c.shape
    blocks, panels, panel_depth, width = packed_b.shape
    last_row = min(first_row + ROW_BLOCK, rows)
    last_tile = np.empty((DEPTH_BLOCK, TILE_ROWS), a.dtype)
    edge = np.empty((TILE_ROWS, width), a.dtype)
    flat_tile, flat_b, flat_c, flat_edge = last_tile.reshape(-1), packed_b.reshape(-1), c.reshape(-1), edge.reshape(-1)
    for block in range(blocks):
        k = first_k + block * DEPTH_BLOCK
        size = min(DEPTH_BLOCK, depth - block * DEPTH_BLOCK)
        more = add or block > 0
        if last_row % TILE_ROWS:
            row = last_row // TILE_ROWS * TILE_ROWS
            _pack_rows(a, a_row, a_column, row, rows - row, k, size, last_tile)
        for panel in range(panels):
            column = panel * width
            right = (block * panels + panel) * panel_depth * width
            for row in range(first_row, last_row, TILE_ROWS):
                whole_rows = row + TILE_ROWS <= rows
                if whole_rows:
                    source, left, left_row, left_step = a, row * a_row + k * a_column, a_row, a_column
                else:
                    source, left, left_row, left_step = flat_tile, 0, 1, TILE_ROWS
                inside = whole_rows and column + width <= columns
                # A tile over the edge goes to a buffer; only what lies inside is copied out of it.
                target, corner, stride = (flat_c, row * columns + column, columns) if inside else (flat_edge, 0, width)
                multiply(
                    target, corner, stride, source, left, left_row, left_step, flat_b, right, width,
                    TILE_ROWS, width, size, inside and more,
                )  # fmt: skip
                if not inside:
                    _copy_edge(edge, c, row, column, more)


@parallel_loop
def _pack(b, b_row, b_column, first_k, depth, columns, packed):
    blocks, panels, _, width = packed.shape
    for task in prange(blocks * panels):
        block, panel = divmod(np.int64(task), panels)
        column = panel * width
        size = min(DEPTH_BLOCK, depth - block * DEPTH_BLOCK)
        k = first_k + block * DEPTH_BLOCK
        _pack_panel(b, b_row, b_column, k, size, column, min(width, columns - column), packed[block, panel])


@parallel_loop
def _multiply(a, a_row, a_column, first_k, depth, packed_b, c, add):
    for task in prange((c.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK):
        _multiply_rows(a, a_row, a_column, first_k, depth, packed_b, np.int64(task) * ROW_BLOCK, c, add)


@parallel_loop
def _multiply_bias_gelu(a, a_row, a_column, depth, packed_b, bias, pre, out):
    for task in prange((pre.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK):
        first_row = np.int64(task) * ROW_BLOCK
        _multiply_rows(a, a_row, a_column, 0, depth, packed_b, first_row, pre, False)
        for i in range(first_row, min(first_row + ROW_BLOCK, pre.shape[0])):
            row = pre[i]
            for j in range(row.size):
                row[j] += bias[j]
            gelu_into(row, out[i])


def _plain(matrix: np.ndarray) -> np.ndarray:
    """The matrix itself if it or its transpose is dense, otherwise a copy."""
    return matrix if matrix.T.flags.c_contiguous and matrix.flags.writeable else dense(matrix)


def _strided(matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The elements of a plain matrix as a flat array as they lie, and the strides of row and column in it."""
    if matrix.flags.c_contiguous:
        return matrix.reshape(-1), matrix.shape[1], 1
    return matrix.T.reshape(-1), 1, matrix.shape[0]


def _packed(b: np.ndarray, first_k: int, depth: int) -> np.ndarray:
    """Rows first_k to first_k + depth of B as (block of depth, panel, k, column)."""
    width = tile_columns(b)
    panels = -(-b.shape[1] // width)
    packed = np.empty((-(-depth // DEPTH_BLOCK), panels, min(DEPTH_BLOCK, depth), width), b.dtype)
    _pack(*_strided(b), first_k, depth, b.shape[1], packed)
    return packed


def _check(a: np.ndarray, b: np.ndarray) -> None:
    require(
        a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] > 0 and a.dtype == b.dtype,
        f"matmul: a {a.shape} {a.dtype} and b {b.shape} {b.dtype} do not fit",
    )


@compiled(reference=matmul_reference)
def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) times b (K, N): (M, N). Transposed views of contiguous arrays are used without a copy.

    Raises ValueError if shapes or dtypes do not fit."""
    _check(a, b)
    a, b = _plain(a), _plain(b)
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)
    # A deep product (the gradient of a weight: the depth is the number of tokens) goes in several parts, so that
    # the packed part of B stays in the third-level cache and its buffer costs no page faults.
    depth, columns = b.shape
    most = max(1, PACKED_ELEMENTS // (columns * DEPTH_BLOCK)) * DEPTH_BLOCK
    for first_k in range(0, depth, most):
        size = min(most, depth - first_k)
        _multiply(*_strided(a), first_k, size, _packed(b, first_k, size), c, first_k > 0)
    return c


@compiled(reference=matmul_bias_gelu_reference)
def matmul_bias_gelu(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre), each (M, N), for a (M, K), b (K, N), bias (N,).

    Backward needs pre. Raises ValueError if shapes or dtypes do not fit."""
    _check(a, b)
    require(bias.shape == b.shape[1:], f"matmul_bias_gelu: bias {bias.shape} for {b.shape[1]} columns")
    a, b = _plain(a), _plain(b)
    pre = np.empty((a.shape[0], b.shape[1]), a.dtype)
    out = np.empty_like(pre)
    _multiply_bias_gelu(*_strided(a), a.shape[1], _packed(b, 0, a.shape[1]), dense(bias), pre, out)
    return pre, out
