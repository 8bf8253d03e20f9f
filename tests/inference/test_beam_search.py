"""Beam search against looking at every hypothesis, and against the same algorithm on plain lists."""

import itertools
from pathlib import Path

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
    """The algorithm on lists: what ends among the best leaves the beam, and the next best takes its place."""
    beam, finished = [(0.0, [])], []
    for length in range(1, longest + 1):
        extensions = []
        for total, ids in beam:
            log_probs = log_softmax(next_logits(model, [*prompt, *ids])[None])[0]
            extensions += [(total + log_probs[token], [*ids, token]) for token in range(5)]
        extensions.sort(reverse=True)
        lp = ((5 + length) / 6) ** 0.6

        def ended(ids: list[int], length: int = length) -> bool:
            return ids[-1] == STOP or length == longest

        finished += [(total / lp, ids) for total, ids in extensions[:num_beams] if ended(ids)]
        finished = sorted(finished, reverse=True)[:num_beams]
        beam = [(total, ids) for total, ids in extensions if not ended(ids)][:num_beams]
        if not beam or (len(finished) == num_beams and beam[0][0] / lp <= finished[-1][0]):
            break
    return finished[0][1]


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


class WuPenalty(float):
    """A length penalty of `transformers`, which divides by ``length ** penalty``, made that of Wu et al. 2016."""

    def __rpow__(self, length: int) -> float:
        return ((5 + length) / 6) ** float(self)


@pytest.mark.parametrize("stop_ids", [(), (3,), (0, 2)], ids=["no end", "one end", "two ends"])
def test_transformers_finds_the_same_tokens(stop_ids: tuple[int, ...], tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = random_model(GPTConfig(vocab_size=7, emb_dim=32, num_heads=2, num_layers=2, context_size=24)).eval()
    model.transformer.ln_f.bias.data[:] = 0
    model.transformer.wpe.weight.data /= 4  # what counts is then what stands before, so that beams differ
    for block in model.transformer.h:
        block.attn.c_attn.weight.data *= 4
        block.attn.c_proj.weight.data *= 4
    model.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    theirs.generation_config.max_length = None
    rng = np.random.default_rng(6)
    prompts = [rng.integers(0, 7, size).tolist() for size in (1, 3, 9)]
    lengths, as_greedy = [], []
    for prompt in prompts:
        greedy, _ = beam_search(model, prompt, 8, 1, stop_ids=stop_ids)
        for num_beams, length_penalty in itertools.product((2, 3, 5), (0.0, 0.6, 1.0, 2.0)):
            found = theirs.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
                do_sample=False,
                max_new_tokens=8,
                num_beams=num_beams,
                length_penalty=WuPenalty(length_penalty),
                eos_token_id=list(stop_ids) or None,
                pad_token_id=0,
            )[0, len(prompt) :].tolist()
            ids, _ = beam_search(model, prompt, 8, num_beams, length_penalty, stop_ids)
            assert ids == found, (prompt, num_beams, length_penalty)
            lengths.append(len(ids))
            as_greedy.append(ids == greedy)
    assert not all(as_greedy)
    assert len(set(lengths)) > 2 if stop_ids else set(lengths) == {8}


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
