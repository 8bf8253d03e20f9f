"""Warning signs: each shows in the record of a run that was ruined, none in those of runs that went well.

The numbers are those of real runs of the `mini` model, rounded: "good" with the default settings, "hacked" with four
times the learning rate, no KL penalty and twice the passes (docs/experiments.md has both).
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, PretrainConfig, RewardConfig, RLHFConfig, RLVFConfig, SFTConfig
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages import warning_signs
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.stages.reward import RewardModelTrainer
from scratchgpt.stages.rlhf import PPOTrainer
from scratchgpt.stages.rlvf import RLVFTrainer
from scratchgpt.stages.sft import SFTTrainer
from scratchgpt.stages.warning_signs import (
    alike_share,
    entropy_collapse,
    kl_blow_up,
    loss_has_turned,
    no_learning_signal,
    nothing_learned,
    one_answer_to_all,
    one_likeliest_answer_to_all,
    reward_against_measure,
    reward_far_from_reference,
)
from scratchgpt.tokenizer import IM_START_ID, CharTokenizer
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.loop import run_trainer
from scratchgpt.training.trainer import Trainer
from tests.conftest import ANSWERS, QUESTIONS
from tests.rl_helpers import TargetReward, digit_tokenizer, tiny_policy
from tests.tiny import dialogue


def steps(reward: list[float], kl: list[float], entropy: list[float]) -> list[dict[str, float]]:
    rows = zip(reward, kl, entropy, strict=True)
    return [{"reward": r, "objective/kl": k, "objective/entropy": e} for r, k, e in rows]


GOOD_PPO = steps(
    [0.07, -0.15, -0.02, 0.05, 0.30, 0.67, 0.65, 0.92, 0.82, 0.98, 0.93, 1.08, 0.99, 1.06, 1.08, 1.00, 1.05, 1.05],
    [0.00, 0.00, 0.00, -0.04, 0.42, 0.99, 1.39, 1.27, 1.72, 2.16, 2.54, 2.55, 2.55, 3.23, 3.06, 3.31, 2.71, 2.84],
    [0.76, 0.74, 0.46, 0.33, 0.45, 0.63, 0.77, 0.68, 0.61, 0.54, 1.03, 0.72, 0.64, 0.81, 0.93, 1.06, 0.88, 0.83],
)
GOOD_PPO_FACTS = [{"facts_right": 0.32}, {"facts_right": 0.62}, {"facts_right": 0.65}]
HACKED_PPO = steps(
    [0.03, -0.20, -0.04, 0.63, 0.36, 0.79, 0.79, 0.84, 1.01, 1.16, 1.20, 1.20, 1.41, 1.45, 1.46, 1.47, 1.63, 1.60],
    [0.00, 0.00, 0.00, 9.45, 12.3, 22.1, 26.9, 34.3, 42.0, 37.7, 43.1, 61.8, 69.6, 66.5, 79.3, 75.4, 85.8, 78.3],
    [0.85, 0.92, 0.35, 1.34, 1.49, 1.82, 2.08, 2.31, 2.34, 2.11, 2.10, 2.31, 2.61, 2.17, 2.42, 2.15, 2.03, 1.65],
)
HACKED_PPO_FACTS = [{"facts_right": 0.32}, {"facts_right": 0.27}, {"facts_right": 0.03}, {"facts_right": 0.05}]
GOOD_RLVF = steps(
    [0.70, 0.51, 0.49, 0.52, 0.44, 0.41, 0.47, 0.53, 0.46, 0.56, 0.51, 0.47, 0.59, 0.49, 0.56, 0.54, 0.43, 0.58],
    [0.00, 0.00, 0.01, 0.03, 0.03, 0.06, 0.05, 0.00, 0.09, 0.13, 0.23, 0.22, 0.18, 0.18, 0.24, 0.16, 0.15, 0.31],
    [0.10, 0.10, 0.09, 0.06, 0.07, 0.07, 0.08, 0.07, 0.10, 0.09, 0.09, 0.09, 0.09, 0.10, 0.06, 0.09, 0.08, 0.08],
)
GOOD_RLVF_ACCURACY = [{"accuracy": 0.78}, {"accuracy": 0.82}, {"accuracy": 0.80}]


def first_step(sign, records: list[dict[str, float]]) -> int | None:
    """The iteration after which the sign shows for the first time."""
    return next((end for end in range(1, len(records) + 1) if sign(records[:end])), None)


def signs_of(trainer: type[Trainer], records: list[dict[str, float]], evaluations: list[dict]) -> list[set[str]]:
    """The names of the signs that a trainer reports after each iteration; measured every five, as in the runs."""
    made: Trainer = trainer.__new__(trainer)
    return [
        set(made.warning_signs(History(steps=records[:end], evaluations=evaluations[: 1 + end // 5])))
        for end in range(len(records) + 1)
    ]


# -- runs as a whole ----------------------------------------------------------------------------------------
def test_good_runs_show_none() -> None:
    assert not any(signs_of(PPOTrainer, GOOD_PPO, GOOD_PPO_FACTS))
    assert not any(signs_of(RLVFTrainer, GOOD_RLVF, GOOD_RLVF_ACCURACY))


def test_a_hacked_run_shows_within_three_updates_that_it_goes_wrong() -> None:
    shown = signs_of(PPOTrainer, HACKED_PPO, HACKED_PPO_FACTS)
    assert not any(shown[:4]), "the first three iterations were those of the policy it began with"
    assert shown[6] == {"KL blow-up", "reward hacking"}
    assert shown[-1] == {"KL blow-up", "reward hacking"}


def test_rlvf_is_not_accused_of_hacking_for_being_far_away() -> None:
    """A verifier is right at any distance; the reward has to rise while fewer held-out answers are right."""
    rising = [{**step, "reward": 0.05 * i, "objective/kl": 20.0} for i, step in enumerate(GOOD_RLVF)]
    assert signs_of(RLVFTrainer, rising, GOOD_RLVF_ACCURACY)[-1] == {"KL blow-up"}
    assert signs_of(RLVFTrainer, rising, [{"accuracy": 0.78}, {"accuracy": 0.5}])[-1] == {
        "KL blow-up",
        "reward hacking",
    }
    assert "reward hacking" in signs_of(PPOTrainer, rising, [])[-1]


# -- each sign ----------------------------------------------------------------------------------------------
def test_entropy_collapse() -> None:
    falling = steps([0.5] * 12, [1.0] * 12, [0.8 * 0.75**i for i in range(12)])
    assert first_step(entropy_collapse, falling) == 9  # the mean of three is then below a fifth of the first three
    assert entropy_collapse(falling) == (
        "0.0463 nats a token, 0.617 at first: the policy tries nothing new; lower lr or raise kl_coef"
    )
    halved = steps([0.5] * 12, [1.0] * 12, [0.8] * 6 + [0.3] * 6)
    assert first_step(entropy_collapse, halved) is None
    one_low = steps([0.5] * 12, [1.0] * 12, [0.8] * 6 + [0.05] + [0.8] * 5)
    assert first_step(entropy_collapse, one_low) is None, "a single iteration says little"
    assert first_step(entropy_collapse, HACKED_PPO) is None


def test_kl_blow_up() -> None:
    assert first_step(kl_blow_up, HACKED_PPO) == 6
    assert kl_blow_up(HACKED_PPO[:6]) == (
        "14.6 nats a response from the reference, more than 10; lower lr or raise kl_coef"
    )
    lost_some_facts = [0, 0, 0.3, 1.8, 2.8, 3.6, 3.4, 3.9, 4.2, 4.7, 4.5, 5.4]  # 1.5e-4 after a short SFT
    assert first_step(kl_blow_up, steps([0.0] * 12, lost_some_facts, [1.6] * 12)) is None


def test_reward_far_from_reference() -> None:
    assert first_step(reward_far_from_reference, HACKED_PPO) == 6
    assert reward_far_from_reference(HACKED_PPO) == (
        "the reward rose by 1.64 at 80 nats a response from the reference, where it cannot be trusted; "
        "lower lr or raise kl_coef and read some answers"
    )
    flat = [{**step, "reward": 0.1} for step in HACKED_PPO]
    assert first_step(reward_far_from_reference, flat) is None, "a policy that gains nothing does not hack"
    assert first_step(reward_far_from_reference, GOOD_PPO) is None


def test_reward_against_measure() -> None:
    assert reward_against_measure(HACKED_PPO, HACKED_PPO_FACTS, "facts_right") == (
        "the reward rose by 1.64 but facts right on held-out prompts fell from 32% to 5%; "
        "lower lr or raise kl_coef and read some answers"
    )
    assert reward_against_measure(HACKED_PPO, HACKED_PPO_FACTS[:2], "facts_right") is None, "five points are noise"
    assert reward_against_measure(HACKED_PPO[:3], HACKED_PPO_FACTS, "facts_right") is None, "the reward did not rise"
    assert reward_against_measure(HACKED_PPO, GOOD_PPO_FACTS, "facts_right") is None
    assert reward_against_measure(HACKED_PPO, [{"reward": 1.0}], "facts_right") is None, "no rubrics, nothing to say"


def test_one_answer_to_all() -> None:
    shares = [0.1, 0.1, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9]
    rising = [{"reward": 0.3 * i, "answers/alike": share} for i, share in enumerate(shares)]
    assert first_step(one_answer_to_all, rising) == 7
    assert one_answer_to_all(rising) == (
        "77% of the prompts get the same answer, 10% at first, and the reward rose by 1.50: "
        "the reward model is fooled by it; lower lr or raise kl_coef and read some answers"
    )
    flat = [{**step, "reward": 0.1} for step in rising]
    assert first_step(one_answer_to_all, flat) is None, "a policy that gains nothing fools nobody"
    few = [{**step, "answers/alike": 1.0} for step in rising]
    assert first_step(one_answer_to_all, few) is None, "one prompt has one answer from the beginning"
    assert "one answer to all" in signs_of(PPOTrainer, rising, [])[-1]


def test_one_likeliest_answer_to_all() -> None:
    rising = [{"reward": 0.3 * i, "answers/alike": 0.1} for i in range(8)]  # of the samples no two are equal
    measured = [{"answers/alike": 0.1}, {"reward": 0.5}, {"answers/alike": 0.5}, {"answers/alike": 0.875}]
    assert one_answer_to_all(rising) is None and one_likeliest_answer_to_all(rising, measured[:3]) is None
    assert one_likeliest_answer_to_all(rising, measured) == (
        "88% of the prompts get the same likeliest answer, 10% at first, and the reward rose by 1.50: "
        "the reward model is fooled by it; lower lr or raise kl_coef and read some answers"
    )
    flat = [{**step, "reward": 0.1} for step in rising]
    assert one_likeliest_answer_to_all(flat, measured) is None
    assert one_likeliest_answer_to_all(rising, measured[-1:]) is None, "one prompt has one answer from the beginning"
    assert one_likeliest_answer_to_all(rising, []) is None
    assert signs_of(PPOTrainer, rising, measured)[-1] == set() != {"one answer to all"}  # measured twice so far
    made: Trainer = PPOTrainer.__new__(PPOTrainer)
    assert set(made.warning_signs(History(steps=rising, evaluations=measured))) == {"one answer to all"}


def test_alike_share() -> None:
    assert alike_share([[1], [2], [3], [4]], [[9], [9], [9], [8]]) == 0.75
    assert alike_share([[1], [1], [1], [2]], [[9], [9], [9], [8]]) == 0.5, "a prompt asked three times is one prompt"
    assert alike_share([[1], [1]], [[9], [8]]) == 1.0
    assert alike_share(["一", "二", "三", "四"], ["好", "好", "好", "不"]) == 0.75


def test_no_learning_signal() -> None:
    wrong = [{"groups_used": 0.0, "accuracy": 0.0}] * 8
    assert first_step(no_learning_signal, wrong) == 5
    assert no_learning_signal(wrong) == (
        "all answers to a task have been alike for 5 iterations, 0% right. Most are wrong: the tasks are too hard for "
        "this model; give easier ones, or raise samples_per_task"
    )
    right = no_learning_signal([{"groups_used": 0.0, "accuracy": 1.0}] * 5)
    assert right is not None and right.endswith("100% right. Most are right: the tasks are too easy; give harder ones")
    one_taught = [*wrong[:4], {"groups_used": 1.0, "accuracy": 0.01}, *wrong[:4]]
    assert first_step(no_learning_signal, one_taught) is None
    assert "no learning signal" in signs_of(RLVFTrainer, wrong, [])[-1]


def test_loss_has_turned() -> None:
    losses = [{"step": 120 * i, "loss": loss} for i, loss in enumerate([9.0, 8.0, 7.66, 8.0, 9.5, 10.64])]
    assert first_step(loss_has_turned, losses) == 5  # 8.0 is within the noise of 7.66, 9.5 is not
    assert loss_has_turned(losses) == (
        "7.66 nats at step 240, now 10.64: train for fewer epochs, lower lr or give more data"
    )
    small = [{"step": i, "loss": loss} for i, loss in enumerate([6.0, 0.01, 0.02])]
    by_a_tenth = [{"step": 20 * i, "loss": loss} for i, loss in enumerate([4.057, 3.376, 3.413, 3.508, 3.623])]
    assert first_step(loss_has_turned, by_a_tenth) == 5  # a small model that learns noise by heart
    assert loss_has_turned(small) is None, "a dialogue known by heart has thousandths left to lose"
    assert loss_has_turned([]) is None and loss_has_turned([{"step": 0, "accuracy": 1.0}]) is None


def test_nothing_learned() -> None:
    assert nothing_learned(6.1, 2.0) is None
    text = "the loss is 7.2 nats at the end, 6.1 without training; lower lr, or train for longer"
    assert nothing_learned(6.1, 7.2) == text
    assert nothing_learned(6.1, float("nan")) is not None and nothing_learned(6.1, 6.1) is not None


@pytest.mark.parametrize("trainer", [Pretrainer, SFTTrainer])
def test_supervised_stages_say_at_the_end_that_nothing_was_learned(trainer: type[Trainer]) -> None:
    def signs(losses: list[float], total_steps: int) -> set[str]:
        made: Trainer = trainer.__new__(trainer)
        made.total_steps = total_steps
        evaluations = [{"step": 10 * i, "loss": loss} for i, loss in enumerate(losses)]
        return set(made.warning_signs(History(evaluations=evaluations)))

    assert signs([6.1, 4.0, 3.9], 20) == signs([], 20) == signs([6.1], 20) == set()
    assert signs([6.1, 6.2], 20) == set(), "there are steps to come"
    assert signs([6.1, 6.2, 6.3], 20) == {"nothing learned"}
    assert signs([6.1, 4.0, 5.0], 20) == {"loss has turned"}
    assert signs([6.1, 4.0, 6.5], 20) == {"loss has turned", "nothing learned"}


def test_the_reward_model_says_at_the_end_that_nothing_was_learned() -> None:
    def signs(losses: list[float], total_steps: int) -> set[str]:
        made = RewardModelTrainer.__new__(RewardModelTrainer)
        made.total_steps = total_steps
        return set(made.warning_signs(History(steps=[{"loss": loss} for loss in losses])))

    assert signs([0.7] * 5 + [0.3] * 5, 10) == signs([0.7] * 9, 10) == signs([0.7] * 5, 5) == set()
    assert signs([0.7] * 5 + [0.8] * 5, 10) == {"nothing learned"}
    assert signs([0.9] * 5 + [0.69] * 5, 10) == {"nothing learned"}, "equal scores have that loss too"
    assert signs([0.9] * 5 + [0.67] * 5, 10) == set()


@pytest.mark.parametrize(
    "sign", [entropy_collapse, kl_blow_up, reward_far_from_reference, one_answer_to_all, no_learning_signal]
)
def test_records_without_the_quantity_say_nothing(sign) -> None:
    assert sign([]) is None
    assert sign([{"tokens": 5.0}] * 4) is None
    gaps = [row for step in HACKED_PPO for row in (step, {"accuracy": 1.0})]  # RLVF skips iterations without groups
    assert (sign(gaps) is None) == (sign(HACKED_PPO) is None)


def test_limits_stand_between_the_runs() -> None:
    good_entropy = [row["objective/entropy"] for row in GOOD_PPO]
    lowest = min(sum(good_entropy[i : i + 3]) / 3 for i in range(len(good_entropy) - 2))
    assert warning_signs.ENTROPY_FRACTION * sum(good_entropy[:3]) / 3 < 0.5 * lowest
    assert 2 * max(row["objective/kl"] for row in GOOD_PPO) < warning_signs.KL_LIMIT < 22


# -- during a run -------------------------------------------------------------------------------------------
class Replay(Trainer):
    """A trainer whose metrics are those of the hacked run."""

    name = "rlhf"

    def __init__(self) -> None:
        super().__init__()
        self.total_steps, self.evaluate_every = len(HACKED_PPO), 5

    def step(self, index: int) -> Metrics:
        return {**HACKED_PPO[index], "tokens": 1.0}

    def evaluate(self) -> Metrics:
        return {"reward": 0.0}

    def sample(self) -> str:
        return "答案"

    def warning_signs(self, history: History) -> dict[str, str]:
        return PPOTrainer.warning_signs(self, history)  # type: ignore[arg-type]


class Stopped(Replay):
    """The same trainer, broken off in its ninth step."""

    def step(self, index: int) -> Metrics:
        if index == 8:
            raise KeyboardInterrupt
        return super().step(index)


def files(out: Path) -> tuple[Path, Path]:
    """Log and unfinished state."""
    return out / "logs" / "rlhf.jsonl", out / "rlhf.partial.safetensors"


def lines_of(out: Path) -> list[dict[str, Any]]:
    lines = (out / "logs" / "rlhf.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_says_each_sign_once_and_logs_it(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=60)
    history = run_trainer(Replay(), *files(tmp_path), console)
    assert [(w["step"], w["sign"]) for w in history.warnings] == [(6, "KL blow-up"), (6, "reward hacking")]
    shown = [line for line in console.file.getvalue().splitlines() if line.startswith("warning:")]  # type: ignore[attr-defined]
    assert shown == [f"warning: rlhf step 6: {w['sign']}: {w['text']}" for w in history.warnings]
    assert [record for record in lines_of(tmp_path) if record["kind"] == "warning"] == history.warnings
    assert len(history.samples) == 5  # a warning is no sample


def test_resuming_does_not_say_it_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_trainer(Stopped(), *files(tmp_path), Console(file=io.StringIO()), save_every_seconds=0)
    console = Console(file=io.StringIO(), width=200)
    history = run_trainer(Replay(), *files(tmp_path), console, resume=True)
    assert len(history.steps) == len(HACKED_PPO) and len(history.warnings) == 2
    assert "warning" not in console.file.getvalue()  # type: ignore[attr-defined]


# -- small runs that are really ruined ------------------------------------------------------------------------
def signs_and_history(trainer: Trainer, out: Path) -> tuple[set[str], History]:
    """Train; the signs that the log holds in the end."""
    history = run_trainer(trainer, out / "log.jsonl", out / "partial", Console(file=io.StringIO()))
    return {warning["sign"] for warning in history.warnings}, history


def pretrainer(config: GPTConfig, tokenizer: CharTokenizer, texts: list[str], heldout: list[str], **settings: float):
    config = dataclasses.replace(config, dropout=0.0)
    chosen = PretrainConfig(**{"batch_size": 2, "warmup_steps": 2, "evaluate_every": 20, **settings})  # type: ignore
    return Pretrainer(GPT(config, 1), tokenizer, config, chosen, texts, heldout, seed=1)


def test_a_model_that_learns_noise_by_heart(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    rng, letters = np.random.default_rng(0), sorted({letter for text in ANSWERS for letter in text})
    texts = ["".join(rng.choice(letters, 40)) for _ in range(12)]
    trainer = pretrainer(tiny_config, char_tokenizer, texts[:8], texts[8:], lr=2e-2, steps=120)
    signs, history = signs_and_history(trainer, tmp_path)
    assert "loss has turned" in signs and trainer.best is not None and 0 < trainer.best.step < 120
    assert history.steps[-1]["loss"] < 0.95 * trainer.best.value  # in training it went on falling


def test_a_learning_rate_that_is_far_too_high(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    texts = [*QUESTIONS, *ANSWERS] * 16
    for lr, signs in ((1e-2, set()), (10.0, {"loss has turned", "nothing learned"})):
        trainer = pretrainer(tiny_config, char_tokenizer, texts, texts[:6], lr=lr, steps=40)
        assert signs_and_history(trainer, tmp_path / str(lr))[0] == signs
    dialogues = [dialogue(question, answer) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]
    for lr, signs in ((1e-2, set()), (10.0, {"loss has turned", "nothing learned"})):
        settings = SFTConfig(epochs=4, batch_size=3, lr=lr, warmup_steps=0, evaluate_every=4)
        model = GPT(tiny_config, 1)
        tuner = SFTTrainer(model, char_tokenizer, tiny_config, settings, dialogues, dialogues, (), seed=1)
        assert signs_and_history(tuner, tmp_path / f"sft{lr}")[0] == signs


def test_preferences_that_contradict_each_other(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list[dict[str, Any]]
) -> None:
    swapped = [{**pair, "chosen": pair["rejected"], "rejected": pair["chosen"]} for pair in pairs]
    for name, data, signs in (("clear", pairs * 4, set()), ("unclear", (pairs + swapped) * 4, {"nothing learned"})):
        settings = RewardConfig(epochs=4, batch_size=6, lr=1e-2, warmup_steps=0)
        model = RewardModel(dataclasses.replace(tiny_config, dropout=0.0), 1)
        trainer = RewardModelTrainer(model, char_tokenizer, tiny_config, settings, data, pairs, seed=1)
        assert signs_and_history(trainer, tmp_path / name)[0] == signs


def test_tasks_that_the_model_never_gets_right(tmp_path: Path) -> None:
    tokenizer = digit_tokenizer()
    tasks = [{"type": "math", "prompt": prompt, "expected_answer": "99999999"} for prompt in "123"]
    settings = RLVFConfig(num_iterations=6, tasks_per_iteration=3, samples_per_task=4, max_new_tokens=4)
    policy = tiny_policy(tokenizer)
    before = policy.state_dict()
    signs, history = signs_and_history(
        RLVFTrainer(policy, tokenizer, policy.config, settings, tasks, tasks), tmp_path
    )
    assert signs == {"no learning signal"} and history.warnings[0]["step"] == warning_signs.SILENT_ITERATIONS
    for name, array in before.items():  # as they were to the last bit
        np.testing.assert_array_equal(policy.state_dict()[name], array)


class SevensReward(TargetReward):
    """Pays for the share of sevens in an answer, whatever was asked."""

    def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        begins = [np.flatnonzero(row == IM_START_ID)[-1] + 1 + self.header for row in input_ids]
        answers = [row[begin:end] for row, begin, end in zip(input_ids, begins, lengths - 1, strict=True)]
        return Tensor(np.array([(answer == self.target[0]).mean() if len(answer) else 0 for answer in answers], np.float32))


def test_a_policy_that_answers_everything_with_what_pays(tmp_path: Path) -> None:
    tokenizer = digit_tokenizer("1234567")
    prompts = [first + second for first in "1234567" for second in ("", "1", "2")]
    policy = tiny_policy(tokenizer, dropout=0.0)
    echoes = [dialogue(prompt, prompt[0] * 4) for prompt in prompts]
    settings = SFTConfig(epochs=25, batch_size=7, lr=1e-2, warmup_steps=2)
    SFTTrainer(policy, tokenizer, policy.config, settings, echoes, echoes, (), 0).train()
    assert [answer.text for answer in answer_prompts(policy, tokenizer, prompts, 10)] == [p[0] * 4 for p in prompts]
    ppo = RLHFConfig(
        num_episodes=16, batch_size=48, minibatch_size=24, max_new_tokens=10, kl_coef=0.0, lr=2e-3, value_lr=1e-3,
        value_warmup=0, target_kl=1.0, evaluate_every=4,
    )  # fmt: skip
    trainer = PPOTrainer(policy, SevensReward(tokenizer), tokenizer, policy.config, ppo, prompts, prompts, 0)
    signs, history = signs_and_history(trainer, tmp_path)
    assert "one answer to all" in signs
    shares = [measured["answers/alike"] for measured in history.evaluations]
    assert shares[0] == pytest.approx(1 / 7) and shares[-1] > 0.9
    assert one_likeliest_answer_to_all(history.steps, history.evaluations)
    assert {answer.text for answer in answer_prompts(policy, tokenizer, prompts[:8], 10)} == {"7777"}
