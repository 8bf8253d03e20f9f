"""The topics of the chat: facts shown by their keys, answers that hold them, questions split by a hash."""

from __future__ import annotations

from random import Random

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
from tests.data.helpers import satisfies


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
