"""A curve in the terminal, from braille characters: each is a grid of two by four dots.

7.6 ⡇
    ⢇
    ⠘⠢⠤⣀⣀⡀
4.9       ⠈⠉⠉⠒⠒⠤
    1          200
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLANK = 0x2800
"""The braille character without dots; the bits below say which dots are set."""
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of the dot in row r and column c of a character (Unicode 15, block 2800)."""


def plot(values: Sequence[float], width: int = 60, height: int = 12) -> list[str]:
    """The values from left to right as a line, with the highest and the lowest at its side.

    Args:
        values: at least one, all finite; several that share a column of dots are averaged.
        width, height: of the picture in characters, without its labels.

    Returns:
        ``height + 1`` lines.
    """
    columns = _columns(np.asarray(values, dtype=np.float64), 2 * width)
    low, high = float(columns.min()), float(columns.max())
    rows = np.rint((high - columns) / ((high - low) or 1) * (4 * height - 1)).astype(int)
    dots = np.zeros((4 * height, 2 * width), dtype=bool)
    for x, row in enumerate(rows):
        before = rows[max(x - 1, 0)]
        # From halfway to the neighbour, so that a steep line has no holes.
        middle = (row + before) // 2
        dots[min(row, middle) : max(row, middle) + 1, x] = True
        dots[min(before, middle) : max(before, middle) + 1, max(x - 1, 0)] = True
    cells = dots.reshape(height, 4, width, 2).transpose(0, 2, 1, 3)  # (height, width, 4, 2)
    codes = BLANK + (cells * DOTS).sum(axis=(2, 3))
    labels = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}
    margin = max(map(len, labels.values()))
    pictures = ["".join(map(chr, row)).rstrip(chr(BLANK)) for row in codes]
    last = str(len(values))
    axis = f"{'':>{margin}} 1{last:>{max(width - 1, len(last) + 1)}}"
    return [*(f"{labels.get(y, ''):>{margin}} {picture}" for y, picture in enumerate(pictures)), axis]


def _columns(values: np.ndarray, count: int) -> np.ndarray:
    """(N,) -> (count,): means of neighbours where there are more values than columns, else straight lines between."""
    if len(values) <= count:
        return np.interp(np.linspace(0, len(values) - 1, count), np.arange(len(values)), values)
    borders = np.linspace(0, len(values), count + 1).astype(int)
    return np.add.reduceat(values, borders[:-1]) / np.diff(borders)
