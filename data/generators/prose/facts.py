"""Popular-science pieces from the hand-written entity tables.

Every category (animals, countries, terms of artificial intelligence, ...) lists entities with one predicate for
each of five keys, so two entities of a category can be compared key by key, and every key has its question.
A predicate is said right after its subject: "大象" + "能用鼻子吸水".
"""

from __future__ import annotations

import re
from typing import Any

from data.generators.prose.weave import Bindings
from data.generators.prose.writer import Writer
from data.source_files import load_table

ENTITY_TABLES = ("prose_entities_living", "prose_entities_things", "prose_entities_culture", "prose_entities_science")

_POSSESSIVE = re.compile(r"(?:^|[\[|])的")  # "的叶子像手掌" must follow its subject directly
_DETACHED = re.compile(r"(?:^|[^}])\{[fg]\}")

Category = dict[str, Any]
Entity = list[str]


def categories() -> list[Category]:
    """All categories in file order."""
    return [category for table in ENTITY_TABLES for category in load_table(table)]


class FactWriter(Writer):
    """Writes one kind of popular-science document per method, from the entities its weaver may use."""

    TABLE = "prose_facts"

    def frame(self, name: str, bindings: Bindings) -> str:
        """The least worn wording of a sentence, of those that the predicates in ``bindings`` can stand in."""
        frames = self.frames[name]
        if any(_POSSESSIVE.search(bindings.get(predicate, "")) for predicate in "fg"):
            frames = [frame for frame in frames if not _DETACHED.search(frame)]
        return self.weaver.freshest(frames, bindings)

    def _setting(self, category: Category) -> Bindings:
        return {**self.setting({"E": "adult"}), **self._class(category)}

    @staticmethod
    def _class(category: Category) -> Bindings:
        """How the entities of a category are called, counted and referred to."""
        return {**{key: category[key] for key in ("label", "class", "category", "kind")},
                "它": category.get("pronoun", "它")}

    def _draw(self, count: int) -> tuple[Category, list[Entity], Bindings]:
        category = self.rng.choice(categories())
        entities = self.rng.sample(self.weaver.entities_of(category), count)
        bindings = self._setting(category)
        for letter, entity in zip("XYZ", entities, strict=False):
            bindings[letter] = entity[0]
        return category, entities, bindings

    def introduction(self) -> str:
        """One entity in a paragraph: what it is, then three to five of its attributes."""
        _, (entity,), bindings = self._draw(1)
        facts = self.rng.sample(entity[1:], self.rng.randint(3, 5))
        sentences = [self.frame("open", bindings)]
        for index, fact in enumerate(facts[:-1]):
            subject = entity[0] if self.rng.random() < 0.4 else bindings["它"]
            frame = "first" if index == 0 else "next"
            sentences.append(self.frame(frame, {**bindings, "S": subject, "f": fact}) + "。")
        sentences.append(self.frame("last", {**bindings, "S": bindings["它"], "f": facts[-1]}))
        return "".join(sentences)

    def lesson(self) -> str:
        """Children and a grown-up talk about one entity; each tells one attribute."""
        _, (entity, _), bindings = self._draw(2)
        facts = self.rng.sample(entity[1:], self.rng.randint(3, 4))
        sentences = [self.frame("class_open", bindings)]
        turns = self.rng.sample("AEB", 3)
        for index, fact in enumerate(facts):
            speaker = bindings[turns[index % 3]]
            frame = "class_say" if index > 0 else "class_first"
            sentences.append(self.frame(frame, {**bindings, "P": speaker, "f": fact}))
        middle = len(sentences) // 2 + 1
        sentences.append(self.frame("class_end", bindings))
        return "".join(sentences[:middle]) + "\n" + "".join(sentences[middle:])

    def questions(self) -> str:
        """Question and answer about one entity: a child asks, the helper 小算 answers."""
        category, (entity,), bindings = self._draw(1)
        keys = self.rng.sample(range(len(category["keys"])), self.rng.randint(2, 3))
        asker = self.rng.choice([bindings["A"], "问", bindings["B"]])
        answerer = "答" if asker == "问" else self.rng.choice(["小算", "小算", bindings["E"]])
        lines = []
        for turn, key in enumerate(keys):
            question = self.weaver.expand(category["questions"][key], bindings)
            if turn > 0:
                question = self.told("again", bindings) + question
            answer = self.weaver.expand("{X}" + entity[key + 1] + "。", bindings)
            lines += [f"{asker}：{question}", f"{answerer}：{answer}{self.frame('qa_tail', bindings)}"]
        return "\n".join(lines)

    def comparison(self) -> str:
        """Two entities of one category, key by key."""
        category, (first, second), bindings = self._draw(2)
        keys = self.rng.sample(range(1, len(category["keys"]) + 1), self.rng.randint(2, 4))
        sentences = [self.frame("compare_open", bindings)]
        for key in keys:
            sentences.append(self.frame("compare", {**bindings, "f": first[key], "g": second[key]}) + "。")
        sentences.append(self.frame("compare_end", bindings))
        return "".join(sentences)

    def riddle(self) -> str:
        """Three attributes first, the name last."""
        _, (entity, other), bindings = self._draw(2)
        facts = self.rng.sample(entity[1:], 3)
        clues = "".join(self.weaver.expand("{它}" + fact + "。", bindings) for fact in facts)
        wrong = {**bindings, "g": self.rng.choice(other[1:])}
        lines = [self.frame("riddle_open", bindings) + clues, self.frame("riddle_think", wrong)]
        return "\n".join(lines) + self.frame("riddle_end", bindings)

    def sorting(self) -> str:
        """Entities of two categories, sorted into their classes; the first key of each says what it is."""
        two = self.rng.sample(categories(), 2)
        chosen = [(category, entity) for category in two
                  for entity in self.rng.sample(self.weaver.entities_of(category), 2)]
        self.rng.shuffle(chosen)
        bindings = self._setting(two[0])
        bindings["list"] = "、".join(entity[0] for _, entity in chosen)
        sentences = []
        for category, entity in chosen:
            local = {**bindings, **self._class(category),
                     "X": entity[0], "f": entity[1]}
            sentences.append(self.frame("sort_line", local) + "。")
        opening = self.frame("sort_open", bindings)
        groups = [f"{category['class']}有{'和'.join(entity[0] for owner, entity in chosen if owner is category)}"
                  for category in two]
        return opening + "\n" + "".join(sentences) + "\n" + "答案：" + "，".join(groups) + "。"

    def cards(self) -> str:
        """Several entities of a category, each with its answer to one and the same question."""
        category, entities, bindings = self._draw(2 if self.weaver.heldout else self.rng.randint(3, 5))
        key = self.rng.randrange(len(category["keys"]))
        bindings["数"] = "零一两三四五"[len(entities)]
        lines = [self.frame("cards_line", {**bindings, "X": entity[0], "f": entity[key + 1]}) + "。"
                 for entity in entities]
        joined = self.rng.choice(["", "\n"])
        return self.frame("cards_open", bindings) + joined + "".join(lines) + self.frame("cards_end", bindings)

    def document(self) -> str:
        """One document of a random kind."""
        kinds = [self.introduction, self.lesson, self.questions, self.comparison, self.riddle, self.sorting, self.cards]
        kind = self.rng.choices(kinds, weights=[4, 5, 4, 5, 3, 3, 4])[0]
        return kind()
