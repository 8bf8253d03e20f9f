import numpy as np
import pytest

from scratchgpt.kernels.matrix.register_tile import (
    TILE_ROWS,
    multiply,
    operand,
    round_up,
    shifted,
    tile_columns,
    transpose,
    turned,
)


@pytest.mark.parametrize("depth", [1, 2, 7, 64])
def test_tiles_multiply_and_accumulate(depth, normal, dtype):
    width = tile_columns(np.empty(0, dtype))
    rows, columns = 2 * TILE_ROWS, 3 * width
    a, b, start = normal(rows, depth), normal(depth, columns), normal(rows, columns)
    limit = 1e-5 if dtype == np.float32 else 1e-13
    for accumulate in (False, True):
        c = start.copy()
        multiply(operand(c), operand(a), operand(b), rows, columns, depth, accumulate)
        np.testing.assert_allclose(c, a @ b + (start if accumulate else 0), rtol=0, atol=limit * depth)
    c = start.copy()
    multiply(operand(c), turned(operand(np.ascontiguousarray(a.T))), operand(b), rows, columns, depth, False)
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=limit * depth)


def test_tiles_respect_offsets(normal, dtype):
    width = tile_columns(np.empty(0, dtype))
    c = np.zeros((TILE_ROWS + 2, width + 3), dtype)
    a, b = normal(TILE_ROWS + 1, 9), normal(6, width + 5)
    multiply(
        shifted(operand(c), 1, 2), shifted(operand(a), 1, 4), shifted(operand(b), 1, 1), TILE_ROWS, width, 5, False
    )
    expected = np.zeros_like(c)
    expected[1:-1, 2:-1] = a[1:, 4:] @ b[1:, 1 : 1 + width]
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-12)


def test_transpose(normal, dtype):
    size = tile_columns(np.empty(0, dtype)) // 2
    source = normal(3 * size, 2 * size)
    target = np.zeros((2 * size, 3 * size + 1), dtype)
    transpose(operand(source), operand(target), 3 * size, 2 * size)
    np.testing.assert_array_equal(target[:, :-1], source.T)


def test_an_operand_is_read_by_its_strides():
    matrix = np.arange(12.0).reshape(3, 4)
    for view, want in ((operand(matrix), matrix), (turned(operand(matrix)), matrix.T)):
        lower = shifted(view, 1, 2)
        rows, columns = np.indices((want.shape[0] - 1, want.shape[1] - 2))
        np.testing.assert_array_equal(
            lower.data[lower.offset + rows * lower.row + columns * lower.step], want[1:, 2:]
        )


def test_round_up():
    assert [round_up(n, 8) for n in (0, 1, 8, 9)] == [0, 8, 8, 16]
