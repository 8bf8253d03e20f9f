"""The composed dialogues: sound topics, disjoint splits, answers that are what they claim to be."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from random import Random
from typing import Any

import pytest

from data import build
from data.generators.chat import compose as chat
from data.generators.chat.care import safety_record
from data.generators.chat.code import SNIPPETS, draw
from data.generators.chat.compose import FAMILIES, sft_records
from data.generators.chat.topics import (
    all_questions,
    curt_answer,
    fact_rubric,
    good_answer,
    load_topics,
    plain_answer,
    questions,
    split_of,
    topics_by_id,
    wordings,
)
from data.source_files import SOURCES

CATEGORIES = {"introduction", "knowledge", "code", "creative", "everyday", "safety"}


@pytest.fixture(scope="module")
def training() -> list[dict[str, Any]]:
    return sft_records(1, build.CHAT_DIALOGUES, "train")


@pytest.fixture(scope="module")
def held_out() -> list[dict[str, Any]]:
    return sft_records(1, 800, "heldout")


def satisfies(rubric: dict[str, Any], answer: str) -> bool:
    return all(any(key in answer for key in keys) for keys in rubric["must"]) and not any(
        key in answer for key in rubric["must_not"]
    )


def user_turns(record: dict[str, Any]) -> list[str]:
    return [message["content"] for message in record["messages"] if message["role"] == "user"]


def test_every_topic_has_four_facts_each_shown_by_its_own_keys() -> None:
    assert len(load_topics()) >= 150
    for topic in load_topics():
        assert len(topic.facts) == len(topic.keys) == 4, topic.id
        assert topic.facts[0].startswith("是"), topic.id
        assert topic.tip[-1] in "。！", topic.id
        for place, keys in enumerate(topic.keys):
            for key in keys:
                told_by = [index for index, fact in enumerate(topic.facts) if key in fact]
                assert len(key) >= 2 or topic.id == "list", (topic.id, key)
                assert told_by == [place], (topic.id, key)
                assert key not in topic.name + topic.tip, (topic.id, key)


def test_names_and_ids_are_unique_and_no_fact_is_told_of_two_topics() -> None:
    topics = load_topics()
    assert len({topic.id for topic in topics}) == len({topic.name for topic in topics}) == len(topics)
    facts = [fact for topic in topics for fact in topic.facts]
    assert len(set(facts)) == len(facts)


def test_the_facts_of_a_confusable_topic_never_contain_the_keys() -> None:
    for topic in load_topics():
        assert len(set(topic.confusable)) == 2, topic.id
        for other_id in topic.confusable:
            other = topics_by_id()[other_id]
            assert other is not topic
            told = "".join(other.facts) + other.tip
            assert not [key for keys in topic.keys for key in keys if key in told], (topic.id, other_id)


def test_every_quality_of_answer_satisfies_the_rubric_of_the_first_fact() -> None:
    rng = Random(3)
    for topic in load_topics():
        rubric = fact_rubric(topic, [0])
        for answer in (good_answer(rng, topic, 3), plain_answer(topic, 1), curt_answer(topic)):
            assert satisfies(rubric, answer), (topic.id, answer)
        for other_id in topic.confusable:
            assert not satisfies(rubric, plain_answer(topics_by_id()[other_id], 2)), topic.id


def test_the_split_of_questions_is_stable_and_disjoint_and_every_topic_is_trained() -> None:
    trained, kept = set(all_questions("train")), set(all_questions("heldout"))
    assert not trained & kept
    assert len(kept) >= 300
    assert all(len(questions(topic, "train")) >= 6 for topic in load_topics())
    # The hash must not change between machines or versions: held-out data would leak into training.
    assert [split_of("cat", form) for form in wordings().questions].count("heldout") == 4
    assert split_of("cat", "帮我简单介绍{}。") == "heldout"
    assert [split_of("question", str(number)) for number in range(1000)].count("heldout") == 120


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
    assert 0.6 < several < 0.75  # so that a third of all conversations have, see test_data_statistics.py


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


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_explained_code_prints_what_the_explanation_says(name: str) -> None:
    rng = Random(11)
    for _ in range(20):
        code, explanation, printed = draw(rng, name)
        shown = StringIO()
        with redirect_stdout(shown):
            exec(code, {})  # our own one-line snippets
        assert "、".join(shown.getvalue().split("\n")[:-1]) == printed, code
        assert explanation[-1] not in "。，"
        equations = re.findall(r"(?<![\d÷])(\d+(?:[-+×]\d+)*)=(\d+)", explanation)
        assert all(eval(term.replace("×", "*")) == int(result) for term, result in equations), explanation
        divisions = re.findall(r"(\d+)÷(\d+)=(\d+)余(\d+)", explanation)
        assert all(divmod(int(a), int(b)) == (int(q), int(r)) for a, b, q, r in divisions), explanation


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
