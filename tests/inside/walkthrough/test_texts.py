"""The words of the walkthrough: both languages say the same things, none is there for nothing."""

from __future__ import annotations

import pytest

from scratchgpt.inside.walkthrough.texts import WORDS, Speech
from tests.inside.walkthrough.spoken import assert_both_languages_fill_in_the_same_names, unused


def test_both_languages_are_there_and_fill_in_the_same_names() -> None:
    assert_both_languages_fill_in_the_same_names(WORDS)


def test_every_word_is_used() -> None:
    assert unused(WORDS) == []


def test_speech_chooses_the_language_and_fills_in() -> None:
    assert Speech("zh").word("head", number=3) == "第 3 头"
    assert Speech("en").word("head", number=3) == "head 3"
    assert Speech("en").title("mask") == "The causal mask: no looking ahead"
    assert "第 2 层" in Speech("zh").text("residual_2", layer=2)


def test_a_word_that_is_not_there_and_a_value_that_was_not_given_are_errors() -> None:
    with pytest.raises(KeyError, match="nothing"):
        Speech("en").word("nothing")
    with pytest.raises(KeyError, match="number"):
        Speech("zh").word("head")
