"""Explained lines of Python print what their explanations say."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from random import Random

import pytest

from data.generators.chat.code import SNIPPETS, Snippet, Wordings, draw


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_explained_code_prints_what_the_explanation_says(name: str) -> None:
    rng = Random(11)
    for _ in range(20):
        code, explanation, printed = draw(rng, name)
        shown = StringIO()
        with redirect_stdout(shown):
            exec(code, {})  # our own one-line snippets
        assert "、".join(shown.getvalue().split("\n")[:-1]) == printed, code
        assert explanation[-1] not in "。，"
        equations = re.findall(r"(?<![\d÷])(\d+(?:[-+×]\d+)*)=(\d+)", explanation)
        assert all(eval(term.replace("×", "*")) == int(result) for term, result in equations), explanation
        divisions = re.findall(r"(\d+)÷(\d+)=(\d+)余(\d+)", explanation)
        assert all(divmod(int(a), int(b)) == (int(q), int(r)) for a, b, q, r in divisions), explanation


def test_a_kind_of_line_without_a_way_to_draw_it_is_refused() -> None:
    snippet = Snippet("pass", "什么也不做")
    assert Wordings(("?",), ("cat",), dict.fromkeys(SNIPPETS, snippet)).words == ("cat",)
    for kinds in ([], [*SNIPPETS, "while"]):
        with pytest.raises(ValueError, match="the kinds of snippets should be addition, product"):
            Wordings(("?",), ("cat",), dict.fromkeys(kinds, snippet))
