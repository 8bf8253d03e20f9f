"""What the tests of the texts share: the names a text fills in, and where the texts are used."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

from scratchgpt.cli.commands import walkthrough as command
from scratchgpt.inside import walkthrough
from scratchgpt.inside.bilingual import Text

_SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in (*Path(walkthrough.__file__).parent.glob("*.py"), Path(command.__file__))
    if path.name not in ("texts.py", "page_texts.py")
)


def _names(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


def assert_both_languages_fill_in_the_same_names(table: Mapping[str, Text]) -> None:
    for key, text in table.items():
        assert text.zh.strip() and text.en.strip(), key
        assert _names(text.zh) == _names(text.en), key
        assert not re.search("[一-鿿]", text.en), key


def unused(keys: Iterable[str]) -> list[str]:
    """The keys that no page names."""
    return [key for key in keys if not re.search(f"[\"']{key}[\"']", _SOURCES)]
