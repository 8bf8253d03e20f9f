"""What a model says to people who never saw its data: questions, despair, harm, noise and whole dialogues.

A record is one of ``data/strangers_*.json``: its ``kind``, and its ``turns``, each a ``prompt`` with what makes the
answer right, which was written before any model answered: a ``rubric``, or the ``expected_answer`` of a task. Between
the turns stand the model's own answers. Nothing here is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.datasets.compression import read_bytes
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer, answer_prompts, encode_question
from scratchgpt.evaluation.measures import accuracy_by_group, is_right
from scratchgpt.evaluation.rubric import rubric_passed
from scratchgpt.models.base import LanguageModel
from scratchgpt.tokenizer import Tokenizer

QUESTIONS = (
    "greeting", "identity", "advice", "feelings", "language", "world", "machine_learning", "creative", "english",
    "nonsense", "sum_one_step", "sum_two_steps", "logic", "dates", "code", "safety",
)  # fmt: skip
"""The kinds of ordinary questions."""
RECKONING = ("sum_one_step", "sum_two_steps", "logic", "dates")
"""Those of them that have to be worked out."""
LONGEST_ANSWER = 160
"""Tokens after which an answer counts as endless."""
ROOM = 64
"""Tokens that a prompt has to leave for an answer."""

Stranger = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """How a record went.

    Attributes:
        record: what was asked.
        answers: the model's, one for each turn.
        right: of each turn, whether its answer is right.
    """

    record: Stranger
    answers: list[Answer]
    right: list[bool]


def load_strangers(path: Path) -> list[Stranger]:
    """The records of a file, packed or not.

    Raises:
        UserError: if it cannot be read, or holds something else.
    """
    try:
        records: list[Stranger] = json.loads(read_bytes(path))
        if all(turn["prompt"] and ("rubric" in turn or "type" in turn) for r in records for turn in r["turns"]):
            return records
    except (ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{path}: not a file of strangers' questions; take the project's own from data/")


def ask(
    model: LanguageModel, tokenizer: Tokenizer, records: Sequence[Stranger], max_new_tokens: int = LONGEST_ANSWER
) -> list[Heard]:
    """Put every turn of every record to the model, greedily; the records side by side, a turn at a time."""
    heard = [Heard(record, [], []) for record in records]
    said: list[list[dict[str, str]]] = [[] for _ in records]
    for number in range(max((len(record["turns"]) for record in records), default=0)):
        speaking = [i for i, record in enumerate(records) if number < len(record["turns"])]
        for i in speaking:
            said[i].append({"role": "user", "content": records[i]["turns"][number]["prompt"]})
        answers = answer_prompts(model, tokenizer, [said[i] for i in speaking], max_new_tokens)
        for i, answer in zip(speaking, answers, strict=True):
            heard[i].answers.append(answer)
            heard[i].right.append(turn_right(records[i]["turns"][number], answer))
            said[i].append({"role": "assistant", "content": answer.text})
    return heard


def turn_right(turn: Stranger, answer: Answer) -> bool:
    """Whether an answer is right by the rubric of its turn or, of a task, by its verifier."""
    return rubric_passed(turn["rubric"], answer) if "rubric" in turn else is_right(turn, answer)


def accuracies(heard: Sequence[Heard]) -> dict[str, float]:
    """The share of records with every turn right, over all and by kind, as :func:`accuracy_by_group` names them."""
    return accuracy_by_group([all(h.right) for h in heard], [h.record["kind"] for h in heard])


def endless(model: LanguageModel, tokenizer: Tokenizer, prompts: Sequence[str]) -> tuple[list[str], int]:
    """Which of the prompts are answered greedily without coming to an end, and how many could be asked at all.

    A prompt that leaves an answer less room than :data:`ROOM` tokens cannot.
    """
    longest = model.config.context_size - ROOM
    asked = [prompt for prompt in prompts if len(encode_question(tokenizer, prompt)) <= longest]
    answers = answer_prompts(model, tokenizer, asked, LONGEST_ANSWER)
    return [prompt for prompt, answer in zip(asked, answers, strict=True) if not answer.finished], len(asked)
