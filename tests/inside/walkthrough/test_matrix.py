"""Matrices in the terminal: they fit, keep their last row and column, and no number is cut."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from scratchgpt.inside.walkthrough.matrix import Matrix, middle_left_out
from tests.inside.walkthrough.printing import lines_of


def test_what_does_not_fit_is_left_out_in_the_middle() -> None:
    assert middle_left_out(3, 3) == [0, 1, 2]
    assert middle_left_out(9, 4) == [0, 1, None, 8]
    assert middle_left_out(9, 6, tail=3) == [0, 1, None, 6, 7, 8]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_matrix_fits_the_terminal_and_keeps_its_last_column(width: int) -> None:
    array = np.arange(20 * 64).reshape(20, 64) / 1000
    lines = lines_of(Matrix(array, [f"词元{i}" for i in range(20)], most_rows=6), width=width)
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split()[-2:] == ["…", "63"]
    assert lines[-1].split()[0] == "词元19" and lines[-1].split()[-1] == "1.279"
    assert all("…" not in cell or cell == "…" for line in lines for cell in line.split())


def test_a_heading_as_long_as_a_token_may_be_is_cut_and_no_number_is() -> None:
    lines = lines_of(Matrix(np.full((2, 12), 0.125), ["a", "b"], ["一二三四五六七八九十"] * 12))
    assert lines[0].split()[:2] == ["一二三", "…"] and max(map(cell_len, lines)) <= 80
    assert set(lines[2].split()) == {"a", "0.125", "…"}


def test_a_small_matrix_is_whole() -> None:
    lines = lines_of(Matrix(np.array([[1.0, 0.25], [0.5, -np.inf]]), ["a", "b"], ["x", "y"], title="P", shade=True))
    assert [line.split() for line in lines[:2]] == [["P"], ["x", "y"]]
    assert lines[3].split() == ["a", "1.000", "0.250"] and lines[4].split() == ["b", "0.500", "-∞"]


def test_a_shaded_entry_is_bold_from_a_half_and_dim_at_nothing() -> None:
    def styles(shade: bool) -> dict[str, str]:
        console = Console(width=80)
        matrix = Matrix(np.array([[0.0, 0.25, 0.75]]), ["a"], shade=shade)
        (table,) = matrix.__rich_console__(console, console.options)
        return {column._cells[0].plain: str(column._cells[0].style) for column in table.columns[1:]}  # type: ignore[union-attr]

    assert styles(shade=True) == {"0.000": "dim", "0.250": "", "0.750": "bold"}
    assert set(styles(shade=False).values()) == {""}


def test_columns_without_names_are_numbered() -> None:
    assert lines_of(Matrix(np.zeros((1, 3)), ["a"]))[0].split() == ["0", "1", "2"]
