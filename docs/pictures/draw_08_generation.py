"""Picture of page 08: temperature, the nucleus of top-p, and what the cache saves."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, PALE_GREY, draw_both
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scratchgpt.config import GPTConfig
from scratchgpt.kernels.sample import keep_top_p
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.tokenizer import CharTokenizer

SENTENCES = ["小猫喜欢吃鱼。"] * 4 + ["小猫喜欢睡觉。"] * 2 + ["小猫喜欢爬树。", "小狗喜欢跑步。", "小狗喜欢吃肉。"]
PROMPT = "小猫喜欢"
TEMPERATURES = {0.5: BLUE, 1.0: GREEN, 2.0: ORANGE}
TOP_P = 0.8
SHOWN = 6
WORDS = {
    "zh": {
        "temperature": "温度：“小猫喜欢”之后",
        "nucleus": "top-p = 0.8：从大到小加到 0.8 为止",
        "cache": "为一个新词元要算多少个位置",
        "probability": "概率",
        "sum": "累计概率",
        "step": "已有的词元数",
        "positions": "要算的位置数",
        "without": "没有缓存：每步全部重算",
        "with": "有 KV 缓存：每步 1 个",
        "kept": "留下",
        "out": "去掉",
    },
    "en": {
        "temperature": "temperature: after “小猫喜欢”",
        "nucleus": "top-p = 0.8: add the largest up to 0.8",
        "cache": "positions computed for one new token",
        "probability": "probability",
        "sum": "probability so far",
        "step": "tokens there are already",
        "positions": "positions to compute",
        "without": "no cache: all of them, every step",
        "with": "KV cache: one a step",
        "kept": "kept",
        "out": "left out",
    },
}


def next_token_logits() -> tuple[np.ndarray, CharTokenizer]:
    """Logits (V,) after the prompt, of a small model that has read the sentences (the model of the page)."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(SENTENCES)
    ids = np.array([tokenizer.encode(sentence) for sentence in SENTENCES])
    model = GPT(GPTConfig(tokenizer.vocab_size, 32, 2, 2, 16, dropout=0.0))
    optimizer = AdamW(model.named_parameters(), lr=5e-3)
    for _ in range(60):
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    decoder, prompt = model.decoder(), np.array([tokenizer.encode(PROMPT)])
    return decoder.prefill(decoder.cache(1), prompt, np.array([len(PROMPT)]))[0], tokenizer


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (V,) at a temperature."""
    weights = np.exp((logits - logits.max()) / temperature)
    return weights / weights.sum()


def tidy(panel: Axes, title: str, across: str, up: str) -> None:
    """Title, labels, and no more lines than needed."""
    panel.set_title(title, fontsize=10, loc="left")
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(up, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=9)


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    logits, tokenizer = next_token_logits()
    order = np.argsort(-logits, kind="stable")[:SHOWN]
    names = [tokenizer.decode([int(i)]) or "·" for i in order]
    figure = Figure(figsize=(11.2, 3.3), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    places = np.arange(SHOWN)
    for shift, (temperature, color) in enumerate(TEMPERATURES.items()):
        heights = softmax(logits, temperature)[order]
        first.bar(places + 0.27 * (shift - 1), heights, 0.25, color=color, label=f"T = {temperature:g}")
    first.set_xticks(places, names)
    first.legend(frameon=False, fontsize=9)
    tidy(first, words["temperature"], "", words["probability"])

    probabilities = softmax(logits, 2.0)
    kept = keep_top_p(probabilities[None], TOP_P)[0][order] > 0
    sums = np.cumsum(probabilities[order])
    for place, (height, stays) in enumerate(zip(sums, kept, strict=True)):
        color = GREEN if stays else GREY
        before = height - probabilities[order][place]
        second.bar(place, before, 0.6, color=PALE_GREY)
        second.bar(place, height - before, 0.6, bottom=before, color=color)
        label = words["kept"] if stays else words["out"]
        second.text(place, height + 0.015, label, ha="center", va="bottom", fontsize=8, color=color)
    second.axhline(TOP_P, color=ORANGE, linewidth=1, linestyle="--")
    second.set_xticks(places, names)
    second.set_ylim(0, 1.08)
    tidy(second, words["nucleus"] + "  (T = 2)", "", words["sum"])

    length = np.arange(1, 257)
    third.plot(length, length, color=ORANGE, label=words["without"])
    third.plot(length, np.ones_like(length), color=BLUE, label=words["with"])
    third.fill_between(length, 1, length, color=ORANGE, alpha=0.12)
    third.legend(frameon=False, fontsize=9, loc="upper left")
    tidy(third, words["cache"], words["step"], words["positions"])
    return figure


if __name__ == "__main__":
    draw_both("08-generation", draw)
