"""The composed dialogues: disjoint splits, answers that are what they claim to be."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest

from data import build
from data.generators.chat import compose as chat
from data.generators.chat.care import safety_record
from data.generators.chat.compose import FAMILIES, sft_records
from data.generators.chat.topics import (
    curt_answer,
    load_topics,
    wordings,
)
from data.source_files import SOURCES
from tests.data.helpers import satisfies

CATEGORIES = {"introduction", "knowledge", "code", "creative", "everyday", "safety"}


@pytest.fixture(scope="module")
def training() -> list[dict[str, Any]]:
    return sft_records(1, build.CHAT_DIALOGUES, "train")


@pytest.fixture(scope="module")
def held_out() -> list[dict[str, Any]]:
    return sft_records(1, 800, "heldout")


def user_turns(record: dict[str, Any]) -> list[str]:
    return [message["content"] for message in record["messages"] if message["role"] == "user"]


def test_the_same_seed_gives_the_same_records_and_another_seed_others() -> None:
    assert sft_records(5, 60, "train") == sft_records(5, 60, "train")
    assert sft_records(5, 60, "train") != sft_records(6, 60, "train")


def test_records_have_the_agreed_form(training: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> None:
    for record in training + held_out:
        roles = [message["role"] for message in record["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        assert all(message["content"] and "{" not in message["content"] for message in record["messages"])
        assert record["category"] in CATEGORIES and record["source"] == "generated"
        assert all(len(text["content"]) <= 95 for text in record["messages"]), record
    assert {record["category"] for record in held_out} == CATEGORIES


def test_advice_is_not_given_twice(training: list[dict[str, Any]]) -> None:
    tips = tuple(topic.tip for topic in load_topics())
    advised = [
        record
        for record in training
        if len(record["messages"]) > 2 and record["messages"][3]["content"] in tips
    ]
    assert len(advised) > 50
    assert not [r for r in advised if r["messages"][3]["content"] in r["messages"][1]["content"]]


def test_two_thirds_of_the_knowledge_dialogues_have_several_turns(training: list[dict[str, Any]]) -> None:
    knowledge = [record for record in training if record["category"] == "knowledge"]
    several = sum(len(record["messages"]) > 2 for record in knowledge) / len(knowledge)
    assert 0.6 < several < 0.75  # so that a third of all conversations have, see tests/data/test_statistics.py


def test_the_qualities_are_mixed_the_same_way_for_every_phrasing(training: list[dict[str, Any]]) -> None:
    curt = {curt_answer(topic) for topic in load_topics()}
    for form in wordings().questions:
        asked = {form.format(topic.name) for topic in load_topics()}
        first_answers = [
            r["messages"][1]["content"] for r in training if r["messages"][0]["content"] in asked
        ]
        assert len(first_answers) > 100
        assert 0.10 < sum(answer in curt for answer in first_answers) / len(first_answers) < 0.42, form


def test_no_dialogue_repeats_and_no_held_out_question_is_trained(
    training: list[dict[str, Any]], held_out: list[dict[str, Any]]
) -> None:
    dialogues = [tuple(message["content"] for message in record["messages"]) for record in training]
    assert len(set(dialogues)) == len(dialogues)
    prompts = [tuple(user_turns(record)) for record in held_out]
    assert len(set(prompts)) == len(prompts)
    first_trained = {user_turns(record)[0] for record in training}
    assert not first_trained & {user_turns(record)[0] for record in held_out}


def test_the_last_answer_of_a_held_out_record_satisfies_its_rubric(held_out: list[dict[str, Any]]) -> None:
    checked = [record for record in held_out if "rubric" in record]
    assert len(checked) > 0.8 * len(held_out)
    for record in checked:
        assert satisfies(record["rubric"], record["messages"][-1]["content"]), record
    assert not any("rubric" in record for record in sft_records(2, 50, "train"))


def test_every_family_can_fill_both_splits() -> None:
    for family in FAMILIES:
        for split in ("train", "heldout"):
            rng = Random(2)
            assert len({str(family(rng, split)) for _ in range(40)}) >= 5, (family.__name__, split)


def test_impossible_orders_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="split is 'test'"):
        sft_records(1, 5, "test")
    monkeypatch.setattr(chat, "FAMILIES", {safety_record: 1})
    with pytest.raises(ValueError, match="different heldout dialogues can be composed, not 500"):
        sft_records(1, 500, "heldout")


def test_composed_and_hand_written_data_do_not_leak_into_each_other(
    training: list[dict[str, Any]], held_out: list[dict[str, Any]]
) -> None:
    def prompts(pattern: str, *, held: bool) -> set[str]:
        files = [path for path in sorted(SOURCES.glob(pattern)) if ("heldout" in path.name) == held]
        assert len(files) == 2, files
        written = [record for path in files for record in json.loads(path.read_text(encoding="utf-8"))]
        return {record["messages"][0]["content"] for record in written}

    trained, kept = ({user_turns(record)[0] for record in records} for records in (training, held_out))
    assert not trained & prompts("dialogues*.json", held=True)
    assert not kept & prompts("dialogues*.json", held=False)
    assert not prompts("dialogues*.json", held=True) & prompts("dialogues*.json", held=False)


def test_hand_written_workings_have_the_form_of_the_composed_ones() -> None:
    other_forms = re.compile(r"写\d|不够减|直接乘|拆成|位上\d|\d[*/]\d|\d位数，")
    for path in sorted(SOURCES.glob("dialogues*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            if record["category"] == "math":
                for message in record["messages"]:
                    assert message["role"] == "user" or not other_forms.search(message["content"]), message
