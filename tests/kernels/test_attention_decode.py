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
