"""Numbers with what they count, and the unit that a task asks for."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.verify.numerals import normalise, numbers_in
from scratchgpt.verify.quantities import (
    ANY_NUMBER,
    Asked,
    Unit,
    asked_of,
    parse_quantity,
    quantities_in,
    quantity_finder,
    units_called,
    value_as_asked,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12元5角", [("12元5角", Fraction(25, 2), "元")]),
        ("十二块五", [("十二块五", Fraction(25, 2), "块")]),
        ("七元零五分", [("七元零五分", Fraction(141, 20), "元")]),
        ("12块05", [("12块05", Fraction(241, 20), "块")]),
        ("12元5支", [("12", 12, "元"), ("5", 5, None)]),
        ("5角12元", [("5", 5, "角"), ("12", 12, "元")]),
        ("1小时30分", [("1小时30分", Fraction(3, 2), "小时")]),
        ("1个小时零5分钟", [("1个小时零5分钟", Fraction(13, 12), "小时")]),
        ("1小时半", [("1小时半", Fraction(3, 2), "小时")]),
        ("一个半小时", [("一个半", Fraction(3, 2), "小时")]),
        ("半小时", [("半", Fraction(1, 2), "小时")]),
        ("一半", [("一半", Fraction(1, 2), None)]),
        ("三个半", [("三个半", Fraction(7, 2), None)]),
        ("半径3米", [("3", 3, "米")]),
        ("一米七五", [("一米七五", Fraction(7, 4), "米")]),
        ("1米20厘米", [("1米20厘米", Fraction(6, 5), "米")]),
        ("-1米20厘米", [("-1米20厘米", -Fraction(6, 5), "米")]),
        ("2斤3两", [("2斤3两", Fraction(23, 10), "斤")]),
        ("5米3元", [("5", 5, "米"), ("3", 3, "元")]),
        ("42个", [("42", 42, None)]),
        ("3米饭", [("3", 3, None)]),
        ("没有", []),
    ],
)
def test_numbers_with_their_units(text: str, found: list[tuple[str, Fraction, str | None]]) -> None:
    assert [(text[q.start : q.end], q.value, q.unit) for q in quantities_in(text)] == found


def test_a_unit_may_measure_two_things() -> None:
    assert units_called("分") == [Unit("money", Fraction(1, 100)), Unit("time", Fraction(60))]
    assert units_called("个") == []


@pytest.mark.parametrize(
    ("prompt", "expected", "asked"),
    [
        ("15+27=？", "42", ANY_NUMBER),
        ("有多少个苹果？", "42", Asked(counts=True)),
        ("有多少块饼干？", "42", Asked(counts=True)),
        ("绳子长多少米？", "3", Asked("米", counts=True)),
        ("绳子有多长？", "3米", Asked("米", convertible=True, counts=True)),
        ("300厘米合多少米？", "3米", Asked("米", counts=True)),
        ("要多少钱？", "3", Asked("元", convertible=True, counts=True)),
        ("占百分之几？", "50", Asked(form="percent", hundredths=True)),
        ("占百分之几？", "50%", Asked(form="percent", hundredths=True)),
        ("占百分之几？", "0.5", ANY_NUMBER),
        ("把0.5化成百分数。", "50%", Asked(form="percent")),
        ("把50%化成小数。", "0.5", Asked(form="decimal")),
        ("把0.5写成最简分数。", "1/2", Asked(form="fraction")),
    ],
)
def test_what_a_task_asks_for(prompt: str, expected: str, asked: Asked) -> None:
    assert asked_of(prompt, expected) == asked


@pytest.mark.parametrize(
    ("text", "asked", "value"),
    [
        ("50厘米", ANY_NUMBER, 50),
        ("50厘米", Asked("米", counts=True), (50, "厘米")),
        ("50厘米", Asked("米", convertible=True, counts=True), Fraction(1, 2)),
        ("50克", Asked("米", convertible=True, counts=True), (50, "克")),
        ("50公分", Asked("厘米", counts=True), 50),
        ("50米", Asked(counts=True), (50, "米")),
        ("50块", Asked(counts=True), 50),
        ("50", Asked("米", counts=True), 50),
        ("50%", Asked("米", counts=True), (Fraction(1, 2), "percent")),
        ("50%", ANY_NUMBER, Fraction(1, 2)),
        ("50", Asked(form="percent", hundredths=True), Fraction(1, 2)),
        ("0.5", Asked(form="percent"), (Fraction(1, 2), "decimal")),
        ("1/2", Asked(form="decimal"), (Fraction(1, 2), "fraction")),
        ("2", Asked(form="fraction"), 2),
    ],
)
def test_what_a_quantity_is_worth_where_a_unit_is_asked_for(text: str, asked: Asked, value: object) -> None:
    assert value_as_asked(text, quantities_in(text)[0], asked) == value
    assert [found[2] for found in quantity_finder(asked)(text)] == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12元5角", Fraction(25, 2)), ("１２.５元", Fraction(25, 2)), ("42个", 42), ("3元和5元", None), ("共3元", None)],
)
def test_a_text_that_is_one_quantity(text: str, value: Fraction | None) -> None:
    assert parse_quantity(text, ANY_NUMBER) == value


@given(st.text(st.sampled_from("0123456789.,+-×÷=个支本有是共 一二三十百零")))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_where_no_unit_stands_quantities_are_the_numbers(text: str) -> None:
    text = normalise(text)
    assert [(q.start, q.end, q.value) for q in quantities_in(text)] == [tuple(number) for number in numbers_in(text)]


@given(
    st.lists(st.sampled_from([*"1五半零个元角米时点，", "小时", "分钟", "厘米", "12", "一半"]), max_size=20).map(
        "".join
    )
)
@settings(max_examples=500, deadline=None, derandomize=True)
def test_quantities_stand_in_order_and_apart(text: str) -> None:
    found = quantities_in(text)
    assert all(q.start < q.end for q in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
