"""The same questions answered by the model of every stage, side by side."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scratchgpt.errors import ContextWindowWarning
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.inference.generate import generate_batch
from scratchgpt.stages import stage_named
from scratchgpt.stages.run_folder import finished_writers, is_finished, load_model, stage_directory
from scratchgpt.tokenizer import END_IDS, Tokenizer
from scratchgpt.training.checkpoints import OtherTokenizerError, load_reward_model

CONTINUATION = 40
"""Tokens that a model continues a text by which cannot answer yet."""


@dataclass(frozen=True)
class StageAnswer:
    """What a stage's model made of a prompt.

    Attributes:
        stage: the stage's name on the command line.
        text: the answer; from the pretrained model the continuation of the prompt.
        score: the reward model's, or None where there is no reward model or no answer.
    """

    stage: str
    text: str
    score: float | None


def answers_by_stage(out: Path, prompts: Sequence[str]) -> list[list[StageAnswer]]:
    """For each prompt the likeliest answer of every stage that has a model, in the order of the stages.

    Raises:
        UserError: if a checkpoint is damaged.
    """
    finished = reversed(finished_writers(out))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContextWindowWarning)  # whoever reads a report has written no long text
        columns = [_answers(out, stage, prompts) for stage in finished]
    return [list(row) for row in zip(*columns, strict=True)]


def _answers(out: Path, stage: str, prompts: Sequence[str]) -> list[StageAnswer]:
    model, tokenizer = load_model(out, stage)
    if stage_named(stage).writes == "text":  # it was never shown a question: all it can do is go on
        encoded = [tokenizer.encode(prompt) for prompt in prompts]
        # Not the likeliest tokens: a model as small as this one would repeat itself.
        continued = generate_batch(
            model.eval(), encoded, CONTINUATION, temperature=0.8, top_k=50, stop_ids=END_IDS
        )
        return [StageAnswer(stage, tokenizer.decode(ids).strip(), None) for ids in continued]
    texts = [answer.text for answer in answer_prompts(model, tokenizer, prompts)]
    scores = _scores(out, tokenizer, prompts, texts, model.config.context_size)
    return [StageAnswer(stage, text, score) for text, score in zip(texts, scores, strict=True)]


def _scores(
    out: Path, tokenizer: Tokenizer, prompts: Sequence[str], texts: Sequence[str], context_size: int
) -> list[float | None]:
    """The reward model's scores; None for each if there is none that reads these tokens."""
    if not is_finished(out, "reward"):
        return [None] * len(texts)
    try:
        reward_model = load_reward_model(stage_directory(out, "reward"), tokenizer)
    except OtherTokenizerError:  # left from another run: the answers are worth showing without scores
        return [None] * len(texts)
    sequences = [encode_answer(tokenizer, *pair)[:context_size] for pair in zip(prompts, texts, strict=True)]
    return [float(score) for score in score_sequences(reward_model, sequences)]
