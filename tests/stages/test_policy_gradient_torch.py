"""PPO and RLVF against closed forms and against a second implementation, in PyTorch, on the same numbers.

The second implementation is written the other way round: answers padded to a rectangle (R, T) with a mask, means over
the mask, gradients from torch.autograd. Ours keeps the tokens of all answers in one flat array. Whatever the two agree
on to 1e-5 is not an accident of the layout.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig
from scratchgpt.evaluation.divergence import kl_k1, kl_k3
from scratchgpt.evaluation.rollouts import Rollouts, all_tokens, response_logprobs
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages import rlhf
from scratchgpt.stages.policy_gradient import clipped_policy_loss, response_loss, whiten
from scratchgpt.stages.rlhf import PPOTrainer, clipped_value_loss, generalized_advantages, response_values
from scratchgpt.stages.rlvf import group_advantages, grpo_token_loss
from tests.rl_helpers import backward, digit_tokenizer, random_rollouts, tiny_policy

torch = pytest.importorskip("torch")

TOLERANCE = 1e-5
CLIP = 0.2
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def close(ours: np.ndarray | Tensor, theirs: object, tolerance: float = TOLERANCE) -> None:
    ours = ours.data if isinstance(ours, Tensor) else ours
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


class Numbers:
    """Log-probabilities, advantages, values and returns of 500 tokens, ratios on both sides of the clip range."""

    def __init__(self, dtype: type) -> None:
        rng = np.random.default_rng(11)
        old = -rng.exponential(1.0, 500)
        values = rng.normal(size=500)
        arrays = {
            "old": old,
            "new": np.minimum(old + rng.normal(0, 0.3, 500), 0),
            "reference": -rng.exponential(1.0, 500),
            "advantages": rng.normal(0, 1.5, 500),
            "old_values": values,
            "values": values + rng.normal(0, 0.3, 500),
            "returns": values + rng.normal(0, 0.5, 500),
        }
        self.ours = {name: array.astype(dtype) for name, array in arrays.items()}
        self.theirs = {name: torch.tensor(array) for name, array in self.ours.items()}


# -- a second implementation ----------------------------------------------------------------------------------
def torch_policy_loss(new, old, advantages):
    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - CLIP, 1 + CLIP))


def torch_value_loss(values, old_values, returns):
    clipped = values.clamp(old_values - CLIP, old_values + CLIP)
    return torch.maximum((values - returns).pow(2), (clipped - returns).pow(2)).mul(0.5)


def torch_grpo_loss(new, old, reference, advantages, kl_coef):
    ratio = (new - old).exp()
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages)
    odds = reference.exp() / new.exp()
    return -(surrogate - kl_coef * (odds - odds.log() - 1))


def torch_advantages(rewards, values, mask, gamma, gae_lambda):
    """All answers at once, one column a step, from the last to the first: (R, T) each -> (R, T)."""
    values = values * mask
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards * mask + gamma * following - values
    columns, running = [], torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        running = (deltas[:, t] + gamma * gae_lambda * running) * mask[:, t]
        columns.append(running)
    return torch.stack(columns[::-1], dim=1)


def torch_masked_whiten(x, mask):
    mean = (x * mask).sum() / mask.sum()
    variance = ((x - mean).pow(2) * mask).sum() / mask.sum()
    return (x - mean) * variance.rsqrt()


def padded(flat: np.ndarray, lengths: np.ndarray):
    """(N,) -> (R, longest), and the mask of what is not padding."""
    rows = np.split(flat, np.cumsum(lengths)[:-1])
    table = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return table, (torch.arange(table.shape[1]) < torch.tensor(lengths)[:, None]).to(table.dtype)


# -- generalised advantage estimation -------------------------------------------------------------------------
def test_advantages_of_constant_rewards_are_a_geometric_series() -> None:
    reward, value, gamma, gae_lambda, steps = 0.3, 1.7, 0.98, 0.9, 12
    found = generalized_advantages(np.full(steps, reward), np.full(steps, value), gamma, gae_lambda)
    q, delta, last = gamma * gae_lambda, reward + gamma * value - value, reward - value
    left = steps - 1 - np.arange(steps)
    close(found, delta * (1 - q**left) / (1 - q) + q**left * last, 1e-12)


@pytest.mark.parametrize("gamma", [1.0, 0.95])
def test_lambda_zero_is_one_step_and_lambda_one_is_the_return(gamma: float) -> None:
    rng = np.random.default_rng(1)
    rewards, values = rng.normal(size=(2, 9))
    following = np.append(values[1:], 0)
    close(generalized_advantages(rewards, values, gamma, 0.0), rewards + gamma * following - values, 1e-12)
    returns = [sum(gamma**k * rewards[t + k] for k in range(9 - t)) for t in range(9)]
    close(generalized_advantages(rewards, values, gamma, 1.0), returns - values, 1e-12)


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 0.95), (0.99, 0.9), (0.9, 0.0), (1.0, 1.0)])
def test_advantages_equal_pytorchs_on_padded_answers(gamma: float, gae_lambda: float) -> None:
    rng = np.random.default_rng(2)
    lengths = np.array([1, 7, 3, 20, 2, 11])
    rewards, values = rng.normal(size=(2, lengths.sum())).astype(np.float32)
    ends = np.cumsum(lengths)[:-1]
    ours = [
        generalized_advantages(r, v, gamma, gae_lambda)
        for r, v in zip(np.split(rewards, ends), np.split(values, ends), strict=True)
    ]
    (theirs_rewards, mask), (theirs_values, _) = padded(rewards, lengths), padded(values, lengths)
    theirs = torch_advantages(theirs_rewards, theirs_values, mask, gamma, gae_lambda)
    close(np.concatenate(ours), theirs[mask.bool()])


def test_advantages_are_a_triangular_matrix_times_the_errors() -> None:
    rng = np.random.default_rng(3)
    rewards, values = rng.normal(size=(2, 15))
    gamma, gae_lambda = 0.97, 0.8
    deltas = torch.tensor(rewards + gamma * np.append(values[1:], 0) - values)
    distance = torch.arange(15)[None, :] - torch.arange(15)[:, None]
    weights = torch.triu((gamma * gae_lambda) ** distance.double())
    close(generalized_advantages(rewards, values, gamma, gae_lambda), weights @ deltas)


def test_ppos_advantages_and_returns_equal_pytorchs_from_reward_to_whitening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores at the last tokens, the KL penalty at all of them, GAE, whitening: all that PPOTrainer.collect works out."""
    rng = np.random.default_rng(4)
    tokenizer = digit_tokenizer()
    settings = RLHFConfig(kl_coef=0.15, gamma=0.98, gae_lambda=0.9)
    policy = tiny_policy(tokenizer)
    trainer = PPOTrainer(policy, RewardModel(policy.config), tokenizer, policy.config, settings)
    rollouts = random_rollouts(rng, 12, tokenizer.vocab_size)
    scores = rng.normal(size=12)
    reference, kl, values = rng.normal(size=(3, rollouts.lengths.sum())).astype(np.float32)
    logprobs = {id(trainer.policy): reference + kl, id(trainer.reference): reference}
    monkeypatch.setattr(rlhf, "sample_responses", lambda *_: rollouts)
    monkeypatch.setattr(rlhf, "token_logprobs", lambda model, *_: logprobs[id(model)])
    monkeypatch.setattr(rlhf, "token_values", lambda *_: values)
    monkeypatch.setattr(trainer.judge, "scores", lambda _: scores)
    found = trainer.collect(0, rollouts.prompts)

    (kl_table, mask), (value_table, _) = (
        padded(kl.astype(np.float64), rollouts.lengths),
        padded(values, rollouts.lengths),
    )
    rewards = -0.15 * kl_table
    rewards[torch.arange(12), torch.tensor(rollouts.lengths) - 1] += torch.tensor(scores)
    raw = torch_advantages(rewards, value_table.double(), mask, 0.98, 0.9)
    close(found.token_rewards, rewards[mask.bool()])
    close(found.advantages, raw[mask.bool()])
    close(found.returns, (raw + value_table)[mask.bool()])
    close(found.whitened_advantages, torch_masked_whiten(raw, mask)[mask.bool()])
    assert found.whitened_advantages.dtype == found.returns.dtype == np.float32


