"""SFT: the model learns to give the answers it was shown, and to stop after them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scratchgpt.config import GPTConfig, SFTConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages.sft import SFT, SFTTrainer
from scratchgpt.stages.stage import Context
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
