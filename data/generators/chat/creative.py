"""Small creative writing composed of hand-written lines: two-line poems, three-sentence stories, wishes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.topics import split_of
from data.source_files import load_source


@dataclass(frozen=True)
class Poem:
    """Lines about one subject, seven syllables each; any first line goes with any second one."""

    first_lines: tuple[str, ...]
    second_lines: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """What is found, what becomes of it, how it ends."""

    found: str
    done: str
    ending: str


@dataclass(frozen=True)
class Occasion:
    """What is said on an occasion, and what is wished."""

    greeting: str
    wishes: tuple[str, ...]


@dataclass(frozen=True)
class Wordings:
    """Poems by their subjects, what stories are made of, who is wished well and when, and how each is asked for."""

    poems: dict[str, Poem]
    poem_requests: tuple[str, ...]
    heroes: tuple[str, ...]
    places: tuple[str, ...]
    events: tuple[Event, ...]
    story_requests: tuple[str, ...]
    people: tuple[str, ...]
    occasions: dict[str, Occasion]
    wish_requests: tuple[str, ...]


def _wordings() -> Wordings:
    return load_source("chat_creative", Wordings)


def _record(prompt: str, answer: str, split: str, must: list[list[str]]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        "category": "creative",
    }
    if split == "heldout":
        record["rubric"] = {"must": must, "must_not": []}
    return record


def poem_record(rng: Random, split: str) -> dict[str, Any]:
    """A two-line poem; held out are (subject, wording) pairs. The rubric asks for the subject."""
    wordings = _wordings()
    while True:
        subject, form = rng.choice(tuple(wordings.poems)), rng.choice(wordings.poem_requests)
        if split_of("poem", subject, form) == split:
            break
    poem = wordings.poems[subject]
    lines = f"{rng.choice(poem.first_lines)}，\n{rng.choice(poem.second_lines)}。"
    # A poem need not name its subject, so any distinctive half of its own lines counts as being about it.
    about = [subject, *(line[:4] for line in poem.first_lines), *(line[-4:] for line in poem.second_lines)]
    return _record(form.format(subject), lines, split, [about])


def story_record(rng: Random, split: str) -> dict[str, Any]:
    """A three-sentence story; held out are (hero, wording) pairs. The rubric asks for the hero."""
    wordings = _wordings()
    while True:
        hero, form = rng.choice(wordings.heroes), rng.choice(wordings.story_requests)
        if split_of("story", hero, form) == split:
            break
    event = rng.choice(wordings.events)
    story = f"有一天，{hero}在{rng.choice(wordings.places)}{event.found}。{hero}{event.done}。{event.ending}"
    return _record(form.format(hero), story, split, [[hero]])


def wish_record(rng: Random, split: str) -> dict[str, Any]:
    """A wish for a person and an occasion; held out are (person, occasion, wording) triples."""
    wordings = _wordings()
    while True:
        who, when = rng.choice(wordings.people), rng.choice(tuple(wordings.occasions))
        form = rng.choice(wordings.wish_requests)
        if split_of("wish", who, when, form) == split:
            break
    occasion = wordings.occasions[when]
    wish = f"{who}，{occasion.greeting}！{rng.choice(occasion.wishes)}！"
    return _record(form.format(who=who, when=when), wish, split, [[who], [occasion.greeting]])


def creative_record(rng: Random, split: str) -> dict[str, Any]:
    """A poem, a story or a wish, equally often."""
    return rng.choice((poem_record, story_record, wish_record))(rng, split)
