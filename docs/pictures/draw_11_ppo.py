"""Picture of page 11: the clipped objective, advantages by GAE, and a small PPO run with and without a leash."""

from __future__ import annotations

from typing import Any

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, draw_both
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RLHFConfig
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.policy_gradient import clipped_policy_loss
from scratchgpt.stages.rlhf import PPOTrainer, generalized_advantages
from scratchgpt.tokenizer import CharTokenizer
from scratchgpt.training.history import Metrics

CLIP = 0.2
REWARDS = np.array([-0.02, -0.01, -0.04, -0.01, 1.50])
VALUES = np.array([0.40, 0.50, 0.20, 0.70, 1.10])
LAMBDAS = {0.0: ORANGE, 0.95: GREEN, 1.0: BLUE}
PENALTIES = {0.01: ORANGE, 0.5: GREEN, 2.0: BLUE}
EPISODES = 16
WORDS = {
    "zh": {
        "clip": "裁剪目标 min(r A, clip(r) A)",
        "ratio": "比值 r = π/π_old",
        "objective": "目标（越大越好）",
        "better": "A = +1：好词元",
        "worse": "A = −1：坏词元",
        "gae": "一个回答五个词元的优势",
        "token": "词元",
        "advantage": "优势 A",
        "run": "小实验：KL 惩罚是一根绳子",
        "kl": "离 SFT 策略多远（KL，纳特）",
        "reward": "平均奖励",
    },
    "en": {
        "clip": "clipped objective min(r A, clip(r) A)",
        "ratio": "ratio r = π/π_old",
        "objective": "objective (larger is better)",
        "better": "A = +1: a good token",
        "worse": "A = −1: a bad token",
        "gae": "advantages of an answer's five tokens",
        "token": "token",
        "advantage": "advantage A",
        "run": "a small run: the KL penalty is a leash",
        "kl": "distance from the SFT policy (KL, nats)",
        "reward": "mean reward",
    },
}


def objective(ratios: np.ndarray, advantage: float) -> np.ndarray:
    """Minus the clipped loss of tokens with these ratios and one advantage."""
    logprobs, old = np.log(ratios), np.zeros_like(ratios)
    return -clipped_policy_loss(Tensor(logprobs), old, np.full_like(ratios, advantage), CLIP).data


def small_run(kl_coef: float) -> list[Metrics]:
    """The run of the page: PPO from random weights against a reward model that counts one character."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["好坏行吗", "user", "assistant", "\n"])
    config = GPTConfig(tokenizer.vocab_size, 16, 2, 1, 32, dropout=0.0)
    good = tokenizer.encode("好")[0]

    class LikesGood(RewardModel):
        """One point for every 好."""

        def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
            return Tensor((input_ids == good).sum(axis=1).astype(np.float32))

    settings = RLHFConfig(
        kl_coef=kl_coef, num_episodes=EPISODES, batch_size=128, max_new_tokens=4, lr=8e-3, value_lr=5e-3,
        value_warmup=1, target_kl=1.0,
    )  # fmt: skip
    return PPOTrainer(GPT(config), LikesGood(config), tokenizer, config, settings, ["行吗"]).train()


def tidy(panel: Axes, title: str, across: str, up: str, **legend: Any) -> None:
    """Title, labels, legend, and no more lines than needed."""
    panel.set_title(title, fontsize=10, loc="left")
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(up, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=9)
    panel.legend(frameon=False, fontsize=8.5, **legend)


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    figure = Figure(figsize=(11.4, 3.4), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    ratios = np.linspace(0.4, 1.6, 121)
    for advantage, color, word in ((1.0, GREEN, "better"), (-1.0, ORANGE, "worse")):
        first.plot(ratios, objective(ratios, advantage), color=color, label=words[word])
        first.plot(ratios, advantage * ratios, color=color, linestyle=":", linewidth=1)
    first.axvspan(1 - CLIP, 1 + CLIP, color=GREY, alpha=0.15, linewidth=0)
    first.axhline(0, color=GREY, linewidth=0.8)
    first.set_ylim(-1.75, 2.3)
    tidy(first, words["clip"], words["ratio"], words["objective"], loc="upper left")

    places = np.arange(len(REWARDS))
    for shift, (gae_lambda, color) in enumerate(LAMBDAS.items()):
        advantages = generalized_advantages(REWARDS, VALUES, 1.0, gae_lambda)
        second.bar(places + 0.27 * (shift - 1), advantages, 0.25, color=color, label=f"λ = {gae_lambda:g}")
    second.axhline(0, color=GREY, linewidth=0.8)
    second.set_xticks(places, [str(place + 1) for place in places])
    second.set_ylim(top=1.75)
    tidy(second, words["gae"], words["token"], words["advantage"], ncols=3, loc="upper center")

    for kl_coef, color in PENALTIES.items():
        history = small_run(kl_coef)
        distance, reward = ([metrics[name] for metrics in history] for name in ("objective/kl", "reward"))
        third.plot(
            distance, reward, "-", marker="o", markersize=3.5, linewidth=1, color=color, label=f"β = {kl_coef:g}"
        )
    tidy(third, words["run"], words["kl"], words["reward"], loc="lower right")
    return figure


if __name__ == "__main__":
    draw_both("11-ppo", draw)
