"""The cached forward pass against the model's own."""

import gc
import weakref

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.kernels.runtime.precision import has_bf16
from scratchgpt.models import gpt2_decoder
from scratchgpt.models.cache import KVCache
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Linear

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
        logits = model.decoder().prefill(cache, *padded(sequences))
        for step in range(5):
            assert logits.dtype == dtype
            for sequence, row in zip(sequences, logits, strict=True):
                np.testing.assert_allclose(row, model_logits(model, sequence), rtol=0, atol=TOLERANCE[dtype])
            tokens = np.array([(3 * step + i) % CONFIG.vocab_size for i in range(4)])
            sequences = [[*s, int(t)] for s, t in zip(sequences, tokens, strict=True)]
            logits = model.decoder().step(cache, tokens)
        np.testing.assert_array_equal(cache.lengths, [6, 12, 8, 10])
    finally:
        kernels.use(previous)


def test_dropout_takes_no_part():
    model = make_model().train()
    ids, lengths = padded(random_sequences([5]))
    first = model.decoder().prefill(KVCache(CONFIG, 1), ids, lengths)
    np.testing.assert_array_equal(first, model.decoder().prefill(KVCache(CONFIG, 1), ids, lengths))
    np.testing.assert_allclose(first[0], model_logits(model.eval(), ids[0].tolist()), atol=1e-4)


@pytest.mark.parametrize("rows", [[2, 0, 1, 3], [3, 3, 0], [1], [0, 1, 2, 3, 3, 0]])
def test_select_drops_reorders_and_repeats_rows(rows):
    model = make_model(np.float64)
    sequences = random_sequences([2, 9, 4, 6])
    cache = KVCache(CONFIG, 6, np.float64)
    model.decoder().prefill(cache, *padded(sequences))
    cache.select(np.array(rows))
    logits = model.decoder().step(cache, np.arange(len(rows)))
    for token, row in enumerate(rows):
        np.testing.assert_allclose(logits[token], model_logits(model, [*sequences[row], token]), atol=1e-10)


def test_prefill_of_some_rows_leaves_the_others():
    model = make_model(np.float64)
    sequences = random_sequences([4, 8, 6])
    cache = KVCache(CONFIG, 3, np.float64)
    model.decoder().prefill(cache, *padded(sequences))
    sequences[2], sequences[0] = random_sequences([3, 5], seed=1)
    ids, lengths = padded([sequences[2], sequences[0]])
    logits = model.decoder().prefill(cache, ids, lengths, rows=np.array([2, 0]))
    np.testing.assert_allclose(logits[1], model_logits(model, sequences[0]), atol=1e-10)
    logits = model.decoder().step(cache, np.array([1, 2, 3]))
    for i in range(3):
        np.testing.assert_allclose(logits[i], model_logits(model, [*sequences[i], i + 1]), atol=1e-10)


def test_misuse_is_refused():
    model, cache = make_model(), KVCache(CONFIG, 2)
    with pytest.raises(ValueError, match="room for"):
        model.decoder().prefill(cache, np.zeros((3, 2), int), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="room for"):
        model.decoder().prefill(cache, np.zeros((1, 13), int), np.array([13]))
    with pytest.raises(ValueError, match="do not fit"):
        model.decoder().prefill(cache, np.zeros((1, 3), int), np.array([0]))
    model.decoder().prefill(cache, np.zeros((2, 12), int), np.array([12, 3]))
    with pytest.raises(ValueError, match="already holds 12"):
        model.decoder().step(cache, np.array([1, 1]))
    with pytest.raises(ValueError, match="2 rows"):
        model.decoder().step(cache, np.array([1]))


def test_the_weights_are_the_models_as_they_are_when_asked_for():
    model = make_model(np.float64)
    sequence = random_sequences([4])[0]
    for parameter in (
        model.transformer.h[1].mlp.c_fc.weight,
        model.transformer.wte.weight,
        model.transformer.ln_f.bias,
    ):
        parameter.data += 0.5
        cache = KVCache(CONFIG, 1, np.float64)
        model.decoder().prefill(cache, *padded([sequence]))
        logits = model.decoder().step(cache, np.array([7]))
        np.testing.assert_allclose(logits[0], model_logits(model, [*sequence, 7]), atol=1e-10)


