"""The engine: whoever comes, goes or waits, a row gets the tokens that it gets alone."""

import dataclasses
import gc
import json
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.inference.engine import Completion, Engine, EngineThread
from scratchgpt.inference.generate import generate_batch
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inference.sequences import Sequences
from scratchgpt.models import gpt2_decoder
from scratchgpt.models.decoder import RereadingDecoder
from scratchgpt.models.gpt2 import GPT
from tests.inference.random_model import random_model

CONFIG = GPTConfig(vocab_size=97, emb_dim=16, num_heads=2, num_layers=2, context_size=12, dropout=0.5)

pytestmark = pytest.mark.filterwarnings("ignore::scratchgpt.errors.ContextWindowWarning")

# Settings of every kind, some past the context of 12 tokens, some that end at a stop token.
REQUESTS = [
    {"prompt": [1, 2, 3], "sampling": SamplingConfig(temperature=0), "max_new_tokens": 25, "seed": 1},
    {"prompt": [4], "max_new_tokens": 9, "seed": (3, 1)},
    {"prompt": [5, 6, 7, 8, 9], "sampling": SamplingConfig(0.7, top_k=5), "max_new_tokens": 30, "seed": 2},
    {"prompt": [9] * 12, "sampling": SamplingConfig(1.5, top_p=0.8), "max_new_tokens": 4, "seed": 2},
    {"prompt": [7, 7, 20], "sampling": SamplingConfig(0, repetition_penalty=3.0), "max_new_tokens": 20, "seed": 4},
    {"prompt": [7, 90], "sampling": SamplingConfig(1.2, 40, 0.95, 1.5, penalize_prompt=True), "max_new_tokens": 18, "seed": 5},
    {"prompt": [60, 61], "max_new_tokens": 40, "seed": 6, "stop_ids": range(0, 97, 9)},
    {"prompt": [3, 1], "sampling": SamplingConfig(0.9, repetition_penalty=0.8), "max_new_tokens": 1, "seed": 7},
]


@pytest.fixture(scope="module")
def model() -> GPT:
    return random_model(CONFIG)


@pytest.fixture(scope="module")
def alone(model) -> list[list[int]]:
    """What each request gets from an engine of its own."""
    return [list(Engine(model, max_rows=1).submit(**request)) for request in REQUESTS]


# -- what a row gets ------------------------------------------------------------------------------------------
TOKENS = json.loads((Path(__file__).parent / "tokens.json").read_text())
"""What `generate_batch` gave for a random model before there was an engine."""


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("case", TOKENS["cases"], ids=lambda case: case["name"])
def test_batches_of_one_and_of_64_have_the_tokens_they_always_had(case, backend, model):
    prompts, options = TOKENS["prompts"], {**case["options"], "penalize_prompt": True}  # as it was then
    previous = kernels.backend()
    kernels.use(backend)
    try:
        assert generate_batch(model, prompts, 9, **options) == case["batch_of_64"]
        assert generate_batch(model, prompts[:1], 30, **options) == [case["alone"]]
    finally:
        kernels.use(previous)


DRAWS = 20_000
DISTRIBUTIONS = [
    SamplingConfig(),
    SamplingConfig(temperature=0.6),
    SamplingConfig(temperature=1.7),
    SamplingConfig(top_k=7),
    SamplingConfig(top_p=0.8),
    SamplingConfig(repetition_penalty=2.5, penalize_prompt=True),
    SamplingConfig(temperature=1.3, top_k=20, top_p=0.9, repetition_penalty=1.4, penalize_prompt=True),
]


def p_value(counts: np.ndarray, expected: np.ndarray) -> float:
    """Of Pearson's chi-square test of counts against a distribution; tokens expected less than 5 times count as one."""
    torch = pytest.importorskip("torch")
    assert not counts[expected == 0].any(), "a token was drawn that had been ruled out"
    rare = expected * counts.sum() < 5
    groups = [(counts[~rare], expected[~rare]), (counts[rare].sum(keepdims=True), expected[rare].sum(keepdims=True))]
    seen, share = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    seen, wanted = seen[share > 0], share[share > 0] * counts.sum()
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    half = torch.tensor([len(seen) - 1, statistic], dtype=torch.float64) / 2
    return float(torch.special.gammaincc(*half))


