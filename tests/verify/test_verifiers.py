"""The verifiers judge as a careful teacher would, and nothing but the answer pleases them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from scratchgpt.errors import UserError
from scratchgpt.verify.numerals import han_integer, normalise, numbers_in, parse_number
from scratchgpt.verify.readers import asked_statement
from scratchgpt.verify.verifiers import LogicVerifier, MathVerifier, family_of, verifier_for

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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("一百零五", 105),
        ("一百五", 150),
        ("两千零三十", 2030),
        ("一万二千", 12000),
        ("三万五", 35000),
        ("二〇二五", 2025),
        ("百", None),
        ("一亿", 10**8),
    ],
)
def test_chinese_integers(text, value):
    assert han_integer(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("４２", 42),
        ("1,234", 1234),
        ("-3", -3),
        ("负三", -3),
        ("3/4", Fraction(3, 4)),
        ("四分之三", Fraction(3, 4)),
        ("百分之五十", Fraction(1, 2)),
        ("50%", Fraction(1, 2)),
        ("42个", 42),
        ("1.50元", Fraction(3, 2)),
        ("三点五", Fraction(7, 2)),
        ("一又二分之一", Fraction(3, 2)),
        ("5千克", 5),
        ("三千克", 3),
        ("15+27", None),
        ("周三", None),
        ("42、43", None),
    ],
)
def test_parse_number(text, value):
    assert parse_number(text) == value


def test_numerals_inside_other_words_are_no_numbers():
    for text in ("一共", "第三", "星期五", "周二", "一定", "两个数", "礼拜一"):
        assert not numbers_in(normalise(text)), text


def test_asked_statement():
    assert asked_statement("所有甲都是乙。小明是甲。请问小明是乙吗？") == "小明是乙"
    assert asked_statement("玫瑰是花。玫瑰是植物，对吗？") == "玫瑰是植物"
    assert asked_statement("请判断小明是否是医生。") == "小明是医生"


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


def test_family_of():
    assert family_of({"type": "math", "family": "addition"}) == "addition"
    assert family_of({"type": "math"}) == "math"
