"""Matrix product C = A B, and the same with what a linear layer needs before and after it, done while it is in cache.

Blocking after Goto & van de Geijn (2008): k is cut in blocks, B is packed into panels one tile wide (512 x 32
elements) and A in blocks of 64 rows, both small enough for the second-level cache, which feeds the register tile
(register_tile.py) as fast as it works. ``set_precision`` (runtime/precision.py) decides what an element is: a
float32, or a pair of bfloat16, with which all products below take half the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from scratchgpt.kernels.gelu import gelu_again_into, gelu_backward_reference, gelu_forward_reference, gelu_into
from scratchgpt.kernels.matrix.packing import (
    DEPTH_BLOCK,
    PANEL_GROUP,
    element_type,
    first_tile,
    pack_panels,
    pack_part,
    pack_rows,
    pair_size,
    plain,
    strided,
)
from scratchgpt.kernels.matrix.register_tile import (
    TILE_ROWS,
    Operand,
    multiply_tile,
    operand,
    round_up,
    shifted,
    tile_columns,
    turned,
)
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.precision import precision, rounded
from scratchgpt.kernels.runtime.threads import num_threads

ROW_BLOCK = round_up(64, TILE_ROWS)
ROW_GROUP = 4 * ROW_BLOCK
PACKED_ELEMENTS = 1 << 20
PLAIN_DEPTH, PLAIN_COLUMNS = 32, 256
"""A block of B in ``matmul_blocked``: 32 KB of float32, what a first-level cache holds."""


class PackedMatrix(NamedTuple):
    """A right operand packed once for many products, see ``pack``.

    ``panels`` is (panel, element, column), see packing.py, None on the NumPy backend; ``matrix`` the matrix itself.
    """

    matrix: np.ndarray
    panels: np.ndarray | None


def matmul_reference(a: np.ndarray, b: np.ndarray | PackedMatrix, bias: np.ndarray | None = None) -> np.ndarray:
    """a @ b + bias by NumPy's BLAS; in bf16, of the rounded operands. See ``matmul``."""
    b = b.matrix if isinstance(b, PackedMatrix) else b
    if precision() == "bf16" and a.dtype == np.float32:
        a, b = rounded(a), rounded(b)
    return a @ b if bias is None else a @ b + bias


def matmul_gelu_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre) in NumPy; see ``matmul_gelu``."""
    pre = matmul_reference(a, b, bias)
    return pre, gelu_forward_reference(pre)


def matmul_gelu_backward_reference(grad: np.ndarray, b: np.ndarray, pre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(grad @ b) * gelu'(pre) and gelu(pre) in NumPy; see ``matmul_gelu_backward``."""
    return gelu_backward_reference(matmul_reference(grad, b), pre), gelu_forward_reference(pre)


