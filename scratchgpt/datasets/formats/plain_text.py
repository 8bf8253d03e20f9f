"""Dialogues in plain text: questions and answers, speakers in turn, and what messengers export (see ``messengers``).

    问：天为什么是蓝的？ 答：因为……        each question a dialogue
    用户：你好                             turns of one dialogue; a blank line and a further 用户 begin the next one
    助手：你好！
    2024-05-01 12:03 甲: 在吗              a dialogue ends with a long silence
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scratchgpt.datasets.formats.format import Record
from scratchgpt.datasets.formats.messengers import export_dialogues, is_export, who_answers

Located = tuple[int, Record]
"""The line where a record begins, and the record: ``question`` and ``answer``, or ``messages``."""

_QUESTION = r"问题|问|提问|Question|Q"
_ANSWER = r"回答|答案|答|Answer|A"
_USER = r"用户|顾客|客户|人类|User|Human|Customer"
_ASSISTANT = r"助手|助理|客服|机器人|Assistant|Bot|AI"
_NUMBER = r"[ \t]{0,5}\d{0,5}[ \t]{0,5}[：:]"


@dataclass(frozen=True)
class TextFormat:
    """A way in which plain text holds dialogues.

    Attributes:
        name: as people call it.
        looks_like: an example, for whoever has to write it.
        recognises: whether a text is one.
        records: the records of a text, each with its line.
        says: what a reader has to know of how it was read, or nothing.
    """

    name: str
    looks_like: str
    recognises: Callable[[str], bool]
    records: Callable[[str], Iterator[Located]]
    says: Callable[[str], str] = lambda text: ""


def line_ends(text: str) -> str:
    r"""The text with \n at the end of every line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


# -- questions and answers ------------------------------------------------------------------------------------
_FLAGS = re.IGNORECASE | re.MULTILINE
_QUESTION_BEGINS = re.compile(rf"^[ \t\u3000]*(?:{_QUESTION}){_NUMBER}", _FLAGS)
_ANSWER_BEGINS = re.compile(rf"(?:^|(?<=[\s。？！?!.]))[ \t\u3000]{{0,20}}(?:{_ANSWER}){_NUMBER}", _FLAGS)


def _is_questions(text: str) -> bool:
    return bool(_QUESTION_BEGINS.search(text) and _ANSWER_BEGINS.search(text))


def _questions(text: str) -> Iterator[Located]:
    starts = [*_QUESTION_BEGINS.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    line, counted = 1, 0
    for start, end in zip(starts, ends, strict=True):
        line, counted = line + text.count("\n", counted, start.start()), start.start()
        part = text[start.end() : end]
        answer = _ANSWER_BEGINS.search(part)
        question = part[: answer.start()] if answer else part
        yield line, {"question": question.strip(), "answer": part[answer.end() :].strip() if answer else ""}


# -- speakers in turn -----------------------------------------------------------------------------------------
_TURN_BEGINS = re.compile(rf"^[ \t\u3000]*(?:({_USER})|({_ASSISTANT}))[ \t]{{0,5}}[：:]", _FLAGS)


def _is_speakers(text: str) -> bool:
    begins = [match.lastindex for match in _TURN_BEGINS.finditer(text)]
    return 1 in begins and 2 in begins


def _speakers(text: str) -> Iterator[Located]:
    starts = [*_TURN_BEGINS.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    messages: list[dict[str, str]] = []
    line, counted, began = 1, 0, 1
    for start, end in zip(starts, ends, strict=True):
        line, counted = line + text.count("\n", counted, start.start()), start.start()
        role = "user" if start.lastindex == 1 else "assistant"
        if role == "user" and messages and _follows_blank_line(text, start.start()):
            yield began, {"messages": messages}
            messages = []
        if not messages:
            began = line
        messages.append({"role": role, "content": text[start.end() : end].strip()})
    if messages:
        yield began, {"messages": messages}


def _follows_blank_line(text: str, position: int) -> bool:
    before = text.rfind("\n", 0, max(position - 1, 0)) + 1
    return position > 0 and not text[before : position - 1].strip()


TEXTS = (
    TextFormat("messenger export", "2024-05-01 12:03 甲: 在吗", is_export, export_dialogues, who_answers),
    TextFormat("questions and answers in text", "问：… 答：… (or Q: … A: …)", _is_questions, _questions),
    TextFormat("speakers in text", "用户：… 助手：… (or User: … Assistant: …)", _is_speakers, _speakers),
)
"""Every format of plain text; the first that recognises a text reads it."""


def text_format_of(text: str) -> TextFormat | None:
    """The first of the formats that recognises a text, whose lines end with a line feed."""
    return next((one for one in TEXTS if one.recognises(text)), None)
