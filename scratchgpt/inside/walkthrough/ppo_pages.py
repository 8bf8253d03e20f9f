"""The walk through stage 4: one answer of the policy, and for each of its tokens reward, value, advantage and ratio.

What is computed is what :meth:`PPOTrainer.step` computes, with the same functions, on a smaller batch; a test holds
the two equal.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.divergence import kl_k1
from scratchgpt.evaluation.judge import AnswerJudge
from scratchgpt.evaluation.rollouts import Rollouts, all_tokens, response_logprobs, sample_responses, token_logprobs
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.examples import choose, starting_with
from scratchgpt.inside.walkthrough.labels import token_labels
from scratchgpt.inside.walkthrough.numbers import in_brackets, significant
from scratchgpt.inside.walkthrough.page import Page, labelled, token_table
from scratchgpt.inside.walkthrough.subject import fresh_subject, load_first, load_stage, stage_folder
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.reward import RewardModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import (
    PolicyUpdate,
    accumulate_gradients,
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    update_policy,
    whiten,
)
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.rlhf import RLHF, PPOTrainer, clipped_value_loss, generalized_advantages, response_values
from scratchgpt.stages.run_folder import finished_directory
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.checkpoints import load_reward_model

SETTINGS = dataclasses.replace(get_preset("mini").of("rlhf"), batch_size=16, minibatch_size=8)
"""The settings of the default run with a batch small enough to watch."""
PROMPTS = 256
"""Prompts of the trainer, from the example on."""


@dataclass(frozen=True)
class Iteration:
    """One iteration of PPO with everything in sight; (R,) is one number a response, (N,) one a token.

    Attributes:
        rollouts: the answers.
        scores: (R,) of the reward model, in deviations of the reference's answers.
        logprobs, reference: (N,) of the policy that answered and of the frozen one.
        kl: (N,) their difference.
        rewards: (N,) -kl_coef * kl, and the score at the last token.
        values: (N,) what the value model expected before each token.
        advantages, whitened, returns: (N,)
        new_logprobs, new_values: (N,) after the updates.
        updates: of the policy.
    """

    rollouts: Rollouts
    scores: np.ndarray
    logprobs: np.ndarray
    reference: np.ndarray
    kl: np.ndarray
    rewards: np.ndarray
    values: np.ndarray
    advantages: np.ndarray
    whitened: np.ndarray
    returns: np.ndarray
    new_logprobs: np.ndarray
    new_values: np.ndarray
    updates: list[PolicyUpdate]

    def of_first(self, per_token: np.ndarray) -> np.ndarray:
        """The numbers of the first response's tokens."""
        return per_token[self.rollouts.token_indices(np.array([0]))]


def iterate(trainer: PPOTrainer, prompts: list[list[int]], seed: int, rng: np.random.Generator) -> Iteration:
    """Answers to the prompts, their rewards, values and advantages, and the updates they are good for.

    As in the trainer's first iteration in which the policy learns.

    Args:
        trainer: its policy and value model are updated.
        prompts: ids of each.
        seed: of the sampling; rng: of the order of the minibatches.
    """
    settings = trainer.settings
    trainer.policy_optimizer.lr = trainer.learning_rate(settings.value_warmup)
    rollouts = sample_responses(trainer.policy, prompts, settings.max_new_tokens, settings.temperature, seed)

    def logprobs_of(model: LanguageModel) -> np.ndarray:
        return token_logprobs(model, rollouts, settings.temperature)

    def values_now() -> np.ndarray:
        return all_tokens(lambda group: response_values(trainer.value_model, rollouts, group), rollouts)

    scores = trainer.judge.scores(rollouts)
    logprobs, reference, values = logprobs_of(trainer.policy), logprobs_of(trainer.reference), values_now()
    kl = kl_k1(reference - logprobs)
    rewards = -settings.kl_coef * kl.astype(np.float64)
    last = np.cumsum(rollouts.lengths) - 1
    rewards[last] += scores
    responses = zip(np.split(rewards, last[:-1] + 1), np.split(values, last[:-1] + 1), strict=True)
    advantages = np.concatenate(
        [generalized_advantages(r, v, settings.gamma, settings.gae_lambda) for r, v in responses]
    )
    whitened, returns = whiten(advantages).astype(np.float32), (advantages + values).astype(np.float32)

    def policy_loss(now: Tensor, tokens: np.ndarray) -> Tensor:
        return clipped_policy_loss(now, logprobs[tokens], whitened[tokens], settings.clip_ratio)

    def value_loss(now: Tensor, tokens: np.ndarray) -> Tensor:
        return clipped_value_loss(now, values[tokens], returns[tokens], settings.value_clip)

    updates: list[PolicyUpdate] = []
    passes = range(settings.ppo_epochs)
    for members in [m for _ in passes for m in minibatches(rng, len(rollouts), settings.minibatch_size)]:
        updates.append(
            update_policy(trainer.policy, trainer.policy_optimizer, rollouts, members, logprobs, policy_loss, settings)
        )
        if not updates[-1].applied:
            break
        accumulate_gradients(
            lambda group: response_values(trainer.value_model, rollouts, group), value_loss, rollouts, members
        )
        trainer.value_optimizer.step(settings.max_grad_norm)
        trainer.value_optimizer.zero_grad()
    return Iteration(
        rollouts=rollouts,
        scores=scores,
        logprobs=logprobs,
        reference=reference,
        kl=kl,
        rewards=rewards,
        values=values,
        advantages=advantages,
        whitened=whitened,
        returns=returns,
        new_logprobs=logprobs_of(trainer.policy),
        new_values=values_now(),
        updates=updates,
    )


