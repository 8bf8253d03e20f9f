"""Each format of preference pairs is recognised, and becomes prompt, chosen, rejected."""

from __future__ import annotations

from typing import Any

import pytest

from scratchgpt.datasets.formats.format import MalformedRecordError, format_of
from scratchgpt.datasets.formats.pairs import PAIRS


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


PAIR = {"prompt": "问", "chosen": "好", "rejected": "坏"}
ASKED, GOOD, BAD = turn("user", "问"), turn("assistant", "好"), turn("assistant", "坏")
SYSTEM = turn("system", "短些")
WHOLE = "chosen and rejected as whole dialogues (TRL, minimind)"
MESSAGES = "prompt, chosen, rejected as messages"
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("prompt, chosen, rejected", PAIR | {"kind": "rude"}, PAIR | {"kind": "rude"}),
    (MESSAGES, {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, PAIR),
    (MESSAGES, {"prompt": "问", "chosen": [GOOD], "rejected": BAD}, PAIR),
    (MESSAGES, {"prompt": [SYSTEM, ASKED], "chosen": "好", "rejected": "坏"}, PAIR | {"history": [SYSTEM]}),
    (WHOLE, {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, PAIR),
    (WHOLE, {"prompt": "问", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD], "score": 3}, PAIR),
    (
        WHOLE,
        {"chosen": [ASKED, BAD, ASKED, GOOD], "rejected": [ASKED, BAD, ASKED, BAD]},
        PAIR | {"history": [ASKED, BAD]},
    ),
    (
        "conversations, chosen and rejected (LLaMA-Factory)",
        {
            "conversations": [{"from": "human", "value": "问"}],
            "chosen": {"from": "gpt", "value": "好"},
            "rejected": {"from": "gpt", "value": "坏"},
        },
        PAIR,
    ),
    (
        "chosen and rejected as text of Human: and Assistant:",
        {"chosen": "\n\nHuman: 问\n\nAssistant: 好", "rejected": "\n\nHuman: 问\n\nAssistant: 坏"},
        PAIR,
    ),
    ("question, chosen, rejected", {"system": "", "question": "问", "chosen": "好", "rejected": "坏"}, PAIR),
    (
        "question, chosen, rejected",
        {"instruction": "翻译", "input": "猫", "chosen": "cat", "rejected": "dog"},
        {"prompt": "翻译\n猫", "chosen": "cat", "rejected": "dog"},
    ),
    (
        "preferred_output (OpenAI)",
        {"input": {"messages": [ASKED], "tools": []}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
        PAIR,
    ),
]


@pytest.mark.parametrize(("name", "record", "expected"), CASES)
def test_a_format_is_recognised_and_converted(name: str, record: dict, expected: dict) -> None:
    found = format_of(record, PAIRS)
    assert found is not None and found.name == name
    assert found.convert(record) == expected


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"chosen": [ASKED, GOOD]}, "no field 'rejected'"),
        ({"chosen": [ASKED, GOOD], "rejected": "坏"}, "'rejected' must be a list of turns"),
        ({"chosen": [ASKED, GOOD], "rejected": [SYSTEM, BAD]}, "the same but for their last turn"),
        ({"chosen": [ASKED, ASKED], "rejected": [ASKED, BAD]}, "must end with the assistant"),
        ({"chosen": [SYSTEM, GOOD], "rejected": [SYSTEM, BAD]}, "must be the user's"),
        ({"prompt": [ASKED], "chosen": [GOOD]}, "no field 'rejected'"),
        ({"question": "问", "chosen": "好"}, "no field 'rejected'"),
        ({"input": {}, "preferred_output": [GOOD]}, "no 'messages' in its field 'input'"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: b"}, "the same but"),
    ],
)
def test_what_is_wrong_in_a_known_format_is_named(record: dict, message: str) -> None:
    found = format_of(record, PAIRS)
    assert found is not None
    with pytest.raises(MalformedRecordError, match=message):
        found.convert(record)
