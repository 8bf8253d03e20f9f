"""Answers that are words: one of several, or a list of them (小明和小红), with what makes a list of an answer.

A word that is listed with others, known or unknown, is no answer; a list is one only if it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from scratchgpt.verify.answers import UNCLEAR, Reading
from scratchgpt.verify.readers import Mention, pattern_finder

_SEPARATOR = r" ?(?:、|和|与|跟|及|以及|还有|&|\band\b) ?"
_IN_ORDER = r" ?(?:->|=>|>|<|→) ?"
_ASKS_ORDER = re.compile(r"顺序|排[列序成]|依次|先后|从[^，。？]{1,4}到")
_SINGLE_CHARACTERS = set("甲乙丙丁戊ABCDEabcde红黄蓝绿黑白0123456789")


def parts_of(expected: str) -> list[str]:
    """The parts of an answer of several words: 小明和小红 gives both, blue whale and 共和国 none.

    Args:
        expected: the right answer, normalised.
    """
    parts = [part for part in re.split(rf"{_IN_ORDER}|{_SEPARATOR}", expected) if part]
    whole = all(len(part) > 1 or part in _SINGLE_CHARACTERS for part in parts)
    return parts if whole and 1 < len(parts) == len(set(parts)) else []


def asks_order(expected: str, prompt: str) -> bool:
    """Whether the order of the parts of an answer counts, as of 小明>小红 or where the question asks for an order."""
    return bool(re.search(_IN_ORDER, expected) or _ASKS_ORDER.search(prompt))


def list_value(parts: Sequence[str], in_order: bool) -> Reading:
    """What a list of words means: the order counts or does not, capitals never do."""
    named = [part.casefold() for part in parts]
    return tuple(named) if in_order else frozenset(named)


_LISTED_BEFORE = re.compile(rf"(?:{_SEPARATOR}|或者?)$")


def list_finder(items: Collection[str], in_order: bool) -> Callable[[str], list[Mention]]:
    """A ``find`` for lists of words: 小红、小明 is one answer, and so is 小明 alone, another.

    Args:
        items: the words.
        in_order: whether their order counts.
    """
    item = _one_of(items)
    run = re.compile(
        rf"(?:{item})(?:(?:{_SEPARATOR}|{_IN_ORDER})(?:{item}))*"
        rf"(?P<more>{_SEPARATOR})?(?:这?(?:[两二三四五]|都)[个人种样]*)?",
        re.IGNORECASE,
    )

    def value_of(match: re.Match[str]) -> Reading:
        named = re.findall(item, match[0], re.IGNORECASE)
        others = match["more"] or _LISTED_BEFORE.search(match.string, match.start() - 4, match.start())
        return UNCLEAR if others or len(set(named)) < len(named) else list_value(named, in_order)

    return pattern_finder(run, value_of)


def join_lists(text: str, items: Collection[str]) -> str:
    """Text in which words with a comma or a line break between them are one list: 小明，小红 is 小明、小红."""
    item = _one_of(items)
    return re.sub(rf"({item})[，\n；]+(?:和|与|and )?(?={item})", r"\1、", text, flags=re.IGNORECASE)


def _one_of(words: Collection[str]) -> str:
    """A pattern for one of some words, the longest first; a digit or letter does not match inside a longer one."""
    longest_first = sorted(words, key=len, reverse=True)
    return "|".join(f"{_edge(word[0], '<!')}{re.escape(word)}{_edge(word[-1], '!')}" for word in longest_first)


def _edge(character: str, looking: str) -> str:
    if not character.isascii() or not character.isalnum():
        return ""
    return rf"(?{looking}[\d.])" if character.isdigit() else rf"(?{looking}[A-Za-z])"


_LISTED_BY = re.compile(r" ?(?:、|/|或者?|和|与|跟|以及|还是|\bor\b|\band\b) ?", re.IGNORECASE)
# What is said beside an answer, between commas, and is no other answer.
_BESIDE = (
    r"(?!谢|老师|同学|对|因|很|不|是|我|它|他|她|这|那|请|希|没|答|所|你|嗯|哦|啊|好|当|就|也|真|又|最"
    r"|(?i:thank|please|sir|of |i |it |its |because|not|yes|no\b|right|well|ok|so\b|hmm|sure|the answer))"
)


def word_finder(
    candidates: Collection[str], right: Collection[str], endings: Collection[str]
) -> Callable[[str], list[Mention]]:
    """A ``find`` for words: all right ones mean the same.

    Args:
        candidates: the words that may be said.
        right: those of them that are right.
        endings: what may stand behind a word without changing it.
    """
    pattern = re.compile(f"({_one_of(candidates)})(?:{'|'.join(map(re.escape, endings))})?", re.IGNORECASE)
    meant = {word.casefold(): word.casefold() for word in candidates} | {word.casefold(): RIGHT for word in right}
    return pattern_finder(pattern, lambda match: meant[match[1].casefold()])


def lone_finder(find_known: Callable[[str], list[Mention]]) -> Callable[[str], list[Mention]]:
    """A ``find`` that also finds the unknown words that known ones are listed with: a word among others is not alone.

    Args:
        find_known: finds the known words.
    """

    def find(text: str) -> list[Mention]:
        found = find_known(text)
        starts, ends = {mention.start for mention in found}, {mention.end for mention in found}
        others = []
        for by in _LISTED_BY.finditer(text):
            if by.start() in ends and by.end() not in starts and by.end() < len(text):
                others.append(Mention(by.end(), by.end() + 1, "another word"))
            if by.end() in starts and by.start() not in ends and by.start() and by[0].strip() != "还是":
                others.append(Mention(by.start() - 1, by.start(), "another word"))
        return sorted([*found, *others], key=lambda mention: mention.start)

    return find


RIGHT = "the right word"
"""What every right word means to a :func:`word_finder`."""


def join_word_lists(text: str, words: Collection[str]) -> str:
    """Text in which a word among others between commas is one of a list: 香蕉，苹果，梨 is 香蕉、苹果、梨.

    Args:
        text: what is said, normalised.
        words: the words that would be answers.
    """
    word, longest = _one_of(words), max(map(len, words)) + 1
    other = rf"{_BESIDE}(?:[A-Za-z]{{1,20}}(?: [A-Za-z]{{1,20}}){{0,2}}|[\u4e00-\u9fff]{{1,{longest}}})"
    text = re.sub(rf"({word})，(?={other}(?:[，。！；\n]|$))", r"\1、", text, flags=re.IGNORECASE)
    return re.sub(
        rf"((?:^|(?<=[，。：；\n是为])){other})，(?=(?:{word})(?:[、，。！；\n]|$))", r"\1、", text, flags=re.IGNORECASE
    )
