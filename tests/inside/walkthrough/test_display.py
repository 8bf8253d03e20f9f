"""What the pages are made of: lines, numbers, matrices, tables, and turning the pages."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.labels import token_label, token_labels
from scratchgpt.inside.walkthrough.matrix import Matrix, middle_left_out
from scratchgpt.inside.walkthrough.numbers import bar, dot_product, number_format, percent, significant
from scratchgpt.inside.walkthrough.page import Page, labelled, show_pages, token_table
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.inside.walkthrough.wrapping import wrap
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer


def shown(*things: object, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for thing in things:
        console.print(thing)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


# -- lines --------------------------------------------------------------------------------------------------
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


# -- numbers ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, -1.25], ["0.500", "-1.250"]),
        ([123.456, 1.0], ["123.5", "1.0"]),
        ([0.0012, -3e-7, 0.0], ["1.2e-03", "-3.0e-07", "0"]),
        ([1.0, -np.inf], ["1.000", "-∞"]),
        ([-0.0001, 1.0], ["0.000", "1.000"]),
        ([], []),
    ],
)
def test_one_format_for_all_numbers_of_a_table(values, expected) -> None:
    form = number_format(np.array(values))
    assert [form(value) for value in values] == expected


def test_probabilities_and_bars() -> None:
    assert [percent(p) for p in (1.0, 0.1234, 0.00123, 1e-6, 0.0)] == ["100.0%", "12.3%", "0.12%", "0.0001%", "0.0%"]
    assert bar(0.5, 4) == "██" and bar(1, 4) == "████" and bar(0, 4) == "" and bar(0.28, 4) == "█▏"
    assert significant(0.0123456) == "0.01235"


def test_a_dot_product_shows_how_it_begins() -> None:
    assert dot_product([0.5, -1.0, 2.0], [1.0, 2.0, 3.0]) == "0.500×1.000 + (-1.000)×2.000 + …"
    assert dot_product([0.5], [1.0]) == "0.500×1.000"


# -- matrices and tables ------------------------------------------------------------------------------------
def test_what_does_not_fit_is_left_out_in_the_middle() -> None:
    assert middle_left_out(3, 3) == [0, 1, 2]
    assert middle_left_out(9, 4) == [0, 1, None, 8]
    assert middle_left_out(9, 6, tail=3) == [0, 1, None, 6, 7, 8]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_matrix_fits_the_terminal_and_keeps_its_last_column(width: int) -> None:
    array = np.arange(20 * 64).reshape(20, 64) / 1000
    lines = shown(Matrix(array, [f"词元{i}" for i in range(20)], most_rows=6), width=width)
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split()[-2:] == ["…", "63"]
    assert lines[-1].split()[0] == "词元19" and lines[-1].split()[-1] == "1.279"
    assert all("…" not in cell or cell == "…" for line in lines for cell in line.split())


def test_a_heading_as_long_as_a_token_may_be_is_cut_and_no_number_is() -> None:
    lines = shown(Matrix(np.full((2, 12), 0.125), ["a", "b"], ["一二三四五六七八九十"] * 12))
    assert lines[0].split()[:2] == ["一二三", "…"] and max(map(cell_len, lines)) <= 80
    assert set(lines[2].split()) == {"a", "0.125", "…"}


def test_a_small_matrix_is_whole() -> None:
    lines = shown(Matrix(np.array([[1.0, 0.25], [0.5, -np.inf]]), ["a", "b"], ["x", "y"], title="P", shade=True))
    assert [line.split() for line in lines[:2]] == [["P"], ["x", "y"]]
    assert lines[3].split() == ["a", "1.000", "0.250"] and lines[4].split() == ["b", "0.500", "-∞"]


def test_a_table_of_tokens_leaves_out_the_middle_and_empty_places() -> None:
    labels = [f"t{i}" for i in range(40)]
    values = np.arange(40.0)
    values[1] = np.nan
    lines = shown(token_table(labels, "token", {"x": values, "word": np.array(["[b]"] * 40)}, most_rows=12))
    assert lines[0].split() == ["token", "x", "word"]
    assert lines[2].split() == ["0", "t0", "0.000", "[b]"] and lines[3].split() == ["1", "t1", "[b]"]
    assert [line.split()[0] for line in lines[-5:]] == ["…", "36", "37", "38", "39"]
    later = shown(token_table(labels, "token", {"x": values}, start=37))
    assert [line.split()[0] for line in later[2:]] == ["…", "37", "38", "39"]


def test_labels_and_texts_side_by_side() -> None:
    assert shown(labelled({"q": "[/b] 你好"})) == ["q  [/b] 你好"]


def test_labels_of_tokens() -> None:
    characters = CharTokenizer()
    characters.build_vocab(["我 爱\n"])
    assert token_labels(characters, characters.encode("我 \n")) == ["我", "␣", "↵"]
    assert token_label(characters, 5) == "<|im_end|>" and token_label(characters, 999) == "#999"
    pieces = BPETokenizer(270)
    pieces.fit(["我"])
    assert token_label(pieces, pieces.encode("爱")[0]) == "⟨E7⟩"


# -- pages --------------------------------------------------------------------------------------------------
PAGES = [
    Page("mask", equations=["a = b", "c = d"], shape="x -> y", sources=[source_of(wrap)]),
    Page("gelu", {"active": 1}),
]


def test_a_page_shows_what_it_has() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    show_pages(console, PAGES, Speech("en"))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines[1].startswith("1/2  The causal mask: no looking ahead ──")
    assert "equation  a = b" in lines and "          c = d" in lines and "shape     x -> y" in lines
    source = source_of(wrap)
    assert f"source    {source}  wrap()" in lines and str(source).startswith("scratchgpt/inside/walkthrough/wrapping.py:")
    assert not any(line.startswith(("by hand", "module")) for line in lines)
    assert sum(line.startswith("2/2") for line in lines) == 1


@pytest.mark.parametrize(("answers", "pages"), [(["", ""], 3), (["q"], 1), (["", " Q "], 2), ([], 3)])
def test_turning_pages(answers: list[str], pages: int) -> None:
    asked = []

    def wait(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) > len(answers):
            raise EOFError
        return answers[len(asked) - 1]

    console = Console(file=io.StringIO(), width=80)
    show_pages(console, [*PAGES, PAGES[0]], Speech("zh"), wait)
    assert sum(f"\n{number}/3" in console.file.getvalue() for number in (1, 2, 3)) == pages
    assert all("回车" in prompt for prompt in asked)
