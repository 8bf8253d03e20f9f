"""Picture of page 02: rows of the token table plus rows of the position table are the first x."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREY, arrow, canvas, draw_both, matrix
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scratchgpt import GPT, CharTokenizer, GPTConfig

TEXT = "我爱我"
WORDS = {
    "zh": (
        "词嵌入表 wte.weight (V=11, C=8)",
        "取出的行 (T=3, C=8)",
        "加上位置的行 wpe.weight[0:3]",
        "得到 x (T=3, C=8)",
    ),
    "en": (
        "token table wte.weight (V=11, C=8)",
        "rows looked up (T=3, C=8)",
        "plus rows wpe.weight[0:3]",
        "give x (T=3, C=8)",
    ),
}


def model_and_ids() -> tuple[CharTokenizer, GPT, list[int]]:
    """The model of the page's snippet, and the ids of the text."""
    tokenizer = CharTokenizer()
    tokenizer.fit(["我爱你，你爱我。"])
    config = GPTConfig(tokenizer.vocab_size, emb_dim=8, num_heads=2, num_layers=2, context_size=16, dropout=0.0)
    return tokenizer, GPT(config, seed=0), tokenizer.encode(TEXT)


def draw(language: str) -> Figure:
    """The picture in a language."""
    tokenizer, model, ids = model_and_ids()
    table = model.transformer.wte.weight.data
    positions = model.transformer.wpe.weight.data[: len(ids)]
    names = [f"{i} {tokenizer.token_bytes(i).decode()}" for i in range(len(tokenizer))]
    figure, sheet = canvas(9.6, 5.2)
    limit = 1.0
    left = figure.add_axes((0.125, 0.04, 0.33, 0.84))
    matrix(left, table, names, limit=limit)
    left.set_anchor("N")
    for row in sorted(set(ids)):
        left.add_patch(Rectangle((-0.5, row - 0.5), 8, 1, fill=False, edgecolor=BLUE, linewidth=2))
    left.set_title(WORDS[language][0], fontsize=10, pad=16)
    parts = (table[ids], positions, table[ids] + positions)
    rows = ([f"{i} {c}" for i, c in zip(ids, TEXT, strict=True)], ["0", "1", "2"], [f"{c}" for c in TEXT])
    for number, (part, labels) in enumerate(zip(parts, rows, strict=True)):
        axes = figure.add_axes((0.59, 0.66 - 0.31 * number, 0.38, 0.22))
        matrix(axes, np.asarray(part), labels, limit=limit)
        axes.set_title(WORDS[language][number + 1], fontsize=10, pad=8, color=GREY if number < 2 else BLUE)
    for number, sign in enumerate("+="):
        sheet.text(5.2, 3.05 - 1.61 * number, sign, fontsize=18, ha="center", va="center", color=BLUE)
    arrow(sheet, (4.1, 1.5), (5.1, 4.05), BLUE, 0.25)
    return figure


if __name__ == "__main__":
    draw_both("02-embedding", draw)
