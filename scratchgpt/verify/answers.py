"""Find what a response finally claims: the declared answer, corrected, unhedged and not negated.

The rules are those of a careful teacher. A declaration (答案是…) counts before a conclusion (所以…), a conclusion
before the last statement. Later corrections replace what came before. Two different answers, a list of options,
a guess, a question or an unfinished calculation are no answer at all.

A response may be long and say the same again and again, and a reward must not take longer than the response did: the
time is linear in its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property


class Unclear(Enum):
    """The reading of a clause that names several answers or only guesses at one."""

    UNCLEAR = "unclear"


UNCLEAR = Unclear.UNCLEAR
Reading = Hashable
"""An answer's value, UNCLEAR, or None when the clause says nothing."""


@dataclass(frozen=True)
class AnswerReader:
    """How answers of one kind (numbers, weekdays, names) are read from a clause.

    Attributes:
        read: the answer of a clause where one has been announced.
        stated: the answer of a clause that must speak for itself.
        bare: the answer that a clause is, if it is nothing else.
        guesses: whether words like 可能 make a clause a guess; to a yes-no question they can be the answer.
        denial: whether 不对 can itself be an answer.
    """

    read: Callable[[str], Reading]
    stated: Callable[[str], Reading]
    bare: Callable[[str], Reading]
    guesses: bool = True
    denial: bool = False


_DECLARED = re.compile(
    r"(?:答案|(?i:answer))(?:应该|应当|应|就|则|也|其实|当然|显然|肯定|一定| )*"
    r"(?:是：|为：|选：|是|为|选|：|等于|=| ?is：?)"
    r"|(?:^|(?<=[。\n，；！]))答(?:：|，)|最终结果(?:是：|是|为|：)+|####"
)
_RESULT = re.compile(r"(?:结果|得数)(?:应该|就|也)?(?:是：|是|为|：|等于|=)+")
_CONCLUSION = re.compile(
    r"(?:^|(?<=[。\n，；！：]))(?:所以|因此|因而|故|可见|可知|那么|总之|综上|最后|最终|于是|∴)[，：]?"
)
_FINAL_WORDS = ("最后", "最终", "正确", "综上", "总的")
_SENTENCE_END = re.compile(r"(?<=[。！？；\n])")
_SENTENCE_MARK = re.compile(r"[。！？；\n]")
_LEAD_MARK = re.compile(r"[。！？；\n，]")
_CLAUSE_END = re.compile(r"[，。！？；：\n（）]")
LONGEST_CLAUSE = 300
"""Characters. Nobody says more without a mark; what goes on is cut there, because reading a clause takes the square."""
_OVERLONG = re.compile(rf"[^，。！？；：\n（）]{{{LONGEST_CLAUSE}}}")
_GUESS = re.compile(
    r"(?<!不)可能|也许|大概|或许|没准|不确定|不太确定|不敢肯定|不敢确定|说不准|拿不准|不知道|不清楚|猜|估计|好像|似乎|恐怕|大约|差不多|有时|一会儿|(?:^|(?<=[，。！；\n是]))是不是"
    r"|\b(?i:maybe|perhaps|probably|possibly|might|i guess|not sure|about (?=\d)|around (?=\d)|approximately)"
)
# Words that blur only the number they stand beside.
_BLURRED = re.compile(
    r"(?:约|不到|超过|至少|至多|最多|接近|多于|少于|不止|将近|近)(?=[\d零一二两三四五六七八九十百千])|(?<=[\d个元只支本])多个"
    r"|(?<=[\d零一二两三四五六七八九十百千万亿半个元角块毛分只支本颗条张页棵人名位件辆朵盒瓶头次米克斤升度岁天秒周时钟钱])"
    r"(?:左右|上下|以上|以下|以内|之间)"
    r"|(?<=[\d十百千万亿])(?:[多来](?![少自])|几)|几(?=[十百千万亿])"
    r"|(?<=[\d元角分个])(?:不到|出头|开外)|(?<=[\d十百千万])(?:之后|之前|后面|前面|以外)的|的(?:[两二三四\d]+倍|倍数|因数|约数|相反数|倒数|平方|一半)$"
    r"|(?<![\d个只支本])(?:大于|小于|高于|低于)(?=\d)"
)
_REASON = re.compile(r"因为|由于|理由是")
_LATER_DOUBT = re.compile(
    r"不确定|不太确定|不敢肯定|不敢确定|拿不准|说不准|猜的|乱猜|不一定对|可能不对|可能错|可能有误|未必对|不知道对不对|仅供参考|我猜"
    r"|也可能|也许是|或者是|要么是|也有可能|(?i:not sure)"
)
_CORRECTION = re.compile(
    r"(?<![没有别要易免止会如果])(?:算|写|说|弄|搞|看|数|答)错了?|更正|纠正|改正|修正一下|重新(?:算|计算|想|数|看)|等等|等一下|[哦噢啊]，?不"
    r"|应改为|改为|更准确地说|再想想|\b(?i:no, ?wait|wait|sorry|actually|i mean|correction)\b"
)
_DENIAL = re.compile(r"(?<![对是])不对(?![称吗])|(?:^|(?<=[，。！？；\n…]))不(?=[，。！])")


