"""Measures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.evaluation.answering import Answer, answer_prompts
from scratchgpt.evaluation.measures import dialogue_metrics, task_accuracy, text_metrics, win_rate
from scratchgpt.evaluation.rubric import answer_score, repeats_itself, rubric_passed
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import CharTokenizer


def uniform_model(config: GPTConfig) -> GPT:
    """Every token equally likely: all logits are 0."""
    model = GPT(config)
    model.transformer.ln_f.weight.data[:] = 0
    return model


def test_a_model_that_knows_nothing(tiny_config: GPTConfig, char_tokenizer: CharTokenizer, dialogues: list) -> None:
    model = uniform_model(tiny_config)
    metrics = text_metrics(model, char_tokenizer, ["猫吃鱼", "你好"])
    size = tiny_config.vocab_size
    assert metrics["loss"] == pytest.approx(math.log(size), rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(size, rel=1e-4)
    # 5 characters and 2 ends of text; the first token of the stream has nothing before it: 6 targets.
    assert metrics["bits_per_character"] == pytest.approx(6 * math.log2(size) / 5, rel=1e-5)
    batches = DialogueBatches(dialogues, char_tokenizer, 64, 3, seed=0)
    assert dialogue_metrics(model, batches.all_batches())["loss"] == pytest.approx(math.log(size), rel=1e-5)


def test_an_answer_that_never_ends_is_not_finished(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    answers = answer_prompts(uniform_model(tiny_config), char_tokenizer, ["你好", "猫"], max_new_tokens=5)
    assert [a.finished for a in answers] == [False, False]


def test_tasks_are_counted_by_family(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        {"type": "math", "prompt": "a", "expected_answer": "4", "family": "addition"},
        {"type": "math", "prompt": "b", "expected_answer": "5", "family": "addition"},
        {"type": "math", "prompt": "c", "expected_answer": "6"},
    ]
    answers = [Answer("答案是4。", True), Answer("答案是4。", True), Answer("答案是6。", True)]
    monkeypatch.setattr("scratchgpt.evaluation.measures.answer_prompts", lambda *_: answers)
    result = task_accuracy(GPT(tiny_config), char_tokenizer, tasks)
    assert result["accuracy"] == pytest.approx(2 / 3) and result["items"] == 3
    assert result["accuracy/addition"] == 0.5 and result["items/addition"] == 2
    assert result["accuracy/math"] == 1.0 and result["items/math"] == 1


RUBRIC = {"must": [["蓝", "青"], ["散射"]], "must_not": ["绿"]}


@pytest.mark.parametrize(
    ("answer", "passed"),
    [("天空是蓝色的，因为散射。", True), ("青色，散射。", True), ("天空是蓝色的。", False), ("蓝，散射，绿。", False)],
)
def test_a_rubric_needs_every_group_and_nothing_forbidden(answer: str, passed: bool) -> None:
    assert rubric_passed(RUBRIC, answer) is passed


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        (Answer("好的，天空是蓝色的。这是光的散射。", True), 6),
        (Answer("天空是蓝色的。这是光的散射。", True), 5),  # no courtesy
        (Answer("好的，天空是蓝色的。它很高很远。", True), 5),  # half of the facts
        (Answer("好的，天空是绿色的。这是光的散射。", True), 4),  # a forbidden statement
        (Answer("好的，天空是蓝色的。这是光的散", False), 4),  # cut off
        (Answer("蓝色，散射。", True), 4),  # one bare sentence
        (Answer("好的，天空是蓝色的。你真笨，这是散射。", True), 5),  # rude
        (Answer("好的，天空是蓝色的散射。好的，天空是蓝色的散射。", True), 5),  # said twice
        (Answer("", True), 0),
    ],
)
def test_points_of_an_answer(answer: Answer, points: int) -> None:
    assert answer_score(RUBRIC, answer) == points


def test_repetition_and_wins() -> None:
    assert repeats_itself("春天来了，花都开了，春天来了，花都开了") and not repeats_itself("春天来了，花都开了")
    assert win_rate([3, 2, 1], [1, 2, 3]) == 0.5 and win_rate([2.0], [1]) == 1
    assert np.isclose(win_rate([1, 1], [0, 1]), 0.75)
