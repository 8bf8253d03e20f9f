"""Answers that are words: alone, in a list, and lists that are no answer."""

from __future__ import annotations

import pytest

from scratchgpt.verify.answers import UNCLEAR, Reading
from scratchgpt.verify.readers import Mention
from scratchgpt.verify.words import (
    RIGHT,
    asks_order,
    join_lists,
    join_word_lists,
    list_finder,
    list_value,
    lone_finder,
    parts_of,
    word_finder,
)


def values(found: list[Mention]) -> list[Reading]:
    return [mention.value for mention in found]


@pytest.mark.parametrize(
    ("expected", "parts"),
    [
        ("小明和小红", ["小明", "小红"]),
        ("小明、小红、小刚", ["小明", "小红", "小刚"]),
        ("小明>小红", ["小明", "小红"]),
        ("cat and dog", ["cat", "dog"]),
        ("红和蓝", ["红", "蓝"]),
        ("A、1和a", ["A", "1", "a"]),
        ("小明和花", []),
        ("花和小明", []),
        ("小明", []),
        ("blue whale", []),
        ("共和国", []),
        ("埃及", []),
        ("不及格", []),
        ("小明和小明", []),
    ],
)
def test_the_parts_of_an_answer(expected: str, parts: list[str]) -> None:
    assert parts_of(expected) == parts


def test_whether_the_order_counts() -> None:
    assert asks_order("小明>小红", "谁高？")
    assert asks_order("小明、小红", "按从高到矮的顺序排列。")
    assert not asks_order("小明、小红", "哪两个人去了？")
    assert list_value(["A", "b"], False) == list_value(["B", "a"], False)
    assert list_value(["A", "b"], True) != list_value(["B", "a"], True)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("小红和小明", {"小明", "小红"}),
        ("小明、小红", {"小明", "小红"}),
        ("小明", {"小明"}),
        ("小明、小红和小刚", {"小明", "小红", "小刚"}),
        ("小明 and 小红", {"小明", "小红"}),
        ("a thousand 小明", {"小明"}),
        ("和平的小明", {"小明"}),
        ("小明、小红两个人", {"小明", "小红"}),
    ],
)
def test_a_list_is_one_answer(text: str, named: set[str]) -> None:
    assert values(list_finder({"小明", "小红", "小刚"}, False)(text)) == [frozenset(named)]


@pytest.mark.parametrize(
    "text",
    [
        "小明、小红、老王",
        "老王和小明、小红",
        "和小明",
        "老王 and 小明",
        "Tom and 小明",
        "老王以及 小明",
        "或者小明",
        "小明、小红、小明",
        "小明、小红、",
    ],
)
def test_a_list_with_more_in_it_is_no_answer(text: str) -> None:
    assert values(list_finder({"小明", "小红"}, False)(text)) == [UNCLEAR]


def test_a_letter_or_digit_is_not_found_inside_a_longer_word() -> None:
    assert values(list_finder({"3", "5"}, False)("13和5")) == [UNCLEAR]
    assert values(word_finder({"cat"}, {"cat"}, ())("cats, cat, CAT")) == [RIGHT, RIGHT]
    assert word_finder({"3", "苹果", "+"}, {"3"}, ())("3a，苹果B，A苹果，a+b，.3，3.，33") == [
        Mention(0, 1, RIGHT), Mention(3, 5, "苹果"), Mention(8, 10, "苹果"), Mention(12, 13, "+")
    ]  # fmt: skip


def test_of_two_words_that_begin_alike_the_longer_one_is_found() -> None:
    for words in (["苹果", "苹果汁"], ["苹果汁", "苹果"]):
        assert word_finder(words, (), ())("苹果汁和苹果") == [Mention(0, 3, "苹果汁"), Mention(4, 6, "苹果")]


def test_words_between_commas_are_a_list() -> None:
    assert join_lists("小明，小红", {"小明", "小红"}) == "小明、小红"
    assert join_lists("小明\n小红", {"小明", "小红"}) == "小明、小红"
    assert join_word_lists("香蕉，苹果，梨", {"苹果"}) == "香蕉、苹果、梨"
    assert join_word_lists("苹果，谢谢", {"苹果"}) == "苹果，谢谢"
    assert join_word_lists("嗯，苹果", {"苹果"}) == "嗯，苹果"
    assert join_lists("小明，\n和小红；TOM，and tom", {"小明", "小红", "Tom"}) == "小明、小红、TOM、tom"
    assert join_lists("小明，老王，小红", {"小明", "小红"}) == "小明，老王，小红"


def test_a_word_between_commas_may_be_one_character_longer_than_the_longest_answer() -> None:
    for words in (["梨", "西红柿"], ["西红柿", "梨"]):
        assert join_word_lists("梨，四季豆角", words) == "梨、四季豆角"
        assert join_word_lists("四季豆角，梨", words) == "四季豆角、梨"
        assert join_word_lists("梨，四季大豆角", words) == "梨，四季大豆角"
        assert join_word_lists("四季大豆角，梨", words) == "四季大豆角，梨"


def test_what_right_words_mean() -> None:
    find = word_finder({"红", "赤", "蓝"}, {"红", "赤"}, {"色"})
    assert find("红色、赤、蓝") == [Mention(0, 2, RIGHT), Mention(3, 4, RIGHT), Mention(5, 6, "蓝")]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("苹果", 1),
        ("苹果或香蕉", 2),
        ("香蕉、苹果", 2),
        ("梨、苹果、桃", 3),
        ("还是苹果", 1),
        ("答案还是苹果", 1),
        ("苹果和", 1),
        ("和苹果", 1),
        ("苹果和苹果", 2),
        ("苹果还是梨", 2),
    ],
)
def test_a_word_listed_with_unknown_ones_is_not_alone(text: str, count: int) -> None:
    assert len(lone_finder(word_finder({"苹果"}, {"苹果"}, ()))(text)) == count


def test_of_an_unknown_word_that_is_listed_its_end_that_stands_next_is_named() -> None:
    find = lone_finder(word_finder({"苹果"}, {"苹果"}, ()))
    assert find("香蕉、苹果或黄桃") == [
        Mention(1, 2, "another word"), Mention(3, 5, RIGHT), Mention(6, 7, "another word")
    ]  # fmt: skip
    assert find("苹果 or pear") == [Mention(0, 2, RIGHT), Mention(6, 7, "another word")]
