"""Every operation has its equation, and Matplotlib can draw it."""

from __future__ import annotations

import pytest
from matplotlib.mathtext import MathTextParser

from scratchgpt import autograd as ag
from scratchgpt.autograd.equations import EQUATIONS


def test_every_operation_has_an_equation_and_every_equation_an_operation() -> None:
    assert EQUATIONS.keys() == ag.OPERATIONS.keys()


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_says_what_it_computes_and_its_latex_can_be_drawn(name: str) -> None:
    draw = MathTextParser("path")
    for equation in (EQUATIONS[name].forward, EQUATIONS[name].backward):
        assert "= " in equation.plain and "=" in equation.latex
        assert "\\" not in equation.plain and "$" not in equation.latex
        draw.parse(f"${equation.latex}$")


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_way_back_ends_at_the_arguments(name: str) -> None:
    backward = EQUATIONS[name].backward
    assert backward.plain.lstrip("[").startswith("d") and backward.latex.lstrip("[").startswith("d")