@pytest.mark.parametrize("sampling", DISTRIBUTIONS, ids=str)
def test_tokens_are_distributed_as_transformers_has_them(sampling, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model, prompt = random_model(CONFIG), [5, 60, 7, 60]
    for parameter in model.transformer.ln_f.parameters():
        parameter.data *= 0.6  # less sure, so that many tokens have a chance
    model.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    ids = torch.tensor([prompt])
    with torch.no_grad():
        logits = theirs(ids).logits[:, -1]

    def probabilities(config: SamplingConfig) -> np.ndarray:
        """What `transformers` draws from."""
        warped = logits
        for warper in (
            transformers.RepetitionPenaltyLogitsProcessor(config.repetition_penalty),
            transformers.TemperatureLogitsWarper(config.temperature),
            *([transformers.TopKLogitsWarper(config.top_k)] if config.top_k else []),
            *([transformers.TopPLogitsWarper(config.top_p)] if config.top_p < 1 else []),
        ):
            warped = warper(ids, warped)
        return warped.double().softmax(-1)[0].numpy()

    engine = Engine(model, max_rows=1000)
    completions = [engine.submit(prompt, sampling, max_new_tokens=1, seed=(41, i)) for i in range(DRAWS)]
    engine.drain()
    counts = np.bincount([completion.tokens[0] for completion in completions], minlength=CONFIG.vocab_size)
    assert p_value(counts, probabilities(sampling)) > 1e-3
    wrong = dataclasses.replace(sampling, temperature=1.3 * sampling.temperature)
    assert p_value(counts, probabilities(wrong)) < 1e-6


def test_the_requests_differ_in_what_they_get(alone):
    assert len(set(map(tuple, alone))) == len(REQUESTS)
    assert len(alone[6]) < 40
    assert alone[6][-1] % 9 == 0
    assert len(set(alone[4])) == 20  # the penalty shows
    assert [len(tokens) for i, tokens in enumerate(alone) if i != 6] == [25, 9, 30, 4, 20, 18, 1]


@pytest.mark.parametrize("decoder_of", [GPT.decoder, RereadingDecoder], ids=["cached", "rereading"])
def test_rows_that_come_late_get_what_they_get_alone(model, alone, decoder_of):
    engine = Engine(model, max_rows=8, decoder_of=decoder_of)
    completions = []
    for request in REQUESTS:
        completions.append(engine.submit(**request))
        engine.step()
        engine.step()
    engine.drain()
    assert [completion.tokens for completion in completions] == alone


@pytest.mark.parametrize("max_rows", [1, 2, 3, 8])
def test_more_submissions_than_rows_wait_for_their_turn(model, alone, max_rows, monkeypatch):
    sizes = []
    original = Engine._choose
    monkeypatch.setattr(Engine, "_choose", lambda engine: sizes.append(len(engine._rows)) or original(engine))
    engine = Engine(model, max_rows)
    completions = [engine.submit(**request) for request in REQUESTS]
    engine.drain()
    assert [completion.tokens for completion in completions] == alone
    assert max(sizes) == max_rows
    assert sum(sizes) == sum(map(len, alone))  # no row is written after its end
    assert not engine.busy


def test_a_row_that_ends_frees_its_place_at_once(model):
    engine = Engine(model, max_rows=2)
    short, long = engine.submit([1], max_new_tokens=2), engine.submit([2], max_new_tokens=9)
    waiting = engine.submit([3], max_new_tokens=9)
    engine.step()
    engine.step()
    assert (len(short.tokens), len(long.tokens), len(waiting.tokens)) == (2, 2, 0)
    engine.step()
    assert (len(short.tokens), len(long.tokens), len(waiting.tokens)) == (2, 3, 1)


def test_rows_that_join_together_are_read_together_and_the_others_only_once(model, monkeypatch):
    read = []
    original = Sequences.join
    monkeypatch.setattr(Sequences, "join", lambda sequences, new: (read.append(new), original(sequences, new))[1])
    engine = Engine(model, max_rows=8)
    for prompts in ([[1], [2, 3]], [[4]]):
        for prompt in prompts:
            engine.submit(prompt, max_new_tokens=5)
        engine.step()
    engine.drain()
    assert read == [[[1], [2, 3]], [[4]]]


# -- the handle -----------------------------------------------------------------------------------------------
def test_iterating_gives_tokens_as_they_come_and_drives_the_others_too(model, alone):
    engine = Engine(model, max_rows=8)
    first, second = engine.submit(**REQUESTS[0]), engine.submit(**REQUESTS[2])
    tokens = iter(first)
    assert [next(tokens) for _ in range(3)] == alone[0][:3]
    assert first.tokens == alone[0][:3] and second.tokens == alone[2][:3]
    assert not first.finished
    assert list(second) == alone[2]
    assert list(tokens) == alone[0][3:]
    assert list(first) == alone[0]  # again, from the beginning
    waiting = engine.submit(**REQUESTS[3])
    assert list(first) == alone[0]
    assert not waiting.tokens  # nothing was missing, so nothing was driven
    assert list(waiting) == alone[3]
    assert not engine.busy


def test_why_a_completion_ended(model):
    engine = Engine(model)
    stopped = engine.submit(**REQUESTS[6])
    full = engine.submit(**REQUESTS[1])
    at_the_last = engine.submit([1], sampling=SamplingConfig(0), max_new_tokens=1)
    assert stopped.finish_reason is full.finish_reason is None
    engine.drain()
    assert (stopped.finish_reason, full.finish_reason, at_the_last.finish_reason) == ("stop", "length", "length")
    both = engine.submit([1], SamplingConfig(0), max_new_tokens=1, stop_ids=at_the_last.tokens)
    engine.drain()
    assert both.finish_reason == "stop"


def test_cancelling_ends_a_row_and_leaves_the_others(model, alone):
    engine = Engine(model, max_rows=2)
    going, cancelled = engine.submit(**REQUESTS[0]), engine.submit(**REQUESTS[2])
    never, next_one = engine.submit(**REQUESTS[5]), engine.submit(**REQUESTS[4])
    engine.step()
    cancelled.cancel()
    never.cancel()
    engine.step()
    assert (len(going.tokens), len(cancelled.tokens), len(next_one.tokens)) == (2, 1, 1)
    engine.drain()
    assert (going.tokens, next_one.tokens) == (alone[0], alone[4])
    assert cancelled.finish_reason == never.finish_reason == "cancelled"
    assert (list(cancelled), list(never)) == (alone[2][:1], [])
    going.cancel()
    assert going.finish_reason == "length"
    cancelled.take(5)  # chosen before the engine heard of it
    assert cancelled.tokens == alone[2][:1]


def test_an_engine_whose_rows_are_all_cancelled_comes_to_rest(model):
    engine = Engine(model, max_rows=1)
    completions = [engine.submit([1]), engine.submit([2])]
    engine.step()
    for completion in completions:
        completion.cancel()
    engine.drain()
    assert not engine.busy
    engine.step()  # nothing to do


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": [2] * 13}, "13 tokens.*context only 12"),
        ({"prompt": [97]}, "id 97.*0 to 96"),
        ({"max_new_tokens": 0}, "new tokens"),
        ({"seed": -1}, "seed"),
        ({"seed": (3, -1)}, "seed"),
    ],
)
def test_mistakes_are_named_at_once(model, options, message):
    engine = Engine(model)
    with pytest.raises(UserError, match=message):
        engine.submit(**{"prompt": [1], **options})
    assert not engine.busy
    with pytest.raises(UserError, match="at least 1 row"):
        Engine(model, max_rows=0)


