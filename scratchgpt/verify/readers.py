"""The kinds of answers a task can have, and how each is read: numbers, choices among words, times, yes or no."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from scratchgpt.verify.answers import UNCLEAR, AnswerReader, Reading, clauses
from scratchgpt.verify.numerals import integer_in, normalise
from scratchgpt.verify.quantities import ANY_NUMBER, Asked, quantity_finder


class Mention(NamedTuple):
    """A possible answer in a clause.

    Attributes:
        start: its first character.
        end: the place after its last one.
        value: what it means, the same for every way to say it.
    """

    start: int
    end: int
    value: Reading


_DENIED_BEFORE = re.compile(
    r"(?<!是)(?:不(?:会|可能|应该|能|再)?(?:是|等于|为|得|填|选|叫|在)|并非|而非|绝非|≠|!=|不|除了|排除"
    r"|(?i:not|isnt|never)(?: (?i:a|an|the))? ?)$"
)
_DENIED_AFTER = re.compile(
    r"^[^\d\W]{0,2}?(?:是错|错|不对|不正确|是不对|不是答案|不是正确|不(?:是|最|比|算|[高矮快慢大小重轻])|并不)"
)
_JOINED = re.compile(r"或|和|、|还是|跟|与|^[到至]$|~|/|及|要么")
_ANNOUNCING = re.compile(
    r"(?:是|为|得|得到|剩|剩下|有|共|成|要|余|只|填|到|选|叫|就是|等于|=|多|少|花|用|分|装|差|付|给|需|=>|→|答|大|小|长|重|高|宽|是[^\d\W]{1,6}的)$"
)
_FILLER = (
    r"(?:嗯|好的|那么|那|就|应该|应当|我(?:觉得|认为|想|算出|选|的答案)|是|等于|=|得到?|为|一?共|即|选|或者?|可能|还是|还有|要么|也|和|跟"
    r"|以及|→|[A-Da-d][.、]?|当然|肯定|一定)*"
)
_STEP = re.compile(
    r"^(?:[个十百千万]位|先|首先|第[一二三四\d]步|每[^\d]{0,3}次|写(?!了)|进|借|验算|检查|其中|原来|已知|如果|假设|因为|由于|题目|设|再[加减乘除算看]|把)"
)
_AFTER_CHOICE = re.compile(r"(?:开始|结束|出发|到达|到家|写完|完成|为止|[到起])?[的了吧啊哦呀呢钟整]*")
_QUESTION_WORD = re.compile(
    r"(?:几|多少)[^\d\W]{0,2}[到至](?:几|多少)[^\d\W]{0,2}|谁(?:[和与跟]谁)?|什么时候|什么|几点几分|几点|几月几[日号]|何时|哪[^\d\W]{0,3}"
)
_COMPARED = re.compile(r"^[^\d\W]{0,3}?(?:比|大于|小于|更|最|较|比较|要?[大小多少高矮重轻快慢](?:一些|些|一点)?$)")


def _standing(clause: str, mentions: list[Mention]) -> list[Mention]:
    return [
        mention
        for mention in mentions
        if not _DENIED_BEFORE.search(clause[: mention.start]) and not _DENIED_AFTER.search(clause[mention.end :])
    ]


def _chosen(clause: str, mentions: list[Mention]) -> Reading:
    """The one value among the mentions, or the one that the clause announces or compares with the others."""
    values = {mention.value for mention in mentions}
    if len(values) <= 1:
        return next(iter(values), None)
    first, before_last, last = mentions[0], mentions[-2], mentions[-1]
    if re.match(r"[^\d\W]{0,3}?(?:比|大于|小于)", clause[first.end : mentions[1].start]):
        return first.value
    between = clause[before_last.end : last.start]
    if _ANNOUNCING.search(between) and not _JOINED.search(between) and len(clause) - last.end <= 5:
        return last.value
    return UNCLEAR


def number_reader(prompt: str, asked: Asked = ANY_NUMBER) -> AnswerReader:
    """Reads numbers; in an equation the side that is a single number.

    Args:
        prompt: the question, normalised: what it gives is no answer.
        asked: the unit and the form that the answer must be given in.
    """
    find = quantity_finder(asked)
    given_clauses, given_values = set(clauses(prompt)), {value for _, _, value in find(prompt)}
    wants_remainder = "余" in prompt or "剩" in prompt

    def mentions(clause: str) -> list[Mention]:
        return [Mention(*mention) for mention in find(clause)]

    def equation(clause: str) -> Reading:
        sides = [side for side in re.split(r"=|等于", clause) if mentions(side)]
        right, left = sides[-1], sides[0]
        if "余" in right:
            quotient = right.split("余")[0 if not wants_remainder else -1]
            return _chosen(quotient, mentions(quotient))
        for side in (right, left):
            value: Reading = UNCLEAR
            outside = side
            match mentions(side):
                case [number]:
                    value, outside = number.value, side[: number.start] + "0" + side[number.end :]
            if not re.search(r"\d[+×÷*/-]|[加减乘除]", outside):
                return value
        return UNCLEAR

    def read(clause: str) -> Reading:
        found = _standing(clause, mentions(clause))
        if not found:
            return None
        if re.search(r"=|等于", clause):
            return equation(clause)
        if len(found) > 1 and re.search(r"[\d）][+×÷*/-][\d（]|[><]", clause):
            return UNCLEAR
        if clause[: found[0].start].endswith("比") or re.search(r"[\d个][+×÷*/]$", clause):
            return UNCLEAR
        return _chosen(clause, found)

    def bare(clause: str) -> Reading:
        match _standing(clause, mentions(clause)):
            case [number] if re.fullmatch(_FILLER, clause[: number.start]):
                return number.value if re.fullmatch(r"(?:[^\d\W]| ){0,6}[✓✔√]?", clause[number.end :]) else None
        return None

    def stated(clause: str) -> Reading:
        value = read(clause)
        if value is None or value is UNCLEAR or bare(clause) is not None:
            return value
        division = re.search(r"(\d+)[÷/]\d+=\d+余", clause)
        if (
            _STEP.search(clause)
            or clause in given_clauses
            or (division and division[1] not in re.findall(r"\d+", prompt))
        ):
            return UNCLEAR
        found = _standing(clause, mentions(clause))
        first, last = found[0], found[-1]
        if first.start == 0 and first.value == value and re.match(r"[^\d\W]{0,3}=", clause[first.end :]):
            return value
        announced = _ANNOUNCING.search(clause[: last.start]) or (len(found) == 1 and value not in given_values)
        if announced and re.fullmatch(r"[^\d\W]{0,6}", clause[last.end :]) and last.value == value:
            return value
        return value if first.value == value and _COMPARED.search(clause[first.end :]) else UNCLEAR

    return AnswerReader(read, stated, bare)


def choice_reader(
    find: Callable[[str], list[Mention]], prompt: str, opposite: Mapping[str, str] | None = None
) -> AnswerReader:
    """Reads one of several words.

    Args:
        find: lists them in a clause, in order.
        prompt: the question, normalised: what it gives is no answer.
        opposite: by value, what denying it implies; None if that implies nothing.
    """

    def canonical(text: str) -> str:
        for mention in reversed(find(text)):
            text = text[: mention.start] + f"<{mention.value}>" + text[mention.end :]
        return text

    given = {canonical(clause) for clause in clauses(prompt)}
    asked_about = {
        (clause[: word.start()], clause[word.end() :])
        for clause in clauses(prompt)
        if (word := _QUESTION_WORD.search(clause))
    }

    def read(clause: str) -> Reading:
        found = find(clause)
        standing = _standing(clause, found)
        if not standing and found and opposite:  # who denies both says nothing
            denied = {str(mention.value) for mention in found}
            return opposite[denied.pop()] if len(denied) == 1 else UNCLEAR
        return _chosen(clause, standing)

    def bare(clause: str) -> Reading:
        named = find(clause)
        match _standing(clause, named), named:
            case [word], _:
                head, value = clause[: word.start], word.value
            case [], [word] if opposite:  # 也不是偶数 says odd as plainly as 也是奇数
                head, value = _DENIED_BEFORE.sub("", clause[: word.start]), opposite[str(word.value)]
            case _:
                return None
        alone = re.fullmatch(_FILLER, head) and re.fullmatch(r"[的了吧啊哦呀呢钟整]*", clause[word.end :])
        return value if alone else None

    def stated(clause: str) -> Reading:
        value = read(clause)
        if value is None or value is UNCLEAR or bare(clause) is not None:
            return value
        if canonical(clause) in given:
            return UNCLEAR
        found = _standing(clause, find(clause)) or find(clause)
        first, last = found[0], found[-1]
        head, tail = clause[: first.start], clause[first.end :]
        if len(found) == 1 and any(tail == after and before.endswith(head) for before, after in asked_about):
            return value  # the answer in the place of the question's 谁
        if _AFTER_CHOICE.fullmatch(clause[last.end :]) and (opposite or last.value == value):
            return value
        return value if first.value == value and _COMPARED.search(tail) else UNCLEAR

    return AnswerReader(read, stated, bare)


def pattern_finder(
    pattern: re.Pattern[str], value_of: Callable[[re.Match[str]], Reading]
) -> Callable[[str], list[Mention]]:
    """A ``find`` for :func:`choice_reader`: every match of a pattern.

    Args:
        pattern: what to look for.
        value_of: what a match means; None leaves it out.
    """

    def find(text: str) -> list[Mention]:
        found = [Mention(match.start(), match.end(), value_of(match)) for match in pattern.finditer(text)]
        return [mention for mention in found if mention.value is not None]

    return find


_WEEKDAY = re.compile(r"(?:周|星期|礼拜)([一二三四五六日天1-7])(?![\d])")
_WEEKDAY_NUMBERS = {character: number for number, character in enumerate("一二三四五六日", 1)} | {"天": 7}
_TIME = re.compile(
    r"(?P<part>凌晨|清晨|早上|早晨|上午|中午|下午|午后|傍晚|晚上|夜里|深夜|半夜|午夜)?"
    r"(?P<to>差(?:一刻|[\d一二三四五六七八九十]{1,3}分钟?)到?)?"
    r"(?<![\d一二三四五六七八九十])(?P<hour>\d{1,2}|[零一二两三四五六七八九十]{1,3})"
    r"(?:[点时](?:(?P<half>半)|(?P<quarter>[一三1-3])刻|(?:过|零(?=\d))?(?P<minute>\d{1,2}|[零〇一二三四五六七八九十]{1,3})分?|整|钟)?"
    r"|:(?P<digits>\d{2})|(?= ?[aApP][mM]\b))"
    r"(?P<before>差(?:一刻|[\d一二三四五六七八九十]{1,3}分))?(?: ?(?P<half_day>[aApP][mM])\b)?"
)
_PARITY = re.compile(r"(奇数?|单数)|(偶数?|双数)")


def _weekday_value(match: re.Match[str]) -> Reading:
    return f"weekday {_WEEKDAY_NUMBERS.get(match[1]) or int(match[1])}"


def _time_value(match: re.Match[str]) -> Reading:
    hour, part, half_day = integer_in(match["hour"]), match["part"], (match["half_day"] or "").lower()
    night = part in ("夜里", "深夜", "半夜", "午夜")
    late = (night and hour >= 6) or (part == "中午" and hour < 4)
    if hour == 12 and (night or part == "晚上" or half_day == "am"):
        hour = 0
    elif 0 < hour < 12 and (late or part in ("下午", "午后", "傍晚", "晚上") or half_day == "pm"):
        hour += 12
    minute = 30 if match["half"] else 15 * integer_in(match["quarter"]) if match["quarter"] else 0
    minute = minute or integer_in(match["minute"] or match["digits"])
    if lacking := match["to"] or match["before"]:  # 差5分10点, 10点差5分
        minutes = 60 * hour + minute - (15 if "一刻" in lacking else integer_in(lacking[1:]))
        hour, minute = divmod(minutes % (24 * 60), 60)
    return f"time {hour}:{minute:02d}"


find_weekdays = pattern_finder(_WEEKDAY, _weekday_value)
"""The days of the week in a text, ``weekday 1`` (Monday) to ``weekday 7``."""
find_times = pattern_finder(_TIME, _time_value)
"""The times of day in a text, such as ``time 15:30``."""
find_parities = pattern_finder(_PARITY, lambda match: "odd" if match[1] else "even")
"""The words for ``odd`` and ``even`` in a text."""
PARITY_OPPOSITES = {"odd": "even", "even": "odd"}

_UNKNOWN = re.compile(
    r"(?:不能|无法|没法|没有办法|难以|不好|不可以|不足以)(?:完全|直接)?(?:确定|判断|知道|肯定|推出|得出|得知|断定|说)|不确定|不一定|未必|说不准|(?:条件|信息)不(?:足|够)"
)
_NO = re.compile(
    r"(?:一定|肯定|当然|必然|绝对)?(?:不|不是|不对|不会|不能|错|错误|不正确|否|否定|假|不成立|不可以|不可能|没有|不行|非也)(?:的|了|这样)*"
)
_YES = re.compile(
    r"(?:一定|肯定|当然|必然|绝对)?(?:是|对|正确|能|会|可以|肯定|没错|真|成立|当然|有)(?:的|啊|呀|了|这样)*"
)
_EITHER = re.compile(r"可能(?:是|会|对|能)?[^，。！；\n]{0,14}[，、]?(?:但|而)?也(?:有)?可能(?:不|没)[^，。！；\n]*")
_WHETHER = re.compile(rf"(?:{_UNKNOWN.pattern})[^、/或]{{0,8}}是(?:还是)?不是")
_WONDER = re.compile(r"可能|也许|大概|或许|好像|似乎|估计|猜|恐怕|应该吧")
_OPENING = re.compile(
    r"^(?:所以|因此|那么|可见|可知|故|说明|可以推出|能推出|推出|我认为|我觉得|应该|就|则|于是|请问|问题?：?|由此|也)+"
)


def is_name(text: str) -> bool:
    """Whether a text is one of the names that tasks give to people, such as 小明."""
    return bool(_NAME.fullmatch(text))


def _negations(statement: str) -> set[str]:
    """The statement with its verb denied, in each way that a person may say it: A是B gives A不是B."""
    found = re.search(r"是|会|能|比|有|在", statement)
    if not found:
        return set()
    denied = "没" if found[0] == "有" else "不"
    return {
        statement[: found.start()] + word + statement[found.start() :]
        for word in (denied, "并" + denied, "一定" + denied)
    }


def asked_statement(prompt: str) -> str:
    """What a yes-no question asks to judge: 小明是医生 from …，请问小明是医生吗？; empty if it is not that kind."""
    parts = [part for part in re.split(r"[，。：；！\n]", prompt) if part]
    for index, part in enumerate(parts):
        if "吗" in part or "是否" in part or part.endswith("是不是"):
            statement = _OPENING.sub("", part.split("吗")[0].rstrip("？"))
            statement = re.sub(r"^(?:请?判断|能不能推出|是不是可以推出)", "", statement).replace("是否", "")
            if statement in ("对", "是", "正确", "是这样", "成立", "这样说对", "这句话对") and index:
                return _OPENING.sub("", parts[index - 1])
            return statement
    return parts[-1].rstrip("？").replace("有没有", "有") if parts and "有没有" in parts[-1] else ""


def closed_reader(prompt: str) -> AnswerReader:
    """Reads yes, no or cannot tell, said outright or as the statement of the question, affirmed or denied.

    Args:
        prompt: the question, normalised.
    """
    statement = asked_statement(prompt)
    negations = _negations(statement)

    def exact(part: str) -> Reading:
        part = re.sub(r"(?:吧|哦|呢|。)+$", "", _OPENING.sub("", part))
        if _UNKNOWN.fullmatch(part) or part in ("unknown", "不知道是不是"):
            return "unknown"
        if _NO.fullmatch(part):
            return "no"
        if _YES.fullmatch(part):
            return "yes"
        plain = re.sub(r"(?<=.)(?:一定|必然|肯定|当然|也)(?=是|会|能|比|不)", "", part)
        if statement and (plain == statement or part == statement):
            return "yes"
        if plain in negations or part in negations:
            return "no"
        if statement.endswith(part) and re.match("是|会|能|比|有", part):
            return "yes"
        denied = part.startswith(("不", "没")) and any(said.endswith(part) for said in negations)
        return "no" if denied else None

    def read(clause: str) -> Reading:
        if _WHETHER.search(clause):
            return "unknown"
        unknown = _UNKNOWN.search(clause)
        parts = [clause] if exact(clause) is not None else re.split(r"[、/ ]|或者|或|还是|和", clause)
        values = {"unknown" if _UNKNOWN.search(part) else exact(part) for part in parts} - {None}
        if (
            len(values) > 1
            or re.search(r"[否错对]$", clause[: unknown.start()] if unknown else "")
            or (values and _WONDER.search(clause))
        ):
            return UNCLEAR
        if not values:  # 可能是 is unclear, 可能小花走了 says nothing
            return UNCLEAR if exact(_WONDER.sub("", clause)) is not None else None
        return values.pop()

    return AnswerReader(read, read, exact, guesses=False, denial=True)


_ENGLISH_VERDICTS = (
    (r"no doubt|of course|definitely|certainly|absolutely|sure(?=[，。！ ])(?<!not sure)", ""),
    (r"not sure|unknown|uncertain|no idea|not enough information|unclear", "不能确定"),
    (r"(?:(?:i )?(?:can ?not|cant|dont|do not) |impossible to )(?:know|tell|say|determine|be determined)", "不能确定"),
    (r"maybe|perhaps|possibly|probably|might(?: be)?|i guess", "可能"),
    (r"not (?:yes|true|correct|right|really|at all)|no|nope|nah|false|incorrect|wrong|untrue", "否"),
    (r"(?:it|that|this|he|she|they) ?(?:is|are|does|do|can|will) ?not(?= *[，。！]|$)", "否"),
    (r"(?:it|that|this|he|she|they) ?(?:isnt|arent|doesnt|dont|cant|wont)(?= *[，。！]|$)", "否"),
    (r"(?:it|that|this|he|she|they) ?(?:is|are|does|do|can|will)(?= *[，。！]| or\b|$)", "是"),
    (r"yes|yeah|yep|yup|true|correct|right", "是"),
    (r" ?\bor\b ?", "或"),
)
_ENGLISH_VERDICT = [
    (re.compile(rf"\b(?:{english})\b", re.ASCII | re.IGNORECASE), said) for english, said in _ENGLISH_VERDICTS
]


_CHECK_MARKS = str.maketrans(dict.fromkeys("√✓✔☑✅", "是") | dict.fromkeys("✗✘❌", "否"))
_CROSS = re.compile(r"(?:^|(?<=[，。：\n是打或、/]))×(?=[，。\n或、/]|$)")


def settle_closed(text: str) -> str:
    """Text in which every verdict on a closed question is said in Chinese: Yes. is 是。, √ is 是.

    可能是，也可能不是 becomes 不能确定, its meaning as an answer.
    """
    for pattern, said in _ENGLISH_VERDICT:
        text = pattern.sub(said, text)
    return settle_either(_CROSS.sub("否", text.translate(_CHECK_MARKS)))


def settle_either(text: str) -> str:
    """Text in which 可能是，也可能不是 is written as 不能确定, its meaning as the answer to a closed question."""
    return _EITHER.sub("不能确定", text)


_NAME = re.compile(r"[小阿老大](?!学|时|朋|于|家|小|师|心|的|和|比|数|吗|是|不)[\u4e00-\u9fff]")


_EITHER_OR = re.compile(r"([^，。：？！\s]{1,6})还是([^，。：？！\s]{1,6})")


def _listed_in(expected: str, prompt: str) -> set[str]:
    """The words that a question lists with 、 beside the expected one: 香蕉 and 梨 of 苹果、香蕉、梨，哪个最红？"""
    found: set[str] = set()
    for run in re.finditer(r"[^，。：？！；、\s（）]{1,8}(?:、[^，。：？！；、\s（）]{1,8})+", prompt):
        words = [part for item in run[0].split("、") for part in re.split("和|与|或者?|以及", item)]
        words[0] = re.split("[有在从是]", words[0])[-1]
        words[-1] = re.split("[哪中里谁都是有这三两四几各]", words[-1])[0]
        if expected in words:
            found.update(word for word in words if word)
    return found


def _shared_ending(expected: str, left: str, right: str) -> str:
    """What both sides of an 还是 end with and the expected answer leaves out: 色 where 蓝 is it of 红色还是蓝色."""
    size = 0
    while size < min(len(left), len(right)) - 1 and left[-size - 1] == right[-size - 1]:
        size += 1
    ending = right[len(right) - size :]
    stems = left[: len(left) - size], right[: len(right) - size]
    return ending if any(stem.endswith(expected) for stem in stems) else ""


def endings_of(expected: str, prompt: str) -> set[str]:
    """What may stand behind an answer without changing it, because all sides of the question's 还是 end with it.

    Args:
        expected: the right answer, normalised.
        prompt: the question, normalised.
    """
    return {_shared_ending(expected, pair[1], pair[2]) for pair in _EITHER_OR.finditer(prompt)} - {""}


def options_of(expected: str, prompt: str) -> set[str]:
    """The answers that compete with the expected one: the other names in the question, or the sides of an 还是.

    Args:
        expected: the right answer, normalised.
        prompt: the question, normalised.
    """
    found: set[str] = set()
    if _NAME.fullmatch(expected):
        found.update(_NAME.findall(prompt))
    for series in ("甲乙丙丁戊", "ABCDE", "红黄蓝绿黑白"):
        if expected in series:
            found.update(character for character in series if character in prompt)
    for pair in _EITHER_OR.finditer(prompt):
        left = pair[1].removesuffix(_shared_ending(expected, pair[1], pair[2]))
        found.update((left[-len(expected) :], pair[2][: len(expected)]))
    if not _NAME.fullmatch(expected):
        found.update(_listed_in(expected, prompt))
    return {normalise(option) for option in found} - {expected}
