"""Numbers in Chinese text: one spelling for each sign, exact values, and words that only look like numbers."""

from __future__ import annotations

import sys
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.verify.numerals import (
    LONGEST_NUMERAL,
    han_integer,
    integer_in,
    join_thousands,
    normalise,
    numbers_in,
    parse_number,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("４２", "42"),
        ("１，２３４", "1,234"),
        ("−3", "-3"),
        ("3 + 4 == 7", "3+4=7"),
        ("3 \\times 4 \\div 2", "3×4÷2"),
        ("$\\frac{1}{2}$", "1/2"),
        ("\\boxed{7}", "答案是7。"),
        ("**42**", "42"),
        ("“是”", "是"),
        ("【答案】5", "答案：5"),
        ("答案: 42.", "答案：42。"),
        ("1.5.", "1.5。"),
        ("12：30", "12:30"),
        ("a,b!", "a，b！"),
        ("(3)", "（3）"),
        ("٤٢", "42"),
        ("१२.५", "12.5"),
        ("٤٫٥", "4.5"),
        ("4²", "4^2"),
        ("5m²，H₂O", "5m，HO"),
        ("3½", "3又1/2"),
        ("hello  world", "hello world"),
        ("  你 好\n再见 ", "你好\n再见"),
        # numerals as a bank writes them, and the traditional characters
        ("壹贰叁肆伍陆柒捌玖拾佰仟貳參陸", "一二三四五六七八九十百千二三六"),
        ("登陆，大陆", "登陆，大陆"),
        ("三萬兩千億點週", "三万两千亿点周"),
        ("廿五，卅", "二十五，三十"),
        # what stands before or behind a number
        ("零下5，零下五，零下雨", "负5，负五，零下雨"),
        ("零上5，零上五", "5，五"),
        ("人民币5，人民币五十，人民币", "5，五十，人民币"),
        ("5℃，5°C，5° C，5°，五摄氏度", "5度，5度，5度，5度，五度"),
        ("¥5，￥1,234.5，RMB 5元，cny5", "5元，1,234.5元，5元，5元"),
        ("3 p.m.，11A.M.", "3 pm，11Am"),
        # mark-up
        ("1{,}234，1\\,234", "1,234，1,234"),
        ("5\\text{cm}，\\mathrm{km}，\\textbf{是}", "5cm，km，是"),
        ("\\(3\\)，\\[4\\]", "3，4"),
        ("50\\%", "50%"),
        ("\\dfrac{3}{4}，\\tfrac{1}{5}", "3/4，1/5"),
        ("「3」『4』《5》$6$`7`", "34567"),
        ("3–2，5✕4，1⁄2，1٬234", "3-2，5×4，1/2，1,234"),
        # marks between digits and marks between words
        ("1,234,567，1,23，12,a", "1,234,567，1，23，12，a"),
        ("a;b?c!", "a；b？c！"),
        ("3：2，13：05，1+13：05", "3：2，13:05，1+13：05"),
        ("3:2，答:5，5:好", "3:2，答：5，5：好"),
        (".5，=.5，a.5，5.a", "0.5，=0.5，a。5，5。a"),
        ("1 1/2，1 1", "1又1/2，1 1"),
        ("a b，a 好，好 1", "a b，a好，好1"),
    ],
)
def test_one_spelling_for_each_sign(text: str, normal: str) -> None:
    assert normalise(text) == normal
    assert normalise(normal) == normal


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
        ("零", 0),
        ("〇", 0),
        ("两", 2),
        ("一三五", 135),
        ("零五", 5),
        ("两两", None),
        ("二两", None),
        ("十五", 15),
        ("二十五", 25),
        ("百二", 120),
        ("百二十", 120),
        ("百零五", 105),
        ("百万", None),
        ("百十", None),
        ("千二", None),
        ("万", None),
        ("零万", None),
        ("一百百", None),
        ("一百零百", None),
        ("二三十", None),
        ("两百", 200),
        ("两千五", 2500),
        ("一千零五", 1005),
        ("一千零五十", 1050),
        ("一千〇五", 1005),
        ("一千零五百", 1500),
        ("十二万", 120_000),
        ("三万零五", 30_005),
        ("一万零五十", 10_050),
        ("三亿五", 350_000_000),
        ("三亿零五", 300_000_005),
        ("三亿五千万", 350_000_000),
        ("三亿五千万零二", 350_000_002),
        ("三万五千亿", 3_500_000_000_000),
        ("两万亿", 2_000_000_000_000),
        ("三亿万", None),
        ("一万一万", 20_000),
        ("三亿二亿", 500_000_000),
    ],
)
def test_chinese_integers(text: str, value: int | None) -> None:
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
        ("3½", Fraction(7, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("4²", None),
        ("9" * 300, 10**300 - 1),
        ("9" * 301, None),
        ("一百二十三点零五", Fraction(12305, 100)),
        ("三点五万", 35_000),
        ("二点五万亿", 2_500_000_000_000),
        ("3.5万", 35_000),
        ("3万亿", 3_000_000_000_000),
        ("2百", 200),
        ("3亿5000万", 350_000_000),
        ("3亿零500万", 305_000_000),
        ("1万2千", 12_000),
        ("1.5万2千", 17_000),
        ("3千2百5十", 3_250),
        ("3万5000", 35_000),
        ("3万零5", 30_005),
        ("5千3万", None),
        ("1万1万", None),
        ("1千10百", None),
        ("百分之百", None),
        ("百分之一百", 1),
        ("一百分之三", Fraction(3, 100)),
        ("2又3分之1", Fraction(7, 3)),
        ("二又三分之一", Fraction(7, 3)),
        ("2又1/3", Fraction(7, 3)),
        ("零分之一", None),
        ("万分之一", None),
        ("三分之百", None),
        ("百又三分之一", None),
        ("3/0", None),
        ("4/2", None),
        ("6/4", Fraction(3, 2)),
        ("-3/4", Fraction(-3, 4)),
        ("+3", 3),
        ("正三", 3),
        ("负百分之五", Fraction(-1, 20)),
        ("零下三", -3),
        ("100000", 100_000),
        ("0", 0),
        ("3平方厘米", 3),
        ("3平方厘米长", None),
        ("共3", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_parse_number(text: str, value: Fraction | int | None) -> None:
    assert parse_number(text) == value


def test_numerals_inside_other_words_are_no_numbers() -> None:
    for text in ("一共", "第三", "星期五", "周二", "一定", "两个数", "礼拜一"):
        assert not numbers_in(normalise(text)), text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("一共3个，还有三分之二", [("3", 3), ("三分之二", Fraction(2, 3))]),
        ("1,234.5和-5", [("1,234.5", Fraction(2469, 2)), ("-5", -5)]),
        ("5-3", [("5", 5), ("3", 3)]),
        ("百分之五、50%、3千", [("百分之五", Fraction(1, 20)), ("50%", Fraction(1, 2)), ("3千", 3000)]),
        ("1又1/2", [("1又1/2", Fraction(3, 2))]),
        ("84/2", []),
        ("第4个，3个数", []),
        ("第4又5", [("5", 5)]),
        ("3-5，三-五", [("3", 3), ("5", 5), ("三", 3), ("五", 5)]),
        ("一", [("一", 1)]),
        ("三者，三人", [("三", 3)]),
        ("两种，二种", [("二", 2)]),
        ("个数3", [("3", 3)]),
        ("十一般，一般", [("十一", 11)]),
    ],
)
def test_numbers_and_where_they_stand(text: str, found: list[tuple[str, Fraction]]) -> None:
    normal = normalise(text)
    assert [(normal[m.start : m.end], m.value) for m in numbers_in(normal)] == found


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("1，234", "1,234"),
        ("1，234，567个", "1,234,567个"),
        ("一共1，234个苹果。", "一共1,234个苹果。"),
        ("加起来，是1，234", "加起来，是1,234"),
        ("1，234个，对吗", "1,234个，对吗"),
        ("答：1，234", "答：1,234"),
        ("2个1，234", "2个1,234"),
        ("5000+5109=10，109", "5000+5109=10,109"),
        ("先得5。是1，234；又是2，345\n3，456！", "先得5。是1,234；又是2,345\n3,456！"),
        # a step and the answer, or two answers
        ("先得5，是1，234", "先得5，是1，234"),
        ("5加0，得1，是好，1，234", "5加0，得1，是好，1，234"),
        ("1，234个，剩5", "1，234个，剩5"),
        ("1，234个，好，剩5", "1，234个，好，剩5"),
        ("第2题：1，234", "第2题：1，234"),
        ("个位：2，234", "个位：2,234"),
        ("1，23", "1，23"),
        ("0，234", "0，234"),
        ("1234，567", "1234，567"),
        ("十位：2+8=10，109", "十位：2+8=10，109"),
        ("1，234，5", "1，234，5"),
        ("好", "好"),
        ("", ""),
    ],
)
def test_thousands_with_a_chinese_comma_are_joined_where_nothing_else_is_a_number(text: str, joined: str) -> None:
    assert join_thousands(text) == joined


