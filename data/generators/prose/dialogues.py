"""Dialogues whose numbers are computed: shopping, ordering food, homework, and sums asked of the helper 小算."""

from __future__ import annotations

from data.generators.prose import workings
from data.generators.prose.reasoning import ReasoningWriter
from data.generators.prose.stories import setting_bindings
from data.generators.prose.weave import Bindings, Weaver
from data.generators.tasks.written_arithmetic import value_of

NOTES = (10, 20, 50, 100, 200)


class DialogueWriter:
    """Writes one kind of dialogue per method, one line a turn."""

    def __init__(self, weaver: Weaver) -> None:
        self.weaver = weaver
        self.rng = weaver.rng
        self.sums = ReasoningWriter(weaver)

    def _setting(self) -> Bindings:
        return setting_bindings(self.weaver, {"E": "worker", "T": "adult"})

    def _lines(self, bindings: Bindings, *turns: str | list[str]) -> str:
        """One line a turn; a turn is one template or a list of wordings."""
        lines = [self.weaver.freshest([turn] if isinstance(turn, str) else turn, bindings) for turn in turns]
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
            [f"{{A}}：[{{E}}，|请问，|]{goods}[多少钱一斤|怎么卖|一斤几块钱]？",
             f"{{A}}：[我想买点|{{亲甲}}让我来买|今晚要用]{goods}，[什么价|贵不贵|给个价]？",
             f"{{A}}：[昨天您这儿的|上回买的]{goods}[很好|吃完了]，今天[还有吗，多少钱|是什么价]？",
             f"{{A}}：这{goods}[看着真新鲜|颜色真好看]，[怎么卖的|几元一斤]？"],
            f"{{E}}：{goods}{price}元一斤，[今天新到的|刚摘的|甜不甜您尝尝|买得多便宜]。" if bindings["类"] == "水果" else
            f"{{E}}：{goods}{price}元一斤，[今天新到的|早上刚摘的|炒着吃最好|放两天也不坏]。",
            [f"{{A}}：[来|我要]{weight}斤{goods}，[再来|再要]{second_weight}斤{more}。",
             f"{{A}}：[那就|好，]{goods}{weight}斤，{more}{second_weight}斤，[一起算|装两个袋子]。",
             f"{{A}}：[家里来客|要做一桌菜]，{goods}要{weight}斤，{more}要{second_weight}斤，[麻烦您|多谢]。"],
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
            ["{A}：[{E}，|]{地}的人都说[您的店好吃|您手艺好]，[有什么好吃的|什么最有名]？",
             "{A}：我们从{去处}[走过来|骑车来]，[饿坏了|走了{两位}分钟]，有什么[快的|热的|管饱的]？",
             "{A}：{B}第一次来{地}，想吃点[本地的|特别的]，您给[推荐推荐|说说]？",
             "{A}：[闻着味就进来了|门口的灯笼真好看]，[都有什么|能点两样吗]？",
             "{A}：{亲甲}[常夸|总提起]您这儿，今天[有什么|做什么]好吃的？"],
            f"{{E}}：{one}和{two}[最受欢迎|卖得最好|都是现做的]，{one}一份{a}元，{two}一份{b}元。",
            ["{B}：[那就|好，]各要一份，[少放盐|不要辣|快一点好吗|汤多一点]。",
             "{B}：两样都来，[{A}|我][吃辣|不吃香菜|要大碗]，[我|{A}]要[小碗|清淡的|多放醋]。",
             "{B}：听着就香，一样一份，[再给两杯{饮料}|筷子两双|坐靠窗那桌]。"],
            f"{{A}}：[吃好了|结账]，{a}+{b}，[一共|应该是]{a + b}元，[对吗|是吧]？",
            f"{{E}}：[对|没错]，{a}+{b}={a + b}元。[收您|您给的是]{note}元，找您{note - a - b}元。",
            ["{B}：[味道真好|吃得很饱]，[下次还来|谢谢]。", "{B}：[回去告诉{亲乙}|下回带{弟妹}来]，[一定要来尝尝|让{他弟}也吃一碗]。",
             "{A}：[连汤都喝光了|{B}把碗都舔干净了]，[多谢您|手艺真好]。", ""],
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
            [f"{{A}}：{{B}}，{a}{operation}{b}[怎么算？|我算不对，教教我吧。|这道题你会吗？|我算了两遍，得数不一样。]",
             f"{{A}}：{{B}}，[第{{一位}}题|最后一题|黑板上那道]，{a}{operation}{b}，[我卡住了|你算出来了吗]？",
             f"{{A}}：{{亲甲}}[考我|让我算]{a}{operation}{b}，[你陪我算一遍|帮我看看步骤]。"],
            [f"{{B}}：[别急|不难|你看]，{advice}。[第一步做什么|你先试试]？",
             f"{{B}}：{advice}，[一步一步写出来|边写边说]。",
             f"{{B}}：[我也常错|老师说过]，{advice}。[拿笔来|你写我看]。"],
            f"{{A}}：[我试试|我来写]：{working}。",
            f"{{B}}：[对了|完全正确|很好|没错]，答案是{answer}。[以后都这样一步一步写|写清楚就不会错|再做一道吧|这回放心了吧|可以去{{去处}}玩了]。",
            ["{A}：[谢谢你|我会了|原来不难]。", "{A}：[明天|下回]我[教{弟妹}|也讲给别人听]。", ""],
        )

    def helper(self) -> str:
        """Somebody asks 小算 for a sum in plain words; it answers with the working."""
        name, working, answer = self._problem()
        bindings = self._setting()
        return self._lines(
            bindings,
            [f"{{A}}：[小算，|小算你好，|请问，|]{name}", f"{{A}}：[帮我算一下，|{{B}}问我，|作业里有一题，|快来帮忙，]{name}"],
            [f"小算：[我们一步一步算|好的|来算一算|没问题]。{working}。答案是{answer}。",
             f"小算：[先列出过程|写给你看|从头来]：{working}。[所以|]答案是{answer}。"],
            ["{A}：[谢谢|明白了|原来这样算|算得真清楚]。", "{A}：[和我想的一样|我再验一遍|{B}也算对了]。", ""],
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
