"""Verifiers: is a response to a task right, judged as a careful teacher would, without a model.

They give the reward of the last stage (reinforcement learning from verifiable rewards, Lambert et al. 2024, "Tulu 3",
section 6), so they must be hard to please by anything but the answer: naming every option, hedging, or stopping in
the middle of the calculation earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from scratchgpt.errors import UserError
from scratchgpt.verify.answers import UNCLEAR, AnswerReader, Reading, final_answer
from scratchgpt.verify.dates import finders_for
from scratchgpt.verify.numerals import join_thousands, normalise
from scratchgpt.verify.quantities import asked_of, parse_quantity
from scratchgpt.verify.readers import (
    PARITY_OPPOSITES,
    Mention,
    choice_reader,
    closed_reader,
    endings_of,
    find_parities,
    find_times,
    find_weekdays,
    is_name,
    number_reader,
    options_of,
    settle_closed,
)
from scratchgpt.verify.words import (
    RIGHT,
    asks_order,
    join_lists,
    join_word_lists,
    list_finder,
    list_value,
    lone_finder,
    parts_of,
    word_finder,
)

_CLOSED_VALUES = {
    "yes": ("是", "是的", "对", "对的", "正确", "能", "会", "可以", "成立", "有", "真", "√", "yes", "true", "correct"),
    "no": (
        "否",
        "不是",
        "不对",
        "错",
        "错误",
        "不正确",
        "不能",
        "不会",
        "不可以",
        "不成立",
        "没有",
        "假",
        "×",
        "no",
        "false",
    ),
    "unknown": ("不能确定", "无法确定", "不确定", "不一定", "无法判断", "不能判断", "不知道", "unknown", "cannot tell"),
}


class Verifier(Protocol):
    """Anything that can say whether a response answers a task rightly."""

    def verify(self, task: Mapping[str, Any], response: str) -> bool:
        """Whether a response answers the task rightly.

        Args:
            task: a record with ``prompt`` and ``expected_answer``, perhaps ``keywords``.
            response: the answer as the model wrote it, without special tokens.

        Raises:
            UserError: if the task cannot be judged.
        """
        ...


def _field(task: Mapping[str, Any], name: str) -> str:
    value = task.get(name)
    if value is None or not str(value).strip():
        raise UserError(f"task without {name!r}: {dict(task)!r}; a task needs type, prompt and expected_answer")
    return str(value)


class MathVerifier:
    """Judges answers that are numbers, by exact value: 42, ４２, 42.0, 四十二 and 42个 are the same."""

    def verify(self, task: Mapping[str, Any], response: str) -> bool:
        """Whether the number ``response`` settles on equals ``task["expected_answer"]``.

        Raises:
            UserError: if the expected answer is missing or is not a number.
        """
        expected_text = _field(task, "expected_answer")
        prompt = normalise(str(task.get("prompt", "")))
        asked = asked_of(prompt, normalise(expected_text))
        expected = parse_quantity(expected_text, asked)
        if expected is None:
            question = str(task.get("prompt"))
            raise UserError(f"expected_answer {expected_text!r} is not a number, in the math task {question!r}")
        return final_answer(join_thousands(normalise(response)), number_reader(prompt, asked)) == expected


class LogicVerifier:
    """Judges answers that are words: weekdays, times, odd or even, yes or no, names, the task's own keywords."""

    def verify(self, task: Mapping[str, Any], response: str) -> bool:
        """Whether what ``response`` settles on means ``task["expected_answer"]`` or one of its ``keywords``.

        Raises:
            UserError: if the expected answer is missing.
        """
        expected = normalise(_field(task, "expected_answer"))
        prompt = normalise(str(task.get("prompt", "")))
        keywords = [normalise(str(word)) for word in task.get("keywords") or ()]
        kind = _kind_of(expected, keywords, prompt)
        answer = final_answer(kind.prepare(normalise(response)), kind.reader)
        return answer is not None and answer is not UNCLEAR and answer == kind.value


