"""Second picture of page 13: what was measured, read out of docs/performance.md."""

from __future__ import annotations

import re

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, PICTURES, draw_both
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

PERFORMANCE = PICTURES.parent / "performance.md"
WORDS = {
    "zh": {
        "step": "训练一步：速度是 PyTorch 的几倍",
        "where": "注意力前向，T = 1024（毫秒）",
        "memory": "注意力前向加反向的内存（MB）",
        "parts": ("矩阵乘法", "softmax", "搬运、遮挡、等待"),
        "ours": "分块内核",
        "textbook": "教科书写法",
        "time": "序列长度 T",
    },
    "en": {
        "step": "training step: times PyTorch's speed",
        "where": "attention forward, T = 1024 (ms)",
        "memory": "attention memory, both ways (MB)",
        "parts": ("matrix products", "softmax", "copies, mask, waiting"),
        "ours": "in blocks",
        "textbook": "textbook",
        "time": "length T",
    },
}


def step_ratios(text: str) -> list[tuple[str, float]]:
    """(work and peer, ratio) of the table of training steps."""
    table = text.split("## A training step", 1)[1].split("medians of", 1)[0]
    found, work = [], ""
    for line in table.splitlines():
        match = re.match(r" (\S.*?)?\s+(torch \w+)\s+(?:[\d.]+\s+){4}([\d.]+)\s+[\d.]+-[\d.]+\s*$", line)
        if match:
            work = match[1] or work
            found.append((f"{work} / {match[2]}", float(match[3])))
    return found


def parts_of_the_time(text: str) -> np.ndarray:
    """(2, 3) ms of attention's forward at T 1024: ours and the textbook's, by part."""
    table = text.split("where the time goes at T 1024", 1)[1].split("whole", 1)[0]
    rows = [re.findall(r"\d+(?:\.\d+)?", line) for line in table.splitlines()]
    products, softmax, rest = ([float(x) for x in row] for row in rows if len(row) >= 4)
    return np.array([[products[0], softmax[0], rest[0]], [products[4], softmax[4], 0.0]])


def memory(text: str) -> list[tuple[int, float, float | None]]:
    """(T, our MB, the textbook's MB or None) of the memory table."""
    table = text.split("memory of attention, forward and backward", 1)[1].split("most that", 1)[0]
    found: list[tuple[int, float, float | None]] = []
    for line in table.splitlines():
        cells = line.split()
        if len(cells) > 2 and cells[0].isdigit():
            first = cells[0] == "512"  # the first row has no growth
            theirs = {True: 3, False: 4}[first]
            found.append((int(cells[0]), float(cells[1]), float(cells[theirs]) if len(cells) > theirs else None))
    return found


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    text = PERFORMANCE.read_text(encoding="utf-8")
    figure = Figure(figsize=(11.6, 3.6), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))

    ratios = step_ratios(text)
    for place, (_, ratio) in enumerate(ratios):
        first.barh(-place, ratio, 0.66, color=BLUE)
        first.text(ratio + 0.05, -place, f"{ratio:.2f}", va="center", fontsize=8.5)
    first.axvline(1, color=GREY, linewidth=0.9, linestyle="--")
    first.set_yticks([-place for place in range(len(ratios))], [name for name, _ in ratios], fontsize=8)
    first.set_xlim(0, max(ratio for _, ratio in ratios) * 1.15)

    parts = parts_of_the_time(text)
    left = np.zeros(2)
    for part, color, name in zip(parts.T, (GREEN, ORANGE, GREY), words["parts"], strict=True):
        second.barh([0, -1], part, 0.5, left=left, color=color, label=name)
        left += part
    for place, total in zip((0, -1), left, strict=True):
        second.text(total + 1, place, f"{total:.0f}", va="center", fontsize=9)
    second.set_yticks([0, -1], [words["ours"], words["textbook"]], fontsize=9)
    second.set_xlim(0, left.max() * 1.15)
    second.set_ylim(-1.5, 1.5)
    second.legend(frameon=False, fontsize=8.5, loc="upper left")

    rows = memory(text)
    third.plot(
        [t for t, *_ in rows], [ours for _, ours, _ in rows], "-o", color=BLUE, markersize=4, label=words["ours"]
    )
    theirs = [(t, mb) for t, _, mb in rows if mb is not None]
    third.plot(*zip(*theirs, strict=True), "-s", color=ORANGE, markersize=4, label=words["textbook"])
    third.set_xscale("log", base=2)
    third.set_yscale("log")
    third.set_xticks([t for t, *_ in rows])
    for axis in (third.xaxis, third.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    third.set_xlabel(words["time"], fontsize=9)
    third.legend(frameon=False, fontsize=9)
    for panel, name in ((first, "step"), (second, "where"), (third, "memory")):
        panel.set_title(str(words[name]), fontsize=9.5, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8.5)
    return figure


if __name__ == "__main__":
    draw_both("13-kernels-speed", draw)
