"""PPO: advantages and losses against closed forms and PyTorch, a task with a known optimum, resuming."""

import dataclasses

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.rlhf import (
    PPOTrainer,
    clipped_value_loss,
    generalized_advantages,
    token_rewards,
    value_model_from,
)
from scratchgpt.tokenizer import IM_END_ID
from scratchgpt.training.state import load_state, save_state
from tests.rl_helpers import SETTINGS, TargetReward, digit_tokenizer, ppo_trainer, tiny_policy
from tests.two_processes import together


@pytest.fixture
def numpy_kernels():
    """Two threads may not be in Numba's parallel loops at once."""
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


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


# -- an iteration ---------------------------------------------------------------------------------------------
def test_reward_is_the_score_at_the_end_and_the_kl_penalty_everywhere():
    rollouts = Rollouts([[6], [6]], [[7, 8, IM_END_ID], [7, IM_END_ID]])
    kl = np.array([0.1, 0.2, 0.4, 1.0, 2.0], dtype=np.float32)
    rewards = token_rewards(np.array([3.0, -1.0]), kl, 0.5, rollouts)
    np.testing.assert_allclose(rewards, [-0.05, -0.1, 3 - 0.2, -0.5, -1 - 1.0], rtol=1e-6)
    assert rewards.dtype == np.float64


def test_an_experience_fits_together():
    settings = dataclasses.replace(SETTINGS, kl_coef=0.5, gamma=0.9, gae_lambda=0.8, value_warmup=0)
    trainer = ppo_trainer(settings)
    for index in range(2):
        trainer.step(index)  # so that policy and reference, and values and 0, differ
    experience = trainer.collect(2)
    rollouts = experience.rollouts
    np.testing.assert_array_equal(experience.kl, experience.logprobs - experience.reference_logprobs)
    assert np.abs(experience.kl).max() > 1e-3 and np.abs(experience.values).max() > 1e-3
    assert experience.kl_per_response == pytest.approx(experience.kl.sum() / len(rollouts), rel=1e-5)
    np.testing.assert_allclose(
        rollouts.sum_per_response(experience.token_rewards + 0.5 * experience.kl), experience.scores, atol=1e-5
    )
    per_response = zip(rollouts.split(experience.token_rewards), rollouts.split(experience.values), strict=True)
    expected = np.concatenate([generalized_advantages(r, v, 0.9, 0.8) for r, v in per_response])
    np.testing.assert_array_equal(experience.advantages, expected)
    np.testing.assert_allclose(
        experience.whitened_advantages, (expected - expected.mean()) / expected.std(), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(experience.returns, expected + experience.values, rtol=1e-5, atol=1e-6)


def test_collecting_changes_nothing_and_its_prompts_may_be_given():
    trainer = ppo_trainer()
    before = {name: module.state_dict() for name, module in trainer.modules.items()}
    first, again = trainer.collect(3), trainer.collect(3)
    assert first.rollouts.responses == again.rollouts.responses != trainer.collect(4).rollouts.responses
    for name, module in trainer.modules.items():
        assert all(np.array_equal(array, before[name][part]) for part, array in module.state_dict().items())
    asked = [trainer.prompts[2], trainer.prompts[0]]
    assert trainer.collect(0, asked).rollouts.prompts == asked


def test_what_was_collected_can_be_learned_from_again():
    first, second = ppo_trainer(), ppo_trainer()
    experience = first.collect(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        experience.scores = experience.scores + 1
    assert first.learn(experience) == second.learn(experience) == ppo_trainer().step(1)
    for ours, theirs in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_nothing_has_moved_before_the_first_update_whatever_mode_the_models_are_in():
    trainer = ppo_trainer(dropout=0.5)
    experience = trainer.collect(trainer.settings.value_warmup)
    trainer.policy.train()
    trainer.value_model.train()
    everyone = np.arange(len(experience.rollouts))
    update = trainer._update_policy(experience, everyone)
    assert update.approx_kl == 0 and update.clip_fraction == 0 and update.applied
    assert update.loss == pytest.approx(-experience.whitened_advantages.mean(), abs=1e-6)  # a ratio of 1 everywhere
    _, moved = trainer._update_value(experience, everyone)
    assert moved == 0


def test_two_processes_learn_the_same_and_stop_together(numpy_kernels):
    settings = dataclasses.replace(SETTINGS, value_warmup=0, lr=0.02, target_kl=0.05, ppo_epochs=4)
    trainers = [ppo_trainer(settings), ppo_trainer(settings)]
    # Of different iterations, so that each has answers of its own.
    collected = [dataclasses.replace(trainer.collect(i), iteration=0) for i, trainer in enumerate(trainers)]

    def work(rank, world):
        trainers[rank].world = world
        return trainers[rank].learn(collected[rank])

    first, second = together(work)
    assert 1 <= first["policy/updates"] < 8
    for name in ("policy/updates", "policy/approxkl", "policy/clipfrac", "loss/policy", "loss/value"):
        assert first[name] == second[name]
    assert first["objective/entropy"] != second["objective/entropy"]
    for name in ("policy", "value"):
        for ours, theirs in zip(*(trainer.modules[name].parameters() for trainer in trainers), strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data)


# -- the value model ------------------------------------------------------------------------------------------
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


def test_the_scale_of_the_reward_is_saved_and_does_not_move_with_the_policy():
    scale = ppo_trainer().judge.score_scale
    trainer = ppo_trainer()
    for parameter in trainer.policy.parameters():
        parameter.data *= 0
    assert tuple(trainer.extra_arrays()["score_scale"]) == scale
    trainer.load_extra_arrays({"score_scale": np.array([1.0, 2.0])})
    assert trainer.judge.score_scale == (1.0, 2.0)


def test_the_reference_may_be_another_policy_than_the_one_in_training():
    tokenizer = digit_tokenizer("1234567")
    policy, reference = tiny_policy(tokenizer), tiny_policy(tokenizer, seed=5).eval()
    trainer = PPOTrainer(
        policy, TargetReward(tokenizer), tokenizer, policy.config, SETTINGS, ["1"], ["1"], reference=reference
    )
    assert trainer.reference is trainer.judge.reference is reference
    assert trainer.collect(0).kl_per_response > 0.1 and trainer.evaluate()["kl"] != 0


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
