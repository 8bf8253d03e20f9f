"""Template expansion: turns hand-written templates and word tables into sentences.

A template is Chinese text with two kinds of markup:

* ``[早上|中午|傍晚]`` picks one alternative; alternatives may nest and may be empty;
* ``{slot}`` inserts the value bound to ``slot``; if nothing is bound, a random entry of the word pool of
  that name. ``{pool#1}`` binds the drawn entry, so that a second ``{pool#1}`` repeats it and ``{pool#2}``
  is drawn different from it.

Tables that carry content (names, places, story records, entities) are cut in two by `split_table`: training
text never sees the entries that held-out text is made of.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

SOURCES = Path(__file__).resolve().parent.parent / "sources"
HELDOUT_PERIOD = 9

Entry = TypeVar("Entry")
Bindings = dict[str, str]


@cache
def load_table(name: str) -> Any:
    """Parse ``data/sources/<name>.json`` once. Callers must not change what they get."""
    return json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"))


def split_table(entries: Sequence[Entry], heldout: bool) -> list[Entry]:
    """Every ninth entry (the 9th, 18th, ...) belongs to held-out text, the others to training text."""
    return [entry for index, entry in enumerate(entries) if (index % HELDOUT_PERIOD == HELDOUT_PERIOD - 1) == heldout]


def _split_alternatives(body: str) -> list[str]:
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
    return alternatives


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


class Weaver:
    """Expands templates with one random generator and one set of word pools.

    ``pools`` maps a pool's name to its templates. ``heldout`` says which half of every split table the
    generators that hold this weaver may draw from.
    """

    def __init__(self, rng: random.Random, heldout: bool) -> None:
        self.rng = rng
        self.heldout = heldout
        self.pools: Mapping[str, Sequence[str]] = load_table("prose_pools")

    def entries(self, table: Sequence[Entry]) -> list[Entry]:
        """The part of a content table that this weaver may use."""
        return split_table(table, self.heldout)

    def entities_of(self, category: Mapping[str, Any]) -> list[list[str]]:
        """The entities of a fact category that this weaver may use."""
        return split_table(category["entities"], self.heldout)

    def expand(self, template: str, bindings: Bindings | None = None) -> str:
        """Expand ``template``; numbered pool draws are added to ``bindings``.

        Raises KeyError for a slot that is neither bound nor a pool, ValueError for an unclosed bracket.
        """
        bound = {} if bindings is None else bindings
        pieces: list[str] = []
        index = 0
        while index < len(template):
            character = template[index]
            if character == "[":
                end = _closing_bracket(template, index)
                choice = self.rng.choice(_split_alternatives(template[index + 1 : end]))
                pieces.append(self.expand(choice, bound))
                index = end + 1
            elif character == "{":
                end = template.index("}", index)
                pieces.append(self._slot(template[index + 1 : end], bound))
                index = end + 1
            else:
                pieces.append(character)
                index += 1
        return "".join(pieces)

    def _slot(self, slot: str, bound: Bindings) -> str:
        if slot in bound:
            return self.expand(bound[slot], bound)
        pool, _, number = slot.partition("#")
        if pool not in self.pools:
            raise KeyError(f"slot {{{slot}}} is neither bound nor a word pool")
        if not number:
            return self.expand(self.rng.choice(self.pools[pool]), bound)
        taken = {value for key, value in bound.items() if key.startswith(pool + "#")}
        free = [entry for entry in (self.expand(entry, bound) for entry in self.pools[pool]) if entry not in taken]
        bound[slot] = self.rng.choice(free)
        return bound[slot]
