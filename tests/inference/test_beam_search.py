"""Beam search against looking at every hypothesis, and against the same algorithm on plain lists."""

import itertools

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.inference.beam_search import beam_search, log_softmax
from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.gpt2 import GPT
from tests.inference.random_model import random_model

CONFIG = GPTConfig(vocab_size=5, emb_dim=16, num_heads=2, num_layers=2, context_size=12)
STOP = 3  # the best hypotheses then end after 2 to 4 tokens, as the length penalty says

pytestmark = pytest.mark.filterwarnings("ignore::scratchgpt.errors.ContextWindowWarning")


def make_model() -> GPT:
    return random_model(CONFIG).eval()


def next_logits(model: GPT, ids: list[int]) -> np.ndarray:
    """(V,) by the model itself."""
    with no_grad():
        return model(np.array([ids]))[0].data[0, -1]


def all_hypotheses(model: GPT, prompt: list[int], longest: int, length_penalty: float):
    """(score, ids) of every continuation that ends with ``STOP`` or with its ``longest`` token."""
    log_probs = {}

    def log_prob(text: tuple[int, ...]) -> np.ndarray:
        if text not in log_probs:
            log_probs[text] = log_softmax(next_logits(model, [*prompt, *text])[None])[0]
        return log_probs[text]

    for length in range(1, longest + 1):
        for ids in itertools.product(range(5), repeat=length):
            if STOP in ids[:-1] or (ids[-1] != STOP and length < longest):
                continue
            total = sum(log_prob(ids[:i])[ids[i]] for i in range(length))
            yield total / ((5 + length) / 6) ** length_penalty, list(ids)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 3.0])
def test_a_wide_beam_finds_the_best_of_all_hypotheses(length_penalty):
    model = make_model()
    best_score, best = max(all_hypotheses(model, [0, 4], 4, length_penalty))
    ids, score = beam_search(model, [0, 4], 4, num_beams=5**4, length_penalty=length_penalty, stop_ids=(STOP,))
    assert ids == best
    assert score == pytest.approx(best_score, abs=1e-4)


def plain_beam_search(model: GPT, prompt: list[int], longest: int, num_beams: int) -> list[int]:
    """The algorithm on lists: the beam is one narrower for every hypothesis that has ended."""
    beam, finished = [(0.0, [])], []
    while beam:
        extensions = []
        for total, ids in beam:
            log_probs = log_softmax(next_logits(model, [*prompt, *ids])[None])[0]
            extensions += [(total + log_probs[token], [*ids, token]) for token in range(5)]
        beam = []
        for total, ids in sorted(extensions, reverse=True)[: num_beams - len(finished)]:
            done = ids[-1] == STOP or len(ids) == longest
            (finished if done else beam).append((total, ids))
    return max(finished, key=lambda hypothesis: hypothesis[0] / ((5 + len(hypothesis[1])) / 6) ** 0.6)[1]


def test_a_narrow_beam_follows_the_algorithm():
    model = make_model()
    model.transformer.wpe.weight.data /= 16  # what counts is then what stands before, so that beams differ
    for block in model.transformer.h:
        block.attn.c_attn.weight.data *= 4
        block.attn.c_proj.weight.data *= 4
    greedy = 0
    for prompt in itertools.product(range(5), repeat=2):
        results = []
        for num_beams in (1, 2, 3):
            ids, _ = beam_search(model, prompt, 5, num_beams, stop_ids=(STOP,))
            assert ids == plain_beam_search(model, [*prompt], 5, num_beams)
            results.append(ids)
        assert results[0] == generate_batch(model, [prompt], 5, temperature=0, stop_ids=(STOP,))[0]
        greedy += results[2] == results[0]
    assert greedy < 20  # of 25: elsewhere the search changed its mind about an earlier token


def test_length_penalty_favours_longer_hypotheses():
    model = make_model()
    lengths = [len(beam_search(model, [3], 4, 5**4, penalty, (STOP,))[0]) for penalty in (0.0, 0.6, 3.0)]
    assert lengths == [2, 3, 4]


def test_beams_slide_past_the_context():
    model = make_model()
    expected = generate_batch(model, [[1, 2]], 30, temperature=0)[0]
    assert beam_search(model, [1, 2], 30, num_beams=1)[0] == expected
    ids, _ = beam_search(model, [1, 2], 30, num_beams=3)
    assert len(ids) == 30


@pytest.mark.parametrize(("beams", "count", "message"), [(0, 3, "num_beams"), (2, 0, "new tokens")])
def test_beam_search_names_mistakes(beams, count, message):
    with pytest.raises(UserError, match=message):
        beam_search(make_model(), [1], count, num_beams=beams)
