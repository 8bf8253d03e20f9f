"""Everyday sums and small logic as they come up in a chat, solved in the written steps of the task families.

A kind is one row of ``KINDS``: what draws its numbers, its steps and its hand-written questions. A step is a lead
and, after a bar, one operation on numbers: ``"面积等于长乘宽。|{a}×{b}"``; ``{r}`` is the latest result. The texts
share these words: {x} {y} people, {i} a thing counted in {m}, {t} a container, {g} a good counted in {n}, {h} another
counted in {k}, {f} a surface measured in {u}, {o} a place outdoors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.topics import check_split
from data.generators.tasks import core
from data.generators.tasks.core import operand_key, unordered_key
from data.generators.tasks.reserved import operation_key
from data.generators.tasks.written_arithmetic import PLACES, comparison_steps, value_of, written_steps

Words = dict[str, Any]
# Draws in a row without a new question after which the supply counts as exhausted.
_PATIENCE = 5000


def _list(text: str) -> list[str]:
    return text.split()


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row.split(",")) for row in text.split())


PEOPLE = _list("小满 小北 小晴 小禾 小树 小果 阿亮 阿杰 阿宁 阿青 兰兰 丁丁 当当 毛毛 豆豆 圆圆 乐乐 安安")
_THINGS = _rows(
    "草莓,颗 核桃,个 栗子,颗 饺子,个 包子,个 纽扣,颗 硬币,枚 书签,张 弹珠,颗 糖果,颗 小旗,面 海螺,个 樱桃,颗 粉笔,支 蜡烛,支 曲奇,块 巧克力,块 红枣,颗 毛线球,个 火柴,根"
)
_GOODS = _rows(
    "面包,个 牛奶,盒 毛巾,条 牙刷,支 袜子,双 作业本,本 圆珠笔,支 果汁,瓶 饼干,包 玉米,根 西瓜,个 鲜花,束 杯子,个 明信片,张 橡皮,块 冰淇淋,个 酸奶,瓶 肥皂,块 电池,节 梳子,把"
)
_SURFACES = _rows(
    "花坛,米 菜地,米 院子,米 草坪,米 水池,米 房间,米 桌面,分米 黑板,分米 地毯,分米 窗户,分米 照片,厘米 卡片,厘米 手帕,厘米 画纸,厘米 镜框,厘米 棋盘,厘米"
)
_OUTDOORS = _list("花坛 菜地 院子 草坪 水池 羊圈 鸡圈 果园 苗圃 操场 鱼塘 广场")
_CONTAINERS = _list("盒 袋 包 箱 筐 篮 桶 盘 罐 盆")
# Elder and younger, the younger one's ages, and by how much the elder is older.
_RELATIVES = _rows(
    "爸爸,儿子,3,20,24,35 妈妈,女儿,3,20,23,34 爷爷,孙子,2,20,50,64 奶奶,孙女,2,20,50,62 哥哥,弟弟,3,20,2,9 姐姐,妹妹,3,20,2,9"
    " 舅舅,外甥,3,20,18,30 姑姑,侄子,3,20,18,30 老师,学生,7,16,15,35 师傅,徒弟,18,30,12,30 外公,外孙,2,20,50,64 叔叔,侄女,3,20,15,30"
)
_ANIMALS = _rows(
    "鸡,只,2 鸭子,只,2 鹅,只,2 鸽子,只,2 麻雀,只,2 兔子,只,4 小狗,只,4 猫,只,4 牛,头,4 羊,只,4 马,匹,4 猪,头,4 青蛙,只,4 蚂蚁,只,6 蜜蜂,只,6 蝴蝶,只,6 蜘蛛,只,8"
)
# The larger unit, the smaller one, how many make one, what stands between them, and the largest number asked for.
_UNITS = _rows(
    "米,厘米,100,,5 米,分米,10,,9 厘米,毫米,10,,9 元,角,10,,9 角,分,10,,9 小时,分钟,60,,6 分钟,秒,60,零,6 天,小时,24,零,4 个星期,天,7,零,25"
    " 年,个月,12,零,7 千克,克,1000,零,5 千米,米,1000,零,5"
)
_MOVERS = _rows(
    "汽车,开,千米,小时,40,80 自行车,骑,千米,小时,10,18 小船,划,千米,小时,4,12 蜗牛,爬,厘米,分钟,3,12 马,跑,千米,小时,20,40 爷爷,走,米,分钟,40,60 乌龟,爬,米,分钟,2,9"
    " 小狗,跑,米,秒,3,9 蚂蚁,爬,厘米,秒,2,6 拖拉机,开,千米,小时,15,30 燕子,飞,米,秒,8,20 公交车,开,千米,小时,20,50"
)
# More, less, how to ask for one of them, and what can be compared so.
_SENSES = (
    ("高", "矮", "谁", PEOPLE),
    ("快", "慢", "哪个", _list("小白兔 小黑兔 小灰兔 小花狗 小黄狗 小黑猫 小花猫 小白马 小红马 小灰鼠")),
    ("长", "短", "哪个", _list("尺子 铅笔 筷子 丝带 皮带 树枝 围巾 毛线 绳子 彩带")),
    ("重", "轻", "哪个", _list("红球 蓝球 黄球 绿球 白球 黑球 木球 铁球 紫球 灰球")),
    ("贵", "便宜", "哪个", _list("帽子 雨伞 书包 手套 围巾 水壶 台灯 足球 皮鞋 毛衣")),
    ("大", "小", "哪个", _list("红盒子 蓝盒子 黄盒子 绿盒子 白盒子 黑盒子 木盒子 铁盒子 纸盒子 竹盒子")),
)
_SPOKEN = {"+": "加", "-": "减", "×": "乘", "÷": "除以"}


def _product(rng: Random) -> Words:
    return {"a": rng.randint(2, 24), "b": rng.randint(2, 9)}


def _quotient(rng: Random) -> Words:
    """A number and its divisor, and a number near it that leaves a rest."""
    b = rng.randint(2, 9)
    a, rest = b * rng.randint(2, 24), rng.randint(1, b - 1)
    return {"a": a, "b": b, "c": a + rest, "rest": rest}


def _expression(rng: Random, text: str) -> Words:
    """An expression as it may be typed, and as it is said when it has no brackets."""
    typed = re.sub("([+×÷-])", r" \1 ", text).replace("×", "*").replace("÷", "/") if rng.random() < 0.3 else text
    return {"e": typed, "z": re.sub("[+×÷-]", lambda found: _SPOKEN[found[0]], text)}


def _precedence(rng: Random) -> Words:
    """A product or a quotient and one more number, before or behind it."""
    inner, outer = rng.choice("×××÷"), rng.choice("+-")
    numbers = _product(rng) if inner == "×" else _quotient(rng)
    term, value = f"{numbers['a']}{inner}{numbers['b']}", value_of(inner, numbers["a"], numbers["b"])
    names = {"o1": _SPOKEN[inner][0] + "法", "o2": _SPOKEN[outer][0] + "法", "e1": term}
    if rng.random() < 0.4:
        c = rng.randint(1, 60 if outer == "+" else value - 1)
        return _expression(rng, f"{term}{outer}{c}") | names | {"e2": f"{value}{outer}{c}"}
    c = rng.randint(1, 60) + (value if outer == "-" else 0)
    return _expression(rng, f"{c}{outer}{term}") | names | {"e2": f"{c}{outer}{value}"}


def _brackets(rng: Random) -> Words:
    """A sum or a difference of two numbers, times a digit."""
    operator, c = rng.choice("+-"), rng.randint(2, 9)
    a, b = rng.sample(range(1, 25), 2)
    if operator == "-":
        a, b = max(a, b) + 1, min(a, b)
    inner, value = f"{a}{operator}{b}", value_of(operator, a, b)
    spoken = f"{a}{_SPOKEN[operator]}{b}的{'和' if operator == '+' else '差'}乘{c}"
    text = rng.choice((f"({inner})×{c}", f"({inner})×{c}", f"{c}×({inner})"))
    return _expression(rng, text) | {"z": spoken, "e1": inner, "e2": f"{value}×{c}"}


def _rectangle(rng: Random) -> Words:
    b = rng.randint(2, 9)
    return {"a": rng.randint(b + 1, 30), "b": b, "c": rng.randint(2, 40)}


def _note(rng: Random, cost: int) -> int:
    """One of the two smallest notes that leave change."""
    return rng.choice([note for note in (10, 20, 50, 100) if note > cost][:2])


def _change(rng: Random) -> Words:
    b = rng.randint(2, 9)
    a = rng.randint(2, min(19, 99 // b))
    return {"a": a, "b": b, "c": _note(rng, a * b)}


def _basket(rng: Random) -> Words:
    a, b = rng.randint(2, 49), rng.randint(2, 49)
    return {"a": a, "b": b, "c": _note(rng, a + b)}


def _ages(rng: Random) -> Words:
    """Two relatives and their ages, and some years that fit both."""
    elder, younger, *limits = rng.choice(_RELATIVES)
    low, high, least, most = map(int, limits)
    b, gap = rng.randint(low, high), rng.randint(least, most)
    return {"p": elder, "q": younger, "a": b + gap, "b": b, "d": gap, "l": rng.randint(2, 20), "s": rng.randint(1, b - 1)}


def _legs(rng: Random) -> Words:
    (p, m, legs), (q, k, others) = rng.sample(_ANIMALS, 2)
    return {"p": p, "m": m, "l": legs, "q": q, "k": k, "j": others, "a": rng.randint(2, 20), "b": rng.randint(2, 9)}


def _queue(rng: Random) -> Words:
    a, b, w = rng.randint(2, 29), rng.randint(2, 29), rng.choice(["我", "我", *PEOPLE])
    return {"a": a, "b": b, "w": w, "s": a + 1, "total": a + b, "keys": [unordered_key("+", a, 1)]}


def _unit(rng: Random) -> Words:
    """Some of a larger unit, the same in the smaller unit, and a rest that does not make one more."""
    large, small, factor, link, most = rng.choice(_UNITS)
    b, size = rng.randint(2, int(most)), int(factor)
    numbers = {"l": size, "b": b, "a": b * size, "c": rng.randint(1, min(size - 1, 60))}
    return {"p": large, "q": small, "link": link, **numbers}


def _takings(rng: Random) -> Words:
    a = rng.randint(15, 99)
    b = rng.randint(2, a - 6)
    return {"a": a, "b": b, "c": rng.randint(2, a - b - 1), "d": rng.randint(2, 40)}


def _journey(rng: Random) -> Words:
    p, v, u, t, low, high = rng.choice(_MOVERS)
    return {"p": p, "v": v, "u": u, "t": t, "a": rng.randint(int(low), int(high)), "b": rng.randint(2, 9)}


def _digit(rng: Random) -> Words:
    number = rng.randint(10, 99) if rng.random() < 0.6 else rng.randint(100, 999)
    digits = list(zip(PLACES, reversed(str(number)), strict=False))[: rng.randint(1, len(str(number)))]
    w, d = digits[-1]
    said = "，".join(f"{name}是{digit}" for name, digit in digits)
    return {"a": number, "w": w, "d": d, "said": said, "keys": [operand_key("digit", number, w)]}


def _parity(rng: Random) -> Words:
    a, asked = rng.randint(10, 199), rng.choice(("偶数", "双数", "奇数", "单数"))
    odd = a % 2 == 1
    words = {"a": a, "d": a % 10, "e": "奇数" if odd else "偶数", "can": "不能" if odd else "能", "w": asked}
    return {**words, "z": "是" if (asked in ("奇数", "单数")) == odd else "不是", "keys": [operand_key("parity", a)]}


def _tallest(rng: Random) -> Words:
    """Two relations between three, told in either sense and any order."""
    more, less, ask, names = rng.choice(_SENSES)
    order = rng.sample(names, 3)
    pairs = [(order[0], order[1]), (order[1], order[2])]
    rng.shuffle(pairs)
    forms = [rng.choice(("{0}比{1}{2}", "{0}比{1}{2}", "{1}比{0}{3}", "{1}没有{0}{2}")) for _ in pairs]
    told = "，".join(form.format(*pair, more, less) for form, pair in zip(forms, pairs, strict=True))
    steps = "，".join(">".join(pair) for pair in pairs) + "，连起来是" + ">".join(order)
    w, d = rng.choice(((more, order[0]), (less, order[-1])))
    return {"s": told, "q": ask, "w": w, "d": d, "said": steps, "keys": [operand_key("ordering", *sorted(order))]}


def _pattern(rng: Random) -> Words:
    gap, start, operator = rng.randint(2, 12), rng.randint(1, 40), rng.choice("+-")
    numbers = [start + gap * index for index in (range(4) if operator == "+" else range(4, 0, -1))]
    larger, smaller = max(numbers[:2]), min(numbers[:2])
    said = f"{larger}-{smaller}：{written_steps('-', larger, smaller)}，差{gap}；每次{'加' if operator == '+' else '减'}{gap}"
    keys = [operand_key("…" + operator, numbers[0], gap), operand_key("-", larger, smaller)]
    return {"s": "、".join(map(str, numbers)), "said": said, "e": f"{numbers[-1]}{operator}{gap}", "keys": keys}


def _two_people(rng: Random) -> Words:
    """Two people with a number each: {z} has the larger one, {d} has more or less, as {w} says."""
    (x, y), (a, b), w = rng.sample(PEOPLE, 2), rng.sample(range(4, 80), 2), rng.choice("多少")
    more, less = (x, y) if a > b else (y, x)
    words = {"x": x, "y": y, "a": a, "b": b, "w": w, "d": more if w == "多" else less, "z": more}
    return {**words, "large": max(a, b), "small": min(a, b), "said": comparison_steps(a, b), "keys": [unordered_key("<", a, b)]}


@dataclass(frozen=True)
class Kind:
    """One kind of question: what draws its numbers, its steps, its questions, and what the answer is."""

    draw: Callable[[Random], Words]
    steps: tuple[str, ...]
    texts: str
    answer: str = "{r}"
    category: str = "math"


KINDS = {
    "precedence": Kind(_precedence, ("先算{o1}，|{e1}", "再算{o2}，|{e2}"), """
        {e}等于多少？ 计算{e}=? 帮我算算{e}。 {z}，得数是几？ {z}等于几？ 作业里有一题{e}，我不会。 这道题怎么算：{e} 老师在黑板上写了{e}，结果是几？ 没有括号的{e}得多少？ {x}问我{z}是多少。"""),
    "brackets": Kind(_brackets, ("先算括号里的，|{e1}", "再算乘法，|{e2}"), """
        {e}等于多少？ 计算{e}=? 帮我算算{e}。 {z}，得数是几？ {z}等于几？ 这道带括号的题怎么算：{e} 作业里有一题{e}，我不会。 老师在黑板上写了{e}，结果是几？ {x}问我{z}是多少。"""),
    "perimeter": Kind(_rectangle, ("周长是长加宽的两倍。|{a}+{b}", "|{r}×2"), """
        {f}长{a}{u}、宽{b}{u}，周长是多少{u}？ 给长{a}米、宽{b}米的{o}围一圈篱笆，篱笆要多少米？ {x}沿着长{a}米、宽{b}米的{o}跑了一圈，跑了几米？ 长方形的长是{a}，宽是{b}，求周长。
        {o}长{a}米，宽{b}米，绕它走一圈是多少米？ 用绳子把长{a}{u}、宽{b}{u}的{f}围一圈，绳子要几{u}？ 一个长方形，长和宽分别是{a}厘米和{b}厘米，它的周长呢？ {f}四条边一共多长？它长{a}{u}，宽{b}{u}。"""),
    "area": Kind(_rectangle, ("面积等于长乘宽。|{a}×{b}",), """
        {f}长{a}{u}、宽{b}{u}，面积是多少平方{u}？ 长方形的长是{a}，宽是{b}，求面积。 {x}量了{f}，长{a}{u}，宽{b}{u}，它有几平方{u}？ 长{a}米、宽{b}米的{o}占地多少平方米？
        一块长{a}{u}、宽{b}{u}的{f}有多大，是几平方{u}？ 要把长{a}米、宽{b}米的{o}铺满草皮，草皮要几平方米？ 长方形{f}的两条边是{a}{u}和{b}{u}，面积呢？"""),
    "square_perimeter": Kind(_rectangle, ("正方形有4条相等的边。|{c}×4",), """
        正方形{f}的边长是{c}{u}，周长是多少{u}？ 正方形的边长是{c}，求周长。 {o}是正方形，每边{c}米，围一圈篱笆要几米？ 绕着边长{c}米的正方形{o}走一圈，走了多少米？ {x}画了一个边长{c}厘米的正方形，四条边一共几厘米？
        给边长{c}{u}的正方形{f}围一圈彩带，彩带要多少{u}？ 方方正正的{f}，一条边{c}{u}，四条边合起来多长？"""),
    "square_area": Kind(_rectangle, ("面积是边长乘边长。|{b}×{b}",), """
        正方形{f}的边长是{b}{u}，面积是多少平方{u}？ 正方形的边长是{b}，求面积。 {x}画了一个边长{b}厘米的正方形，它有几平方厘米？ {o}是正方形，每边{b}米，占地几平方米？ 方方正正的{f}，一条边{b}{u}，面积呢？
        边长{b}{u}的正方形{f}有多大，是几平方{u}？"""),
    "cost": Kind(_product, ("每{n}{a}元，{b}{n}用乘法。|{a}×{b}",), """
        一{n}{g}{a}元，买{b}{n}要付多少钱？ {g}每{n}{a}元，{x}拿了{b}{n}，该付几元？ {b}{n}{g}一共多少钱？一{n}卖{a}元。 我想买{b}{n}{g}，标价一{n}{a}元，得准备多少元？
        {x}去小店买{g}，{a}元一{n}，买{b}{n}花多少元？ 店里的{g}{a}元一{n}，要{b}{n}，总价是几元？ 妈妈让我买{b}{n}{g}，每{n}{a}元，带多少元刚好够？"""),
    "change": Kind(_change, ("先算花了多少，|{a}×{b}", "再算剩下，|{c}-{r}"), """
        我带了{c}元，买{b}{n}{g}，每{n}{a}元，还剩多少元？ {g}一{n}{a}元，买{b}{n}，给店员{c}元，找回几元？ {x}用{c}元买了{b}{n}{a}元的{g}，应找多少钱？
        钱包里有{c}元，付掉{b}{n}{g}的钱，每{n}{a}元，还有几元？ {x}买{g}，{a}元一{n}，买了{b}{n}，付了一张{c}元的钱，找回多少？ 爸爸给我{c}元，我买了{b}{n}{g}，单价{a}元，手里还剩几元？
        {c}元钱买{b}{n}{g}，{a}元一{n}，余下多少元？ 店员收了{c}元，卖出{b}{n}{g}，一{n}{a}元，该找给客人多少元？"""),
    "two_goods": Kind(_basket, ("合起来用加法。|{a}+{b}",), """
        一{n}{g}{a}元，一{k}{h}{b}元，两样一起买要多少元？ {x}买{g}花了{a}元，买{h}花了{b}元，总共花了几元？ {g}{a}元，{h}{b}元，各买一样，一共多少钱？ 我想要{a}元的{g}和{b}元的{h}，要带多少元？
        购物车里有{g}和{h}，一样{a}元，一样{b}元，合计几元？ 买{g}付{a}元，再买{h}付{b}元，加起来付了多少元？"""),
    "basket": Kind(_basket, ("先算花了多少，|{a}+{b}", "再算剩下，|{c}-{r}"), """
        我有{c}元，买{g}用了{a}元，买{h}用了{b}元，还剩多少元？ {g}{a}元，{h}{b}元，各买一样，付{c}元，找回多少元？ {x}拿着{c}元去买{a}元的{g}和{b}元的{h}，还能剩几元？
        一{n}{g}{a}元，一{k}{h}{b}元，给店员{c}元，应该找几元？ {c}元够买{a}元的{g}和{b}元的{h}，买完余几元？ 妈妈付了{c}元，{g}要{a}元，{h}要{b}元，找回多少钱？"""),
    "age_gap": Kind(_ages, ("比大小用减法。|{a}-{b}",), """
        {p}{a}岁，{q}{b}岁，{p}比{q}大几岁？ {p}今年{a}岁，{q}今年{b}岁，两人相差多少岁？ {q}{b}岁，{p}{a}岁，{q}比{p}小几岁？ {x}的{p}{a}岁，{x}自己{b}岁，差几岁？
        {q}出生的时候{p}几岁？现在{p}{a}岁，{q}{b}岁。 {p}已经{a}岁了，{q}才{b}岁，年龄差是多少？ 你知道{p}大{q}几岁吗？{p}{a}岁，{q}{b}岁。"""),
    "older": Kind(_two_people, ("{said}，{z}大", "|{large}-{small}"), """
        {x}今年{a}岁，{y}今年{b}岁，谁大，大几岁？ {x}{a}岁，{y}{b}岁，两人谁年纪大，大多少岁？ {x}和{y}谁大几岁？{x}{a}岁，{y}{b}岁。 邻居{x}{a}岁，{y}{b}岁，年纪大的是谁，大几岁？
        {x}说自己{a}岁，{y}说自己{b}岁，谁更大，大多少？ {y}{b}岁了，{x}{a}岁了，哪个人大，大几岁？""", "{z}大{r}岁"),
    "age_later": Kind(_ages, ("几年后用加法。|{b}+{l}",), """
        {x}今年{b}岁，{l}年后几岁？ 我现在{b}岁，再过{l}年我多大？ {q}今年{b}岁，过{l}年是多少岁？ {y}{b}岁了，{l}年以后满几岁？ {q}现在{b}岁，等{l}年过去，{q}几岁了？ 如果{x}今年{b}岁，那么{l}年之后几岁？
        再过{l}年，{b}岁的{q}会是几岁？"""),
    "age_ago": Kind(_ages, ("几年前用减法。|{b}-{s}",), """
        {x}今年{b}岁，{s}年前几岁？ 我现在{b}岁，{s}年以前我多大？ {q}今年{b}岁，往前数{s}年是几岁？ {y}{b}岁了，{s}年之前是多少岁？ {q}现在{b}岁，倒回{s}年，{q}几岁？ {s}年前，现在{b}岁的{x}是几岁？"""),
    "elder_age": Kind(_ages, ("{p}大，用加法。|{b}+{d}",), """
        {q}今年{b}岁，{p}比{q}大{d}岁，{p}几岁？ {p}比{q}大{d}岁，{q}{b}岁，{p}多少岁？ 我{b}岁，我的{p}比我大{d}岁，{p}几岁了？ {x}{b}岁，{x}比{p}小{d}岁，{p}多大？
        {q}{b}岁的时候，大{d}岁的{p}几岁？ {x}的{p}大{x}{d}岁，{x}今年{b}岁，{p}今年几岁？"""),
    "several": Kind(_product, ("每{t}{a}{m}，{b}{t}用乘法。|{a}×{b}",), """
        {i}每{t}{a}{m}，{b}{t}合起来几{m}？ 桌上有{b}{t}{i}，每{t}都是{a}{m}，总共几{m}？ {x}搬来{b}{t}{i}，一{t}{a}{m}，数一数是多少{m}？ 一{t}{i}刚好{a}{m}，那么{b}{t}呢？
        仓库里有{i}{b}{t}，一{t}装{a}{m}，全部是几{m}？ {b}{t}{i}，一{t}{a}{m}，倒在一起有多少{m}？ {x}和{y}收好了{b}{t}{i}，每{t}{a}{m}，算算有几{m}。"""),
    "share": Kind(_quotient, ("平均分用除法。|{a}÷{b}",), """
        {b}个人分{a}{m}{i}，人人一样多，一人几{m}？ {a}{m}{i}分成同样多的{b}{t}，一{t}有几{m}？ 我和朋友一共{b}个人，{a}{m}{i}怎么平分，每人几{m}？ 奶奶有{a}{m}{i}，公平地分给{b}个孩子，一个孩子拿几{m}？
        {x}想把{a}{m}{i}放进{b}个抽屉，每个一样多，每个放几{m}？ {a}{m}{i}由{b}个小组平分，每组多少{m}？"""),
    "groups": Kind(_quotient, ("看{a}里有几个{b}。|{a}÷{b}",), """
        {a}{m}{i}，{b}{m}装一{t}，装几{t}？ {a}个人坐船，每条船坐{b}人，要几条船？ 一本书{a}页，{x}每天看{b}页，几天看完？ {a}米长的绳子，每段剪{b}米，剪成几段？ {a}元钱，{g}{b}元一{n}，能买几{n}？
        {a}个同学，{b}人一组，分成几组？ {x}每天用{b}{m}{i}，{a}{m}够用几天？ 做一个花环要{b}朵花，{a}朵花能做几个？"""),
    "leftover": Kind(_quotient, ("每{b}个一份，看最后剩几个。|{c}÷{b}",), """
        {c}{m}{i}，每{b}{m}装一{t}，装满后还多几{m}？ {c}{m}{i}，每人{b}{m}，分完剩几{m}？ {x}有{c}{m}{i}，{b}{m}一堆地摆，最后余几{m}？ {c}个同学，{b}人一组，多出几个人？
        {c}米布，每件衣服用{b}米，最后剩几米？ {c}元钱买{b}元一{n}的{g}，买到不能再买，剩几元？""", "{rest}"),
    "times": Kind(_product, ("{b}倍就是乘以{b}。|{a}×{b}",), """
        {x}有{a}{m}{i}，{y}的是{x}的{b}倍，{y}有几{m}？ 小树高{a}分米，大树的高度是它的{b}倍，大树高几分米？ {g}{a}元，{h}的价钱是它的{b}倍，{h}几元？ {x}跳了{a}下绳，{y}跳的是{x}的{b}倍，{y}跳了几下？
        今天卖了{a}{m}{i}，昨天卖的是今天的{b}倍，昨天卖了多少{m}？ 第一{t}有{a}{m}{i}，第二{t}的是第一{t}的{b}倍，第二{t}有几{m}？"""),
    "half": Kind(lambda rng: {"a": 2 * rng.randint(2, 99)}, ("一半就是除以2。|{a}÷2",), """
        {a}的一半是几？ {a}{m}{i}的一半是几{m}？ {x}有{a}{m}{i}，分给{y}一半，分出几{m}？ 把{a}对半分，一半是多少？ 一本书{a}页，看了一半，看了几页？ {g}原价{a}元，现在半价，卖几元？ 绳子长{a}米，从中间剪开，每段几米？
        路长{a}米，{x}走到正中间，走了多少米？"""),
    "double": Kind(lambda rng: {"a": rng.randint(3, 99)}, ("2倍就是乘以2。|{a}×2",), """
        {a}的两倍是多少？ {x}有{a}{m}{i}，{y}的正好是{x}的两倍，{y}有几{m}？ 把{a}翻一倍是几？ 原来要{a}{m}{i}，现在加倍，要几{m}？ {g}去年{a}元，今年涨到两倍，今年几元？ 来回一共多少米？单程{a}米。
        {x}每天跑{a}米，今天跑了平时的两倍，跑了几米？"""),
    "legs": Kind(_legs, ("每{m}{p}{l}条腿，{a}{m}用乘法。|{l}×{a}",), """
        {a}{m}{p}有几条腿？ {a}{m}{p}一共有多少条腿？ 院子里有{a}{m}{p}，数一数有几条腿。 {x}画了{a}{m}{p}，要画几条腿？ 一{m}{p}{l}条腿，那{a}{m}呢？ 你知道{a}{m}{p}合起来几条腿吗？
        {x}看见{a}{m}{p}，它们共有几条腿？"""),
    "legs_of_two": Kind(_legs, ("先算{p}，|{l}×{a}", "再算{q}，|{j}×{b}", "再算一共，|{r1}+{r2}"), """
        {a}{m}{p}和{b}{k}{q}一共有几条腿？ 院子里有{a}{m}{p}和{b}{k}{q}，腿有多少条？ {x}画了{a}{m}{p}，又画了{b}{k}{q}，一共画了几条腿？ {a}{m}{p}加上{b}{k}{q}，总共多少条腿？
        草地上来了{a}{m}{p}，还有{b}{k}{q}，数数有几条腿。 图画书上有{a}{m}{p}、{b}{k}{q}，合起来几条腿？"""),
    "queue_total": Kind(_queue, ("前面{a}人，加上自己是{s}人，后面还有{b}人。|{s}+{b}",), """
        排队时{w}前面有{a}人，后面有{b}人，这一队有几个人？ {w}站在队里，前面{a}个人，后面{b}个人，全队多少人？ {w}的前面有{a}个小朋友，后面有{b}个小朋友，一共有几个小朋友？ 买票的队伍里，{w}前头{a}人，后头{b}人，队伍共有多少人？
        {w}站在队伍中间，前面{a}人，后面{b}人，队伍一共几人？ 跑步时{w}前面有{a}个人，后面跟着{b}个人，一起跑的有几人？"""),
    "queue_place": Kind(_queue, ("{a}个人后面就是{w}。|{a}+1",), """
        排队时{w}前面有{a}个人，{w}排第几？ {w}前面站着{a}人，{w}是第几个？ 买票的队伍里，有{a}人排在{w}前面，{w}第几个买？ {a}个人比{w}先到，{w}是第几个到的？ 赛跑时{w}前面有{a}人，{w}现在第几？
        {w}来看病，前面还有{a}个人，{w}排在第几？""", "第{r}"),
    "queue_behind": Kind(_queue, ("{w}后面的人用减法。|{total}-{b}",), """
        一队{total}个人，{w}排第{b}，{w}后面有几个人？ 队伍里有{total}人，{w}是第{b}个，后面还有多少人？ {total}个同学排队，从前数{w}是第{b}个，{w}后面几个人？ 赛跑有{total}人，{w}现在第{b}，落在{w}后面的有几人？
        买票的一共{total}人，{w}第{b}个买，还有几个人在{w}后面？ {w}在{total}人的队里站第{b}个，后面站着几人？"""),
    "queue_both": Kind(_queue, ("先算两头的数，|{a}+{b}", "{w}数了两次，|{r}-1"), """
        从前往后数{w}是第{a}个，从后往前数{w}是第{b}个，这队有几个人？ {w}从左数第{a}，从右数第{b}，这一排多少人？ 队伍里，{w}正着数排第{a}，倒着数排第{b}，一共有几人？
        一排同学，从左边数{w}第{a}个，从右边数也数到{w}是第{b}个，共几人？ {w}排在正数第{a}、倒数第{b}，全队有多少人？ 前面数起{w}第{a}，后面数起{w}第{b}，队里总共几个人？"""),
    "to_smaller": Kind(_unit, ("一{p}有{l}{q}，{b}{p}用乘法。|{l}×{b}",), """
        {b}{p}是多少{q}？ {b}{p}等于几{q}？ {x}问{b}{p}换成{q}是多少。 {b}{p}里有多少{q}？ 请把{b}{p}换算成{q}。 {b}{p}一共有几{q}？ 你知道{b}{p}合多少{q}吗？"""),
    "to_larger": Kind(_unit, ("一{p}有{l}{q}，看{a}里有几个{l}。|{a}÷{l}",), """
        {a}{q}是几{p}？ {a}{q}等于多少{p}？ {x}想知道{a}{q}合几{p}。 {a}{q}换成{p}是多少？ 请把{a}{q}换算成{p}。 {a}{q}正好是几{p}？ 多少{p}才有{a}{q}？"""),
    "mixed_unit": Kind(_unit, ("先算{b}{p}，一{p}有{l}{q}，|{l}×{b}", "再加{c}{q}，|{r}+{c}"), """
        {b}{p}{link}{c}{q}是多少{q}？ {b}{p}{link}{c}{q}一共几{q}？ {x}问{b}{p}{link}{c}{q}合多少{q}。 把{b}{p}{link}{c}{q}都换成{q}，是几{q}？
        {b}{p}再加{c}{q}，总共多少{q}？ 请把{b}{p}{link}{c}{q}换算成{q}。 {b}{p}多{c}{q}，等于几{q}？"""),
    "two_takings": Kind(_takings, ("先减第一次的，|{a}-{b}", "再减第二次的，|{r}-{c}"), """
        {a}{m}{i}，先用掉{b}{m}，又用掉{c}{m}，还有几{m}？ 车上有{a}人，第一站下了{b}人，第二站又下了{c}人，车上还有几人？ {x}有{a}元，买{g}花了{b}元，买{h}花了{c}元，手里剩几元？
        一本书{a}页，昨天看{b}页，今天看{c}页，没看的有几页？ {t}里有{a}{m}{i}，{x}拿走{b}{m}，{y}再拿走{c}{m}，余下几{m}？ 绳子长{a}米，剪去{b}米，再剪去{c}米，还有多长？
        树上有{a}只鸟，先飞走{b}只，后来飞走{c}只，树上剩几只？ 桶里有{a}升水，浇花用{b}升，洗菜用{c}升，还剩几升？"""),
    "off_and_on": Kind(_takings, ("先减走的，|{a}-{b}", "再加来的，|{r}+{d}"), """
        车上有{a}人，下去{b}人，又上来{d}人，车上现在几人？ 停车场有{a}辆车，开走{b}辆，又开来{d}辆，现在有多少辆？ 树上有{a}只鸟，飞走{b}只，飞来{d}只，树上有几只？ 池塘里{a}只鸭子，上岸{b}只，又下水{d}只，水里现在几只？
        教室里有{a}人，出去{b}人，进来{d}人，还有多少人？ 店里有{a}{n}{g}，卖出{b}{n}，又进货{d}{n}，现在几{n}？ 图书角有{a}本书，借走{b}本，还回{d}本，现在几本？"""),
    "distance": Kind(_journey, ("每{t}{a}{u}，{b}{t}用乘法。|{a}×{b}",), """
        {p}每{t}{v}{a}{u}，{b}{t}能{v}多少{u}？ {p}一{t}{v}{a}{u}，照这样{b}{t}{v}了几{u}？ {p}的速度是每{t}{a}{u}，{b}{t}的路程是多少{u}？
        {p}{v}了{b}{t}，每{t}{a}{u}，一共{v}了多远？ 从这头到那头{p}要{v}{b}{t}，每{t}{a}{u}，这段路长几{u}？ {p}一{t}能{v}{a}{u}，那{b}{t}呢？"""),
    "digit": Kind(_digit, ("{a}从右往左，{said}",), """
        {a}的{w}上是几？ {a}这个数，{w}数字是多少？ {x}写了{a}，{w}上写的是几？ 门牌号是{a}，{w}的数字是几？ 看看{a}，它的{w}是哪个数字？ 数字{a}里，{w}上的数是多少？ 请说出{a}的{w}数字。""", "{d}"),
    "divisible": Kind(_parity, ("{a}的个位是{d}，{d}是{e}，所以{a}是{e}，{can}被2整除",), """
        {a}能不能被2除尽？ {a}能被2整除吗？ {a}{m}{i}，两{m}两{m}地拿，能正好拿完吗？ {a}只袜子能正好配成一双一双吗？ {a}个人能两人一组正好分完吗？ {x}和{y}平分{a}{m}{i}，能分得一样多吗？
        {a}个同学排成人数相同的两队，能做到吗？ 把{a}除以2，能除尽吗？""", "{can}", "logic"),
    "is_even": Kind(_parity, ("{a}的个位是{d}，{d}是{e}，所以{a}是{e}",), """
        {a}是{w}吗？ {a}是不是{w}？ {x}说{a}是{w}，对不对，它是{w}吗？ 我家门牌号是{a}，这是{w}吗？ 今天翻到第{a}页，页码是{w}吗？ 你看{a}这个数是不是{w}？""", "{z}", "logic"),
    "tallest": Kind(_tallest, ("{said}，最{w}的是{d}",), """
        {s}，{q}最{w}？ {s}，最{w}的是{q}？ {s}。你说说{q}最{w}？ {q}最{w}？我只知道{s}。 {s}，三个里面{q}最{w}？ 听说{s}，那最{w}的是{q}？ 已经知道{s}，请找出最{w}的。 {s}，比一比，{q}最{w}？""", "{d}", "logic"),
    "pattern": Kind(_pattern, ("{said}，|{e}",), """
        {s}，接着数下去是多少？ {s}，后面跟着哪个数？ {x}按规律写了{s}，下一个写几？ {s}，照这样下去是几？ 每天的页数是{s}，下一天是几页？ 楼梯上的号码是{s}，再下一个号码呢？ 猜猜{s}后面是几？ {x}每天记的数是{s}，下一天记几？""", category="logic"),
    "which_more": Kind(_two_people, ("{said}",), """
        {x}有{a}{m}{i}，{y}有{b}{m}，谁的{w}？ {x}跳绳跳了{a}下，{y}跳了{b}下，谁跳得{w}？ {x}得{a}分，{y}得{b}分，谁的分{w}？ {x}看了{a}页书，{y}看了{b}页，谁看得{w}？
        {x}和{y}谁的{i}{w}？{x}{a}{m}，{y}{b}{m}。 {x}带了{a}元，{y}带了{b}元，哪个人带得{w}？""", "{d}", "logic"),
}


def _common_words(rng: Random) -> Words:
    (x, y), (g, h) = rng.sample(PEOPLE, 2), rng.sample(_GOODS, 2)
    (i, m), (f, u) = rng.choice(_THINGS), rng.choice(_SURFACES)
    goods = {"g": g[0], "n": g[1], "h": h[0], "k": h[1]}
    return {"x": x, "y": y, "i": i, "m": m, "f": f, "u": u, "o": rng.choice(_OUTDOORS), "t": rng.choice(_CONTAINERS), **goods}


def draw(rng: Random, name: str) -> tuple[str, str, str, list[str]]:
    """One question of the kind ``name``, its worked answer, the result, and the keys that decide its split."""
    kind = KINDS[name]
    words = _common_words(rng) | kind.draw(rng)
    question = rng.choice(kind.texts.split()).format(**words)
    keys, working, before = list(words.get("keys", ())), "", ("", 0, 0)
    for index, step in enumerate(kind.steps, 1):
        lead, _, operation = step.format(**words).partition("|")
        if working:
            working += f"，得{words['r']}；" if "r" in words else "；"
        working += lead
        if operation:
            left, operator, right = re.split("([+×÷-])", operation)
            first, second = int(left), int(right)
            if first == words.get("r"):
                keys.append(operand_key(before[0] + operator, *before[1:], second))
            before = operator, first, second
            keys.append(operation_key(*before))
            words["r"] = words[f"r{index}"] = value_of(*before)
            working += f"{operation}：{written_steps(operator, first, second)}"
    answer = kind.answer.format(**words)
    return question, f"{working}，答案是{answer}。", answer, keys


def sum_record(rng: Random, split: str) -> dict[str, Any]:
    """One dialogue that asks for an everyday sum; training has no operation that is reserved, held-out text has one."""
    check_split(split)
    name = rng.choice(tuple(KINDS))
    while True:
        question, working, answer, keys = draw(rng, name)
        if any(core.split_of(key) == "heldout" for key in keys) == (split == "heldout"):
            break
    said = {"user": question, "assistant": working}
    record: Words = {"messages": [{"role": role, "content": text} for role, text in said.items()]}
    record["category"] = KINDS[name].category
    if split == "heldout":
        record["rubric"] = {"must": [[f"答案是{answer}。"]], "must_not": []}
    return record


def sum_records(seed: int, count: int, split: str) -> list[dict[str, Any]]:
    """``count`` such dialogues of ``split`` ("train" or "heldout"), no question twice; the same for the same seed.

    Raises ValueError for another split, or when there are not so many different questions.
    """
    rng = Random(f"sums {seed} {split}")
    records: dict[str, dict[str, Any]] = {}
    misses = 0
    while len(records) < count:
        record = sum_record(rng, split)
        question = record["messages"][0]["content"]
        misses = misses + 1 if question in records else 0
        if misses > _PATIENCE:
            raise ValueError(f"only {len(records)} different {split} sums can be composed, not {count}")
        records.setdefault(question, record | {"source": "generated"})
    return list(records.values())
