"""Stories, scenes and dialogues told from scripts.

A script (``data/sources/prose_stories_*.json``, ``prose_scenes.json``, ``prose_dialogues_*.json``) is a sequence
of plot steps with several wordings each, a cast, and records: each record is one concrete case (one lost thing,
one skill, one dish) whose hand-written clauses fit each other. Telling a script draws a cast, a place, a
record and a wording for every step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from data.generators.weave import Bindings, Weaver, load_table, split_table
from data.generators.workings import is_reserved

MIN_PARAGRAPH_STEPS = 2
NICKNAME_SHARE = 0.35

Script = dict[str, Any]


class Casting:
    """Draws names that do not repeat inside one document."""

    def __init__(self, weaver: Weaver) -> None:
        names = load_table("prose_names")
        self.weaver = weaver
        self.names: dict[str, list[str]] = {kind: weaver.entries(entries) for kind, entries in names.items()}
        # Titles follow a surname ("王师傅"); they are common words, not identities, so both halves share them.
        self.titles: dict[str, list[str]] = {"woman": names["women"], "man": names["men"]}
        self.taken: set[str] = set()

    def _fresh(self, make: Any) -> str:
        while True:
            name = str(make())
            if name not in self.taken:
                self.taken.add(name)
                return name

    def child(self, girl: bool) -> str:
        """A child's name: a nickname, or surname and given name."""
        rng = self.weaver.rng
        if rng.random() < NICKNAME_SHARE:
            return self._fresh(lambda: rng.choice(self.names["girl_nicknames" if girl else "boy_nicknames"]))
        given = self.names["girls" if girl else "boys"]
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(given))

    def adult(self, kind: str) -> str:
        """Surname and title of a ``woman`` or ``man``."""
        rng = self.weaver.rng
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(self.titles[kind]))

    def worker(self, woman: bool) -> str:
        """Surname and a title that fits any trade."""
        rng = self.weaver.rng
        titles = ("阿姨", "大姐", "师傅") if woman else ("叔叔", "大哥", "师傅")
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(titles))

    def elder(self, woman: bool) -> str:
        """Surname and title of an old person."""
        rng = self.weaver.rng
        titles = ("奶奶", "婆婆") if woman else ("爷爷", "伯伯")
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(titles))

    def animal(self) -> str:
        """A speaking animal, with or without a pet name: 小刺猬, 小刺猬团团."""
        rng = self.weaver.rng
        animal = self._fresh(lambda: rng.choice(self.names["animals"]))
        return animal + ("" if rng.random() < 0.3 else self._fresh(lambda: rng.choice(self.names["animal_traits"])))

    def member(self, kind: str) -> tuple[str, str]:
        """(name, pronoun) of a new member of the cast; raises ValueError for an unknown kind."""
        woman = self.weaver.rng.random() < 0.5
        if kind in ("woman", "girl"):
            woman = True
        elif kind in ("man", "boy"):
            woman = False
        pronoun = "她" if woman else "他"
        if kind in ("child", "girl", "boy"):
            return self.child(woman), pronoun
        if kind in ("adult", "woman", "man"):
            return self.adult("woman" if woman else "man"), pronoun
        if kind == "worker":
            return self.worker(woman), pronoun
        if kind == "elder":
            return self.elder(woman), pronoun
        if kind == "animal":
            return self.animal(), "它"
        raise ValueError(f"unknown cast kind: {kind}")


def cast_bindings(weaver: Weaver, cast: dict[str, str]) -> Bindings:
    """Bind ``{A}`` to a name and ``{他A}`` to the pronoun for every cast letter; ``{他}`` is short for ``{他A}``."""
    casting = Casting(weaver)
    bindings: Bindings = {}
    for letter, kind in {"A": "child", "B": "child", **cast}.items():
        bindings[letter], bindings["他" + letter] = casting.member(kind)
    bindings["他"] = bindings["他A"]
    pair = {bindings["他A"], bindings["他B"]}
    bindings["他们"] = (pair.pop() if len(pair) == 1 else "他") + "们"
    return bindings


def place_bindings(weaver: Weaver) -> Bindings:
    """Bind ``{地}`` to a place and ``{地貌}`` to what it looks like."""
    name, look = weaver.rng.choice(weaver.entries(load_table("prose_places")))
    return {"地": name, "地貌": weaver.expand(look)}


def number_bindings(weaver: Weaver) -> Bindings:
    """Bind prices and small numbers that scenes mention: ``{价}`` and ``{找}`` add up to ``{付}``."""
    while True:
        paid = weaver.rng.choice([10, 20, 50, 100])
        price = weaver.rng.randint(paid // 2 - 2, paid - 1)
        if is_reserved("-", paid, price) == weaver.heldout:
            break
    draw = weaver.rng.randint
    return {"价": str(price), "付": str(paid), "找": str(paid - price), "一位": str(draw(2, 9)), "两位": str(draw(11, 45)),
            "三位": str(draw(101, 699)), "时": weaver.rng.choice("八九十两三四"), "日": weaver.rng.choice("一二三四五六日")}


def lay_out(weaver: Weaver, steps: list[str]) -> str:
    """Join the sentences of a story into one to three paragraphs, each of two steps or more."""
    steps = [step for step in steps if step]
    paragraphs = weaver.rng.randint(1, max(1, min(3, len(steps) // MIN_PARAGRAPH_STEPS)))
    inner = range(MIN_PARAGRAPH_STEPS, len(steps) - MIN_PARAGRAPH_STEPS + 1)
    cuts = sorted(weaver.rng.sample(inner, min(paragraphs - 1, len(inner))))
    edges = [0, *cuts, len(steps)]
    return "\n".join("".join(steps[start:end]) for start, end in pairwise(edges))


def tell(weaver: Weaver, script: Script) -> str:
    """One document from one script. ``layout`` "prose" flows in paragraphs, "lines" gives each step a line."""
    bindings = cast_bindings(weaver, script.get("cast", {}))
    bindings.update(place_bindings(weaver))
    bindings.update(number_bindings(weaver))
    record = weaver.rng.choice(split_table(script["records"], weaver.heldout))
    bindings.update(zip(script["slots"], record, strict=True))
    if "moral" in script:
        bindings["道理"] = weaver.rng.choice(script["moral"])
    steps = [weaver.expand(weaver.rng.choice(step), bindings) for step in script["steps"]]
    if script["layout"] == "lines":
        return "\n".join(step for step in steps if step)
    return lay_out(weaver, steps)
