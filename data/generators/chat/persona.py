"""What the assistant says about itself, and the words of meeting and parting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.topics import split_of
from data.source_files import load_source


@dataclass(frozen=True)
class Exchange:
    """One kind of question: its wordings, the wordings of its answer, and the strings one of which a right
    answer contains."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    endings: tuple[str, ...]
    must: tuple[str, ...]


@dataclass(frozen=True)
class Wordings:
    """Questions about the assistant and the words of meeting, by their kinds; what a question may open with; and what
    somebody may say about the assistant that is not so, for preference pairs."""

    introductions: dict[str, Exchange]
    meetings: dict[str, Exchange]
    greetings: tuple[str, ...]
    false_identities: tuple[str, ...]


def persona() -> Wordings:
    """The hand-written exchanges."""
    return load_source("chat_persona", Wordings)


def _answer(rng: Random, exchange: Exchange) -> str:
    return rng.choice(exchange.answers) + rng.choice(exchange.endings)


def draw_exchange(rng: Random, exchanges: Sequence[Exchange], split: str) -> tuple[Exchange, str]:
    """An exchange, kinds with more wordings more often, and one of its questions that belongs to
    ``split``."""
    weights = [len(exchange.questions) for exchange in exchanges]
    while True:
        exchange = rng.choices(exchanges, weights)[0]
        question = rng.choice(exchange.questions)
        if split_of("persona", question) == split:
            return exchange, question


def _record(rng: Random, exchanges: Sequence[Exchange], split: str, category: str,
            greetings: Sequence[str]) -> dict[str, Any]:
    exchange, question = draw_exchange(rng, exchanges, split)
    record: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": rng.choice(greetings) + question},
            {"role": "assistant", "content": _answer(rng, exchange)},
        ],
        "category": category,
    }
    if split == "heldout":
        record["rubric"] = {"must": [list(exchange.must)], "must_not": []}
    return record


def introduction_record(rng: Random, split: str) -> dict[str, Any]:
    """One question about the assistant itself, and an honest answer."""
    return _record(rng, tuple(persona().introductions.values()), split, "introduction", persona().greetings)


def meeting_record(rng: Random, split: str) -> dict[str, Any]:
    """One greeting, thanks, goodbye, praise or complaint, and a friendly answer."""
    return _record(rng, tuple(persona().meetings.values()), split, "everyday", ("",))
