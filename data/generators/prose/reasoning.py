"""Arithmetic and reasoning told in words, always with the working written out.

Each method of `ReasoningWriter` writes one problem of one family. Pairs of operands are divided between training
and held-out text by `is_reserved`, so a held-out sum never occurs in training text, in any wording.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from data.generators.prose import workings
from data.generators.prose.weave import Bindings
from data.generators.prose.writer import Writer
from data.generators.tasks.reserved import is_reserved
from data.generators.tasks.written_arithmetic import PLACES, digits_of, value_of, written_steps

SMALL_NUMBER = 10


class ReasoningWriter(Writer):
    """Writes problems with their workings; see `document` for the mixture."""

    TABLE = "prose_reasoning"

    def _setting(self, **more: object) -> Bindings:
        """A setting with a thing and its measure word, and what else the templates of a problem name."""
        bindings = self.setting({"C": "child", "E": "adult"})
        thing, unit = self.rng.choice(self.part("things"))
        return bindings | {"物": thing, "量": unit} | {name: str(value) for name, value in more.items()}

    def _mine(self, kind: str, *operands: int) -> bool:
        """Whether this weaver may pose ``kind`` of these operands as a problem."""
        return is_reserved(kind, *operands) == self.weaver.heldout

    def pair(self, kind: str, first: tuple[int, int], second: tuple[int, int] | None = None) -> tuple[int, int]:
        """Two operands of this weaver's half, from inclusive ranges; the larger comes first for a difference."""
        while True:
            a, b = self.rng.randint(*first), self.rng.randint(*(second or first))
            if kind == "-":
                a, b = max(a, b), min(a, b)
            if self._mine(kind, a, b):
                return a, b

    def steps(self, kind: str, a: int, b: int) -> str:
        """The working, in full sentences or in the terse columns in which the tasks of later stages are written."""
        if (kind == "×" and min(a, b) >= SMALL_NUMBER) or self.rng.random() < 0.5:
            full = {"+": workings.addition, "-": workings.subtraction, "×": workings.multiplication}
            return full[kind](a, b)
        return f"{written_steps(kind, a, b)}，{a}{kind}{b}={value_of(kind, a, b)}"

    def _solve(self, ask: str, bindings: Bindings, working: str, answer: str, tip: str = "", check: str = "") -> str:
        """Question, lead-in, working, optional tip and check, and the answer in its fixed form."""
        expand = self.weaver.expand
        bindings = {**bindings, "答": answer, "验": check}
        parts = [expand(ask, bindings), self.rng.choice(["", "\n"]), self.frame("lead", bindings), working + "。"]
        if tip:
            parts.append(self.frame(tip, bindings))
        if check:
            parts.append(self.frame("check", bindings))
        return "".join(parts) + self.frame("answer", bindings)

    def _ask(self, family: str, bindings: Bindings, expression: str) -> str:
        """A word problem or the bare expression, half and half."""
        name = f"{family}_ask" if self.rng.random() < 0.55 else "plain_ask"
        bindings["式"] = expression
        return self.frame(name, bindings)

    def _size(self) -> tuple[int, int]:
        return self.rng.choice([(3, 60), (11, 99), (11, 99), (100, 999), (100, 999), (1000, 9999)])

    def addition(self) -> str:
        """Two numbers added column by column."""
        a, b = self.pair("+", self._size())
        bindings = self._setting(a=a, b=b)
        ask = self._ask("add", bindings, f"{a}+{b}")
        working = self.steps("+", a, b)
        tip = "carry_tip" if "进1" in working else ""
        return self._solve(ask, bindings, working, str(a + b), tip, f"{a + b}-{b}={a}")

    def subtraction(self) -> str:
        """The smaller number taken from the larger, column by column."""
        a, b = self.pair("-", self._size())
        bindings = self._setting(a=a, b=b)
        ask = self._ask("sub", bindings, f"{a}-{b}")
        working = self.steps("-", a, b)
        tip = "borrow_tip" if "借1" in working else ""
        return self._solve(ask, bindings, working, str(a - b), tip, f"{a - b}+{b}={a}")

    def multiplication(self) -> str:
        """A product by splitting one factor."""
        a, b = self.pair("×", (2, 9), (11, 199)) if self.rng.random() < 0.6 else self.pair("×", (11, 99))
        bindings = self._setting(a=a, b=b)
        ask = self._ask("mul", bindings, f"{a}×{b}")
        return self._solve(ask, bindings, self.steps("×", a, b), str(a * b))

    def division(self) -> str:
        """Division by one digit: word problems come out even, bare ones may leave a remainder."""
        even = self.rng.random() < 0.5
        while True:
            quotient, b = self.rng.randint(11, 199), self.rng.randint(2, 9)
            rest = 0 if even else self.rng.randint(0, b - 1)
            a = quotient * b + rest
            if self._mine("÷", a, b) and (self.weaver.heldout or self._mine("%", a, b)):
                break
        if self.rng.random() < 0.5:
            working = workings.division(a, b)
        else:
            working = f"{written_steps('÷', a, b)}，{a}÷{b}={quotient}" + (f"余{rest}" if rest else "")
        bindings = self._setting(a=a, b=b, 式=f"{a}÷{b}")
        if even:
            ask = self.frame("div_ask", bindings)
            return self._solve(ask, bindings, working, str(quotient), check=f"{quotient}×{b}={a}")
        answer = f"{quotient}余{rest}" if rest else str(quotient)
        return self._solve(self.frame("plain_ask", bindings), bindings, working, answer)

    def near_hundred(self) -> str:
        """Adding a number just under a hundred: add the round number, give back the surplus."""
        while True:
            a, missing = self.rng.randint(13, 890), self.rng.randint(1, 4)
            round_number = self.rng.choice([100, 200, 300, 400])
            b = round_number - missing
            if self._mine("+", a, b):
                break
        bindings = self._setting(式=f"{a}+{b}")
        working = (f"{b}接近{round_number}，少{missing}。先算{a}+{round_number}={a + round_number}，"
                   f"再减去多加的{missing}，{a + round_number}-{missing}={a + b}")
        return self._solve(self.frame("plain_ask", bindings), bindings, working, str(a + b))

    def mistake(self) -> str:
        """Someone forgot the carry; the working shows where."""
        while True:
            a, b = self.pair("+", (15, 89))
            if a % 10 + b % 10 >= SMALL_NUMBER:
                break
        wrong = a + b - 10
        bindings = self._setting(式=f"{a}+{b}", 错=wrong)
        ask = self.told("mistake", bindings)
        ones = a % 10 + b % 10
        working = (f"个位{a % 10}+{b % 10}={ones}，满十要进1，十位应是{a // 10}+{b // 10}+1={a // 10 + b // 10 + 1}，"
                   f"{bindings['A']}忘了进位，{a}+{b}={a + b}")
        return self._solve(ask, bindings, working, str(a + b))

    def parity_number(self) -> int:
        """A number whose parity this weaver may ask for."""
        while True:
            number = self.rng.randint(11, 9999)
            if self._mine("parity", number):
                return number

    def parity(self) -> str:
        """Odd or even, single numbers and sums."""
        a, b = self.parity_number(), self.parity_number()
        bindings = self._setting(a=a, b=b)
        if self.rng.random() < 0.6:
            ask = self.told("parity", bindings)
            return self._solve(ask, bindings, workings.parity(a), "偶数" if a % 2 == 0 else "奇数")
        names = ["偶数", "奇数"]
        rule = f"{names[a % 2]}加{names[b % 2]}得{names[(a + b) % 2]}"
        ask = self.told("parity_of_sum", bindings)
        working = f"{workings.parity(a)}；{workings.parity(b)}；{rule}"
        return self._solve(ask, bindings, working, names[(a + b) % 2])

    def comparison(self) -> str:
        """The larger of two numbers."""
        low, high = self._size()
        while True:
            a, b = self.rng.randint(low, high), self.rng.randint(low, high)
            if self.rng.random() < 0.5:
                b = int(str(a)[:-1] + str(b)[-1]) if self.rng.random() < 0.5 else int(str(a)[0] + str(b)[1:])
            if a != b and self._mine("<", a, b):
                break
        bindings = self._setting(a=a, b=b)
        ask = self.told("comparison", bindings)
        return self._solve(ask, bindings, workings.comparison(a, b), str(max(a, b)))

    def sorting(self) -> str:
        """Three numbers put in order."""
        while True:
            first, second, third = sorted(self.rng.sample(range(100, 1000), 3))
            if self._mine("<", first, second, third):
                break
        shown = "、".join(map(str, self.rng.sample([first, second, third], 3)))
        bindings = self._setting(列=shown)
        ask = self.told("sorting", bindings)
        working = f"先比最小的两个，{first}<{second}；再和最大的比，{second}<{third}"
        return self._solve(ask, bindings, working, f"{first}、{second}、{third}")

    def weekday_problem(self) -> tuple[str, str, str, str]:
        """(first weekday, days to go, working, last weekday), counted one by one or by numbering the days."""
        while True:
            start, days = self.rng.randrange(7), self.rng.randint(2, 30)
            if self._mine("weekday", start + 1, days, True):
                break
        count = self.rng.choice([workings.weekday_count, workings.weekday_sum])
        return workings.WEEKDAYS[start], str(days), count(start, days), workings.WEEKDAYS[(start + days) % 7]

    def weekday(self) -> str:
        """Going forward some days."""
        start, days, working, goal = self.weekday_problem()
        bindings = self._setting(n=days, 起=start)
        return self._solve(self.frame("weekday_ask", bindings), bindings, working, goal)

    def sequence(self) -> str:
        """The next number of an arithmetic, falling or doubling sequence."""
        kind = self.rng.choice("++-×")
        while True:
            start, step = self.rng.randint(1, 80), self.rng.randint(2, 15)
            if kind == "×":
                numbers, step = [start * 2**power for power in range(5)], 2
            else:
                numbers = [start + step * index for index in range(5)][:: 1 if kind == "+" else -1]
            if self._mine("…" + kind, numbers[0], step):
                break
        bindings = self._setting(列="、".join(map(str, numbers[:4])))
        pairs = list(pairwise(numbers[:-1]))
        if kind == "×":
            gaps, trend = [f"{x}×2={y}" for x, y in pairs], "每次乘2"
        elif kind == "-":
            gaps, trend = [f"{x}-{y}={step}" for x, y in pairs], f"每次减{step}"
        else:
            gaps, trend = [f"{y}-{x}={step}" for x, y in pairs], f"每次加{step}"
        working = "，".join([*gaps, trend, f"{numbers[3]}{kind}{step}={numbers[4]}"])
        ask = self.told("sequence", bindings)
        return self._solve(ask, bindings, working, str(numbers[4]))

    def syllogism(self) -> str:
        """All M are P, S is M, so S is P; with true classes."""
        kind, trait, members = self.rng.choice(self.frames["syllogisms"])
        member = self.rng.choice(members)
        bindings = self._setting(类=kind, 性=trait, 员=member, 单=trait.removeprefix("都"))
        return self.told("syllogism", bindings)

    def imagined_syllogism(self) -> str:
        """A syllogism about made-up creatures, where only the form can help; some conclusions do not follow."""
        kind, member = self.rng.sample(self.frames["invented"], 2)
        trait = self.rng.choice(self.frames["invented_traits"])
        bindings = self._setting(类=kind, 员=member, 性=trait)
        return self.weaver.expand(self.rng.choice(self.frames["imagined"]), bindings)

    def ordering(self) -> str:
        """Who is first of three, from two comparisons."""
        bindings = self._setting()
        more, most, least = self.rng.choice(self.frames["orders"])
        names = [bindings["A"], bindings["B"], bindings["C"]]
        self.rng.shuffle(names)
        x, y, z = names
        facts = [f"{x}比{y}{more}", f"{y}比{z}{more}"]
        self.rng.shuffle(facts)
        wanted, name = self.rng.choice([(most, x), (least, z)])
        bindings |= {"甲": x, "乙": y, "丙": z, "更": more, "最": most, "末": least, "问": wanted, "谁": name}
        return self.told("ordering", bindings | {"句": "，".join(facts)})

    def shopping(self) -> str:
        """Price times count, and the change."""
        price, count = self.pair("×", (2, 30), (2, 9))
        total = price * count
        paid = next(note for note in (10, 20, 50, 100, 200, 300) if note >= total)
        bindings = self._setting(数=count, 单价=price, 给=paid, 总=total, 剩=paid - total)
        ask, working = self.told("shopping", bindings), self.told("shopping_work", bindings)
        return self._solve(ask, bindings, working, f"{paid - total}元")

    def clock(self) -> str:
        """Minutes added to a time of day."""
        hour, minute = self.rng.randint(6, 20), self.rng.randrange(0, 60, 5)
        length, _ = self.pair("+", (15, 115), (minute, minute))
        total = minute + length
        hours, rest = divmod(total, 60)
        start = f"{hour}点{minute}分" if minute else f"{hour}点整"
        end_hour = hour + hours
        end = f"{end_hour}点{rest}分" if rest else f"{end_hour}点整"
        bindings = self._setting(起=start, 长=length)
        ask = self.told("clock", bindings)
        if hours:
            working = (f"{minute}+{length}={total}分，60分是1小时，{total}-{60 * hours}={rest}，"
                       f"{hour}+{hours}={end_hour}，是{end}")
        else:
            working = f"{minute}+{length}={total}分，不满60分，还是{hour}点多，是{end}"
        return self._solve(ask, bindings, working, end)

    def money_units(self) -> str:
        """Yuan, jiao and fen, or metres and centimetres."""
        a, b = self.pair("unit", (2, 60), (1, 9))
        big, small, rate = self.rng.choice(self.frames["units"])
        bindings = self._setting(a=a, b=b, 大=big, 小=small)
        total = a * rate + b
        ask = self.told("units", bindings)
        working = f"1{big}是{rate}{small}，{a}{big}是{a}×{rate}={a * rate}{small}，{a * rate}+{b}={total}{small}"
        return self._solve(ask, bindings, working, f"{total}{small}")

    def place_value(self) -> str:
        """Reading a number and taking it apart."""
        a, _ = self.pair("read", (101, 9999), (0, 0))
        bindings = self._setting(a=a)
        parts = workings.split_by_place(a)
        named = "，".join(f"{PLACES[place]}是{digit}" for place, digit in
                         reversed(list(enumerate(digits_of(a)))))
        sum_text = f"{'+'.join(map(str, parts))}={a}" if len(parts) > 1 else f"{a}"
        ask = self.told("reading", bindings)
        return self._solve(ask, bindings, f"{named}，{sum_text}", workings.chinese_number(a))

    def rectangle(self) -> str:
        """Perimeter and area of a rectangle."""
        perimeter = self.rng.random() < 0.5
        while True:
            b, a = sorted(self.rng.sample(range(3, 41), 2))
            if self._mine("+" if perimeter else "×", a, b):
                break
        bindings = self._setting(a=a, b=b)
        bindings["形"] = self.told("field", bindings)
        if perimeter:
            ask = self.told("perimeter", bindings)
            working = f"长加宽，{a}+{b}={a + b}；再乘2，{a + b}×2={2 * (a + b)}"
            return self._solve(ask, bindings, working, f"{2 * (a + b)}米")
        ask = self.told("area", bindings)
        return self._solve(ask, bindings, "面积是长乘宽，" + workings.multiplication(a, b), f"{a * b}平方米")

    def two_steps(self) -> str:
        """A word problem with one addition and one subtraction."""
        while True:
            a, b = self.pair("+", (12, 90))
            c = self.rng.randint(3, a + b - 2)
            if self._mine("-", a + b, c):
                break
        bindings = self._setting(a=a, b=b, c=c)
        ask = self.told("two_steps", bindings)
        working = f"先加，{self.steps('+', a, b)}。再减，{self.steps('-', a + b, c)}"
        return self._solve(ask, bindings, working, str(a + b - c))

    def ages(self) -> str:
        """The difference of two ages stays the same."""
        older, younger = self.pair("-", (28, 70), (5, 14))
        years = self.rng.randint(3, 20)
        bindings = self._setting(a=older, b=younger, n=years)
        ask = self.told("ages", bindings)
        elder_later, child_later, gap = older + years, younger + years, older - younger
        working = (f"{years}年后，{bindings['E']}{older}+{years}={elder_later}岁，"
                   f"{bindings['A']}{younger}+{years}={child_later}岁，{elder_later}-{child_later}={gap}，"
                   f"年龄差一直不变，{older}-{younger}={gap}")
        return self._solve(ask, bindings, working, f"{gap}岁")

    def document(self) -> str:
        """One to three problems; problems of one document are of different families."""
        families = {
            self.addition: 10, self.subtraction: 10, self.multiplication: 7, self.division: 6, self.near_hundred: 3,
            self.mistake: 3, self.parity: 4, self.comparison: 5, self.sorting: 2, self.weekday: 5, self.sequence: 5,
            self.syllogism: 2, self.imagined_syllogism: 2, self.ordering: 4, self.shopping: 6, self.clock: 4,
            self.money_units: 3, self.place_value: 3, self.rectangle: 4, self.two_steps: 5, self.ages: 2,
        }
        chosen: list[Any] = []
        for _ in range(self.rng.choice([1, 2, 2])):
            chosen.append(self.rng.choices(list(families), weights=list(families.values()))[0])
        return "\n".join(write() for write in dict.fromkeys(chosen))
