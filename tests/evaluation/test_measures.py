"""Measures against values worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer
from scratchgpt.evaluation.measures import (
    dialogue_metrics,
    is_right,
    question_accuracy,
    task_accuracy,
    text_metrics,
    verifiable_tasks,
    win_rate,
)
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


@pytest.mark.parametrize("finished", [True, False])
def test_an_answer_that_never_ends_is_not_right_in_any_measure(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    """As in training, where it is not rewarded."""
    task = {"type": "math", "prompt": "a", "expected_answer": "4"}
    asked = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "4"}]}
    answers = [Answer("答案是4。", finished)]
    monkeypatch.setattr("scratchgpt.evaluation.measures.answer_prompts", lambda *_: answers)
    model = GPT(tiny_config)
    assert is_right(task, answers[0]) is finished
    assert task_accuracy(model, char_tokenizer, [task])["accuracy"] == finished
    questions = [{**asked, "rubric": {"must": [["4"]]}}]
    assert question_accuracy(model, char_tokenizer, questions)["accuracy"] == finished


def test_wins() -> None:
    assert win_rate([3, 2, 1], [1, 2, 3]) == 0.5 and win_rate([2.0], [1]) == 1
    assert np.isclose(win_rate([1, 1], [0, 1]), 0.75)


@pytest.mark.parametrize("expected", ["3月5日", "3:2", "1e3", "x=3", "1 of 2"])
@pytest.mark.parametrize("which", ["rlvf_data", "rlvf_heldout"])
def test_a_task_that_cannot_be_judged_is_refused_with_file_and_line(tmp_path: Path, which: str, expected: str) -> None:
    good, bad = ({"type": "math", "prompt": answer, "expected_answer": answer} for answer in ("42", expected))
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("rlvf_data", "rlvf_heldout")}
    for name, path in paths.items():
        path.write_text("\n".join(map(json.dumps, [good, bad if name == which else good])), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        verifiable_tasks(DataSources(**paths))
    assert str(caught.value).startswith(f"{paths[which]}, line 2: expected_answer") and expected in str(caught.value)


def test_the_projects_own_tasks_can_be_judged() -> None:
    training, heldout = verifiable_tasks(DataSources())
    assert len(training) > 8000 and len(heldout) > 1000
