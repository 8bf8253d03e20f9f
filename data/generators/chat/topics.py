"""Topics of the composed chat: their facts, the ways to ask about them, and the sentences that answer.

A topic is a row of ``data/sources/topics.json``, the words around it are in ``data/sources/chat_topics.json``. Every
composed question is a pair (topic, phrasing), and the pair decides by a hash whether it is for training or held out:
the held-out questions ask about known topics in words that training never used for that topic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from data.source_files import load_source

SPLITS = ("train", "heldout")
HELD_OUT_PERCENT = 15

# {"must": [[any of these], ...], "must_not": [none of these]}, checked against an answer.
Rubric = dict[str, list[Any]]


@dataclass(frozen=True)
class Topic:
    """One topic: four facts as predicates (the name goes before the first), the strings that show each fact
    was said (any of ``keys[i]`` for ``facts[i]``), a friendly closing ``tip``, and the ids of two topics
    whose facts would be false of this one."""

    id: str
    name: str
    category: str
    facts: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    tip: str
    confusable: tuple[str, ...]


@dataclass(frozen=True)
class Wordings:
    """How to ask about a topic, and the sentences around its facts; {} is its name.

    ``thing_questions`` and ``place_questions`` are the plainest ways of asking. The hand-written dialogues use them
    too, so they are always trained, never held out; "什么是北京？" is not what anybody says, so a place is asked about
    in other words than a thing. ``joints`` join each predicate to those before it: a Chinese sentence drops a subject
    that has not changed, so there is no pronoun.
    """

    questions: tuple[str, ...]
    thing_questions: tuple[str, ...]
    place_questions: tuple[str, ...]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    joints: tuple[str, ...]


def wordings() -> Wordings:
    """The hand-written ways of asking and telling."""
    return load_source("chat_topics", Wordings)


def load_topics() -> tuple[Topic, ...]:
    """All topics, in the order of the file."""
    return load_source("topics", tuple[Topic, ...])


@lru_cache(maxsize=1)
def topics_by_id() -> dict[str, Topic]:
    """The topics by their ids."""
    return {topic.id: topic for topic in load_topics()}


def split_of(*parts: str) -> str:
    """The split of a combination such as (topic, phrasing), by SHA-256: the same on every machine."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8")).digest()
    return "heldout" if int.from_bytes(digest[:8], "big") % 100 < HELD_OUT_PERCENT else "train"


def check_split(split: str) -> None:
    """Raise ValueError unless ``split`` is "train" or "heldout"."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")


def _plainest(topic: Topic) -> tuple[str, ...]:
    return wordings().place_questions if topic.category == "城市" else wordings().thing_questions


def questions(topic: Topic, split: str) -> list[str]:
    """The questions about ``topic`` that belong to ``split``. May be empty for the held-out split."""
    forms = [form for form in wordings().questions if split_of(topic.id, form) == split]
    if split == "train":
        forms += _plainest(topic)
    return [form.format(topic.name) for form in forms]


@lru_cache(maxsize=2)
def all_questions(split: str) -> tuple[tuple[Topic, str], ...]:
    """Every (topic, question) pair of ``split``."""
    check_split(split)
    return tuple((topic, question) for topic in load_topics() for question in questions(topic, split))


def tell(topic: Topic, facts: Iterable[str]) -> str:
    """Up to four predicates told about ``topic``: the first two in one sentence, the others in one each."""
    return topic.name + "".join(joint + fact for joint, fact in zip(wordings().joints, facts, strict=False)) + "。"


def draw_opening(rng: Random, topic: Topic) -> str:
    """A short polite sentence that names the topic."""
    return rng.choice(wordings().openings).format(topic.name)


def draw_closing(rng: Random, topic: Topic) -> str:
    """A friendly last sentence: the topic's own tip, or an offer to go on, half each."""
    return topic.tip if rng.random() < 0.5 else rng.choice(wordings().closings)


def good_answer(rng: Random, topic: Topic, fact_count: int) -> str:
    """The best quality: opening, the first ``fact_count`` facts, closing."""
    return draw_opening(rng, topic) + tell(topic, topic.facts[:fact_count]) + draw_closing(rng, topic)


def plain_answer(topic: Topic, fact_count: int) -> str:
    """The middling quality: facts alone."""
    return tell(topic, topic.facts[:fact_count])


def curt_answer(topic: Topic) -> str:
    """The lowest true quality: the first fact without even its subject."""
    return topic.facts[0].removeprefix("是") + "。"


def fact_rubric(topic: Topic, indices: Sequence[int]) -> Rubric:
    """The rubric that the facts at ``indices`` were said and that nothing was said that is true of a
    confusable topic instead: keys of their first two facts, those too short to be telling left out."""
    by_id = topics_by_id()
    foreign = [
        key for other in topic.confusable for keys in by_id[other].keys[:2] for key in keys if len(key) > 2
    ]
    return {"must": [list(topic.keys[index]) for index in indices], "must_not": foreign}