def test_whitened_numbers_have_mean_zero_and_deviation_one() -> None:
    x = np.random.default_rng(5).normal(3.0, 7.0, 200)
    close(whiten(x).mean(), 0.0)
    close(whiten(x).std(), 1.0)
    close(whiten(5 * x - 40), whiten(x))  # the scale and the level of the rewards do not matter


# -- the clipped policy loss ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),  # nothing has moved: the plain policy gradient, -A
        (1.1, 2.0, -2.2, -2.2),
        (1.5, 2.0, -2.4, 0.0),  # too far the good way: -(1 + eps) A, and no more gradient
        (0.5, 2.0, -1.0, -1.0),  # the wrong way: never held back
        (0.9, -2.0, 1.8, 1.8),
        (0.5, -2.0, 1.6, 0.0),  # -(1 - eps) A
        (1.5, -2.0, 3.0, 3.0),
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, loss: float, slope: float) -> None:
    logprobs = Tensor(np.array([math.log(0.3) + math.log(ratio)]), requires_grad=True)
    found = clipped_policy_loss(logprobs, np.array([math.log(0.3)]), np.array([advantage]), CLIP)
    found.sum().backward()
    close(found, [loss], 1e-12)
    close(logprobs.grad, [slope], 1e-12)  # d ratio / d log pi = ratio


