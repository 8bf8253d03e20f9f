"""Verifiers: is a response to a task right, judged as a careful teacher would, without a model.

They give the reward of the last stage (reinforcement learning from verifiable rewards, Lambert et al. 2024, "Tulu 3",
section 6), so they must be hard to please by anything but the answer: naming every option, hedging, or stopping in
the middle of the calculation earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from scratchgpt.errors import UserError
from scratchgpt.verify.answers import UNCLEAR, AnswerReader, final_answer
from scratchgpt.verify.numerals import normalise, parse_number
from scratchgpt.verify.readers import (
    PARITY_OPPOSITES,
    choice_reader,
    closed_reader,
    endings_of,
    find_parities,
    find_times,
    find_weekdays,
    number_reader,
    options_of,
    pattern_finder,
    settle_either,
)

_CLOSED_VALUES = {
    "yes": ("是", "是的", "对", "对的", "正确", "能", "会", "可以", "成立"),
    "no": ("否", "不是", "不对", "错", "错误", "不正确", "不能", "不会", "不可以", "不成立"),
    "unknown": ("不能确定", "无法确定", "不确定", "不一定", "无法判断", "不能判断", "不知道"),
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
        expected = parse_number(expected_text)
        if expected is None:
            question = str(task.get("prompt"))
            raise UserError(f"expected_answer {expected_text!r} is not a number, in the math task {question!r}")
        reader = number_reader(normalise(str(task.get("prompt", ""))))
        return final_answer(normalise(response), reader) == expected


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
        text = normalise(response)
        reader, value = self._reader(expected, keywords, prompt)
        if reader.denial:
            text = settle_either(text)
        answer = final_answer(text, reader)
        return answer is not None and answer is not UNCLEAR and answer == value

    @staticmethod
    def _reader(expected: str, keywords: list[str], prompt: str) -> tuple[AnswerReader, object]:
        """The reader that fits the expected answer, and that answer's value in the reader's terms."""
        for find in (find_weekdays, find_times):
            found = find(expected)
            if len(found) == 1 and (found[0].start, found[0].end) == (0, len(expected)):
                return choice_reader(find, prompt), found[0].value
        if re.fullmatch(r"[奇偶单双]数?", expected):
            return choice_reader(find_parities, prompt, PARITY_OPPOSITES), find_parities(expected)[0].value
        for value, words in _CLOSED_VALUES.items():
            if expected in words:
                return closed_reader(prompt), value
        number = parse_number(expected)
        if number is not None and not keywords:
            return number_reader(prompt), number
        right = {expected, *keywords}
        candidates = sorted(right | options_of(expected, prompt), key=len, reverse=True)
        endings = "|".join(map(re.escape, endings_of(expected, prompt)))
        pattern = re.compile(f"({'|'.join(map(re.escape, candidates))})(?:{endings})?")
        find_words = pattern_finder(pattern, lambda match: expected if match[1] in right else match[1])
        return choice_reader(find_words, prompt), expected


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
