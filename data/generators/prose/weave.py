"""Template expansion: turns hand-written templates and word tables into sentences.

A template is Chinese text with two kinds of markup:

* ``[早上|中午|傍晚]`` picks one alternative; alternatives may nest and may be empty;
* ``{slot}`` inserts the value bound to ``slot``; if nothing is bound, a random entry of the word pool of
  that name. ``{pool#1}`` binds the drawn entry, so that a second ``{pool#1}`` repeats it and ``{pool#2}``
  is a different entry.

Tables that carry content (names, places, story records, entities) are cut in two by `split_table`: training
text never sees the entries that held-out text is made of.
"""

from __future__ import annotations

import random
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from data.generators.prose.novelty import Memory
from data.source_files import SourceError, Text, load_table

HELDOUT_PERIOD = 9
RESERVED_ENTRIES = 3
DRAFTS = 8
POOL_TABLES = ("prose_pools", "prose_phrases")

Entry = TypeVar("Entry")
Bindings = dict[str, str]


def split_table(entries: Sequence[Entry], heldout: bool, period: int = HELDOUT_PERIOD) -> list[Entry]:
    """Every ninth entry (the 9th, 18th, ...) belongs to held-out text, the others to training text."""
    return [entry for index, entry in enumerate(entries) if (index % period == period - 1) == heldout]


def split_pool(entries: Sequence[Entry], heldout: bool) -> list[Entry]:
    """As `split_table`, but at least three entries are held out, so that one document can draw three of them.

    A pool of fewer than nine entries holds turns of phrase rather than content, and is shared.
    """
    if len(entries) < HELDOUT_PERIOD:
        return list(entries)
    return split_table(entries, heldout, min(HELDOUT_PERIOD, len(entries) // RESERVED_ENTRIES))


@dataclass(frozen=True, slots=True)
class Choice:
    """``[a|b]`` in a template: one of the alternatives, each a template itself."""

    alternatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """``{name}`` in a template."""

    name: str


def _split_alternatives(body: str) -> tuple[str, ...]:
    """Cut ``a|b[c|d]|e`` at its outermost bars."""
    alternatives, depth, start = [], 0, 0
    for index, character in enumerate(body):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == "|" and depth == 0:
            alternatives.append(body[start:index])
            start = index + 1
    alternatives.append(body[start:])
    return tuple(alternatives)


def _closing_bracket(template: str, opening: int) -> int:
    """Index of the ``]`` that closes the ``[`` at ``opening``; raises ValueError if there is none."""
    depth = 0
    for index in range(opening, len(template)):
        if template[index] == "[":
            depth += 1
        elif template[index] == "]":
            depth -= 1
            if depth == 0:
                return index
    raise ValueError(f"bracket never closed in template: {template}")


@lru_cache(maxsize=65_536)
def parse(template: str) -> tuple[str | Choice | Slot, ...]:
    """The parts of a template in order; raises ValueError for an unclosed bracket."""
    parts: list[str | Choice | Slot] = []
    start = index = 0
    while index < len(template):
        if template[index] not in "[{":
            index += 1
            continue
        if index > start:
            parts.append(template[start:index])
        if template[index] == "[":
            end = _closing_bracket(template, index)
            parts.append(Choice(_split_alternatives(template[index + 1 : end])))
        else:
            end = template.index("}", index)
            parts.append(Slot(template[index + 1 : end]))
        start = index = end + 1
    if start < len(template):
        parts.append(template[start:])
    return tuple(parts)


class Weaver:
    """Expands templates with one random generator and one set of word pools.

    ``pools`` maps a pool's name to its templates. ``heldout`` says which half of every split table the
    generators that hold this weaver may draw from. ``memory`` holds the documents kept so far; who composes
    documents fills it.
    """

    def __init__(self, rng: random.Random, heldout: bool, memory: Memory | None = None) -> None:
        self.rng = rng
        self.heldout = heldout
        self.memory = memory or Memory()
        self._parts: dict[int, tuple[Any, list[Any]]] = {}
        self.pools: Mapping[str, Sequence[str]] = ChainMap(*(dict(load_table(name)) for name in POOL_TABLES))

    def entries(self, table: Sequence[Entry]) -> list[Entry]:
        """The part of a content table that this weaver may use; not to be changed."""
        kept = self._parts.get(id(table))
        if kept is None:
            # The table is kept beside its part, so that its identity cannot pass to another one.
            kept = self._parts[id(table)] = (table, split_table(table, self.heldout))
        return kept[1]

    def entities_of(self, category: Mapping[str, Any]) -> list[list[str]]:
        """The entities of a fact category that this weaver may use."""
        return split_table(category["entities"], self.heldout)

    def with_pools(self, content: Mapping[str, Sequence[str]], phrases: Mapping[str, Sequence[str]]) -> Weaver:
        """The same weaver with more pools: ``content`` is divided by `split_pool`, ``phrases`` are shared."""
        other = Weaver(self.rng, self.heldout, self.memory)
        other._parts = self._parts
        own: dict[str, Sequence[str]] = {name: split_pool(entries, self.heldout) for name, entries in content.items()}
        other.pools = ChainMap(own, dict(phrases), dict(self.pools))
        return other

    def expand(self, template: str, bindings: Bindings | None = None) -> str:
        """Expand ``template``; numbered pool draws are added to ``bindings``.

        Raises KeyError for a slot that is neither bound nor a pool, ValueError for an unclosed bracket; if the template
        is a text of a source, a SourceError that names its place.
        """
        if "{" not in template and "[" not in template:
            return template
        bound = {} if bindings is None else bindings
        try:
            return self._woven(template, bound)
        except SourceError:
            raise
        except (KeyError, ValueError) as error:
            if isinstance(template, Text):
                raise SourceError(f"{template.place}: {error.args[0]}") from error
            raise

    def _woven(self, template: str, bound: Bindings) -> str:
        pieces: list[str] = []
        for part in parse(template):
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, Choice):
                pieces.append(self.expand(self.rng.choice(part.alternatives), bound))
            else:
                pieces.append(self._slot(part.name, bound))
        return "".join(pieces)

    def freshest(self, templates: Sequence[str], bindings: Bindings) -> str:
        """Of a few drafts, each of a random template, the one of which the memory holds the smallest part.

        Leaving a step out is not a way to say something new: only a first draft may be empty.
        """
        best, least, kept = "", 2.0, bindings
        for _ in range(DRAFTS):
            draft_bindings = dict(bindings)
            draft = self.expand(self.rng.choice(templates), draft_bindings)
            worn = self.memory.share(draft)
            if worn < least and (draft or least > 1.0):
                best, least, kept = draft, worn, draft_bindings
            if worn == 0.0:
                break
        bindings.update(kept)
        return best

    def _slot(self, slot: str, bound: Bindings) -> str:
        if slot in bound:
            return self.expand(bound[slot], bound)
        pool, _, number = slot.partition("#")
        if pool not in self.pools:
            raise KeyError(f"slot {{{slot}}} is neither bound nor a word pool")
        if not number:
            return self.expand(self.rng.choice(self.pools[pool]), bound)
        # The drawn entry itself is remembered beside its text, so that one entry in two wordings counts as one.
        taken = {value for key, value in bound.items() if key.startswith(f"drawn {pool}#")}
        bound[f"drawn {slot}"] = self.rng.choice([entry for entry in self.pools[pool] if entry not in taken])
        bound[slot] = self.expand(bound[f"drawn {slot}"], bound)
        return bound[slot]
