"""A text said twice: the language chooses which of the two is read."""

from __future__ import annotations

import pytest

from scratchgpt.inside.bilingual import Text


@pytest.mark.parametrize(("language", "said"), [("zh", "模型"), ("en", "the model")])
def test_the_language_chooses_what_is_read(language, said: str) -> None:
    assert Text("模型", "the model")(language) == said


def test_both_can_be_had_by_name_and_compared() -> None:
    text = Text(zh="头", en="head")
    assert (text.zh, text.en) == ("头", "head")
    assert text == ("头", "head") and text != Text("头", "heads")
