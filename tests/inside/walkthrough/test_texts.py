"""Both languages say the same things, and nothing is said twice or never."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from scratchgpt.cli.commands import walkthrough as command
from scratchgpt.inside import walkthrough
from scratchgpt.inside.bilingual import Text
from scratchgpt.inside.walkthrough.page_texts import PAGES
from scratchgpt.inside.walkthrough.texts import WORDS, Speech

SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in (*Path(walkthrough.__file__).parent.glob("*.py"), Path(command.__file__))
    if path.name not in ("texts.py", "page_texts.py")
)
BODIES = {key: page.body for key, page in PAGES.items()}


def names(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


@pytest.mark.parametrize("table", [WORDS, BODIES, {key: page.title for key, page in PAGES.items()}])
def test_both_languages_are_there_and_fill_in_the_same_names(table: dict[str, Text]) -> None:
    for key, text in table.items():
        assert text.zh.strip() and text.en.strip(), key
        assert names(text.zh) == names(text.en), key
        assert not re.search("[一-鿿]", text.en), key


def test_explanations_are_chinese_in_chinese() -> None:
    for key, page in PAGES.items():
        assert re.search("[一-鿿]", page.title.zh) or key == "gelu", key
        assert len(re.findall("[一-鿿]", page.body.zh)) > 10, key


@pytest.mark.parametrize("table", [WORDS, PAGES])
def test_every_text_is_used(table: dict) -> None:
    unused = [key for key in table if not re.search(f"[\"']{key}[\"']", SOURCES)]
    assert unused == []


def test_speech_chooses_the_language_and_fills_in() -> None:
    assert Speech("zh").word("head", number=3) == "第 3 头"
    assert Speech("en").word("head", number=3) == "head 3"
    assert Speech("en").title("mask") == "The causal mask: no looking ahead"
    assert "第 2 层" in Speech("zh").text("residual_2", layer=2)
