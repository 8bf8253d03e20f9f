"""Each format of preference pairs is recognised, and becomes prompt, chosen, rejected."""

from __future__ import annotations

from typing import Any

import pytest

from scratchgpt.datasets.formats.format import MalformedRecordError, UnusableRecordError, format_of
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
        WHOLE,
        {"chosen": [ASKED, GOOD, turn("user", "然后？"), GOOD], "rejected": [ASKED, BAD, turn("user", "是吗？"), BAD]},
        PAIR,
    ),
    (WHOLE, {"chosen": [ASKED, GOOD], "rejected": [ASKED, GOOD]}, PAIR | {"rejected": "好"}),
    (
        "question, response_chosen, response_rejected (MedicalGPT)",
        {"system": "", "history": [], "question": "问", "response_chosen": "好", "response_rejected": "坏"},
        PAIR,
    ),
    (
        "question, response_chosen, response_rejected (MedicalGPT)",
        {"system": "短些", "history": [["一", "1"]], "question": "问", "response_chosen": "好", "response_rejected": "坏"},
        PAIR | {"history": [SYSTEM, turn("user", "一"), turn("assistant", "1")]},
    ),
    ("ranked answers (Alpaca)", {"instruction": "问", "input": "", "output": ["好", "中", "坏"], "history": []}, PAIR),
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
        ({"chosen": [SYSTEM, GOOD], "rejected": [SYSTEM, BAD]}, "must be the user's"),
        ({"prompt": [ASKED], "chosen": [GOOD]}, "no field 'rejected'"),
        ({"question": "问", "chosen": "好"}, "no field 'rejected'"),
        ({"input": {}, "preferred_output": [GOOD]}, "no 'messages' in its field 'input'"),
        ({"response_chosen": "好", "question": "问"}, "no field 'response_rejected'"),
        ({"output": ["好", "坏"], "instruction": 5, "input": []}, "'input' must be text"),
    ],
)
def test_what_is_wrong_in_a_known_format_is_named(record: dict, message: str) -> None:
    found = format_of(record, PAIRS)
    assert found is not None
    with pytest.raises(MalformedRecordError, match=message):
        found.convert(record)


@pytest.mark.parametrize(
    "record",
    [
        {"chosen": [ASKED, GOOD], "rejected": [SYSTEM, BAD]},
        {"chosen": [ASKED, ASKED], "rejected": [ASKED, BAD]},
        {"chosen": [ASKED, GOOD, ASKED, GOOD], "rejected": [ASKED, GOOD]},
        {"chosen": [], "rejected": []},
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: b"},
    ],
)
def test_dialogues_that_do_not_part_at_an_answer_are_no_pair(record: dict) -> None:
    found = format_of(record, PAIRS)
    assert found is not None
    with pytest.raises(UnusableRecordError, match="do not part at an answer"):
        found.convert(record)


def test_one_answer_alone_is_not_ranked() -> None:
    ranked = next(one for one in PAIRS if one.name == "ranked answers (Alpaca)")
    assert not ranked.recognises({"instruction": "问", "output": ["好"]}) and not ranked.recognises({"output": ["好", "坏"]})
    with pytest.raises(UnusableRecordError, match="no two answers"):
        ranked.convert({"instruction": "问", "output": ["好"]})
