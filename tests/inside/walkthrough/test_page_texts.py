"""The texts of the pages: both languages say the same things, none is there for nothing, and what they name exists."""

from __future__ import annotations

import re

import pytest

from scratchgpt.cli.commands.walkthrough import Arguments
from scratchgpt.inside.walkthrough.page_texts import PAGES
from tests.inside.walkthrough.spoken import assert_both_languages_fill_in_the_same_names, unused


@pytest.mark.parametrize("part", ["title", "body"])
def test_both_languages_are_there_and_fill_in_the_same_names(part: str) -> None:
    assert_both_languages_fill_in_the_same_names({key: getattr(page, part) for key, page in PAGES.items()})


def test_explanations_are_chinese_in_chinese() -> None:
    for key, page in PAGES.items():
        assert re.search("[一-鿿]", page.title.zh) or key == "gelu", key
        assert len(re.findall("[一-鿿]", page.body.zh)) > 10, key


def test_every_page_is_used() -> None:
    assert unused(PAGES) == []


def test_the_flags_that_a_text_names_are_the_commands() -> None:
    flags = {f"--{name.replace('_', '-')}" for name in Arguments.__dataclass_fields__}
    named = {flag for page in PAGES.values() for text in page.body for flag in re.findall(r"--[a-z][a-z-]*", text)}
    assert named and named <= flags
    for key, page in PAGES.items():
        assert set(re.findall("--[a-z-]+", page.body.zh)) == set(re.findall("--[a-z-]+", page.body.en)), key
