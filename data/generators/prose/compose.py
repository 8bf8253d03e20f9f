"""Composed pretraining text: the mixture of stories, scenes, facts, reasoning, reports and dialogues.

`compose_documents` and `heldout_documents` draw from disjoint halves of the hand-written tables (names, places,
story records, entities, things to count) and from disjoint pairs of operands, so held-out text cannot be
training text with the words moved.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from data.generators.prose.dialogues import DialogueWriter
from data.generators.prose.facts import FactWriter
from data.generators.prose.language import LanguageWriter
from data.generators.prose.lives import LifeWriter
from data.generators.prose.measures import MeasureWriter
from data.generators.prose.novelty import Memory
from data.generators.prose.number_puzzles import NumberPuzzleWriter
from data.generators.prose.puzzles import PuzzleWriter
from data.generators.prose.reasoning import ReasoningWriter
from data.generators.prose.reports import ReportWriter
from data.generators.prose.schedules import ScheduleWriter
from data.generators.prose.stories import Script, load_scripts, tell
from data.generators.prose.weave import Weaver
from data.generators.prose.worlds import WorldWriter

SCRIPT_MIXTURE = {
    ("prose_stories_home", "prose_stories_town", "prose_stories_work", "prose_stories_fables"): 175,
    ("prose_quests",): 42, ("prose_scenes",): 60, ("prose_travel",): 30, ("prose_dialogues",): 34, ("prose_diary",): 64,
    ("prose_letters",): 58, ("prose_interviews",): 22, ("prose_guides",): 66, ("prose_causes",): 40,
    ("prose_talks",): 42,
}
"""Weights of documents told from scripts; the scripts of the tables named together are equally likely."""

WRITER_MIXTURE: dict[Any, int] = {
    FactWriter: 690, ReasoningWriter: 370, DialogueWriter: 95, ReportWriter: 135, LifeWriter: 36, WorldWriter: 130,
    MeasureWriter: 66, PuzzleWriter: 140, NumberPuzzleWriter: 60, ScheduleWriter: 74, LanguageWriter: 150,
}
"""Weights of documents that a writer computes. Shares of documents, not of characters: a story is twice as long."""

MAX_WORN = 0.16
"""A document of which a larger part has been said before is written anew, a few times."""
REDRAFTS = 3
MAX_TRIES = 60


def _sources(weaver: Weaver) -> dict[Callable[[], str], float]:
    """What can be written, and how often."""
    sources: dict[Callable[[], str], float] = {
        writer(weaver).document: weight for writer, weight in WRITER_MIXTURE.items()
    }
    for tables, weight in SCRIPT_MIXTURE.items():
        scripts = [script for table in tables for script in load_scripts(table)]
        sources[_teller(weaver, scripts)] = weight
    return sources


def _teller(weaver: Weaver, scripts: list[Script]) -> Callable[[], str]:
    return lambda: tell(weaver, weaver.rng.choice(scripts))


def _freshest_document(write: Callable[[], str], memory: Memory) -> str:
    """The least worn of a few documents, or the first that is new enough; may still break a rule of the memory."""
    best, least = "", 2.0
    for _ in range(REDRAFTS):
        document = write()
        worn = memory.share(document)
        if worn < least and (memory.allows(document) or not best):
            best, least = document, worn
        if least <= MAX_WORN:
            break
    return best


def _compose(seed: int, count: int, heldout: bool) -> list[str]:
    """``count`` documents; redraws a document that repeats what earlier ones said."""
    rng = random.Random(f"{seed} {'heldout' if heldout else 'train'}")
    memory = Memory()
    sources = _sources(Weaver(rng, heldout, memory))
    writers, weights = list(sources), list(sources.values())
    documents: list[str] = []
    refused = 0
    while len(documents) < count:
        document = _freshest_document(rng.choices(writers, weights)[0], memory)
        if memory.allows(document):
            memory.remember(document)
            documents.append(document)
            refused = 0
        else:
            refused += 1
            if refused > MAX_TRIES:
                raise RuntimeError(
                    f"the tables are used up after {len(documents)} documents; add material or ask for fewer"
                )
    return documents


def compose_documents(seed: int, count: int) -> list[str]:
    """``count`` training documents of 1 to 8 paragraphs, joined by newlines; the same seed gives the same text.

    Raises RuntimeError when the hand-written tables cannot give that many different documents.
    """
    return _compose(seed, count, heldout=False)


def heldout_documents(seed: int, count: int) -> list[str]:
    """``count`` held-out documents, from reserved names, places, records, entities and operands only.

    Raises RuntimeError when the reserved entries cannot give that many different documents.
    """
    return _compose(seed, count, heldout=True)
