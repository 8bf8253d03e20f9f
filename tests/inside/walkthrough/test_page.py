"""Pages: what a recorded step gives them, how they and their tables are shown, and turning them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.inside.recorder import Step, record
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.page import Page, labelled, page_of, show_pages, table, token_table
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.inside.walkthrough.wrapping import wrap
from tests.inside.walkthrough.printing import lines_of


# -- tables -------------------------------------------------------------------------------------------------
def test_a_table_of_tokens_leaves_out_the_middle_and_empty_places() -> None:
    labels = [f"t{i}" for i in range(40)]
    values = np.arange(40.0)
    values[1] = np.nan
    lines = lines_of(token_table(labels, "token", {"x": values, "word": np.array(["[b]"] * 40)}, most_rows=12))
    assert lines[0].split() == ["token", "x", "word"]
    assert lines[2].split() == ["0", "t0", "0.000", "[b]"] and lines[3].split() == ["1", "t1", "[b]"]
    assert [line.split()[0] for line in lines[-5:]] == ["…", "36", "37", "38", "39"]
    later = lines_of(token_table(labels, "token", {"x": values}, start=37))
    assert [line.split()[0] for line in later[2:]] == ["…", "37", "38", "39"]


def test_labels_and_texts_side_by_side() -> None:
    assert lines_of(labelled({"q": "[/b] 你好"})) == ["q  [/b] 你好"]


def test_numbers_stand_on_the_right_and_texts_on_the_left() -> None:
    one = table("word", "number", numbers=1)
    one.add_row("a", "1.0")
    one.add_row("abcdef", "10.0")
    assert lines_of(one)[2:] == ["a           1.0", "abcdef     10.0"]


# -- the page of a step -------------------------------------------------------------------------------------
@pytest.fixture
def step() -> Step:
    x, weight, bias = (Tensor(np.ones(shape), requires_grad=True) for shape in ((1, 2, 4), (4,), (4,)))
    with record() as recording:
        ag.layernorm(x, weight, bias).sum().backward()
    return recording.step("layernorm")


def test_the_page_of_an_operation_has_its_equation_shapes_and_sources(step: Step) -> None:
    page = page_of(step, "layernorm_1", by_hand=["1 + 1 = 2"])
    assert page.equations == [step.equations.forward.plain]
    assert page.shape == "x (1, 2, 4), weight (4,), bias (4,) -> (1, 2, 4)"
    assert page.sources == [step.source, step.caller]
    assert (page.module, page.by_hand) == ("", ["1 + 1 = 2"])


def test_the_page_of_hidden_steps_has_theirs(step: Step) -> None:
    mean, variance, *_ = step.hidden()
    page = page_of(step, "layernorm_1", hidden=[mean, variance], inputs="x (1, 2, 4)")
    assert page.equations == [mean.equation.plain, variance.equation.plain]
    assert page.shape == "x (1, 2, 4) -> mean (1, 2, 1) -> variance (1, 2, 1)"
    assert page.sources == [mean.source, step.caller] and mean.source != step.source


def test_every_source_of_the_hidden_steps_is_named_once() -> None:
    with record() as recording:
        ag.feed_forward(*(Tensor(np.ones(shape)) for shape in ((2, 3), (3, 4), (4,), (4, 3), (3,))))
    page = page_of(recording.steps[0], "gelu", hidden=recording.steps[0].hidden())
    functions = [source.text.split("(")[0] for source in page.sources[:-1]]
    assert functions == ["def matmul_gelu_reference", "def matmul_reference"]


def test_the_page_of_the_backward_pass_has_gradients_and_no_caller(step: Step) -> None:
    page = page_of(step, "back_layernorm", back=True)
    assert page.equations == [step.equations.backward.plain]
    assert page.shape == "dy (1, 2, 4) -> dx (1, 2, 4), dweight (4,), dbias (4,)"
    assert page.sources == [step.source]


def test_an_operation_without_equations_shows_none(step: Step) -> None:
    step.equations = None
    assert page_of(step, "layernorm_1").equations == []


# -- showing pages ------------------------------------------------------------------------------------------
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
    assert f"source    {source}  wrap()" in lines
    assert source.path == "scratchgpt/inside/walkthrough/wrapping.py"
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


def test_a_caller_is_shown_without_its_comment() -> None:
    def called() -> Step:
        with record() as recording:
            ag.exp(Tensor(np.ones(2)))  # a comment
        return recording.step("exp")

    console = Console(file=io.StringIO(), width=120, highlight=False)
    show_pages(console, [page_of(called(), "mask")], Speech("en"))
    assert "  ag.exp(Tensor(np.ones(2)))\n" in "".join(f"{x.rstrip()}\n" for x in console.file.getvalue().splitlines())
