"""Asking a model: what ends an answer ends it here as it does in training."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.evaluation import answering
from scratchgpt.evaluation.answering import Answer, answer_prompts, written_text
from scratchgpt.evaluation.rollouts import Rollouts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import EOS_ID, IM_END_ID, IM_START_ID, BPETokenizer, CharTokenizer


@pytest.mark.parametrize("end", [EOS_ID, IM_START_ID, IM_END_ID])
def test_every_end_of_an_answer_ends_it(
    end: int, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [*char_tokenizer.encode("你好"), end, *char_tokenizer.encode("一加一等于几")]

    def writes(model: GPT, prompts: list[list[int]], most: int, *, stop_ids: Sequence[int], **_: object) -> list:
        length = next((i + 1 for i, token in enumerate(written) if token in stop_ids), len(written))
        return [written[:length] for _ in prompts]

    monkeypatch.setattr(answering, "generate_batch", writes)
    assert answer_prompts(GPT(tiny_config), char_tokenizer, ["猫吃什么"]) == [Answer("你好", True)]


def test_an_answer_that_never_ends_is_not_finished(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    indifferent = GPT(tiny_config)
    indifferent.transformer.ln_f.weight.data[:] = 0  # every token equally likely: all logits are 0
    answers = answer_prompts(indifferent, char_tokenizer, ["你好", "猫"], max_new_tokens=5)
    assert [a.finished for a in answers] == [False, False]


def test_half_a_surrogate_pair_that_a_model_writes_can_be_printed_and_logged() -> None:
    tokenizer = BPETokenizer(300)
    tokenizer.fit(["你好"])
    ids = tokenizer.encode("好\ud83d")
    for text in (written_text(tokenizer, ids), Rollouts([[9]], [ids]).text(tokenizer, 0)):
        assert text.encode() and text.strip("\ufffd") == "好"
    assert written_text(tokenizer, tokenizer.encode("你好\U0001f600")) == "你好\U0001f600"
