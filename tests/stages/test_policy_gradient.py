"""The losses against closed forms and PyTorch, gradients piece by piece against those of the whole minibatch."""

import dataclasses

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLVFConfig
from scratchgpt.evaluation.rollouts import FORWARD_BATCH, Rollouts, response_logprobs, token_logprobs
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import (
    Experience,
    PolicyUpdate,
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    response_loss,
    update_metrics,
    update_policy,
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


def test_an_experience_says_how_far_the_policy_was_from_the_reference():
    rollouts = Rollouts([[6], [6]], [[7, 8], [9]])
    old, reference = np.array([-1.0, -2.0, -3.0]), np.array([-1.5, -2.0, -1.0])
    experience = Experience(0, np.random.default_rng(0), rollouts, old, reference)
    assert experience.kl.tolist() == [0.5, 0, -2]
    assert experience.kl_per_response == (0.5 - 2) / 2


def test_whitening_leaves_nothing_large_of_differences_near_its_epsilon():
    np.testing.assert_allclose(whiten(np.array([0.0, 2e-8])), [-0.5, 0.5], rtol=1e-12)


def test_minibatches_are_drawn_anew_and_as_few_as_fit():
    assert [len(part) for part in minibatches(np.random.default_rng(0), 64, 32)] == [32, 32]
    assert [len(part) for part in minibatches(np.random.default_rng(0), 3, 32)] == [3]
    first, again, other = (np.concatenate(minibatches(np.random.default_rng(seed), 70, 32)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_frozen_copy_is_the_model_without_dropout():
    model = tiny_policy(digit_tokenizer(), seed=3, dropout=0.5)
    model.train()
    copy = frozen_copy(model)
    ids = np.arange(8)[None]
    first, again, original = (each.hidden_states(ids).data for each in (copy, copy, model.eval()))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, original)


SETTINGS = RLVFConfig(clip_ratio=0.2, target_kl=0.5, temperature=0.8, max_grad_norm=1.0)


def one_update(log_ratio, target_kl=0.5):
    """An update of a policy whose tokens are by ``log_ratio`` likelier than when they were sampled; and its weights."""
    tokenizer = digit_tokenizer()
    model = tiny_policy(tokenizer).eval()
    rollouts = random_rollouts(np.random.default_rng(4), 12, tokenizer.vocab_size)
    now = token_logprobs(model, rollouts, SETTINGS.temperature)
    members = np.array([1, 4, 5, 8])
    old = np.full_like(now, np.nan)  # of the tokens of others nothing is asked
    tokens = rollouts.token_indices(members)
    old[tokens] = now[tokens] - np.resize(log_ratio, len(tokens)).astype(now.dtype)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    settings = dataclasses.replace(SETTINGS, target_kl=target_kl)
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    done = update_policy(model, optimizer, rollouts, members, old, lambda x, at: x * -2.0, settings)
    moved = any((before[name] != array).any() for name, array in model.state_dict().items())
    return done, moved, now[tokens], np.resize(log_ratio, len(tokens))


def test_an_update_tells_its_loss_how_far_the_policy_had_moved_and_what_was_clipped():
    done, moved, logprobs, log_ratio = one_update(np.array([0.0, 0.1, -0.1, 0.3, -0.3, 0.17]))
    assert done.loss == pytest.approx(-2 * logprobs.mean(), rel=1e-4)
    assert done.approx_kl == pytest.approx((np.exp(log_ratio) - 1 - log_ratio).mean(), rel=1e-3)
    assert done.clip_fraction == pytest.approx((np.abs(np.exp(log_ratio) - 1) > 0.2).mean(), rel=1e-12)
    assert 0 < done.clip_fraction < 1 and done.applied and moved


def test_an_update_from_the_policy_that_sampled_moves_and_clips_nothing():
    done, moved, _, _ = one_update(np.zeros(1))
    assert done.approx_kl == pytest.approx(0, abs=1e-6) and done.clip_fraction == 0 and done.applied and moved


def test_a_policy_that_has_moved_too_far_is_left_where_it_is():
    kl = float(np.exp(1.0) - 2)
    for target_kl, applied in ((kl * 1.01, True), (kl * 0.99, False)):
        done, moved, _, _ = one_update(np.ones(1), target_kl)
        assert done.approx_kl == pytest.approx(kl, rel=1e-3) and done.clip_fraction == 1
        assert done.applied == moved == applied


def test_the_metrics_are_means_over_the_updates():
    updates = [PolicyUpdate(1.0, 0.1, 0.5, True), PolicyUpdate(3.0, 0.3, 0.0, False), PolicyUpdate(5.0, 0.2, 0.1, True)]
    assert update_metrics(updates) == pytest.approx(
        {"loss/policy": 3.0, "policy/approxkl": 0.2, "policy/clipfrac": 0.2, "policy/updates": 2.0}
    )
    assert set(update_metrics([]).values()) == {0.0}
