"""Responses: their bookkeeping by hand, their log-probabilities against the whole model, their sampling."""

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import no_grad
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer
from scratchgpt.evaluation.rollouts import (
    Rollouts,
    encode_prompt,
    response_logprobs,
    sample_responses,
    token_logprobs,
    without_dropout,
)
from scratchgpt.inference.generate import generate_batch
from scratchgpt.tokenizer import END_IDS, EOS_ID, IM_END_ID, IM_START_ID
from tests.rl_helpers import digit_tokenizer, random_rollouts, tiny_policy


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_response_logprobs_equal_those_of_the_whole_model(temperature):
    tokenizer = digit_tokenizer()
    model = tiny_policy(tokenizer).eval()
    rollouts = random_rollouts(np.random.default_rng(1), 37, tokenizer.vocab_size)
    found = token_logprobs(model, rollouts, temperature)
    expected = []
    with no_grad():
        for prompt, response in zip(rollouts.prompts, rollouts.responses, strict=True):
            logits, _ = model(np.array([prompt + response]))
            table = ag.log_softmax(logits / temperature).data[0]
            expected += [table[len(prompt) - 1 + i, token] for i, token in enumerate(response)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rollouts_keep_the_tokens_of_each_response_together():
    rollouts = Rollouts([[7], [8, 8], [9]], [[10, IM_END_ID], [11], [12, 13, EOS_ID]])
    assert rollouts.lengths.tolist() == [2, 1, 3]
    assert rollouts.finished.tolist() == [True, False, True]
    assert rollouts.num_tokens == 10
    np.testing.assert_array_equal(rollouts.token_indices(np.array([2, 0])), [3, 4, 5, 0, 1])
    np.testing.assert_array_equal(rollouts.sum_per_response(np.arange(6)), [1, 2, 12])
    assert rollouts.select(np.array([1])).responses == [[11]]
    batch = rollouts.batch(np.array([1, 2]))
    np.testing.assert_array_equal(batch.input_ids, [[8, 8, 0], [9, 12, 13]])
    np.testing.assert_array_equal(batch.rows, [1, 3, 4, 5])
    np.testing.assert_array_equal(batch.tokens, [11, 12, 13, EOS_ID])


def test_the_opening_of_a_turn_ends_an_answer_too():
    rollouts = Rollouts([[7]] * 3, [[10, end] for end in (EOS_ID, IM_START_ID, IM_END_ID)])
    assert rollouts.finished.all()
    assert len({rollouts.text(digit_tokenizer(), i) for i in range(3)}) == 1


def test_sampling_stays_in_the_context_and_depends_on_the_seed_alone():
    tokenizer = digit_tokenizer()
    model = tiny_policy(tokenizer)
    prompts = [encode_prompt(tokenizer, text, 48) for text in ("1", "22", "1")]
    first = sample_responses(model, prompts, 96, 1.0, seed=3)
    again = sample_responses(model, prompts, 96, 1.0, seed=3)
    assert first.responses == again.responses != sample_responses(model, prompts, 96, 1.0, seed=4).responses
    assert first.responses[0] != first.responses[2]
    assert max(len(p) + len(r) for p, r in zip(first.prompts, first.responses, strict=True)) <= 48
    ended = [r for r, done in zip(first.responses, first.finished, strict=True) if done]
    assert all(r[-1] in END_IDS for r in ended)


def test_a_long_prompt_cuts_no_other_answer_short():
    """The room of an answer is what its own prompt leaves of the context, whatever stands beside it."""
    tokenizer = digit_tokenizer()
    model = tiny_policy(tokenizer)
    short = [encode_prompt(tokenizer, text, 48) for text in ("1", "22", "333")]
    long = encode_prompt(tokenizer, "1" * 28, 48)
    assert len(long) == 47
    alone = sample_responses(model, short, 30, 1.0, seed=3)
    assert max(alone.lengths) > 1
    beside = sample_responses(model, [*short, long], 30, 1.0, seed=3)
    assert beside.responses[:3] == alone.responses and len(beside.responses[3]) == 1
    assert alone.responses == generate_batch(model, short, 30, stop_ids=END_IDS, seed=3)  # row i is that of (seed, i)


def test_prompt_that_leaves_no_room_is_the_users_mistake():
    with pytest.raises(UserError, match="leaves no room"):
        encode_prompt(digit_tokenizer(), "1" * 40, 48)


def test_responses_as_answers():
    tokenizer = digit_tokenizer()
    seven, eight = tokenizer.encode("78")
    rollouts = Rollouts([[9]] * 3, [[seven, eight, IM_END_ID], [seven, eight], [IM_START_ID]])
    assert rollouts.answers(tokenizer) == [Answer("78", True), Answer("78", False), Answer("", True)]


def test_log_probabilities_are_those_of_the_sampling_whatever_mode_the_model_is_in():
    tokenizer = digit_tokenizer()
    rollouts = random_rollouts(np.random.default_rng(3), 9, tokenizer.vocab_size)
    model = tiny_policy(tokenizer, dropout=0.5)
    expected = token_logprobs(model.eval(), rollouts, 1.0)
    np.testing.assert_array_equal(token_logprobs(model.train(), rollouts, 1.0), expected)
    assert model.training
    alone = rollouts.select(np.array([0]))
    np.testing.assert_allclose(
        response_logprobs(model, alone, np.array([0]), 1.0).data, expected[: alone.lengths[0]], atol=1e-5
    )


def test_without_dropout_leaves_every_module_as_it_was():
    model = tiny_policy(digit_tokenizer())
    model.transformer.h[0].eval()
    modes = [module.training for _, module in model.named_modules()]
    assert True in modes and False in modes
    with pytest.raises(ValueError), without_dropout(model):
        assert not any(module.training for _, module in model.named_modules())
        raise ValueError
    assert [module.training for _, module in model.named_modules()] == modes
