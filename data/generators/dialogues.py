"""Dialogues whose numbers are computed: shopping, ordering food, homework, and sums asked of the helper 小算."""

from __future__ import annotations

from data.generators import workings
from data.generators.reasoning_text import ReasoningWriter
from data.generators.stories import cast_bindings, place_bindings
from data.generators.weave import Bindings, Weaver
from data.generators.written_arithmetic import value_of

NOTES = (10, 20, 50, 100, 200)


class DialogueWriter:
    """Writes one kind of dialogue per method, one line a turn."""

    def __init__(self, weaver: Weaver) -> None:
        self.weaver = weaver
        self.rng = weaver.rng
        self.sums = ReasoningWriter(weaver)

    def _setting(self) -> Bindings:
        bindings = cast_bindings(self.weaver, {"E": "worker", "T": "adult"})
        bindings.update(place_bindings(self.weaver))
        return bindings

    def _lines(self, bindings: Bindings, *turns: str) -> str:
        lines = [self.weaver.expand(turn, bindings) for turn in turns]
        return "\n".join(line for line in lines if line)

    def shopping(self) -> str:
        """Buying two goods by weight: price times weight, the sum, the change."""
        price, weight = self.sums.pair("×", (2, 9), (2, 6))
        second_price, second_weight = self.sums.pair("×", (2, 9), (1, 4))
        first, second = price * weight, second_price * second_weight
        total = first + second
        note = next(note for note in NOTES if note >= total)
        bindings = {**self._setting(), "类": self.rng.choice(["水果", "蔬菜"])}
        goods, more = self.weaver.expand(f"{{{bindings['类']}#1}}、{{{bindings['类']}#2}}", {}).split("、")
        end = (f"{{E}}：收您{note}元，{note}-{total}={note - total}，找您{note - total}元，[拿好|慢走]。" if note > total
               else f"{{E}}：[正好{note}元|{note}元，不用找]，[谢谢|慢走]。")
        return self._lines(
            bindings,
            f"{{A}}：[{{E}}，|请问，|]{goods}[多少钱一斤|怎么卖|一斤几块钱]？",
            f"{{E}}：{goods}{price}元一斤，[今天新到的|刚摘的|甜不甜您尝尝|买得多便宜]。" if bindings["类"] == "水果" else
            f"{{E}}：{goods}{price}元一斤，[今天新到的|早上刚摘的|炒着吃最好|放两天也不坏]。",
            f"{{A}}：[来|我要]{weight}斤{goods}，[再来|再要]{second_weight}斤{more}。",
            f"{{E}}：好，{goods}{price}×{weight}={first}元，{more}{second_price}元一斤，{second_price}×{second_weight}={second}元，"
            f"一共{first}+{second}={total}元。",
            f"{{A}}：[给您|这是]{note}元。",
            end,
        )

    def restaurant(self) -> str:
        """Ordering two dishes and paying."""
        a, b = self.sums.pair("+", (6, 38))
        bindings = self._setting()
        one, two = self.weaver.expand("{小吃#1}、{小吃#2}", {}).split("、")
        note = next(note for note in NOTES if note >= a + b)
        return self._lines(
            bindings,
            "{A}：[{E}，|]{地}的人都说[您的店好吃|您手艺好]，[有什么好吃的|什么最有名]？",
            f"{{E}}：{one}和{two}[最受欢迎|卖得最好|都是现做的]，{one}一份{a}元，{two}一份{b}元。",
            "{B}：[那就|好，]各要一份，[少放盐|不要辣|快一点好吗|汤多一点]。",
            f"{{A}}：[吃好了|结账]，{a}+{b}，[一共|应该是]{a + b}元，[对吗|是吧]？",
            f"{{E}}：[对|没错]，{a}+{b}={a + b}元。[收您|您给的是]{note}元，找您{note - a - b}元。",
            "{B}：[味道真好|吃得很饱]，[下次还来|谢谢]。",
        )

    def homework(self) -> str:
        """One child explains a sum to the other, step by step."""
        operation = self.rng.choice(["+", "-", "×"])
        a, b = self.sums.pair(operation, *(((12, 99), (3, 9)) if operation == "×" else ((15, 990),)))
        working, answer = self.sums.steps(operation, a, b), value_of(operation, a, b)
        advice = {"+": "[从个位加起|满十要进一|个位和个位对齐]", "-": "[从个位减起|不够减就借一|借了一别忘了减]",
                  "×": "[把它拆开来乘|先乘整十，再乘个位|拆成两个好算的数]"}[operation]
        bindings = self._setting()
        return self._lines(
            bindings,
            f"{{A}}：{{B}}，{a}{operation}{b}[怎么算？|我算不对，教教我吧。|这道题你会吗？|我算了两遍，得数不一样。]",
            f"{{B}}：[别急|不难|你看]，{advice}。[第一步做什么|你先试试]？",
            f"{{A}}：[我试试|我来写]：{working}。",
            f"{{B}}：[对了|完全正确|很好]，答案是{answer}。[以后都这样一步一步写|写清楚就不会错|再做一道吧]。",
            "{A}：[谢谢你|我会了|原来不难]。",
        )

    def helper(self) -> str:
        """Somebody asks 小算 for a sum in plain words; it answers with the working."""
        name, working, answer = self._problem()
        bindings = self._setting()
        return self._lines(
            bindings,
            f"{{A}}：[小算，|小算你好，|请问，|]{name}",
            f"小算：[我们一步一步算|好的|来算一算|没问题]。{working}。答案是{answer}。",
            "{A}：[谢谢|明白了|原来这样算|算得真清楚]。",
            "[小算：[不客气|不用谢|欢迎再问|很高兴能帮上忙]。|]",
        )

    def _problem(self) -> tuple[str, str, str]:
        """(question, working, answer) for the helper."""
        kind = self.rng.choice(["+", "-", "×", "parity", "weekday"])
        if kind == "parity":
            a = self.sums.parity_number()
            return f"{a}是奇数还是偶数？", workings.parity(a), "偶数" if a % 2 == 0 else "奇数"
        if kind == "weekday":
            start, days, working, goal = self.sums.weekday_problem()
            return f"今天是{start}，{days}天以后是周几？", working, goal
        a, b = self.sums.pair(kind, *(((12, 99), (3, 9)) if kind == "×" else ((11, 999),)))
        question = {"+": f"{a}加{b}等于多少？", "-": f"{a}减去{b}是多少？", "×": f"{a}乘{b}得多少？"}[kind]
        return question, self.sums.steps(kind, a, b), str(value_of(kind, a, b))

    def document(self) -> str:
        """One dialogue of a random kind."""
        kinds = [self.shopping, self.restaurant, self.homework, self.helper]
        return self.rng.choices(kinds, weights=[3, 2, 3, 3])[0]()
