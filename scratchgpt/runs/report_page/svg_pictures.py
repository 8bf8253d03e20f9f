"""Pictures as SVG that stands inside an HTML page: curves drawn by Matplotlib, and attention maps.

Several of them share one page, so that no two may use the same id; and nothing in them may point outside.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from scratchgpt.runs.curves import Series, draw_series, mark_best

LARGE, SMALL = (4.0, 2.2), (2.2, 1.3)
"""Width and height of a picture in inches; 72 units of the SVG make one."""
MARGINS = {LARGE: (0.13, 0.11, 0.83, 0.82), SMALL: (0.2, 0.17, 0.7, 0.75)}
"""Left, bottom, width and height of the axes as shares of the picture: room for the numbers, in all alike."""
INK = "#7a8391"
"""Of axes and their numbers: to be read on a white page and on a dark one."""
CELL = 18
"""Width of a cell of an attention map, in units of the SVG."""


def curve_svg(series: Series, key: str, best_step: int | None = None) -> str:
    """A quantity against the step, without title or legend: the page says what it is.

    Args:
        series: at least one measurement.
        key: letters and digits that no other picture on the page has.
        best_step: where the stage was better than in the end, if it was; it is marked.
    """
    figure, panel = _empty(LARGE)
    draw_series(panel, series)
    mark_best(panel, best_step)
    if panel.get_yscale() == "log":  # 1,000 and not ten to the power of three
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
    return _inline(figure, key)


def share_svg(series: Series, key: str, best_step: int | None = None) -> str:
    """A share (0 to 1) against the step, in a smaller picture; all are to the same scale, 0% to 100%."""
    figure, panel = _empty(SMALL)
    draw_series(panel, series)
    mark_best(panel, best_step)
    panel.set_ylim(-0.04, 1.04)
    panel.set_yticks([0, 0.5, 1])
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.tick_params(labelsize=7)
    return _inline(figure, key)


def _empty(size: tuple[float, float]) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=size)
    panel = figure.add_axes(MARGINS[size])
    panel.tick_params(color=INK, labelcolor=INK, which="both")
    for spine in panel.spines.values():
        spine.set_color(INK)
    return figure, panel


def _inline(figure: Figure, key: str) -> str:
    """The figure as an ``<svg>`` element: as wide as its place, with ids of its own, without metadata."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    opening, _, content = svg[svg.index("<svg") :].partition(">")
    view = re.search(r'viewBox="[^"]*"', opening)
    assert view is not None
    content = re.sub(r"<metadata>.*?</metadata>", "", content, flags=re.DOTALL)
    svg = f'<svg {view[0]} class="curve" role="img">{content}'.replace("xlink:href", "href")
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1{key}-", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def attention_svg(tokens: Sequence[str], weights: np.ndarray) -> str:
    """One head's attention as a triangle of cells, the darker the more; pointing at a cell says how much.

    Args:
        tokens: T readable tokens; rows are those that look, columns those that are looked at.
        weights: (T, T), rows that sum to 1.
    """
    count = len(tokens)
    margin = 14 + 11 * max(map(_width, tokens))
    parts = [f'<svg viewBox="0 0 {margin + CELL * count} {margin + CELL * count}" class="attention" role="img">']
    for i, token in enumerate(tokens):
        middle = margin + CELL * (i + 0.5)
        name = html.escape(token)
        parts.append(f'<text x="{margin - 5}" y="{middle + 4:g}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({middle + 4:g} {margin - 5}) rotate(-90)">{name}</text>')
        for j in range(i + 1):
            seen = html.escape(f"{token} → {tokens[j]}: {weights[i, j]:.0%}")
            parts.append(
                f'<rect x="{margin + CELL * j}" y="{margin + CELL * i}" width="{CELL - 1}" height="{CELL - 1}" '
                f'fill-opacity="{0.04 + 0.96 * float(weights[i, j]):.3f}"><title>{seen}</title></rect>'
            )
    return "\n".join([*parts, "</svg>"])


def _width(text: str) -> float:
    """The width of a text in Han characters, nearly."""
    return sum(1.0 if ord(character) >= 0x2E80 else 0.6 for character in text)
