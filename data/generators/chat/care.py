"""Kindness and limits: comfort in small troubles, and requests that the assistant kindly declines."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.topics import split_of
from data.source_files import load_source


@dataclass(frozen=True)
class Trouble:
    """A small trouble, said after "我" (so 的 begins what is the user's), one piece of advice, and the string that
    shows the advice was given."""

    trouble: str
    advice: str
    key: str


@dataclass(frozen=True)
class Limit:
    """Requests of one kind, and how they are met: the refusal or advice, what comes after, and what must be said."""

    requests: tuple[str, ...]
    answers: tuple[str, ...]
    endings: tuple[str, ...]
    must: tuple[str, ...]


@dataclass(frozen=True)
class Wordings:
    """Troubles and how they are told, sympathy and hope to frame the advice with, and the limits by their kinds."""

    troubles: tuple[Trouble, ...]
    tell: tuple[str, ...]
    sympathy: tuple[str, ...]
    hope: tuple[str, ...]
    limits: dict[str, Limit]


def _wordings() -> Wordings:
    return load_source("chat_care", Wordings)


def comfort_record(rng: Random, split: str) -> dict[str, Any]:
    """A small trouble and a kind answer with one piece of advice; held out are (trouble, wording) pairs."""
    wordings = _wordings()
    while True:
        drawn = rng.choice(wordings.troubles)
        form = rng.choice(wordings.tell)
        if split_of("comfort", drawn.trouble, form) == split:
            break
    answer = f"{rng.choice(wordings.sympathy)}{drawn.advice}。{rng.choice(wordings.hope)}"
    record: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": form.format(drawn.trouble)},
            {"role": "assistant", "content": answer},
        ],
        "category": "everyday",
    }
    if split == "heldout":
        record["rubric"] = {"must": [[drawn.key]], "must_not": []}
    return record


def safety_record(rng: Random, split: str) -> dict[str, Any]:
    """A request that the assistant kindly declines, or meets with where to find help."""
    limits = tuple(_wordings().limits.values())
    while True:
        limit = rng.choice(limits)
        request = rng.choice(limit.requests)
        if split_of("safety", request) == split:
            break
    record: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": request},
            {"role": "assistant", "content": rng.choice(limit.answers) + rng.choice(limit.endings)},
        ],
        "category": "safety",
    }
    if split == "heldout":
        record["rubric"] = {"must": [list(limit.must)], "must_not": []}
    return record