@DTYPES
def test_policy_loss_and_gradient_equal_pytorchs(dtype: type) -> None:
    n = Numbers(dtype)
    new = Tensor(n.ours["new"], requires_grad=True)
    loss = clipped_policy_loss(new, n.ours["old"], n.ours["advantages"], CLIP)
    loss.sum().backward()
    theirs = n.theirs["new"].requires_grad_()
    expected = torch_policy_loss(theirs, n.theirs["old"], n.theirs["advantages"])
    expected.sum().backward()
    close(loss, expected)
    close(new.grad, theirs.grad)
    held = new.grad == 0
    assert 20 < held.sum() < 480 and new.grad.dtype == dtype


# -- the clipped value loss -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "target", "loss", "slope"),
    [
        (1.1, 2.0, 0.405, -0.9),  # within 1 +- 0.2 of the old value: (V - R)^2 / 2
        (1.5, 2.0, 0.32, 0.0),  # has moved 0.5 towards the target, 0.2 of it are believed: (1.2 - 2)^2 / 2
        (0.5, 2.0, 1.125, -1.5),  # has moved away: all of it counts
        (1.5, 0.0, 1.125, 1.5),
        (0.5, 0.0, 0.32, 0.0),
    ],
)
def test_value_loss_by_hand(value: float, target: float, loss: float, slope: float) -> None:
    values = Tensor(np.array([value]), requires_grad=True)
    found = clipped_value_loss(values, np.array([1.0]), np.array([target]), CLIP)
    found.sum().backward()
    close(found, [loss], 1e-12)
    close(values.grad, [slope], 1e-12)


@DTYPES
def test_value_loss_and_gradient_equal_pytorchs(dtype: type) -> None:
    n = Numbers(dtype)
    values = Tensor(n.ours["values"], requires_grad=True)
    loss = clipped_value_loss(values, n.ours["old_values"], n.ours["returns"], CLIP)
    loss.sum().backward()
    theirs = n.theirs["values"].requires_grad_()
    expected = torch_value_loss(theirs, n.theirs["old_values"], n.theirs["returns"])
    expected.sum().backward()
    close(loss, expected)
    close(values.grad, theirs.grad)
    assert 20 < (values.grad == 0).sum() < 480 and values.grad.dtype == dtype


