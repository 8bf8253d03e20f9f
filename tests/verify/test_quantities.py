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
        # halves
        ("3半", [("3半", Fraction(7, 2), None)]),
        ("三年半", [("三年半", Fraction(7, 2), None)]),
        ("-3个半", [("-3个半", -Fraction(7, 2), None)]),
        ("0个半", [("0个半", Fraction(1, 2), None)]),
        ("0.5个半", [("0.5个半", Fraction(1), None)]),
        ("一半半", [("一半", Fraction(1, 2), None)]),
        ("一半3个", [("一半", Fraction(1, 2), None), ("3", 3, None)]),
        ("3一半", [("3", 3, None), ("一半", Fraction(1, 2), None)]),
        ("5支，半小时，2支", [("5", 5, None), ("半", Fraction(1, 2), "小时"), ("2", 2, None)]),
        ("一个半小时5个", [("一个半", Fraction(3, 2), "小时"), ("5", 5, None)]),
        ("-5度半", [("-5度半", -Fraction(11, 2), "度")]),
        ("1小时20分半", [("1小时20分半", Fraction(161, 120), "小时")]),
        ("-1小时20分半", [("-1小时20分半", -Fraction(161, 120), "小时")]),
        # parts in ever smaller units
        ("1小时30分20秒", [("1小时30分20秒", Fraction(5420, 3600), "小时")]),
        ("1小时30秒20分", [("1小时30秒", Fraction(3630, 3600), "小时"), ("20", 20, "分")]),
        ("-12元5角3分", [("-12元5角3分", -Fraction(1253, 100), "元")]),
        ("0元5角", [("0元5角", Fraction(1, 2), "元")]),
        ("0.5元5角", [("0.5元5角", Fraction(1), "元")]),
        ("5元0.5角", [("5元0.5角", Fraction(101, 20), "元")]),
        ("5元-3角", [("5", 5, "元"), ("-3", -3, "角")]),
        ("1米5米", [("1", 1, "米"), ("5", 5, "米")]),
        ("1小时0分", [("1小时0分", Fraction(1), "小时")]),
        ("1小时零", [("1", 1, "小时")]),
        ("1小时零5个", [("1", 1, "小时"), ("5", 5, None)]),
        ("1小时，5分", [("1", 1, "小时"), ("5", 5, "分")]),
        ("1小时30分5个", [("1小时30分", Fraction(3, 2), "小时"), ("5", 5, None)]),
        ("5分30秒", [("5分30秒", Fraction(11, 2), "分")]),
        ("5元3分", [("5元3分", Fraction(503, 100), "元")]),
        ("1天5小时", [("1", 1, "天"), ("5", 5, "小时")]),
        ("1周3天", [("1周3天", Fraction(10, 7), "周")]),
        # digits behind the last unit
        ("-1米75", [("-1米75", -Fraction(7, 4), "米")]),
        ("1米753", [("1米753", Fraction(1753, 1000), "米")]),
        ("1米7534", [("1", 1, "米"), ("7534", 7534, None)]),
        ("1千米2米5", [("1千米2米5", Fraction(10025, 10000), "千米")]),
        ("-1千米2米5", [("-1千米2米5", -Fraction(10025, 10000), "千米")]),
        ("12元5角3", [("12元5角", Fraction(25, 2), "元"), ("3", 3, None)]),
        ("5千克3", [("5", 5, "千克"), ("3", 3, None)]),
        ("十二块五，5个", [("十二块五", Fraction(25, 2), "块"), ("5", 5, None)]),
        ("没有", []),
    ],
)
def test_numbers_with_their_units(text: str, found: list[tuple[str, Fraction, str | None]]) -> None:
    assert [(text[q.start : q.end], q.value, q.unit) for q in quantities_in(text)] == found


