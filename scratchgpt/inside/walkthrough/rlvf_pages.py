"""The walk through stage 5: one task, the group of answers to it, their verified rewards and advantages, one update.

The numbers are the trainer's own: the :class:`RLVFExperience` that it collects on one task, and what has become of the
probabilities after it learned from it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from rich.text import Text

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLVFConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.divergence import kl_k3
from scratchgpt.evaluation.rollouts import sample_responses, token_logprobs
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.examples import choose, starting_with
from scratchgpt.inside.walkthrough.labels import token_labels
from scratchgpt.inside.walkthrough.numbers import in_brackets
from scratchgpt.inside.walkthrough.page import Page, labelled, table, token_table
from scratchgpt.inside.walkthrough.subject import TRAINED_STEP, fresh_subject, load_first, load_stage, stage_folder
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import frozen_copy, update_policy
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.rlvf import RLVF, RLVFExperience, RLVFTrainer, group_advantages, grpo_token_loss
from scratchgpt.verify.verifiers import verifier_for

SETTINGS = get_preset("mini").of("rlvf")
TASKS = 16
"""Tasks to try, from the example on, for one whose answers are neither all right nor all wrong."""


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
    one_step = dataclasses.replace(settings, lr=TRAINED_STEP)
    trainer = RLVFTrainer(policy, tokenizer, policy.config, one_step, tried, (), seed, reference)
    experience = _first_lesson(trainer)
    passed_over = int(experience.chosen[0])
    origin = say("example_from", number=numbers[passed_over], where=where)
    if passed_over:
        origin = say("passed_over", number=example, origin=origin)
    return _pages(trainer, experience, origin, speech)


def _first_lesson(trainer: RLVFTrainer) -> RLVFExperience:
    """The trainer's experience of its first task whose answers are neither all right nor all wrong, or of the first."""
    tried = []
    for number in range(len(trainer.tasks)):
        tried.append(trainer.collect(number, [number]))
        if len(tried[-1].used):
            return tried[-1]
    return tried[0]


def _pages(trainer: RLVFTrainer, experience: RLVFExperience, where: str, speech: Speech) -> list[Page]:
    say, settings, answers = speech.word, trainer.settings, experience.answers
    task, tokenizer = trainer.tasks[experience.chosen[0]], trainer.tokenizer
    correct, rewards, advantages = experience.correct[0], experience.rewards[0], experience.advantages[0]
    teaches = len(experience.used) > 0
    if teaches:
        old, frozen = experience.logprobs, experience.reference_logprobs
    else:  # a group without difference is left out of training, which then never looks at its tokens
        old, frozen = (
            token_logprobs(model, answers, settings.temperature) for model in (trainer.model, trainer.reference)
        )
    updates = int(trainer.learn(experience).get("policy/updates", 0))
    now = token_logprobs(trainer.model, answers, settings.temperature)

    shown = dict.fromkeys([int(advantages.argmax()), int(advantages.argmin())])
    said = table("", say("right"), say("reward"), say("advantage"), numbers=2)
    said.add_column(Text(say("answer")), header_style="dim", overflow="fold")
    moved = table("", say("right"), say("advantage"), say("before"), say("after"), say("factor"), numbers=2)
    before, after = answers.sum_per_response(old), answers.sum_per_response(now)
    for member in range(len(answers)):
        beginning = [str(member), "✓" if correct[member] else "✗"]
        text = Text(answers.text(tokenizer, member), overflow="fold")
        said.add_row(*beginning, f"{rewards[member]:+.2f}", f"{advantages[member]:+.3f}", text)
        moved.add_row(
            *beginning,
            f"{advantages[member]:+.3f}",
            f"{before[member]:.3f}",
            f"{after[member]:.3f}",
            f"×{np.exp(after[member] - before[member]):.3f}",
        )

    def columns(member: int) -> dict[str, np.ndarray]:
        """The numbers of one answer's tokens."""
        then, start, new = (answers.split(per_token)[member] for per_token in (old, frozen, now))
        advantage = np.full(len(then), advantages[member], np.float32)
        losses = grpo_token_loss(Tensor(new), then, start, advantage, settings.clip_ratio, settings.kl_coef)
        return {
            "ln π": then,
            "ln π_ref": start,
            "A": advantage,
            say("ratio"): np.exp(new - then),
            "KL": kl_k3(start - new).data,
            say("loss"): losses.data,
        }

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
                "count": len(answers),
                "temperature": settings.temperature,
                "correct": settings.correct_reward,
                "incorrect": settings.incorrect_reward,
                "lesson": say("group_teaches" if teaches else "group_teaches_nothing"),
            },
            equations=["Aᵢ = rewardᵢ - mean(reward)"],
            by_hand=[f"A[0] = {rewards[0]:.2f} - {in_brackets(f'{rewards.mean():.4f}')} = {advantages[0]:+.4f}"],
            sources=[source_of(sample_responses), source_of(group_advantages)],
            parts=[said],
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
                    token_labels(tokenizer, answers.responses[member]),
                    say("answer_number", number=member),
                    columns(member),
                    20,
                )
                for member in shown
            ],
        ),
        Page(
            "rlvf_step",
            {"lr": settings.lr, "updates": updates},
            sources=[source_of(update_policy), source_of(AdamW.step)],
            parts=[moved],
        ),
    ]