# -- Kullback-Leibler estimators ------------------------------------------------------------------------------
def test_kl_estimators_by_hand() -> None:
    q, p = 0.5, 0.2
    log_ratio = np.array([math.log(p / q)])
    close(kl_k1(log_ratio), [math.log(2.5)], 1e-12)
    close(kl_k3(log_ratio), [0.4 - 1 + math.log(2.5)], 1e-12)
    close(kl_k3(np.zeros(1)), [0.0], 1e-12)


def test_the_mean_of_each_estimator_is_pytorchs_divergence() -> None:
    logits = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    q, p = (torch.distributions.Categorical(logits=row) for row in logits)
    divergence = torch.distributions.kl_divergence(q, p)
    log_ratio = (p.logits - q.logits).numpy()
    weights = q.probs.numpy()
    close(weights @ kl_k1(log_ratio), divergence)
    close(weights @ kl_k3(log_ratio).data, divergence)


def test_the_gradient_of_k3_through_the_policy_is_that_of_the_divergence_from_the_reference() -> None:
    """For tokens of the policy itself, E[grad k3] = grad KL(reference || policy): (1 - pi_ref/pi) grad log pi."""
    logits = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    policy_logits = logits[0].clone().requires_grad_()
    policy, reference = (torch.distributions.Categorical(logits=row) for row in (policy_logits, logits[1]))
    torch.distributions.kl_divergence(reference, policy).backward()

    logprobs = Tensor(policy.logits.detach().numpy(), requires_grad=True)
    probabilities = policy.probs.detach().numpy()
    (probabilities * kl_k3(reference.logits.numpy() - logprobs)).sum().backward()
    per_token = logprobs.grad  # probability times d k3 / d log pi; on to the logits through log-softmax
    close(per_token - probabilities * per_token.sum(), policy_logits.grad)


@DTYPES
def test_kl_estimators_equal_pytorchs(dtype: type) -> None:
    n = Numbers(dtype)
    log_ratio = Tensor(n.ours["reference"] - n.ours["new"], requires_grad=True)
    k3 = kl_k3(log_ratio)
    k3.sum().backward()
    theirs = (n.theirs["reference"] - n.theirs["new"]).requires_grad_()
    expected = theirs.exp().sub(1).sub(theirs)
    expected.sum().backward()
    close(k3, expected)
    close(log_ratio.grad, theirs.grad)
    close(kl_k1(log_ratio.data), -theirs)


# -- verified rewards -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("right", range(9))
def test_group_advantages_by_hand(right: int) -> None:
    """With a share p right, an answer that is right gets (1 - p) of the difference of the rewards, any other -p."""
    rewards = np.where(np.arange(8) < right, 1.0, -0.5)[None]
    p = right / 8
    close(group_advantages(rewards)[0], np.where(np.arange(8) < right, 1.5 * (1 - p), -1.5 * p), 1e-12)


def test_group_advantages_equal_pytorchs_leave_one_out() -> None:
    """r - mean = (K - 1)/K (r - mean of the others): REINFORCE leave-one-out (Ahmadian et al. 2024) but for a factor."""
    rewards = np.random.default_rng(8).normal(size=(10, 6)).astype(np.float32)
    theirs = torch.tensor(rewards)
    others = (theirs.sum(dim=1, keepdim=True) - theirs) / 5
    close(group_advantages(rewards), 5 / 6 * (theirs - others))


@DTYPES
@pytest.mark.parametrize("kl_coef", [0.0, 0.02, 0.5])
def test_rlvf_loss_and_gradient_equal_pytorchs(dtype: type, kl_coef: float) -> None:
    n = Numbers(dtype)
    new = Tensor(n.ours["new"], requires_grad=True)
    loss = grpo_token_loss(new, n.ours["old"], n.ours["reference"], n.ours["advantages"], CLIP, kl_coef)
    loss.sum().backward()
    theirs = n.theirs["new"].requires_grad_()
    expected = torch_grpo_loss(theirs, n.theirs["old"], n.theirs["reference"], n.theirs["advantages"], kl_coef)
    expected.sum().backward()
    close(loss, expected)
    close(new.grad, theirs.grad)