def add_matmul_reference(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """c += a @ b in NumPy; see ``add_matmul``."""
    c += matmul_reference(a, b)


def weight_gradient_reference(x: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x^T grad and the column sums of grad in NumPy; see ``weight_gradient``."""
    return matmul_reference(x.T, grad), grad.sum(axis=0)


@loop
def matmul_blocked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) times b (K, N) in plain loops over blocks: the rung between ``matmul_reference`` and ``matmul``.

    A block of B is copied together and stays in the first-level cache while every row of A goes over it; the innermost
    loop runs along a row, as vectors. What is missing is that every sum is loaded and stored at every k.
    """
    rows, depth = a.shape
    columns = b.shape[1]
    c = np.zeros((rows, columns), a.dtype)
    for first_k in range(0, depth, PLAIN_DEPTH):
        for first_column in range(0, columns, PLAIN_COLUMNS):
            block = b[first_k : first_k + PLAIN_DEPTH, first_column : first_column + PLAIN_COLUMNS].copy()
            for i in range(rows):
                sums = c[i, first_column : first_column + PLAIN_COLUMNS]
                for k in range(block.shape[0]):
                    factor, row = a[i, first_k + k], block[k]
                    for j in range(sums.size):
                        sums[j] += factor * row[j]
    return c


# Why this is fast: see register_tile.py for the arithmetic. The blocks see to it that the tile never waits: a
# panel of B stays in the first-level cache while all tiles of a block of rows go over it. Operands are turned,
# and rounded, while they are packed, so that the products of backward, dY W^T and X^T dY, need no copies. The
# bias is added where the sums are written, and GELU is applied to a block of rows before it leaves the cache.


@loop
def _copy_edge(edge, c, row, column, add):
    """Write the part of the tile at (row, column) that lies inside C, or add it to what is there."""
    for r in range(min(edge.shape[0], c.shape[0] - row)):
        for s in range(min(edge.shape[1], c.shape[1] - column)):
            c[row + r, column + s] = edge[r, s] + (c[row + r, column + s] if add else edge.dtype.type(0))


@loop
def _multiply_block(tiles, panels, first, length, first_row, first_column, start, add, c):
    """Rows first_row and on, columns first_column and on of C: start (or C itself) + packed rows * panels.

    The rows are those whose first tile is given, the elements of the panels those from ``first`` on.
    """
    rows, columns = c.shape
    _, panel_depth, width = panels.shape
    buffer = np.empty((TILE_ROWS, width), c.dtype)
    elements, whole, edge = panels.reshape(-1), operand(c), operand(buffer)
    begin = whole if add else start
    for panel in range(panels.shape[0]):
        b = Operand(elements, (panel * panel_depth + first) * width, width, 1)
        column = first_column + panel * width
        for row in range(first_row, min(first_row + ROW_BLOCK, rows), TILE_ROWS):
            a = Operand(tiles.data, (row - first_row) * DEPTH_BLOCK, tiles.row, tiles.step)
            if row + TILE_ROWS <= rows and column + width <= columns:
                multiply_tile(shifted(whole, row, column), shifted(begin, row, column), a, b, length, True)
            else:
                # A tile over the edge goes to a buffer; only what lies inside is copied out of it.
                multiply_tile(edge, shifted(start, 0, column), a, b, length, not add)
                _copy_edge(buffer, c, row, column, add)


@loop
def _multiply_rows(a, depth, panels, first_row, panel, last_panel, start, add, c):
    """A block of rows of C, the columns of some panels: start (or C) + A[:, :depth] B."""
    size = pair_size(panels)
    packed = np.empty((ROW_BLOCK, DEPTH_BLOCK), panels.dtype)
    rows = min(ROW_BLOCK, c.shape[0] - first_row)
    used, column = panels[panel:last_panel], panel * panels.shape[2]
    length = (depth + size - 1) // size
    for first in range(0, length, DEPTH_BLOCK):
        k = first * size
        pack_rows(shifted(a, first_row, k), rows, min(DEPTH_BLOCK * size, depth - k), packed)
        deep = min(DEPTH_BLOCK, length - first)
        _multiply_block(first_tile(a, packed), used, first, deep, first_row, column, start, add or first > 0, c)


@loop
def _task(number, groups, panels):
    """(first row, first panel, last panel) of one of the pieces that a product is shared out in."""
    rows, group = divmod(np.int64(number), np.int64(groups))
    return rows * ROW_BLOCK, group * panels // groups, (group + 1) * panels // groups


@parallel_loop
def _multiply(a, depth, panels, groups, start, add, c):
    for number in prange((c.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK * groups):
        first_row, panel, last_panel = _task(number, groups, panels.shape[0])
        _multiply_rows(a, depth, panels, first_row, panel, last_panel, start, add, c)


@parallel_loop
def _multiply_gelu(a, depth, panels, groups, start, pre, out):
    for number in prange((pre.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK * groups):
        first_row, panel, last_panel = _task(number, groups, panels.shape[0])
        _multiply_rows(a, depth, panels, first_row, panel, last_panel, start, False, pre)
        columns = slice(panel * panels.shape[2], min(last_panel * panels.shape[2], pre.shape[1]))
        for i in range(first_row, min(first_row + ROW_BLOCK, pre.shape[0])):
            gelu_into(pre[i, columns], out[i, columns])


@parallel_loop
def _multiply_gelu_backward(a, depth, panels, groups, start, pre, out, hidden):
    for number in prange((pre.shape[0] + ROW_BLOCK - 1) // ROW_BLOCK * groups):
        first_row, panel, last_panel = _task(number, groups, panels.shape[0])
        _multiply_rows(a, depth, panels, first_row, panel, last_panel, start, False, out)
        columns = slice(panel * panels.shape[2], min(last_panel * panels.shape[2], pre.shape[1]))
        # Through a buffer: a loop whose input may be its output is not vectorised.
        row = np.empty(pre.shape[1], pre.dtype)[columns]
        for i in range(first_row, min(first_row + ROW_BLOCK, pre.shape[0])):
            gelu_again_into(out[i, columns], pre[i, columns], row, hidden[i, columns])
            out[i, columns] = row


@loop
def _add_column_sums(grad, first, last, column, sums):
    for i in range(first, last):
        row = grad[i, column:]
        for j in range(sums.size):
            sums[j] += row[j]


@parallel_loop
def _weight_gradient(x, grad, splits, packed_like, weights, sums):
    """weights[split] = x^T grad and sums[split] = column sums of grad over the split's share of the rows."""
    tokens, rows = x.shape
    columns, width = grad.shape[1], tile_columns(grad)
    size = pair_size(packed_like)
    x_turned, whole_grad = turned(operand(x)), operand(grad)
    nothing = Operand(np.zeros(width, grad.dtype), 0, 0, 0)
    share = (tokens + splits - 1) // splits
    groups = (rows + ROW_GROUP - 1) // ROW_GROUP
    for number in prange(groups * splits):
        group, split = divmod(np.int64(number), np.int64(splits))
        first_row = group * ROW_GROUP
        last_row = min(first_row + ROW_GROUP, rows)
        packed_x = np.empty((ROW_GROUP // ROW_BLOCK, ROW_BLOCK, DEPTH_BLOCK), packed_like.dtype)
        panels = np.empty((PANEL_GROUP, DEPTH_BLOCK, width), packed_like.dtype)
        no_buffer = np.empty((0, 0), packed_like.dtype)
        weight, sum_ = weights[split], sums[split]
        last = min((split + 1) * share, tokens)
        for first in range(split * share, last, DEPTH_BLOCK * size):
            depth = min(DEPTH_BLOCK * size, last - first)
            length = (depth + size - 1) // size
            for row in range(first_row, last_row, ROW_BLOCK):
                packed = packed_x[(row - first_row) // ROW_BLOCK]
                pack_rows(shifted(x_turned, row, first), min(ROW_BLOCK, last_row - row), depth, packed)
            for column in range(0, columns, PANEL_GROUP * width):
                inside = min(PANEL_GROUP * width, columns - column)
                used = panels[: (inside + width - 1) // width]
                pack_panels(shifted(whole_grad, first, column), depth, inside, used, 0, no_buffer)
                for row in range(first_row, last_row, ROW_BLOCK):
                    tiles = first_tile(x_turned, packed_x[(row - first_row) // ROW_BLOCK])
                    _multiply_block(tiles, used, 0, length, row, column, nothing, True, weight)
                if group == 0:
                    _add_column_sums(grad, first, first + depth, column, sum_[column : column + inside])


def _start(b: np.ndarray, bias: np.ndarray | None) -> Operand:
    """What the sums of every row start with: the bias, or zeros, as long as whole panels. The same row for all."""
    start = np.zeros(round_up(b.shape[1], tile_columns(b)), b.dtype)
    if bias is not None:
        start[: bias.size] = bias
    return Operand(start, 0, 0, 1)


def _groups(rows: int, panels: int) -> int:
    """In how many groups of columns to cut a product so that every thread has work, however few its rows are."""
    return max(1, min(panels, -(-2 * num_threads() // -(-rows // ROW_BLOCK))))


def _check(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> None:
    require(
        a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] > 0 and a.dtype == b.dtype,
        f"matmul: a {a.shape} {a.dtype} and b {b.shape} {b.dtype} do not fit",
    )
    if bias is not None:
        require(
            bias.shape == b.shape[1:] and bias.dtype == b.dtype,
            f"matmul: bias {bias.shape} {bias.dtype} for {b.shape[1]} columns of {b.dtype}",
        )


def _check_packable(b: np.ndarray) -> None:
    require(b.ndim == 2 and b.shape[0] > 0, f"pack: b must be a matrix, not {b.shape}")


def pack_reference(b: np.ndarray) -> PackedMatrix:
    """The matrix as it is; see ``pack``."""
    _check_packable(b)
    return PackedMatrix(b, None)


@compiled(reference=pack_reference)
def pack(b: np.ndarray) -> PackedMatrix:
    """b (K, N) ready to be the right operand of many products: ``matmul`` then packs it no more.

    It is packed in the precision in force; b must not change as long as the result is used.
    """
    _check_packable(b)
    return PackedMatrix(b, pack_part(plain(b), 0, b.shape[0]))


def _whole(b: np.ndarray | PackedMatrix) -> tuple[np.ndarray, np.ndarray]:
    """A right operand and all its panels."""
    if isinstance(b, PackedMatrix) and b.panels is not None:
        return b.matrix, b.panels
    matrix = b.matrix if isinstance(b, PackedMatrix) else b
    return matrix, pack_part(plain(matrix), 0, matrix.shape[0])


def _multiply_in_parts(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, add: bool, c: np.ndarray) -> None:
    """c (+)= a b + bias. A deep product goes in several parts, so that the packed part of B stays in the
    third-level cache and its buffer costs no page faults.
    """
    depth, columns = b.shape
    most = max(1, PACKED_ELEMENTS // (columns * DEPTH_BLOCK)) * DEPTH_BLOCK * 2
    start = _start(b, bias)
    for first_k in range(0, depth, most):
        size = min(most, depth - first_k)
        panels = pack_part(b, first_k, size)
        groups = _groups(len(a), len(panels))
        _multiply(shifted(strided(a), 0, first_k), size, panels, groups, start, add or first_k > 0, c)


@compiled(reference=matmul_reference)
def matmul(a: np.ndarray, b: np.ndarray | PackedMatrix, bias: np.ndarray | None = None) -> np.ndarray:
    """a (M, K) times b (K, N), plus bias (N,): (M, N). Transposed views of contiguous arrays cost no copy.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    matrix = b.matrix if isinstance(b, PackedMatrix) else b
    _check(a, matrix, bias)
    a = plain(a)
    c = np.empty((a.shape[0], matrix.shape[1]), a.dtype)
    if isinstance(b, PackedMatrix):
        _, panels = _whole(b)
        _multiply(strided(a), a.shape[1], panels, _groups(len(a), len(panels)), _start(matrix, bias), False, c)
        return c
    _multiply_in_parts(a, plain(matrix), bias, False, c)
    return c


@compiled(reference=matmul_gelu_reference)
def matmul_gelu(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pre = a @ b + bias and gelu(pre), each (M, N), for a (M, K), b (K, N), bias (N,).

    Backward needs pre.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check(a, b, bias)
    a = plain(a)
    _, panels = _whole(b)
    pre = np.empty((a.shape[0], b.shape[1]), a.dtype)
    out = np.empty_like(pre)
    _multiply_gelu(strided(a), a.shape[1], panels, _groups(len(a), len(panels)), _start(b, bias), pre, out)
    return pre, out


@compiled(reference=matmul_gelu_backward_reference)
def matmul_gelu_backward(grad: np.ndarray, b: np.ndarray, pre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(grad @ b) * gelu'(pre) and gelu(pre), each (M, N), for grad (M, K), b (K, N), pre (M, N).

    With gelu(pre) coming along, the caller need not keep what ``matmul_gelu`` returned: (M, N) numbers less memory.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check(grad, b)
    require(
        pre.shape == (grad.shape[0], b.shape[1]) and pre.dtype == b.dtype,
        f"matmul_gelu_backward: pre {pre.shape} {pre.dtype} for a product of {(grad.shape[0], b.shape[1])} {b.dtype}",
    )
    grad = plain(grad)
    _, panels = _whole(b)
    out, hidden = np.empty(pre.shape, pre.dtype), np.empty(pre.shape, pre.dtype)
    groups = _groups(len(grad), len(panels))
    _multiply_gelu_backward(strided(grad), grad.shape[1], panels, groups, _start(b, None), dense(pre), out, hidden)
    return out, hidden


@compiled(reference=add_matmul_reference)
def add_matmul(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """c += a @ b in place for a contiguous c (M, N), a (M, K), b (K, N).

    Raises:
        ValueError: if they do not fit.
    """
    _check(a, b)
    require(
        c.shape == (a.shape[0], b.shape[1]) and c.dtype == b.dtype and c.flags.c_contiguous,
        f"add_matmul: c {c.shape} {c.dtype} for a product of {(a.shape[0], b.shape[1])} {b.dtype}",
    )
    _multiply_in_parts(plain(a), plain(b), None, True, c)


@compiled(reference=weight_gradient_reference)
def weight_gradient(x: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of weight (K, N) and bias (N,) of y = x @ weight + bias for x (M, K) and dL/dy (M, N).

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check(x.T, grad)
    # K is small and M, the number of tokens, large: where there are fewer groups of rows of the result than
    # threads, each takes a share of the tokens, packs it where it needs it, and the shares are added up.
    splits = -(-num_threads() // -(-x.shape[1] // ROW_GROUP))
    weights = np.zeros((splits, x.shape[1], grad.shape[1]), grad.dtype)
    sums = np.zeros((splits, grad.shape[1]), grad.dtype)
    _weight_gradient(dense(x), dense(grad), splits, np.empty(0, element_type(grad)), weights, sums)
    for share in range(1, splits):
        weights[0] += weights[share]
        sums[0] += sums[share]
    return weights[0], sums[0]
