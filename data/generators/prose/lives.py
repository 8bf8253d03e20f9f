"""Short lives of invented people: every age follows from the year of birth, and one difference is worked out."""

from __future__ import annotations

from data.generators.prose.writer import Equation, Writer


class LifeWriter(Writer):
    """Writes lives of craftsmen, teachers, sailors and others who never lived."""

    TABLE = "prose_lives"

    def _years(self) -> tuple[list[int], list[Equation]]:
        birth = self.rng.randint(1895, 1962)
        ages = [self.rng.randint(5, 9), self.rng.randint(14, 21)]
        ages.append(ages[1] + self.rng.randint(3, 8))
        ages.append(ages[2] + self.rng.randint(2, 15))
        ages.append(max(ages[3] + 12, self.rng.randint(55, 70)))
        years = [birth, *[birth + age for age in ages]]
        return years, [("-", years[4], birth), ("-", years[3], birth), ("-", years[4], years[2]),
                       ("-", ages[3], ages[1])]

    def life(self) -> str:
        """Birth, childhood, learning, a failure, the great work, old age."""
        bindings = self.setting({"A": "person", "B": "child"})
        years = self.settle(self._years)
        trade, treasure, childhood, work, failure, saying, late = self.rng.choice(self.part("trades"))
        bindings |= {"行": trade, "物": treasure, "幼": childhood, "成": work, "败": failure, "言": saying, "晚": late,
                     "年": str(years[0]), "隔": str(years[4] - years[2]), "学年": str(self.rng.choice("三四五六七"))}
        for index, year in enumerate(years[1:], 1):
            bindings |= {f"年{index}": str(year), f"岁{index}": str(year - years[0])}
        bindings |= {name: self.weaver.expand(bindings[name], bindings) for name in ("成", "晚")}
        told = [self.frame("open", bindings), self.frame("child", bindings), self.frame("learn", bindings)]
        middle = [self.frame("fail", bindings), self.frame("work", bindings)]
        told += middle if self.rng.random() < 0.75 else middle[1:]
        if self.rng.random() < 0.6:
            told.append(self.frame("late", bindings))
        told.append(self.frame(self.rng.choice(["count", "count", "end", "ask"]), bindings))
        return self.paragraphs(*told)

    def document(self) -> str:
        """One life."""
        return self.life()
