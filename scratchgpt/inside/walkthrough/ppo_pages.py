"""The walk through stage 4: one answer of the policy, and for each of its tokens reward, value, advantage and ratio.

The numbers are those of one iteration of the trainer: the :class:`PPOExperience` that it collects on a smaller batch,
and what has become of the probabilities after it learned from it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.divergence import kl_k1
from scratchgpt.evaluation.judge import AnswerJudge
from scratchgpt.evaluation.rollouts import response_logprobs, sample_responses, token_logprobs
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
from scratchgpt.stages.policy_gradient import clipped_policy_loss, frozen_copy, update_policy, whiten
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.rlhf import (
    RLHF,
    PPOTrainer,
    clipped_value_loss,
    generalized_advantages,
    response_values,
    token_rewards,
    token_values,
)
from scratchgpt.stages.run_folder import finished_directory
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.checkpoints import load_reward_model

SETTINGS = dataclasses.replace(get_preset("mini").of("rlhf"), batch_size=16, minibatch_size=8)
"""The settings of the default run with a batch small enough to watch."""
PROMPTS = 256
"""Prompts of the trainer, from the example on."""


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
    origin = speech.word("example_from", number=example, where=where)
    return _pages(trainer, tokenizer, prompts[0], origin, speech)


def _models(
    checkpoint: Path | None, prompts: list[str], seed: int, speech: Speech
) -> tuple[LanguageModel, LanguageModel, RewardModel, Tokenizer, str]:
    run = stage_folder(checkpoint)
    if run is None:
        fresh = fresh_subject(prompts, seed, context_size=256)
        reward_model = RewardModel(fresh.model.config, seed + 1)
        return fresh.model, frozen_copy(fresh.model), reward_model, fresh.tokenizer, speech.word("fresh")
    # Before its first iteration the policy is the SFT model.
    policy = load_first(run, ["rlhf"]) or load_stage(run, "sft")
    reward_model = load_reward_model(finished_directory(run, "reward"), policy.tokenizer)
    start = load_first(run, RLHF.follows)
    reference = frozen_copy(policy.model) if start is None else start.model.eval()
    return policy.model, reference, reward_model, policy.tokenizer, str(policy.directory)


def _pages(trainer: PPOTrainer, tokenizer: Tokenizer, prompt: str, where: str, speech: Speech) -> list[Page]:
    say, settings = speech.word, trainer.settings
    experience = trainer.collect(settings.value_warmup, trainer.prompts[: settings.batch_size])
    metrics = trainer.learn(experience)
    rollouts = experience.rollouts
    new_logprobs = token_logprobs(trainer.policy, rollouts, settings.temperature)
    new_values = token_values(trainer.value_model, rollouts)

    def of(per_token: np.ndarray) -> np.ndarray:
        """The numbers of the first response's tokens."""
        return per_token[: rollouts.lengths[0]]

    response = rollouts.responses[0]
    labels = token_labels(tokenizer, response)
    finished = bool(rollouts.finished[0])
    mean, deviation = trainer.judge.score_scale
    raw = float(trainer.judge.raw_scores(rollouts.select(np.array([0])))[0])
    rewards, values, kl = of(experience.token_rewards), of(experience.values), of(experience.kl)
    advantages, whitened = of(experience.advantages), of(experience.whitened_advantages)
    old, now, returns = of(experience.logprobs), of(new_logprobs), of(experience.returns)
    deltas = rewards + settings.gamma * np.append(values[1:], 0.0) - values
    ratio = np.exp(now - old)
    low, high = 1 - settings.clip_ratio, 1 + settings.clip_ratio
    all_ratios = np.exp(new_logprobs - experience.logprobs)
    outside = float(((all_ratios < low) | (all_ratios > high)).mean())
    losses = clipped_policy_loss(Tensor(now), old, whitened, settings.clip_ratio).data
    value_losses = clipped_value_loss(Tensor(of(new_values)), values, returns, settings.value_clip).data
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
            {
                "clip": settings.reward_clip,
                "missing": settings.missing_eos_reward,
                "score": f"{experience.scores[0]:+.4f}",
            },
            equations=["score = clip((r - mean) / deviation)"],
            by_hand=[standard] if finished else [],
            sources=[source_of(AnswerJudge.scores)],
        ),
        Page(
            "ppo_rewards",
            {"kl_coef": settings.kl_coef, "total": significant(float(kl.sum()))},
            equations=["KLₜ = ln π(aₜ) - ln π_ref(aₜ)", "rewardₜ = -β KLₜ (+ score, t = T)"],
            sources=[source_of(response_logprobs), source_of(kl_k1), source_of(token_rewards)],
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {
                        "ln π": old,
                        "ln π_ref": of(experience.reference_logprobs),
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
                "updates": int(metrics["policy/updates"]),
                "low": f"{low:g}",
                "high": f"{high:g}",
                "outside": f"{outside:.1%}",
                "batch": len(rollouts),
                "lr": f"{trainer.policy_optimizer.lr:.2g}",
            },
            equations=["Â = (A - mean A) / std A", "ratio = π_new / π_old", "loss = -min(ratio Â, clip(ratio) Â)"],
            by_hand=[f"ratio[0] = exp({now[0]:.4f} - {in_brackets(f'{old[0]:.4f}')}) = {ratio[0]:.4f}"],
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
                    {"R": returns, "V_old": values, "V": of(new_values), say("loss"): value_losses},
                )
            ],
        ),
    ]
