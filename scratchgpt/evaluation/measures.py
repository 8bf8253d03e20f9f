"""Measures on held-out data: perplexity, bits per character, right answers by rule.

Nothing here asks a model for its opinion of a model: answers are judged by verifiers and by rubrics that
were written before the answers. An answer that never ends is never right, in a measure as in a reward.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from scratchgpt import autograd as ag
from scratchgpt.autograd import IGNORE_INDEX, no_grad
from scratchgpt.datasets.batches import TokenBatch, encode_documents, heldout_windows
from scratchgpt.datasets.records import Record, opening_of, prompt_of
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.answering import Answer, answer_prompts, encode_question
from scratchgpt.evaluation.rubric import rubric_passed
from scratchgpt.models.base import LanguageModel
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.verify.verifiers import complaint_about, verifier_for

EVALUATION_BATCH = 8
"""Sequences a forward pass: logits of 8 * 256 tokens are 52 MB at a vocabulary of 6,400."""


def summed_loss(model: LanguageModel, batches: Iterable[TokenBatch]) -> tuple[float, int, int]:
    """Negative log-likelihood of all targets in nats, their number, and how many were the likeliest token."""
    model.eval()
    total, count, hits = 0.0, 0, 0
    with no_grad():
        for batch in batches:
            logits, _ = model(batch.input_ids)
            total += float(ag.token_losses(logits, batch.targets).data.sum(dtype=np.float64))
            counted = batch.targets != IGNORE_INDEX
            count += int(counted.sum())
            hits += int(((logits.data.argmax(-1) == batch.targets) & counted).sum())
    return total, count, hits


def text_metrics(model: LanguageModel, tokenizer: Tokenizer, documents: Sequence[str]) -> dict[str, float]:
    """Loss (nats a token), perplexity, and bits per character of held-out text.

    Bits per character = nats / ln 2 / characters: the figure that does not depend on the tokenizer.
    """
    stream = encode_documents(documents, tokenizer)
    windows = heldout_windows(stream, model.config.context_size, EVALUATION_BATCH)
    total, count, _ = summed_loss(model, windows)
    characters = sum(map(len, documents))
    loss = total / count
    return {"loss": loss, "perplexity": math.exp(min(loss, 50)), "bits_per_character": total / math.log(2) / characters}


def dialogue_metrics(model: LanguageModel, batches: Iterable[TokenBatch]) -> dict[str, float]:
    """Loss (nats a token), perplexity and token accuracy over the assistant's tokens."""
    total, count, hits = summed_loss(model, batches)
    loss = total / count
    return {"loss": loss, "perplexity": math.exp(min(loss, 50)), "token_accuracy": hits / count}


def question_accuracy(model: LanguageModel, tokenizer: Tokenizer, records: Sequence[Record]) -> dict[str, float]:
    """Share of held-out single-turn questions with a rubric whose answer passes it; by category as well."""
    asked = [r for r in records if "rubric" in r and len(r["messages"]) == len(opening_of(r)) + 1]
    answers = answer_prompts(model, tokenizer, [prompt_of(r) for r in asked])
    passed = [rubric_passed(r["rubric"], a) for r, a in zip(asked, answers, strict=True)]
    return accuracy_by_group(passed, [r.get("category", "other") for r in asked])


def is_right(task: Record, answer: Answer) -> bool:
    """Whether an answer to a task is right: it ended, and the verifier accepts it. RLVF rewards this, too."""
    return answer.finished and verifier_for(task).verify(task, answer.text)


def verifiable_tasks(data: DataSources) -> tuple[list[Record], list[Record]]:
    """The tasks that a run reads, once their verifiers have recognised every task's own expected answer.

    Returns:
        (training, held out).

    Raises:
        UserError: as :meth:`DataSources.tasks`, and for a task that no answer can be right to, with file and line.
    """
    return data.tasks(complaint_about)


def measured_tasks(data: DataSources) -> list[Record]:
    """The held-out tasks on which a stage is measured that does not learn from tasks; none if there are none.

    Raises:
        UserError: as :func:`verifiable_tasks`.
    """
    return [] if data.heldout_tasks_file is None else verifiable_tasks(data)[1]


def fitting_tasks(tokenizer: Tokenizer, tasks: Sequence[Record], context_size: int) -> list[Record]:
    """The tasks that leave room for an answer in a context of so many tokens."""
    return [task for task in tasks if len(encode_question(tokenizer, task["prompt"])) < context_size]


def task_accuracy(model: LanguageModel, tokenizer: Tokenizer, tasks: Sequence[Record]) -> dict[str, float]:
    """Share of tasks whose greedy answer is right (:func:`is_right`); by family as well."""
    answers = answer_prompts(model, tokenizer, [task["prompt"] for task in tasks])
    right = [is_right(task, answer) for task, answer in zip(tasks, answers, strict=True)]
    return accuracy_by_group(right, [str(task.get("family", task["type"])) for task in tasks])


def accuracy_by_group(passed: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    """Share of what passed over all and by group.

    Args:
        passed: of each item True or False, or a share of it: 1/2 for a tie.
        groups: which group each item belongs to.

    Returns:
        "accuracy" and "items", then "accuracy/<group>" and "items/<group>" for every group.
    """
    members: defaultdict[str, list[float]] = defaultdict(list)
    for group, ok in zip(groups, passed, strict=True):
        members[group].append(float(ok))
    result = {"accuracy": float(np.mean(passed)) if len(passed) else 0.0, "items": float(len(passed))}
    for group, oks in sorted(members.items()):
        result[f"accuracy/{group}"] = float(np.mean(oks))
        result[f"items/{group}"] = float(len(oks))
    return result


def wins(scores: npt.ArrayLike, baseline: npt.ArrayLike) -> np.ndarray:
    """(N,) 1 where a score beats that of the baseline, 1/2 where it ties, else 0."""
    ours, theirs = np.asarray(scores, float), np.asarray(baseline, float)
    won: np.ndarray = (ours > theirs) + 0.5 * (ours == theirs)
    return won


def win_rate(scores: Sequence[float], baseline: Sequence[float]) -> float:
    """Share of prompts on which ``scores`` beats ``baseline``; a tie counts half."""
    return float(np.mean(wins(scores, baseline)))
