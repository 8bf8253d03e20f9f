"""SFT: the model learns to give the answers it was shown, and to stop after them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scratchgpt.config import GPTConfig, SFTConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer, answer_prompts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages import sft
from scratchgpt.stages.sft import SFT, SFTTrainer
from scratchgpt.stages.stage import Context
from scratchgpt.stages.work import Outlook, Work
from scratchgpt.tokenizer import CharTokenizer


def test_it_learns_the_answers_by_heart(tiny_config: GPTConfig, char_tokenizer: CharTokenizer, dialogues: list) -> None:
    config = dataclasses.replace(tiny_config, emb_dim=32, dropout=0.0)
    model = GPT(config)
    settings = SFTConfig(epochs=60, batch_size=6, lr=1e-2, warmup_steps=5)
    trainer = SFTTrainer(model, char_tokenizer, config, settings, dialogues, dialogues)
    before = trainer.evaluate()
    trainer.train()
    assert trainer.evaluate()["loss"] < 0.1 < before["loss"]
    answers = answer_prompts(model, char_tokenizer, [d["messages"][0]["content"] for d in dialogues], 12)
    assert [a.text for a in answers] == [d["messages"][1]["content"] for d in dialogues]
    assert all(a.finished for a in answers)
    assert trainer.sample() == "你好 -> 你好呀。"


def test_only_what_is_measured_counts(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, dialogues: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"messages": [{"role": "user", "content": "你好" * 40}, {"role": "assistant", "content": "你好"}]}
    long["rubric"] = {"must": [["你好"]]}
    tasks = [{"type": "math", "prompt": "你好", "expected_answer": "1"}]
    monkeypatch.setattr(DataSources, "dialogues", lambda self: (dialogues, [long, *dialogues]))
    monkeypatch.setattr(DataSources, "tasks", lambda self, complaint=None: (tasks, tasks))
    said: list[str] = []
    context = Context(
        model=GPT(tiny_config),
        tokenizer=char_tokenizer,
        start=None,
        settings=SFTConfig(batch_size=2),
        settings_of=lambda name: None,
        data=DataSources(),
        checkpoint_of=lambda name: None,
        out=Path("out"),
        seed=0,
        say=said.append,
    )
    setup = SFT.build(context)
    assert "sft: 1 held-out dialogues exceed the context and are left out" in said
    assert setup.measure()["dialogue loss"][1] == len(dialogues)
    assert setup.samples() and setup.trainer.sample()  # nor is a prompt asked that does not fit


def test_that_no_held_out_dialogue_fits_is_said_of_the_held_out_ones(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, dialogues: list
) -> None:
    long = {"messages": [{"role": "user", "content": "你好" * 40}, {"role": "assistant", "content": "你好"}]}
    with pytest.raises(UserError, match="none of the 1 held-out dialogues fits the context of 64 tokens; "):
        SFTTrainer(GPT(tiny_config), char_tokenizer, tiny_config, SFTConfig(), dialogues, [long])


def context_with(
    config: GPTConfig, tokenizer: CharTokenizer, start: str | None, said: list[str], mix: float
) -> Context:
    """What a tiny stage is built from."""
    return Context(
        model=GPT(config),
        tokenizer=tokenizer,
        start=start,
        settings=SFTConfig(batch_size=2, epochs=2),
        settings_of=lambda name: None,
        data=DataSources(mix=mix),
        checkpoint_of=lambda name: None,
        out=Path("out"),
        seed=0,
        say=said.append,
    )


def test_a_model_rehearses_with_its_own_answers_turn_by_turn(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def answers(model: object, tokenizer: object, prompts: list) -> list[Answer]:
        asked.extend([message["content"] for message in prompt] for prompt in prompts)
        return [Answer("好", len(prompt) < 5) for prompt in prompts]

    monkeypatch.setattr(sft, "answer_prompts", answers)
    roles = ("user", "assistant") * 3
    turns = [{"role": role, "content": text} for role, text in zip(roles, "你是我们他她", strict=True)]
    long = [{"role": "user", "content": "你" * 300}, {"role": "assistant", "content": "是"}]
    records = [{"messages": turns, "weight": 3}, {"messages": long}]
    model = GPT(dataclasses.replace(tiny_config, context_size=128))
    first, second = sft.rehearsed(model, char_tokenizer, records)
    assert [message["content"] for message in first["messages"]] == ["你", "好", "我", "好", "他", "她"]
    assert asked == [["你"], ["你", "好", "我"], ["你", "好", "我", "好", "他"]]  # the last one did not end
    assert second["messages"] == long  # it leaves no room for an answer
    assert turns[1]["content"] == "是" and first["weight"] == 3


@pytest.mark.parametrize(("start", "rehearses"), [(None, False), ("pretrain", False), ("sft", True), ("rlvf", True)])
def test_only_a_model_that_answers_already_rehearses(
    tiny_config: GPTConfig,
    char_tokenizer: CharTokenizer,
    dialogues: list,
    monkeypatch: pytest.MonkeyPatch,
    start: str | None,
    rehearses: bool,
) -> None:
    others = [{"messages": record["messages"], "weight": 2} for record in dialogues] * 5
    monkeypatch.setattr(DataSources, "dialogues", lambda self: (dialogues, dialogues))
    monkeypatch.setattr(DataSources, "dialogues_mixed_in", lambda self: others)
    monkeypatch.setattr(sft, "rehearsed", lambda model, tokenizer, records: records)
    said: list[str] = []
    mixed = sft._mixed_in(context_with(tiny_config, char_tokenizer, start, said, mix=0.5), dialogues)
    if rehearses:
        assert len(mixed) == 2 * len(dialogues) and all(record["weight"] == 1 for record in mixed)
        assert said[0].startswith(f"sft: the model answers {len(mixed)} of the project's questions itself")
    else:
        assert mixed == others and not said


def test_what_is_mixed_in_counts_in_the_work(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, dialogues: list
) -> None:
    def work(start: str | None, others: list) -> Work:
        records = {"dialogues": (dialogues, dialogues), "dialogues_mixed_in": others, "measured_tasks": []}
        settings = SFTConfig(batch_size=1, epochs=1)
        return SFT.work(Outlook(tiny_config, settings, lambda name: None, records, char_tokenizer, 0.5, start))

    alone, mixed, answered = work("pretrain", []), work("pretrain", dialogues * 9), work("rlvf", dialogues * 9)
    assert mixed.steps == answered.steps == 2 * alone.steps
    assert len(answered.pieces) == len(mixed.pieces) + 1 and answered.pieces[-1].kind == "write"
