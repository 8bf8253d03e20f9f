"""Each format of dialogues is recognised, and becomes messages."""

from __future__ import annotations

from typing import Any

import pytest

from scratchgpt.datasets.formats.dialogues import DIALOGUES, unfit_dialogue
from scratchgpt.datasets.formats.format import MalformedRecordError, format_of
from tests.tiny import dialogue

ONE = dialogue("问", "答")
FIREFLY = "conversation of questions with answers (Firefly, XTuner)"
TREE = "message tree (OpenAssistant)"


def message(role: str, text: str, *replies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message of a tree, as OpenAssistant writes it."""
    return {"text": text, "role": role, "replies": list(replies), **fields}


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("messages", ONE | {"weight": 3, "id": 5}, ONE | {"weight": 3, "id": 5}),
    (
        "messages",
        {"messages": [ONE["messages"][0], ONE["messages"][1] | {"weight": 0}]},
        {"messages": [ONE["messages"][0], ONE["messages"][1] | {"weight": 0}]},
    ),
    ("ShareGPT", {"conversations": [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]}, ONE),
    ("ShareGPT", {"id": "x", "conversation": [{"from": "user", "value": "问"}, {"from": "bot", "value": "答"}]}, ONE),
    ("conversations of roles (minimind)", {"conversations": ONE["messages"]}, ONE),
    ("Alpaca", {"instruction": "问", "input": "", "output": "答"}, ONE),
    ("Alpaca", {"instruction": "问", "context": "", "response": "答", "category": "x"}, ONE),
    ("Alpaca", {"instruction": "翻译", "input": "猫", "output": "cat"}, dialogue("翻译\n猫", "cat")),
    (
        "Alpaca",
        {"instruction": "二", "output": "2", "history": [["一", "1"]], "system": "数"},
        {
            "messages": [
                {"role": "system", "content": "数"},
                *dialogue("一", "1")["messages"],
                *dialogue("二", "2")["messages"],
            ]
        },
    ),
    (FIREFLY, {"conversation_id": 1, "conversation": [{"human": "问", "assistant": "答"}], "dataset": "x"}, ONE),
    (
        FIREFLY,
        {"conversation": [{"system": "数", "input": "一", "output": "1"}, {"input": "二", "output": "2"}]},
        {
            "messages": [
                {"role": "system", "content": "数"},
                *dialogue("一", "1")["messages"],
                *dialogue("二", "2")["messages"],
            ]
        },
    ),
    (
        TREE,
        {"prompt": message("prompter", "问", message("assistant", "坏", rank=1), message("assistant", "答", rank=0))},
        ONE,
    ),
    (
        TREE,
        message(
            "prompter",
            "一",
            message("assistant", "0", rank=0, deleted=True),
            message("assistant", "无名次", rank=None),
            message("assistant", "1", message("prompter", "二", message("assistant", "2")), rank=2),
        ),
        {"messages": [*dialogue("一", "1")["messages"], *dialogue("二", "2")["messages"]]},
    ),
    (TREE, message("prompter", "问", message("assistant", "答", message("prompter", "还有呢？"))), ONE),
    (TREE, message("prompter", "问"), {"messages": ONE["messages"][:1]}),
    (
        "question and answer",
        {"history": [["一", "1"]], "query": "二", "response": "2"},
        {"messages": [*dialogue("一", "1")["messages"], *dialogue("二", "2")["messages"]]},
    ),
    ("question and answer", {"prompt": "问", "completion": "答"}, ONE),
    ("question and answer", {"prompt": ONE["messages"][:1], "completion": ONE["messages"][1:]}, ONE),
    ("question and answer", {"query": "问", "response": "答"}, ONE),
    ("question and answer", {"input": ONE["messages"][:1], "ideal": ["答", "是答"]}, ONE),
    ("question and answer", {"id": 3, "question": "问", "answer": "答"}, ONE),
    ("question and answer", {"问题": "问", "答案": "答"}, ONE),
    ("question and answer", {"问题": "问", "回答": "答"}, ONE),
]


@pytest.mark.parametrize(("name", "record", "expected"), CASES)
def test_a_format_is_recognised_and_converted(name: str, record: dict, expected: dict) -> None:
    found = format_of(record, DIALOGUES)
    assert found is not None and found.name == name
    assert found.convert(record) == expected


def test_a_record_of_our_own_stays_the_very_same() -> None:
    record = ONE | {"messages": [*ONE["messages"], {"role": "user", "content": "", "name": "甲"}]}
    assert DIALOGUES[0].convert(record) is record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"conversations": [{"from": "human"}]}, "turn 1 has no 'value'"),
        ({"conversations": [{"value": "x"}]}, "turn 1 has no 'from'"),
        ({"conversation": [{"human": "问", "assistant": "答"}, {"human": "问"}]}, "turn 2 is no question with its"),
        ({"instruction": "问"}, "no field 'output'"),
        ({"instruction": "问", "input": [], "output": "x"}, "'input' must be text"),
        ({"prompt": "问"}, "no field 'completion'"),
        ({"问题": "问"}, "no field '回答'"),
    ],
)
def test_a_missing_field_of_a_known_format_is_named(record: dict, message: str) -> None:
    found = format_of(record, DIALOGUES)
    assert found is not None
    with pytest.raises(MalformedRecordError, match=message):
        found.convert(record)


def test_a_bad_answer_and_one_about_a_picture_must_not_be_learned() -> None:
    for name in ("label", "tag", "kto_tag"):
        assert unfit_dialogue(ONE | {name: False}) == "it is marked as a bad answer"
        assert unfit_dialogue(ONE | {name: True}) is None and unfit_dialogue(ONE | {name: "false alarm"}) is None
    assert unfit_dialogue(ONE | {"images": ["1.jpg"]}) == "it needs a picture, a video or a sound"


def test_what_is_none_of_them_is_not_recognised() -> None:
    assert format_of({"text": "x"}, DIALOGUES) is None and format_of({}, DIALOGUES) is None
