"""The cached forward pass against the model's own."""

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.models.cache import KVCache, packing_order
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.gpt2_decoder import decode_step, decoder_weights, prefill, with_packed_head

CONFIG = GPTConfig(vocab_size=37, emb_dim=16, num_heads=2, num_layers=2, context_size=12, dropout=0.5)
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-10}


def make_model(dtype: type = np.float32) -> GPT:
    """A random model, biases and layernorm parameters too: at 0 and 1 a slip would not show."""
    model = GPT(CONFIG, seed=3)
    rng = np.random.default_rng(4)
    for _, parameter in model.named_parameters():
        noise = rng.standard_normal(parameter.shape) * 0.3
        parameter.data = (parameter.data + noise).astype(dtype)
    return model.eval()


def model_logits(model: GPT, ids: list[int]) -> np.ndarray:
    """(V,) logits after the last of the ids, by the model itself."""
    with no_grad():
        return model(np.array([ids]))[0].data[0, -1]


def padded(sequences: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Right-padded ids with a junk token, and the lengths."""
    ids = np.full((len(sequences), max(map(len, sequences))), 36)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence
    return ids, np.array([len(s) for s in sequences])


def random_sequences(lengths: list[int], seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, CONFIG.vocab_size, n).tolist() for n in lengths]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_prefill_and_steps_equal_the_model(dtype, backend):
    previous = kernels.backend()
    kernels.use(backend)
    try:
        model = make_model(dtype)
        sequences = random_sequences([1, 7, 3, 5])
        cache = KVCache(CONFIG, 4, dtype)
        cache._keys[...] = 1e6  # what was never written must never be read
        cache._values[...] = np.nan
        logits = prefill(decoder_weights(model), cache, *padded(sequences))
        for step in range(5):
            assert logits.dtype == dtype
            for sequence, row in zip(sequences, logits, strict=True):
                np.testing.assert_allclose(row, model_logits(model, sequence), rtol=0, atol=TOLERANCE[dtype])
            tokens = np.array([(3 * step + i) % CONFIG.vocab_size for i in range(4)])
            sequences = [[*s, int(t)] for s, t in zip(sequences, tokens, strict=True)]
            logits = decode_step(with_packed_head(decoder_weights(model)), cache, tokens)
        np.testing.assert_array_equal(cache.lengths, [6, 12, 8, 10])
    finally:
        kernels.use(previous)


def test_dropout_takes_no_part():
    model = make_model().train()
    ids, lengths = padded(random_sequences([5]))
    first = prefill(decoder_weights(model), KVCache(CONFIG, 1), ids, lengths)
    np.testing.assert_array_equal(first, prefill(decoder_weights(model), KVCache(CONFIG, 1), ids, lengths))
    np.testing.assert_allclose(first[0], model_logits(model.eval(), ids[0].tolist()), atol=1e-4)


@pytest.mark.parametrize("rows", [[2, 0, 1, 3], [3, 3, 0], [1], [0, 1, 2, 3, 3, 0]])
def test_select_drops_reorders_and_repeats_rows(rows):
    model = make_model(np.float64)
    sequences = random_sequences([2, 9, 4, 6])
    cache = KVCache(CONFIG, 6, np.float64)
    prefill(decoder_weights(model), cache, *padded(sequences))
    cache.select(np.array(rows))
    logits = decode_step(with_packed_head(decoder_weights(model)), cache, np.arange(len(rows)))
    for token, row in enumerate(rows):
        np.testing.assert_allclose(logits[token], model_logits(model, [*sequences[row], token]), atol=1e-10)


def test_prefill_of_some_rows_leaves_the_others():
    model = make_model(np.float64)
    sequences = random_sequences([4, 8, 6])
    cache = KVCache(CONFIG, 3, np.float64)
    prefill(decoder_weights(model), cache, *padded(sequences))
    sequences[2], sequences[0] = random_sequences([3, 5], seed=1)
    ids, lengths = padded([sequences[2], sequences[0]])
    logits = prefill(decoder_weights(model), cache, ids, lengths, rows=np.array([2, 0]))
    np.testing.assert_allclose(logits[1], model_logits(model, sequences[0]), atol=1e-10)
    logits = decode_step(with_packed_head(decoder_weights(model)), cache, np.array([1, 2, 3]))
    for i in range(3):
        np.testing.assert_allclose(logits[i], model_logits(model, [*sequences[i], i + 1]), atol=1e-10)


def test_packing_order_keeps_every_kept_row_and_moves_few():
    rng = np.random.default_rng(0)
    for _ in range(50):
        keep = rng.random(rng.integers(1, 20)) < 0.6
        order = packing_order(keep)
        assert sorted(order) == np.flatnonzero(keep).tolist()
        stays = keep[: len(order)]
        np.testing.assert_array_equal(order[stays], np.arange(len(order))[stays])


def test_misuse_is_refused():
    model, cache = make_model(), KVCache(CONFIG, 2)
    with pytest.raises(ValueError, match="room for"):
        prefill(decoder_weights(model), cache, np.zeros((3, 2), int), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="room for"):
        prefill(decoder_weights(model), cache, np.zeros((1, 13), int), np.array([13]))
    with pytest.raises(ValueError, match="do not fit"):
        prefill(decoder_weights(model), cache, np.zeros((1, 3), int), np.array([0]))
    prefill(decoder_weights(model), cache, np.zeros((2, 12), int), np.array([12, 3]))
    with pytest.raises(ValueError, match="already holds 12"):
        decode_step(with_packed_head(decoder_weights(model)), cache, np.array([1, 1]))
    with pytest.raises(ValueError, match="2 rows"):
        decode_step(with_packed_head(decoder_weights(model)), cache, np.array([1]))
    with pytest.raises(ValueError, match="packed head"):
        decode_step(decoder_weights(model), cache, np.array([1, 1]))
    with pytest.raises(ValueError, match="cannot select"):
        cache.select(np.array([0, 2]))
    with pytest.raises(ValueError, match="cannot select"):
        cache.select(np.array([0, 1, 1]))


def test_the_weights_are_the_models_as_they_are_when_asked_for():
    model = make_model(np.float64)
    sequence = random_sequences([4])[0]
    for parameter in (model.transformer.h[1].mlp.c_fc.weight, model.transformer.wte.weight, model.transformer.ln_f.bias):
        parameter.data += 0.5
        cache = KVCache(CONFIG, 1, np.float64)
        prefill(decoder_weights(model), cache, *padded([sequence]))
        logits = decode_step(with_packed_head(decoder_weights(model)), cache, np.array([7]))
        np.testing.assert_allclose(logits[0], model_logits(model, [*sequence, 7]), atol=1e-10)
