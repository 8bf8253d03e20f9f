"""The Chinese language itself: idioms and how to use them, radicals, measure words, opposites."""

from __future__ import annotations

from data.generators.prose.workings import chinese_number
from data.generators.prose.writer import Writer

COUNTS = "一两三四五六七八九"


class LanguageWriter(Writer):
    """Writes one kind of language lesson per method."""

    TABLE = "prose_language"

    def idiom(self) -> str:
        """An idiom, its meaning, one or two sentences with it."""
        bindings = self.setting({"E": "adult"})
        idiom, meaning, first, second = self.rng.choice(self.part("idioms"))
        examples = self.rng.sample([first, second], 2)
        bindings |= {"语": idiom, "义": meaning, "例": examples[0], "物谁": "{小吃}"}
        told = [self.frame("idiom_open", bindings), self.frame("idiom_mean", bindings),
                self.frame("idiom_use", bindings)]
        if self.rng.random() < 0.6:
            told.append(self.frame("idiom_more", {**bindings, "例": examples[1]}))
        return self.paragraphs(*told)

    def idiom_choice(self) -> str:
        """Which of two idioms belongs into a sentence."""
        bindings = self.setting({"E": "adult"})
        (idiom, meaning, *examples), (wrong, wrong_meaning, *_) = self.rng.sample(self.part("idioms"), 2)
        example = self.weaver.expand(self.rng.choice(examples), {**bindings, "物谁": "{小吃}"})
        blank = example.replace(idiom, "某某某某")
        bindings |= {"语": idiom, "错": wrong, "义": meaning, "错义": wrong_meaning}
        told = [self.frame("idiom_ask", bindings), f"“{blank}。”", "\n", self.frame("idiom_pick", bindings)]
        return "".join(told)

    def radical(self) -> str:
        """A radical, what it points to, and characters that carry it."""
        bindings = self.setting({"E": "adult"})
        radical, meaning, characters = self.rng.choice(self.part("radicals"))
        plain = [character for character in characters if len(character) == 1]
        chosen = self.rng.sample(plain, min(len(plain), self.rng.randint(5, 8)))
        bindings |= {"旁": radical, "义": meaning, "列": "、".join(chosen[:-1]), "添": chosen[-1],
                     "数": chinese_number(len(chosen) - 1)}
        return "".join(self.frame(f"radical_{name}", bindings) for name in ("open", "list", "end"))

    def measure(self) -> str:
        """Nouns with their measure words."""
        bindings = self.setting({"E": "adult"})
        groups = self.rng.sample(self.part("measures"),
                                 self.rng.randint(2, 3) if self.weaver.heldout else self.rng.randint(4, 6))
        lines = [self.frame("measure_line",
                            {**bindings, "量": unit, "物": self.rng.choice(nouns), "数": self.rng.choice(COUNTS)})
                 for unit, nouns in groups]
        return self.frame("measure_open", bindings) + "；".join(lines) + "。" + self.frame("measure_end", bindings)

    def opposites(self) -> str:
        """Pairs of opposites, called out in a game."""
        bindings = self.setting({"E": "adult"})
        pairs = [self.rng.sample(pair, 2) for pair in self.rng.sample(self.part("pairs"), self.rng.randint(4, 6))]
        bindings["数"] = chinese_number(len(pairs))
        frame = self.rng.choice(self.frames["pair_line"])
        lines = [self.weaver.expand(frame, {"一": one, "二": other}) for one, other in pairs]
        return self.frame("pair_open", bindings) + "，".join(lines) + "。" + self.frame("pair_end", bindings)

    def document(self) -> str:
        """One lesson of a random kind."""
        kinds = [self.idiom, self.idiom_choice, self.radical, self.measure, self.opposites]
        return self.rng.choices(kinds, weights=[5, 2, 2, 3, 2])[0]()
