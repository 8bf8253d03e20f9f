"""The losses and estimators against closed forms and PyTorch, the token bookkeeping against the whole model."""

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages.policy_gradient import (
    FORWARD_BATCH,
    Rollouts,
    accumulate_gradients,
    all_tokens,
    clipped_policy_loss,
    encode_prompt,
    frozen_copy,
    kl_k1,
    kl_k3,
    minibatches,
    response_logprobs,
    sample_responses,
    whiten,
)
from scratchgpt.tokenizer import END_IDS, EOS_ID, IM_END_ID, IM_START_ID, CharTokenizer


def tiny_tokenizer(characters: str = "0123456789") -> CharTokenizer:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["user\nassistant\n", characters])
    return tokenizer


def tiny_policy(tokenizer: CharTokenizer, seed: int = 0, context_size: int = 48) -> GPT:
    return GPT(GPTConfig(tokenizer.vocab_size, emb_dim=32, num_heads=2, num_layers=1, context_size=context_size), seed)


def random_rollouts(rng: np.random.Generator, count: int, vocab_size: int) -> Rollouts:
    prompts = [rng.integers(6, vocab_size, rng.integers(1, 12)).tolist() for _ in range(count)]
    responses = [rng.integers(6, vocab_size, rng.integers(1, 9)).tolist() for _ in range(count)]
    return Rollouts(prompts, responses)


# -- against PyTorch ----------------------------------------------------------------------------------------
@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    old = -rng.random(400) * 3
    # Ratios on both sides of the clip range, with advantages of both signs.
    return {"old": old, "new": old + rng.normal(0, 0.3, 400), "advantages": rng.normal(0, 2, 400)}


def test_clipped_policy_loss_equals_pytorch(numbers):
    torch = pytest.importorskip("torch")
    logprobs = Tensor(numbers["new"], requires_grad=True)
    loss = clipped_policy_loss(logprobs, numbers["old"], numbers["advantages"], 0.2)
    loss.mean().backward()

    new = torch.tensor(numbers["new"], requires_grad=True)
    advantages = torch.tensor(numbers["advantages"])
    ratio = torch.exp(new - torch.tensor(numbers["old"]))
    expected = torch.max(-advantages * ratio, -advantages * torch.clamp(ratio, 0.8, 1.2))
    expected.mean().backward()
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(logprobs.grad, new.grad.numpy(), rtol=0, atol=1e-12)
    assert (logprobs.grad == 0).any() and (logprobs.grad != 0).any()


def test_clip_is_one_sided():
    ratios, advantages = np.array([1.5, 1.5, 0.5, 0.5]), np.array([1.0, -1.0, 1.0, -1.0])
    logprobs = Tensor(np.log(ratios), requires_grad=True)
    clipped_policy_loss(logprobs, np.zeros(4), advantages, 0.2).sum().backward()
    np.testing.assert_allclose(logprobs.grad, [0, 1.5, -0.5, 0])  # too far in the good direction: no gradient


def test_kl_estimators_equal_pytorch(numbers):
    torch = pytest.importorskip("torch")
    log_ratio = numbers["old"] - numbers["new"]
    given = Tensor(log_ratio, requires_grad=True)
    estimate = kl_k3(given)
    estimate.mean().backward()

    other = torch.tensor(log_ratio, requires_grad=True)
    expected = torch.expm1(other) - other
    expected.mean().backward()
    np.testing.assert_allclose(estimate.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(given.grad, other.grad.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(kl_k1(log_ratio), numbers["new"] - numbers["old"])


def test_kl_estimators_are_unbiased():
    rng = np.random.default_rng(0)
    q, p = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7))
    divergence = np.sum(q * np.log(q / p))
    log_ratio = np.log(p / q)
    assert np.sum(q * kl_k1(log_ratio)) == pytest.approx(divergence)
    assert np.sum(q * kl_k3(log_ratio).data) == pytest.approx(divergence)
    assert kl_k3(log_ratio).data.min() >= 0 > kl_k1(log_ratio).min()


def test_whiten_equals_pytorch(numbers):
    torch = pytest.importorskip("torch")
    x = torch.tensor(numbers["advantages"])
    expected = (x - x.mean()) / x.std(unbiased=False)
    np.testing.assert_allclose(whiten(numbers["advantages"]), expected.numpy(), atol=1e-7)
    assert np.all(whiten(np.full(5, 3.0)) == 0)


# -- tokens of responses ------------------------------------------------------------------------------------
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_response_logprobs_equal_those_of_the_whole_model(temperature):
    tokenizer = tiny_tokenizer()
    model = tiny_policy(tokenizer).eval()
    rollouts = random_rollouts(np.random.default_rng(1), 37, tokenizer.vocab_size)
    found = all_tokens(lambda group: response_logprobs(model, rollouts, group, temperature), rollouts)
    expected = []
    with no_grad():
        for prompt, response in zip(rollouts.prompts, rollouts.responses, strict=True):
            logits, _ = model(np.array([prompt + response]))
            table = ag.log_softmax(logits / temperature).data[0]
            expected += [table[len(prompt) - 1 + i, token] for i, token in enumerate(response)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_accumulated_gradients_are_those_of_the_whole_minibatch():
    tokenizer = tiny_tokenizer()
    model = tiny_policy(tokenizer).eval()
    rng = np.random.default_rng(2)
    rollouts = random_rollouts(rng, 3 * FORWARD_BATCH, tokenizer.vocab_size)
    weights = rng.normal(size=rollouts.lengths.sum()).astype(np.float32)
    members = rng.permutation(len(rollouts))[: 2 * FORWARD_BATCH + 3]

    def function(group):
        return response_logprobs(model, rollouts, group, 1.0)

    loss, outputs = accumulate_gradients(function, lambda x, at: x * weights[at], rollouts, members)
    gradients = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    tokens = rollouts.token_indices(members)
    whole = function(members)
    expected = (whole * weights[tokens]).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    np.testing.assert_allclose(outputs, whole.data, atol=1e-5)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, atol=1e-5)


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
    assert len({rollouts.text(tiny_tokenizer(), i) for i in range(3)}) == 1


def test_sampling_stays_in_the_context_and_depends_on_the_seed_alone():
    tokenizer = tiny_tokenizer()
    model = tiny_policy(tokenizer)
    prompts = [encode_prompt(tokenizer, text, 48) for text in ("1", "22", "1")]
    first = sample_responses(model, prompts, 96, 1.0, seed=3)
    again = sample_responses(model, prompts, 96, 1.0, seed=3)
    assert first.responses == again.responses != sample_responses(model, prompts, 96, 1.0, seed=4).responses
    assert first.responses[0] != first.responses[2]
    assert max(len(p) + len(r) for p, r in zip(first.prompts, first.responses, strict=True)) <= 48
    ended = [r for r, done in zip(first.responses, first.finished, strict=True) if done]
    assert all(r[-1] in END_IDS for r in ended)


def test_prompt_that_leaves_no_room_is_the_users_mistake():
    with pytest.raises(UserError, match="leaves no room"):
        encode_prompt(tiny_tokenizer(), "1" * 40, 48)


def test_minibatches_are_a_partition():
    parts = minibatches(np.random.default_rng(0), 70, 32)
    assert [len(part) for part in parts] == [24, 23, 23]
    assert sorted(np.concatenate(parts)) == list(range(70))


def test_frozen_copy_stays():
    model = tiny_policy(tiny_tokenizer())
    copy = frozen_copy(model)
    before = copy.state_dict()
    for parameter in model.parameters():
        parameter.data += 1
    assert all(np.array_equal(before[name], array) for name, array in copy.state_dict().items())