HAN_INTEGERS = [*range(0, 130), 1001, 2030, 10_500, 99_999, 120_000, 10**6 + 20, 10_010_500, 10**8 + 5, 123_456_789_012]


@pytest.mark.parametrize("number", HAN_INTEGERS)
def test_every_integer_is_read_back_from_its_han_spelling(number: int) -> None:
    assert han_integer(spelled(number)) == number


def spelled(number: int) -> str:
    """The formal Chinese spelling of an integer below 10**12."""
    if number == 0:
        return "零"
    for unit, name in ((10**8, "亿"), (10**4, "万")):
        if number >= unit:
            counted, rest = divmod(number, unit)
            between = "零" if 0 < rest < unit // 10 else ""
            return spelled(counted) + name + between + (spelled(rest) if rest else "")
    written, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            written += ("零" if zero and written else "") + "零一二三四五六七八九"[digit] + name
        zero = not digit
    return written


DECIMAL_DIGITS = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isdecimal()]


def test_the_digits_of_every_script_are_read() -> None:
    assert len(DECIMAL_DIGITS) > 600
    for digit in DECIMAL_DIGITS:
        assert parse_number(f"4{digit}") == 40 + unicodedata.decimal(digit), hex(ord(digit))


@given(st.text(st.sampled_from(DECIMAL_DIGITS), min_size=1, max_size=LONGEST_NUMERAL))
@settings(deadline=None, derandomize=True)
def test_a_numeral_in_any_mixture_of_scripts_is_what_its_digits_say(text: str) -> None:
    plain = 0
    for digit in text:
        plain = 10 * plain + unicodedata.decimal(digit)
    assert parse_number(text) == plain


@given(st.text())
@settings(max_examples=500, deadline=None, derandomize=True)
def test_no_text_breaks_the_reading_of_numbers(text: str) -> None:
    for mention in numbers_in(text) + numbers_in(normalise(text)):
        assert isinstance(mention.value, Fraction)


def test_digits_of_other_scripts_are_left_alone_where_nobody_has_normalised_them() -> None:
    assert numbers_in("٤٢") == []


def test_the_first_integer() -> None:
    assert [integer_in(text) for text in ("第3.9个和5个，7", "十二分", "一共", "", None)] == [5, 12, 0, 0, 0]