def ppo_pages(
    checkpoint: Path | None, example: int, seed: int, speech: Speech, settings: RLHFConfig = SETTINGS
) -> list[Page]:
    """The pages of one prompt and the policy's answer to it.

    Raises:
        UserError: if there is no such example, a checkpoint is missing, or the prompt does not fit.
    """
    pairs, _ = DataSources().pairs()
    choose(pairs, example, "rlhf")
    prompts = [pairs[number]["prompt"] for number in starting_with(pairs, example, PROMPTS)]
    policy, reference, reward_model, tokenizer, where = _models(checkpoint, prompts, seed, speech)
    trainer = PPOTrainer(policy, reward_model, tokenizer, policy.config, settings, prompts, (), seed, reference)
    for index in range(settings.value_warmup):
        trainer.step(index)  # as in training, the value model learns alone at first
    found = iterate(trainer, trainer.prompts[: settings.batch_size], seed, np.random.default_rng(seed))
    origin = speech.word("example_from", number=example, where=where)
    return _pages(trainer, found, tokenizer, prompts[0], origin, speech)


def _models(
    checkpoint: Path | None, prompts: list[str], seed: int, speech: Speech
) -> tuple[LanguageModel, LanguageModel, RewardModel, Tokenizer, str]:
    run = stage_folder(checkpoint)
    if run is None:
        fresh = fresh_subject(prompts, seed, context_size=256)
        reward_model = RewardModel(fresh.model.config, seed + 1)
        return fresh.model, frozen_copy(fresh.model), reward_model, fresh.tokenizer, speech.word("fresh")
    policy = load_stage(run, "rlhf")
    reward_model = load_reward_model(finished_directory(run, "reward"), policy.tokenizer)
    start = load_first(run, RLHF.follows)
    reference = frozen_copy(policy.model) if start is None else start.model.eval()
    return policy.model, reference, reward_model, policy.tokenizer, str(policy.directory)


