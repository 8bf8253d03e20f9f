"""Turns under other names, and the fields that formats share."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scratchgpt.datasets.formats.format import (
    NOT_TEXT,
    MalformedRecordError,
    UnusableRecordError,
    answer_field,
    format_of,
    history_field,
    joined,
    names_of_turns,
    needs_more_than_text,
    optional_text,
    plain_messages,
    text_field,
    turns_field,
    with_system,
)
from scratchgpt.datasets.formats.pairs import PAIRS


def test_tools_are_shown_as_what_they_are() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "北京"}'}}
    turns = [
        {"role": "developer", "content": "短些"},
        {"role": "user", "content": "天气？"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "晴", "tool_call_id": "1"},
        {"role": "tool", "content": [{"type": "text", "text": "12度"}], "tool_call_id": "2"},
        {"role": "assistant", "content": "晴，12度。"},
    ]
    assert plain_messages(turns, "role", "content") == [
        {"role": "system", "content": "短些"},
        {"role": "user", "content": "天气？"},
        {"role": "assistant", "content": '<tool_call>\n{"name": "weather", "arguments": {"city": "北京"}}\n</tool_call>'},
        {
            "role": "user",
            "content": "<tool_response>\n晴\n</tool_response>\n<tool_response>\n12度\n</tool_response>",
        },
        {"role": "assistant", "content": "晴，12度。"},
    ]


def test_a_call_of_sharegpt_belongs_to_the_turn_before_it() -> None:
    turns = [
        {"from": "human", "value": "天气？"},
        {"from": "gpt", "value": "我看看。"},
        {"from": "function_call", "value": '{"name": "w"}'},
        {"from": "observation", "value": "晴"},
        {"from": "gpt", "value": "晴。"},
    ]
    roles = [(m["role"], m["content"]) for m in plain_messages(turns, "from", "value")]
    assert roles[1] == ("assistant", '我看看。\n<tool_call>\n{"name": "w"}\n</tool_call>')
    assert [role for role, _ in roles] == ["user", "assistant", "user", "assistant"]


def test_a_weight_of_zero_is_kept() -> None:
    turns = [{"role": "assistant", "content": "a", "weight": w} for w in (0, 1, None)]
    assert [message.get("weight") for message in plain_messages(turns, "role", "content")] == [0, None, None]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (5, "must be a list"),
        (["a"], "turn 1 is no object"),
        ([{"role": "user", "content": "a"}, {"role": "user"}], "turn 2 has no 'content'"),
        ([{"content": "a"}], "turn 1 has no 'role'"),
        ([{"role": "narrator", "content": "a"}], "turn 1 is of 'narrator', which is none of system"),
        ([{"role": "user", "content": 5}], "what turn 1 says must be text"),
        ([{"role": "user", "content": [{"type": "refusal"}]}], "a part of type 'refusal'"),
        ([{"role": "assistant", "content": "", "weight": 2}], "weight of turn 1 must be 0 or 1"),
        ([{"role": "assistant", "content": "", "tool_calls": "x"}], "'tool_calls' of turn 1 must be a list"),
    ],
)
def test_wrong_turns_are_named_by_their_number(turns: Any, message: str) -> None:
    with pytest.raises(MalformedRecordError, match=message):
        plain_messages(turns, "role", "content")


@pytest.mark.parametrize("kind", ["image_url", "image", "input_audio", "video"])
def test_a_turn_with_a_picture_or_a_sound_makes_its_record_unusable(kind: str) -> None:
    parts = [{"type": kind, kind: "1.bin"}, {"type": "text", "text": "这是什么？"}]
    with pytest.raises(UnusableRecordError, match=NOT_TEXT):
        plain_messages([{"role": "user", "content": parts}], "role", "content")


def test_a_record_that_comes_with_a_picture_needs_more_than_text() -> None:
    assert needs_more_than_text({"images": ["1.jpg"]}) == needs_more_than_text({"audio": "1.wav"}) == NOT_TEXT
    assert needs_more_than_text({"images": [], "video": None, "image": ""}) is None


def test_what_is_asked_of_a_tool_may_stand_with_its_answer() -> None:
    turn = {"role": "tool", "name": "clock", "parameters": {"zone": "东八区"}, "observation": {"now": "八点"}}
    turns = [{"role": "user", "content": "几点了？"}, turn, {"role": "assistant", "content": "八点。"}]
    assert [message["content"] for message in plain_messages(turns, "role", "content")] == [
        "几点了？",
        '<tool_call>\n{"name": "clock", "arguments": {"zone": "东八区"}}\n</tool_call>',
        '<tool_response>\n{"now": "八点"}\n</tool_response>',
        "八点。",
    ]


def test_fields() -> None:
    assert text_field({"a": 5}, "a") == "5" and optional_text({"a": None}, "a") == "" == optional_text({}, "a")
    assert joined("a", " ", "b") == "a\nb"
    for record in ({}, {"a": True}, {"a": []}):
        with pytest.raises(MalformedRecordError, match="'a'"):
            text_field(record, "a")
    assert names_of_turns([{"from": "x"}]) == ("from", "value") and names_of_turns([]) == ("role", "content")
    user = {"role": "user", "content": "问"}
    assert turns_field({"p": "问"}, "p") == turns_field({"p": [user]}, "p") == [user]
    answer = {"role": "assistant", "content": "答"}
    assert answer_field({"c": "答"}, "c") == answer_field({"c": answer}, "c") == answer_field({"c": [answer]}, "c") == "答"
    with pytest.raises(MalformedRecordError, match="'c' must be one turn of the assistant"):
        answer_field({"c": [user]}, "c")
    assert history_field({"history": [["a", "b"]]}) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    for history in ("x", [["a"]], [[1, 2]]):
        with pytest.raises(MalformedRecordError, match="'history' must be a list of"):
            history_field({"history": history})


def test_system_text_and_tools_of_the_record_join_the_system_turn() -> None:
    user = {"role": "user", "content": "问"}
    assert with_system([user], {}) == with_system([user], {"system": None, "tools": "[]"}) == [user]
    assert with_system([user], {"system": "短", "tools": [{"name": "w"}]}) == [
        {"role": "system", "content": '短\n<tools>\n[{"name": "w"}]\n</tools>'},
        user,
    ]
    system = {"role": "system", "content": "甲"}
    assert with_system([system, user], {"system": "乙"}) == [{"role": "system", "content": "甲\n乙"}, user]


def test_no_two_formats_have_one_name() -> None:
    assert len({one.name for one in PAIRS}) == len(PAIRS) and sum(one.own for one in PAIRS) == 1
    assert format_of({"x": 1}, PAIRS) is None and re.match("prompt", format_of({"chosen": "a"}, PAIRS).name)
