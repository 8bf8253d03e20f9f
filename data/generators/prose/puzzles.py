"""Logic puzzles with their reasoning: who has what, who told the truth, who is first, what follows from a rule.

Every puzzle is drawn together with its solution; `PuzzleWriter.matching` and `.seats` check by trying all cases
that their clues leave one solution only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations

from data.generators.prose.writer import Writer

Assignment = tuple[str, ...]
NUMERALS = "零一二三四五"

Clue = tuple[str, Callable[[Assignment], bool]]
"""What is said about a row, and whether an order of people agrees with it."""


class PuzzleWriter(Writer):
    """Writes one kind of logic puzzle per method."""

    TABLE = "prose_puzzles"

    def matching(self) -> str:
        """Three people, three things, a few clues; solved by elimination."""
        bindings = self.setting({"C": "child", "E": "adult"})
        people = [bindings[letter] for letter in "ABC"]
        trait, pool = self.rng.choice(self.part("traits"))
        things = self.rng.sample(pool, 3)
        solution = dict(zip(people, self.rng.sample(things, 3), strict=True))
        clues = self._clues(people, things, solution)
        self.rng.shuffle(clues)
        bindings |= {"动": trait, "项": "、".join(things)}
        for letter, person in zip("甲乙丙", people, strict=True):
            bindings |= {letter: person, letter + "物": solution[person]}
        said = [self.frame("clue_is" if holds else "clue_not", {"人": person, "物": thing, "动": trait})
                for person, thing, holds in clues]
        bindings["线"] = "；".join(said) if self.rng.random() < 0.4 else "，".join(said)
        steps = self._eliminate(people, things, clues)
        return "".join([self.frame("match_open", bindings), self.frame("match_clues", bindings), "\n",
                        "；".join(steps), "。", self.frame("match_end", bindings)])

    def _clues(self, people: list[str], things: list[str], solution: dict[str, str]) -> list[tuple[str, str, bool]]:
        """Clues (person, thing, whether it holds) that leave only the solution."""
        while True:
            clues = []
            for person in self.rng.sample(people, self.rng.randint(2, 3)):
                wrong = [thing for thing in things if thing != solution[person]]
                if self.rng.random() < 0.15:
                    clues.append((person, solution[person], True))
                else:
                    clues += [(person, thing, False) for thing in self.rng.sample(wrong, self.rng.randint(1, 2))]
            orders = [dict(zip(people, order, strict=True)) for order in permutations(things)]
            fitting = [owned for owned in orders
                       if all((owned[person] == thing) == holds for person, thing, holds in clues)]
            if len(fitting) == 1 and len(clues) <= 4:
                return clues

    def _eliminate(self, people: list[str], things: list[str], clues: list[tuple[str, str, bool]]) -> list[str]:
        """The reasoning: settle whoever has one thing left, until everybody is settled."""
        open_things = {person: list(things) for person in people}
        refused: dict[str, list[str]] = {person: [] for person in people}
        for person, thing, holds in clues:
            if holds:
                open_things[person] = [thing]
            elif thing in open_things[person]:
                open_things[person].remove(thing)
                refused[person].append(thing)
        steps: list[str] = []
        settled: set[str] = set()
        while len(settled) < len(people):
            unsettled = [person for person in people if person not in settled]
            ready = [person for person in unsettled if len(open_things[person]) == 1]
            # A thing that nobody else can have settles its owner too.
            owners = [person for person in unsettled
                      if any(all(thing not in open_things[other] for other in unsettled if other != person)
                             for thing in open_things[person])]
            person = (ready or owners)[0]
            others = [other for other in unsettled if other != person]
            thing = next((thing for thing in open_things[person]
                          if all(thing not in open_things[other] for other in others)), open_things[person][0])
            reasons = {"人": person, "物": thing, "非": "不是" + "，也不是".join(refused[person])}
            steps.append(self.frame("match_single" if ready and refused[person] else "match_left", reasons))
            settled.add(person)
            for other in people:
                if other != person and thing in open_things[other]:
                    open_things[other].remove(thing)
                    refused[other].append(thing)
            open_things[person] = [thing]
        return steps

    def truth(self) -> str:
        """Three suspects, three statements, a known number of true ones; every case is tried."""
        bindings = self.setting({"C": "child", "E": "adult"})
        people = [bindings[letter] for letter in "ABC"]
        while True:
            claims = []
            for speaker in people:
                target = self.rng.choice(people)
                positive = self.rng.random() < 0.4
                claims.append((speaker, target, positive))
            wanted = self.rng.choice([1, 1, 2])
            truths = {doer: [speaker for speaker, target, positive in claims if (target == doer) == positive]
                      for doer in people}
            fitting = [doer for doer in people if len(truths[doer]) == wanted]
            distinct = len({claim[1:] for claim in claims}) == 3 and len({target for _, target, _ in claims}) > 1
            if len(fitting) == 1 and distinct:
                break
        event = self.weaver.expand(self.rng.choice(self.frames["truth_events"]), bindings)
        rule = f"只有{'一' if wanted == 1 else '两'}个人说了真话"
        bindings |= {"事": event, "几": rule}
        for letter, (speaker, target, positive) in zip("甲乙丙", claims, strict=True):
            name = "我" if speaker == target else target
            bindings |= {letter: speaker, letter + "话": f"是{name}" if positive else f"不是{name}"}
        told = [self.frame("truth_open", bindings), self.frame("truth_say", bindings), "\n"]
        tried = []
        for doer in people:
            honest = truths[doer]
            count = f"{'和'.join(honest)}说的是真话" if honest else "没有人说真话"
            fits = self.rng.choice(self.frames["truth_fits" if len(honest) == wanted else "truth_fails"])
            tried.append(self.frame("truth_try", {"人": doer, "对": count + fits}))
        return "".join([*told, self.rng.choice("；。").join(tried), "。",
                        self.frame("truth_end", {**bindings, "人": fitting[0]})])

    def ranking(self) -> str:
        """Four or five people from neighbouring comparisons in mixed order."""
        count = self.rng.randint(4, 5)
        bindings = self.setting({letter: "child" for letter in "ABCDE"})
        order = [bindings[letter] for letter in "ABCDE"[:count]]
        self.rng.shuffle(order)
        what, more, first, last = self.rng.choice(self.frames["rank_kinds"])
        facts = [f"{one}比{other}{more}" for one, other in pairwise(order)]
        shuffled = self.rng.sample(facts, len(facts))
        one, other = sorted(self.rng.sample(range(count), 2))
        pair = [order[one], order[other]]
        shown = self.rng.sample(pair, 2)
        bindings |= {"什么": what, "句": "，".join(shuffled), "几": NUMERALS[count], "链": "，".join(facts),
                     "列": "、".join(order), "头": order[0], "尾": order[-1], "二": order[1], "头名": first,
                     "尾名": last, "比": more, "前": pair[0], "甲": shown[0], "丁": shown[1]}
        as_many, one_fewer = f"只说了{NUMERALS[count]}句", f"只说了{NUMERALS[count - 1]}句"
        opening = self.frame("rank_open", bindings).replace(as_many, one_fewer)
        return opening + "\n" + self.frame("rank_solve", bindings) + self.frame("rank_ask", bindings)

    def condition(self) -> str:
        """What follows from "if ... then", and what does not."""
        bindings = self.setting({"E": "adult"})
        pools = ("去处", "小吃", "花", "小动物", "日")
        places = {pool: self.weaver.expand(f"{{{pool}}}", bindings) for pool in pools}
        rule = [self.weaver.expand(clause, {**bindings, **places}) for clause in self.rng.choice(self.part("rules"))]
        bindings |= dict(zip(("条", "果", "非条", "非果"), rule, strict=True))
        kind = self.rng.choice(["pp", "qn", "qp", "pn"])
        return (self.frame("if_open", bindings) + self.frame(f"if_{kind}", bindings) + self.rng.choice(["\n", ""])
                + self.frame(f"if_{kind}_why", bindings))

    def either(self) -> str:
        """One of two places; the other is seen to be empty."""
        bindings = self.setting()
        thing = self.weaver.expand("{物件}", bindings)
        places = self.rng.sample(self.part("spots"), 2)
        empty, full = self.rng.sample(places, 2)
        bindings |= {"物": thing, "甲": places[0], "乙": places[1], "空": empty, "有": full}
        return "".join(self.frame(f"either_{name}", bindings) for name in ("open", "look", "end"))

    def seats(self) -> str:
        """Four people in a row, from three clues that leave one order."""
        bindings = self.setting({"C": "child", "D": "child", "E": "adult"})
        people = [bindings[letter] for letter in "ABCD"]
        while True:
            row = self.rng.sample(people, 4)
            clues = self._seat_clues(row)
            fitting = [order for order in permutations(people) if all(holds(order) for _, holds in clues)]
            if len(fitting) == 1:
                break
        fixed = next((name for name in row if any(f"{name}在最" in text for text, _ in clues)), row[0])
        place = self.rng.randrange(4)
        bindings |= {"四人": "、".join(people), "句": "，".join(text for text, _ in clues), "先": fixed,
                     "列": "、".join(row), "位": NUMERALS[place + 1], "谁": row[place]}
        return "".join([self.frame("seat_open", bindings), "\n", self.frame("seat_solve", bindings),
                        self.frame("seat_end", bindings)])

    def _seat_clues(self, row: list[str]) -> list[Clue]:
        """Three true clues about a row: texts, and tests of an order."""
        first, last = row[0], row[-1]
        clues: list[Clue] = [
            (f"{first}在最左边", lambda order: order[0] == first), (f"{last}在最右边", lambda order: order[3] == last)]
        for index, name in enumerate(row):
            for further in range(index + 1, 4):
                clues += self._pair_clues(name, row[further], neighbours=further == index + 1)
        ends, rest = clues[:2], clues[2:]
        return [self.rng.choice(ends), *self.rng.sample(rest, 2)]

    @staticmethod
    def _pair_clues(left: str, right: str, neighbours: bool) -> list[Clue]:
        """What is true of two people of whom the first sits further left."""

        def distance(order: Assignment) -> int:
            return order.index(right) - order.index(left)

        clues: list[Clue] = [(f"{left}在{right}的左边", lambda order: distance(order) > 0)]
        if neighbours:
            return [*clues, (f"{right}紧挨在{left}的右边", lambda order: distance(order) == 1)]
        return [*clues, (f"{left}和{right}不挨着", lambda order: abs(distance(order)) > 1)]

    def document(self) -> str:
        """One puzzle of a random kind."""
        kinds = [self.matching, self.truth, self.ranking, self.condition, self.either, self.seats]
        return self.rng.choices(kinds, weights=[5, 3, 4, 3, 2, 3])[0]()