def _pages(
    trainer: PPOTrainer, found: Iteration, tokenizer: Tokenizer, prompt: str, where: str, speech: Speech
) -> list[Page]:
    say, settings, of = speech.word, trainer.settings, found.of_first
    rollouts = found.rollouts
    response = rollouts.responses[0]
    labels = token_labels(tokenizer, response)
    finished = bool(rollouts.finished[0])
    mean, deviation = trainer.judge.score_scale
    raw = float(trainer.judge.raw_scores(rollouts.select(np.array([0])))[0])
    rewards, values, advantages, kl = of(found.rewards), of(found.values), of(found.advantages), of(found.kl)
    next_values = np.append(values[1:], 0.0)
    deltas = rewards + settings.gamma * next_values - values
    ratio = np.exp(of(found.new_logprobs) - of(found.logprobs))
    low, high = 1 - settings.clip_ratio, 1 + settings.clip_ratio
    all_ratios = np.exp(found.new_logprobs - found.logprobs)
    outside = float(((all_ratios < low) | (all_ratios > high)).mean())
    whitened, returns = of(found.whitened), of(found.returns)
    losses = clipped_policy_loss(Tensor(of(found.new_logprobs)), of(found.logprobs), whitened, settings.clip_ratio).data
    value_losses = clipped_value_loss(Tensor(of(found.new_values)), values, returns, settings.value_clip).data
    applied = sum(update.applied for update in found.updates)
    decay = settings.gamma * settings.gae_lambda
    standard = f"({raw:.4f} - {in_brackets(f'{mean:.4f}')}) / {deviation:.4f} = {(raw - mean) / deviation:.4f}"
    hands = [f"A[{len(labels) - 1}] = δ[{len(labels) - 1}] = {advantages[-1]:.4f}"]
    if len(labels) > 1:
        hands.append(f"A[{len(labels) - 2}] = {deltas[-2]:.4f} + {decay:g}×{advantages[-1]:.4f} = {advantages[-2]:.4f}")
    return [
        Page(
            "ppo_rollout",
            {"where": where, "temperature": settings.temperature, "count": len(labels)},
            sources=[source_of(sample_responses)],
            parts=[
                labelled(
                    {
                        say("prompt"): prompt,
                        say("answer"): rollouts.text(tokenizer, 0),
                        say("ended"): say("yes" if finished else "no"),
                    }
                )
            ],
        ),
        Page(
            "ppo_score",
            {"clip": settings.reward_clip, "missing": settings.missing_eos_reward, "score": f"{found.scores[0]:+.4f}"},
            equations=["score = clip((r - mean) / deviation)"],
            by_hand=[standard] if finished else [],
            sources=[source_of(AnswerJudge.scores)],
        ),
        Page(
            "ppo_rewards",
            {"kl_coef": settings.kl_coef, "total": significant(float(kl.sum()))},
            equations=["KLₜ = ln π(aₜ) - ln π_ref(aₜ)", "rewardₜ = -β KLₜ (+ score, t = T)"],
            sources=[source_of(response_logprobs), source_of(kl_k1), source_of(PPOTrainer.step)],
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {
                        "ln π": of(found.logprobs),
                        "ln π_ref": of(found.reference),
                        "KL": kl,
                        "-β KL": -settings.kl_coef * kl,
                        say("reward"): rewards,
                    },
                )
            ],
        ),
        Page(
            "ppo_advantages",
            {"gae_lambda": settings.gae_lambda, "warmup": settings.value_warmup},
            equations=["δₜ = rewardₜ + γ Vₜ₊₁ - Vₜ", "Aₜ = δₜ + γ λ Aₜ₊₁", "Rₜ = Aₜ + Vₜ"],
            by_hand=hands,
            sources=[source_of(response_values), source_of(generalized_advantages)],
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {say("reward"): rewards, "V": values, "δ": deltas, "A": advantages, "R": returns},
                )
            ],
        ),
        Page(
            "ppo_ratio",
            {
                "updates": applied,
                "low": f"{low:g}",
                "high": f"{high:g}",
                "outside": f"{outside:.1%}",
                "batch": len(rollouts),
                "lr": f"{trainer.policy_optimizer.lr:.2g}",
            },
            equations=["Â = (A - mean A) / std A", "ratio = π_new / π_old", "loss = -min(ratio Â, clip(ratio) Â)"],
            by_hand=[
                f"ratio[0] = exp({of(found.new_logprobs)[0]:.4f} - {in_brackets(f'{of(found.logprobs)[0]:.4f}')})"
                f" = {ratio[0]:.4f}"
            ],
            sources=[source_of(whiten), source_of(clipped_policy_loss), source_of(update_policy)],
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {
                        "Â": whitened,
                        say("ratio"): ratio,
                        say("clipped_ratio"): np.clip(ratio, low, high),
                        say("clip_hit"): np.where((ratio < low) | (ratio > high), "✂", ""),
                        say("loss"): losses,
                    },
                )
            ],
        ),
        Page(
            "ppo_value",
            {"clip": settings.value_clip},
            equations=["loss = max((V - R)², (V_old + clip(V - V_old) - R)²) / 2"],
            sources=[source_of(clipped_value_loss), source_of(AdamW.step)],
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {"R": returns, "V_old": values, "V": of(found.new_values), say("loss"): value_losses},
                )
            ],
        ),
    ]
