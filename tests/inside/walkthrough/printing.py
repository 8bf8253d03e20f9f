"""What the tests of the walkthrough share: a walk through a small fresh model, and pages as a terminal shows them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from scratchgpt.inside.bilingual import Language
from scratchgpt.inside.walkthrough.page import Page, show_pages
from scratchgpt.inside.walkthrough.sentence import Walk, walk_sentence
from scratchgpt.inside.walkthrough.subject import fresh_subject
from scratchgpt.inside.walkthrough.texts import Speech

SENTENCE = "我 爱"
LONG_SENTENCE = "今天天气很好，我们一起出去走走"


def walked(sentence: str = SENTENCE, language: Language = "en", seed: int = 0, **where: Any) -> Walk:
    """The walk of a sentence through a fresh model of 2 layers and 4 heads."""
    return walk_sentence(fresh_subject([sentence], seed), sentence, Speech(language), **where)


def printed(pages: Sequence[Page], language: Language = "zh", width: int = 80) -> str:
    """All pages as a terminal of that width shows them, checked to fit it, without the blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_pages(console, pages, Speech(language))
    text = console.file.getvalue()
    assert max(map(cell_len, text.splitlines())) <= width
    return re.sub(" +\n", "\n", text)


def page_text(pages: Sequence[Page], key: str, width: int = 120) -> str:
    """The only page of that key, in English."""
    (page,) = [page for page in pages if page.key == key]
    return printed([page], "en", width)


def cells(text: str, label: str) -> list[str]:
    """What stands behind ``label`` in the first line that begins with it, blank by blank."""
    found = re.search(rf"^{re.escape(label)} +(.*)$", text, re.MULTILINE)
    assert found is not None, f"no line begins with {label!r}:\n{text}"
    return found[1].split()


def lines_of(*things: object, width: int = 80) -> list[str]:
    """The lines of whatever a console can print, without the blanks at their ends."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for thing in things:
        console.print(thing)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]
