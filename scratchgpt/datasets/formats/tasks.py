"""Formats of tasks with one right answer; each is converted to ``type``, ``prompt``, ``expected_answer``."""

from __future__ import annotations

import re
from typing import Any

from scratchgpt.datasets.formats.format import (
    Format,
    MalformedRecordError,
    Record,
    joined,
    optional_text,
    text_field,
    turns_field,
)

QUESTIONS = ("prompt", "question", "problem", "query", "instruction", "q", "题目", "问题", "问")
ANSWERS = (
    "expected_answer", "expected", "ground_truth", "final_answer", "answer", "solution", "output", "response", "target",
    "label", "a", "答案", "回答", "答",
)  # fmt: skip
"""Fields that may hold the question and the answer, the surest first."""
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?")
_BOXED = re.compile(r"\\boxed\s*\{")


def final_answer_of(text: str) -> str:
    r"""The answer at the end of a worked solution: behind GSM8K's ``####``, in MATH's ``\boxed{}``, or all of it."""
    if "####" in text:
        text = text.rpartition("####")[2]
    elif boxed := list(_BOXED.finditer(text)):
        text = _to_closing_brace(text[boxed[-1].end() :])
    text = text.strip().strip("$").strip()
    return text.replace(",", "") if _NUMBER.fullmatch(text) else text


def _to_closing_brace(text: str) -> str:
    depth = 1
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[:position]
    return text


def _first(record: Record, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in record), None)


def _from_question(record: Record) -> Record:
    asked, answered = _first(record, QUESTIONS) or QUESTIONS[1], _first(record, ANSWERS) or _nested_answer(record)
    messages = turns_field(record, asked)
    if len(messages) != 1:
        raise MalformedRecordError(f"{asked!r} must be one question of a user, not {len(messages)} turns")
    prompt = joined(messages[0]["content"], optional_text(record, "input"))
    found = final_answer_of(answered if answered not in record else text_field(record, answered))
    kind = "math" if _NUMBER.fullmatch(found) else "logic"
    task: Record = {"type": kind, "prompt": prompt, "expected_answer": found}
    return task | {name: record[name] for name in ("keywords", "family", "level") if record.get(name)}


def _nested_answer(record: Record) -> str:
    """What verl's files call reward_model.ground_truth.

    Raises:
        MalformedRecordError: if that is not there either.
    """
    model: Any = record.get("reward_model")
    if isinstance(model, dict) and "ground_truth" in model:
        return text_field(model, "ground_truth")
    raise MalformedRecordError("the record has no field 'answer'")


def _is_own(record: Record) -> bool:
    """Others have a ``type`` too, but beside a question and an answer of other names."""
    meant = "expected_answer" in record or ("prompt" in record and _first(record, ANSWERS[1:]) is None)
    return "type" in record and meant


def _from_own(record: Record) -> Record:
    return record


TASKS = (
    Format(
        "type, prompt, expected_answer",
        "type (math or logic), prompt, expected_answer",
        _is_own,
        _from_own,
        own=True,
    ),
    Format(
        "question and answer",
        "question (or prompt, problem), answer (or expected, solution; it may end in #### 42)",
        lambda record: _first(record, QUESTIONS) is not None,
        _from_question,
    ),
)
"""Every format of tasks, our own first; the first that recognises a record reads it."""
