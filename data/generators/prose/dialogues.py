"""Dialogues whose numbers are computed: shopping, ordering food, homework, and sums asked of the helper 小算."""

from __future__ import annotations

from data.generators.prose import workings
from data.generators.prose.reasoning import ReasoningWriter
from data.generators.prose.weave import Bindings, Weaver
from data.generators.prose.writer import Writer
from data.generators.tasks.written_arithmetic import value_of

NOTES = (10, 20, 50, 100, 200)


class DialogueWriter(Writer):
    """Writes one kind of dialogue per method, one line a turn."""

    TABLE = "prose_dialogues_counted"

    def __init__(self, weaver: Weaver) -> None:
        super().__init__(weaver)
        self.sums = ReasoningWriter(weaver)

    def _setting(self) -> Bindings:
        return self.setting({"E": "worker", "T": "adult"})

    def _lines(self, bindings: Bindings, *turns: str) -> str:
        """One line a turn; a turn is the name of its wordings."""
        lines = [self.frame(turn, bindings) for turn in turns]
        return "\n".join(line for line in lines if line)

    def shopping(self) -> str:
        """Buying two goods by weight: price times weight, the sum, the change."""
        price, weight = self.sums.pair("×", (2, 9), (2, 6))
        second_price, second_weight = self.sums.pair("×", (2, 9), (1, 4))
        first, second = price * weight, second_price * second_weight
        total = first + second
        note = next(note for note in NOTES if note >= total)
        bindings = self._setting()
        pool = self.rng.choice(["水果", "蔬菜"])
        goods, more = self.weaver.expand(f"{{{pool}#1}}、{{{pool}#2}}", {}).split("、")
        bindings |= {"货": goods, "单价": str(price), "斤": str(weight), "甲": str(first), "另货": more,
                     "另价": str(second_price), "另斤": str(second_weight), "乙": str(second), "共": str(total),
                     "钱": str(note), "余": str(note - total)}
        offer = "shop_fruit" if pool == "水果" else "shop_vegetable"
        end = "shop_change" if note > total else "shop_exact"
        return self._lines(bindings, "shop_ask", offer, "shop_order", "shop_sum", "shop_pay", end)

    def restaurant(self) -> str:
        """Ordering two dishes and paying."""
        a, b = self.sums.pair("+", (6, 38))
        bindings = self._setting()
        one, two = self.weaver.expand("{小吃#1}、{小吃#2}", {}).split("、")
        note = next(note for note in NOTES if note >= a + b)
        bindings |= {"甲": one, "乙": two, "a": str(a), "b": str(b), "共": str(a + b), "钱": str(note),
                     "余": str(note - a - b)}
        return self._lines(bindings, "eat_ask", "eat_offer", "eat_order", "eat_sum", "eat_pay", "eat_end")

    def homework(self) -> str:
        """One child explains a sum to the other, step by step."""
        operation = self.rng.choice(["+", "-", "×"])
        a, b = self.sums.pair(operation, *(((12, 99), (3, 9)) if operation == "×" else ((15, 990),)))
        working, answer = self.sums.steps(operation, a, b), value_of(operation, a, b)
        bindings = self._setting()
        bindings |= {"式": f"{a}{operation}{b}", "诀": self.frames["advice"][operation], "过程": working,
                     "答": str(answer)}
        return self._lines(bindings, "work_ask", "work_advice", "work_do", "work_check", "work_end")

    def helper(self) -> str:
        """Somebody asks 小算 for a sum in plain words; it answers with the working."""
        question, working, answer = self._problem()
        bindings = self._setting()
        bindings |= {"问": question, "过程": working, "答": answer}
        return self._lines(bindings, "help_ask", "help_answer", "help_thanks", "help_end")

    def _problem(self) -> tuple[str, str, str]:
        """(question, working, answer) for the helper."""
        kind = self.rng.choice(["+", "-", "×", "parity", "weekday"])
        if kind == "parity":
            number = self.sums.parity_number()
            a, b, working, answer = str(number), "", workings.parity(number), "偶数" if number % 2 == 0 else "奇数"
        elif kind == "weekday":
            a, b, working, answer = self.sums.weekday_problem()
        else:
            first, second = self.sums.pair(kind, *(((12, 99), (3, 9)) if kind == "×" else ((11, 999),)))
            a, b = str(first), str(second)
            working, answer = self.sums.steps(kind, first, second), str(value_of(kind, first, second))
        return self.weaver.expand(self.frames["questions"][kind], {"a": a, "b": b}), working, answer

    def document(self) -> str:
        """One dialogue of a random kind."""
        kinds = [self.shopping, self.restaurant, self.homework, self.helper]
        return self.rng.choices(kinds, weights=[3, 2, 3, 3])[0]()
