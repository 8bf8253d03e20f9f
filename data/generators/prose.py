"""Composed pretraining text: the mixture of stories, scenes, facts, reasoning and dialogues.

`compose_documents` and `heldout_documents` draw from disjoint halves of the hand-written tables (names, places,
story records, entities, things to count) and from disjoint pairs of operands, so held-out text cannot be
training text with the words moved.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

from data.generators.dialogues import DialogueWriter
from data.generators.facts import FactWriter
from data.generators.reasoning_text import ReasoningWriter
from data.generators.stories import Script, tell
from data.generators.weave import Weaver, load_table

STORY_TABLES = ("prose_stories_home", "prose_stories_town", "prose_stories_work", "prose_stories_fables")
# Shares of documents, not of characters: a story is about twice as long as a piece of facts.
MIXTURE = {"story": 0.23, "scene": 0.07, "facts": 0.33, "reasoning": 0.24, "script_dialogue": 0.05, "dialogue": 0.08}
MAX_LINE_REPEATS = 3
MAX_SENTENCE_REPEATS = 2
LONG_SENTENCE = 12
MAX_TRIES = 40

_SENTENCE_END = re.compile(r"[。！？\n]")


class _Novelty:
    """Remembers lines and longer sentences, and refuses a document that would repeat one too often."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.sentences: Counter[str] = Counter()

    def admit(self, document: str) -> bool:
        """Whether the document is new enough; if it is, count its lines and sentences."""
        lines = document.split("\n")
        sentences = [piece for piece in _SENTENCE_END.split(document) if len(piece) >= LONG_SENTENCE]
        if any(self.lines[line] >= MAX_LINE_REPEATS for line in lines) or len(set(lines)) < len(lines):
            return False
        if any(self.sentences[piece] >= MAX_SENTENCE_REPEATS for piece in sentences):
            return False
        self.lines.update(lines)
        self.sentences.update(sentences)
        return True


def _compose(seed: int, count: int, heldout: bool) -> list[str]:
    """``count`` documents; redraws a document that repeats what earlier ones said."""
    rng = random.Random(f"{seed} {'heldout' if heldout else 'train'}")
    weaver = Weaver(rng, heldout)
    stories: list[Script] = [script for table in STORY_TABLES for script in load_table(table)]
    writers: dict[str, Callable[[], str]] = {
        "story": lambda: tell(weaver, rng.choice(stories)),
        "scene": lambda: tell(weaver, rng.choice(load_table("prose_scenes"))),
        "facts": FactWriter(weaver).document,
        "reasoning": ReasoningWriter(weaver).document,
        "script_dialogue": lambda: tell(weaver, rng.choice(load_table("prose_dialogues"))),
        "dialogue": DialogueWriter(weaver).document,
    }
    novelty = _Novelty()
    documents: list[str] = []
    kinds, weights = list(MIXTURE), list(MIXTURE.values())
    refused = 0
    while len(documents) < count:
        document = writers[rng.choices(kinds, weights)[0]]()
        if novelty.admit(document):
            documents.append(document)
            refused = 0
        else:
            refused += 1
            if refused > MAX_TRIES:
                raise RuntimeError(f"the tables are used up after {len(documents)} documents; add material or ask for fewer")
    return documents


def compose_documents(seed: int, count: int) -> list[str]:
    """``count`` training documents of 1 to 6 paragraphs, joined by newlines; the same seed gives the same text.

    Raises RuntimeError when the hand-written tables cannot give that many different documents.
    """
    return _compose(seed, count, heldout=False)


def heldout_documents(seed: int, count: int) -> list[str]:
    """``count`` held-out documents, from reserved names, places, records, entities and operands only.

    Raises RuntimeError when the reserved entries cannot give that many different documents.
    """
    return _compose(seed, count, heldout=True)
