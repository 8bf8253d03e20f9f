"""Strangers' questions: every turn is judged by its own rule, with the model's own answers between the turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scratchgpt.errors import UserError
from scratchgpt.evaluation import strangers
from scratchgpt.evaluation.answering import Answer
from scratchgpt.evaluation.strangers import QUESTIONS, accuracies, ask, endless, load_strangers
from scratchgpt.installation import DATA
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import CharTokenizer

NAME = {"prompt": "我叫李雷", "rubric": {"must": [["李雷"]], "must_not": ["小红"]}}
SUM = {"prompt": "1+1", "type": "math", "expected_answer": "2"}


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Answer]) -> list[Sequence[Any]]:
    """Lets a model answer by the last question, and keeps what it was asked."""
    asked: list[Sequence[Any]] = []

    def answer_prompts(model: Any, tokenizer: Any, prompts: Sequence[Any], max_new_tokens: int) -> list[Answer]:
        asked.append([[dict(turn) for turn in prompt] if isinstance(prompt, list) else prompt for prompt in prompts])
        last = [prompt[-1]["content"] if isinstance(prompt, list) else prompt for prompt in prompts]
        return [answers[question] for question in last]

    monkeypatch.setattr(strangers, "answer_prompts", answer_prompts)
    return asked


def test_a_record_is_right_if_every_turn_is(
    tiny_config: Any, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"我叫李雷": Answer("你好，李雷！", True), "1+1": Answer("1+1=3，答案是3。", True), "2": Answer("二", False)}
    asked = answering(monkeypatch, answers)
    records = [
        {"kind": "dialogue", "turns": [NAME, SUM]},
        {"kind": "greeting", "turns": [NAME]},
        {"kind": "world", "turns": [{"prompt": "2", "rubric": {"must": [["二"]]}}]},
    ]
    heard = ask(GPT(tiny_config), char_tokenizer, records)
    assert [h.right for h in heard] == [[True, False], [True], [False]]  # an answer without an end is never right
    assert [len(prompts) for prompts in asked] == [3, 1]
    assert [turn["content"] for turn in asked[1][0]] == ["我叫李雷", "你好，李雷！", "1+1"]
    found = accuracies(heard)
    assert found["accuracy"] == pytest.approx(1 / 3) and found["accuracy/greeting"] == 1
    assert found["items/dialogue"] == 1 and found["accuracy/dialogue"] == 0


def test_endless_answers_are_counted_among_the_prompts_that_fit(
    tiny_config: Any, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, {"你": Answer("好", True), "好": Answer("好好好", False)})
    monkeypatch.setattr(strangers, "ROOM", tiny_config.context_size - 20)
    assert endless(GPT(tiny_config), char_tokenizer, ["你", "好", "你好" * 30]) == (["好"], 2)


@pytest.mark.parametrize("content", ["[{}]", "{", '[{"kind": "world", "turns": [{"prompt": "1"}]}]', "3"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "strangers_heldout.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="not a file of strangers' questions; take the project's own"):
        load_strangers(path)


def test_the_halves_are_apart_and_hold_every_kind() -> None:
    dev, heldout = (load_strangers(DATA / f"strangers_{half}.json") for half in ("dev", "heldout"))
    asked = [{tuple(turn["prompt"] for turn in r["turns"]) for r in half} for half in (dev, heldout)]
    assert not asked[0] & asked[1]
    assert len(asked[0]) == len(dev) and len(asked[1]) == len(heldout)
    for half in (dev, heldout):
        assert {r["kind"] for r in half} == {*QUESTIONS, *strangers_kinds()}
    questions = [r for r in [*dev, *heldout] if r["kind"] in QUESTIONS]
    assert len(questions) >= 800 and len({r["kind"] for r in questions}) >= 12
    noise = json.loads((DATA / "noise_heldout.json").read_text(encoding="utf-8"))
    assert len(noise) == len(set(noise)) == 2000


def strangers_kinds() -> set[str]:
    """The kinds beside the ordinary questions."""
    return {"crisis", "harmful", "harmless", "unknowable", "taught", "dialogue"}


def test_every_expected_answer_is_right_to_its_own_verifier() -> None:
    turns = [t for half in ("dev", "heldout") for r in load_strangers(DATA / f"strangers_{half}.json") for t in r["turns"]]
    tasks = [turn for turn in turns if "type" in turn]
    assert len(tasks) > 300
    wrong = [t for t in tasks if not strangers.turn_right(t, Answer(f"答案是{t['expected_answer']}。", True))]
    assert not wrong
