"""Picture of page 03: one head, from scores over the mask and the softmax to the mixed values."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREY, canvas, draw_both, matrix
from matplotlib.figure import Figure

from scratchgpt import GPT, CharTokenizer, GPTConfig
from scratchgpt.inside.hidden_steps import HiddenStep
from scratchgpt.inside.recorder import record

TEXT = "小猫看小鸟"
WORDS = {
    "zh": (
        "1. 分数 S = QKᵀ/√D",
        "2. 盖住后面的",
        "3. softmax：权重 P",
        "4. 输出 O = PV",
        "行：谁在看；列：看谁（第 4 图的列是 D = 4 个通道）",
    ),
    "en": (
        "1. scores S = QKᵀ/√D",
        "2. the future hidden",
        "3. softmax: weights P",
        "4. output O = PV",
        "rows: who looks; columns: at whom (in the fourth, the D = 4 channels)",
    ),
}


def hidden_steps() -> dict[str, HiddenStep]:
    """The steps inside the attention of the page's model, by name."""
    tokenizer = CharTokenizer()
    tokenizer.fit([TEXT])
    config = GPTConfig(tokenizer.vocab_size, emb_dim=8, num_heads=2, num_layers=1, context_size=16, dropout=0.0)
    model = GPT(config, seed=1)
    with record(model) as recording:
        model(np.array([tokenizer.encode(TEXT)]))
    return {step.name: step for step in recording.step("causal_attention").hidden()}


def draw(language: str) -> Figure:
    """The picture in a language."""
    steps = hidden_steps()
    figure, sheet = canvas(10.4, 3.3)
    for number, name in enumerate(("scores", "masked_scores", "weights", "mixed")):
        values = steps[name].array[0, 0].astype(float)
        values[~np.isfinite(values)] = np.nan
        axes = figure.add_axes((0.045 + 0.243 * number, 0.13, 0.205, 0.66))
        columns = [str(d) for d in range(4)] if name == "mixed" else list(TEXT)
        if name == "weights":
            matrix(axes, values, list(TEXT), columns, limit=1.0, low=0.0, cmap="Blues")
        else:
            matrix(axes, values, list(TEXT), columns, limit=3.0)
        axes.set_title(WORDS[language][number], fontsize=10, pad=10, color=BLUE)
    sheet.text(5.2, 0.17, WORDS[language][4], ha="center", va="center", fontsize=9, color=GREY)
    return figure


if __name__ == "__main__":
    draw_both("03-attention", draw)