# -- the model's weights --------------------------------------------------------------------------------------
def test_three_calls_pack_the_weights_once(model, monkeypatch):
    packed = []
    original = gpt2_decoder._packed
    monkeypatch.setattr(gpt2_decoder, "_packed", lambda *given: packed.append(1) or original(*given))
    other = random_model(CONFIG)
    first = generate_batch(other, [[1, 2]], 10)
    for _ in range(2):
        assert generate_batch(other, [[1, 2]], 10) == first
    assert len(packed) == 1
    other.transformer.h[0].mlp.c_fc.weight.data[3] += 1
    assert generate_batch(other, [[1, 2]], 10) == generate_batch_of_a_copy(other, [[1, 2]], 10)
    assert generate_batch(other, [[1, 2]], 10) != first


def generate_batch_of_a_copy(model: GPT, prompts: list[list[int]], count: int) -> list[list[int]]:
    copy = GPT(model.config)
    copy.load_state_dict(model.state_dict())
    return generate_batch(copy, prompts, count)


def test_rows_that_are_written_together_see_one_version_of_the_weights(alone):
    model = random_model(CONFIG)
    engine = Engine(model, max_rows=8)
    early = engine.submit(**REQUESTS[0])
    engine.step()
    for parameter in model.parameters():
        parameter.data *= 0.5
    late = engine.submit(**REQUESTS[2])
    engine.drain()
    assert (early.tokens, late.tokens) == (alone[0], alone[2])
    new = engine.submit(**REQUESTS[2])  # the batch was empty: the model as it is now
    engine.drain()
    assert new.tokens != alone[2]


