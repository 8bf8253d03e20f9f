"""What messengers export, as dialogues: lines of text, Telegram's JSON, and tables of WeChat messages.

    2024-05-01 12:03 甲: 在吗              most of them
    甲 2024/05/01 12:03                    copied from WeChat or QQ: what was said stands below
    在吗
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scratchgpt.datasets.formats.format import Record

SILENCE = timedelta(hours=1)
"""Longer than that between two messages, and they are of two dialogues."""
MOST_TURNS = 8
"""Of a dialogue from a messenger: what was said an hour ago is no context for a model that reads 256 tokens."""


@dataclass(frozen=True)
class Message:
    """What one person said.

    Attributes:
        place: the line where it stands, or the place of its row.
        when: it was sent; None if unknown.
        who: said it.
        said: the text; empty for a picture, a notice and whatever else nobody said.
    """

    place: int | str
    when: datetime | None
    who: str
    said: str


# -- messages -> dialogues ------------------------------------------------------------------------------------
def dialogues_of(messages: Iterable[Message], answering: str) -> Iterator[tuple[Message, Record]]:
    """Dialogues of a talk, each with its first message.

    Everybody but the one who answers is the user; a dialogue begins with the user, ends with an answer, and is cut at a
    long silence.

    Args:
        messages: in order.
        answering: who is the assistant.
    """
    turns: list[dict[str, str]] = []
    first: Message | None = None
    last: datetime | None = None
    for message in messages:
        role = "assistant" if message.who == answering else "user"
        paused = last is not None and message.when is not None and abs(message.when - last) > SILENCE
        begins = role == "user" and turns and turns[-1]["role"] == "assistant" and len(turns) >= MOST_TURNS
        if first and (paused or begins):
            yield from _answered_part(first, turns)
            turns, first = [], None
        last = message.when or last
        if not message.said or (not turns and role == "assistant"):
            continue  # nobody asked: a model cannot learn when to speak up by itself
        first = first or message
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n" + message.said
        else:
            turns.append({"role": role, "content": message.said})
    if first:
        yield from _answered_part(first, turns)


def _answered_part(first: Message, turns: list[dict[str, str]]) -> Iterator[tuple[Message, Record]]:
    answered = turns[:-1] if turns and turns[-1]["role"] == "user" else turns
    if answered:
        yield first, {"messages": answered}


def _speakers(messages: Iterable[Message]) -> list[str]:
    """Whoever said something, in order."""
    return list(dict.fromkeys(message.who for message in messages if message.said))


_UNSPOKEN = re.compile(
    r"<[^<>\n]{0,40}omitted>|(?:image|video|audio|sticker|GIF|document|contact card) omitted"
    r"|\[(?:图片|表情|动画表情|语音|视频|文件|链接|位置|红包|转账|语音通话|视频通话)[^\[\]\n]{0,40}\]"
    r"|(?:You deleted this message|This message was deleted)\.?|[^\n]{0,40}撤回了一条消息",
    re.IGNORECASE,
)
"""What stands in an export where a picture was, or a message that was taken back."""
_NOTICE = "\u200e"
"""WhatsApp puts this invisible mark before whatever is its own and nobody's words."""


def _spoken(said: str) -> str:
    """What somebody really said; empty for what stands in place of a picture or is a notice of the messenger."""
    said = said.strip()
    return "" if said.startswith(_NOTICE) or _UNSPOKEN.fullmatch(said) else said


# -- lines of text --------------------------------------------------------------------------------------------
_DATE = r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})"
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[APap][Mm])?"
_TIME_FIRST = re.compile(
    rf"^{_NOTICE}?\[?(?P<date>{_DATE})[,，]?[T \t]+(?P<time>{_TIME})\]?(?:[ \t]+-)?[ \t]+"
    r"(?:(?P<who>[^\n:：]{1,40}?)[ \t]*[:：][ \t]?(?P<said>[^\n]*)|(?P<alone>[^\n]{1,200})$)",
    re.MULTILINE,
)
"""One message: date, time, name, and what was said behind a colon or, as QQ and WeChat have it, in the lines below.

What has no colon and nothing below is a notice: somebody has joined.
"""
_NAME_FIRST = re.compile(
    rf"^(?P<alone>[^\n:：]{{1,40}}?)[ \t]{{1,9}}(?P<date>{_DATE})[ \t]{{1,9}}(?P<time>{_TIME})[ \t]*$"
    r"(?P<who>)(?P<said>)",
    re.MULTILINE,
)
"""The same, copied from WeChat: name, date, time, and what was said in the lines below."""


