"""A bandit whose optimum is known: PPO and RLVF must each find it from random weights, through the real trainers.

An answer is one character and the end of the turn, or fewer, so that all answers to a prompt can be listed and what
the policy earns is an exact sum, not a sample. With a penalty beta on the divergence from the reference the best
policy of all is known too:

- PPO maximises E[r] - beta KL(pi || pi_ref). The maximum is beta log E_ref[exp(r / beta)], reached where pi is
  proportional to pi_ref exp(r / beta) (Korbak et al. 2022).
- In RLVF the penalty is a loss at each token, E[r] - beta KL(pi_ref || pi) for the choice of that token: the other
  way round, because that is the gradient of k3 for tokens that the policy itself has drawn.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig, RLVFConfig
from scratchgpt.evaluation.rollouts import Rollouts, token_logprobs
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.rlhf import PPOTrainer
from scratchgpt.stages.rlvf import RLVFTrainer
from scratchgpt.tokenizer import END_IDS, CharTokenizer
from tests.rl_helpers import digit_tokenizer, tiny_policy

ARMS = {"1": 0.0, "2": 0.5, "3": 1.0, "4": 3.0, "5": 1.5}
"""What PPO's bandit pays for each character; nothing for any other."""
TASKS = [{"type": "math", "prompt": prompt, "expected_answer": answer} for prompt, answer in ("15", "24", "33")]
"""RLVF's bandit has three levers, and on each another arm pays."""

PPO = RLHFConfig(
    num_episodes=40, batch_size=128, minibatch_size=64, max_new_tokens=2, ppo_epochs=2, lr=3e-3, value_lr=5e-3,
    value_warmup=0, target_kl=1.0, reward_clip=100.0, missing_eos_reward=-3.0,
)  # fmt: skip
RLVF = RLVFConfig(
    num_iterations=16, samples_per_task=256, minibatch_size=64, max_new_tokens=2, lr=3e-3, target_kl=1.0
)  # fmt: skip


class Answers:
    """All answers to a prompt of at most two tokens, and what a model makes of them."""

    def __init__(self, prompt: list[int], vocab_size: int) -> None:
        self.responses = [[first] for first in range(vocab_size) if first in END_IDS]
        others = [first for first in range(vocab_size) if first not in END_IDS]
        self.responses += [[first, second] for first in others for second in range(vocab_size)]
        self.rollouts = Rollouts([prompt] * len(self.responses), self.responses)

    def logprobs(self, model: GPT) -> np.ndarray:
        """(answers,) log-probability of each; they sum to 1."""
        per_token = token_logprobs(model, self.rollouts, 1.0)
        total = self.rollouts.sum_per_response(per_token.astype(np.float64))
        assert np.exp(total).sum() == pytest.approx(1, abs=1e-4)
        return total


# -- PPO ------------------------------------------------------------------------------------------------------
class ArmReward(RewardModel):
    """Pays for the first character of the answer."""

    def __init__(self, tokenizer: CharTokenizer) -> None:
        super().__init__(tiny_policy(tokenizer).config, seed=1)
        self.pay = {tokenizer.encode(character)[0]: amount for character, amount in ARMS.items()}

    def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        chosen = input_ids[np.arange(len(lengths)), lengths - 2]  # before the end of the turn
        return Tensor(np.array([self.pay.get(int(token), 0.0) for token in chosen], dtype=np.float32))


class PPOBandit:
    """PPO on the arms, from random weights."""

    def __init__(self, **settings: float) -> None:
        tokenizer = digit_tokenizer("".join(ARMS))
        policy = tiny_policy(tokenizer)
        config = dataclasses.replace(PPO, **settings)
        self.trainer = PPOTrainer(policy, ArmReward(tokenizer), tokenizer, policy.config, config, ["1"], ["1"])
        self.answers = Answers(self.trainer.prompts[0], tokenizer.vocab_size)
        self.reference = self.answers.logprobs(self.trainer.reference)

    @cached_property
    def rewards(self) -> np.ndarray:
        return self.trainer.judge.scores(self.answers.rollouts)

    def objective(self) -> float:
        """E[r] - kl_coef KL(pi || pi_ref), exactly."""
        logprobs = self.answers.logprobs(self.trainer.policy)
        kl_coef = self.trainer.settings.kl_coef
        return float(np.exp(logprobs) @ (self.rewards - kl_coef * (logprobs - self.reference)))

    def optimum(self) -> tuple[float, np.ndarray]:
        """The highest objective of all, and the policy that reaches it."""
        kl_coef = self.trainer.settings.kl_coef
        exponents = self.reference + self.rewards / kl_coef
        log_partition = exponents.max() + np.log(np.exp(exponents - exponents.max()).sum())
        return float(kl_coef * log_partition), np.exp(exponents - log_partition)


