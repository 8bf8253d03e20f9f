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
SURE_ANSWERS = ("expected_answer", "expected", "ground_truth", "final_answer")
ANSWERS = (*SURE_ANSWERS, "answer", "solution", "output", "response", "target", "label", "a", "答案", "回答", "答")
"""Fields that may hold the question and the answer, the surest first."""
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?")
_LAST_LINE = re.compile(r"\n(?:A|Answer|Final answer|答|答案)[:：]([^\n]+)$", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{")


def final_answer_of(text: str) -> str:
    r"""The answer at the end of a worked solution, or all of it.

    It stands behind GSM8K's ``####``, in MATH's ``\boxed{}``, or in a last line ``A: 42``.
    """
    if "####" in text:
        text = text.rpartition("####")[2]
    elif boxed := list(_BOXED.finditer(text)):
        text = _to_closing_brace(text[boxed[-1].end() :])
    elif last_line := _LAST_LINE.search(text.strip()):
        text = last_line[1]
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


def is_surely_task(record: Record) -> bool:
    """Whether a record says that its answer is the one to be checked by, and not just some answer to learn."""
    nested = record.get("reward_model")
    return any(name in record for name in SURE_ANSWERS) or (isinstance(nested, dict) and "ground_truth" in nested)


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
