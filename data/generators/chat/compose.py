"""Composed dialogues for supervised fine-tuning: questions about topics, and the smaller families of talk.

An answer about a topic comes in three qualities, all true: good, plain and curt. Their mixture is the same
for every phrasing, so a supervised model answers with mixed quality and preference learning has something to
improve.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.care import comfort_record, safety_record
from data.generators.chat.code import code_record
from data.generators.chat.creative import creative_record
from data.generators.chat.persona import introduction_record, meeting_record
from data.generators.chat.topics import (
    Rubric,
    Topic,
    all_questions,
    check_split,
    curt_answer,
    fact_rubric,
    good_answer,
    load_topics,
    plain_answer,
    split_of,
)
from data.source_files import load_source

QUALITIES = {"good": 15, "plain": 50, "curt": 35}
_MULTI_TURN_SHARE = {"train": 0.68, "heldout": 0.35}
# Draws in a row without a new record after which the supply counts as exhausted.
_PATIENCE = 5000


@dataclass(frozen=True)
class Turns:
    """What is said in a second turn, and how it is answered; {} is the name of another topic."""

    more: tuple[str, ...]
    more_openings: tuple[str, ...]
    advice: tuple[str, ...]
    thanks: tuple[str, ...]
    welcome: tuple[str, ...]
    welcome_keys: tuple[str, ...]
    next_topic: tuple[str, ...]


def _turns() -> Turns:
    return load_source("chat_turns", Turns)


def _draw_quality(rng: Random) -> str:
    return rng.choices(tuple(QUALITIES), tuple(QUALITIES.values()))[0]


def _answer(rng: Random, topic: Topic) -> tuple[str, int]:
    """An answer of a drawn quality and how many of the topic's facts it tells."""
    quality = _draw_quality(rng)
    if quality == "good":
        fact_count = rng.choice((2, 3, 3))
        return good_answer(rng, topic, fact_count), fact_count
    if quality == "plain":
        fact_count = rng.choice((1, 2, 2))
        return plain_answer(topic, fact_count), fact_count
    return curt_answer(topic), 1


def _turn(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _follow_up(
    rng: Random, topic: Topic, answered: str, told: int, split: str
) -> tuple[list[dict[str, str]], Rubric | None, Topic]:
    """A second turn after an answer with ``told`` facts: the turn, the rubric of its answer, its topic."""
    turns = _turns()
    # Advice that the first answer closed with would only be repeated.
    advice_weight = 0 if topic.tip in answered else 2
    kind = rng.choices(("more", "advice", "thanks", "next"), (4, advice_weight, 2, 3))[0]
    if kind == "more":
        answer = f"{rng.choice(turns.more_openings)}{topic.facts[told]}。"
        return _turn(rng.choice(turns.more), answer), fact_rubric(topic, [told]), topic
    if kind == "advice":
        return _turn(rng.choice(turns.advice), topic.tip), None, topic
    if kind == "thanks":
        rubric: Rubric = {"must": [list(turns.welcome_keys)], "must_not": []}
        return _turn(rng.choice(turns.thanks), rng.choice(turns.welcome)), rubric, topic
    while True:
        other, form = rng.choice(load_topics()), rng.choice(turns.next_topic)
        if other is not topic and split_of(other.id, form) == split:
            return _turn(form.format(other.name), _answer(rng, other)[0]), fact_rubric(other, [0]), other


def knowledge_record(rng: Random, split: str) -> dict[str, Any]:
    """A question about a topic, about a third of the time with a second turn.

    The rubric of a held-out record is for the last answer: the first fact, which every quality tells, or the
    fact that comes next when more was asked for.
    """
    topic, question = rng.choice(all_questions(split))
    answer, told = _answer(rng, topic)
    messages = _turn(question, answer)
    rubric: Rubric | None = fact_rubric(topic, [0])
    if rng.random() < _MULTI_TURN_SHARE[split]:
        more, rubric, topic = _follow_up(rng, topic, answer, told, split)
        messages += more
    record: dict[str, Any] = {"messages": messages, "category": "knowledge"}
    if split == "heldout":
        record["topic"] = topic.id
        if rubric is not None:
            record["rubric"] = rubric
    return record


FAMILIES = {
    knowledge_record: 60,
    introduction_record: 8,
    meeting_record: 6,
    comfort_record: 6,
    safety_record: 5,
    creative_record: 6,
    code_record: 9,
}


# How much more often than its share a family is trained on: what has to be computed takes more practice than what
# has to be known, and a question asked in few wordings more than one asked in many.
_PRACTICE = {code_record: 5, introduction_record: 3, safety_record: 3, creative_record: 2}


def _identity(record: dict[str, Any], split: str) -> tuple[str, ...]:
    """What may occur only once: a whole training dialogue, or what the user says in a held-out one."""
    return tuple(
        message["content"] for message in record["messages"] if split == "train" or message["role"] == "user"
    )


def sft_records(seed: int, count: int, split: str) -> list[dict[str, Any]]:
    """``count`` composed dialogues of ``split`` ("train" or "heldout"), no dialogue twice.

    Held-out records do not repeat a prompt and carry a rubric for their last answer where there is a fact to
    check. Raises ValueError for another split, or when the tables do not hold ``count`` different records.
    """
    check_split(split)
    rng = Random(f"chat {seed} {split}")
    shares = [share * (_PRACTICE.get(family, 1) if split == "train" else 1) for family, share in FAMILIES.items()]
    records: list[dict[str, Any]] = []
    seen: set[tuple[str, ...]] = set()
    misses = 0
    while len(records) < count:
        family = rng.choices(tuple(FAMILIES), shares)[0]
        record = family(rng, split)
        identity = _identity(record, split)
        if identity in seen:
            misses += 1
            if misses > _PATIENCE:
                raise ValueError(
                    f"only {len(records)} different {split} dialogues can be composed, not {count}"
                )
            continue
        misses = 0
        seen.add(identity)
        record["source"] = "generated"
        records.append(record)
    return records
