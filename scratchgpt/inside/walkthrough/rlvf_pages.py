"""The walk through stage 5: one task, the group of answers to it, their verified rewards and advantages, one update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.text import Text

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLVFConfig
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.divergence import kl_k3
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, sample_responses, token_logprobs
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.examples import choose, starting_with
from scratchgpt.inside.walkthrough.labels import token_labels
from scratchgpt.inside.walkthrough.numbers import in_brackets
from scratchgpt.inside.walkthrough.page import Page, labelled, table, token_table
from scratchgpt.inside.walkthrough.subject import TRAINED_STEP, fresh_subject, load_first, load_stage, stage_folder
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import frozen_copy, update_policy
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.rlvf import RLVF, group_advantages, grpo_token_loss
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.verify.verifiers import verifier_for

SETTINGS = get_preset("mini").of("rlvf")
TASKS = 16
"""Tasks to try, from the example on, for one whose answers are neither all right nor all wrong."""


@dataclass(frozen=True)
class Group:
    """The answers to one task, (K,) each; (N,) is one number a token of all of them.

    Attributes:
        task: the record; number: which of the tasks it is.
        rollouts: K answers.
        correct: (K,) the verifier's word.
        rewards, advantages: (K,)
        logprobs, reference: (N,) of the policy that answered and of the frozen one.
        new_logprobs: (N,) after one update.
    """

    task: Record
    number: int
    rollouts: Rollouts
    correct: np.ndarray
    rewards: np.ndarray
    advantages: np.ndarray
    logprobs: np.ndarray
    reference: np.ndarray
    new_logprobs: np.ndarray

    def of(self, per_token: np.ndarray, member: int) -> np.ndarray:
        """The numbers of one answer's tokens."""
        return per_token[self.rollouts.token_indices(np.array([member]))]