# -- through a whole model ------------------------------------------------------------------------------------
@pytest.fixture
def rollouts() -> Rollouts:
    return random_rollouts(np.random.default_rng(9), 21, digit_tokenizer().vocab_size)


def whole_sequences(rollouts: Rollouts):
    """Ids (R, T) of prompts and responses, padded on the right, and the mask (R, T - 1) of what is to be predicted."""
    sequences = [torch.tensor(p + r) for p, r in zip(rollouts.prompts, rollouts.responses, strict=True)]
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    position = torch.arange(1, ids.shape[1])
    begin = torch.tensor([len(p) for p in rollouts.prompts])[:, None]
    return ids, (position >= begin) & (position < begin + torch.tensor(rollouts.lengths)[:, None])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradients_of_the_policy_equal_those_of_transformers(
    tmp_path: Path, rollouts: Rollouts, temperature: float
) -> None:
    transformers = pytest.importorskip("transformers")
    policy = tiny_policy(digit_tokenizer()).eval()
    policy.save_pretrained(tmp_path)
    rng = np.random.default_rng(10)

    def function(group: np.ndarray) -> Tensor:
        return response_logprobs(policy, rollouts, group, temperature)

    now = all_tokens(function, rollouts)
    old, reference = now + rng.normal(0, 0.3, (2, len(now))).astype(np.float32)
    advantages = rng.normal(size=len(now)).astype(np.float32)

    def token_loss(new: Tensor, at: np.ndarray) -> Tensor:
        return grpo_token_loss(new, old[at], reference[at], advantages[at], CLIP, 0.1)

    loss = backward(response_loss(function, token_loss, rollouts, rng.permutation(len(rollouts)), np.empty_like(now)))

    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids, mask = whole_sequences(rollouts)
    table = (theirs(ids).logits[:, :-1] / temperature).log_softmax(-1)
    new = table.gather(-1, ids[:, 1:, None])[..., 0][mask]
    expected = torch_grpo_loss(*map(torch.as_tensor, (new, old, reference, advantages)), 0.1).mean()
    expected.backward()
    close(now, new)
    assert loss == pytest.approx(expected.item(), abs=TOLERANCE)
    gradients = dict(theirs.named_parameters())
    for name, parameter in policy.named_parameters():
        close(parameter.grad, gradients[name].grad)


def test_gradients_of_the_value_model_equal_those_of_transformers(tmp_path: Path, rollouts: Rollouts) -> None:
    transformers = pytest.importorskip("transformers")
    model = RewardModel(tiny_policy(digit_tokenizer()).config, seed=3).eval()
    model.save_pretrained(tmp_path)
    rng = np.random.default_rng(12)

    def function(group: np.ndarray) -> Tensor:
        return response_values(model, rollouts, group)

    now = all_tokens(function, rollouts)
    old = now + rng.normal(0, 0.3, len(now)).astype(np.float32)
    returns = rng.normal(size=len(now)).astype(np.float32)

    def token_loss(values: Tensor, at: np.ndarray) -> Tensor:
        return clipped_value_loss(values, old[at], returns[at], CLIP)

    loss = backward(response_loss(function, token_loss, rollouts, rng.permutation(len(rollouts)), np.empty_like(now)))

    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids, mask = whole_sequences(rollouts)
    values = theirs.score(theirs.transformer(ids[:, :-1])[0])[..., 0][mask]
    expected = torch_value_loss(values, torch.tensor(old), torch.tensor(returns)).mean()
    expected.backward()
    close(now, values)
    assert loss == pytest.approx(expected.item(), abs=TOLERANCE)
    gradients = dict(theirs.named_parameters())
    for name, parameter in model.named_parameters():
        close(parameter.grad, gradients[name].grad)
