"""Text in two languages: Chinese, which our readers read first, and English."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["zh", "en"]


class Text(NamedTuple):
    """The same thing said twice.

    Attributes:
        zh: in Chinese.
        en: in English.
    """

    zh: str
    en: str

    def __call__(self, language: Language) -> str:
        """What it says in that language."""
        return self.zh if language == "zh" else self.en
