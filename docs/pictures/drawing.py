"""What the pictures of docs/ share: a font with Chinese in it, colours, boxes, arrows, matrices, and the file.

Each `draw_*.py` beside this file makes one page's picture, in Chinese and in English, from numbers that the project's
own code computes: `python docs/pictures/draw_03_attention.py`. The text of an SVG stays text, so whoever looks at it
needs a Chinese font, and can search and copy it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

PICTURES = Path(__file__).parent
LANGUAGES = ("zh", "en")
BLUE, ORANGE, GREEN, PINK, GREY, INK = "#2a78b5", "#d1602a", "#3f8f4f", "#a8477f", "#8a8f98", "#22262b"
PALE_BLUE, PALE_ORANGE, PALE_GREEN, PALE_PINK, PALE_GREY = "#dcebf7", "#fbe5d6", "#dff0e0", "#f5dfec", "#eef0f2"
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "SimHei",
)
"""Looked for in this order; they measure the text alike, since a Han character is a square in all of them."""


FONT_FILES = re.compile("cjk|sourcehan|pingfang|msyh|wqy|simhei", re.IGNORECASE)


def _set_up() -> None:
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it says that a font has no bold face
    # Matplotlib remembers which fonts there were; one installed since then has to be shown to it.
    for path in font_manager.findSystemFonts():
        if FONT_FILES.search(Path(path).name):
            font_manager.fontManager.addfont(path)
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    chinese = [name for name in CHINESE_FONTS if name in installed][:1]
    matplotlib.rcParams.update(
        {
            "font.family": ["DejaVu Sans", *chinese],
            "svg.fonttype": "none",
            "svg.hashsalt": "scratchgpt",
            "text.color": INK,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.unicode_minus": False,
            "font.size": 10,
        }
    )


_set_up()


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty sheet of that many inches, without axes; a unit of its coordinates is an inch."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return figure, axes


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str = "", fill: str = PALE_GREY, **style: Any
) -> None:
    """A rounded box with its lower left corner at (x, y), and text in its middle."""
    edge = style.pop("edge", GREY)
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.06", facecolor=fill, edgecolor=edge, linewidth=0.9
    )
    axes.add_patch(shape)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", **{"fontsize": 10, **style})


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str = GREY, curve: float = 0.0
) -> None:
    """An arrow from one point to another, bent by `curve`."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.3, "connectionstyle": f"arc3,rad={curve}"}
    axes.annotate("", xy=end, xytext=start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def matrix(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    form: str = "{:.2f}",
    limit: float | None = None,
    cmap: str = "RdBu_r",
    low: float | None = None,
    fontsize: float = 8,
) -> None:
    """An array (R, K) as coloured cells with their numbers; NaN is left grey and empty.

    Args:
        limit: the value of the strongest colour; by default the largest there is.
        low: the value of the other end; by default -limit.
    """
    top = float(np.nanmax(np.abs(values))) if limit is None else limit
    bottom = -top if low is None else low
    axes.set_facecolor("#e4e6e9")
    axes.imshow(np.ma.masked_invalid(values), cmap=cmap, vmin=bottom, vmax=top, aspect="equal")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            strong = abs((value - (top + bottom) / 2) / ((top - bottom) / 2)) > 0.65
            dark = strong and (bottom < 0 or value > (top + bottom) / 2)
            color = "white" if dark else INK
            axes.text(column, row, form.format(value), ha="center", va="center", fontsize=fontsize, color=color)
    axes.set_xticks(range(values.shape[1]), columns or [""] * values.shape[1], fontsize=9)
    axes.set_yticks(range(values.shape[0]), rows or [""] * values.shape[0], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)


def save(figure: Figure, name: str, language: str) -> None:
    """Write `<name>.<language>.svg`; a reader's own font is named in it, in place of the one that measured it."""
    path = PICTURES / f"{name}.{language}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None}, facecolor="white")
    fonts = ", ".join(f"'{font}'" for font in ("DejaVu Sans", *CHINESE_FONTS)) + ", sans-serif"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"('DejaVu Sans'|DejaVu Sans)(, ('[^']+'|[\w ]+))*(?=[;\"])", fonts, text)
    path.write_text("\n".join(line.rstrip() for line in text.split("\n")), encoding="utf-8")


def draw_both(name: str, draw: Callable[[str], Figure]) -> None:
    """Draw and save the picture in both languages."""
    for language in LANGUAGES:
        save(draw(language), name, language)
