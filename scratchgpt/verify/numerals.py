"""Numbers as people write them: 42, ４２, 1,234, -3, 3/4, 50%, 四十二, 肆拾贰, 零下三, 三分之二, 百分之五十.

Values are exact (``fractions.Fraction``), so that 42, 42.0 and 四十二 are the same answer.
"""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction
from functools import cache
from typing import NamedTuple

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_HAN = "(?:(?!千[克米瓦])[零〇一二两三四五六七八九十百千万亿])+"  # 三千克 is three kilograms
_SCALE = "(?:(?!千[克米瓦])[百千万亿])+"
_SCALE_OF_PART = "(?:(?!千[克米瓦])[十百千万亿])+"
_ARABIC = r"(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?"
_ONE = rf"(?:{_ARABIC}|{_HAN})"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\d零一二三四五六七八九十百千万)）])[-+]|负|正)?(?:"
    rf"百分之(?P<hundredths>{_ONE})"
    rf"|(?:(?P<whole>{_ONE})又)?(?P<under>{_ONE})分之(?P<over>{_ONE})"
    rf"|(?:(?P<mixed>\d+)又)?(?P<numerator>\d+)/(?P<denominator>\d+)"
    rf"|(?P<parts>(?:\d+(?:\.\d+)?{_SCALE_OF_PART}){{1,9}}零?\d+(?:\.\d+)?{_SCALE_OF_PART}|\d+[万亿]零?\d{{1,8}})(?![\d.,])"
    rf"|(?P<arabic>{_ARABIC})(?P<scale>%|{_SCALE})?"
    rf"|(?P<han>{_HAN})(?:点(?P<decimals>[零〇一二三四五六七八九]+)(?P<times>[万亿]+)?)?)",
    re.ASCII,
)
LONGEST_NUMERAL = 300
"""Characters; what is longer is nobody's answer, and Python itself refuses to convert 4,300 digits."""
# Characters that turn a numeral before or after them into another word: 第一, 周三, 一共, 两者.
_NOT_BEFORE = "第周期拜初"
_NOT_AFTER = {
    "一": "共定样起些下步般旦直种者切律致向面方边旁",
    "两": "者数边旁面位种",
    "二": "者",
    "三": "者",
    "十": "分",
    "万": "一",
}
_KEEP = set("，；：。！？、（）")
# Numerals as a bank writes them, and traditional characters of the words that the readers know. 廿 is 二十.
_FORMAL = dict(zip("壹贰叁肆伍陆柒捌玖拾佰仟貳參陸", "一二三四五六七八九十百千二三六", strict=True))
_FORMAL_RUN = re.compile(rf"(?<![大登着内队退入收])[{''.join(_FORMAL)}]+(?![地续军起])")
_ONE_CHARACTER = str.maketrans(
    "萬億兩點負週禮對錯沒無會個從為應該數錢雙單確塊時間後斷種條還剩幾",
    "万亿两点负周礼对错没无会个从为应该数钱双单确块时间后断种条还剩几",
)
_SHORTHAND = {"廿": "二十", "卅": "三十"}
_RAISED = "⁰¹²³⁴-⁹"


class NumberMention(NamedTuple):
    """A number in a text.

    Attributes:
        start: its first character.
        end: the place after its last one.
        value: what it is worth, exactly.
    """

    start: int
    end: int
    value: Fraction