def test_an_engine_at_rest_holds_no_weights():
    model = random_model(CONFIG)
    engine = Engine(model)
    engine.submit([1], max_new_tokens=3)
    engine.step()
    decoder = weakref.ref(model.decoder())
    engine.drain()
    model.transformer.ln_f.bias.data[0] += 1
    model.decoder()
    gc.collect()
    assert decoder() is None


# -- in a thread of its own -----------------------------------------------------------------------------------
def test_many_threads_get_what_each_gets_alone(model, alone):
    got: dict[tuple[int, int], list[int]] = {}

    def ask(thread: int, engine: EngineThread) -> None:
        order = np.random.default_rng(thread).permutation(len(REQUESTS))
        for i in order[:4]:
            got[thread, i] = list(engine.submit(**REQUESTS[i]))
        completions = {i: engine.submit(**REQUESTS[i]) for i in order[4:]}
        for i, completion in completions.items():
            got[thread, i] = list(completion)

    with EngineThread(model, max_rows=5) as engine:
        threads = [threading.Thread(target=ask, args=(thread, engine)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == {(thread, i): tokens for thread in range(4) for i, tokens in enumerate(alone)}


def test_tokens_come_one_by_one_and_a_cancelled_row_makes_room(model, alone):
    with EngineThread(model, max_rows=1) as engine:
        endless = engine.submit([5], max_new_tokens=10**9)
        waiting = engine.submit(**REQUESTS[0])
        tokens = iter(endless)
        for _ in range(3):
            next(tokens)
        assert not endless.finished and not waiting.tokens
        endless.cancel()
        assert list(waiting) == alone[0]
        assert endless.finish_reason == "cancelled"
        assert list(tokens) == endless.tokens[3:]


def test_closing_ends_what_is_under_way(model):
    engine = EngineThread(model, max_rows=1)
    endless, waiting = (engine.submit([i], max_new_tokens=10**9) for i in (1, 2))
    next(iter(endless))
    reader = threading.Thread(target=lambda: list(endless))
    reader.start()
    engine.close()
    reader.join(30)
    assert not reader.is_alive()
    assert endless.finish_reason == waiting.finish_reason == "cancelled"
    assert list(waiting) == []
    engine.close()
    with pytest.raises(UserError, match="closed"):
        engine.submit([1])


def test_what_goes_wrong_in_the_thread_is_raised_where_tokens_are_awaited(alone):
    model = random_model(CONFIG)
    weight = model.transformer.ln_f.weight.data
    with EngineThread(model, max_rows=2) as engine:
        with pytest.raises(UserError, match="prompt is empty"):
            engine.submit([])
        kept, weight[0] = weight[0], np.nan
        failed: list[Completion] = [engine.submit(**request) for request in REQUESTS[:3]]
        for completion in failed:
            with pytest.raises(UserError, match="not finite"):
                list(completion)
            assert completion.finish_reason == "error"
        weight[0] = kept
        assert list(engine.submit(**REQUESTS[2])) == alone[2]


def test_after_a_failure_the_thread_begins_with_an_empty_batch(model, alone, monkeypatch):
    original = gpt2_decoder.GPT2Decoder.prefill
    failures = [MemoryError("once")]

    def failing_once(*arguments, **options):
        if failures:
            raise failures.pop()
        return original(*arguments, **options)

    monkeypatch.setattr(gpt2_decoder.GPT2Decoder, "prefill", failing_once)
    with EngineThread(model, max_rows=1) as engine:
        with pytest.raises(MemoryError, match="once"):
            list(engine.submit([1]))
        assert list(engine.submit(**REQUESTS[2])) == alone[2]


def test_the_thread_works_with_as_many_threads_as_the_kernels_of_its_maker(model, monkeypatch):
    seen = []
    original = Engine.step
    monkeypatch.setattr(Engine, "step", lambda engine: seen.append(kernels.num_threads()) or original(engine))
    previous = kernels.num_threads()
    kernels.set_threads(1)
    try:
        with EngineThread(model) as engine:
            list(engine.submit([1], max_new_tokens=2))
    finally:
        kernels.set_threads(previous)
    assert set(seen) == {1}
