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
    ],
)
def test_a_list_is_one_answer(text: str, named: set[str]) -> None:
    assert values(list_finder({"小明", "小红", "小刚"}, False)(text)) == [frozenset(named)]


@pytest.mark.parametrize("text", ["小明、小红、老王", "老王和小明、小红", "小明、小红、小明"])
def test_a_list_with_more_in_it_is_no_answer(text: str) -> None:
    assert values(list_finder({"小明", "小红"}, False)(text)) == [UNCLEAR]


def test_a_letter_or_digit_is_not_found_inside_a_longer_word() -> None:
    assert values(list_finder({"3", "5"}, False)("13和5")) == [UNCLEAR]
    assert values(word_finder({"cat"}, {"cat"}, ())("cats, cat, CAT")) == [RIGHT, RIGHT]


def test_words_between_commas_are_a_list() -> None:
    assert join_lists("小明，小红", {"小明", "小红"}) == "小明、小红"
    assert join_lists("小明\n小红", {"小明", "小红"}) == "小明、小红"
    assert join_word_lists("香蕉，苹果，梨", {"苹果"}) == "香蕉、苹果、梨"
    assert join_word_lists("苹果，谢谢", {"苹果"}) == "苹果，谢谢"
    assert join_word_lists("嗯，苹果", {"苹果"}) == "嗯，苹果"


def test_what_right_words_mean() -> None:
    find = word_finder({"红", "赤", "蓝"}, {"红", "赤"}, {"色"})
    assert find("红色、赤、蓝") == [Mention(0, 2, RIGHT), Mention(3, 4, RIGHT), Mention(5, 6, "蓝")]


@pytest.mark.parametrize(
    ("text", "count"),
    [("苹果", 1), ("苹果或香蕉", 2), ("香蕉、苹果", 2), ("梨、苹果、桃", 3), ("还是苹果", 1), ("答案还是苹果", 1)],
)
def test_a_word_listed_with_unknown_ones_is_not_alone(text: str, count: int) -> None:
    assert len(lone_finder(word_finder({"苹果"}, {"苹果"}, ()))(text)) == count