def sentences(text: str) -> list[str]:
    """The sentences of a normalised text, each with its closing mark; a line break ends a sentence too."""
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


def clauses(text: str) -> list[str]:
    """The clauses of a normalised text, without the marks that end them."""
    return [part.strip() for part in _CLAUSE_END.split(text) if part.strip()]


class _Spoken:
    """A text and where its clauses and sentences end, found once: a question about a place is then a short search.

    Attributes:
        text: what is said.
        reader: how answers are read.
    """

    def __init__(self, text: str, reader: AnswerReader) -> None:
        self.text, self.reader = text, reader
        self._sentence_ends = [mark.end() for mark in _SENTENCE_MARK.finditer(text)]
        self._lead_ends = [mark.end() for mark in _LEAD_MARK.finditer(text)]
        self._clause_ends = [mark.start() for mark in _CLAUSE_END.finditer(text)]
        self._agreed_from: dict[int, list[Reading]] = {}

    def sentence_end(self, start: int) -> int:
        """Where the first sentence from ``start`` on ends, that of blanks alone passed over."""
        index = bisect_right(self._sentence_ends, start)
        while index < len(self._sentence_ends) and self.text[start : self._sentence_ends[index]].isspace():
            start = self._sentence_ends[index]
            index += 1
        return self._sentence_ends[index] if index < len(self._sentence_ends) else len(self.text)

    def clause_end(self, place: int) -> int:
        """Where the clause that ``place`` stands in ends."""
        index = bisect_left(self._clause_ends, place)
        return self._clause_ends[index] if index < len(self._clause_ends) else len(self.text)

    def lead(self, start: int) -> str:
        """What stands before ``start`` in its clause."""
        index = bisect_right(self._lead_ends, start)
        return self.text[self._lead_ends[index - 1] if index else 0 : start]

    def clauses_from(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """The clauses between two places, each with the place where it ends; one that is cut keeps what is inside."""
        index = bisect_left(self._clause_ends, start)
        while start < end:
            stop = min(self._clause_ends[index], end) if index < len(self._clause_ends) else end
            if clause := self.text[start:stop].strip():
                yield stop, clause
            start, index = stop + 1, index + 1

    def said_before(self, place: int) -> bool:
        """Whether a clause before ``place`` holds an answer."""
        if place > self._first_said:
            return True
        index = bisect_left(self._clause_ends, place)
        cut = self.text[self._clause_ends[index - 1] + 1 if index else 0 : place].strip()
        return bool(cut) and self.reader.read(cut) is not None

    @cached_property
    def _first_said(self) -> int:
        """Where the first clause with an answer in it ends; the end of the text if there is none."""
        whole = self.clauses_from(0, len(self.text))
        return next((end for end, clause in whole if self.reader.read(clause) is not None), len(self.text))

    def bare_after(self, place: int, end: int) -> Reading:
        """What the clauses between the mark at ``place`` and the end of its sentence agree on, read as bare answers."""
        first = bisect_left(self._clause_ends, place)
        table = self._agreed_from.setdefault(end, [])  # from the sentence's last mark on, as far as was asked for
        last = bisect_left(self._clause_ends, end)
        while len(table) < last - first:
            mark = last - 1 - len(table)
            stop = min(self._clause_ends[mark + 1], end) if mark + 1 < len(self._clause_ends) else end
            clause = self.text[self._clause_ends[mark] + 1 : stop].strip()
            known = table[-1] if table else None
            table.append(_agreed([self.reader.bare(clause), known]) if clause else known)
        return table[last - first - 1] if last > first else None


def _guessed(context: str, clause: str, reader: AnswerReader) -> bool:
    return reader.guesses and bool(_GUESS.search(context) or _BLURRED.search(clause))


def _after_correction(text: str, reader: AnswerReader) -> str:
    """What is left when everything before the last correction is struck out."""
    spoken = _Spoken(text, reader)
    declared = list(_DECLARED.finditer(text))
    announced = {match.end() for match in declared}
    for match in sorted([*_CORRECTION.finditer(text), *_DENIAL.finditer(text)], key=lambda match: -match.end()):
        if match.re is _DENIAL:
            start, end = match.span()
            between = declared and declared[0].start() < start
            between = between and (declared[-1].start() >= end or text.startswith(("答：", "答，"), end))
            if (reader.denial and not between) or start in announced:
                continue
        if spoken.said_before(match.start()):
            return text[match.end() :]
    return text


def _agreed(values: list[Reading]) -> Reading:
    """The one value in the list; UNCLEAR when they differ, None when there are none."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else UNCLEAR if known else None


def _announced(spoken: _Spoken, start: int) -> Reading:
    """The answer in the sentence that an announcement opens at ``start``, with every alternative it adds."""
    reader, end = spoken.reader, spoken.sentence_end(start)
    lead = spoken.lead(start)
    value: Reading = None
    for index, (stop, clause) in enumerate(spoken.clauses_from(start, end)):
        value = reader.read(clause)
        if value is not None or index == 2:
            lead += clause
            value = _agreed([value, spoken.bare_after(stop, end)])
            break
    return UNCLEAR if _guessed(lead, lead, reader) else value


def _offers(question: str, reader: AnswerReader) -> bool:
    """Whether a question proposes an answer (周二？ 答案是周二？) instead of asking for one."""
    spoken = _Spoken(question, reader)
    openings = [match.end() for mark in (_DECLARED, _CONCLUSION, _RESULT) for match in mark.finditer(question)]
    return any(reader.bare(clause) is not None for clause in clauses(question)) or any(
        _announced(spoken, start) is not None for start in openings
    )


def _declared(spoken: _Spoken) -> Reading:
    """The value of the last declaration; UNCLEAR when declarations disagree and none is called the final one."""
    text, reader = spoken.text, spoken.reader
    matches = list(_DECLARED.finditer(text))
    if not matches:
        return None
    values = [_announced(spoken, match.end()) for match in matches]
    last = matches[-1]
    lead = re.split(r"[。！？；\n]", text[: last.start()])[-1]
    value = values[-1] if any(word in lead + last[0] for word in _FINAL_WORDS) else _agreed(values)
    rest = "".join(sentences(text[last.end() :])[1:])
    later = [reader.bare(clause) for clause in clauses(rest)]
    following = _Spoken(rest, reader)
    for match in _CONCLUSION.finditer(rest):
        later.append(reader.stated(next((clause for _, clause in following.clauses_from(match.end(), len(rest))), "")))
    if value is None:
        return UNCLEAR if "答案" in last[0] else None
    return _agreed([value, *later])


def _concluded(spoken: _Spoken) -> Reading:
    """The value of the last clause that draws a conclusion (所以…) or names the result."""
    text, reader = spoken.text, spoken.reader
    matches = sorted([*_RESULT.finditer(text), *_CONCLUSION.finditer(text)], key=lambda match: match.end())
    silent = len(text)  # clauses of the sentence that end behind this place state nothing
    for match in reversed(matches):
        end = spoken.sentence_end(match.end())
        for stop, clause in spoken.clauses_from(match.end(), end):
            if stop > silent:
                break
            stated = reader.stated(clause)
            if stated is None:
                continue
            lead = spoken.lead(match.start()) + clause
            value = UNCLEAR if _guessed(lead, lead, reader) else _agreed([stated, spoken.bare_after(stop, end)])
            later = [reader.bare(part) for part in clauses("".join(sentences(text[end:])))]
            return _agreed([value, *later])
        silent = spoken.clause_end(match.end())
    return None


def _last_statement(spoken: _Spoken) -> Reading:
    """The value of the last clause with an answer in it, if that clause states it beyond doubt."""
    reader = spoken.reader
    if _agreed([reader.bare(clause) for clause in clauses(spoken.text)]) is UNCLEAR:
        return UNCLEAR
    for sentence in reversed(sentences(spoken.text)):
        reasoned = _REASON.split(sentence)[0] or sentence
        for clause in reversed(clauses(reasoned)):
            if reader.read(clause) is not None:
                return UNCLEAR if _guessed(sentence, clause, reader) else reader.stated(clause)
    return None


def final_answer(text: str, reader: AnswerReader) -> Reading:
    """The answer that a response stands by.

    Args:
        text: the response, normalised.
        reader: how answers of the expected kind are read.

    Returns:
        A value of the reader; UNCLEAR if it names several or only guesses; None if there is none.
    """
    reader = replace(reader, read=cache(reader.read), stated=cache(reader.stated), bare=cache(reader.bare))
    text = _after_correction(_OVERLONG.sub(r"\g<0>，", text), reader)
    parts = sentences(text)
    asked = [sentence for sentence in parts if sentence.endswith("？")]
    text = "".join(sentence for sentence in parts if not sentence.endswith("？"))
    if not _DECLARED.search(text) and any(_offers(part, reader) for part in asked):
        return UNCLEAR
    if reader.guesses and _LATER_DOUBT.search(sentences(text)[-1] if sentences(text) else ""):
        return UNCLEAR
    spoken = _Spoken(text, reader)
    for find in (_declared, _concluded, _last_statement):
        value = find(spoken)
        if value is not None:
            return value
    return None