def test_ppo_pulls_the_best_arm() -> None:
    bandit = PPOBandit(kl_coef=0.0)
    best = bandit.rewards == bandit.rewards.max()
    four = bandit.trainer.tokenizer.encode("4")[0]
    assert [bandit.answers.responses[i] for i in np.flatnonzero(best)] == [[four, end] for end in sorted(END_IDS)]
    assert np.exp(bandit.reference)[best].sum() < 0.02
    bandit.trainer.train()
    assert np.exp(bandit.answers.logprobs(bandit.trainer.policy))[best].sum() > 0.95
    assert bandit.trainer.sample() == "1 -> 4"


def test_ppo_with_a_kl_penalty_reaches_the_best_policy_of_all() -> None:
    bandit = PPOBandit(kl_coef=0.5, lr=2e-3, num_episodes=50)
    highest, best = bandit.optimum()
    start = bandit.objective()
    assert highest - start > 3
    bandit.trainer.train()
    assert highest - 0.05 < bandit.objective() < highest + 1e-6
    found = np.exp(bandit.answers.logprobs(bandit.trainer.policy))
    assert 0.5 * np.abs(found - best).sum() < 0.1  # total variation; it also tries the second best arm, as it should
    assert (
        0.98 < best[bandit.rewards == bandit.rewards.max()].sum() < 0.99
    )  # the penalty keeps it from the best arm alone


# -- RLVF -----------------------------------------------------------------------------------------------------
class RLVFBandit:
    """RLVF on some levers, from random weights."""

    def __init__(self, tasks: list[dict[str, str]], **settings: float) -> None:
        tokenizer = digit_tokenizer("12345")
        # Small initial weights: at first nearly every answer is as likely as any other, so each lever is explored.
        sizes = dataclasses.replace(tiny_policy(tokenizer).config, init_std=0.1)
        config = dataclasses.replace(RLVF, tasks_per_iteration=len(tasks), **settings)
        self.trainer = RLVFTrainer(GPT(sizes), tokenizer, sizes, config, tasks, tasks)
        self.answers = [Answers(prompt, tokenizer.vocab_size) for prompt in self.trainer.prompts]
        self.arms = [tokenizer.encode(task["expected_answer"])[0] for task in tasks]

    def chances(self, model: GPT, lever: int) -> tuple[float, float]:
        """The probability of the right arm, and of an end after it, exactly."""
        answers, probabilities = self.answers[lever], np.exp(self.answers[lever].logprobs(model))
        arm = np.array([response[0] == self.arms[lever] for response in answers.responses])
        ended = arm & np.array([response[-1] in END_IDS for response in answers.responses])
        return probabilities[arm].sum(), probabilities[ended].sum() / probabilities[arm].sum()


def best_chance(gain: float, reference: float, kl_coef: float) -> float:
    """The p that maximises gain p + kl_coef (reference log p + (1 - reference) log(1 - p)): a root of its derivative."""
    rest = gain - kl_coef
    return (rest + math.sqrt(rest**2 + 4 * gain * kl_coef * reference)) / (2 * gain)


def test_rlvf_pulls_the_right_arm_of_every_lever() -> None:
    bandit = RLVFBandit(TASKS, kl_coef=0.0, num_iterations=24)
    assert all(math.prod(bandit.chances(bandit.trainer.reference, lever)) < 0.02 for lever in range(3))
    bandit.trainer.train()
    assert all(math.prod(bandit.chances(bandit.trainer.model, lever)) > 0.9 for lever in range(3))
    assert bandit.trainer.evaluate(TASKS)["accuracy"] == 1


def test_rlvf_with_a_kl_penalty_reaches_the_best_policy_of_all() -> None:
    bandit = RLVFBandit(TASKS[:1], kl_coef=0.1, num_iterations=40)
    arm, end = bandit.chances(bandit.trainer.reference, 0)
    best_end = best_chance(1.5, end, 0.1)  # right earns 1, wrong -0.5
    best_arm = best_chance(1.5 * best_end, arm, 0.1)
    bandit.trainer.train()
    arm, end = bandit.chances(bandit.trainer.model, 0)
    assert arm == pytest.approx(best_arm, abs=0.03) and end == pytest.approx(best_end, abs=0.03)
    assert 0.85 < best_arm * best_end < 0.9
