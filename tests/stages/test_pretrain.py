"""Pretraining: the model learns to continue the text, at the pace and with the random numbers that the settings say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.schedules import cosine_schedule
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.tokenizer import CharTokenizer

DOCUMENTS = ["猫吃鱼。天空是蓝色的。" * 4, "小鸟在唱歌。猫吃鱼。" * 4] * 4
SETTINGS = PretrainConfig(steps=60, batch_size=4, lr=1e-2, warmup_steps=5)


def make_trainer(
    config: GPTConfig, tokenizer: CharTokenizer, settings: PretrainConfig = SETTINGS, seed: int = 0
) -> Pretrainer:
    return Pretrainer(GPT(config), tokenizer, config, settings, DOCUMENTS, DOCUMENTS[:2], seed)


def test_it_learns_the_text_by_heart(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    trainer = make_trainer(dataclasses.replace(tiny_config, emb_dim=32, dropout=0.0), char_tokenizer)
    before = trainer.evaluate()
    assert before["loss"] == pytest.approx(math.log(tiny_config.vocab_size), abs=0.7)
    trainer.train()
    after = trainer.evaluate()
    assert after["loss"] < 0.5 and after["perplexity"] == pytest.approx(math.exp(after["loss"]))
    assert after["bits_per_character"] < 0.2 * before["bits_per_character"]
    beginning, continuation = trainer.sample().split("|")
    assert beginning == "猫吃鱼。" and set(continuation) <= set("".join(DOCUMENTS)) | {" "}


def test_the_learning_rate_follows_the_cosine(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    trainer = make_trainer(tiny_config, char_tokenizer, dataclasses.replace(SETTINGS, steps=12))
    rates = [metrics["lr"] for metrics in trainer.train()]
    assert rates == [cosine_schedule(index, 12, 1e-2, 5) for index in range(12)]


def test_without_steps_the_epochs_count(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    settings = dataclasses.replace(SETTINGS, steps=None, epochs=2.0)
    trainer = make_trainer(tiny_config, char_tokenizer, settings)
    assert trainer.total_steps == 2 * trainer.batches.steps_per_epoch


def test_a_step_is_a_function_of_seed_and_index(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    first, second = (make_trainer(tiny_config, char_tokenizer) for _ in range(2))
    second.model.rng.random(7)  # whatever was drawn before does not matter
    assert first.step(3) == second.step(3) != make_trainer(tiny_config, char_tokenizer, seed=1).step(3)
    for ours, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
