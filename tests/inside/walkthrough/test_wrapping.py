"""Lines of Chinese and English: where they may break, and that nothing is lost."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from scratchgpt.inside.walkthrough.wrapping import wrap


def test_chinese_breaks_anywhere_but_before_a_mark() -> None:
    assert wrap("今天天气很好，我们出去走走。", 12) == ["今天天气很", "好，我们出去", "走走。"]
    assert wrap("他说：“好。”", 8) == ["他说：", "“好。”"]


def test_english_breaks_at_blanks_only() -> None:
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap("模型有 6,400 行 x", 9) == ["模型有", "6,400 行", "x"]


@pytest.mark.parametrize("width", [20, 33, 80])
def test_no_line_is_too_long_and_nothing_is_lost(width: int) -> None:
    text = "损失对 logits 的梯度：概率减去目标的独热向量，再除以 3 个位置。目标“␣”的梯度是负的（--target 可换）。"
    lines = wrap(text, width)
    assert max(map(cell_len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", width) == []


def test_a_word_longer_than_a_line_stands_alone() -> None:
    assert wrap("a /very/long/path b", 6) == ["a", "/very/long/path", "b"]
