"""PPO: advantages and losses against closed forms and PyTorch, a task with a known optimum, resuming."""

import dataclasses

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.rlhf import PPOTrainer, clipped_value_loss, generalized_advantages, value_model_from
from scratchgpt.tokenizer import IM_END_ID
from scratchgpt.training.state import load_state, save_state
from tests.rl_helpers import SETTINGS, TargetReward, digit_tokenizer, ppo_trainer, tiny_policy


# -- advantages ---------------------------------------------------------------------------------------------
def test_advantages_by_hand():
    rewards, values = np.array([0.0, 0.0, 1.0]), np.array([0.2, 0.4, 0.6])
    # deltas: 0.9*0.4-0.2 = 0.16, 0.9*0.6-0.4 = 0.14, 1-0.6 = 0.4; gamma*lambda = 0.45
    expected = [0.16 + 0.45 * (0.14 + 0.45 * 0.4), 0.14 + 0.45 * 0.4, 0.4]
    np.testing.assert_allclose(generalized_advantages(rewards, values, 0.9, 0.5), expected)


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 0.95), (0.97, 0.6), (1.0, 1.0), (0.9, 0.0)])
def test_advantages_equal_the_mixture_of_k_step_advantages(gamma, gae_lambda):
    """Schulman et al. 2016, eq. 16: (1 - lambda)(A1 + lambda A2 + ...), each A_k written out from eq. 11 to 14."""
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=9), rng.normal(size=9)

    def k_step(t: int, k: int) -> float:
        steps = min(k, 9 - t)
        ahead = sum(gamma**i * rewards[t + i] for i in range(steps))
        return ahead + (gamma**steps * values[t + steps] if t + steps < 9 else 0.0) - values[t]

    def mixture(t: int) -> float:
        left = 9 - t  # from k = left on, every k-step advantage is the same: the tail of the geometric sum
        head = (1 - gae_lambda) * sum(gae_lambda ** (k - 1) * k_step(t, k) for k in range(1, left))
        return head + gae_lambda ** (left - 1) * k_step(t, left)

    found = generalized_advantages(rewards, values, gamma, gae_lambda)
    np.testing.assert_allclose(found, [mixture(t) for t in range(9)], atol=1e-12)


def test_reward_is_the_score_at_the_end_and_the_kl_penalty_everywhere():
    trainer = ppo_trainer(dataclasses.replace(SETTINGS, kl_coef=0.5, gae_lambda=1.0))
    rollouts = Rollouts([[6], [6]], [[7, 8, IM_END_ID], [7, IM_END_ID]])
    kl = np.array([0.1, 0.2, 0.4, 1.0, 2.0])
    advantages, returns = trainer._advantages(rollouts, np.array([3.0, -1.0]), kl, np.zeros(5))
    # With gamma and lambda 1 and a value of 0 both are the rewards still to come.
    expected = np.array([3 - 0.35, 3 - 0.3, 3 - 0.2, -1 - 1.5, -1 - 1.0])
    np.testing.assert_allclose(returns, expected, rtol=1e-6)
    np.testing.assert_allclose(advantages, (expected - expected.mean()) / expected.std(), rtol=1e-5)
    values = np.array([0.5, -0.5, 1.0, 2.0, 0.0])  # they lower the advantages and leave the targets as they are
    advantages, returns = trainer._advantages(rollouts, np.array([3.0, -1.0]), kl, values)
    np.testing.assert_allclose(returns, expected, rtol=1e-6)
    centred = expected - values - (expected - values).mean()
    np.testing.assert_allclose(advantages, centred / centred.std(), rtol=1e-5)


def test_clipped_value_loss_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    old, returns = rng.normal(size=300), rng.normal(size=300)
    values = Tensor(old + rng.normal(0, 0.3, 300), requires_grad=True)
    loss = clipped_value_loss(values, old, returns, 0.2)
    loss.mean().backward()

    other = torch.tensor(values.data, requires_grad=True)
    old_torch, target = torch.tensor(old), torch.tensor(returns)
    held = torch.clamp(other, old_torch - 0.2, old_torch + 0.2)
    expected = 0.5 * torch.max(torch.square(other - target), torch.square(held - target))
    expected.mean().backward()
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(values.grad, other.grad.numpy(), rtol=0, atol=1e-12)
    assert (values.grad == 0).any() and (values.grad != 0).any()


# -- the value model ------------------------------------------------------------------------------------------
def test_value_model_starts_at_zero_from_the_reward_model():
    reward_model = RewardModel(tiny_policy(digit_tokenizer()).config, seed=2)
    value_model = value_model_from(reward_model)
    ids = np.array([[6, 7, 8]])
    assert np.all(value_model.values(ids).data == 0) and np.any(reward_model.values(ids).data != 0)
    np.testing.assert_array_equal(value_model.transformer(ids).data, reward_model.eval().transformer(ids).data)