@cache
def _plain_spelling(character: str) -> str:
    """A character as it is most plainly written: half-width, and a digit of any script as that of ASCII."""
    plain = unicodedata.normalize("NFKC", character)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def normalise(text: str) -> str:
    """Text with one spelling for each sign: half-width digits and operators, full-width Chinese punctuation.

    Digits of every script become those of ASCII (٤٢ is 42), 3½ becomes 3又1/2. An exponent is no digit of the number
    before it: 4² becomes 4^2, and m² becomes m. Mark-up (bold, LaTeX, quotation marks) goes, and spaces except those
    between two letters or digits.
    """
    text = re.sub(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))", ",", text)
    text = re.sub(rf"(?<=\d)(?=[{_RAISED}])", "^", text)
    text = re.sub(rf"(?<![\^{_RAISED}])[{_RAISED}]+|[₀-₉]+", "", text)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞↉])", "又", text)
    text = "".join(c if c in _KEEP else _plain_spelling(c) for c in text).translate(_ONE_CHARACTER)
    text = _FORMAL_RUN.sub(lambda match: "".join(_FORMAL[c] for c in match[0]), text)
    text = re.sub("[廿卅]", lambda match: _SHORTHAND[match[0]], text)
    text = re.sub(r"零下(?=[\d一二两三四五六七八九十百])", "负", text)
    text = re.sub(r"人民币(?=[\d一二两三四五六七八九十百])", "", text)
    text = re.sub(r"零上(?=[\d一二两三四五六七八九十百])", "", text)
    text = re.sub(r"° ?C|摄氏度|°", "度", text)
    text = re.sub(rf"(?:¥|(?i:RMB|CNY) ?)({_ARABIC})元?", r"\1元", text)
    text = re.sub(r"(?i)(?<=\d)( ?)([ap])\.m\.?", r"\1\2m", text)
    text = re.sub(r"(?<=\d)(?:\{,\}|\\,)(?=\d{3})", ",", text)
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[()\[\],%]", lambda match: "%" if match[0] == "\\%" else "", text)
    text = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    text = re.sub(r"\\boxed\{([^{}]*)\}", r"答案是\1。", text)
    text = text.replace("\\times", "×").replace("\\div", "÷").replace("【答案】", "答案：")
    text = re.sub(r"\*\*|[$`\"'“”‘’「」『』《》【】\[\]]", "", text)
    text = text.translate(str.maketrans("−–—﹣✕*⁄٫٬", "----××/.,")).replace("==", "=")
    text = re.sub(r"(?<=\d),(?!\d{3}(?!\d))|(?<!\d),|,(?!\d)", "，", text)
    text = text.translate(str.maketrans(";?!()", "；？！（）"))
    text = re.sub(r"(?<![\d+×÷=-])([0-2]?\d)：(?=[0-5]\d(?!\d))", r"\1:", text)
    text = re.sub(r":(?!\d)|(?<!\d):", "：", text)
    text = re.sub(r"(?:^|(?<=[\s=：，]))\.(?=\d)", "0.", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "。", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r"(?<=\d) (?=\d+/\d)", "又", text)
    return re.sub(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])", "", text).strip()


_SPLIT_THOUSANDS = re.compile(
    r"(?<![\d，,.+×÷*/-])[1-9]\d{0,2}(?:，\d{3}){1,9}(?![\d.，])(?=[^\d\W]{0,6}(?:[。！？；\n（]|$|，[^\d]))"
)


def join_thousands(text: str) -> str:
    """A normalised text in which 1，234 is one number, as who wrote the comma on a Chinese keyboard meant it.

    Only where the sentence has no other clause with a digit, and the clause no heading: 十位：2+8=10，109 is a
    step and the answer.
    """
    return _SENTENCE.sub(_join_in_sentence, text)


_SENTENCE = re.compile(r"[^。！？；\n]+")


def _join_in_sentence(sentence: re.Match[str]) -> str:
    text = sentence[0]
    match = _SPLIT_THOUSANDS.search(text)
    if not match:
        return text
    before, _, clause = text[: match.start()].rpartition("，")
    after = text[match.end() :].partition("，")[2]
    if any(c.isdigit() for c in (before + after)) or ("：" in clause and any(c.isdigit() for c in clause)):
        return text
    return text[: match.start()] + match[0].replace("，", ",") + text[match.end() :]


