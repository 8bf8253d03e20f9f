"""The committed data files are what their sources give, and hold what the data card says."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from data import build
from data.generators.tasks.reserved import shows_reserved
from data.generators.tasks.written_arithmetic import value_of
from scratchgpt.tokenizer.invisible import clean_text
from scratchgpt.verify.verifiers import verifier_for

DATA = Path(build.__file__).parent


def records(name: str) -> list[dict]:
    return json.loads((DATA / name).read_text("utf-8"))


def test_the_committed_files_equal_what_the_sources_give() -> None:
    assert build.main(["--check"]) == 0


def test_the_check_notices_a_changed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "build", lambda: {"a.txt": "new", "b.txt": "same"})
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "a.txt").write_text("old", "utf-8")
    (tmp_path / "b.txt").write_text("same", "utf-8")
    assert build.main(["--check"]) == 1
    assert build.main([]) == 0 and build.main(["--check"]) == 0


def test_the_parts_of_the_pretraining_text_share_no_document() -> None:
    training, heldout = ((DATA / f"pretrain_{part}.txt").read_text("utf-8").strip().split("\n\n") for part in ("data", "heldout"))
    assert not set(heldout) & set(training)
    lines = Counter(line for document in training for line in document.split("\n"))
    assert max(lines.values()) <= 4


def test_held_out_questions_are_not_trained_on() -> None:
    training, heldout = records("sft_data.json"), records("sft_heldout.json")
    seen = {message["content"] for r in training for message in r["messages"] if message["role"] == "user"}
    asked = [r["messages"][0]["content"] for r in heldout if len(r["messages"]) == 2]
    assert sum(question in seen for question in asked) / len(asked) < 0.02  # greetings may be the same
    assert not {r["prompt"] for r in records("reward_heldout.json")} & {r["prompt"] for r in records("reward_data.json")}


def pairs_of_characters(question: str) -> set[str]:
    letters = re.sub(r"\W", "", question)
    return {letters[i : i + 2] for i in range(len(letters) - 1)}


def test_no_wording_of_a_question_is_nearly_one_that_is_held_out() -> None:
    heldout = [(m["content"], r["source"]) for r in records("sft_heldout.json") for m in r["messages"] if m["role"] == "user"]
    assert not {question for question, _ in heldout} & {q for r in build.reworded_records() for q in r["questions"]}
    asked = [pairs_of_characters(question) for question, source in heldout if source == "hand"]
    holding = defaultdict(list)
    for number, pairs in enumerate(asked):
        for pair in pairs:
            holding[pair].append(number)
    wordings = [question for r in build.reworded_records() for question in r["questions"]]
    assert len(wordings) > 5000
    for question in wordings:
        pairs = pairs_of_characters(question)
        for number, shared in Counter(number for pair in pairs for number in holding[pair]).items():
            assert shared / len(pairs | asked[number]) < 0.6, (question, asked[number])


def test_every_wording_is_asked_once_and_answered_by_its_record() -> None:
    answers = {question: r["answer"] for r in build.reworded_records() for question in r["questions"]}
    openings = Counter()
    for dialogue in build.reworded_dialogues():
        openings[dialogue["messages"][0]["content"]] += 1
        for question, answer in zip(dialogue["messages"][::2], dialogue["messages"][1::2], strict=True):
            assert answers[question["content"]] == answer["content"]
    assert openings == Counter(answers.keys())
    assert len(answers) == sum(len(r["questions"]) for r in build.reworded_records())


def test_tasks_held_out_are_never_trained_on() -> None:
    training, heldout = records("rlvf_data.json"), records("rlvf_heldout.json")
    asked = {r["prompt"] for r in heldout}
    assert not asked & {r["prompt"] for r in training}
    assert not asked & {m["content"] for r in records("sft_data.json") for m in r["messages"] if m["role"] == "user"}


def test_no_step_of_a_training_answer_is_a_sum_that_is_held_out() -> None:
    signs = {"addition": "+", "subtraction": "-", "multiplication": "×", "division": "÷"}
    asked = [(signs[r["family"]], r["prompt"]) for r in records("rlvf_heldout.json") if r["family"] in signs]
    assert len(asked) == 400
    heldout = set()
    for sign, prompt in asked:
        first, second = re.findall(r"\d+", prompt)
        heldout |= {(first, sign, second)} | ({(second, sign, first)} if sign in "+×" else set())
    steps = set()
    for record in records("sft_data.json"):
        for message in record["messages"]:
            if message["role"] == "assistant":
                steps |= set(re.findall(r"(\d+)([-+×÷])(\d+)：", message["content"]))
    assert len(steps) > 5000
    assert not heldout & steps


def test_hand_written_tasks_have_the_answers_that_their_operations_give() -> None:
    tasks = json.loads((DATA / "sources" / "tasks.json").read_text("utf-8"))
    assert len(tasks) >= 150 and len({r["prompt"] for r in tasks}) == len(tasks)
    for record in tasks:
        verifier = verifier_for(record)
        assert verifier.verify(record, f"答案是{record['expected_answer']}。"), record
        if record["type"] == "logic":
            assert record["expected_answer"] in record["keywords"] and len(record["entities"]) >= 3, record
            continue
        value = None
        for operation in record["operations"]:
            first, operator, second = re.fullmatch(r"(\d+)([-+×÷])(\d+)", operation).groups()
            assert value in (None, int(first)), record
            value = value_of(operator, int(first), int(second))
            assert value >= 0 and (operator != "÷" or value * int(second) == int(first)), record
        assert str(value) == record["expected_answer"], record


def test_hand_written_tasks_share_no_operation_and_no_people_with_the_held_out_ones() -> None:
    tasks = json.loads((DATA / "sources" / "tasks.json").read_text("utf-8"))
    assert not [r["prompt"] for r in tasks if shows_reserved("".join(f"{step}：" for step in r.get("operations", ())))]
    heldout = [r["prompt"] for r in records("rlvf_heldout.json") if r["family"] in ("ordering", "syllogism")]
    for record in (r for r in tasks if r["type"] == "logic"):
        assert all(entity in record["prompt"] for entity in record["entities"]), record
        assert not [asked for asked in heldout if all(entity in asked for entity in record["entities"])], record
    shipped = [r for r in records("rlvf_data.json") if r.get("source") == "hand"]
    assert {r["prompt"] for r in shipped} == {r["prompt"] for r in tasks}


@pytest.mark.parametrize("path", sorted([*DATA.glob("*_data.*"), *DATA.glob("*_heldout.*")]), ids=lambda path: path.name)
def test_nothing_in_the_data_is_invisible(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), ensure_ascii=False)
    assert not clean_text(text).dropped
