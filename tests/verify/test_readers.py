"""How each kind of answer is read from a clause: numbers, choices among words, times, yes or no."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.verify.answers import UNCLEAR, Reading
from scratchgpt.verify.readers import (
    PARITY_OPPOSITES,
    Mention,
    asked_statement,
    choice_reader,
    closed_reader,
    endings_of,
    find_parities,
    find_times,
    find_weekdays,
    is_name,
    number_reader,
    options_of,
    pattern_finder,
    settle_closed,
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
        # a single number on a side of an equation, whatever signs it has itself
        ("结果=3/4", Fraction(3, 4), Fraction(3, 4), None),
        ("5-8=-3", -3, -3, None),
        ("7=3加4", 7, 7, None),
        ("3+4=8-1", UNCLEAR, UNCLEAR, None),
        ("15=3个和5个", UNCLEAR, UNCLEAR, None),
        ("3个和5个=8+1", UNCLEAR, UNCLEAR, None),
        ("时间=半小时", Fraction(1, 2), Fraction(1, 2), None),
        # a calculation that is not finished, a comparison
        ("3×3", UNCLEAR, UNCLEAR, None),
        ("3>3", UNCLEAR, UNCLEAR, None),
        ("x>3", 3, 3, None),
        ("3×", UNCLEAR, UNCLEAR, None),
        ("3个+", UNCLEAR, UNCLEAR, None),
        # the first, the last, the only one
        ("有5个吃了2个剩3个", 3, 3, None),
        ("3个人吃了这些苹果们", 3, UNCLEAR, None),
        ("苹果5个", 5, UNCLEAR, None),
        ("苹果4个", 4, 4, None),
        ("苹果4个苹果4个", 4, UNCLEAR, None),
        ("3比5小了呢", 3, 3, None),
        ("一共3个苹果", 3, 3, 3),
        ("3✓", 3, 3, 3),
        ("3个3个", 3, UNCLEAR, None),
    ],
)
def test_numbers(clause: str, read: Reading, stated: Reading, bare: Reading) -> None:
    assert (APPLES.read(clause), APPLES.stated(clause), APPLES.bare(clause)) == (read, stated, bare)


def test_of_a_division_with_remainder_the_asked_part_is_read() -> None:
    assert number_reader("7个苹果分给2人，每人几个？").read("7÷2=3余1") == 3
    remainder = number_reader("7个苹果分给2人，还剩几个？")
    assert remainder.read("7÷2=3余1") == remainder.stated("7÷2=3余1") == 1
    assert remainder.read("7÷2=3余数是余1") == 1
    assert remainder.read("8÷2=4余0") == 0
    assert remainder.stated("8÷2=4余0") is UNCLEAR  # the question has no 8


PETS = choice_reader(
    pattern_finder(re.compile("猫|狗|鸟"), lambda match: match[0]), "谁会唱歌，谁会跳舞？猫是黑的。什么在叫？"
)


@pytest.mark.parametrize(
    ("clause", "stated"),
    [
        ("猫会唱歌", "猫"),
        ("狗会跳舞", "狗"),
        ("鸟在叫", "鸟"),
        ("猫会弹琴", UNCLEAR),
        ("黑猫会唱歌", UNCLEAR),
        ("猫猫会唱歌", UNCLEAR),
        ("猫是黑的", UNCLEAR),
        ("狗是黑的", UNCLEAR),
        ("猫和狗后面是鸟", "鸟"),
        ("猫和狗后面是鸟吧", "鸟"),
        ("猫比狗更黑", "猫"),
        ("猫", "猫"),
        ("天黑了", None),
    ],
)
def test_a_choice_stands_where_the_question_word_stood_or_last_or_is_compared(clause: str, stated: Reading) -> None:
    assert PETS.stated(clause) == stated


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
    assert parity.read("不是奇数也不是偶数") is UNCLEAR
    assert [parity.bare(clause) for clause in ("奇数", "也不是偶数", "不是奇数呢")] == ["odd", "odd", "even"]
    for clause in ("7不是偶数", "不是偶数就好", "不是奇数不是偶数", "奇数和偶数", "奇数很好", "7是奇数", "7"):
        assert parity.bare(clause) is None, clause
    assert [parity.stated(clause) for clause in ("7不是偶数", "不是奇数的话")] == ["odd", UNCLEAR]


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
        ("3点零5分", "3:05"),
        ("三点过五分", "3:05"),
        ("0点", "0:00"),
        ("24点", "24:00"),
        # the parts of the day
        ("下午1点", "13:00"),
        ("下午11点", "23:00"),
        ("下午13点", "13:00"),
        ("下午0点", "0:00"),
        ("早上12点", "12:00"),
        ("午后2点", "14:00"),
        ("傍晚6点", "18:00"),
        ("晚上12点", "0:00"),
        ("晚上11点", "23:00"),
        ("晚上13点", "13:00"),
        ("半夜12点", "0:00"),
        ("半夜11点", "23:00"),
        ("深夜6点", "18:00"),
        ("夜里5点", "5:00"),
        ("午夜7点", "19:00"),
        ("中午3点", "15:00"),
        ("中午4点", "4:00"),
        ("中午11点", "11:00"),
        ("中午12点", "12:00"),
        ("凌晨3点", "3:00"),
        ("3 pm", "15:00"),
        ("3:20 AM", "3:20"),
        ("12am", "0:00"),
        ("11am", "11:00"),
        ("12 PM", "12:00"),
        # what is lacking to the hour
        ("差5分10点", "9:55"),
        ("差五分钟到十点", "9:55"),
        ("10点差5分", "9:55"),
        ("差一刻10点", "9:45"),
        ("10点差一刻", "9:45"),
        ("10点半差5分", "10:25"),
        ("差20分0点", "23:40"),
        ("差20分24点", "23:40"),
        ("下午差20分1点", "12:40"),
    ],
)
def test_times(text: str, time: str) -> None:
    assert values(find_times(text)) == [f"time {time}"]


def test_a_finder_lists_where_each_match_stands_and_leaves_out_what_has_no_value() -> None:
    find = pattern_finder(re.compile("猫|狗|鸟"), lambda match: {"猫": "cat", "狗": "dog"}.get(match[0]))
    assert find("狗和鸟和猫") == [Mention(0, 1, "dog"), Mention(4, 5, "cat")]


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("Yes，it is。", "是，是。"),
        ("TRUE", "是"),
        ("Of course，yes", "，是"),
        ("it is not", "否"),
        ("he isnt", "否"),
        ("No way", "否 way"),
        ("not sure", "不能确定"),
        ("I cannot tell", "不能确定"),
        ("maybe", "可能"),
        ("yes or no", "是 或 否"),
        ("notes，yesterday", "notes，yesterday"),
        ("√，✓✔☑✅", "是，是是是是"),
        ("✗✘❌", "否否否"),
        ("×", "否"),
        ("3×4", "3×4"),
        ("可能是，也可能不是。", "不能确定。"),
    ],
)
def test_verdicts_are_said_in_one_language(text: str, settled: str) -> None:
    assert settle_closed(text) == settled


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


def test_what_alone_is_a_verdict() -> None:
    said = {"不能确定": "unknown", "unknown": "unknown", "不知道是不是": "unknown", "是的吧": "yes", "不是": "no"}
    assert {clause: CAT.bare(clause) for clause in said} == said
    assert [CAT.bare(clause) for clause in ("小花", "不能确定的事", "可能是", "是或不是", "动物")] == [None] * 5


@pytest.mark.parametrize(
    ("prompt", "clause", "reading"),
    [
        ("小花一定是动物吗？", "小花一定不是动物", "no"),
        ("小花一定是动物吗？", "小花一定是动物", "yes"),
        ("小花是动物吗？", "小花也不是动物", "no"),
        ("小花是猫吗？", "是猫", "yes"),
        ("小花是猫吗？", "花是猫", None),
        ("小花是猫吗？", "不是狗", None),
        ("小花会飞吗？", "不会飞", "no"),
        ("小花有翅膀吗？", "没有翅膀", "no"),
        ("小花有翅膀吗？", "小花没有翅膀", "no"),
        ("小花有翅膀吗？", "小花不有翅膀", None),
        ("妈妈在吗？", "不在", "no"),
        ("小明今天来吗？", "不好", None),
        ("小明和小红是朋友吗？", "小明和小红是朋友", "yes"),
        ("小明和小红是朋友吗？", "小明和小红不是朋友", "no"),
        ("小明和小红是朋友吗？", "小明", None),
        ("小明和小红是朋友吗？", "可能是朋友", UNCLEAR),
        ("小花是动物吗？", "对无法判断", UNCLEAR),
        ("小花是动物吗？", "无法判断", "unknown"),
        ("小花是动物吗？", "无法判断或者是", UNCLEAR),
        ("小花是动物吗？", "应该是", "yes"),
        ("小花是动物吗？", "可能小花走了", None),
        ("请说明理由。", "好", None),
    ],
)
def test_the_statement_of_a_question_affirmed_or_denied(prompt: str, clause: str, reading: Reading) -> None:
    assert closed_reader(prompt).read(clause) == reading


def test_to_a_closed_question_a_denial_is_an_answer_and_no_word_a_guess() -> None:
    assert CAT.denial and not CAT.guesses
    assert not WEEKDAYS.denial and WEEKDAYS.guesses


def test_asked_statement() -> None:
    assert asked_statement("所有甲都是乙。小明是甲。请问小明是乙吗？") == "小明是乙"
    assert asked_statement("玫瑰是花。玫瑰是植物，对吗？") == "玫瑰是植物"
    assert asked_statement("请判断小明是否是医生。") == "小明是医生"
    assert asked_statement("今天是周三，6天后是星期几？") == ""
    assert asked_statement("") == asked_statement("请回答") == ""
    assert asked_statement("小红来了。小明走了，盒子里有没有球？") == "盒子里有球"
    assert asked_statement("有没有球不重要。小红来了。谁来了？") == ""
    assert asked_statement("请判断小明是否会游泳。") == "小明会游泳"
    assert asked_statement("小红来了。所以小明是医生，这样说对吗？") == "小明是医生"
    assert asked_statement("小明和小红，小明是医生，是吗？") == "小明是医生"
    assert asked_statement("对吗？") == "对"


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
        ("甲", "甲乙丙丁戊谁快？ABC，红黄", {"乙", "丙", "丁", "戊"}),
        ("A", "选A、B还是C？", {"B", "C"}),
        ("红", "红色的花，蓝的天，绿草。哪种颜色？", {"蓝", "绿"}),
        ("小梅", "小学和阿强、老师、老王谁高？", {"阿强", "老王"}),
        # the sides of an 还是, without what both end with
        ("蓝", "是红色还是蓝色？", {"红"}),
        ("蓝色", "是红色还是蓝色？", {"红色"}),
        ("足球", "他喜欢踢足球还是篮球？", {"篮球"}),
        ("苹果", "喝苹果汁还是香蕉汁？", {"香蕉"}),
        ("７", "7还是８？", {"8", "7"}),
        # what the question lists
        ("苹果", "篮子里有苹果、香蕉、梨，哪个最红？", {"香蕉", "梨"}),
        ("梨", "苹果、香蕉和梨哪个最红？", {"苹果", "香蕉"}),
        ("香蕉", "苹果、香蕉或者梨、桃都好吃。", {"苹果", "梨", "桃"}),
        ("橘子", "苹果、香蕉、梨，哪个最红？", set()),
        ("猫", "从狗、猫、鸟里选。狗和兔，马、牛谁大？", {"狗", "鸟"}),
        ("猫", "猫、狗中选", {"狗"}),
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


@pytest.mark.parametrize(
    ("expected", "prompt", "endings"),
    [
        ("蓝", "是红色还是蓝色？", {"色"}),
        ("红", "是红色还是蓝色？", {"色"}),
        ("蓝色", "是红色还是蓝色？", set()),
        ("蓝", "是红颜色还是蓝颜色？", {"颜色"}),
        ("蓝", "是红还是蓝？", set()),
        ("苹果", "喝苹果汁还是香蕉汁？", {"汁"}),
        ("绿", "是红色还是蓝色？", set()),
        ("苹果", "吃苹果汁还是梨汁？喝苹果茶还是梨茶？", {"汁", "茶"}),
        ("大", "大小还是小小？", {"小"}),
    ],
)
def test_what_both_sides_end_with_changes_nothing_behind_an_answer(
    expected: str, prompt: str, endings: set[str]
) -> None:
    assert endings_of(expected, prompt) == endings


def test_names() -> None:
    assert [is_name(text) for text in ("小明", "阿强", "老王")] == [True] * 3
    assert [is_name(text) for text in ("小学", "老师", "小明明", "明小", "")] == [False] * 5


@given(st.lists(st.sampled_from([*"12半两元分=+-÷/余比不个", "半小时", "一半", "等于"]), max_size=8).map("".join))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_clause_breaks_the_reading_of_numbers(clause: str) -> None:
    for reader in (APPLES, number_reader("7÷2余几？")):
        for value in (reader.read(clause), reader.stated(clause), reader.bare(clause)):
            assert value is None or value is UNCLEAR or isinstance(value, Fraction)