def han_integer(text: str) -> int | None:
    """The value of a Chinese integer such as 一百零五, 两千, 二〇二五 or the colloquial 一百五; None if it is none."""
    if not any(character in _UNITS for character in text):
        return (
            int("".join(str(_DIGITS[character]) for character in text)) if len(text) == 1 or "两" not in text else None
        )
    if text[0] == "百" and len(text) > 1 and text[1] in _DIGITS:
        text = "一" + text  # 百二 is 120
    total = section = 0
    digit: int | None = None
    for character in text:
        if character in _DIGITS:
            if digit not in (None, 0):
                return None
            digit = _DIGITS[character]
            continue
        unit = _UNITS[character]
        if unit >= 10**4:
            section += digit or 0
            if total < unit:  # 三万五千亿: the 亿 counts the 万 too
                total, section = 0, total + section
            if section == 0:
                return None
            total, section = total + section * unit, 0
        else:
            if not digit and unit != 10:
                return None
            section += (digit or 1) * unit
        digit = None
    if digit and text[-2] in _UNITS:
        digit *= _UNITS[text[-2]] // 10  # 一百五 is 150
    return total + section + (digit or 0)


def _plain(text: str) -> Fraction | None:
    if text[0].isascii():
        return Fraction(text.replace(",", ""))
    value = han_integer(text)
    return None if value is None else Fraction(value)


def _ratio(over: Fraction | None, under: Fraction | None, whole: Fraction | None) -> Fraction | None:
    if over is None or not under or whole is None:
        return None
    return whole + over / under


def _sum_of_parts(text: str) -> Fraction | None:
    """What 3亿5000万 or 1万2千 is worth; None where a part is not smaller than the one before it."""
    total, last = Fraction(0), 0
    for digits, scale in re.findall(r"(\d+(?:\.\d+)?)([十百千万亿]*)", text):
        unit = math.prod(_UNITS[character] for character in scale)
        value = Fraction(digits) * unit
        if last and value >= last:
            return None
        total, last = total + value, unit
    return total


def _value(match: re.Match[str]) -> Fraction | None:
    part = match.groupdict()
    value: Fraction | None
    if part["hundredths"]:
        value = _ratio(_plain(part["hundredths"]), Fraction(100), Fraction(0))
    elif part["under"]:
        value = _ratio(_plain(part["over"]), _plain(part["under"]), _plain(part["whole"] or "0"))
    elif part["numerator"]:
        value = _ratio(Fraction(part["numerator"]), Fraction(part["denominator"]), Fraction(part["mixed"] or 0))
        if value is not None and value.denominator == 1:
            return None  # 84/2 is a division still to be done, not an answer
    elif part["parts"]:
        value = _sum_of_parts(part["parts"])
    elif part["arabic"]:
        value = _plain(part["arabic"])
        for character in part["scale"] or "":
            if value is not None:
                value *= Fraction(1, 100) if character == "%" else _UNITS[character]
    else:
        value = _plain(part["han"])
        if value is not None and part["decimals"]:
            digits = "".join(str(_DIGITS[character]) for character in part["decimals"])
            value += Fraction(int(digits), 10 ** len(digits))
            for character in part["times"] or "":
                value *= _UNITS[character]
    return -value if value is not None and part["sign"] in ("-", "负") else value


def numbers_in(text: str) -> list[NumberMention]:
    """Every number in a normalised text, in order.

    Numerals that are part of another word (一共, 第三) are left out, and those longer than :data:`LONGEST_NUMERAL`.
    """
    found = []
    for match in _NUMBER.finditer(text):
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        written = match["han"]
        if written and ((before in _NOT_BEFORE and before) or (after and after in _NOT_AFTER.get(written, ""))):
            continue
        if (match["arabic"] and before == "第") or text[match.end() :].startswith("个数"):
            continue
        value = _value(match) if len(match[0]) <= LONGEST_NUMERAL else None
        if value is not None:
            found.append(NumberMention(match.start(), match.end(), value))
    return found


def integer_in(text: str | None) -> int:
    """The first number of a normalised text, without its fraction; 0 where there is none."""
    return next((int(number.value) for number in numbers_in(text or "")), 0)


def parse_number(text: str) -> Fraction | None:
    """The value of a text that is one number, perhaps with a unit behind it (42, 负三, 3/4, 42个); None otherwise."""
    clean = normalise(text)
    match numbers_in(clean):
        case [NumberMention(0, end, value)] if re.fullmatch(r"[^\d\W]{0,4}", clean[end:]):
            return value
    return None
