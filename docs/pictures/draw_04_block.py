"""Picture of page 04: the two branches of a block, and how the residual stream grows through the layers."""

from __future__ import annotations

import numpy as np
from drawing import (
    BLUE,
    GREEN,
    GREY,
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

from scratchgpt import GPT, GPTConfig
from scratchgpt.inside.recorder import Recording, record

WORDS = {
    "zh": {
        "title": "第 0 块：两条支路，各自加回主干（σ 是这里的标准差）",
        "chart": "主干的标准差，一站一站",
        "attn": "注意力\n词元之间交换",
        "mlp": "前馈层\n每个词元自己算",
        "start": "嵌入",
        "after": "块 {}",
    },
    "en": {
        "title": "Block 0: two branches, each added back (σ: standard deviation here)",
        "chart": "standard deviation of the stream, stop by stop",
        "attn": "attention\ntokens exchange",
        "mlp": "feed-forward\neach token alone",
        "start": "start",
        "after": "block {}",
    },
}


def recording_of_page() -> Recording:
    """What the page's snippet records."""
    config = GPTConfig(vocab_size=50, emb_dim=32, num_heads=4, num_layers=4, context_size=16, dropout=0.0)
    model = GPT(config, seed=0)
    with record(model) as recording:
        model(np.random.default_rng(0).integers(50, size=(1, 16)))
    return recording


def draw(language: str) -> Figure:
    """The picture in a language."""
    words, recording = WORDS[language], recording_of_page()
    figure, sheet = canvas(10.6, 3.4)
    sheet.text(0.3, 3.1, words["title"], fontsize=11, fontweight="bold", va="center")
    _draw_block(sheet, recording, words)
    axes = figure.add_axes((0.685, 0.12, 0.29, 0.7))
    stream = [recording.step("add", "transformer"), *recording.find("add", "transformer.h.0")]
    for layer in range(1, 4):
        stream += recording.find("add", f"transformer.h.{layer}")
    sizes = [float(step.output.std()) for step in stream]
    axes.bar(range(9), sizes, color=[GREY, *[BLUE, ORANGE] * 4], width=0.7)
    for place, size in enumerate(sizes):
        axes.text(place, size + 0.02, f"{size:.2f}", ha="center", fontsize=8)
    ticks = [words["start"], *(words["after"].format(layer) for layer in range(4))]
    axes.set_xticks([0, 1.5, 3.5, 5.5, 7.5], ticks, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(0, 1.1 * max(sizes))
    axes.set_title(words["chart"], fontsize=9)
    return figure


def _draw_block(sheet: Axes, recording: Recording, words: dict[str, str]) -> None:
    def size(operation: str, module: str, which: int = 0) -> str:
        return f"σ {recording.find(operation, module)[which].output.std():.2f}"

    stream = 0.85
    arrow(sheet, (0.2, stream), (6.85, stream), GREY)
    starts = [size("add", "transformer"), size("add", "transformer.h.0", 0), size("add", "transformer.h.0", 1)]
    for x, text in zip((0.42, 3.52, 6.5), starts, strict=True):
        sheet.text(x, stream - 0.28, text, ha="center", fontsize=9, color=GREY)
    sheet.text(0.42, stream + 0.16, "x", ha="center", fontsize=12)
    branches = (
        (0.75, "ln_1", words["attn"], PALE_BLUE, BLUE, size("linear", "transformer.h.0.attn.c_proj"), "ln_1"),
        (3.85, "ln_2", words["mlp"], PALE_ORANGE, ORANGE, size("feed_forward", "transformer.h.0.mlp"), "ln_2"),
    )
    for x, norm, text, fill, color, result, module in branches:
        arrow(sheet, (x, stream), (x, 1.55), color)
        box(sheet, x - 0.3, 1.55, 0.75, 0.4, norm, PALE_GREEN, edge=GREEN)
        sheet.text(x + 0.08, 2.1, size("layernorm", f"transformer.h.0.{module}"), ha="center", fontsize=9, color=GREEN)
        arrow(sheet, (x + 0.45, 1.75), (x + 0.75, 1.75), color)
        box(sheet, x + 0.75, 1.4, 1.35, 0.7, text, fill, edge=color, fontsize=9)
        sheet.text(x + 1.43, 2.25, result, ha="center", fontsize=9, color=color)
        arrow(sheet, (x + 2.1, 1.75), (x + 2.3, 1.04), color, -0.3)
        box(sheet, x + 2.14, stream - 0.17, 0.34, 0.34, "+", PALE_GREY, fontsize=12)


if __name__ == "__main__":
    draw_both("04-block", draw)
