"""Answers that are dates, ratios or ranges: 6月1日, 六月一号, 1949-10-01; 3:2, 三比二; 18到24度, 18~24℃."""

from __future__ import annotations

import re
from collections.abc import Callable

from scratchgpt.verify.answers import Reading
from scratchgpt.verify.numerals import integer_in, numbers_in
from scratchgpt.verify.readers import Mention, pattern_finder

Find = Callable[[str], list[Mention]]
"""Lists the answers of one kind in a text, in order."""

_HAN_NUMBER = r"[\d零〇一二两三四五六七八九十]"
_DATE = re.compile(
    rf"(?<![\d零〇一二三四五六七八九十./-])(?:(?P<year>(?:{_HAN_NUMBER}{{4}})|\d\d)年)?"
    rf"(?P<month>{_HAN_NUMBER}{{1,3}})月(?:份的?)?(?P<day>{_HAN_NUMBER}{{1,3}})[日号]?"
    r"|(?<![\d./-])(?P<iso_year>\d{4})[-/.](?P<iso_month>\d{1,2})[-/.](?P<iso_day>\d{1,2})(?![\d/.-])"
    r"|(?<![\d./-])(?P<short_month>\d{1,2})[-/](?P<short_day>\d{1,2})(?![\d/.-])"
)
_RANGE_END = r"(?:\d+(?:\.\d+)?|[零一二两三四五六七八九十百千万]+)"
_RANGE = re.compile(
    rf"从?(?P<sign>(?<![\d度])[-负])?(?P<low>{_RANGE_END})(?P<unit>[^\d\W零一二两三四五六七八九十百千万到至]{{0,2}})"
    rf"(?:到|至|~+|-)(?P<minus>[-负])?(?P<high>{_RANGE_END})(?P<last>[^\d\W，到至之或和]{{0,2}})(?:之?间)?"
)
_RATIO = re.compile(rf"(?<![\d:])(?P<left>{_RANGE_END})(?:[:∶：比])(?P<right>{_RANGE_END})(?![\d:])")


def date_finder(default_year: int | None, with_year: bool) -> Callable[[str], list[Mention]]:
    """A ``find`` for dates such as 6月1日, 六月一号, 1949-10-01.

    Args:
        default_year: the year of a date that names none.
        with_year: whether the year counts.
    """

    def value_of(match: re.Match[str]) -> Reading:
        year = integer_in(match["year"] or match["iso_year"]) or default_year
        month = integer_in(match["month"] or match["iso_month"] or match["short_month"])
        day = integer_in(match["day"] or match["iso_day"] or match["short_day"])
        if not 1 <= month <= 12 or not 1 <= day <= 31:
            return None
        return f"date {year if with_year else ''}-{month}-{day}"

    return pattern_finder(_DATE, value_of)


def _signed(sign: str | None, number: str) -> Reading:
    match numbers_in(number):
        case [found]:
            return -found.value if sign else found.value
    return None


def _range_value(match: re.Match[str]) -> Reading:
    low, high = _signed(match["sign"], match["low"]), _signed(match["minus"], match["high"])
    return None if low is None or high is None else f"range {low} to {high}"


def _ratio_value(match: re.Match[str]) -> Reading:
    left, right = _signed(None, match["left"]), _signed(None, match["right"])
    return None if left is None or right is None else f"ratio {left}:{right}"


find_ranges = pattern_finder(_RANGE, _range_value)
"""The ranges in a text, such as ``range 18 to 24``."""
find_ratios = pattern_finder(_RATIO, _ratio_value)
"""The ratios in a text, such as ``ratio 3:2``."""

_DATE_ASKED = re.compile(r"几月|几号|几日|哪一?[天日]|日期|生日|节|\bdate\b|what day")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[：∶](?=\d)")


def finders_for(expected: str, prompt: str) -> list[tuple[Find, Callable[[str], str]]]:
    """The finders of dates, ratios and ranges that may fit a task, each with what is done to a text before.

    Args:
        expected: the right answer, normalised.
        prompt: the question, normalised.
    """
    years = set(re.findall(r"(\d{4})年", prompt))
    with_year = bool(re.match(rf"{_HAN_NUMBER}{{4}}[年/.-]", expected))
    dates = date_finder(int(years.pop()) if len(years) == 1 else None, with_year)
    found: list[tuple[Find, Callable[[str], str]]] = []
    if "月" in expected or with_year or _DATE_ASKED.search(prompt):
        found.append((dates, str))
    if "比" in prompt + expected:
        found.append((find_ratios, lambda text: _BETWEEN_DIGITS.sub(":", text)))
    return [*found, (find_ranges, lambda text: text.replace("之间", ""))]
