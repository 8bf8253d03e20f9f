"""Numbers as a learner reads them: one format for a table, bars, and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.inside.walkthrough.numbers import (
    bar,
    dot_product,
    in_brackets,
    number_format,
    percent,
    significant,
)


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


def test_only_negative_numbers_stand_in_brackets() -> None:
    assert [in_brackets(number) for number in ("-0.5", "0.5", "0")] == ["(-0.5)", "0.5", "0"]


def test_what_is_no_number_says_so_and_does_not_choose_the_format() -> None:
    form = number_format([np.nan, np.inf, 0.25])
    assert [form(value) for value in (np.nan, np.inf, 0.25)] == ["nan", "∞", "0.250"]


def test_a_bar_is_never_longer_than_the_whole() -> None:
    assert bar(1.5, 3) == "███" and bar(-0.5, 3) == ""
