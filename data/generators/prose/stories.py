"""Stories, scenes, dialogues, diaries, notices, recipes, interviews: everything that is told from a script.

A script (in the tables that `load_scripts` reads) is a sequence of plot steps with several wordings each, a cast,
and records: each record is one concrete case (one lost thing, one skill, one dish) whose hand-written clauses fit
each other. Telling a script draws a cast, a place, a record and a wording for every step. A step may also be
``{"take": [2, 3], "of": [step, ...]}``: two or three of its inner steps, in their order (``"shuffle": true``: in
any order). ``pools`` of a script hold content (split between training and held-out text), ``phrases`` hold wordings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from data.generators.prose.weave import Bindings, Weaver, split_table
from data.generators.tasks.reserved import is_reserved
from data.source_files import Table, load_source, load_table

MIN_PARAGRAPH_STEPS = 2
NICKNAME_SHARE = 0.35

SEASONS = {"春": (3, 4, 5), "夏": (6, 7, 8), "秋": (9, 10, 11), "冬": (12, 1, 2)}

_DOUBLE_STOP = re.compile(r"([。！？…]”?)[。，；]")

Script = Table
Step = list[str] | dict[str, Any]


def load_scripts(table: str) -> list[Script]:
    """The scripts of a table, each with the pools that the table gives to all of them.

    A script may tell the records of another one: ``"records": "its id"``.
    """
    content = load_table(table)
    if isinstance(content, list):
        return content
    shared = {name: content.get(name, {}) for name in ("pools", "phrases")}
    scripts = {script["id"]: script for script in content["scripts"]}
    loaded = []
    for script in scripts.values():
        pools = {name: {**shared[name], **script.get(name, {})} for name in shared}
        merged = Table({**script, **pools}, script.place)
        if isinstance(script.get("records"), str):
            merged["records"] = scripts[script["records"]]["records"]
        loaded.append(merged)
    return loaded


@dataclass(frozen=True)
class Titles:
    """How a woman and a man are called after their surnames."""

    woman: tuple[str, ...]
    man: tuple[str, ...]

    def of(self, woman: bool) -> tuple[str, ...]:
        """Those of a woman or of a man."""
        return self.woman if woman else self.man


@dataclass(frozen=True)
class Cast:
    """Grown-up and younger relatives with their pronouns, and the titles of people at work and of old people."""

    relatives: dict[str, str]
    younger_ones: dict[str, str]
    worker_titles: Titles
    elder_titles: Titles


def _cast() -> Cast:
    return load_source("prose_cast", Cast)


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
        known = self.names["girl_nicknames" if girl else "boy_nicknames"]
        nicknames = [name for name in known if name not in self.taken]
        if nicknames and rng.random() < NICKNAME_SHARE:
            return self._fresh(lambda: rng.choice(nicknames))
        given = self.names["girls" if girl else "boys"]
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(given))

    def adult(self, kind: str) -> str:
        """Surname and title of a ``woman`` or ``man``."""
        rng = self.weaver.rng
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(self.titles[kind]))

    def worker(self, woman: bool) -> str:
        """Surname and a title that fits any trade."""
        rng = self.weaver.rng
        titles = _cast().worker_titles.of(woman)
        return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(titles))

    def elder(self, woman: bool) -> str:
        """Surname and title of an old person."""
        rng = self.weaver.rng
        titles = _cast().elder_titles.of(woman)
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
        if kind == "person":
            rng, given = self.weaver.rng, self.names["girls" if woman else "boys"]
            return self._fresh(lambda: rng.choice(self.names["surnames"]) + rng.choice(given)), pronoun
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
    return {"价": str(price), "付": str(paid), "找": str(paid - price), "一位": str(draw(2, 9)),
            "两位": str(draw(11, 45)), "三位": str(draw(101, 699)), "时": weaver.rng.choice("八九十两三四"),
            "日": weaver.rng.choice("一二三四五六日")}


def season_bindings(weaver: Weaver) -> Bindings:
    """Bind a date and what can be seen at that time of year: ``{月}``, ``{号}``, ``{季}``, ``{季景}``, ``{晴雨}``."""
    season = weaver.rng.choice(list(SEASONS))
    return {"月": str(weaver.rng.choice(SEASONS[season])), "号": str(weaver.rng.randint(1, 28)), "季": season,
            "季景": f"{{{season}景}}", "晴雨": f"{{{season}天气}}"}


def kin_bindings(weaver: Weaver) -> Bindings:
    """Bind two grown-up relatives, ``{亲甲}`` and ``{亲乙}``, and a younger one, ``{弟妹}``, with their pronouns."""
    cast = _cast()
    first, second = weaver.rng.sample(list(cast.relatives.items()), 2)
    younger = weaver.rng.choice(list(cast.younger_ones.items()))
    bindings: Bindings = {}
    for kin, pronoun, drawn in (("亲甲", "他甲", first), ("亲乙", "他乙", second), ("弟妹", "他弟", younger)):
        bindings[kin], bindings[pronoun] = drawn
    return bindings


def setting_bindings(weaver: Weaver, cast: dict[str, str]) -> Bindings:
    """A cast, a place, a date, numbers and relatives: all that a template may name besides the word pools."""
    bindings = cast_bindings(weaver, cast)
    for more in (place_bindings, number_bindings, season_bindings, kin_bindings):
        bindings.update(more(weaver))
    return bindings


def lay_out(weaver: Weaver, steps: list[str]) -> str:
    """Join the sentences of a story into one to three paragraphs, each of two steps or more."""
    steps = [step for step in steps if step]
    paragraphs = weaver.rng.randint(1, max(1, min(3, len(steps) // MIN_PARAGRAPH_STEPS)))
    inner = range(MIN_PARAGRAPH_STEPS, len(steps) - MIN_PARAGRAPH_STEPS + 1)
    cuts = sorted(weaver.rng.sample(inner, min(paragraphs - 1, len(inner))))
    edges = [0, *cuts, len(steps)]
    return "\n".join("".join(steps[start:end]) for start, end in pairwise(edges))


def punctuate(text: str) -> str:
    """Drop a full stop that follows the end of a sentence: a phrase that ends in ``？`` may stand before ``。``."""
    return _DOUBLE_STOP.sub(r"\1", text)


def plan(weaver: Weaver, steps: Sequence[Step]) -> list[list[str]]:
    """The wordings of every step that is told, in order."""
    told: list[list[str]] = []
    for step in steps:
        if isinstance(step, list):
            told.append(step)
            continue
        low, high = step["take"]
        chosen = weaver.rng.sample(range(len(step["of"])), weaver.rng.randint(low, high))
        order = chosen if step.get("shuffle") else sorted(chosen)
        told += plan(weaver, [step["of"][index] for index in order])
    return told


def tell(weaver: Weaver, script: Script) -> str:
    """One document from one script. ``layout`` "prose" flows in paragraphs, "lines" gives each step a line."""
    teller = weaver.with_pools(script.get("pools", {}), script.get("phrases", {}))
    bindings = setting_bindings(weaver, script.get("cast", {}))
    if "records" in script:
        record = weaver.rng.choice(split_table(script["records"], weaver.heldout))
        bindings.update(zip(script["slots"], record, strict=True))
    if "moral" in script:
        bindings["道理"] = weaver.rng.choice(script["moral"])
    steps = [punctuate(teller.freshest(wordings, bindings)) for wordings in plan(weaver, script["steps"])]
    if script["layout"] == "lines":
        return "\n".join(step for step in steps if step)
    return lay_out(weaver, steps)
