"""Generation: cached against uncached, rows against each other, every step against its definition."""

import warnings

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.inference import sequences
from scratchgpt.inference.generate import generate_batch, generate_batch_uncached
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.gpt2_decoder import GPT2Decoder
from tests.inference.random_model import random_model

CONFIG = GPTConfig(vocab_size=23, emb_dim=16, num_heads=2, num_layers=2, context_size=12, dropout=0.5)
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13]]

pytestmark = pytest.mark.filterwarnings("ignore::scratchgpt.errors.ContextWindowWarning")


def make_model(config: GPTConfig = CONFIG) -> GPT:
    return random_model(config)


def next_logits(model: GPT, ids: list[int]) -> np.ndarray:
    """(V,) by the model itself."""
    model.eval()
    with no_grad():
        logits = model(np.array([ids]))[0].data[0, -1]
    model.train()
    return logits


def greedy_by_definition(model: GPT, prompt: list[int], count: int) -> list[int]:
    """The window rule and the largest logit, written out."""
    window, new = list(prompt), []
    for _ in range(count):
        new.append(int(next_logits(model, window).argmax()))
        if len(window) == model.config.context_size:
            window = window[-(model.config.context_size // 2) :]
        window.append(new[-1])
    return new


def test_greedy_is_the_same_with_and_without_cache_and_by_definition_also_past_the_context():
    model = make_model()
    cached = generate_batch(model, PROMPTS, 30, temperature=0)
    assert cached == generate_batch_uncached(model, PROMPTS, 30, temperature=0)
    assert cached == [greedy_by_definition(model, prompt, 30) for prompt in PROMPTS]
    assert all(len(set(row)) > 3 for row in cached)  # a constant text would prove little
    assert model.training


def test_a_prompt_may_fill_the_context():
    model = make_model()
    prompts = [list(range(12)), [3]]
    for count in (1, 20):
        expected = [greedy_by_definition(model, prompt, count) for prompt in prompts]
        assert generate_batch(model, prompts, count, temperature=0) == expected


@pytest.mark.parametrize("context_size", [2, 3, 5])
def test_small_contexts_slide_too(context_size):
    model = make_model(GPTConfig(vocab_size=23, emb_dim=16, num_heads=2, num_layers=2, context_size=context_size))
    prompts = [[1], [2, 3]]
    expected = [greedy_by_definition(model, prompt, 9) for prompt in prompts]
    assert generate_batch(model, prompts, 9, temperature=0) == expected
    assert generate_batch_uncached(model, prompts, 9, temperature=0) == expected


def test_sampling_is_the_same_with_and_without_cache():
    model = make_model()
    options = {"temperature": 0.9, "top_k": 9, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 5, "stop_ids": (7,)}
    assert generate_batch(model, PROMPTS, 20, **options) == generate_batch_uncached(model, PROMPTS, 20, **options)


def test_a_row_does_not_depend_on_the_rest_of_the_batch():
    model = make_model()
    together = generate_batch(model, PROMPTS, 20, seed=3)
    for count in range(1, len(PROMPTS)):
        assert generate_batch(model, PROMPTS[:count], 20, seed=3) == together[:count]
    others = [[20, 20]] * 3
    assert generate_batch(model, [PROMPTS[0], *others], 20, seed=3)[0] == together[0]
    assert [row[:8] for row in together] == generate_batch(model, PROMPTS, 8, seed=3)


def test_equal_prompts_get_different_samples_and_seeds_matter():
    model = make_model()
    rows = generate_batch(model, [[1, 2]] * 6, 10, seed=0)
    assert len(set(map(tuple, rows))) == 6
    assert rows == generate_batch(model, [[1, 2]] * 6, 10, seed=0)
    assert rows != generate_batch(model, [[1, 2]] * 6, 10, seed=1)
    rng = np.random.default_rng(0)
    first = generate_batch(model, [[1, 2]], 10, seed=rng)
    assert first != generate_batch(model, [[1, 2]], 10, seed=rng)
    assert first == generate_batch(model, [[1, 2]], 10, seed=np.random.default_rng(0))


def test_samples_follow_the_model():
    model = make_model()
    logits = next_logits(model, [4, 5]).astype(float)
    expected = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum()
    rows = generate_batch(model, [[4, 5]] * 4000, 1, temperature=1.5, seed=8)
    measured = np.bincount(np.concatenate(rows), minlength=CONFIG.vocab_size) / 4000
    assert (np.abs(measured - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-4).all()


def test_stop_tokens_end_their_row_and_the_others_go_on_as_before(monkeypatch):
    model = make_model()
    free = generate_batch(model, PROMPTS, 20, seed=2)
    stop = free[1][4]
    batch_sizes = []
    original = GPT2Decoder.step

    def counting(decoder, cache, tokens):
        batch_sizes.append(len(tokens))
        return original(decoder, cache, tokens)

    monkeypatch.setattr(GPT2Decoder, "step", counting)
    stopped = generate_batch(model, PROMPTS, 20, seed=2, stop_ids=(stop,))
    expected = [row[: row.index(stop) + 1] if stop in row else row for row in free]
    assert stopped == expected
    # row i takes part in one step fewer than it has tokens: a row that has ended costs nothing more
    steps = [sum(len(row) > position for row in expected) for position in range(1, 20)]
    assert batch_sizes == [size for size in steps if size]
    assert min(batch_sizes) < len(PROMPTS)


@pytest.mark.parametrize("penalize_prompt", [False, True])
def test_repetition_penalty_looks_at_what_was_generated_and_at_the_prompt_if_asked(penalize_prompt):
    model = make_model()
    prompt, penalty = [4, 9, 15], 3.0
    text = list(prompt)
    for _ in range(8):
        logits = next_logits(model, text)
        for token in set(text if penalize_prompt else text[3:]):
            logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
        text.append(int(logits.argmax()))
    options = {"temperature": 0, "repetition_penalty": penalty}
    assert generate_batch(model, [prompt], 8, **options, penalize_prompt=penalize_prompt) == [text[3:]]
    assert generate_batch(model, [prompt], 8, **options, penalize_prompt=not penalize_prompt) != [text[3:]]
    assert generate_batch(model, [prompt], 8, temperature=0) != [text[3:]]


def test_repetition_penalty_stays_with_its_row_when_others_have_ended():
    model = make_model()
    alone = [generate_batch(model, [p], 12, temperature=0, repetition_penalty=2.0)[0] for p in PROMPTS]
    stop = alone[0][1]
    expected = [row[: row.index(stop) + 1] if stop in row else row for row in alone]
    assert len(expected[0]) < max(map(len, expected))
    together = generate_batch(model, PROMPTS, 12, temperature=0, repetition_penalty=2.0, stop_ids=(stop,))
    assert together == expected


def test_the_sliding_window_is_announced_once():
    sequences.note_sliding_window.cache_clear()
    model = make_model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        generate_batch(model, [[1, 2]], 11, temperature=0)  # 12 tokens are read, and no more
        assert not caught
        generate_batch(model, PROMPTS, 30, temperature=0)
        generate_batch_uncached(model, PROMPTS, 30, temperature=0)
    assert [w.category for w in caught] == [ContextWindowWarning]
    assert "context of 12 tokens" in str(caught[0].message)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, "no prompt"),
        ([[1], []], {}, "prompt is empty"),
        ([[1], [2] * 13], {}, "13 tokens.*context only 12"),
        ([[1, 23]], {}, "id 23.*0 to 22"),
        ([[1]], {"max_new_tokens": 0}, "new tokens"),
        ([[1]], {"temperature": -1}, "temperature"),
        ([[1]], {"top_k": -1}, "top_k"),
        ([[1]], {"top_p": 0}, "top_p"),
        ([[1]], {"repetition_penalty": -1}, "repetition_penalty"),
        ([[1]], {"seed": -1}, "seed"),
    ],
)
@pytest.mark.parametrize("generate", [generate_batch, generate_batch_uncached])
def test_mistakes_are_named(generate, prompts, options, message):
    with pytest.raises(UserError, match=message):
        generate(make_model(), prompts, **{"max_new_tokens": 3, **options})


def test_a_context_of_one_token_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        generate_batch(make_model(GPTConfig(vocab_size=9, emb_dim=8, num_heads=2, context_size=1)), [[1]], 2)
