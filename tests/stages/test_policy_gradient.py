"""The losses against closed forms and PyTorch, gradients piece by piece against those of the whole minibatch."""

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.evaluation.rollouts import FORWARD_BATCH, response_logprobs
from scratchgpt.stages.policy_gradient import (
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    response_loss,
    whiten,
)
from tests.rl_helpers import backward, digit_tokenizer, random_rollouts, tiny_policy


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


def test_whiten_equals_pytorch(numbers):
    torch = pytest.importorskip("torch")
    x = torch.tensor(numbers["advantages"])
    expected = (x - x.mean()) / x.std(unbiased=False)
    np.testing.assert_allclose(whiten(numbers["advantages"]), expected.numpy(), atol=1e-7)
    assert np.all(whiten(np.full(5, 3.0)) == 0)


# -- the update ---------------------------------------------------------------------------------------------
def test_accumulated_gradients_are_those_of_the_whole_minibatch():
    tokenizer = digit_tokenizer()
    model = tiny_policy(tokenizer).eval()
    rng = np.random.default_rng(2)
    rollouts = random_rollouts(rng, 3 * FORWARD_BATCH, tokenizer.vocab_size)
    weights = rng.normal(size=rollouts.lengths.sum()).astype(np.float32)
    members = rng.permutation(len(rollouts))[: 2 * FORWARD_BATCH + 3]

    def function(group):
        return response_logprobs(model, rollouts, group, 1.0)

    outputs = np.full(rollouts.lengths.sum(), np.nan, np.float32)
    loss = backward(response_loss(function, lambda x, at: x * weights[at], rollouts, members, outputs))
    gradients = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    tokens = rollouts.token_indices(members)
    whole = function(members)
    expected = (whole * weights[tokens]).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    np.testing.assert_allclose(outputs[tokens], whole.data, atol=1e-5)
    assert np.isnan(outputs).sum() == len(outputs) - len(tokens)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, atol=1e-5)


def test_minibatches_are_a_partition():
    parts = minibatches(np.random.default_rng(0), 70, 32)
    assert [len(part) for part in parts] == [24, 23, 23]
    assert sorted(np.concatenate(parts)) == list(range(70))


def test_frozen_copy_stays():
    model = tiny_policy(digit_tokenizer())
    copy = frozen_copy(model)
    before = copy.state_dict()
    for parameter in model.parameters():
        parameter.data += 1
    assert all(np.array_equal(before[name], array) for name, array in copy.state_dict().items())
