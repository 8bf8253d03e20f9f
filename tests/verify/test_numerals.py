"""Numbers in Chinese text: one spelling for each sign, exact values, and words that only look like numbers."""

from __future__ import annotations

import sys
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.verify.numerals import LONGEST_NUMERAL, han_integer, normalise, numbers_in, parse_number


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
    ],
)
def test_numbers_and_where_they_stand(text: str, found: list[tuple[str, Fraction]]) -> None:
    normal = normalise(text)
    assert [(normal[m.start : m.end], m.value) for m in numbers_in(normal)] == found


@pytest.mark.parametrize("number", [*range(0, 130), 1001, 2030, 10_500, 99_999])
def test_every_integer_is_read_back_from_its_han_spelling(number: int) -> None:
    assert han_integer(spelled(number)) == number


def spelled(number: int) -> str:
    """The formal Chinese spelling of an integer below 100,000."""
    if number == 0:
        return "零"
    written, zero = "", False
    for unit, name in ((10_000, "万"), (1000, "千"), (100, "百"), (10, "十"), (1, "")):
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