def learn_from_group(
    policy: LanguageModel,
    reference: LanguageModel,
    tokenizer: Tokenizer,
    tasks: Sequence[Record],
    settings: RLVFConfig,
    seed: int,
) -> Group:
    """Answer the tasks, take the first whose answers differ in reward (or the first of all), and make one update."""
    size = settings.samples_per_task
    prompts = [encode_prompt(tokenizer, task["prompt"], policy.config.context_size) for task in tasks]
    everything = sample_responses(
        policy, [p for p in prompts for _ in range(size)], settings.max_new_tokens, settings.temperature, seed
    )
    correct = np.array(
        [
            bool(everything.finished[i]) and verifier_for(tasks[i // size]).verify(tasks[i // size], text)
            for i, text in enumerate(everything.text(tokenizer, i) for i in range(len(everything)))
        ]
    ).reshape(len(tasks), size)
    mixed = np.flatnonzero(correct.any(axis=1) & ~correct.all(axis=1))
    number = int(mixed[0]) if len(mixed) else 0
    rollouts = everything.select(np.arange(number * size, (number + 1) * size))
    rewards = np.where(correct[number], settings.correct_reward, settings.incorrect_reward)
    advantages = group_advantages(rewards[None])[0]

    def logprobs_of(model: LanguageModel) -> np.ndarray:
        return token_logprobs(model, rollouts, settings.temperature)

    logprobs, frozen = logprobs_of(policy), logprobs_of(reference)
    per_token = np.repeat(advantages, rollouts.lengths).astype(np.float32)

    def token_loss(now: Tensor, tokens: np.ndarray) -> Tensor:
        return grpo_token_loss(
            now, logprobs[tokens], frozen[tokens], per_token[tokens], settings.clip_ratio, settings.kl_coef
        )

    optimizer = AdamW(policy.named_parameters(), TRAINED_STEP, weight_decay=0)
    update_policy(policy, optimizer, rollouts, np.arange(size), logprobs, token_loss, settings)
    return Group(
        task=tasks[number],
        number=number,
        rollouts=rollouts,
        correct=correct[number],
        rewards=rewards,
        advantages=advantages,
        logprobs=logprobs,
        reference=frozen,
        new_logprobs=logprobs_of(policy),
    )


def rlvf_pages(
    checkpoint: Path | None, example: int, seed: int, speech: Speech, settings: RLVFConfig = SETTINGS
) -> list[Page]:
    """The pages of one task and the group of answers to it.

    Raises:
        UserError: if there is no such example or no checkpoint of the stage, or a prompt does not fit.
    """
    tasks, _ = DataSources().tasks()
    choose(tasks, example, "rlvf")
    numbers = starting_with(tasks, example, TASKS)
    tried = [tasks[number] for number in numbers]
    run = stage_folder(checkpoint)
    say = speech.word
    if run is None:
        fresh = fresh_subject([task["prompt"] for task in tried], seed, context_size=256)
        policy, tokenizer, reference, where = fresh.model, fresh.tokenizer, frozen_copy(fresh.model), say("fresh")
    else:
        trained, start = load_stage(run, "rlvf"), load_first(run, RLVF.follows)
        policy, tokenizer, where = trained.model, trained.tokenizer, str(trained.directory)
        reference = frozen_copy(policy) if start is None else start.model.eval()
    group = learn_from_group(policy, reference, tokenizer, tried, settings, seed)
    origin = say("example_from", number=numbers[group.number], where=where)
    if group.number:
        origin = say("passed_over", number=example, origin=origin)
    return _pages(group, tokenizer, settings, origin, speech)


def _pages(group: Group, tokenizer: Tokenizer, settings: RLVFConfig, where: str, speech: Speech) -> list[Page]:
    say, task, size = speech.word, group.task, len(group.correct)
    mixed = bool(group.correct.any() and not group.correct.all())
    answers = table("", say("right"), say("reward"), say("advantage"), numbers=2)
    answers.add_column(Text(say("answer")), header_style="dim", overflow="fold")
    for member in range(size):
        answers.add_row(
            str(member),
            "✓" if group.correct[member] else "✗",
            f"{group.rewards[member]:+.2f}",
            f"{group.advantages[member]:+.3f}",
            Text(group.rollouts.text(tokenizer, member), overflow="fold"),
        )
    mean = float(group.rewards.mean())
    shown = dict.fromkeys([int(group.advantages.argmax()), int(group.advantages.argmin())])
    moved = table("", say("right"), say("advantage"), say("before"), say("after"), say("factor"), numbers=2)
    before, after = (group.rollouts.sum_per_response(x) for x in (group.logprobs, group.new_logprobs))
    for member in range(size):
        moved.add_row(
            str(member),
            "✓" if group.correct[member] else "✗",
            f"{group.advantages[member]:+.3f}",
            f"{before[member]:.3f}",
            f"{after[member]:.3f}",
            f"×{np.exp(after[member] - before[member]):.3f}",
        )
    return [
        Page(
            "rlvf_task",
            {"where": where, "verifier": type(verifier_for(task)).__name__},
            sources=[source_of(type(verifier_for(task)).verify)],
            parts=[labelled({say("task"): task["prompt"], say("expected"): task["expected_answer"]})],
        ),
        Page(
            "rlvf_group",
            {
                "count": size,
                "temperature": settings.temperature,
                "correct": settings.correct_reward,
                "incorrect": settings.incorrect_reward,
                "lesson": say("group_teaches" if mixed else "group_teaches_nothing"),
            },
            equations=["Aᵢ = rewardᵢ - mean(reward)"],
            by_hand=[f"A[0] = {group.rewards[0]:.2f} - {in_brackets(f'{mean:.4f}')} = {group.advantages[0]:+.4f}"],
            sources=[source_of(sample_responses), source_of(group_advantages)],
            parts=[answers],
        ),
        Page(
            "rlvf_tokens",
            {"kl_coef": settings.kl_coef},
            equations=[
                "ratio = π_new / π_old",
                "KL = π_ref/π - ln(π_ref/π) - 1",
                "loss = -min(ratio A, clip(ratio) A) + β KL",
            ],
            sources=[source_of(grpo_token_loss), source_of(kl_k3)],
            parts=[
                token_table(
                    token_labels(tokenizer, group.rollouts.responses[member]),
                    say("answer_number", number=member),
                    _token_columns(group, member, settings, say("ratio"), say("loss")),
                    20,
                )
                for member in shown
            ],
        ),
        Page(
            "rlvf_step",
            {"lr": TRAINED_STEP},
            sources=[source_of(update_policy), source_of(AdamW.step)],
            parts=[moved],
        ),
    ]


def _token_columns(group: Group, member: int, settings: RLVFConfig, ratio: str, loss: str) -> dict[str, np.ndarray]:
    old, frozen, now = (group.of(x, member) for x in (group.logprobs, group.reference, group.new_logprobs))
    advantages = np.full(len(old), group.advantages[member], np.float32)
    losses = grpo_token_loss(Tensor(now), old, frozen, advantages, settings.clip_ratio, settings.kl_coef)
    return {
        "ln π": old,
        "ln π_ref": frozen,
        "A": advantages,
        ratio: np.exp(now - old),
        "KL": kl_k3(frozen - now).data,
        loss: losses.data,
    }
