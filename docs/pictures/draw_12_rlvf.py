"""Picture of page 12: groups of answers and their advantages, what can be learned, and a small run."""

from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, draw_both
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scratchgpt.config import GPTConfig, RLVFConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.rlvf import RLVFTrainer, SuccessRates, group_advantages
from scratchgpt.tokenizer import CharTokenizer
from scratchgpt.training.update import language_model_step

CORRECT = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
SUMS = {"1+2": "3", "2+2": "4", "1+1": "2", "3+2": "5"}
ITERATIONS = 9
WORDS = {
    "zh": {
        "groups": "四道题，每题四个回答：优势 = 奖励 − 组平均",
        "task": "题 {}",
        "dropped": "全对或全错：不用",
        "chance": "抽题的权重 p(1−p) + 0.02",
        "rate": "做对的概率 p",
        "weight": "权重",
        "run": "小实验：SFT 时见过对的才练得动",
        "iteration": "迭代",
        "accuracy": "64 个回答中对的",
        "half": "老师一半说对",
        "never": "老师从不说对",
    },
    "en": {
        "groups": "4 tasks, 4 answers: A = reward − mean",
        "task": "task {}",
        "dropped": "all right or all wrong: not used",
        "chance": "weight of a task: p(1−p) + 0.02",
        "rate": "probability p of a right answer",
        "weight": "weight",
        "run": "a small run, after two kinds of SFT",
        "iteration": "iteration",
        "accuracy": "right among 64 answers",
        "half": "teacher right half of the time",
        "never": "teacher never right",
    },
}


def small_run(teacher_right: bool) -> list[float]:
    """The run of the page: SFT by a careless teacher, or one who is never right, then RLVF; accuracy by iteration."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["12345+", "user", "assistant", "\n"])
    config = GPTConfig(tokenizer.vocab_size, 32, 2, 1, 32, dropout=0.0)
    model = GPT(config)
    dialogues = [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": said}]}
        for prompt, answer in SUMS.items()
        for said in ((answer, answer, "1", "5") if teacher_right else ("1", "1"))
    ]
    batches = DialogueBatches(dialogues, tokenizer, context_size=32, batch_size=16, seed=0)
    optimizer = AdamW(model.named_parameters())
    for step in range(60):
        language_model_step(model, optimizer, batches.batch(step), 5e-3, max_grad_norm=1.0)
    tasks = [{"type": "math", "prompt": prompt, "expected_answer": answer} for prompt, answer in SUMS.items()]
    settings = RLVFConfig(
        num_iterations=ITERATIONS, tasks_per_iteration=4, samples_per_task=16, max_new_tokens=3, lr=1e-3
    )
    return [m["accuracy"] for m in RLVFTrainer(model, tokenizer, config, settings, tasks, tasks).train()]


def draw(language: str) -> Figure:
    """The picture in a language."""
    words = WORDS[language]
    figure = Figure(figsize=(11.4, 3.3), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1.35, 0.85, 1))
    rewards = np.where(CORRECT, RLVFConfig.correct_reward, RLVFConfig.incorrect_reward)
    advantages = group_advantages(rewards)
    for (row, column), advantage in np.ndenumerate(advantages):
        right, used = CORRECT[row, column], 0 < CORRECT[row].sum() < 4
        color = (GREEN if right else ORANGE) if used else GREY
        place = (column, 3 - row)
        shade = 0.25 + 0.5 * abs(advantage) / 1.125 if used else 0.15
        first.add_patch(Rectangle(place, 0.94, 0.86, facecolor=color, alpha=shade))
        mark = "✓" if right else "✗"
        first.text(column + 0.47, 3.43 - row, f"{mark} {advantage:+.3f}", ha="center", va="center", fontsize=9.5)
    for row in range(4):
        first.text(-0.12, 3.43 - row, words["task"].format(row + 1), ha="right", va="center", fontsize=9)
    first.text(2, -0.22, words["dropped"], ha="center", va="top", fontsize=8.5, color=GREY)
    first.set_xlim(-0.85, 4)
    first.set_ylim(-0.6, 4)
    first.set_axis_off()
    first.set_title(words["groups"], fontsize=10, loc="left")

    p = np.linspace(0, 1, 101)
    second.plot(p, p * (1 - p) + SuccessRates.EXPLORATION, color=BLUE)
    second.set_ylim(0, 0.3)
    second.set_xlabel(words["rate"], fontsize=9)
    second.set_ylabel(words["weight"], fontsize=9)
    second.set_title(words["chance"], fontsize=10, loc="left")

    for teacher_right, color, word in ((True, GREEN, "half"), (False, ORANGE, "never")):
        third.plot(range(ITERATIONS), small_run(teacher_right), "-o", markersize=4, color=color, label=words[word])
    third.set_ylim(-0.04, 1.06)
    third.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    third.set_xlabel(words["iteration"], fontsize=9)
    third.set_ylabel(words["accuracy"], fontsize=9)
    third.set_title(words["run"], fontsize=10, loc="left")
    third.legend(frameon=False, fontsize=8.5, loc="center right", bbox_to_anchor=(1, 0.25))
    for panel in (second, third):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=9)
    return figure


if __name__ == "__main__":
    draw_both("12-rlvf", draw)
