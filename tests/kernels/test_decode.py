"""The compiled step against the same function on NumPy, and steps against prompts; tests/models/test_gpt2_decoder.py holds both against the model itself."""

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.kernels.decode import DecoderWeights, decode, read_prompts
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


@pytest.fixture
def on_numpy():
    """on_numpy(function, *arguments): the result on the NumPy kernels."""

    def call(function, *arguments):
        previous = kernels.backend()
        kernels.use("numpy")
        try:
            return function(*arguments)
        finally:
            kernels.use(previous)

    return call


def cache(normal, rows):
    return normal(LAYERS, rows, SIZE, CHANNELS), normal(LAYERS, rows, SIZE, CHANNELS) * 2


@pytest.mark.parametrize(("rows", "room"), [(1, 1), (3, 5), (20, 20)])
def test_equals_reference_and_writes_the_same_cache(rows, room, weights, normal, dtype, on_numpy):
    rng = np.random.default_rng(rows)
    positions, tokens = rng.integers(0, SIZE, rows), rng.integers(0, VOCABULARY, rows)
    keys, values = cache(normal, room)
    before, reference_cache = keys.copy(), (keys.copy(), values.copy())

    def step(weights, keys, values):
        return on_numpy(decode.reference, weights, keys, values, positions, tokens), keys, values

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


def test_prompts_are_read_as_one_token_after_the_other(weights, normal, dtype, on_numpy):
    weights = weights._replace(head=pack_weights([weights.wte.T])[0])
    ids = np.random.default_rng(5).integers(0, VOCABULARY, (3, 7))
    lengths, rows = np.array([7, 1, 4]), np.array([4, 0, 2])
    stepped, read, plain = ([array.copy() for array in cache(normal, 5)] for _ in range(3))
    logits = np.zeros((3, VOCABULARY), dtype)
    for position in range(7):
        still = lengths > position
        tokens = np.zeros(5, np.int64)
        tokens[rows] = ids[:, position]
        after = decode(weights, *stepped, np.full(5, position), tokens)
        logits[still] = after[rows[still]]
    got = read_prompts(weights, *read, rows, ids, lengths)
    want = on_numpy(read_prompts, weights, *plain, rows, ids, lengths)
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got, logits, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)
    for row, length in zip(rows, lengths, strict=True):
        for ours, theirs, others in zip(read, stepped, plain, strict=True):
            np.testing.assert_allclose(ours[:, row, :length], theirs[:, row, :length], rtol=0, atol=tolerance)
            np.testing.assert_allclose(ours[:, row, :length], others[:, row, :length], rtol=0, atol=tolerance)


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
    with pytest.raises(ValueError, match="for 2 rows"):
        decode(weights, keys, values, ones[:1], ones)
    with pytest.raises(ValueError, match="for 2 rows"):
        decode(weights, keys, values, ones[None], ones[None])
    with pytest.raises(ValueError, match="keys"):
        decode(weights, keys, values[:, :1], ones, ones)
    with pytest.raises(ValueError, match="contiguous"):
        decode(weights, keys, values[:, ::-1], ones, ones)
    other = np.float64 if keys.dtype == np.float32 else np.float32
    for pair in ((keys.astype(other), values), (keys, values.astype(other)), (keys.astype(other), values.astype(other))):
        with pytest.raises(ValueError, match="of the weights' dtype"):
            decode(weights, *pair, ones, ones)


def test_the_context_ends_where_the_cache_or_the_positions_do(weights, normal):
    keys, values = cache(normal, 2)
    last = np.full(2, SIZE - 1)
    decode(weights, keys, values, last, np.full(2, VOCABULARY - 1))
    decode(weights, keys, values, last * 0, last * 0)
    with pytest.raises(ValueError, match="already holds 7 tokens"):
        decode(weights._replace(wpe=weights.wpe[:7]), keys, values, np.array([0, 7]), last)
    with pytest.raises(ValueError, match="already holds 7 tokens"):
        decode(weights, keys[:, :, :7].copy(), values[:, :, :7].copy(), np.array([7, 0]), last)
    with pytest.raises(ValueError, match="already holds 10 tokens"):
        decode(weights, keys, values, np.array([0, -1]), last)
