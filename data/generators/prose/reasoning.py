"""Arithmetic and reasoning told in words, always with the working written out.

Each method of `ReasoningWriter` writes one problem of one family. Pairs of operands are divided between training
and held-out text by `is_reserved`, so a held-out sum never occurs in training text, in any wording.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from data.generators.prose import workings
from data.generators.prose.stories import setting_bindings
from data.generators.prose.weave import Bindings, Weaver, load_table
from data.generators.tasks.reserved import is_reserved
from data.generators.tasks.written_arithmetic import PLACES, digits_of, value_of, written_steps

SMALL_NUMBER = 10


class ReasoningWriter:
    """Writes problems with their workings; see `document` for the mixture."""

    def __init__(self, weaver: Weaver) -> None:
        self.weaver = weaver
        self.rng = weaver.rng
        self.table: dict[str, Any] = load_table("prose_reasoning")

    def _setting(self) -> Bindings:
        bindings = setting_bindings(self.weaver, {"C": "child", "E": "adult"})
        thing, unit = self.rng.choice(self.weaver.entries(self.table["things"]))
        bindings.update({"物": thing, "量": unit})
        return bindings

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

    def _frame(self, name: str, bindings: Bindings) -> str:
        return self.weaver.freshest(self.table[name], bindings)

    def _solve(self, ask: str, bindings: Bindings, working: str, answer: str, tip: str = "", check: str = "") -> str:
        """Question, lead-in, working, optional tip and check, and the answer in its fixed form."""
        expand = self.weaver.expand
        bindings = {**bindings, "答": answer, "验": check}
        parts = [expand(ask, bindings), self.rng.choice(["", "\n"]), self._frame("lead", bindings), working + "。"]
        if tip:
            parts.append(self._frame(tip, bindings))
        if check:
            parts.append(self._frame("check", bindings))
        return "".join(parts) + self._frame("answer", bindings)

    def _ask(self, family: str, bindings: Bindings, expression: str) -> str:
        """A word problem or the bare expression, half and half."""
        name = f"{family}_ask" if self.rng.random() < 0.55 else "plain_ask"
        bindings["式"] = expression
        return self._frame(name, bindings)

    def _size(self) -> tuple[int, int]:
        return self.rng.choice([(3, 60), (11, 99), (11, 99), (100, 999), (100, 999), (1000, 9999)])

    def addition(self) -> str:
        """Two numbers added column by column."""
        a, b = self.pair("+", self._size())
        bindings = {**self._setting(), "a": str(a), "b": str(b)}
        ask = self._ask("add", bindings, f"{a}+{b}")
        working = self.steps("+", a, b)
        tip = "carry_tip" if "进1" in working else ""
        return self._solve(ask, bindings, working, str(a + b), tip, f"{a + b}-{b}={a}")

    def subtraction(self) -> str:
        """The smaller number taken from the larger, column by column."""
        a, b = self.pair("-", self._size())
        bindings = {**self._setting(), "a": str(a), "b": str(b)}
        ask = self._ask("sub", bindings, f"{a}-{b}")
        working = self.steps("-", a, b)
        tip = "borrow_tip" if "借1" in working else ""
        return self._solve(ask, bindings, working, str(a - b), tip, f"{a - b}+{b}={a}")

    def multiplication(self) -> str:
        """A product by splitting one factor."""
        a, b = self.pair("×", (2, 9), (11, 199)) if self.rng.random() < 0.6 else self.pair("×", (11, 99))
        bindings = {**self._setting(), "a": str(a), "b": str(b)}
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
        bindings = {**self._setting(), "a": str(a), "b": str(b), "式": f"{a}÷{b}"}
        if even:
            ask = self._frame("div_ask", bindings)
            return self._solve(ask, bindings, working, str(quotient), check=f"{quotient}×{b}={a}")
        answer = f"{quotient}余{rest}" if rest else str(quotient)
        return self._solve(self._frame("plain_ask", bindings), bindings, working, answer)

    def near_hundred(self) -> str:
        """Adding a number just under a hundred: add the round number, give back the surplus."""
        while True:
            a, missing, round_number = self.rng.randint(13, 890), self.rng.randint(1, 4), self.rng.choice([100, 200, 300, 400])
            b = round_number - missing
            if self._mine("+", a, b):
                break
        bindings = {**self._setting(), "式": f"{a}+{b}"}
        working = (f"{b}接近{round_number}，少{missing}。先算{a}+{round_number}={a + round_number}，"
                   f"再减去多加的{missing}，{a + round_number}-{missing}={a + b}")
        return self._solve(self._frame("plain_ask", bindings), bindings, working, str(a + b))

    def mistake(self) -> str:
        """Someone forgot the carry; the working shows where."""
        while True:
            a, b = self.pair("+", (15, 89))
            if a % 10 + b % 10 >= SMALL_NUMBER:
                break
        wrong = a + b - 10
        bindings = {**self._setting(), "式": f"{a}+{b}", "错": str(wrong)}
        ask = self.weaver.expand(
            "{A}[算出|写道]{式}是{错}，{B}[说|觉得]不对。[错在哪里|问题出在哪儿|{A}哪一步错了|正确的得数是多少]？[|{E}请大家看一看。]", bindings)
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
        bindings = self._setting()
        if self.rng.random() < 0.6:
            ask = self.weaver.expand(f"[{a}是奇数还是偶数？|判断{a}是奇数还是偶数。|{{A}}的[号码|门牌|座位号]是{a}，它是奇数还是偶数？]",
                                     bindings)
            return self._solve(ask, bindings, workings.parity(a), "偶数" if a % 2 == 0 else "奇数")
        names = ["偶数", "奇数"]
        rule = f"{names[a % 2]}加{names[b % 2]}得{names[(a + b) % 2]}"
        ask = self.weaver.expand(f"不[计算|用竖式]，{{A}}能知道{a}+{b}是奇数还是偶数吗？", bindings)
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
        bindings = self._setting()
        ask = self.weaver.expand(
            f"[{a}和{b}哪个大？|比较{a}和{b}的大小。|{{A}}有{a}{{量}}{{物}}，{{B}}有{b}{{量}}，两个数{a}和{b}哪个大？]", bindings)
        return self._solve(ask, bindings, workings.comparison(a, b), str(max(a, b)))

    def sorting(self) -> str:
        """Three numbers put in order."""
        while True:
            first, second, third = sorted(self.rng.sample(range(100, 1000), 3))
            if self._mine("<", first, second, third):
                break
        a, b, c = self.rng.sample([first, second, third], 3)
        bindings = self._setting()
        ask = self.weaver.expand(f"把{a}、{b}、{c}从小到大[排一排|排列]。", bindings)
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
        bindings = {**self._setting(), "n": days, "起": start}
        return self._solve(self._frame("weekday_ask", bindings), bindings, working, goal)

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
        bindings = self._setting()
        pairs = list(pairwise(numbers[:-1]))
        if kind == "×":
            gaps, trend = [f"{x}×2={y}" for x, y in pairs], "每次乘2"
        elif kind == "-":
            gaps, trend = [f"{x}-{y}={step}" for x, y in pairs], f"每次减{step}"
        else:
            gaps, trend = [f"{y}-{x}={step}" for x, y in pairs], f"每次加{step}"
        working = "，".join([*gaps, trend, f"{numbers[3]}{kind}{step}={numbers[4]}"])
        shown = "、".join(map(str, numbers[:4]))
        ask = self.weaver.expand(
            f"[找规律：{shown}，下一个数是多少？|{shown}，后面[接着|应该]是几？|{{A}}[写下|摆出]{shown}，{{B}}要写出下一个数。]",
            bindings)
        return self._solve(ask, bindings, working, str(numbers[4]))

    def syllogism(self) -> str:
        """All M are P, S is M, so S is P; with true classes."""
        kind, trait, members = self.rng.choice(self.table["syllogisms"])
        member = self.rng.choice(members)
        single = trait.removeprefix("都")
        bindings = {**self._setting(), "类": kind, "性": trait, "员": member, "单": single}
        return self.weaver.expand(
            "[{A}想|{E}问|题目说]：[所有的|凡是]{类}{性}，{员}[是|也是]{类}，[{员}怎么样|能推出什么]？\n"
            "[推理|想一想]：{员}在{类}[里面|之中]，{类}{性}，所以{员}[也|]{单}。答案是{员}{单}。", bindings)

    def imagined_syllogism(self) -> str:
        """A syllogism about made-up creatures, where only the form can help; some conclusions do not follow."""
        kind, member = self.rng.sample(self.table["invented"], 2)
        trait = self.rng.choice(self.table["invented_traits"])
        bindings = {**self._setting(), "类": kind, "员": member, "性": trait}
        frames = [
            "[在一个故事里|{A}编了一道题]：所有的{类}都{性}。{员}是一只{类}。[那么|请问]{员}{性}吗？\n"
            "{员}是{类}，每一只{类}都{性}，所以{员}也{性}。答案是{员}{性}。",
            "{A}说：所有的{类}都{性}，{员}也{性}，所以{员}是{类}。[对吗|这样推对不对]？\n"
            "[不对|这样不行]。{类}都{性}，可是{性}的不一定都是{类}，别的也可能{性}。答案是不对。",
            "[题目|故事里]说：有的{类}{性}。{员}是{类}。{员}一定{性}吗？\n"
            "“有的”只是一部分，不是全部，{员}可能在里面，也可能不在里面，所以不一定。答案是不一定。",
            "[题目|{E}]说：没有一只{类}{性}。{员}是{类}。{员}{性}吗？\n"
            "没有一只{类}{性}，{员}是其中一只，所以{员}也没有例外。答案是否定的。",
        ]
        return self.weaver.expand(self.rng.choice(frames), bindings)

    def ordering(self) -> str:
        """Who is first of three, from two comparisons."""
        bindings = self._setting()
        more, most, least = self.rng.choice([("高", "最高", "最矮"), ("重", "最重", "最轻"), ("跑得快", "最快", "最慢"),
                                             ("来得早", "最早", "最晚"), ("年龄大", "最大", "最小"), ("住得远", "最远", "最近")])
        names = [bindings["A"], bindings["B"], bindings["C"]]
        self.rng.shuffle(names)
        x, y, z = names
        facts = [f"{x}比{y}{more}", f"{y}比{z}{more}"]
        self.rng.shuffle(facts)
        wanted, name = self.rng.choice([(most, x), (least, z)])
        return (f"{facts[0]}，{facts[1]}。三个人里谁{wanted}？\n连起来看：{x}比{y}{more}，{y}又比{z}{more}，"
                f"从{most}到{least}是{x}、{y}、{z}，{wanted}的是{name}。答案是{name}。")

    def shopping(self) -> str:
        """Price times count, and the change."""
        price, count = self.pair("×", (2, 30), (2, 9))
        total = price * count
        paid = next(note for note in (10, 20, 50, 100, 200, 300) if note >= total)
        bindings = self._setting()
        ask = self.weaver.expand(
            f"[{{A}}[在{{地}}|到{{E}}的店里|去超市]买{count}{{量}}{{物}}，每{{量}}{price}元，付了{paid}元|"
            f"{{物}}每{{量}}{price}元，{{A}}[要|买了]{count}{{量}}，[拿出|递给{{E}}]{paid}元]，[应找回多少元|找回几元|{{E}}该找多少钱]？",
            bindings)
        change = f"{paid}-{total}={paid - total}" if paid > total else f"{paid}-{total}=0"
        working = self.weaver.expand(
            f"[先算总价，|{count}{{量}}要|]{price}×{count}={total}元[；再算找回，|，找回的是|；]{change}元", bindings)
        return self._solve(ask, bindings, working, f"{paid - total}元")

    def clock(self) -> str:
        """Minutes added to a time of day."""
        hour, minute = self.rng.randint(6, 20), self.rng.randrange(0, 60, 5)
        length, _ = self.pair("+", (15, 115), (minute, minute))
        total = minute + length
        hours, rest = divmod(total, 60)
        bindings = self._setting()
        start = f"{hour}点{minute}分" if minute else f"{hour}点整"
        end_hour = hour + hours
        end = f"{end_hour}点{rest}分" if rest else f"{end_hour}点整"
        ask = self.weaver.expand(
            f"{{A}}{start}[开始写作业|从{{地}}出发|上了火车|开始做饭]，[用了|过了]{length}分钟，这时是几点？", bindings)
        if hours:
            working = f"{minute}+{length}={total}分，60分是1小时，{total}-{60 * hours}={rest}，{hour}+{hours}={end_hour}，是{end}"
        else:
            working = f"{minute}+{length}={total}分，不满60分，还是{hour}点多，是{end}"
        return self._solve(ask, bindings, working, end)

    def money_units(self) -> str:
        """Yuan, jiao and fen, or metres and centimetres."""
        a, b = self.pair("unit", (2, 60), (1, 9))
        big, small, rate = self.rng.choice([("元", "角", 10), ("米", "分米", 10), ("厘米", "毫米", 10),
                                            ("千克", "克", 1000), ("米", "厘米", 100), ("小时", "分", 60)])
        bindings = self._setting()
        total = a * rate + b
        ask = self.weaver.expand(f"[{a}{big}{b}{small}等于多少{small}？|{{A}}要把{a}{big}{b}{small}[化成|换算成]{small}，是多少{small}？]",
                                 bindings)
        working = f"1{big}是{rate}{small}，{a}{big}是{a}×{rate}={a * rate}{small}，{a * rate}+{b}={total}{small}"
        return self._solve(ask, bindings, working, f"{total}{small}")

    def place_value(self) -> str:
        """Reading a number and taking it apart."""
        a, _ = self.pair("read", (101, 9999), (0, 0))
        bindings = self._setting()
        parts = workings.split_by_place(a)
        named = "，".join(f"{PLACES[place]}是{digit}" for place, digit in
                         reversed(list(enumerate(digits_of(a)))))
        sum_text = f"{'+'.join(map(str, parts))}={a}" if len(parts) > 1 else f"{a}"
        ask = self.weaver.expand(f"[{a}怎么读？|{{A}}在{{地}}的[门牌|车票]上看到{a}，该怎么读？|把{a}读出来，再拆开。]", bindings)
        return self._solve(ask, bindings, f"{named}，{sum_text}", workings.chinese_number(a))

    def rectangle(self) -> str:
        """Perimeter and area of a rectangle."""
        perimeter = self.rng.random() < 0.5
        while True:
            b, a = sorted(self.rng.sample(range(3, 41), 2))
            if self._mine("+" if perimeter else "×", a, b):
                break
        bindings = self._setting()
        thing = self.weaver.expand("[菜地|院子|操场|画纸|桌面|花坛|果园|鱼塘]", bindings)
        if perimeter:
            ask = self.weaver.expand(f"{{A}}家的长方形{thing}长{a}米，宽{b}米，周长是多少米？", bindings)
            working = f"长加宽，{a}+{b}={a + b}；再乘2，{a + b}×2={2 * (a + b)}"
            return self._solve(ask, bindings, working, f"{2 * (a + b)}米")
        ask = self.weaver.expand(f"{{地}}有一块长方形{thing}，长{a}米，宽{b}米，面积是多少平方米？", bindings)
        return self._solve(ask, bindings, "面积是长乘宽，" + workings.multiplication(a, b), f"{a * b}平方米")

    def two_steps(self) -> str:
        """A word problem with one addition and one subtraction."""
        while True:
            a, b = self.pair("+", (12, 90))
            c = self.rng.randint(3, a + b - 2)
            if self._mine("-", a + b, c):
                break
        bindings = self._setting()
        ask = self.weaver.expand(
            f"[{{A}}有{a}{{量}}{{物}}，又[得到|买来]{b}{{量}}，[送给{{B}}|用掉]{c}{{量}}，[还有|现在有]多少{{量}}|"
            f"开往{{地}}的车上有{a}人，[这一站|到站后]上来{b}人，下去{c}人，车上[还有|现在有]多少人]？", bindings)
        working = f"先加，{self.steps('+', a, b)}。再减，{self.steps('-', a + b, c)}"
        return self._solve(ask, bindings, working, str(a + b - c))

    def ages(self) -> str:
        """The difference of two ages stays the same."""
        older, younger = self.pair("-", (28, 70), (5, 14))
        years = self.rng.randint(3, 20)
        bindings = self._setting()
        ask = self.weaver.expand(
            f"今年{{E}}{older}岁，{{A}}{younger}岁。{years}年以后，{{E}}比{{A}}大多少岁？", bindings)
        working = (f"{years}年后，{bindings['E']}{older}+{years}={older + years}岁，{bindings['A']}{younger}+{years}={younger + years}岁，"
                   f"{older + years}-{younger + years}={older - younger}，年龄差一直不变，{older}-{younger}={older - younger}")
        return self._solve(ask, bindings, working, f"{older - younger}岁")

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
