"""Answers that are dates, ratios or ranges."""

from __future__ import annotations

import pytest

from scratchgpt.verify.answers import Reading
from scratchgpt.verify.dates import date_finder, find_ranges, find_ratios, finders_for
from scratchgpt.verify.readers import Mention


def values(found: list[Mention]) -> list[Reading]:
    return [mention.value for mention in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6月1日", "date -6-1"),
        ("六月一号", "date -6-1"),
        ("06月01日", "date -6-1"),
        ("6/1", "date -6-1"),
        ("1949年10月1日", "date -10-1"),
        ("十二月三十一日", "date -12-31"),
        ("1月1日", "date -1-1"),
        ("12-31", "date -12-31"),
        ("2025-2-3", "date -2-3"),
        ("25年3月4日", "date -3-4"),
        ("3月份的5号", "date -3-5"),
    ],
)
def test_dates(text: str, value: str) -> None:
    assert values(date_finder(None, with_year=False)(text)) == [value]


@pytest.mark.parametrize(
    "text", ["13月1日", "0月1日", "6月", "十六月一日", "6月32日", "6月0日", "1日", "2.5", "13/1", "6/32"]
)
def test_what_is_no_date(text: str) -> None:
    assert date_finder(None, with_year=False)(text) == []


@pytest.mark.parametrize("text", ["1949年10月1日", "一九四九年十月一日", "1949-10-01", "1949/10/1", "1949.10.1"])
def test_dates_with_a_year(text: str) -> None:
    assert values(date_finder(None, with_year=True)(text)) == ["date 1949-10-1"]


def test_a_date_without_a_year_is_of_the_questions_year() -> None:
    assert values(date_finder(1949, with_year=True)("10月1日")) == ["date 1949-10-1"]
    assert values(date_finder(None, with_year=True)("10月1日")) == ["date None-10-1"]


@pytest.mark.parametrize("text", ["18到24度", "18~24度", "18-24", "十八至二十四度", "从18度到24度", "18度-24度"])
def test_ranges(text: str) -> None:
    assert values(find_ranges(text)) == ["range 18 to 24"]


def test_a_range_may_begin_below_zero() -> None:
    assert values(find_ranges("-5到5度")) == ["range -5 to 5"]
    assert values(find_ranges("-5--3度")) == ["range -5 to -3"]
    assert values(find_ranges("负5到5度")) == ["range -5 to 5"]


def test_what_has_an_end_that_is_no_number_is_no_range_and_no_ratio() -> None:
    assert find_ranges("百到千度") == find_ranges("5到百") == find_ranges("百到5") == []
    assert find_ratios("3比百") == find_ratios("百比3") == []


def test_ratios() -> None:
    assert values(find_ratios("3:2，三比二，12:1")) == ["ratio 3:2", "ratio 3:2", "ratio 12:1"]
    assert find_ratios("1:2:3") == []


@pytest.mark.parametrize(
    ("expected", "prompt", "value"),
    [
        ("6月1日", "儿童节是哪天？", "date -6-1"),
        ("6/1", "儿童节是几月几日？", "date -6-1"),
        ("3：2", "它们的比是多少？", "ratio 3:2"),
        ("3-5", "几岁到几岁？", "range 3 to 5"),
        ("小明", "谁最高？", None),
        ("3月5日", "哪里？", "date -3-5"),
        ("1949-10-01", "什么时候？", "date 1949-10-1"),
        ("10月1日", "1949年的国庆节是哪天？", "date -10-1"),
        ("6/1", "什么？", None),
        ("3:2", "多少？", None),
        ("3比2", "多少？", "ratio 3:2"),
        ("3到5之间", "多少？", "range 3 to 5"),
    ],
)
def test_which_of_them_a_task_expects(expected: str, prompt: str, value: str | None) -> None:
    read = [values(find(prepare(expected))) for find, prepare in finders_for(expected, prompt)]
    assert next((found[0] for found in read if found), None) == value


def test_a_date_is_read_with_its_year_where_the_expected_one_has_one() -> None:
    def date(prompt: str, text: str) -> list[Reading]:
        return values(finders_for("1949年10月1日", prompt)[0][0](text))

    assert date("哪天？", "1949年10月1日") == ["date 1949-10-1"]
    assert date("哪天？", "10月1日") == ["date None-10-1"]
    assert date("1949年，哪天？", "10月1日") == date("1949年，1949年", "10月1日") == ["date 1949-10-1"]
    assert date("1949年，1950年，哪天？", "10月1日") == ["date None-10-1"]
    assert len(finders_for("1949年10月1日", "与6月1日比")) == 3
