"""How each kind of answer is read from a clause: numbers, choices among words, times, yes or no."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from scratchgpt.verify.answers import UNCLEAR, Reading
from scratchgpt.verify.readers import (
    PARITY_OPPOSITES,
    Mention,
    asked_statement,
    choice_reader,
    closed_reader,
    find_parities,
    find_times,
    find_weekdays,
    number_reader,
    options_of,
    pattern_finder,
    settle_either,
)

APPLES = number_reader("小明有5个苹果，吃了2个，还剩几个？")


@pytest.mark.parametrize(
    ("clause", "read", "stated", "bare"),
    [
        ("3", 3, 3, 3),
        ("等于3个", 3, 3, 3),
        ("1/2", Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)),
        ("还剩3个", 3, 3, None),
        ("5-2=3", 3, 3, None),
        ("3=5-2", 3, 3, None),
        ("3比5小", 3, 3, None),
        ("小明有5个苹果", 5, UNCLEAR, None),  # that is the question's own
        ("先算出4", 4, UNCLEAR, None),  # a step on the way
        ("3或4", UNCLEAR, UNCLEAR, None),
        ("等于3+1", UNCLEAR, UNCLEAR, None),
        ("5-2", UNCLEAR, UNCLEAR, None),
        ("比3大", UNCLEAR, UNCLEAR, None),
        ("不是3", None, None, None),
        ("除了3", None, None, None),
        ("3不对", None, None, None),
        ("苹果很甜", None, None, None),
    ],
)
def test_numbers(clause: str, read: Reading, stated: Reading, bare: Reading) -> None:
    assert (APPLES.read(clause), APPLES.stated(clause), APPLES.bare(clause)) == (read, stated, bare)


def test_of_a_division_with_remainder_the_asked_part_is_read() -> None:
    assert number_reader("7个苹果分给2人，每人几个？").read("7÷2=3余1") == 3
    assert number_reader("7个苹果分给2人，还剩几个？").read("7÷2=3余1") == 1


WEEKDAYS = choice_reader(find_weekdays, "今天是周三，6天后是星期几？")


@pytest.mark.parametrize(
    ("clause", "read", "stated", "bare"),
    [
        ("周二", "weekday 2", "weekday 2", "weekday 2"),
        ("应该是星期2的", "weekday 2", "weekday 2", "weekday 2"),
        ("周三后6天是周二", "weekday 2", "weekday 2", None),
        ("周二比周三早", "weekday 2", "weekday 2", None),
        ("今天是周三", "weekday 3", UNCLEAR, None),
        ("今天是礼拜三", "weekday 3", UNCLEAR, None),
        ("周一或周二", UNCLEAR, UNCLEAR, None),
        ("不是周二", None, None, None),
        ("是晴天", None, None, None),
    ],
)
def test_choices(clause: str, read: Reading, stated: Reading, bare: Reading) -> None:
    assert (WEEKDAYS.read(clause), WEEKDAYS.stated(clause), WEEKDAYS.bare(clause)) == (read, stated, bare)


def test_denying_one_of_two_is_choosing_the_other() -> None:
    parity = choice_reader(find_parities, "7是奇数还是偶数？", PARITY_OPPOSITES)
    assert [parity.read(clause) for clause in ("奇数", "不是偶数", "7是单数")] == ["odd"] * 3
    assert [parity.read(clause) for clause in ("双数", "不是奇数")] == ["even"] * 2
    assert choice_reader(find_parities, "7是奇数还是偶数？").read("不是偶数") is None


def values(found: list[Mention]) -> list[Reading]:
    return [mention.value for mention in found]


def test_weekdays() -> None:
    for number, names in enumerate(("一1", "二2", "三3", "四4", "五5", "六6", "日天7"), 1):
        for name in names:
            for word in ("周", "星期", "礼拜"):
                assert find_weekdays(f"是{word}{name}。") == [Mention(1, 2 + len(word), f"weekday {number}")]
    assert find_weekdays("周八，星期12，一周") == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("3点", "3:00"),
        ("3时整", "3:00"),
        ("3点钟", "3:00"),
        ("三点半", "3:30"),
        ("9点一刻", "9:15"),
        ("9点三刻", "9:45"),
        ("早上十点十五分", "10:15"),
        ("15:05", "15:05"),
        ("下午3点", "15:00"),
        ("晚上8:30", "20:30"),
        ("下午12点", "12:00"),
    ],
)
def test_times(text: str, time: str) -> None:
    assert values(find_times(text)) == [f"time {time}"]


def test_a_finder_lists_where_each_match_stands_and_leaves_out_what_has_no_value() -> None:
    find = pattern_finder(re.compile("猫|狗|鸟"), lambda match: {"猫": "cat", "狗": "dog"}.get(match[0]))
    assert find("狗和鸟和猫") == [Mention(0, 1, "dog"), Mention(4, 5, "cat")]


CAT = closed_reader("所有猫都是动物。小花是猫。请问小花是动物吗？")


@pytest.mark.parametrize(
    ("clause", "reading"),
    [
        ("是", "yes"),
        ("对的", "yes"),
        ("小花是动物", "yes"),
        ("小花一定是动物", "yes"),
        ("是动物", "yes"),
        ("不是", "no"),
        ("小花不是动物", "no"),
        ("小花并不是动物", "no"),
        ("不是动物", "no"),
        ("不能确定", "unknown"),
        ("无法判断是不是", "unknown"),
        ("是或不是", UNCLEAR),
        ("可能是", UNCLEAR),
        ("也许", None),
        ("小花是猫", None),
    ],
)
def test_yes_no_and_cannot_tell(clause: str, reading: Reading) -> None:
    assert CAT.read(clause) == CAT.stated(clause) == reading


def test_to_a_closed_question_a_denial_is_an_answer_and_no_word_a_guess() -> None:
    assert CAT.denial and not CAT.guesses
    assert not WEEKDAYS.denial and WEEKDAYS.guesses


def test_asked_statement() -> None:
    assert asked_statement("所有甲都是乙。小明是甲。请问小明是乙吗？") == "小明是乙"
    assert asked_statement("玫瑰是花。玫瑰是植物，对吗？") == "玫瑰是植物"
    assert asked_statement("请判断小明是否是医生。") == "小明是医生"
    assert asked_statement("今天是周三，6天后是星期几？") == ""


def test_maybe_and_maybe_not_is_cannot_tell() -> None:
    assert settle_either("可能是，也可能不是。") == "不能确定。"
    assert settle_either("可能是猫，但也有可能不是猫。") == "不能确定。"
    assert settle_either("可能是。") == "可能是。"


@pytest.mark.parametrize(
    ("expected", "prompt", "options"),
    [
        ("小梅", "小梅比小东高，小东比小宇高。谁最高？", {"小东", "小宇"}),
        ("甲", "甲比乙快，乙比丙快。谁最快？", {"乙", "丙"}),
        ("跑步", "他喜欢跑步还是游泳？", {"游泳"}),
        ("苹果", "他吃什么？", set()),
    ],
)
def test_what_competes_with_the_expected_answer(expected: str, prompt: str, options: set[str]) -> None:
    assert options_of(expected, prompt) == options


def test_a_statement_without_a_verb_that_can_be_denied_is_affirmed_by_saying_it() -> None:
    comes = closed_reader("小明今天来吗？")
    assert asked_statement("小明今天来吗？") == "小明今天来"
    assert [comes.read(clause) for clause in ("小明今天来", "对", "不对", "小明走了")] == ["yes", "yes", "no", None]


def test_what_is_announced_last_may_be_followed_by_a_few_words_and_no_more() -> None:
    assert APPLES.read("吃了2个剩3个苹果呀呀") == 3
    assert APPLES.read("吃了2个剩3个苹果呀呀呀") is UNCLEAR