UNITS = """
money: 元 1, 块钱 1, 块 1, 圆 1, 角 1/10, 角钱 1/10, 毛 1/10, 毛钱 1/10, 分 1/100, 分钱 1/100
length: 千米 1000, 公里 1000, km 1000, 米 1, 公尺 1, m 1, 分米 1/10, dm 1/10, 厘米 1/100, 公分 1/100, cm 1/100
length: 毫米 1/1000, mm 1/1000
mass: 吨 1000, 千克 1, 公斤 1, kg 1, 斤 1/2, 两 1/20, 克 1/1000, g 1/1000
volume: 升 1, L 1, 毫升 1/1000, ml 1/1000, mL 1/1000
time: 小时 3600, 钟头 3600, 分 60, 分钟 60, 秒 1, 秒钟 1
days: 星期 7, 周 7, 天 1
age: 岁 1
temperature: 度 1
"""
SIZES = [
    (dimension, *entry.split())
    for dimension, _, entries in (line.partition(": ") for line in UNITS.strip().splitlines())
    for entry in entries.split(", ")
]


@pytest.mark.parametrize(("dimension", "name", "size"), SIZES)
def test_how_large_each_unit_is(dimension: str, name: str, size: str) -> None:
    assert Unit(dimension, Fraction(size)) in units_called(name)
    assert len(units_called(name)) == (2 if name == "分" else 1)
    base = next(other for measured, other, one in SIZES if measured == dimension and one == "1")
    asked = Asked(base, convertible=True, counts=True)
    if name != "两":  # 3两 is no three pairs: numbers take it for a numeral
        assert [found[2] for found in quantity_finder(asked)(f"3{name}")] == [3 * Fraction(size)]


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
        ("用小数表示。", "0.5", Asked(form="decimal")),
        ("先化成小数，再化成百分数。", "50%", Asked(form="percent")),
        ("把0.5化成百分数。", "1/2", ANY_NUMBER),
        ("占百分之几？", "1", Asked(form="percent", hundredths=True)),
        ("占百分之几？", "百分之五十", Asked(form="percent", hundredths=True)),
        ("占百分之多少？", "50%", Asked(form="percent", hundredths=True)),
        ("占百分之几？", "很多", ANY_NUMBER),
        ("先用多少米？再用多少元？", "3", Asked("元", counts=True)),
        ("得了几分？", "95分", Asked(counts=True)),
        ("要多少两？", "3", Asked(counts=True)),
        ("有多少个？", "3米", Asked(counts=True)),
        ("要多少钱？", "5角", Asked("角", convertible=True, counts=True)),
        ("绳子有多长？", "3米和5米", ANY_NUMBER),
        ("50厘米和60厘米，合多少米？", "0.5米", Asked("米", counts=True)),
        ("60厘米加20厘米长多少米？", "0.5米", Asked("米", convertible=True, counts=True)),
        ("50克重，50个，长多少米？", "50米", Asked("米", convertible=True, counts=True)),
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
        ("0.5", Asked(form="decimal"), Fraction(1, 2)),
        ("二分之一", Asked(form="fraction"), Fraction(1, 2)),
        ("百分之五十", Asked(form="percent"), Fraction(1, 2)),
        ("50%", Asked(form="percent", hundredths=True), Fraction(1, 2)),
        ("1/2", Asked(form="percent", hundredths=True), (Fraction(1, 2), "fraction")),
        ("2", Asked(form="percent"), (2, "decimal")),
        ("200%", Asked(form="decimal"), (2, "percent")),
        ("50厘米", Asked("厘米", counts=True), 50),
        ("50毛", Asked(counts=True), 50),
        ("5元", Asked("角", convertible=True, counts=True), 50),
        ("50米", Asked("千米"), 50),
    ],
)
def test_what_a_quantity_is_worth_where_a_unit_is_asked_for(text: str, asked: Asked, value: object) -> None:
    assert value_as_asked(text, quantities_in(text)[0], asked) == value
    assert [found[2] for found in quantity_finder(asked)(text)] == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12元5角", Fraction(25, 2)),
        ("１２.５元", Fraction(25, 2)),
        ("42个", 42),
        ("3元和5元", None),
        ("共3元", None),
        ("3 a b c", 3),
        ("3好好好好", 3),
        ("3好好好好好", None),
        ("3，", None),
        ("", None),
    ],
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
