"""What nobody sees is dropped; what makes an emoji or a word of another script stays."""

from __future__ import annotations

from collections import Counter

import pytest

from scratchgpt.tokenizer.invisible import clean_text, dropped_in_words, first_dropped_line


@pytest.mark.parametrize(
    "unseen",
    [
        *("\u200b", "\ufeff", "\u00ad", "\u200d", "\u200c", "\u2060", "\u200e", "\u202e", "\x00", "\x1b", "\x7f", "\x9f"),
        *("\ufe0f", "\U000e0041", "\U000e0101", "\u3164", "\u034f", "\u061c", "\ufffe"),
    ],
)
def test_what_nobody_sees_is_dropped_and_counted(unseen: str) -> None:
    for text in (f"{unseen}你好", f"你{unseen}好", f"你好{unseen}"):
        assert clean_text(text) == ("你好", Counter({unseen: 1}))
    assert clean_text(unseen).text == ""


@pytest.mark.parametrize(
    "text",
    [
        "👨‍👩‍👧‍👦 和 👩🏽‍🚀",
        "❤️ ☺︎ 🏳️‍🌈 ✍🏽",
        "1️⃣ #️⃣",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می‌خواهم نامه‌ها",  # Persian with zero-width non-joiners
        "क्‍ष श्री‌मान",
        "ᠪᠠᠶᠢᠨ᠎ᠠ",
        "a\tb\nc  \u3000d\u00a0e",
        "龘𠮷①★・ㄅ한국어é",
        "\u0600\u0661",  # a number sign that is drawn
    ],
)
def test_what_is_seen_or_makes_what_is_seen_stays(text: str) -> None:
    assert clean_text(text) == (text, Counter())


def test_a_joiner_that_joins_nothing_is_dropped() -> None:
    assert clean_text("👨\u200d你\u200d好👩\u200d").text == "👨你好👩"
    assert clean_text("好\ufe0f你1\ufe0f2").text == "好你12"
    assert clean_text("👨\u200d\u200d👩").text == "👨👩"


def test_every_line_end_becomes_a_line_feed() -> None:
    text = "a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h\n\r\n"
    assert clean_text(text) == ("a\nb\nc\nd\ne\nf\ng\nh\n\n", Counter())


def test_the_words_for_what_was_dropped() -> None:
    assert dropped_in_words(Counter("\u200b\u200b\xad")) == (
        "3 invisible characters (2 U+200B zero width space, 1 U+00AD soft hyphen)"
    )
    assert dropped_in_words(Counter("\ufeff")) == "1 invisible character (1 U+FEFF byte-order mark)"
    many = dropped_in_words(Counter("\x00\x00\x00\x01\x02\ufffe"))
    assert many.startswith("6 invisible characters (3 U+0000 control, 1 U+") and many.endswith(", ...)")


def test_the_line_of_the_first_that_is_dropped() -> None:
    assert first_dropped_line("👩\u200d🚀\r\nb\rc\u200b\n\u200b") == 3
    assert first_dropped_line("👩\u200d🚀\n") == 0
