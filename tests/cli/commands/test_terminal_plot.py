"""The curve in the terminal: dots stand where the values are."""

from __future__ import annotations

import pytest

from scratchgpt.cli.commands.terminal_plot import BLANK, plot


def dots(lines: list[str]) -> list[tuple[int, int]]:
    """(column, row from the top) of every dot."""
    places = {0x01: (0, 0), 0x02: (0, 1), 0x04: (0, 2), 0x40: (0, 3)}
    places |= {0x08: (1, 0), 0x10: (1, 1), 0x20: (1, 2), 0x80: (1, 3)}
    margin = len(lines[-1]) - len(lines[-1].lstrip()) - 1
    found = []
    for y, line in enumerate(lines[:-1]):
        for x, character in enumerate(line[margin + 1 :]):
            if ord(character) > BLANK:
                found += [(2 * x + c, 4 * y + r) for bit, (c, r) in places.items() if ord(character) - BLANK & bit]
    return found


def test_a_falling_line_goes_from_corner_to_corner() -> None:
    lines = plot([3.0, 2.0, 1.0], width=10, height=5)
    seen = dots(lines)
    assert (0, 0) in seen and (19, 19) in seen
    assert {x for x, _ in seen} == set(range(20))  # no holes
    assert {y for _, y in seen} == set(range(20))
    tops = [min(y for x, y in seen if x == column) for column in range(20)]
    assert tops == sorted(tops)


def test_labels_say_highest_lowest_first_and_last() -> None:
    lines = plot([7.25, 1.5], width=8, height=3)
    assert len(lines) == 4
    assert lines[0].startswith("7.25 ") and lines[2].startswith(" 1.5 ")
    assert lines[3] == "     1      2"


def test_many_values_share_a_column_by_their_mean() -> None:
    lines = plot([0.0, 10.0] * 50 + [20.0, 20.0] * 50, width=2, height=2)
    assert lines[0].startswith("20 ") and lines[1].startswith(" 5 ")


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0]])
def test_a_level_line(values: list[float]) -> None:
    assert {y for _, y in dots(plot(values, width=4, height=2))} == {0}