def _messages(pattern: re.Pattern[str], text: str) -> list[Message]:
    starts = [*pattern.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    found = []
    line, counted = 1, 0
    for start, end in zip(starts, ends, strict=True):
        line, counted = line + text.count("\n", counted, start.start()), start.start()
        said = (start["said"] or "") + text[start.end() : end]
        who = (start["who"] or start["alone"]).strip()
        found.append(Message(line, _moment(start["date"], start["time"]), who, _spoken(said)))
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


def _pattern_of(text: str) -> re.Pattern[str] | None:
    """In which way a text is an export: two people talk, the first of them at the very beginning or nearly there."""
    for pattern in (_TIME_FIRST, _NAME_FIRST):
        first = pattern.search(text)
        if first is not None and text.count("\n", 0, first.start()) < 10:
            return pattern if len(_speakers(_messages(pattern, text[:20_000]))) > 1 else None
    return None


def is_export(text: str) -> bool:
    """Whether a text is what a messenger exports."""
    return _pattern_of(text) is not None


def _talk(text: str) -> list[Message]:
    return _messages(_pattern_of(text) or _TIME_FIRST, text)


def speakers_of(text: str) -> tuple[str, str]:
    """Who asks in a messenger's export and who answers: the first two to say something, in that order."""
    asking, answering, *_ = _speakers(_talk(text))
    return asking, answering


def export_dialogues(text: str) -> Iterator[tuple[int, Record]]:
    """The dialogues of a messenger's export, each with its line."""
    for first, record in dialogues_of(_talk(text), speakers_of(text)[1]):
        yield int(first.place), record


def who_answers(text: str) -> str:
    """In words, for whoever wonders which side a model will take."""
    asking, answering = speakers_of(text)
    return f"{answering} is the assistant, who answers {asking} and all others"


# -- rows -----------------------------------------------------------------------------------------------------
PlacedRow = tuple[str, Any]
"""Where a row stands, and what stands there."""


@dataclass(frozen=True)
class MessageRows:
    """A way in which rows of a file are messages of a talk, or whole talks.

    Attributes:
        name: as people call it.
        says: what a reader has to know of how it is read.
        recognises: whether the first row of a file is of that kind.
        dialogues: of all rows, each with its place.
    """

    name: str
    says: str
    recognises: Callable[[Any], bool]
    dialogues: Callable[[Iterable[PlacedRow]], Iterator[tuple[str, Record]]]


def _chats(row: Any) -> list[Any]:
    """The chats of a Telegram export: of the whole account, or the one that a row is."""
    chats = row.get("chats") if isinstance(row, Mapping) else None
    listed = chats.get("list") if isinstance(chats, Mapping) else None
    found = listed if isinstance(listed, list) else [row]
    return [chat for chat in found if isinstance(chat, Mapping) and isinstance(chat.get("messages"), list)]


def _is_telegram(row: Any) -> bool:
    return any(
        isinstance(message, Mapping) and {"type", "date", "text"} <= message.keys() and "role" not in message
        for chat in _chats(row)
        for message in chat["messages"][:1]
    )


def _telegram_messages(chat: Mapping[str, Any]) -> list[Message]:
    found = []
    for sent in chat["messages"]:
        if not isinstance(sent, Mapping):
            continue
        parts = sent.get("text") if isinstance(sent.get("text"), list) else [sent.get("text")]
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts or []]
        said = "".join(text for text in texts if isinstance(text, str))
        when = None
        with contextlib.suppress(ValueError):
            when = datetime.fromisoformat(str(sent.get("date")))
        who = str(sent.get("from_id") or sent.get("from"))
        found.append(Message(f"message {sent.get('id')}", when, who, _spoken(said)))
    return found


def _telegram_dialogues(rows: Iterable[PlacedRow]) -> Iterator[tuple[str, Record]]:
    for _, row in rows:
        for chat in _chats(row):
            talk = _telegram_messages(chat)
            speakers, partner = _speakers(talk), f"user{chat.get('id')}"
            mine = [who for who in speakers if who != partner] if partner in speakers else speakers[1:]
            for answering in mine[:1]:
                yield from ((str(first.place), record) for first, record in dialogues_of(talk, answering))


def _is_wechat_table(row: Any) -> bool:
    if not isinstance(row, Mapping):
        return False
    return {"is_sender", "createtime"} <= row.keys() and ("msg" in row or "content" in row)


def _wechat_message(place: str, row: Mapping[str, Any]) -> Message:
    said = str(row.get("msg") or row.get("content") or "")
    with contextlib.suppress(ValueError, RecursionError):
        inside = json.loads(said)
        said = str(inside.get("msg", "")) if isinstance(inside, dict) else said
    spoken = _spoken(said) if row.get("type_name", "文本") in ("文本", "text") else ""
    when = None
    with contextlib.suppress(ValueError):
        when = datetime.fromisoformat(str(row["createtime"]).strip())
    return Message(place, when, "1" if str(row["is_sender"]).strip() == "1" else "0", spoken)


def _wechat_dialogues(rows: Iterable[PlacedRow]) -> Iterator[tuple[str, Record]]:
    chats: dict[str, list[Message]] = {}
    for place, row in rows:
        chats.setdefault(str(row.get("room_name", "")), []).append(_wechat_message(place, row))
    for talk in chats.values():
        yield from ((str(first.place), record) for first, record in dialogues_of(talk, "1"))


ROWS = (
    MessageRows(
        "Telegram export",
        "whose account it is is the assistant, in a group the second to speak",
        _is_telegram,
        _telegram_dialogues,
    ),
    MessageRows(
        "WeChat table (is_sender, content, CreateTime)",
        "who has is_sender 1 is the assistant",
        _is_wechat_table,
        _wechat_dialogues,
    ),
)
"""Every way in which rows are messages; the first that recognises the first row of a file reads it."""


def message_rows_of(row: Any) -> MessageRows | None:
    """The way in which a file's rows are messages, by the first of them; None if they are not."""
    return next((one for one in ROWS if one.recognises(row)), None)
