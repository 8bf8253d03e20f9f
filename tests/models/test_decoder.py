"""The plain decoder against the model itself."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.models.cache import KVCache
from scratchgpt.models.decoder import RereadingDecoder
from scratchgpt.models.gpt2 import GPT

CONFIG = GPTConfig(vocab_size=37, emb_dim=16, num_heads=2, num_layers=2, context_size=12, dropout=0.5)


@pytest.fixture
def model() -> GPT:
    """In training mode: a decoder switches dropout off by itself."""
    return GPT(CONFIG, seed=3)


def model_logits(model: GPT, ids: list[int]) -> np.ndarray:
    """(V,) logits after the last of the ids."""
    with no_grad():
        logits = model.eval()(np.array([ids]))[0].data[0, -1]
    model.train()
    return logits


def filled(decoder: RereadingDecoder, texts: list[list[int]], rows: int) -> tuple[KVCache, np.ndarray]:
    """A cache that holds the texts, and the logits after them."""
    ids = np.full((len(texts), max(map(len, texts))), 36)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    cache = decoder.cache(rows)
    cache.keys[...] = -7  # what was never written must never be read
    return cache, decoder.prefill(cache, ids, np.array([len(text) for text in texts]))


def test_prompts_and_steps_equal_the_model(model: GPT) -> None:
    decoder, texts = RereadingDecoder(model), [[5], [6, 7, 8, 9], [10, 11]]
    cache, logits = filled(decoder, texts, 3)
    for step in range(4):
        for text, row in zip(texts, logits, strict=True):
            np.testing.assert_allclose(row, model_logits(model, text), atol=1e-4)
        texts = [[*text, step + i] for i, text in enumerate(texts)]
        logits = decoder.step(cache, np.array([text[-1] for text in texts]))
    assert model.training and cache.lengths.tolist() == [5, 8, 6]


def test_rows_are_dropped_repeated_and_written_over(model: GPT) -> None:
    decoder = RereadingDecoder(model)
    cache, _ = filled(decoder, [[5], [6, 7, 8], [9, 10]], 4)
    assert cache.lengths.tolist() == [1, 3, 2]  # the fourth row is room, not content
    cache.select(np.array([1, 2, 2, 0]))
    texts = [[6, 7, 8], [9, 10], [11, 12, 13], [5]]
    logits = decoder.prefill(cache, np.array([[11, 12, 13]]), np.array([3]), rows=np.array([2]))
    np.testing.assert_allclose(logits[0], model_logits(model, texts[2]), atol=1e-4)
    logits = decoder.step(cache, np.array([1, 2, 3, 4]))
    for token, (text, row) in enumerate(zip(texts, logits, strict=True), start=1):
        np.testing.assert_allclose(row, model_logits(model, [*text, token]), atol=1e-4)


def test_misuse_is_refused(model: GPT) -> None:
    decoder = RereadingDecoder(model)
    for shape in ((3, 2), (1, 13)):
        with pytest.raises(ValueError, match="room for"):
            decoder.prefill(decoder.cache(2), np.zeros(shape, int), np.ones(shape[0], int))
    cache, _ = filled(decoder, [[1] * 12, [2]], 2)
    with pytest.raises(ValueError, match="already holds 12"):
        decoder.step(cache, np.array([1, 1]))
    with pytest.raises(ValueError, match="2 rows"):
        decoder.step(cache, np.array([1]))
