"""Measures on held-out data: perplexity, bits per character, right answers by rule.

Nothing here asks a model for its opinion of a model: answers are judged by verifiers and by rubrics that
were written before the answers.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import IGNORE_INDEX, no_grad
from scratchgpt.datasets.batches import TokenBatch, encode_documents, heldout_windows
from scratchgpt.datasets.records import Record
from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import EOS_ID, IM_END_ID, Tokenizer, encode_chat
from scratchgpt.verify.verifiers import verifier_for

EVALUATION_BATCH = 8
"""Sequences a forward pass: logits of 8 * 256 tokens are 52 MB at a vocabulary of 6,400."""
ANSWER_BATCH = 128
"""Prompts answered together."""


@dataclass(frozen=True)
class Answer:
    """What a model answered; ``finished`` is False where it never ended its turn."""

    text: str
    finished: bool


# -- losses -------------------------------------------------------------------------------------------------
def summed_loss(model: GPT, batches: Iterable[TokenBatch]) -> tuple[float, int, int]:
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


def text_metrics(model: GPT, tokenizer: Tokenizer, documents: Sequence[str]) -> dict[str, float]:
    """Loss (nats a token), perplexity, and bits per character of held-out text.

    Bits per character = nats / ln 2 / characters: the figure that does not depend on the tokenizer.
    """
    stream = encode_documents(documents, tokenizer)
    windows = heldout_windows(stream, model.config.context_size, EVALUATION_BATCH)
    total, count, _ = summed_loss(model, windows)
    characters = sum(map(len, documents))
    loss = total / count
    return {"loss": loss, "perplexity": math.exp(min(loss, 50)), "bits_per_character": total / math.log(2) / characters}


def dialogue_metrics(model: GPT, batches: Iterable[TokenBatch]) -> dict[str, float]:
    """Loss (nats a token), perplexity and token accuracy over the assistant's tokens."""
    total, count, hits = summed_loss(model, batches)
    loss = total / count
    return {"loss": loss, "perplexity": math.exp(min(loss, 50)), "token_accuracy": hits / count}


# -- answers ------------------------------------------------------------------------------------------------
def answer_prompts(
    model: GPT,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int = 96,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """The model's answers to single-turn prompts, greedy unless a temperature is given."""
    model.eval()
    encoded = [encode_chat(tokenizer, [{"role": "user", "content": p}], add_generation_prompt=True) for p in prompts]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # similar lengths together: less padding
    answers: list[Answer] = [Answer("", False)] * len(encoded)
    for start in range(0, len(order), ANSWER_BATCH):
        members = order[start : start + ANSWER_BATCH]
        outputs = generate_batch(
            model,
            [encoded[i] for i in members],
            max_new_tokens,
            temperature=temperature,
            stop_ids=(IM_END_ID, EOS_ID),
            seed=seed + start,
        )
        for i, ids in zip(members, outputs, strict=True):
            finished = bool(ids) and ids[-1] in (IM_END_ID, EOS_ID)
            answers[i] = Answer(tokenizer.decode(ids[:-1] if finished else ids).strip(), finished)
    return answers


def rubric_passed(rubric: Record, answer: str) -> bool:
    """Whether the answer holds one string of every ``must`` group and none of ``must_not``."""
    required = all(any(key in answer for key in group) for group in rubric.get("must", []))
    return required and not any(key in answer for key in rubric.get("must_not", []))


def question_accuracy(model: GPT, tokenizer: Tokenizer, records: Sequence[Record]) -> dict[str, float]:
    """Share of held-out single-turn questions with a rubric whose answer passes it; by category as well."""
    asked = [r for r in records if "rubric" in r and len(r["messages"]) == 2]
    answers = answer_prompts(model, tokenizer, [r["messages"][0]["content"] for r in asked])
    passed = [a.finished and rubric_passed(r["rubric"], a.text) for r, a in zip(asked, answers, strict=True)]
    return accuracy_by_group(passed, [r.get("category", "other") for r in asked])


def task_accuracy(model: GPT, tokenizer: Tokenizer, tasks: Sequence[Record]) -> dict[str, float]:
    """Share of tasks whose greedy answer the verifier accepts; by family as well."""
    answers = answer_prompts(model, tokenizer, [task["prompt"] for task in tasks])
    right = [verifier_for(task).verify(task, answer.text) for task, answer in zip(tasks, answers, strict=True)]
    return accuracy_by_group(right, [str(task.get("family", task["type"])) for task in tasks])


def accuracy_by_group(passed: Sequence[bool], groups: Sequence[str]) -> dict[str, float]:
    """Share of True over all and by group.

    Returns:
        "accuracy" and "items", then "accuracy/<group>" and "items/<group>" for every group.
    """
    members: defaultdict[str, list[bool]] = defaultdict(list)
    for group, ok in zip(groups, passed, strict=True):
        members[group].append(bool(ok))
    result = {"accuracy": float(np.mean(passed)) if len(passed) else 0.0, "items": float(len(passed))}
    for group, oks in sorted(members.items()):
        result[f"accuracy/{group}"] = float(np.mean(oks))
        result[f"items/{group}"] = float(len(oks))
    return result


# -- the answer rubric: how good an answer is, by rule --------------------------------------------------------
POLITE = re.compile(r"你好|好的|当然|很高兴|乐意|希望|欢迎|可以再|随时|祝|请|谢谢|如果|不妨|试试|加油")
RUDE = re.compile(r"笨|蠢|傻|烦|闭嘴|滚|懒得|无聊|白痴|废话|自己查|别来|少问|没空")
EVASIVE = re.compile(r"不清楚|不好说|说不准|不方便|无可奉告|难说|看情况吧|没法说|不太了解|不想说")
MAX_RUBRIC_SCORE = 6


def answer_score(rubric: Record, answer: Answer) -> int:
    """0 to 6 points for an answer, by rules alone.

    2 for right facts (every key of the rubric there, none forbidden; 1 if at least half of the keys are),
    and 1 each for: a turn that is ended with a whole sentence; two sentences or more of substance without
    evasion; courtesy without rudeness; no sentence or long phrase said twice.
    """
    text = answer.text
    groups = rubric.get("must", [])
    found = sum(any(key in text for key in group) for group in groups)
    forbidden = any(key in text for key in rubric.get("must_not", []))
    points = 0
    if not forbidden and groups:
        points += 2 if found == len(groups) else int(2 * found >= len(groups))
    points += answer.finished and text.endswith(("。", "！", "？", "”", "~", "～"))
    sentences = [s for s in re.split(r"[。！？；\n]", text) if s.strip()]
    points += len(sentences) >= 2 and not EVASIVE.search(text)
    points += bool(POLITE.search(text)) and not RUDE.search(text)
    points += bool(text) and not repeats_itself(text)
    return int(points)


def repeats_itself(text: str, window: int = 8) -> bool:
    """Whether some phrase of ``window`` characters occurs twice."""
    phrases = [text[i : i + window] for i in range(len(text) - window + 1)]
    return len(set(phrases)) < len(phrases)


def win_rate(scores: Sequence[float], baseline: Sequence[float]) -> float:
    """Share of prompts on which ``scores`` beats ``baseline``; a tie counts half."""
    ours, theirs = np.asarray(scores, float), np.asarray(baseline, float)
    return float(np.mean((ours > theirs) + 0.5 * (ours == theirs)))
