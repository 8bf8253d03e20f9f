"""SFT: the model learns to give the answers it was shown, and to stop after them."""

from __future__ import annotations

import dataclasses

from scratchgpt.config import GPTConfig, SFTConfig
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages.sft import SFTTrainer
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
