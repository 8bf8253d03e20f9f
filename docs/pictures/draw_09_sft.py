"""Picture of page 09: one dialogue, which of its tokens count, and the loss of each before and after SFT."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE_GREEN, PALE_GREY, draw_both
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scratchgpt import autograd as ag
from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.tokenizer import CharTokenizer, encode_chat_with_mask
from scratchgpt.training.update import language_model_step

PAIRS = [("猫吃什么", "猫吃鱼。"), ("狗吃什么", "狗吃肉。"), ("牛吃什么", "牛吃草。"), ("你好", "你好呀！")]
STEPS = 9
"""Few, so that what is left of the loss can still be seen."""
DIALOGUES = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in PAIRS]
WORDS = {
    "zh": {
        "title": "一段对话的每个词元：前面的都给定时，它的损失（纳特）",
        "context": "上下文：只读，不算损失",
        "target": "目标：助手要学会说的",
        "before": "SFT 之前",
        "after": "SFT 之后",
        "unseen": "之后，但从不计入",
    },
    "en": {
        "title": "each token of a dialogue: its loss, given all before it (nats)",
        "context": "context: read, not counted",
        "target": "targets: what the assistant must learn to say",
        "before": "before SFT",
        "after": "after SFT",
        "unseen": "after, but never counted",
    },
}


def losses() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Tokens (T,), the mask (T,), and the loss of each token but the first before and after SFT (T - 1,)."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([*(q + a for q, a in PAIRS), "user", "assistant", "\n"])
    model = GPT(GPTConfig(tokenizer.vocab_size, 32, 2, 2, 64, dropout=0.0))
    optimizer = AdamW(model.named_parameters())
    batches = DialogueBatches(DIALOGUES, tokenizer, context_size=64, batch_size=4, seed=0)
    ids, mask = encode_chat_with_mask(tokenizer, DIALOGUES[2]["messages"])
    row = np.array([ids])

    def measure() -> np.ndarray:
        model.eval()
        with no_grad():
            logits, _ = model(row[:, :-1])
            return ag.token_losses(logits, row[:, 1:]).data[0]

    before = measure()
    for step in range(STEPS):
        language_model_step(model, optimizer, batches.batch(step), 1e-2, max_grad_norm=1.0)
    short = {"<|im_start|>": "start", "<|im_end|>": "end", "\n": "↵"}
    tokens = [tokenizer.decode([i], skip_special_tokens=False) for i in ids]
    return [short.get(token, token) for token in tokens], np.array(mask, bool), before, measure()


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    tokens, mask, before, after = losses()
    figure = Figure(figsize=(11.2, 3.6), layout="constrained")
    panel = figure.subplots()
    places = np.arange(1, len(tokens))
    panel.bar(places - 0.2, before, 0.38, color=GREY, alpha=0.6, label=words["before"])
    counted = mask[1:]
    panel.bar(places[counted] + 0.2, after[counted], 0.38, color=GREEN, label=words["after"])
    panel.bar(places[~counted] + 0.2, after[~counted], 0.38, color=ORANGE, alpha=0.55, label=words["unseen"])
    top = float(max(before.max(), after.max()))
    for place, (token, target) in enumerate(zip(tokens, mask, strict=True)):
        fill = PALE_GREEN if target else PALE_GREY
        panel.add_patch(
            Rectangle((place - 0.47, -0.16 * top), 0.94, 0.115 * top, facecolor=fill, edgecolor=GREY, lw=0.6)
        )
        small = len(token) > 1
        panel.text(place, -0.103 * top, token, ha="center", va="center", fontsize=6.5 if small else 10, color=INK)
    first, last = int(mask.argmax()), int(np.flatnonzero(mask)[-1])
    for start, end, name, color in ((0, first - 1, "context", GREY), (first, last, "target", GREEN)):
        panel.plot([start - 0.45, end + 0.45], [-0.2 * top] * 2, color=color, linewidth=2, clip_on=False)
        where, side = ((start + end) / 2, "center") if name == "context" else (end + 0.45, "right")
        panel.text(where, -0.225 * top, words[name], ha=side, va="top", fontsize=9.5, color=color)
    panel.set_xlim(-0.7, len(tokens) - 0.3)
    panel.set_ylim(-0.33 * top, 1.05 * top)
    panel.set_xticks([])
    panel.set_yticks([tick for tick in panel.get_yticks() if 0 <= tick <= top])
    panel.axhline(0, color=GREY, linewidth=0.8)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
    panel.set_title(words["title"], fontsize=10.5, loc="left", color=BLUE)
    panel.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.62, 1.13))
    return figure


if __name__ == "__main__":
    draw_both("09-sft", draw)
