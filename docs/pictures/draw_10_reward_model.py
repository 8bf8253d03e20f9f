"""Picture of page 10: the loss of a pair by its margin, and the scores of pairs before and after training."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, draw_both
from matplotlib.figure import Figure

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.reward import RewardModelTrainer, bradley_terry_loss
from scratchgpt.tokenizer import CharTokenizer

TOPICS = "猫狗牛羊鸡鸭鱼鸟马兔"
PAIRS = [{"prompt": f"说说{t}", "chosen": f"好的，{t}很可爱。", "rejected": f"烦死了，{t}你也问。"} for t in TOPICS]
TRAINED = 8
WORDS = {
    "zh": {
        "loss": "损失只看差距",
        "margin": "差距 r(好) − r(差)",
        "nats": "损失（纳特）与斜率",
        "curve": "损失 −ln σ(差距)",
        "slope": "斜率 −(1 − σ)",
        "scores": "分数：训练前（左）与训练后（右）",
        "score": "分数 r",
        "chosen": "好回答",
        "rejected": "差回答",
        "heldout": "没训练过\n的两对",
        "before": "训练前",
        "after": "训练后",
    },
    "en": {
        "loss": "the loss looks at the margin only",
        "margin": "margin r(chosen) − r(rejected)",
        "nats": "loss (nats) and its slope",
        "curve": "loss −ln σ(margin)",
        "slope": "slope −(1 − σ)",
        "scores": "scores before training (left) and after (right)",
        "score": "score r",
        "chosen": "chosen",
        "rejected": "rejected",
        "heldout": "never\ntrained on",
        "before": "before",
        "after": "after",
    },
}


def loss_and_slope(margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of pairs with these margins and its derivative by the chosen score, from the project's own function."""
    losses, slopes = np.empty_like(margins), np.empty_like(margins)
    for i, margin in enumerate(margins):
        chosen = Tensor(np.array([margin]), requires_grad=True)
        loss = bradley_terry_loss(chosen, Tensor(np.zeros(1)))
        loss.backward()
        losses[i] = loss.item()
        assert chosen.grad is not None
        slopes[i] = chosen.grad[0]
    return losses, slopes


def trained_scores() -> tuple[np.ndarray, np.ndarray]:
    """Scores (pairs, 2) of chosen and rejected answers before and after training on the first eight pairs."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([*("".join(pair.values()) for pair in PAIRS), "user", "assistant", "\n"])
    config = GPTConfig(tokenizer.vocab_size, 32, 2, 2, 64, dropout=0.0)
    model = RewardModel(config, seed=2)
    settings = RewardConfig(epochs=20, batch_size=8, lr=2e-3, warmup_steps=2)
    trainer = RewardModelTrainer(model, tokenizer, config, settings, PAIRS[:TRAINED], PAIRS[TRAINED:])

    def measure() -> np.ndarray:
        sides = [
            score_sequences(model, [encode_answer(tokenizer, pair["prompt"], pair[side]) for pair in PAIRS])
            for side in ("chosen", "rejected")
        ]
        return np.stack(sides, axis=1)

    before = measure()
    for step in range(trainer.total_steps):
        trainer.step(step)
    return before, measure()


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    margins = np.linspace(-4, 4, 81)
    losses, slopes = loss_and_slope(margins)
    left.plot(margins, losses, color=BLUE, label=words["curve"])
    left.plot(margins, slopes, color=ORANGE, linestyle="--", label=words["slope"])
    left.plot([0], [np.log(2)], "o", color=BLUE, markersize=5)
    left.annotate("ln 2 = 0.693", (0, np.log(2)), (0.3, 1.3), fontsize=9, color=BLUE)
    left.axhline(0, color=GREY, linewidth=0.8)
    left.set_xlabel(words["margin"], fontsize=9)
    left.set_ylabel(words["nats"], fontsize=9)
    left.set_title(words["loss"], fontsize=10, loc="left")
    left.legend(frameon=False, fontsize=9)

    before, after = trained_scores()
    for pair, (old, new) in enumerate(zip(before, after, strict=True)):
        held_out = pair >= TRAINED
        place = pair + 0.6 * held_out
        for shift, scores, alpha in ((-0.17, old, 0.35), (0.17, new, 1.0)):
            right.plot([place + shift] * 2, scores, color=GREY, linewidth=1, alpha=alpha)
            right.plot(place + shift, scores[0], "o", color=GREEN, alpha=alpha, label=words["chosen"])
            right.plot(place + shift, scores[1], "s", color=ORANGE, alpha=alpha, label=words["rejected"])
    right.axvline(TRAINED - 0.2, color=GREY, linewidth=0.8, linestyle=":")
    right.text(TRAINED + 1.1, right.get_ylim()[1] * 1.22, words["heldout"], ha="center", va="top", fontsize=8.5)
    right.set_ylim(right.get_ylim()[0], right.get_ylim()[1] * 1.25)
    right.set_xticks([pair + 0.6 * (pair >= TRAINED) for pair in range(len(PAIRS))], list(TOPICS))
    right.set_xlim(-0.7, len(PAIRS) + 0.9)
    right.axhline(0, color=GREY, linewidth=0.6)
    right.set_ylabel(words["score"], fontsize=9)
    right.set_title(words["scores"], fontsize=10, loc="left")
    handles, labels = right.get_legend_handles_labels()
    right.legend(handles[-2:], labels[-2:], frameon=False, fontsize=9, loc="upper left", ncols=2)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=9)
    return figure


if __name__ == "__main__":
    draw_both("10-reward-model", draw)
