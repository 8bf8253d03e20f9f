"""Characters that nobody sees, and that are other tokens all the same: dropped before text becomes ids.

你好 with a zero-width space before it looks like 你好, but no model has learned from it. ``clean_text`` is called on
every prompt and on everything that is trained on; tokenizers themselves give back what they were given.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import NamedTuple

import regex


class CleanText(NamedTuple):
    """A text without invisible characters."""

    text: str
    dropped: Counter[str]
    """How often each character was dropped, by the character; line ends are not among them."""


_LINE_ENDS = regex.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_INVISIBLE = (
    r"[\p{Cc}--[\t\n]]"  # controls
    # formats: zero-width spaces, soft hyphens, marks of direction; without the few that are drawn
    r"|[\p{Cf}--\p{Prepended_Concatenation_Mark}--[\U00013430-\U0001345f]]"
    r"|[\u034f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef\p{Noncharacter_Code_Point}]"  # joiner, fillers, selectors
)
_JOINED_SCRIPTS = "".join(
    rf"\p{{Script={name}}}"
    for name in (
        *("Arabic", "Syriac", "Nko", "Mandaic", "Mongolian", "Phags_Pa", "Devanagari", "Bengali", "Gurmukhi"),
        *("Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Tibetan", "Myanmar", "Khmer"),
        *("Balinese", "Javanese", "Chakma"),
    )
)
_EMOJI = r"\p{Extended_Pictographic}(?:[\ufe0e\ufe0f]|\p{Emoji_Modifier})?"
_KEPT = "|".join(
    (
        rf"{_EMOJI}(?:\u200d{_EMOJI})*(?:[\U000e0020-\U000e007e]+\U000e007f)?",  # families, and flags of regions
        r"[0-9#*]\ufe0f(?=\u20e3)",  # keycaps
        # letters that join their neighbours, or must not: Persian plurals, Indic conjuncts
        rf"[{_JOINED_SCRIPTS}]\p{{M}}*[\u200c\u200d]",
        r"\p{Script=Mongolian}\u180e",
    )
)
_FIND = regex.compile(_INVISIBLE, regex.VERSION1)
_KEEP_OR_DROP = regex.compile(f"(?P<kept>{_KEPT})|(?P<dropped>{_INVISIBLE})", regex.VERSION1)


def clean_text(text: str) -> CleanText:
    """The text without characters that nobody sees, every line end as "\\n".

    Dropped are control characters but the tab, zero-width spaces and joiners, byte-order marks, soft hyphens, marks of
    direction and variation selectors. What makes an emoji stays, and joiners stay where a script needs them.
    """
    text = _LINE_ENDS.sub("\n", text)
    dropped: Counter[str] = Counter()
    if _FIND.search(text) is None:
        return CleanText(text, dropped)

    def kept(match: regex.Match[str]) -> str:
        if match["kept"] is None:
            dropped[match[0]] += 1
        return match["kept"] or ""

    return CleanText(_KEEP_OR_DROP.sub(kept, text), dropped)


def first_dropped_line(text: str) -> int:
    """The line, counted from 1, of the first character that ``clean_text`` drops; 0 if it drops none."""
    text = _LINE_ENDS.sub("\n", text)
    dropped = (match.start() for match in _KEEP_OR_DROP.finditer(text) if match["kept"] is None)
    return next((text.count("\n", 0, position) + 1 for position in dropped), 0)


def dropped_in_words(dropped: Counter[str]) -> str:
    """What was dropped, for a message: "3 invisible characters (2 U+200B zero width space, 1 U+00AD soft hyphen)"."""
    kinds = [f"{count:,} U+{ord(character):04X} {_name(character)}" for character, count in dropped.most_common(3)]
    more = [] if len(dropped) <= len(kinds) else ["..."]
    total = dropped.total()
    return f"{total:,} invisible character{'s' if total > 1 else ''} ({', '.join(kinds + more)})"


def _name(character: str) -> str:
    fallback = "control" if unicodedata.category(character) == "Cc" else "noncharacter"
    return {"\ufeff": "byte-order mark"}.get(character) or unicodedata.name(character, fallback).lower()
