"""Written arithmetic: the steps of each operation."""

from __future__ import annotations

from data.generators.tasks.written_arithmetic import (
    addition_steps,
    comparison_steps,
    division_steps,
    multiplication_steps,
    subtraction_steps,
)


def test_workings_are_those_of_written_arithmetic():
    assert addition_steps(15, 27) == "个位5+7=12进1，十位1+2+1=4"
    assert addition_steps(5, 27) == "个位5+7=12进1，十位0+2+1=3"
    assert addition_steps(91, 31) == "个位1+1=2，十位9+3=12"
    assert subtraction_steps(42, 27) == "个位12-7=5借1，十位4-2-1=1"
    assert subtraction_steps(100, 1) == "个位10-1=9借1，十位10-0-1=9借1，百位1-0-1=0"
    assert multiplication_steps(47, 8) == "个位7×8=56进5，十位4×8=32，32+5=37"
    assert division_steps(852, 6) == "8÷6=1余2，25÷6=4余1，12÷6=2余0"
    assert division_steps(124, 4) == "12÷4=3余0，4÷4=1余0"
    assert comparison_steps(583, 567) == "583和567：都是3位，百位5=5，十位8>6，583>567"
    assert comparison_steps(58, 567) == "58和567：2位<3位，58<567"
