"""The compiled step against its reference; tests/models/test_gpt2_decoder.py holds both against the model itself."""

import numpy as np
import pytest

from scratchgpt.kernels.decode import DecoderWeights, decode
from scratchgpt.kernels.matrix.packing import pack_weights
from tests.kernels import agreement

LAYERS, CHANNELS, HEADS, SIZE, VOCABULARY = 2, 24, 3, 10, 37


@pytest.fixture
def weights(normal):
    def matrices(depth, columns, count=LAYERS):
        return pack_weights(list(normal(count, depth, columns) / 4))

    c = CHANNELS
    return DecoderWeights(
        wte=normal(VOCABULARY, c),
        wpe=normal(SIZE, c),
        ln_1_weight=normal(LAYERS, c),
        ln_1_bias=normal(LAYERS, c),
        c_attn=matrices(c, 3 * c),
        c_attn_bias=normal(LAYERS, 3 * c),
        attn_c_proj=matrices(c, c),
        attn_c_proj_bias=normal(LAYERS, c),
        ln_2_weight=normal(LAYERS, c)[::-1].copy(),
        ln_2_bias=normal(LAYERS, c)[::-1].copy(),
        c_fc=matrices(c, 4 * c),
        c_fc_bias=normal(LAYERS, 4 * c),
        mlp_c_proj=matrices(4 * c, c),
        mlp_c_proj_bias=normal(LAYERS, c),
        ln_f_weight=normal(c),
        ln_f_bias=normal(c),
        head=matrices(c, VOCABULARY, 1)[0],
        head_bias=np.zeros(VOCABULARY, normal(1).dtype),
        num_heads=HEADS,
        epsilon=1e-5,
    )


def cache(normal, rows):
    return normal(LAYERS, rows, SIZE, CHANNELS), normal(LAYERS, rows, SIZE, CHANNELS) * 2


@pytest.mark.parametrize(("rows", "room"), [(1, 1), (3, 5), (20, 20)])
def test_equals_reference_and_writes_the_same_cache(rows, room, weights, normal, dtype):
    rng = np.random.default_rng(rows)
    positions, tokens = rng.integers(0, SIZE, rows), rng.integers(0, VOCABULARY, rows)
    keys, values = cache(normal, room)
    before, reference_cache = keys.copy(), (keys.copy(), values.copy())

    def step(weights, keys, values):
        return decode.reference(weights, keys, values, positions, tokens), keys, values

    scales = agreement.sensitivity(step, weights, keys, values)
    want = step(weights, *reference_cache)
    got = decode.compiled(weights, keys, values, positions, tokens), keys, values
    assert got[0].shape == (rows, VOCABULARY)
    assert got[0].dtype == dtype
    for parts in zip(got, want, scales, strict=True):
        agreement.assert_near(*parts)
    written = (keys != before).any(axis=(0, 3))
    assert written[np.arange(rows), positions].all()
    assert written.sum() == rows


def test_a_row_is_the_same_bit_for_bit_whatever_stands_beside_it(weights, normal):
    keys, values = cache(normal, 9)
    positions, tokens = np.arange(9), np.arange(9) * 4
    together = decode(weights, keys.copy(), values.copy(), positions, tokens)
    for row in range(9):
        one = slice(row, row + 1)
        alone = decode(weights, keys[:, one].copy(), values[:, one].copy(), positions[one], tokens[one])
        np.testing.assert_array_equal(alone[0], together[row])


def test_what_does_not_fit_is_refused(weights, normal):
    keys, values = cache(normal, 2)
    ones = np.ones(2, np.int64)
    with pytest.raises(ValueError, match="token is out of range, there are 37"):
        decode(weights, keys, values, ones, ones * 37)
    with pytest.raises(ValueError, match="already holds 10 tokens"):
        decode(weights, keys, values, ones * 10, ones)
    with pytest.raises(ValueError, match="out of range"):
        decode(weights, keys, values, ones, -ones)
    with pytest.raises(ValueError, match="for 2 rows"):
        decode(weights, keys, values, np.ones(3, np.int64), np.ones(3, np.int64))
    with pytest.raises(ValueError, match="keys"):
        decode(weights, keys[:1], values[:1], ones, ones)
    with pytest.raises(ValueError, match="contiguous"):
        decode(weights, keys[:, ::-1], values, ones, ones)
