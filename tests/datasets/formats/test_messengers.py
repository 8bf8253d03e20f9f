"""What messengers export becomes dialogues: lines of text, Telegram's JSON, tables of WeChat messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from scratchgpt.datasets.formats.format import Record
from scratchgpt.datasets.formats.messengers import (
    MOST_TURNS,
    export_dialogues,
    is_export,
    message_rows_of,
    speakers_of,
    who_answers,
)


def short(found: Iterable[tuple[Any, Record]]) -> list[tuple[Any, list[str]]]:
    """The place of each dialogue, and its turns as "u:…" and "a:…"."""
    return [(place, [f"{turn['role'][0]}:{turn['content']}" for turn in record["messages"]]) for place, record in found]


def read(text: str) -> list[tuple[Any, list[str]]]:
    assert is_export(text)
    return short(export_dialogues(text))


def test_an_export_is_cut_at_a_long_silence() -> None:
    text = (
        "2024-05-01 12:03 甲: 在吗\n2024-05-01 12:04 乙: 在的\n2024-05-01 12:05 甲: 吃什么？\n一起？\n"
        "2024-05-01 12:06 乙: 火锅\n2024-05-01 20:06 乙: 到家了吗\n2024-05-01 20:07 甲: 到了\n2024-05-01 20:08 乙: 好\n"
        "2024-05-01 20:09 甲: 晚安\n"
    )
    assert read(text) == [(1, ["u:在吗", "a:在的", "u:吃什么？\n一起？", "a:火锅"]), (7, ["u:到了", "a:好"])]
    assert speakers_of(text) == ("甲", "乙")
    assert who_answers(text) == "乙 is the assistant, who answers 甲 and all others"


@pytest.mark.parametrize(
    "lines",
    [
        ["[2024-05-01 12:03:11] 甲: 在吗", "[2024-05-01 12:03:40] 乙: 在"],
        ["2024/5/1 12:03 甲：在吗", "2024/5/1 12:04 乙：在"],
        ["5/1/24, 12:03 PM - 甲: 在吗", "5/1/24, 12:04 PM - 乙: 在"],
        ["[01/05/24, 12:03:22] 甲: 在吗", "[01/05/24, 12:04:22] 乙: 在"],
        ["2024-05-01 12:03:11 甲", "在吗", "", "2024-05-01 12:03:40 乙", "在", ""],
        ["2024-05-01 12:03:11 甲(10001)", "在吗", "", "2024-05-01 12:03:40 乙<b@example.com>", "在", ""],
        ["甲 2024/05/01 12:03 PM", "在吗", "", "乙 2024/05/01 12:04 PM", "在", ""],
    ],
)
def test_lines_of_several_messengers(lines: list[str]) -> None:
    assert read("\n".join(lines)) == [(1, ["u:在吗", "a:在"])]


def test_what_one_says_in_several_messages_is_one_turn_and_a_long_talk_is_cut() -> None:
    lines = [f"2024-05-01 12:{i // 2:02} {'甲乙'[i // 2 % 2]}: {i}" for i in range(4 * MOST_TURNS)]
    found = read("\n".join(lines))
    assert found[0][1][:2] == ["u:0\n1", "a:2\n3"]
    assert [len(turns) for _, turns in found] == [MOST_TURNS, MOST_TURNS]


@pytest.mark.parametrize(
    "unspoken",
    ["<Media omitted>", "image omitted", "[图片]", "[动画表情]", "[文件: 一.pdf]", "你撤回了一条消息", "You deleted this message.", "\u200e乙 joined"],
)
def test_what_stands_for_a_picture_and_what_was_taken_back_is_not_said(unspoken: str) -> None:
    said = [("甲", "在吗"), ("甲", unspoken), ("乙", "在"), ("乙", unspoken)]
    text = "\n".join(f"2024-05-01 12:0{minute} {who}: {words}" for minute, (who, words) in enumerate(said))
    assert read(text) == [(1, ["u:在吗", "a:在"])]
    assert read(text.replace(unspoken, "看[图片]")) == [(1, ["u:在吗\n看[图片]", "a:在\n看[图片]"])]


def test_notices_belong_to_nobody() -> None:
    notice = "Messages and calls are end-to-end encrypted. Nobody outside of this chat can read them."
    text = (
        f"01/05/2024, 12:01 - {notice}\n01/05/2024, 12:02 - 甲 joined\n01/05/2024, 12:03 - 甲: 在吗\n"
        f"\u200e[01/05/2024, 12:03:30] 甲: \u200eimage omitted\n01/05/2024, 12:04 - {notice}\n01/05/2024, 12:05 - 乙: 在\n"
    )
    assert read(text) == [(3, ["u:在吗", "a:在"])] and speakers_of(text) == ("甲", "乙")


def test_a_log_of_a_program_is_no_talk() -> None:
    assert not is_export("2024-05-01 12:03:11 started\n2024-05-01 12:03:12 stopped\n2024-05-01 12:03:13 started again\n")
    assert not is_export("甲 2024/05/01 12:03 PM\n在吗\n") and not is_export("从前有座山。")


def sent(number: int, who: str, text: Any, minute: int, **fields: Any) -> dict[str, Any]:
    """A message as Telegram writes it."""
    date = f"2024-05-01T12:{minute:02}:00"
    return {"id": number, "type": "message", "date": date, "from": who, "from_id": who, "text": text} | fields


TALK = [
    {"id": 1, "type": "service", "date": "2024-05-01T12:00:00", "action": "phone_call", "text": ""},
    sent(2, "user9", "早", 1),
    sent(3, "user7", ["看 ", {"type": "link", "text": "example.com"}], 2),
    sent(4, "user7", "", 3, media_type="sticker"),
    sent(5, "user9", "好", 4),
]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"name": "甲", "type": "personal_chat", "id": 7, "messages": TALK}, [("message 3", ["u:看 example.com", "a:好"])]),
        ({"name": "甲", "type": "personal_chat", "id": 9, "messages": TALK}, [("message 2", ["u:早", "a:看 example.com"])]),
        ({"name": "群", "type": "private_group", "id": 5, "messages": TALK}, [("message 2", ["u:早", "a:看 example.com"])]),
        ({"name": "空", "type": "personal_chat", "id": 7, "messages": TALK[:1]}, []),
        (
            {"about": "", "chats": {"list": [{"type": "personal_chat", "id": 7, "messages": TALK}, {"id": 1}]}},
            [("message 3", ["u:看 example.com", "a:好"])],
        ),
    ],
)
def test_telegram(row: dict, expected: list) -> None:
    found = message_rows_of(row)
    assert found is not None and found.name == "Telegram export"
    assert short(found.dialogues([("line 1", row)])) == expected


def test_a_table_of_wechat_messages() -> None:
    said = [("0", "文本", "在吗"), ("0", "图片", "图片"), ("1", "文本", '{"src": "", "msg": "在"}'), ("0", "文本", "[图片]")]
    rows = [
        {"is_sender": mine, "type_name": kind, "room_name": room, "content": words, "createtime": f"2024-05-01 12:0{minute}:00"}
        for minute, (mine, kind, words) in enumerate(said)
        for room in "甲乙"
    ]
    found = message_rows_of(rows[0])
    assert found is not None and found.name.startswith("WeChat table")
    placed = [(f"line {line}", row) for line, row in enumerate(rows, 2)]
    assert short(found.dialogues(placed)) == [("line 2", ["u:在吗", "a:在"]), ("line 3", ["u:在吗", "a:在"])]
    late = [placed[0], ("line 9", rows[4] | {"createtime": "2024-05-01 18:00:00"})]
    assert short(found.dialogues(late)) == []


def test_rows_that_are_no_messages() -> None:
    for row in (None, [], {}, {"messages": [{"role": "user", "content": "问"}]}, {"messages": []}, {"content": "一"}):
        assert message_rows_of(row) is None
