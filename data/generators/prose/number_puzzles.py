"""Number puzzles told in words, each with the one idea that opens it: overlaps, gaps, working backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data.generators.prose.workings import chinese_number
from data.generators.prose.writer import Equation, Writer
from data.source_files import load_table

Numbers = dict[str, Any]
Draft = tuple[Numbers, list[Equation]]


class NumberPuzzleWriter(Writer):
    """Each method draws the numbers of one kind of puzzle; the table holds its question and its reasoning."""

    TABLE = "prose_number_puzzles"

    def both(self) -> Draft:
        """Two circles that overlap: add, then take the overlap away once."""
        a, b = self.rng.randint(6, 30), self.rng.randint(6, 30)
        c = self.rng.randint(2, min(a, b) - 1)
        return {"a": a, "b": b, "c": c, "和": a + b, "答": a + b - c}, [("+", a, b), ("-", a + b, c)]

    def queue(self) -> Draft:
        """Those before, those behind, and oneself."""
        a, b = self.rng.randint(2, 30), self.rng.randint(2, 30)
        return {"a": a, "b": b, "和": a + b, "答": a + b + 1}, [("+", a, b), ("+", a + b, 1)]

    def tree(self) -> Draft:
        """Trees at both ends: one more than the gaps."""
        gap, parts = self.rng.randint(2, 9), self.rng.randint(4, 40)
        return {"长": gap * parts, "隔": gap, "段": parts, "答": parts + 1}, [("÷", gap * parts, gap), ("+", parts, 1)]

    def saw(self) -> Draft:
        """One cut fewer than pieces."""
        parts, minutes = self.rng.randint(3, 12), self.rng.randint(2, 9)
        numbers = {"段": parts, "分": minutes, "次": parts - 1, "答": (parts - 1) * minutes}
        return numbers, [("-", parts, 1), ("×", parts - 1, minutes)]

    def bell(self) -> Draft:
        """One gap fewer than strokes."""
        strokes, seconds = self.rng.randint(3, 12), self.rng.randint(2, 5)
        gaps = strokes - 1
        numbers = {"下": strokes, "秒": gaps * seconds, "空": gaps, "答": seconds}
        return numbers, [("-", strokes, 1), ("÷", gaps * seconds, gaps)]

    def back(self) -> Draft:
        """A number multiplied and added to, found by working backwards."""
        number, factor, more = self.rng.randint(3, 40), self.rng.randint(2, 9), self.rng.randint(2, 40)
        product = number * factor
        numbers = {"乘": factor, "加": more, "得": product + more, "积": product, "答": number}
        return numbers, [("-", product + more, more), ("÷", product, factor), ("×", number, factor),
                         ("+", product, more)]

    def legs(self) -> Draft:
        """Hens and rabbits in one cage."""
        rabbits, hens = self.rng.randint(2, 18), self.rng.randint(2, 18)
        heads, legs = rabbits + hens, 4 * rabbits + 2 * hens
        numbers = {"头": heads, "脚": legs, "两": 2 * heads, "多": legs - 2 * heads, "答": rabbits}
        return numbers, [("×", heads, 2), ("-", legs, 2 * heads), ("÷", 2 * rabbits, 2)]

    def share(self) -> Draft:
        """A sum and a difference."""
        small, gap = self.rng.randint(4, 60), self.rng.randint(2, 20)
        total = 2 * small + gap
        return {"和": total, "差": gap, "余": 2 * small, "答": small}, [("-", total, gap), ("÷", 2 * small, 2)]

    def mean(self) -> Draft:
        """The mean of three or four numbers that comes out even."""
        count = self.rng.randint(3, 4)
        while True:
            numbers = [self.rng.randint(20, 99) for _ in range(count)]
            if sum(numbers) % count == 0:
                break
        total = sum(numbers)
        shown = {"三": chinese_number(count), "列": "、".join(map(str, numbers)), "式": "+".join(map(str, numbers)),
                 "和": total, "数": count, "答": total // count}
        return shown, [("+", numbers[0], numbers[1]), ("÷", total, count)]

    def hands(self) -> Draft:
        """Everybody with everybody, once."""
        people = self.rng.randint(3, 9)
        terms = list(range(people - 1, 0, -1))
        numbers = {"数": people, "减": people - 1, "减二": people - 2, "式": "+".join(map(str, terms)),
                   "答": sum(terms)}
        return numbers, []

    def socks(self) -> Draft:
        """Pigeonholes."""
        colours = self.rng.randint(2, 12)
        return {"色": chinese_number(colours) if colours != 2 else "两", "答": colours + 1}, []

    def double(self) -> Draft:
        """What doubles is half one step before it is whole."""
        days = self.rng.randint(8, 60)
        return {"天": days, "答": days - 1}, [("-", days, 1)]

    def swapweight(self) -> Draft:
        """Replacing one weight by others."""
        heavy, middle, light = self.rng.choice(self.frames["weights"])
        a, b = self.rng.randint(2, 12), self.rng.randint(2, 12)
        return {"甲": heavy, "乙": middle, "丙": light, "a": a, "b": b, "答": a * b}, [("×", a, b)]

    def price(self) -> Draft:
        """The price of one decides."""
        a, b = self.rng.sample(range(2, 10), 2)
        first, second = self.rng.sample(range(2, 16), 2)
        one, other = self.rng.sample(self.frames["店"], 2)
        numbers = {"甲店": one, "乙店": other, "a": a, "b": b, "甲价": a * first, "乙价": b * second, "甲单": first,
                   "乙单": second, "小": min(first, second), "大": max(first, second),
                   "答": one if first < second else other}
        return numbers, [("÷", a * first, a), ("÷", b * second, b)]

    def digit(self) -> Draft:
        """A number put together from what is said of its digits."""
        tens = self.rng.randint(1, 9)
        more = self.rng.random() < 0.5 and tens < 9
        gap = self.rng.randint(1, 9 - tens if more else tens)
        ones = tens + gap if more else tens - gap
        numbers = {"十": tens, "多少": "多" if more else "少", "差": gap, "式": f"{tens}{'+' if more else '-'}{gap}",
                   "个": ones, "答": 10 * tens + ones}
        return numbers, [("+" if more else "-", tens, gap)]

    def cut(self) -> Draft:
        """A first day unlike the others."""
        first, each, days = self.rng.randint(5, 60), self.rng.randint(3, 30), self.rng.randint(3, 12)
        rest = days - 1
        numbers = {"a": first, "b": each, "天": days, "余": rest, "积": rest * each, "答": rest * each + first}
        return numbers, [("-", days, 1), ("×", rest, each), ("+", rest * each, first)]

    def document(self) -> str:
        """One or two puzzles of different kinds."""
        # Puzzles with few numbers in them are asked seldom: their wording would soon repeat.
        weights: dict[Callable[[], Draft], float] = {
            self.both: 3, self.queue: 3, self.tree: 2.5, self.saw: 1, self.bell: 0.6, self.back: 4, self.legs: 2,
            self.share: 3, self.mean: 4, self.hands: 0.5, self.socks: 0.3, self.double: 0.3, self.swapweight: 1,
            self.price: 4, self.digit: 2, self.cut: 3}
        chosen = dict.fromkeys(self.rng.choices(list(weights), list(weights.values()), k=self.rng.randint(1, 2)))
        return "\n".join(self._tell(draft) for draft in chosen)

    def _tell(self, draft: Callable[[], Draft]) -> str:
        numbers = self.settle(draft)
        bindings = self.setting({"E": "adult"})
        thing, unit = self.rng.choice(self.weaver.entries(load_table("prose_reasoning")["things"]))
        hobbies = [self.weaver.expand(f"{{爱好#{index}}}", bindings) for index in (1, 2)]
        bindings |= {"物": thing, "量": unit, "甲": hobbies[0], "乙": hobbies[1],
                     "班": self.rng.choice(self.frames["班"])}
        bindings |= {name: str(value) for name, value in numbers.items()}
        name = draft.__name__
        told = [self.frame(f"{name}_ask", bindings), self.frame("lead", bindings), self.frame(f"{name}_work", bindings)]
        if name == "back":
            told.append(self.frame("back_check", bindings))
        return "".join([*told, self.frame("answer", bindings)])
