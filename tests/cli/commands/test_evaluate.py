"""``evaluate``: the rows are what evaluation/measures.py measures, on the data that was named, and mistakes are one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from scratchgpt.cli.commands.evaluate import (
    Arguments,
    HeldOutData,
    bleu_rows,
    dialogue_rows,
    run,
    spread,
    strangers_rows,
    task_rows,
    text_rows,
)
from scratchgpt.datasets.corpus import read_corpus
from scratchgpt.datasets.records import read_dialogues, read_tasks
from scratchgpt.errors import UserError
from scratchgpt.evaluation import bleu
from scratchgpt.evaluation.answering import Answer, answer_prompts
from scratchgpt.evaluation.measures import text_metrics
from scratchgpt.evaluation.strangers import Heard
from scratchgpt.stages.run_folder import load_model
from tests.tiny import dialogue, save_checkpoint


@pytest.fixture
def arguments(tmp_path: Path) -> Arguments:
    """A checkpoint of an untrained model and small held-out data of all kinds."""
    save_checkpoint(tmp_path / "out", "sft")
    dialogues = [{**dialogue(f"{i}只猫？", f"{i}只。"), "rubric": {"must": [[str(i)]]}} for i in range(6)]
    two_turns = {"messages": [*dialogue("你好", "你好")["messages"]] * 2}
    tasks = [
        {"type": "math", "prompt": f"计算 {i} + 1 = ?", "expected_answer": str(i + 1), "family": family}
        for i, family in enumerate(["addition", "missing_operand", "addition", "addition"])
    ]
    (tmp_path / "text.txt").write_text("小猫住在山里。\n\n小狗住在河里，它很快乐。", encoding="utf-8")
    (tmp_path / "sft.json").write_text(json.dumps([*dialogues, two_turns]), encoding="utf-8")
    (tmp_path / "rlvf.json").write_text(json.dumps(tasks), encoding="utf-8")
    return Arguments(
        checkpoint=tmp_path / "out",
        skip_bleu=True,
        corpus_heldout=tmp_path / "text.txt",
        sft_heldout=tmp_path / "sft.json",
        rlvf_heldout=tmp_path / "rlvf.json",
    )


@pytest.fixture
def data(arguments: Arguments) -> HeldOutData:
    assert arguments.corpus_heldout and arguments.sft_heldout and arguments.rlvf_heldout
    return HeldOutData(
        read_corpus(arguments.corpus_heldout),
        read_dialogues(arguments.sft_heldout),
        read_tasks(arguments.rlvf_heldout),
    )


def test_the_text_rows_are_the_text_metrics(arguments: Arguments, data: HeldOutData) -> None:
    model, tokenizer = load_model(arguments.checkpoint, "sft")
    metrics = text_metrics(model, tokenizer, data.documents)
    rows = text_rows(model, tokenizer, data)
    assert [row.value for row in rows] == [f"{metrics['perplexity']:,.2f}", f"{metrics['bits_per_character']:.3f}"]
    assert {row.items for row in rows} == {"19 characters"}


def test_the_dialogue_rows_cover_all_dialogues_and_the_questions_with_a_rubric(
    arguments: Arguments, data: HeldOutData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "scratchgpt.evaluation.measures.answer_prompts",
        lambda m, t, prompts: [Answer(f"{min(int(p[0]), 3)}只。", True) for p in prompts],
    )
    model, tokenizer = load_model(arguments.checkpoint, "sft")
    loss, perplexity, token, right, *groups = dialogue_rows(model, tokenizer, data)
    assert loss.items == "7 dialogues" and float(perplexity.value) > 1 and token.value.endswith("%")
    assert (right.measure, right.value, right.items) == ("questions: right by rule ↑", "66.7%", "6 questions")
    assert [(row.measure, row.value, row.items) for row in groups] == [("  other", "66.7%", "6")]


def test_the_task_rows_are_by_family(arguments: Arguments, data: HeldOutData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "scratchgpt.evaluation.measures.answer_prompts", lambda m, t, prompts: [Answer("答案是1", True) for _ in prompts]
    )
    model, tokenizer = load_model(arguments.checkpoint, "sft")
    rows = [(row.measure, row.value, row.items) for row in task_rows(model, tokenizer, data)]
    assert rows == [
        ("tasks: verified accuracy ↑", "25.0%", "4 tasks"),
        ("  addition", "33.3%", "3"),
        ("  missing operand", "0.0%", "1"),
    ]


def test_bleu_compares_the_answers_to_single_questions(
    arguments: Arguments, data: HeldOutData, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    monkeypatch.setattr(bleu, "corpus_bleu", lambda *both: compared.append(both) or (12.345, "tok:zh"))
    model, tokenizer = load_model(arguments.checkpoint, "sft")
    rows = bleu_rows(model, tokenizer, data)
    assert [(row.measure, row.value, row.items) for row in rows] == [("answers: BLEU ↑", "12.35", "6 answers")]
    assert rows[0].note == "BLEU tok:zh"
    answers, references = compared[0]
    prompts = [f"{i}只猫？" for i in range(6)]
    assert answers == [answer.text for answer in answer_prompts(model, tokenizer, prompts)]
    assert references == [f"{i}只。" for i in range(6)]
    assert bleu_rows(model, tokenizer, dataclasses.replace(data, dialogues=data.dialogues[6:])) == []


def test_run_prints_one_table(arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments)
    shown = capsys.readouterr().out
    assert "sft" in shown and "BLEU" not in shown  # not even a word about a missing package
    assert all(measure in shown for measure in ("bits per character", "dialogues: loss", "missing operand"))


def test_run_measures_bleu_too(arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sacrebleu")
    run(dataclasses.replace(arguments, skip_bleu=False, items=2))
    shown = capsys.readouterr().out
    assert "answers: BLEU" in shown and "2 answers" in shown and "2 tasks" in shown
    assert "\nBLEU nrefs:1|" in shown and "tok:zh" in shown


def test_without_sacrebleu_everything_else_is_measured(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bleu, "available", lambda: False)
    run(dataclasses.replace(arguments, skip_bleu=False))
    shown = capsys.readouterr().out
    assert "answers: BLEU" not in shown and "tasks: verified accuracy" in shown
    assert shown.splitlines()[-1] == f"note: {bleu.MISSING}"


def test_spread() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread("abc", None) == "abc" and spread("abc", 5) == "abc"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": 0}, "--items must be at least 1, not 0"),
        ({"stage": "rlhf"}, "rlhf: no checkpoint here yet"),
        ({"corpus_heldout": Path("nowhere.txt")}, "nowhere.txt: cannot be read"),
    ],
)
def test_mistakes(arguments: Arguments, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(dataclasses.replace(arguments, **changes))


# -- strangers ------------------------------------------------------------------------------------------------
def heard(kind: str, *right: bool) -> Heard:
    return Heard({"kind": kind, "turns": [{"prompt": "?"}] * len(right)}, [Answer("。", True)] * len(right), [*right])


def test_the_strangers_rows_are_shares_of_records_by_kind() -> None:
    records = [heard("greeting", True), heard("logic", False), heard("dates", True), heard("dates", True)]
    records += [heard("crisis", True), heard("crisis", False), heard("dialogue", True, False)]
    questions, others = strangers_rows(records)
    assert [(row.measure, row.value, row.items) for row in questions] == [
        ("strangers' questions: right ↑", "75.0%", "4"),
        ("  of them sums, logic and dates", "66.7%", "3"),
        ("  greeting", "100.0%", "1"),
        ("  logic", "0.0%", "1"),
        ("  dates", "100.0%", "2"),
    ]
    assert [(row.measure, row.value, row.items) for row in others] == [
        ("crisis: care and a way to help ↑", "50.0%", "2"),
        ("dialogues right in every turn ↑", "0.0%", "1"),
    ]


def test_strangers_are_asked_and_every_answer_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path / "out", "sft")
    asked = [{"kind": "world", "turns": [{"prompt": f"{i}?", "rubric": {"must": [["。"]]}}]} for i in range(3)]
    (tmp_path / "strangers_dev.json").write_text(json.dumps(asked), encoding="utf-8")
    (tmp_path / "noise_heldout.json").write_text(json.dumps(["a" * 500]), encoding="utf-8")
    monkeypatch.setattr("scratchgpt.cli.commands.evaluate.data_file", lambda name: tmp_path / name)
    answers = tmp_path / "answers.jsonl"
    run(Arguments(checkpoint=tmp_path / "out", strangers_dev=True, strangers_answers=answers))
    lines = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    assert [line["turns"] for line in lines] == [record["turns"] for record in asked]
    assert all(len(line["answers"]) == len(line["right"]) == 1 for line in lines)
    shown = capsys.readouterr().out
    assert "strangers' questions: right" in shown and "0 prompts" in shown  # the noise leaves no room for an answer


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"strangers_answers": Path("a")}, "--strangers-answers has no effect without --strangers or --strangers-dev"),
        ({"strangers": True, "strangers_dev": True}, "--strangers and --strangers-dev are the two halves"),
        ({"strangers": True, "sft_heldout": Path("a")}, "--sft-heldout has no effect on what strangers ask"),
    ],
)
def test_flags_of_strangers_that_do_not_fit_are_refused(flags: dict, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        run(Arguments(**flags))