# -- the algorithm ------------------------------------------------------------------------------------------
def test_ppo_finds_the_best_answer_from_random_weights():
    settings = RLHFConfig(
        num_episodes=30, batch_size=64, minibatch_size=32, ppo_epochs=2, max_new_tokens=6, lr=3e-3, value_lr=5e-3,
        kl_coef=0.2, value_warmup=0, target_kl=0.5, reward_clip=20,
    )  # fmt: skip
    trainer = ppo_trainer(settings)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert trainer.sample() == "2 -> 73"
    assert after["reward"] > before["reward"] + 2 and after["finished"] == 1
    assert before["kl"] == 0 and after["kl"] > 5


def test_kl_penalty_keeps_the_policy_near_the_reference():
    def kl_after(kl_coef: float) -> float:
        settings = dataclasses.replace(SETTINGS, kl_coef=kl_coef, num_episodes=10, lr=3e-3, batch_size=32)
        return ppo_trainer(settings).train()[-1]["objective/kl"]

    assert kl_after(1.0) < 0.5 * kl_after(0.0)


def test_warmup_trains_the_value_model_alone():
    trainer = ppo_trainer()
    policy, value = trainer.policy.state_dict(), trainer.value_model.state_dict()
    metrics = trainer.step(0)
    assert metrics["policy/updates"] == 0 and metrics["loss/value"] > 0
    assert all(np.array_equal(policy[name], array) for name, array in trainer.policy.state_dict().items())
    assert any(not np.array_equal(value[name], array) for name, array in trainer.value_model.state_dict().items())
    assert trainer.step(1)["policy/updates"] == 4
    assert any(not np.array_equal(policy[name], array) for name, array in trainer.policy.state_dict().items())


def test_the_learning_rate_falls_to_zero_over_the_episodes():
    trainer = ppo_trainer(dataclasses.replace(SETTINGS, lr=8e-4))
    rates = []
    for index in range(trainer.total_steps):
        trainer.step(index)
        rates.append(trainer.policy_optimizer.lr)
    assert rates == pytest.approx([8e-4, 6e-4, 4e-4, 2e-4])


def test_updates_end_once_the_policy_has_moved_too_far():
    trainer = ppo_trainer(dataclasses.replace(SETTINGS, value_warmup=0, lr=0.02, target_kl=1e-3, ppo_epochs=4))
    metrics = trainer.step(0)
    assert 1 <= metrics["policy/updates"] < 8
    assert metrics["policy/approxkl"] > 1e-3


def test_resuming_gives_bitwise_the_same_run(tmp_path):
    whole = ppo_trainer()
    expected = whole.train()
    first = ppo_trainer()
    for index in range(2):
        first.step(index)
    save_state(first, tmp_path / "partial.safetensors", 2)
    second = ppo_trainer()
    assert load_state(second, tmp_path / "partial.safetensors") == 2
    assert [second.step(index) for index in range(2, 4)] == expected[2:]
    for name, array in second.policy.state_dict().items():
        np.testing.assert_array_equal(array, whole.policy.state_dict()[name])


def test_another_seed_gives_another_run():
    assert ppo_trainer(seed=1).step(0) != ppo_trainer(seed=0).step(0)


# -- measuring and mistakes ---------------------------------------------------------------------------------
def test_mistakes_are_reported():
    tokenizer = digit_tokenizer()
    policy = tiny_policy(tokenizer)
    other = TargetReward(digit_tokenizer("1234567"))
    with pytest.raises(UserError, match="vocabularies differ"):
        PPOTrainer(policy, other, tokenizer, policy.config, SETTINGS)
    with pytest.raises(UserError, match="no prompts to train on"):
        ppo_trainer(prompts=()).train()
    with pytest.raises(UserError, match="no held-out prompts"):
        ppo_trainer(heldout=()).evaluate()
    with pytest.raises(UserError, match="leaves no room"):
        ppo_trainer(prompts=("1" * 60,))


@pytest.mark.parametrize(
    "wrong",
    [{"clip_ratio": 0.0}, {"kl_coef": -1.0}, {"minibatch_size": 0}, {"gae_lambda": 1.5}, {"temperature": 0.0}],
)
def test_settings_out_of_range_are_reported_by_name(wrong):
    with pytest.raises(UserError, match=f"rlhf: {next(iter(wrong))}"):
        RLHFConfig(**wrong)


def test_prompts_may_be_records_and_are_encoded_as_chat():
    trainer = ppo_trainer(prompts=({"prompt": "12"}, "12"))
    assert trainer.prompts[0] == trainer.prompts[1] == encode_prompt(trainer.tokenizer, "12", 48)