# -- packed once for a version of the weights -------------------------------------------------------------------
@pytest.fixture
def packings(monkeypatch) -> list[str]:
    """Grows by the precision in force whenever the layers of a model are packed."""
    done: list[str] = []
    original = gpt2_decoder._packed

    def counting(arrays, config):
        done.append(kernels.precision())
        return original(arrays, config)

    monkeypatch.setattr(gpt2_decoder, "_packed", counting)
    return done


def logits_after(decoder, ids: list[int]) -> np.ndarray:
    """(V,) after reading all ids but the last one, and stepping over that."""
    cache = decoder.cache(1)
    decoder.prefill(cache, np.array([ids[:-1]]), np.array([len(ids) - 1]))
    return decoder.step(cache, np.array(ids[-1:]))[0]


def test_the_weights_are_packed_once_for_a_version(packings):
    model = make_model()
    assert model.decoder() is model.decoder() is model.decoder()
    assert len(packings) == 1
    model.load_state_dict(model.state_dict())  # the same numbers
    model.train()
    for parameter in model.parameters():
        parameter.data = parameter.data.copy()
    assert model.decoder() is model.decoder()
    assert len(packings) == 1


def test_any_write_to_any_parameter_is_seen(packings):
    model = make_model()
    decoders = [model.decoder()]
    for _, parameter in model.named_parameters():
        parameter.data.reshape(-1)[-1] += 0.5  # in place: one number of one array
        decoders.append(model.decoder())
        np.testing.assert_allclose(logits_after(decoders[-1], [1, 2, 36]), model_logits(model, [1, 2, 36]), atol=1e-4)
    assert len(packings) == len(set(map(id, decoders))) == 1 + len(model.parameters())


def test_a_decoder_keeps_the_weights_it_was_made_of():
    model = make_model()
    decoder, before = model.decoder(), model_logits(model, [1, 2, 3])
    for parameter in model.parameters():
        parameter.data += 0.5
    np.testing.assert_allclose(logits_after(decoder, [1, 2, 3]), before, atol=1e-4)


def test_another_precision_or_backend_is_another_version(packings):
    model = make_model()
    first = model.decoder()
    for switch, other in [(kernels.use, "numpy"), *([(kernels.set_precision, "bf16")] if has_bf16() else [])]:
        previous = {kernels.use: kernels.backend, kernels.set_precision: kernels.precision}[switch]()
        switch(other)
        try:
            second = model.decoder()
            assert second is not first
            assert second is model.decoder()
            np.testing.assert_allclose(logits_after(second, [5, 6]), model_logits(model, [5, 6]), atol=0.2)
        finally:
            switch(previous)
        first = model.decoder()
        assert first is not second
    assert packings == ["float32", "float32", "float32", *(["bf16", "float32"] if has_bf16() else [])]


def test_packed_weights_go_with_their_model_and_with_their_version():
    model = make_model()
    old = weakref.ref(model.decoder())
    model.transformer.ln_f.bias.data[0] += 1
    new = weakref.ref(model.decoder())
    assert old() is None
    assert new() is not None
    del model
    gc.collect()
    assert new() is None


def test_the_decoder_asks_each_layer_what_it_multiplies_by():
    class Doubled(Linear):
        @property
        def effective_weight(self) -> Tensor:
            return self.weight * 2.0

    model = make_model(np.float64)
    for block in model.transformer.h:
        for owner, name in ((block.attn, "c_attn"), (block.attn, "c_proj"), (block.mlp, "c_fc"), (block.mlp, "c_proj")):
            layer = getattr(owner, name)
            setattr(owner, name, Doubled(layer.weight.data, layer.bias.data))
            decoder = model.decoder()
            assert isinstance(decoder, gpt2_decoder.GPT2Decoder)
            np.testing.assert_allclose(logits_after(decoder, [3, 1]), model_logits(model, [3, 1]), atol=1e-10)


def test_a_layer_that_is_no_product_is_read_by_the_model_itself():
    class Clipped(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return ag.tanh(super().forward(x))

    model = make_model(np.float64)
    layer = model.transformer.h[1].attn.c_proj
    model.transformer.h[1].attn.c_proj = Clipped(layer.weight.data, layer.bias.data)
    np.testing.assert_allclose(logits_after(model.decoder(), [3, 1]), model_logits(model, [3, 1]), atol=1e-10)
