"""Find what a response finally claims: the declared answer, corrected, unhedged and not negated.

The rules are those of a careful teacher. A declaration (答案是…) counts before a conclusion (所以…), a conclusion
before the last statement. Later corrections replace what came before. Two different answers, a list of options,
a guess, a question or an unfinished calculation are no answer at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum


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
_CLAUSE_END = re.compile(r"[，。！？；：\n（）]")
_GUESS = re.compile(
    r"(?<!不)可能|也许|大概|或许|没准|不确定|不太确定|不敢肯定|不敢确定|说不准|拿不准|不知道|不清楚|猜|估计|好像|似乎|恐怕|大约|差不多|有时|一会儿"
)
# Words that blur only the number they stand beside.
_BLURRED = re.compile(
    r"(?:约|不到|超过|至少|至多|最多|接近|多于|少于|不止|将近|近)(?=[\d零一二两三四五六七八九十百千])|(?<=[\d个元只支本])(?:左右|上下|以上|以下|以内|之间|多个)"
    r"|(?<![\d个只支本])(?:大于|小于|高于|低于)(?=\d)"
)
_REASON = re.compile(r"因为|由于|理由是")
_LATER_DOUBT = re.compile(
    r"不确定|不太确定|不敢肯定|不敢确定|拿不准|说不准|猜的|乱猜|不一定对|可能不对|可能错|可能有误|未必对|不知道对不对|仅供参考|我猜"
    r"|也可能|也许是|或者是|要么是|也有可能"
)
_CORRECTION = re.compile(
    r"(?<![没有别要易免止会如果])(?:算|写|说|弄|搞|看|数|答)错了?|更正|纠正|改正|修正一下|重新(?:算|计算|想|数|看)|等等|等一下|[哦噢啊]，?不"
    r"|应改为|改为|更准确地说|再想想"
)
_DENIAL = re.compile(r"(?<![对是])不对(?![称吗])|(?:^|(?<=[，。！；\n…]))不(?=[，。！])")


def sentences(text: str) -> list[str]:
    """The sentences of a normalised text, each with its closing mark; a line break ends a sentence too."""
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


def clauses(text: str) -> list[str]:
    """The clauses of a normalised text, without the marks that end them."""
    return [part.strip() for part in _CLAUSE_END.split(text) if part.strip()]


def _guessed(context: str, clause: str, reader: AnswerReader) -> bool:
    return reader.guesses and bool(_GUESS.search(context) or _BLURRED.search(clause))


def _says_something(text: str, reader: AnswerReader) -> bool:
    return any(reader.read(clause) is not None for clause in clauses(text))


def _after_correction(text: str, reader: AnswerReader) -> str:
    """What is left when everything before the last correction is struck out."""
    cuts = [match.end() for match in _CORRECTION.finditer(text) if _says_something(text[: match.start()], reader)]
    for match in _DENIAL.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        if reader.denial and not (_DECLARED.search(before) and _DECLARED.search(after)):
            continue
        if _says_something(before, reader) and not any(
            found.end() == len(before) for found in _DECLARED.finditer(before)
        ):
            cuts.append(match.end())
    return text[max(cuts, default=0) :]


def _agreed(values: list[Reading]) -> Reading:
    """The one value in the list; UNCLEAR when they differ, None when there are none."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else UNCLEAR if known else None


def _announced(text: str, start: int, reader: AnswerReader) -> Reading:
    """The answer in the sentence that an announcement opens at ``start``, with every alternative it adds."""
    lead = re.split(r"[。！？；\n，]", text[:start])[-1]
    sentence = next(iter(sentences(text[start:])), "")
    parts = clauses(sentence)
    values: list[Reading] = []
    for index, clause in enumerate(parts):
        if not values:
            value = reader.read(clause)
            if value is None and index < 2:
                continue
            values.append(value)
            lead += clause
        else:
            values.append(reader.bare(clause))
    return UNCLEAR if _guessed(lead, lead, reader) else _agreed(values)


def _offers(question: str, reader: AnswerReader) -> bool:
    """Whether a question proposes an answer (周二？ 答案是周二？) instead of asking for one."""
    openings = [match.end() for mark in (_DECLARED, _CONCLUSION, _RESULT) for match in mark.finditer(question)]
    return any(reader.bare(clause) is not None for clause in clauses(question)) or any(
        _announced(question, start, reader) is not None for start in openings
    )


def _declared(text: str, reader: AnswerReader) -> Reading:
    """The value of the last declaration; UNCLEAR when declarations disagree and none is called the final one."""
    matches = list(_DECLARED.finditer(text))
    if not matches:
        return None
    values = [_announced(text, match.end(), reader) for match in matches]
    last = matches[-1]
    lead = re.split(r"[。！？；\n]", text[: last.start()])[-1]
    value = values[-1] if any(word in lead + last[0] for word in _FINAL_WORDS) else _agreed(values)
    rest = "".join(sentences(text[last.end() :])[1:])
    later = [reader.bare(clause) for clause in clauses(rest)]
    for match in _CONCLUSION.finditer(rest):
        later.append(reader.stated(next(iter(clauses(rest[match.end() :])), "")))
    if value is None:
        return UNCLEAR if "答案" in last[0] else None
    return _agreed([value, *later])


def _concluded(text: str, reader: AnswerReader) -> Reading:
    """The value of the last clause that draws a conclusion (所以…) or names the result."""
    value: Reading = None
    matches = sorted([*_RESULT.finditer(text), *_CONCLUSION.finditer(text)], key=lambda match: match.end())
    for match in matches:
        sentence = next(iter(sentences(text[match.end() :])), "")
        parts = clauses(sentence)
        found = [(index, reader.stated(part)) for index, part in enumerate(parts)]
        found = [(index, reading) for index, reading in found if reading is not None]
        if not found:
            continue
        first = found[0][0]
        lead = re.split(r"[。！？；\n，]", text[: match.start()])[-1] + parts[first]
        alternatives = [reader.bare(part) for part in parts[first + 1 :]]
        value = UNCLEAR if _guessed(lead, lead, reader) else _agreed([found[0][1], *alternatives])
        later = [reader.bare(part) for part in clauses("".join(sentences(text[match.end() :])[1:]))]
        value = _agreed([value, *later])
    return value


def _last_statement(text: str, reader: AnswerReader) -> Reading:
    """The value of the last clause with an answer in it, if that clause states it beyond doubt."""
    if _agreed([reader.bare(clause) for clause in clauses(text)]) is UNCLEAR:
        return UNCLEAR
    for sentence in reversed(sentences(text)):
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
    text = _after_correction(text, reader)
    spoken = sentences(text)
    asked = [sentence for sentence in spoken if sentence.endswith("？")]
    text = "".join(sentence for sentence in spoken if sentence not in asked)
    if not _DECLARED.search(text) and any(_offers(part, reader) for part in asked):
        return UNCLEAR
    if reader.guesses and _LATER_DOUBT.search(sentences(text)[-1] if sentences(text) else ""):
        return UNCLEAR
    for find in (_declared, _concluded, _last_statement):
        value = find(text, reader)
        if value is not None:
            return value
    return None
