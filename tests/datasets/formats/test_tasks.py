"""Each format of tasks is recognised, and becomes type, prompt, expected_answer."""

from __future__ import annotations

from typing import Any

import pytest

from scratchgpt.datasets.formats.format import MalformedRecordError, format_of
from scratchgpt.datasets.formats.tasks import TASKS, final_answer_of, is_surely_task

OWN, OTHER = TASKS[0].name, TASKS[1].name
TASK = {"type": "math", "prompt": "3+4=?", "expected_answer": "7"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (OWN, TASK | {"family": "addition"}, TASK | {"family": "addition"}),
    (OTHER, {"question": "3+4=?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}, TASK),
    (OTHER, {"question": "3+4=?", "answer": 7}, TASK),
    (OTHER, {"prompt": "3+4=?", "expected": "7"}, TASK),
    (OTHER, {"prompt": "3+4=?", "expected_answer": "7"}, TASK),
    (OTHER, {"problem": "3+4=?", "level": "Level 1", "type": "Algebra", "solution": r"So $\boxed{7}$."}, TASK | {"level": "Level 1"}),
    (OTHER, {"prompt": [{"role": "user", "content": "3+4=?"}], "reward_model": {"ground_truth": "7"}}, TASK),
    (OTHER, {"题目": "今天周一，明天呢？", "答案": "周二"}, {"type": "logic", "prompt": "今天周一，明天呢？", "expected_answer": "周二"}),
]


@pytest.mark.parametrize(("name", "record", "expected"), CASES)
def test_a_format_is_recognised_and_converted(name: str, record: dict, expected: dict) -> None:
    found = format_of(record, TASKS)
    assert found is not None and found.name == name
    assert found.convert(record) == expected


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a\n#### 1,234", "1234"),
        ("#### -3.5", "-3.5"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("3 + 4 = 7\nA: 7", "7"),
        ("先算三加四。\n答案：7\n", "7"),
        ("A: 周二", "A: 周二"),
        ("A: 甲\n因为乙", "A: 甲\n因为乙"),
        ("周二", "周二"),
        ("红,绿", "红,绿"),
        (r"\boxed{7", "7"),
    ],
)
def test_the_answer_behind_the_working(text: str, answer: str) -> None:
    assert final_answer_of(text) == answer


def test_an_answer_to_be_checked_by_makes_a_record_surely_a_task() -> None:
    assert is_surely_task({"question": "a", "ground_truth": "b"})
    assert is_surely_task({"prompt": [], "reward_model": {"ground_truth": "7"}})
    assert not is_surely_task({"question": "a", "answer": "b"}) and not is_surely_task({"reward_model": "x"})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "a"}, "no field 'answer'"),
        ({"question": "a", "answer": []}, "'answer' must be text"),
        ({"prompt": [{"role": "user", "content": "a"}] * 2, "answer": "b"}, "must be one question"),
    ],
)
def test_what_is_wrong_in_a_known_format_is_named(record: dict, message: str) -> None:
    found = format_of(record, TASKS)
    assert found is not None
    with pytest.raises(MalformedRecordError, match=message):
        found.convert(record)
