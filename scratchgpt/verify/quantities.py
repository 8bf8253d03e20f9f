"""Numbers with what they count: 12元5角, 十二块五, 1小时30分, 一米二, 三个半, and what unit a task asks for.

A bare number is taken to be in the unit that the task asks for. One in another unit counts only where the task leaves
the unit open: a table that is 1.2米 long is 120厘米 long, but 2.5米 is no answer to 合多少厘米.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from scratchgpt.verify.numerals import NumberMention, normalise, numbers_in, parse_number

_DIMENSIONS: dict[str, dict[str, Fraction]] = {
    "money": {
        **dict.fromkeys(("元", "块钱", "块", "圆"), Fraction(1)),
        **dict.fromkeys(("角钱", "毛钱", "角", "毛"), Fraction(1, 10)),
        **dict.fromkeys(("分钱", "分"), Fraction(1, 100)),
    },
    "length": {
        **dict.fromkeys(("千米", "公里", "km"), Fraction(1000)),
        **dict.fromkeys(("米", "公尺", "m"), Fraction(1)),
        **dict.fromkeys(("分米", "dm"), Fraction(1, 10)),
        **dict.fromkeys(("厘米", "公分", "cm"), Fraction(1, 100)),
        **dict.fromkeys(("毫米", "mm"), Fraction(1, 1000)),
    },
    "mass": {
        "吨": Fraction(1000),
        **dict.fromkeys(("千克", "公斤", "kg"), Fraction(1)),
        "斤": Fraction(1, 2),
        "两": Fraction(1, 20),
        **dict.fromkeys(("克", "g"), Fraction(1, 1000)),
    },
    "volume": {
        **dict.fromkeys(("毫升", "ml", "mL"), Fraction(1, 1000)),
        **dict.fromkeys(("升", "L"), Fraction(1)),
    },
    "time": {
        **dict.fromkeys(("小时", "钟头"), Fraction(3600)),
        **dict.fromkeys(("分钟", "分"), Fraction(60)),
        **dict.fromkeys(("秒钟", "秒"), Fraction(1)),
    },
    "days": {**dict.fromkeys(("星期", "周"), Fraction(7)), "天": Fraction(1)},
    "age": {"岁": Fraction(1)},
    "temperature": {"度": Fraction(1)},
}
_NAMES = sorted({name for units in _DIMENSIONS.values() for name in units}, key=len, reverse=True)
# 块 and 分 count money only beside other money: 31块饼干, 95分, 5分钟. 周 and 两 open other words.
_UNIT = re.compile(
    rf"[个 ]?({'|'.join(_NAMES)})(?![A-Za-z之数配饭粒素气空服组])(?<![周两](?=[一二三四五六日天个年人种者]))"
)
_HALF = re.compile(r"[个只条张本支杯碗瓶年倍箱包袋盒份页层圈]?半(?![径圆边价数天年月路岁])")
_HALF_ALONE = re.compile(r"(?<![一多大过前后上下\d])半(?=小时|个|天|年|米|斤|元|块)|一半|半数")
_TAIL_DECIMALS = frozenset(("元", "块", "米", "斤", "m"))
_AFTER_DECIMALS = re.compile(r"$|[。，！；？\n）整钱的高长宽深了左]")


class Unit(NamedTuple):
    """A unit of measure.

    Attributes:
        dimension: what it measures, such as ``length``.
        size: how many of the dimension's base units it is.
    """

    dimension: str
    size: Fraction


class Quantity(NamedTuple):
    """A number in a text with its unit.

    Attributes:
        start: its first character.
        end: the place after its last one; the unit is inside only where the number goes on behind it (12元5角).
        value: how many units.
        unit: the name of the unit as written, None for a bare number or one that counts things.
    """

    start: int
    end: int
    value: Fraction
    unit: str | None


def units_called(name: str) -> list[Unit]:
    """The units that a name can mean; 分 is of money and of time."""
    return [Unit(dimension, units[name]) for dimension, units in _DIMENSIONS.items() if name in units]


def _ratio_of(larger: str, smaller: str) -> Fraction | None:
    """How many of the smaller unit make the larger one; None if they do not measure the same."""
    sizes = (
        one.size / other.size
        for one in units_called(larger)
        for other in units_called(smaller)
        if one.dimension == other.dimension
    )
    return next(sizes, None)


def _same_amount(one: Quantity, other: Quantity) -> bool:
    size = _ratio_of(one.unit, other.unit) if one.unit and other.unit else None
    return size is not None and one.value * size == other.value


def _unit_at(text: str, place: int) -> tuple[str | None, int]:
    match = _UNIT.match(text, place)
    return (match[1], match.end()) if match else (None, place)


def quantities_in(text: str) -> list[Quantity]:
    """Every number in a normalised text with its unit, in order; what belongs together (1小时30分) is one quantity."""
    numbers = numbers_in(text)
    found: list[Quantity] = []
    for match in _HALF_ALONE.finditer(text):  # numbers_in reads 一半 as 一
        numbers = [number for number in numbers if number.end <= match.start() or number.start >= match.end()]
        numbers.append(NumberMention(match.start(), match.end(), Fraction(1, 2)))
    numbers.sort()
    index = 0
    while index < len(numbers):
        quantity, index = _quantity_from(text, numbers, index)
        found.append(quantity)
        while index < len(numbers) and numbers[index].start < quantity.end:  # the 半小时 of 一个半小时
            index += 1
    return found


def _quantity_from(text: str, numbers: list[NumberMention], index: int) -> tuple[Quantity, int]:
    """The quantity that begins with a number, and the index of the first number behind it."""
    start, end, value = numbers[index]
    index += 1
    sign = -1 if value < 0 else 1
    if (half := _HALF.match(text, end)) and text[end - 1] != "半":
        value, end = value + sign * Fraction(1, 2), half.end()
    unit, place = _unit_at(text, end)
    last, last_in_unit = unit, Fraction(1)  # the smallest unit so far, and how many of it make the first
    while unit is not None:
        if text.startswith("半", place):
            value, end = value + sign * Fraction(1, 2) / last_in_unit, place + 1
            break
        if text.startswith("零", place) and numbers[index : index + 1] == [(place, place + 1, 0)]:
            index, place = index + 1, place + 1  # 1小时零5分
        if index == len(numbers) or numbers[index].start != place or numbers[index].value < 0:
            break
        part = numbers[index]
        smaller, after = _unit_at(text, part.end)
        size = _ratio_of(unit, smaller) if smaller else None
        if size is not None and size > last_in_unit:
            value, end = value + sign * part.value / size, after
            last, last_in_unit, place, index = smaller, size, after, index + 1
            continue
        written = text[part.start : part.end]
        if (
            last in _TAIL_DECIMALS
            and re.fullmatch(r"\d{1,3}|[零〇一二三四五六七八九]{1,3}", written)
            and _AFTER_DECIMALS.match(text, part.end)
        ):
            digits = Fraction(int(part.value), 10 ** len(written))
            value, end, index = value + sign * digits / last_in_unit, part.end, index + 1
        break
    return Quantity(start, end, value, unit), index


@dataclass(frozen=True)
class Asked:
    """What a task asks a number to be given in.

    Attributes:
        unit: the name of the unit; None if the task names none.
        convertible: whether an answer in another unit of the dimension will do.
        counts: whether something is counted or measured, so that neither per cent nor another measure is an answer.
        form: ``percent``, ``decimal`` or ``fraction`` where the task wants that form.
        hundredths: whether a bare number means per cent.
    """

    unit: str | None = None
    convertible: bool = False
    counts: bool = False
    form: str | None = None
    hundredths: bool = False


ANY_NUMBER = Asked()
"""What a task asks for that names neither unit nor form."""

_ASKED_FORM = re.compile(
    r"(?:化|写|改写|换算|表示|转化|转换)(?:成|为|作)?(?:最简|带)?(百分|小|分)数|用(百分|小|分)数表示|(百分)之(?:几|多少)"
)
_FORMS = {"百分": "percent", "小": "decimal", "分": "fraction"}
_ASKED_UNIT = re.compile(
    rf"(?:多少|几)(?:({'|'.join(_NAMES)})(?![A-Za-z之数])|(钱)|([个只支本颗块条张棵人名位件辆朵页道盒瓶头次]))"
)


def asked_of(prompt: str, expected: str) -> Asked:
    """What the answer must be given in.

    Args:
        prompt: the question, normalised.
        expected: the right answer, normalised.
    """
    form = None
    for named in _ASKED_FORM.finditer(prompt):
        form = _FORMS[named[1] or named[2] or named[3]]
    hundredths = False
    if form == "percent" and _form_of(expected) != "percent":  # the task counts hundredths, or means a bare 0.5
        known = parse_number(expected)
        hundredths = known is not None and known >= 1
        form = form if hundredths else None
    elif form == "percent":
        hundredths = "百分之几" in prompt or "百分之多少" in prompt
    unit, counts, convertible = None, False, False
    for named in _ASKED_UNIT.finditer(prompt):
        unit, counts, convertible = named[1], True, bool(named[2])
        if named[2]:
            unit = "元"
        elif unit in ("块", "分", "两"):  # a piece, a mark, a pair, as like as not
            unit = None
    match quantities_in(expected):
        case [own] if own.unit is not None and (unit or not counts):
            unit, counts = own.unit, True
            convertible = not any(_same_amount(own, given) for given in quantities_in(prompt))
    return Asked(unit, convertible, counts, form, hundredths)


def _form_of(written: str) -> str:
    if "%" in written or "百分之" in written:
        return "percent"
    return "fraction" if "/" in written or "分之" in written else "decimal"


def value_as_asked(written: str, quantity: Quantity, asked: Asked) -> Hashable:
    """What a quantity is worth in the unit that is asked for; one that cannot be meant keeps its own unit or form.

    Args:
        written: the quantity as it stands in the text.
        quantity: its value and unit.
        asked: what the task asks for.
    """
    value, form = quantity.value, _form_of(written)
    if asked.form is not None:
        if asked.hundredths and form == "decimal":
            return value / 100
        whole = value.denominator == 1 and "percent" not in (form, asked.form)
        return value if form == asked.form or whole else (value, form)
    if asked.counts and form == "percent":
        return value, form
    if quantity.unit is None or not asked.counts:
        return value
    if asked.unit is None:
        return value if quantity.unit in ("块", "分", "两", "毛", "m", "g", "L", "度") else (value, quantity.unit)
    size = _ratio_of(quantity.unit, asked.unit)
    if size is None or (size != 1 and not asked.convertible):
        return value, quantity.unit
    return value * size


def quantity_finder(asked: Asked) -> Callable[[str], list[tuple[int, int, Hashable]]]:
    """Lists the numbers of a normalised text where they stand, each worth what it is in what was asked for."""

    def find(text: str) -> list[tuple[int, int, Hashable]]:
        return [
            (quantity.start, quantity.end, value_as_asked(text[quantity.start : quantity.end], quantity, asked))
            for quantity in quantities_in(text)
        ]

    return find


def parse_quantity(text: str, asked: Asked) -> Hashable | None:
    """The value of a text that is one quantity, perhaps with a word behind it (42个, 1小时30分); None otherwise."""
    clean = normalise(text)
    match quantity_finder(asked)(clean):
        case [(0, end, value)] if re.fullmatch(r"(?: ?[^\d\W]){0,4}", clean[end:]):
            return value
    return None
