"""Picture of page 13: the register tile of the matrix products, and the blocks that attention visits."""

from __future__ import annotations

import numpy as np
from drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    arrow,
    box,
    canvas,
    draw_both,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scratchgpt.kernels.attention import KEY_BLOCK, QUERY_BLOCK

ROWS, VECTORS, LANES = 8, 2, 16
"""The tile on a CPU with AVX-512 (matrix/register_tile.py): 8 rows, and 32 columns in two vectors of 16 floats."""
TIME = 256
WORDS = {
    "zh": {
        "tile": "寄存器小块：一步 k",
        "a": "A 的一列\n8 个数，各自\n铺满一个向量",
        "b": "B 的一行：32 个数，2 个向量",
        "c": "C 的 8×32 小块：16 个向量，整个循环都留在寄存器里",
        "count": "读 2 + 8 次，做 16 次乘加，写 0 次",
        "attention": "注意力：T = {} 时访问的块",
        "keys": "键 0 … {}",
        "queries": "查询",
        "whole": "算",
        "diagonal": "对角线：遮住一部分",
        "never": "从不访问",
        "share": "算了 {:.0%} 的格子；一块的分数只有 {} KB",
    },
    "en": {
        "tile": "the register tile: one step k",
        "a": "a column of A:\n8 numbers, each\nfills a vector",
        "b": "a row of B: 32 numbers, 2 vectors",
        "c": "8×32 of C: 16 vectors, in registers for the whole loop",
        "count": "2 + 8 loads, 16 multiply-adds, no store",
        "attention": "attention: blocks visited at T = {}",
        "keys": "keys 0 … {}",
        "queries": "queries",
        "whole": "computed",
        "diagonal": "diagonal: partly hidden",
        "never": "never visited",
        "share": "{:.0%} of the cells computed; a block of scores is {} KB",
    },
}


def draw_tile(axes: Axes, words: dict[str, str], left: float, top: float) -> None:
    """One step of the inner loop of all matrix products."""
    cell, gap = 0.26, 0.05
    wide = 2.35
    axes.text(left, top, words["tile"], fontsize=11, fontweight="bold", va="top")
    column, first = left + 1.35, top - 0.95
    for vector in range(VECTORS):
        x = column + 0.55 + vector * (wide + gap)
        box(axes, x, first, wide, cell, f"B[k, {vector * LANES}…{vector * LANES + LANES - 1}]", PALE_BLUE, fontsize=8)
    axes.text(column + 0.55, first + cell + 0.08, words["b"], fontsize=9, color=BLUE)
    for row in range(ROWS):
        y = first - 0.2 - (row + 1) * (cell + gap)
        box(axes, column - 0.25, y, 0.68, cell, f"A[{row}, k]", PALE_ORANGE, fontsize=8)
        for vector in range(VECTORS):
            x = column + 0.55 + vector * (wide + gap)
            box(axes, x, y, wide, cell, f"C[{row}, …] += A[{row}, k] · B", PALE_GREEN, fontsize=7.5)
    middle = first - 0.2 - ROWS / 2 * (cell + gap)
    axes.text(column - 0.35, middle, words["a"], fontsize=9, color=ORANGE, ha="right", va="center")
    bottom = first - 0.2 - ROWS * (cell + gap)
    axes.text(column + 0.55, bottom - 0.12, words["c"], fontsize=9, color=GREEN, va="top")
    axes.text(column + 0.55, bottom - 0.4, words["count"], fontsize=9.5, fontweight="bold", va="top")


def visits(time: int) -> list[tuple[int, int, bool]]:
    """(first query, first key, whether the diagonal crosses it) of every block, as the kernel's loops run."""
    found = []
    for query in range(0, time, QUERY_BLOCK):
        last = min(query + QUERY_BLOCK, time)
        found += [(query, key, key + KEY_BLOCK > query) for key in range(0, last, KEY_BLOCK)]
    return found


def computed_share(time: int) -> float:
    """Share of the (T, T) cells that the kernel computes."""
    cells = 0
    for query, key, _ in visits(time):
        last = min(query + QUERY_BLOCK, time)
        cells += (last - query) * min(KEY_BLOCK, last - key)
    return cells / time**2


def draw_blocks(axes: Axes, words: dict[str, str], left: float, top: float) -> None:
    """The blocks of queries and keys of one head."""
    side = 2.56
    unit = side / TIME
    x0, y0 = left + 0.35, top - 0.75
    axes.text(left, top, words["attention"].format(TIME), fontsize=11, fontweight="bold", va="top")
    axes.add_patch(Rectangle((x0, y0 - side), side, side, facecolor=PALE_GREY, edgecolor=GREY, linewidth=0.8))
    for query, key, diagonal in visits(TIME):
        last = min(query + QUERY_BLOCK, TIME)
        width = min(KEY_BLOCK, last - key)
        shape = Rectangle(
            (x0 + key * unit, y0 - last * unit),
            width * unit,
            (last - query) * unit,
            facecolor=PALE_ORANGE if diagonal else PALE_GREEN,
            edgecolor=ORANGE if diagonal else GREEN,
            linewidth=0.9,
        )
        axes.add_patch(shape)
    axes.plot([x0, x0 + side], [y0, y0 - side], color=INK, linewidth=1, linestyle=":")
    arrow(axes, (x0, y0 + 0.08), (x0 + side, y0 + 0.08))
    axes.text(x0 + side / 2, y0 + 0.13, words["keys"].format(TIME - 1), ha="center", va="bottom", fontsize=9)
    arrow(axes, (x0 - 0.08, y0), (x0 - 0.08, y0 - side))
    axes.text(x0 - 0.14, y0 - side / 2, words["queries"], ha="right", va="center", fontsize=9, rotation=90)
    key_x = x0 + side + 0.2
    for line, (fill, edge, word) in enumerate(
        ((PALE_GREEN, GREEN, "whole"), (PALE_ORANGE, ORANGE, "diagonal"), (PALE_GREY, GREY, "never"))
    ):
        y = y0 - 0.45 - 0.34 * line
        axes.add_patch(Rectangle((key_x, y), 0.2, 0.18, facecolor=fill, edgecolor=edge, linewidth=0.9))
        axes.text(key_x + 0.28, y + 0.09, words[word], va="center", fontsize=8.5)
    kilobytes = QUERY_BLOCK * KEY_BLOCK * np.dtype(np.float32).itemsize // 1024
    share = words["share"].format(computed_share(TIME), kilobytes)
    axes.text(x0, y0 - side - 0.12, share, va="top", fontsize=9.5, fontweight="bold")


def draw(language: str) -> Figure:
    """The picture in a language."""
    figure, axes = canvas(12.2, 4.45)
    draw_tile(axes, WORDS[language], 0.15, 4.3)
    draw_blocks(axes, WORDS[language], 7.0, 4.3)
    return figure


if __name__ == "__main__":
    draw_both("13-kernels", draw)
