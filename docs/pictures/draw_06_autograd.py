"""Picture of page 06: the graph of (w x + b - y)^2, values on the way forward, gradients on the way back."""

from __future__ import annotations

from itertools import pairwise

from drawing import BLUE, GREY, ORANGE, PALE_BLUE, PALE_GREY, PALE_ORANGE, arrow, box, canvas, draw_both
from matplotlib.figure import Figure

from scratchgpt import Tensor
from scratchgpt.inside.recorder import Recording, record

WORDS = {
    "zh": ("蓝：往前，值", "橙：往回，损失对它的导数", "（两条路，相加）"),
    "en": ("blue: forward, values", "orange: back, dL/d(this)", "(two ways, added)"),
}


def recorded() -> tuple[Recording, Tensor, Tensor]:
    """The page's example, forward and back."""
    w, b = Tensor(3.0, requires_grad=True), Tensor(1.0, requires_grad=True)
    with record() as recording:
        error = w * 2.0 + b - 5.0
        loss = error * error
        loss.backward()
    return recording, w, b


def draw(language: str) -> Figure:
    """The picture in a language."""
    forward, back, added = WORDS[language]
    recording, w, b = recorded()
    figure, sheet = canvas(10.2, 3.6)
    sheet.text(0.35, 3.35, forward, color=BLUE, va="center")
    sheet.text(2.9, 3.35, back, color=ORANGE, va="center")
    y, width = 1.45, 1.15
    leaves = ((0.35, 2.2, "w", w), (2.35, 2.2, "b", b))
    constants = ((0.35, 0.5, "x = 2"), (4.35, 2.2, "y = 5"))
    places = (2.35, 4.35, 6.35, 8.35)
    names = ("w·x", "w·x + b", "e = w·x + b − y", "L = e·e")
    for x, below, text in constants:
        box(sheet, x, below, width, 0.5, text, PALE_GREY)
    for x, above, name, leaf in leaves:
        box(sheet, x, above, width, 0.5, f"{name} = {leaf.item():g}", PALE_BLUE, edge=BLUE)
        sheet.text(x + width / 2, above + 0.64, f"{leaf.grad.item():g}", ha="center", color=ORANGE, fontweight="bold")
    for step, x, name in zip(recording.steps, places, names, strict=True):
        fill = PALE_ORANGE if step.operation == "mul" else PALE_GREY
        box(sheet, x, y - 0.4, width + 0.25, 0.5, name, fill, fontsize=9)
        sheet.text(x + 0.35, y - 0.62, f"{step.output.item():g}", ha="center", color=BLUE, fontweight="bold")
        assert step.gradient is not None
        sheet.text(x + 1.05, y - 0.62, f"{step.gradient.item():g}", ha="center", color=ORANGE, fontweight="bold")
    sheet.text(places[2] + 1.05, y - 0.86, added, ha="center", fontsize=8, color=ORANGE)
    arrow(sheet, (0.35 + width, 2.3), (places[0], y), GREY)
    arrow(sheet, (0.35 + width, 0.9), (places[0], y - 0.25), GREY)
    arrow(sheet, (2.35 + width, 2.3), (places[1], y), GREY)
    arrow(sheet, (4.35 + width, 2.3), (places[2], y), GREY)
    for x, following in pairwise(places[:3]):
        arrow(sheet, (x + width + 0.25, y - 0.15), (following, y - 0.15), GREY)
    arrow(sheet, (places[2] + width + 0.25, y - 0.05), (places[3], y - 0.05), GREY)
    arrow(sheet, (places[2] + width + 0.25, y - 0.25), (places[3], y - 0.25), GREY)
    return figure


if __name__ == "__main__":
    draw_both("06-autograd", draw)
