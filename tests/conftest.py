"""What several test modules share: a tiny model, a tokenizer made for it, and a few records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.tokenizer import CharTokenizer

QUESTIONS = ["你好", "天空是什么颜色", "猫吃什么", "一加一等于几", "谁在唱歌", "今天星期几"]
ANSWERS = ["你好呀。", "天空是蓝色的。", "猫吃鱼。", "等于二。", "小鸟在唱歌。", "今天星期三。"]


@pytest.fixture(autouse=True)
def kernels_as_they_were() -> Iterator[None]:
    """Whatever a test chooses, the next one finds backend and precision as this one found them."""
    backend, precision = kernels.backend(), kernels.precision()
    yield
    kernels.use(backend)
    kernels.set_precision(precision)


@pytest.fixture
def tiny_config(char_tokenizer: CharTokenizer) -> GPTConfig:
    """One block, sixteen channels: fast enough for hundreds of steps."""
    return GPTConfig(
        vocab_size=char_tokenizer.vocab_size, emb_dim=16, num_heads=2, num_layers=1, context_size=64, dropout=0.1
    )


@pytest.fixture
def char_tokenizer() -> CharTokenizer:
    """Knows the characters of the questions and answers above."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([*QUESTIONS, *ANSWERS])
    return tokenizer


@pytest.fixture
def dialogues() -> list[dict[str, Any]]:
    """One single-turn dialogue for each question."""
    return [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in zip(QUESTIONS, ANSWERS, strict=True)
    ]


@pytest.fixture
def pairs() -> list[dict[str, Any]]:
    """The right answer against the next question's answer."""
    wrong = ANSWERS[1:] + ANSWERS[:1]
    return [
        {"prompt": q, "chosen": a, "rejected": w, "kind": "off_topic"}
        for q, a, w in zip(QUESTIONS, ANSWERS, wrong, strict=True)
    ]
