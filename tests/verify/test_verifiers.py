"""The verifiers judge as a careful teacher would, and nothing but the answer pleases them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.errors import UserError
from scratchgpt.verify.verifiers import LogicVerifier, MathVerifier, complaint_about, family_of, verifier_for

GROUPS = json.loads(Path(__file__).with_name("verifier_cases.json").read_text(encoding="utf-8"))
CASES = [
    (group["task"], response, verdict)
    for group in GROUPS
    for verdict, responses in ((True, group["right"]), (False, group["wrong"]))
    for response in responses
]


def test_the_cases_are_many_and_balanced():
    right = sum(verdict for _, _, verdict in CASES)
    assert len(CASES) >= 200
    assert 0.35 < right / len(CASES) < 0.65


def test_every_case_is_judged_as_a_careful_teacher_would():
    wrong = [
        (task["expected_answer"], response)
        for task, response, verdict in CASES
        if verifier_for(task).verify(task, response) != verdict
    ]
    assert not wrong


WRITTEN = json.loads(Path(__file__).with_name("written_answers.json").read_text(encoding="utf-8"))


def test_what_people_write_is_judged_as_a_careful_teacher_would():
    cases = [
        (group["task"], said, kind == "right")
        for group in WRITTEN
        for kind in ("right", "wrong")
        for said in group[kind]
    ]
    misjudged = [
        (task["expected_answer"], said)
        for task, said, verdict in cases
        if verifier_for(task).verify(task, said) != verdict
    ]
    assert len(set(map(repr, cases))) == len(cases) >= 800
    assert 0.4 < sum(verdict for _, _, verdict in cases) / len(cases) < 0.6
    assert len(misjudged) <= len(cases) // 100, misjudged


def test_none_that_lists_is_rewarded_however_it_is_written():
    lists = [(group["task"], said) for group in WRITTEN for said in group["lists"]]
    assert len(lists) >= 150
    assert not [(task["expected_answer"], said) for task, said in lists if verifier_for(task).verify(task, said)]


def test_every_task_of_the_written_answers_can_be_answered():
    assert not [group["task"] for group in WRITTEN if complaint_about(group["task"]) is not None]


@pytest.mark.parametrize(
    ("prompt", "expected", "said", "verdict"),
    [
        # the unit that the question names is the unit of the answer, unless the expected answer names one itself
        ("绳子长多少米？", "0.5", "50厘米", False),
        ("绳子长多少米？", "0.5米", "50厘米", True),
        ("绳子有多长？", "0.5米", "50厘米", True),
        ("50厘米合多少米？", "0.5米", "50厘米", False),
        ("买笔花了多少钱？", "0.5", "5角", True),
        ("一共有多少块饼干？", "31", "31块", True),
        ("小明得了几分？", "95", "95分", True),
        # per cent is a number, but no number of metres
        ("计算 1 ÷ 2 = ?", "0.5", "50%", True),
        ("每段长多少米？", "0.5", "50%", False),
        ("占百分之几？", "50", "50%", True),
        ("占百分之几？", "0.5", "50%", True),
        ("占百分之几？", "50%", "0.5", False),
    ],
)
def test_the_unit_is_the_tasks(prompt, expected, said, verdict):
    task = {"type": "math", "prompt": prompt, "expected_answer": expected}
    assert verifier_for(task).verify(task, said) == verdict


MATH = {"type": "math", "prompt": "计算 15 + 27 = ?", "expected_answer": "42"}
DAY = {
    "type": "logic",
    "prompt": "今天是周三，6天后是星期几？",
    "expected_answer": "周二",
    "keywords": ["周二", "星期二"],
}
CLOSED = {
    "type": "logic",
    "prompt": "小明是画家。小明是医生吗？",
    "expected_answer": "不能确定",
    "keywords": ["不能确定"],
}
NAMES = {
    "type": "logic",
    "prompt": "小梅比小东高，小东比小宇高。谁最高？",
    "expected_answer": "小梅",
    "keywords": ["小梅"],
}


@pytest.mark.parametrize("separator", ["、", "，", "或", "或者", " ", "\n", "。", "；", "和", "还是", "/", "？"])
@pytest.mark.parametrize("opening", ["", "答案是", "所以答案是", "答案：", "所以是", "可能是"])
@pytest.mark.parametrize(
    ("task", "options"),
    [
        (MATH, ["40", "41", "42"]),
        (MATH, ["42", "41", "40"]),
        (DAY, ["周一", "周二", "周三"]),
        (DAY, ["周二", "周一"]),
        (DAY, ["周一", "周二"]),
        (CLOSED, ["是", "否", "不能确定"]),
        (CLOSED, ["不能确定", "是"]),
        (NAMES, ["小梅", "小东", "小宇"]),
        (NAMES, ["小宇", "小东", "小梅"]),
    ],
)
def test_listing_the_options_earns_nothing(task, options, opening, separator):
    if separator == " " and task is CLOSED:
        separator = "  \n"  # without a mark, 不能确定 是 reads as the start of a sentence
    response = opening + separator.join(options)
    assert not verifier_for(task).verify(task, response), response


@pytest.mark.parametrize("task", [MATH, DAY, NAMES])
def test_denying_the_answer_earns_nothing(task):
    for form in ("不是{}", "答案不是{}。", "肯定不是{}。", "并非{}", "{}不对。"):
        assert not verifier_for(task).verify(task, form.format(task["expected_answer"])), form


def test_echoing_the_question_earns_nothing():
    for task in {json.dumps(group["task"], sort_keys=True) for group in GROUPS}:
        record = json.loads(task)
        assert not verifier_for(record).verify(record, record["prompt"]), record


def test_verifier_for_chooses_by_type():
    assert isinstance(verifier_for({"type": "math"}), MathVerifier)
    assert isinstance(verifier_for({"type": "logic"}), LogicVerifier)
    with pytest.raises(UserError, match="poetry"):
        verifier_for({"type": "poetry"})


def test_bad_tasks_are_named():
    with pytest.raises(UserError, match="周二"):
        MathVerifier().verify({"type": "math", "prompt": "?", "expected_answer": "周二"}, "42")
    with pytest.raises(UserError, match="expected_answer"):
        LogicVerifier().verify({"type": "logic", "prompt": "?"}, "42")


@pytest.mark.parametrize("expected", ["3月5日", "3:2", "1e3", "x=3", "1 of 2", "84/2"])
def test_a_task_that_no_answer_can_be_right_to_is_complained_about(expected):
    complaint = complaint_about(MATH | {"expected_answer": expected})
    assert complaint is not None and repr(expected) in complaint and "\n" not in complaint
    assert complaint_about(DAY | {"expected_answer": "可能", "keywords": []}) is not None
    assert complaint_about({"type": "poem"}) is not None


def test_every_task_of_the_cases_can_be_answered():
    assert not [group["task"] for group in GROUPS if complaint_about(group["task"]) is not None]


def test_family_of():
    assert family_of({"type": "math", "family": "addition"}) == "addition"
    assert family_of({"type": "math"}) == "math"


@given(
    st.text()
    | st.lists(st.sampled_from("1一十两百٤४²½/.,:：=+×-是不周三点半或也可能小梅奇偶数。，？\n"), max_size=60).map(
        "".join
    )
)
@settings(max_examples=400, deadline=None, derandomize=True)
@pytest.mark.parametrize("task", [MATH, DAY, CLOSED, NAMES, *(group["task"] for group in WRITTEN[::5])])
def test_every_response_gets_a_verdict(task, response):
    assert verifier_for(task).verify(task, response) in (True, False)


@pytest.mark.parametrize("response", ["٤٢", "४२", "答案是٤٢。", "४२个", "𝟒𝟐"])
def test_digits_of_other_scripts_are_numbers_too(response):
    assert verifier_for(MATH).verify(MATH, response)
    assert not verifier_for(MATH).verify(MATH | {"expected_answer": "43"}, response)


@pytest.mark.parametrize(
    "piece", ["1，234，", "1小时", "12元5", "差5分10点", "3万5千", "零下", "3-4到5", "小明、", "小明，", "1:", "not "]
)
@pytest.mark.parametrize("task", [group["task"] for group in WRITTEN[1::6]])
def test_reading_what_is_said_again_and_again_takes_no_longer_than_saying_it(task, piece):
    """Ten thousand characters, which what takes the square of the length would need minutes for."""
    assert not verifier_for(task).verify(task, piece * (10_000 // len(piece)))


def test_a_filler_said_often_does_not_take_the_power_of_two():
    """也可能 could once be read in two ways, and forty of them in 2**40."""
    assert not verifier_for(MATH).verify(MATH, "也可能" * 40 + "啦42")
