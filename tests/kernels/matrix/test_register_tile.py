import numpy as np
import pytest

from scratchgpt.kernels.matrix.register_tile import TILE_ROWS, multiply, round_up, tile_columns, transpose


@pytest.mark.parametrize("depth", [1, 2, 7, 64])
def test_tiles_multiply_and_accumulate(depth, normal, dtype):
    width = tile_columns(np.empty(0, dtype))
    rows, columns = 2 * TILE_ROWS, 3 * width
    a, b, start = normal(rows, depth), normal(depth, columns), normal(rows, columns)
    limit = 1e-5 if dtype == np.float32 else 1e-13
    for accumulate in (False, True):
        c = start.copy()
        multiply(
            c.reshape(-1), 0, columns, a.reshape(-1), 0, depth, 1, b.reshape(-1), 0, columns,
            rows, columns, depth, accumulate,
        )  # fmt: skip
        np.testing.assert_allclose(c, a @ b + (start if accumulate else 0), rtol=0, atol=limit * depth)
    c = start.copy()
    turned = np.ascontiguousarray(a.T)
    multiply(
        c.reshape(-1), 0, columns, turned.reshape(-1), 0, 1, rows, b.reshape(-1), 0, columns,
        rows, columns, depth, False,
    )  # fmt: skip
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=limit * depth)


def test_tiles_respect_offsets(normal, dtype):
    width = tile_columns(np.empty(0, dtype))
    c = np.zeros((TILE_ROWS + 2, width + 3), dtype)
    a, b = normal(TILE_ROWS + 1, 9), normal(6, width + 5)
    multiply(
        c.reshape(-1), width + 3 + 2, width + 3, a.reshape(-1), 9 + 4, 9, 1, b.reshape(-1), width + 5 + 1, width + 5,
        TILE_ROWS, width, 5, False,
    )  # fmt: skip
    expected = np.zeros_like(c)
    expected[1:-1, 2:-1] = a[1:, 4:] @ b[1:, 1 : 1 + width]
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-12)


def test_transpose(normal, dtype):
    size = tile_columns(np.empty(0, dtype)) // 2
    source = normal(3 * size, 2 * size)
    target = np.zeros((2 * size, 3 * size + 1), dtype)
    transpose(source.reshape(-1), 0, 2 * size, target.reshape(-1), 0, 3 * size + 1, 3 * size, 2 * size)
    np.testing.assert_array_equal(target[:, :-1], source.T)


def test_round_up():
    assert [round_up(n, 8) for n in (0, 1, 8, 9)] == [0, 8, 8, 16]
