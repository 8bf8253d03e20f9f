import numpy as np
import pytest

from scratchgpt.kernels import attention_decode, attention_forward
from tests.kernels import agreement


@pytest.mark.parametrize(("rows", "cache", "heads", "size"), [(1, 1, 1, 1), (1, 30, 3, 16), (3, 50, 2, 33), (40, 90, 4, 64)])
def test_equals_reference(rows, cache, heads, size, normal, agree):
    lengths = np.random.default_rng(10).integers(1, cache + 1, rows)
    channels = heads * size
    agree(
        attention_decode,
        normal(rows, channels),
        normal(rows, cache, channels),
        normal(rows, cache, channels),
        lengths,
        heads,
    )


def test_is_the_last_row_of_full_attention(normal):
    qkv = normal(2, 37, 3 * 24)
    q, k, v = np.split(qkv, 3, axis=-1)
    out, _ = attention_forward(qkv, 3)
    got = attention_decode(q[:, -1], k, v, np.array([37, 37]), 3)
    (scale,) = agreement.sensitivity(lambda qkv: attention_forward.reference(qkv, 3)[0][:, -1], qkv)
    agreement.assert_near(got, out[:, -1], scale)


def test_length_beyond_the_cache_is_refused(normal):
    for length in (0, 6):
        with pytest.raises(ValueError, match=r"1\.\.5"):
            attention_decode(normal(1, 4), normal(1, 5, 4), normal(1, 5, 4), np.array([length]), 1)


def test_every_shape_that_does_not_fit_is_refused(normal):
    ok = normal(2, 6), normal(2, 5, 6), normal(2, 5, 6), np.array([1, 5])
    attention_decode(*ok, 3)
    for place, wrong, complaint in (
        (0, normal(6), "expected"),
        (0, normal(3, 6), "expected"),
        (0, normal(2, 9), "expected"),
        (1, normal(2, 30), "expected"),
        (1, normal(2, 4, 6), "expected"),
        (2, normal(2, 4, 6), "expected"),
        (2, normal(2, 5, 6, 1), "expected"),
        (3, np.array([1]), r"lengths \(1,\) for 2 rows"),
        (3, np.array([[1, 2]]), r"lengths \(1, 2\) for 2 rows"),
        (3, np.array([0, 5]), r"1\.\.5"),
        (3, np.array([1, 6]), r"1\.\.5"),
    ):
        arrays = [wrong if i == place else array for i, array in enumerate(ok)]
        with pytest.raises(ValueError, match=complaint):
            attention_decode(*arrays, 3)
    for heads in (0, -1, 4):
        with pytest.raises(ValueError, match=f"6 channels, {heads} heads"):
            attention_decode(*ok, heads)


def test_no_rows_are_no_mistake(normal):
    assert attention_decode(normal(0, 6), normal(0, 5, 6), normal(0, 5, 6), np.empty(0, np.int64), 2).shape == (0, 6)