class _Kind(NamedTuple):
    """What kind of answer a task has.

    Attributes:
        reader: how such answers are read.
        value: the right one in the reader's terms.
        prepare: what is done to a normalised response before it is read.
    """

    reader: AnswerReader
    value: object
    prepare: Callable[[str], str] = str


def _kind_of(expected: str, keywords: list[str], prompt: str) -> _Kind:
    for find in (find_weekdays, find_times):
        value = _whole_value(find, expected)
        if value is not None:
            return _Kind(choice_reader(find, prompt), value)
    if re.fullmatch(r"[奇偶单双]数?", expected):
        return _Kind(choice_reader(find_parities, prompt, PARITY_OPPOSITES), find_parities(expected)[0].value)
    for value, words in _CLOSED_VALUES.items():
        if expected.casefold() in words:
            return _Kind(closed_reader(prompt), value, settle_closed)
    for find, prepare in finders_for(expected, prompt):
        values = {_whole_value(find, prepare(word)) for word in (expected, *keywords)}
        if len(values) == 1 and None not in values:
            return _Kind(choice_reader(find, prompt), values.pop(), prepare)
    asked = asked_of(prompt, expected)
    number = parse_quantity(expected, asked)
    if number is not None and not keywords:
        return _Kind(number_reader(prompt, asked), number, join_thousands)
    parts = parts_of(expected)
    return _list_kind(expected, parts, prompt) if parts and not keywords else _word_kind(expected, keywords, prompt)


def _whole_value(find: Callable[[str], list[Mention]], text: str) -> Reading:
    """What a text means that is one answer and nothing else; None otherwise."""
    match find(text):
        case [Mention(0, end, value)] if end == len(text):
            return value
    return None


def _list_kind(expected: str, parts: list[str], prompt: str) -> _Kind:
    options = {option for part in parts for option in options_of(part, prompt)}
    items, in_order = {*parts, *options}, asks_order(expected, prompt)
    return _Kind(
        choice_reader(list_finder(items, in_order), prompt),
        list_value(parts, in_order),
        lambda text: join_word_lists(join_lists(text, items), items),
    )


def _word_kind(expected: str, keywords: list[str], prompt: str) -> _Kind:
    right, options = {expected, *keywords}, options_of(expected, prompt)
    endings = endings_of(expected, prompt)
    find = word_finder(right | options, right, endings)
    if is_name(expected):  # 小梅>小东，小东>小宇 lists nobody: all who are asked about are known
        return _Kind(choice_reader(find, prompt), RIGHT)
    find = lone_finder(find)
    return _Kind(choice_reader(find, prompt), RIGHT, lambda text: join_word_lists(text, right | options))


_VERIFIERS: Mapping[str, type[MathVerifier] | type[LogicVerifier]] = {
    "math": MathVerifier,
    "logic": LogicVerifier,
}


def verifier_for(task: Mapping[str, Any]) -> Verifier:
    """The verifier for the task's ``type``.

    Raises:
        UserError: if there is none for that type.
    """
    kind = task.get("type")
    if kind not in _VERIFIERS:
        raise UserError(f"unknown task type {kind!r}; known types: {', '.join(_VERIFIERS)}")
    return _VERIFIERS[str(kind)]()


def complaint_about(task: Mapping[str, Any]) -> str | None:
    """What makes a task unanswerable, or None: its own expected answer must be right in the eyes of its verifier."""
    expected = task.get("expected_answer")
    try:
        if verifier_for(task).verify(task, str(expected)):
            return None
    except UserError as error:
        return str(error)
    return (
        f"no answer can be right: the verifier does not recognise expected_answer {expected!r} as an answer; "
        "write it as one number, word or time, and list other wordings in 'keywords'"
    )


def family_of(task: Mapping[str, Any]) -> str:
    """The family a task is counted under in reports: its ``family``, or its ``type`` for tasks that name none."""
    return str(task.get("family") or task.get("type") or "unknown")
