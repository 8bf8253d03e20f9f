"""How long a run is expected to take: with made-up speeds and clocks, so that every number is known."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.config import GPTConfig, PretrainConfig, RewardConfig, RLHFConfig, RLVFConfig, SFTConfig
from scratchgpt.runs.expected_time import (
    FURTHER,
    Stopwatch,
    expected_seconds,
    line_of,
    say_expected_time,
)
from scratchgpt.runs.plan import Plan
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import Preset, get_preset
from scratchgpt.stages.run_folder import log_file, partial_file
from scratchgpt.stages.work import Piece
from tests.tiny import save_checkpoint

NAMES = tuple(stage.name for stage in ALL)
SETTINGS: dict[str, Any] = {
    "pretrain": PretrainConfig(epochs=4, batch_size=4, evaluate_every=10_000),
    "sft": SFTConfig(epochs=4, batch_size=4, evaluate_every=10_000),
    "reward": RewardConfig(epochs=4, batch_size=4, evaluate_every=10_000),
    "rlhf": RLHFConfig(num_episodes=40, value_warmup=0, evaluate_every=10_000),
    "rlvf": RLVFConfig(num_iterations=40, evaluate_every=10_000),
}
MODEL = GPTConfig(vocab_size=300, emb_dim=16, num_heads=2, num_layers=1, context_size=64, dropout=0.0)


@pytest.fixture
def records(dialogues: list, pairs: list) -> dict[str, Any]:
    """What five stages read, by the name of the method that reads it."""
    texts = [f"第{i}天，小鸟在唱歌，猫在树下睡觉。" for i in range(800)]
    tasks = [{"type": "math", "prompt": f"{i}+1等于几？", "expected_answer": str(i + 1)} for i in range(12)]
    return {
        "documents": (texts, texts[:2]),
        "spoken": dialogues * 8,
        "dialogues": (dialogues * 8, dialogues[:1]),
        "dialogues_mixed_in": [],
        "pairs": (pairs * 8, pairs[:1]),
        "verifiable_tasks": (tasks * 4, tasks[:1]),
        "measured_tasks": tasks[:1],
    }


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """All five stages, in a folder that is empty."""
    return Plan(NAMES, Preset(MODEL, SETTINGS), tmp_path / "out")


def changed(plan: Plan, stage: str, **settings: Any) -> Plan:
    """The plan with other settings of one stage."""
    new = {**plan.preset.settings, stage: replace(plan.preset.of(stage), **settings)}
    return replace(plan, preset=replace(plan.preset, settings=new))


def a_second_an_update(config: GPTConfig, piece: Piece) -> float:
    """An update of one layer takes a second, all else nothing."""
    return float(config.num_layers) if piece.kind == "train" else 0.0


def by_tokens(config: GPTConfig, piece: Piece) -> float:
    """Every token a millisecond, read or written."""
    return piece.rows * (piece.length + (piece.answer if piece.kind == "write" else 0)) / 1000


def test_every_stage_there_is_counts_towards_the_whole(plan: Plan, records: dict) -> None:
    expected = expected_seconds(plan, records, by_tokens)
    assert tuple(expected) == NAMES and all(seconds > 0 for seconds in expected.values())
    for left_out in NAMES:
        shorter = replace(plan, stages=tuple(name for name in NAMES if name != left_out))
        assert set(expected_seconds(shorter, records, by_tokens)) == {*NAMES} - {left_out}


@pytest.mark.parametrize(
    ("stage", "longer"),
    [
        ("pretrain", {"epochs": 8}),
        ("sft", {"epochs": 8}),
        ("reward", {"epochs": 8}),
        ("rlhf", {"num_episodes": 80}),
        ("rlhf", {"ppo_epochs": 4}),
        ("rlvf", {"num_iterations": 80}),
        ("rlvf", {"epochs_per_iteration": 2}),
        ("rlvf", {"samples_per_task": 4}),
    ],
)
def test_twice_the_updates_take_twice_the_time(plan: Plan, records: dict, stage: str, longer: dict) -> None:
    once = expected_seconds(plan, records, a_second_an_update)
    twice = expected_seconds(changed(plan, stage, **longer), records, a_second_an_update)
    assert twice.pop(stage) == pytest.approx(2 * once.pop(stage), rel=0.02)
    assert twice == once


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward"])
def test_batches_of_twice_the_size_are_half_as_many(plan: Plan, records: dict, stage: str) -> None:
    larger = changed(plan, stage, batch_size=8)
    once, twice = (expected_seconds(p, records, a_second_an_update)[stage] for p in (plan, larger))
    assert twice == pytest.approx(once / 2, rel=0.1)
    tokens, more = (expected_seconds(p, records, by_tokens)[stage] for p in (plan, larger))
    assert more == pytest.approx(tokens, rel=0.2)  # in a larger batch of pairs more is filled up


def test_the_models_own_sizes_are_measured(plan: Plan, records: dict) -> None:
    deep = replace(plan, preset=replace(plan.preset, model=replace(MODEL, num_layers=3)))
    once, thrice = (expected_seconds(p, records, a_second_an_update) for p in (plan, deep))
    assert thrice == {stage: pytest.approx(3 * seconds) for stage, seconds in once.items()}


@pytest.mark.parametrize("stage", NAMES)
def test_measuring_more_often_takes_longer(plan: Plan, records: dict, stage: str) -> None:
    often = expected_seconds(changed(plan, stage, evaluate_every=1), records, by_tokens)
    assert often[stage] > expected_seconds(plan, records, by_tokens)[stage]


def test_of_a_resumed_run_only_what_is_left_counts(plan: Plan, records: dict) -> None:
    whole = expected_seconds(plan, records, a_second_an_update)
    save_checkpoint(plan.out, "pretrain")
    assert "pretrain" in expected_seconds(plan, records, a_second_an_update)  # trained anew
    resumed = replace(plan, resume=True)
    left = expected_seconds(resumed, records, a_second_an_update)
    assert tuple(left) == NAMES[1:] and left["reward"] == whole["reward"]

    partial_file(plan.out, "sft").touch()
    steps = int(whole["sft"])
    made = [{"kind": "step", "step": i + 1, "seconds": 0.1, "tokens": 5.0} for i in range(steps // 4)]
    log = log_file(plan.out, "sft")
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(record) + "\n" for record in made), "utf-8")
    before = log.read_bytes()
    assert expected_seconds(resumed, records, a_second_an_update)["sft"] == pytest.approx(0.75 * steps, rel=0.05)
    assert log.read_bytes() == before
    log.write_text("damaged\n", "utf-8")  # whoever goes on from it will say so
    assert expected_seconds(resumed, records, a_second_an_update)["sft"] == steps


def said(plan: Plan, records: dict, measure: Any) -> str:
    """What is printed."""
    console = Console(file=io.StringIO(), width=40)
    say_expected_time(plan, records, console, measure)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_line_names_the_whole_its_stages_and_the_short_preset(plan: Plan, records: dict) -> None:
    line = line_of({"pretrain": 396.0, "sft": 720.0, "reward": 30.0}, 180.0)
    assert line == (
        "about 19 min in all on this machine: pretrain 7, sft 12, reward 0.5; --preset tiny would take about 3"
    )
    plan = changed(plan, "pretrain", epochs=4000)
    assert said(plan, records, by_tokens).count("\n") == 1
    assert "--preset tiny would take about" in said(plan, records, by_tokens)
    assert "--preset tiny" not in said(plan, records, lambda config, piece: 1e-6)  # over in seconds
    tiny = replace(plan, preset=get_preset("tiny"))
    part = replace(plan, stages=("pretrain", "sft"))
    tiny = changed(tiny, "pretrain", epochs=4000)
    for other in (tiny, part):
        assert "in all on this machine" in said(other, records, by_tokens)
        assert "--preset tiny" not in said(other, records, by_tokens)


def test_of_a_run_that_is_over_at_once_nothing_is_said_or_measured(plan: Plan, records: dict) -> None:
    short = Preset(MODEL, {"pretrain": PretrainConfig(steps=3, batch_size=4)})

    def fail(config: GPTConfig, piece: Piece) -> float:
        raise AssertionError

    assert said(replace(plan, stages=("pretrain",), preset=short), records, fail) == ""


def test_where_nothing_is_left_nothing_is_said(plan: Plan, records: dict) -> None:
    for stage in ("pretrain", "sft"):
        save_checkpoint(plan.out, stage)
    assert said(replace(plan, stages=("pretrain", "sft"), resume=True), records, by_tokens) == ""


def test_a_run_that_goes_on_has_the_sizes_of_its_checkpoint(plan: Plan, records: dict) -> None:
    save_checkpoint(plan.out, "pretrain")
    seen = set()

    def measure(config: GPTConfig, piece: Piece) -> float:
        seen.add((config.emb_dim, config.num_layers))
        return 1.0

    expected_seconds(replace(plan, stages=NAMES[1:]), records, measure)
    assert seen == {(32, 2)}


# -- the stopwatch -------------------------------------------------------------------------------------------------
@pytest.fixture
def numpy_kernels():
    """Nothing to compile."""
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


def test_the_shortest_of_several_times_counts_and_a_shape_is_measured_once(numpy_kernels: None) -> None:
    looks: list[float] = []

    def clock() -> float:
        """At every second look a batch has been made: the first one took nine seconds, each later one two."""
        passed = 0.0 if len(looks) % 2 == 0 else 9.0 if len(looks) == 1 else 2.0
        looks.append(passed + (looks[-1] if looks else 0.0))
        return looks[-1]

    watch = Stopwatch(clock)
    update = Piece("train", 7, 2, 16, 16)
    assert watch.seconds(MODEL, update) == 2.0
    assert watch.seconds(MODEL, replace(update, times=1)) == 2.0
    assert len(looks) == 4
    assert watch.seconds(MODEL, replace(update, length=8, answer=8)) == 1.0  # half of the sixteen tokens it is made with
    assert len(looks) == 8


def test_every_further_token_written_takes_the_same_time(numpy_kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(watch, "_shortest", lambda config, piece: 3.0 + 0.5 * (piece.answer - 1))
    assert watch.seconds(MODEL, Piece("write", 1, 4, 10, 1)) == 3.0
    assert watch.seconds(MODEL, Piece("write", 1, 4, 10, 41)) == 3.0 + 0.5 * 40
    assert FURTHER > 1


@pytest.mark.parametrize("kind", ["train", "read", "write"])
@pytest.mark.parametrize("answer", [0, 5, 20])
def test_batches_of_all_kinds_are_made_and_draw_no_random_number(numpy_kernels: None, kind: Any, answer: int) -> None:
    if kind == "write" and not answer:
        return
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    assert Stopwatch().seconds(MODEL, Piece(kind, 1, 2, 20, answer)) > 0
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


def test_the_preset_of_the_yardstick_is_expected_too(tmp_path: Path, records: dict) -> None:
    preset = Preset(MODEL, {"pretrain": PretrainConfig(steps=20, batch_size=4)})
    plan = Plan(("pretrain",), preset, tmp_path)
    assert expected_seconds(plan, records, a_second_an_update) == {"pretrain": 20.0}
    assert stage_named("pretrain").work  # a stage cannot be declared without
