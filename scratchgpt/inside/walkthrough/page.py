"""A page of the walkthrough and how it is shown: title, explanation, facts, numbers; one after the other or paged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from scratchgpt.autograd.equations import Equation
from scratchgpt.inside.hidden_steps import HiddenStep
from scratchgpt.inside.recorder import Step
from scratchgpt.inside.source_lines import SourceLine
from scratchgpt.inside.walkthrough.matrix import GAP, middle_left_out
from scratchgpt.inside.walkthrough.numbers import number_format
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.inside.walkthrough.wrapping import wrap


@dataclass
class Page:
    """One page.

    Attributes:
        key: of its title and explanation in the texts.
        values: what the explanation's braces stand for.
        equations: the equations of what is shown, in plain text.
        by_hand: lines that compute one of the numbers shown.
        shape: what goes in and what comes out.
        module: path of the module at work.
        sources: where it is computed, and what called it.
        parts: tables and matrices.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    equations: Sequence[str] = ()
    by_hand: Sequence[str] = ()
    shape: str = ""
    module: str = ""
    sources: Sequence[SourceLine] = ()
    parts: Sequence[RenderableType] = ()


def page_of(
    step: Step, key: str, hidden: Sequence[HiddenStep] = (), inputs: str = "", back: bool = False, **fields: Any
) -> Page:
    """The page of a recorded step: equations, shapes, module and sources are the step's own.

    Args:
        step: the operation that is shown.
        key: of the texts.
        hidden: steps inside the operation; their equations and sources are shown instead of the operation's.
        inputs: names and shapes of what the hidden steps begin with.
        back: whether the page is about the backward pass.
        fields: the page's other fields.
    """
    equations = [one.equation for one in hidden] or _equations(step, back)
    sources = list(dict.fromkeys(one.source for one in hidden)) or [step.source]
    given = [a for a in step.arguments if isinstance(a.value, np.ndarray)]
    if back:
        gradients = [f"d{a.name} {a.gradient.shape}" for a in given if a.gradient is not None]
        shape = f"dy {step.output.shape} -> {', '.join(gradients)}"
    elif hidden:
        shape = " -> ".join([*([inputs] if inputs else []), *(f"{one.name} {np.shape(one.array)}" for one in hidden)])
    else:
        shape = f"{', '.join(f'{a.name} {a.value.shape}' for a in given)} -> {step.output.shape}"
    return Page(
        key,
        equations=[equation.plain for equation in equations],
        shape=shape,
        module=step.module,
        sources=[*sources, *([step.caller] if step.caller and not back else [])],
        **fields,
    )


def _equations(step: Step, back: bool) -> list[Equation]:
    if step.equations is None:
        return []
    return [step.equations.backward if back else step.equations.forward]


def _shortened(line: SourceLine) -> str:
    """The name of a function, or the code that called it without its comment."""
    if found := re.match(r"def (\w+)\(", line.text):
        return f"{found[1]}()"
    return line.text.split("  #")[0]


def table(*headings: str, numbers: int | None = None) -> Table:
    """A table without rows.

    Args:
        headings: of its columns.
        numbers: the columns from this one on hold numbers, which stand on the right; None: none does.
    """
    empty = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for index, heading in enumerate(headings):
        right = numbers is not None and index >= numbers
        empty.add_column(Text(heading), justify="right" if right else "left", no_wrap=True, header_style="dim")
    return empty


def token_table(
    labels: Sequence[str], heading: str, columns: Mapping[str, np.ndarray], most_rows: int = 32, start: int = 0
) -> Table:
    """A row for every token, with numbers.

    Args:
        labels: T tokens.
        heading: of the tokens.
        columns: heading -> (T,) numbers or texts; NaN leaves a place empty.
        most_rows: of the table; beyond them the middle is left out.
        start: the first token shown.
    """
    shown = table("", heading, *columns, numbers=2)
    texts = [_column(values) for values in columns.values()]
    gap = [GAP] * (len(columns) + 2)
    if start:
        shown.add_row(*gap, style="dim")
    for row in middle_left_out(len(labels) - start, most_rows, tail=most_rows // 3):
        if row is None:
            shown.add_row(*gap, style="dim")
        else:
            t = start + row
            shown.add_row(Text(str(t), style="dim"), Text(labels[t]), *(Text(column[t]) for column in texts))
    return shown


def labelled(rows: Mapping[str, str]) -> Table:
    """Texts, each with what it is before it: label -> text."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True, style="dim")
    shown.add_column(overflow="fold")
    for label, text in rows.items():
        shown.add_row(label, Text(text))
    return shown


def _column(values: np.ndarray) -> list[str]:
    if values.dtype.kind not in "fiu":
        return [str(value) for value in values]
    form = number_format(values)
    return ["" if np.isnan(value) else form(value) for value in values]


def print_page(console: Console, page: Page, number: int, total: int, speech: Speech) -> None:
    """Print one page.

    Args:
        console: where to.
        page: what to print.
        number, total: its place among all pages, from 1.
        speech: in which language.
    """
    console.print()
    console.print(Rule(f"[bold]{number}/{total}  {speech.title(page.key)}[/]", align="left", style="dim"))
    console.print(Text("\n".join(wrap(speech.text(page.key, **page.values), console.width))))
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column()
    for label, lines, style in (
        ("equation", page.equations, "bold"),
        ("by_hand", page.by_hand, ""),
        ("shape", [page.shape] if page.shape else [], ""),
        ("module", [page.module] if page.module else [], ""),
        ("source", [f"{line}  {_shortened(line)}" for line in page.sources], ""),
    ):
        for index, line in enumerate(lines):
            text = Text(line, style=style)
            text.no_wrap, text.overflow = label == "source", "ellipsis"
            facts.add_row(speech.word(label) if index == 0 else "", text)
    if facts.row_count:
        console.print()
        console.print(facts)
    for part in page.parts:
        console.print()
        console.print(part)


def show_pages(
    console: Console,
    pages: Sequence[Page],
    speech: Speech,
    wait: Callable[[str], str] | None = None,
) -> None:
    """Print all pages.

    Args:
        console: where to.
        pages: what to print.
        speech: in which language.
        wait: shows a prompt and returns what was typed, after each page but the last; "q" ends it. None, and the
            end of the input, print the rest at once.
    """
    for number, page in enumerate(pages, start=1):
        print_page(console, page, number, len(pages), speech)
        if wait is not None and number < len(pages):
            try:
                answer = wait(f"\n{speech.word('go_on')} ")
            except EOFError:  # nobody is there to press a key
                wait = None
                continue
            if answer.strip().lower() in ("q", "quit"):
                return
