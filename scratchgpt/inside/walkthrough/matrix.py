"""A matrix in the terminal: as many rows and columns as fit, the rest left out in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from scratchgpt.inside.walkthrough.numbers import number_format

GAP = "…"
"""What stands for that which is left out."""
SPACE = 2
"""Columns between two columns of a table."""
HEADING = 8
"""Columns of the longest heading; a longer one, which a token may be, is cut."""


def middle_left_out(count: int, most: int, tail: int = 1) -> list[int | None]:
    """Which of several things to show.

    Args:
        count: how many there are.
        most: entries of the result, that for the gap included; at least ``tail`` + 2.
        tail: how many of the last are shown in any case.

    Returns:
        the indices to show, with None where some are left out.
    """
    if count <= most:
        return list(range(count))
    return [*range(max(1, most - tail - 1)), None, *range(count - tail, count)]


class Matrix:
    """Numbers with labelled rows, cut to the width of the terminal.

    Args:
        array: (R, C) numbers.
        rows: R labels.
        columns: C labels; None numbers the channels.
        most_rows: rows beyond these are left out in the middle.
        title: stands above, on the left.
        shade: whether to colour an entry by its value, which lies between 0 and 1.
    """

    def __init__(
        self,
        array: np.ndarray,
        rows: Sequence[str],
        columns: Sequence[str] | None = None,
        most_rows: int = 8,
        title: str = "",
        shade: bool = False,
    ) -> None:
        self.array = np.asarray(array, dtype=np.float64)
        self.rows, self.most_rows, self.title, self.shade = list(rows), most_rows, title, shade
        self.columns = [str(i) for i in range(self.array.shape[1])] if columns is None else list(columns)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table that fits ``options.max_width``."""
        shown = number_format(self.array)
        rows = middle_left_out(len(self.rows), self.most_rows)
        label_width = max((cell_len(self.rows[i]) for i in rows if i is not None), default=1)
        widest = max((cell_len(shown(x)) for x in self.array.ravel()), default=1)
        widest = max(widest, *(min(cell_len(c), HEADING) for c in self.columns)) if self.columns else widest
        fitting = max(3, (options.max_width - label_width - SPACE) // (widest + SPACE))
        columns = middle_left_out(len(self.columns), fitting)

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=self.title or None)
        table.title_justify, table.title_style, table.show_edge = "left", "", False
        table.add_column("", no_wrap=True)
        for j in columns:
            heading = Text(GAP if j is None else self.columns[j])
            heading.truncate(HEADING, overflow="ellipsis")
            table.add_column(heading, justify="right", no_wrap=True, header_style="dim")
        for i in rows:
            if i is None:
                table.add_row(GAP, *(GAP for _ in columns), style="dim")
            else:
                table.add_row(Text(self.rows[i]), *(self._cell(i, j, shown) for j in columns))
        yield table

    def _cell(self, i: int, j: int | None, shown: Callable[[float], str]) -> Text:
        if j is None:
            return Text(GAP, style="dim")
        value = float(self.array[i, j])
        if not self.shade:
            return Text(shown(value), style="dim" if not np.isfinite(value) else "")
        return Text(shown(value), style="dim" if value == 0 else "bold" if value >= 0.5 else "")
