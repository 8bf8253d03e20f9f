"""Dialogues in plain text: questions and answers, speakers in turn, and what messengers export.

    问：天为什么是蓝的？ 答：因为……        each question a dialogue
    用户：你好                             turns of one dialogue; a blank line and a further 用户 begin the next one
    助手：你好！
    2024-05-01 12:03 甲: 在吗              a dialogue ends with a long silence
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from scratchgpt.datasets.formats.format import Record

Located = tuple[int, Record]
"""The line where a record begins, and the record: ``question`` and ``answer``, or ``messages``."""

SILENCE = timedelta(hours=1)
"""Longer than that between two messages, and they are of two dialogues."""
MOST_TURNS = 8
"""Of a dialogue from a messenger: what was said an hour ago is no context for a model that reads 256 tokens."""

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


# -- messengers -----------------------------------------------------------------------------------------------
_DATE = r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})"
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[APap][Mm])?"
_MESSAGE = re.compile(
    rf"^\[?(?P<date>{_DATE})[,，]?[T \t]+(?P<time>{_TIME})\]?(?:[ \t]+-)?[ \t]+(?P<who>[^\n:：]{{1,40}}?)[ \t]*"
    r"(?:[:：][ \t]?(?P<said>[^\n]*)|(?P<below>)$)",
    re.MULTILINE,
)
"""One message: date, time, name, and what was said behind a colon or, as QQ and WeChat have it, in the lines below."""


@dataclass(frozen=True)
class _Message:
    line: int
    when: datetime | None
    who: str
    said: str


def _messages(text: str) -> list[_Message]:
    starts = [*_MESSAGE.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    found = []
    line, counted = 1, 0
    for start, end in zip(starts, ends, strict=True):
        line, counted = line + text.count("\n", counted, start.start()), start.start()
        said = (start["said"] or "") + text[start.end() : end]
        found.append(_Message(line, _moment(start["date"], start["time"]), start["who"].strip(), said.strip()))
    return found


def _moment(date: str, time: str) -> datetime | None:
    """When a message was sent; None where the date is in an order that cannot be right."""
    numbers = [int(part) for part in re.findall(r"\d+", date)]
    year, month, day = numbers if len(str(numbers[0])) == 4 else (numbers[2], numbers[1], numbers[0])
    if month > 12:  # 5/31/24 is American
        month, day = day, month
    hour, minute = (int(part) for part in re.findall(r"\d+", time)[:2])
    if time.lower().endswith("pm") and hour < 12:
        hour += 12
    try:
        return datetime(year if year > 99 else 2000 + year, month, day, hour, minute)
    except ValueError:
        return None


def _is_export(text: str) -> bool:
    """Two lines of it at least, by two people, and the first of them at the very beginning or nearly there."""
    found = [start["who"].strip() for start in _MESSAGE.finditer(text[:20_000])]
    first = _MESSAGE.search(text)
    return len(set(found)) > 1 and first is not None and text.count("\n", 0, first.start()) < 10


def speakers_of(text: str) -> tuple[str, str]:
    """Who asks in a messenger's export and who answers: the first two to say something, in that order."""
    names = list(dict.fromkeys(message.who for message in _messages(text)))
    return names[0], names[1]


def _export(text: str) -> Iterator[Located]:
    """Everybody but the one who answers is the user; a dialogue begins with the user and ends with an answer."""
    _, answering = speakers_of(text)
    turns: list[dict[str, str]] = []
    began, last = 1, None
    for message in _messages(text):
        role = "assistant" if message.who == answering else "user"
        paused = last is not None and message.when is not None and abs(message.when - last) > SILENCE
        begins = role == "user" and turns and turns[-1]["role"] == "assistant" and len(turns) >= MOST_TURNS
        if turns and (paused or begins):
            yield from _answered_part(began, turns)
            turns = []
        last = message.when or last
        if not message.said or (not turns and role == "assistant"):
            continue  # nobody asked: a model cannot learn when to speak up by itself
        if not turns:
            began = message.line
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n" + message.said
        else:
            turns.append({"role": role, "content": message.said})
    yield from _answered_part(began, turns)


def _answered_part(line: int, turns: list[dict[str, str]]) -> Iterator[Located]:
    answered = turns[:-1] if turns and turns[-1]["role"] == "user" else turns
    if answered:
        yield line, {"messages": answered}


def _who_answers(text: str) -> str:
    asking, answering = speakers_of(text)
    return f"{answering} is the assistant, who answers {asking} and all others"


TEXTS = (
    TextFormat("messenger export", "2024-05-01 12:03 甲: 在吗", _is_export, _export, _who_answers),
    TextFormat("questions and answers in text", "问：… 答：… (or Q: … A: …)", _is_questions, _questions),
    TextFormat("speakers in text", "用户：… 助手：… (or User: … Assistant: …)", _is_speakers, _speakers),
)
"""Every format of plain text; the first that recognises a text reads it."""


def text_format_of(text: str) -> TextFormat | None:
    """The first of the formats that recognises a text, whose lines end with a line feed."""
    return next((one for one in TEXTS if one.recognises(text)), None)
