"""Picture of page 05: the whole model from ids to loss, with shapes and the number of parameters."""

from __future__ import annotations

from drawing import (
    BLUE,
    GREY,
    INK,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    PALE_PINK,
    arrow,
    box,
    canvas,
    draw_both,
)
from matplotlib.figure import Figure

from scratchgpt import GPT, get_mini_config

WORDS = {
    "zh": {
        "title": "mini 模型：{:,} 个参数",
        "ids": "词元编号",
        "embed": "词嵌入 wte + 位置 wpe",
        "block": "块 h.{}：注意力，前馈",
        "norm": "最后的层归一化 ln_f",
        "head": "输出头：乘 wte 的转置（同一张表）",
        "loss": "交叉熵：平均 −ln p(下一个词元)",
        "shape": "形状",
        "parameters": "参数",
        "shared": "与 wte 共用",
    },
    "en": {
        "title": "the mini model: {:,} parameters",
        "ids": "token ids",
        "embed": "token table wte + positions wpe",
        "block": "block h.{}: attention, feed-forward",
        "norm": "final layernorm ln_f",
        "head": "head: times wte transposed (the same table)",
        "loss": "cross-entropy: mean of −ln p(next token)",
        "shape": "shape",
        "parameters": "parameters",
        "shared": "shared with wte",
    },
}


def draw(language: str) -> Figure:
    """The picture in a language."""
    words, config = WORDS[language], get_mini_config()
    model = GPT(config)
    parts = model.transformer
    embeddings = parts.wte.num_parameters() + parts.wpe.num_parameters()
    channels, vocabulary = config.emb_dim, config.vocab_size
    rows = [
        (words["ids"], "(B, T)", None, PALE_GREY),
        (words["embed"], f"(B, T, C={channels})", embeddings, PALE_BLUE),
        *(
            (words["block"].format(layer), f"(B, T, C={channels})", block.num_parameters(), PALE_ORANGE)
            for layer, block in enumerate(parts.h)
        ),
        (words["norm"], f"(B, T, C={channels})", parts.ln_f.num_parameters(), PALE_GREEN),
        (words["head"], f"(B, T, V={vocabulary:,})", 0, PALE_BLUE),
        (words["loss"], "()", None, PALE_PINK),
    ]
    figure, sheet = canvas(9.2, 0.8 + 0.52 * len(rows))
    top = 0.35 + 0.52 * len(rows)
    sheet.text(
        0.3, top + 0.22, words["title"].format(model.num_parameters()), fontsize=12, fontweight="bold", va="center"
    )
    sheet.text(5.3, top + 0.1, words["shape"], fontsize=9, color=GREY, ha="center")
    sheet.text(7.0, top + 0.1, words["parameters"], fontsize=9, color=GREY)
    for line, (text, shape, count, fill) in enumerate(rows):
        y = top - 0.52 * (line + 1) + 0.1
        box(sheet, 0.3, y, 4.0, 0.36, text, fill)
        sheet.text(5.3, y + 0.18, shape, ha="center", va="center", fontsize=10)
        if line + 1 < len(rows):
            arrow(sheet, (2.3, y), (2.3, y - 0.16))
        if count is not None:
            share = count / model.num_parameters()
            sheet.barh(y + 0.18, 2.6 * share, height=0.22, left=6.6, color=BLUE)
            said = f"{count:,}  ({100 * share:.1f}%)" if count else words["shared"]
            sheet.text(6.7 + 2.6 * share, y + 0.18, said, va="center", fontsize=9, color=INK if count else GREY)
    return figure


if __name__ == "__main__":
    draw_both("05-gpt", draw)
