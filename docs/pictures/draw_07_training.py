"""Picture of page 07: loss, learning rate and gradient norm of a real run of two seconds."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, draw_both
from matplotlib.figure import Figure

from scratchgpt import GPT, CharTokenizer, GPTConfig
from scratchgpt.config import PretrainConfig
from scratchgpt.stages.pretrain import Pretrainer

WORDS = {
    "zh": (
        "损失（每个词元多少奈特）",
        "学习率：先升后降",
        "梯度的模（虚线以上会被剪到 1）",
        "步",
        "训练",
        "留出的句子",
    ),
    "en": (
        "loss (nats a token)",
        "learning rate: up, then down",
        "gradient norm (cut to 1 above the dashes)",
        "step",
        "training",
        "held out",
    ),
}


def run_of_page() -> tuple[list[dict[str, float]], list[tuple[int, float]]]:
    """The page's run: a record a step, and (step, held-out loss) now and then."""
    documents = [f"小{a}住在{p}里。它喜欢看{p}。" for a in "猫狗鸟鱼牛羊" for p in "山河湖海林田"]
    shuffled = np.random.default_rng(0).permutation(documents).tolist()
    training, heldout = shuffled[:30], shuffled[30:]
    tokenizer = CharTokenizer()
    tokenizer.fit(documents)
    config = GPTConfig(tokenizer.vocab_size, emb_dim=32, num_heads=2, num_layers=2, context_size=32, dropout=0.0)
    settings = PretrainConfig(steps=300, batch_size=4, lr=1e-2, warmup_steps=5)
    run = Pretrainer(GPT(config, seed=0), tokenizer, config, settings, training, heldout)
    records, measured = [], [(0, run.evaluate()["loss"])]
    for index in range(run.total_steps):
        records.append(run.step(index))
        if (index + 1) % 25 == 0:
            measured.append((index + 1, run.evaluate()["loss"]))
    return records, measured


def draw(language: str) -> Figure:
    """The picture in a language."""
    loss, rate, norm, step, training, held_out = WORDS[language]
    records, measured = run_of_page()
    steps = range(1, len(records) + 1)
    figure = Figure(figsize=(10.4, 3.0), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].plot(steps, [record["loss"] for record in records], color=BLUE, label=training)
    panels[0].plot(*zip(*measured, strict=True), "o", color=ORANGE, markersize=4, label=held_out)
    panels[0].legend(frameon=False, fontsize=8)
    panels[1].plot(steps, [record["lr"] for record in records], color=GREEN)
    panels[2].plot(steps, [record["grad_norm"] for record in records], color=BLUE)
    panels[2].axhline(1.0, color=GREY, linestyle="--", linewidth=1)
    for panel, title in zip(panels, (loss, rate, norm), strict=True):
        panel.set_title(title, fontsize=9)
        panel.set_xlabel(step, fontsize=8)
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    draw_both("07-training", draw)
