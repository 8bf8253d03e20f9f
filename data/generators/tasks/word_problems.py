"""Word problems: hand-written situations of one and two steps, filled with names, things and numbers.

A template is a text and the operations that solve it from left to right: ``"×-"`` means (a × b) - c. The texts use
{x} and {y} for people, {i} for a thing and {m} for its measure word, {a}, {b}, {c} for the numbers.
"""

from __future__ import annotations

from random import Random

from data.generators.tasks.core import Task, operand_key, unordered_key
from data.generators.tasks.written_arithmetic import value_of, written_steps

NAMES = (
    "小明",
    "小红",
    "小刚",
    "小丽",
    "小华",
    "小军",
    "小芳",
    "小强",
    "小美",
    "小林",
    "小雨",
    "小杰",
    "小燕",
    "小龙",
    "小云",
    "小东",
    "小梅",
    "小亮",
    "小静",
    "小波",
    "小兰",
    "小宇",
    "小雪",
    "小涛",
)
THINGS = (
    ("苹果", "个"),
    ("橘子", "个"),
    ("桃子", "个"),
    ("梨", "个"),
    ("鸡蛋", "个"),
    ("气球", "个"),
    ("贝壳", "个"),
    ("铅笔", "支"),
    ("彩笔", "支"),
    ("书", "本"),
    ("本子", "本"),
    ("糖", "颗"),
    ("珠子", "颗"),
    ("邮票", "张"),
    ("卡片", "张"),
    ("贴纸", "张"),
    ("花", "朵"),
    ("纸船", "只"),
    ("千纸鹤", "只"),
    ("饼干", "块"),
    ("积木", "块"),
    ("石子", "颗"),
    ("枣", "颗"),
    ("画片", "张"),
)

ONE_STEP = (
    ("{x}有{a}{m}{i}，又买了{b}{m}，现在一共有多少{m}？", "+"),
    ("{x}有{a}{m}{i}，{y}有{b}{m}{i}，他们一共有多少{m}{i}？", "+"),
    ("{x}上午收了{a}{m}{i}，下午收了{b}{m}，一天共收了多少{m}？", "+"),
    ("箱子里有{a}{m}{i}，{x}又放进去{b}{m}，箱子里现在有多少{m}？", "+"),
    ("{x}送给{y}{a}{m}{i}后，自己还有{b}{m}。{x}原来有多少{m}{i}？", "+"),
    ("{y}有{a}{m}{i}，{x}比{y}多{b}{m}，{x}有多少{m}{i}？", "+"),
    ("{x}数了{a}{m}{i}，还有{b}{m}没有数，一共有多少{m}{i}？", "+"),
    ("{x}昨天得到{a}{m}{i}，今天又得到{b}{m}，两天得到多少{m}？", "+"),
    ("{x}有{a}{m}{i}，送给{y}{b}{m}，还剩多少{m}？", "-"),
    ("盒子里有{a}{m}{i}，{x}拿走了{b}{m}，盒子里还剩多少{m}？", "-"),
    ("{x}有{a}{m}{i}，{y}有{b}{m}，{x}比{y}多多少{m}？", "-"),
    ("{x}想要{a}{m}{i}，已经有了{b}{m}，还差多少{m}？", "-"),
    ("{x}和{y}一共有{a}{m}{i}，其中{x}有{b}{m}，{y}有多少{m}？", "-"),
    ("商店有{a}{m}{i}，卖掉了{b}{m}，还有多少{m}？", "-"),
    ("{y}有{a}{m}{i}，{x}比{y}少{b}{m}，{x}有多少{m}{i}？", "-"),
    ("{x}带了{a}{m}{i}，路上丢了{b}{m}，现在有多少{m}？", "-"),
    ("每个袋子装{a}{m}{i}，{x}装了{b}袋，一共有多少{m}？", "×"),
    ("{x}每天得到{a}{m}{i}，{b}天一共得到多少{m}？", "×"),
    ("一排摆{a}{m}{i}，{x}摆了{b}排，一共摆了多少{m}？", "×"),
    ("{y}有{a}{m}{i}，{x}的{i}是{y}的{b}倍，{x}有多少{m}？", "×"),
    ("一盒有{a}{m}{i}，{x}买了{b}盒，一共买了多少{m}？", "×"),
    ("{b}个小朋友每人有{a}{m}{i}，{x}数一数，一共有多少{m}？", "×"),
    ("{x}把{a}{m}{i}平均分给{b}个朋友，每人分到多少{m}？", "÷"),
    ("{x}有{a}{m}{i}，每{b}{m}装一袋，可以装多少袋？", "÷"),
    ("{x}把{a}{m}{i}平均放在{b}个盘子里，每盘有多少{m}？", "÷"),
    ("{x}有{a}{m}{i}，是{y}的{b}倍，{y}有多少{m}{i}？", "÷"),
    ("{a}{m}{i}，{x}每天用{b}{m}，可以用多少天？", "÷"),
    ("{x}把{a}{m}{i}排成一样多的{b}行，每行有多少{m}？", "÷"),
)
TWO_STEPS = (
    ("{x}有{a}{m}{i}，又买了{b}{m}，然后送给{y}{c}{m}，还剩多少{m}？", "+-"),
    ("{x}有{a}{m}{i}，{y}有{b}{m}，两人一共用掉{c}{m}，还剩多少{m}？", "+-"),
    ("盒子里有{a}{m}{i}，{x}放进{b}{m}，{y}拿走{c}{m}，盒子里现在有多少{m}？", "+-"),
    ("{x}有{a}{m}{i}，送给{y}{b}{m}，又买了{c}{m}，现在有多少{m}？", "-+"),
    ("商店有{a}{m}{i}，卖掉{b}{m}，又运来{c}{m}，现在有多少{m}？", "-+"),
    ("{x}有{a}{m}{i}，丢了{b}{m}，{y}又送来{c}{m}，现在有多少{m}？", "-+"),
    ("{x}有{a}{m}{i}，给{y}{b}{m}，又给妹妹{c}{m}，还剩多少{m}？", "--"),
    ("架子上有{a}{m}{i}，上午拿走{b}{m}，下午拿走{c}{m}，还剩多少{m}？", "--"),
    ("{x}第一天得到{a}{m}{i}，第二天得到{b}{m}，第三天得到{c}{m}，一共得到多少{m}？", "++"),
    ("{x}有{a}{m}{i}，{y}有{b}{m}，妹妹有{c}{m}，三人一共有多少{m}？", "++"),
    ("{x}买了{b}盒{i}，每盒{a}{m}，用掉{c}{m}，还剩多少{m}？", "×-"),
    ("每袋装{a}{m}{i}，{x}装了{b}袋，送给{y}{c}{m}，还剩多少{m}？", "×-"),
    ("{x}每天得到{a}{m}{i}，{b}天后送出{c}{m}，还有多少{m}？", "×-"),
    ("每排摆{a}{m}{i}，{x}摆了{b}排，旁边还有{c}{m}，一共有多少{m}？", "×+"),
    ("{x}买了{b}包{i}，每包{a}{m}，原来还有{c}{m}，现在一共有多少{m}？", "×+"),
    ("{y}有{a}{m}{i}，{x}比{y}的{b}倍还多{c}{m}，{x}有多少{m}？", "×+"),
    ("{y}有{a}{m}{i}，{x}比{y}的{b}倍少{c}{m}，{x}有多少{m}？", "×-"),
    ("{x}把{a}{m}{i}平均分成{b}份，自己那份又添了{c}{m}，自己有多少{m}？", "÷+"),
    ("{a}{m}{i}平均分给{b}个人，{x}用掉自己的{c}{m}，还剩多少{m}？", "÷-"),
    ("{x}有{a}{m}{i}，{y}有{b}{m}，他们平均分给{c}个同学，每人得多少{m}？", "+÷"),
    ("{x}有{a}{m}{i}，送出{b}{m}，剩下的每{c}{m}装一袋，能装多少袋？", "-÷"),
)


def _first_operands(rng: Random, operator: str, level: int) -> tuple[int, int]:
    """Two numbers that suit a story: sums and differences under 200, factors of one digit."""
    if operator == "×":
        return rng.randint(3, 9 if level == 1 else 39), rng.randint(2, 9)
    if operator == "÷":
        divisor = rng.randint(2, 9)
        return divisor * rng.randint(2, 9 if level == 1 else 29), divisor
    largest = 40 if level == 1 else 99
    first, second = rng.randint(5, largest), rng.randint(3, largest)
    return (max(first, second) + 1, min(first, second)) if operator == "-" else (first, second)


def _third_operand(rng: Random, operator: str, value: int) -> int | None:
    """A number that can follow ``value`` with ``operator`` in a story, or None."""
    if operator == "+":
        return rng.randint(2, 40)
    if operator == "-":
        return rng.randint(2, min(value - 1, 60)) if value > 3 else None
    divisors = [divisor for divisor in range(2, 10) if value % divisor == 0 and value > divisor]
    return rng.choice(divisors) if divisors else None


def word_problem(rng: Random, level: int) -> Task:
    """A story of one step (small numbers, larger numbers) or of two steps, with the written calculation."""
    text, operators = rng.choice(TWO_STEPS if level == 3 else ONE_STEP)
    third = None
    while True:
        first, second = _first_operands(rng, operators[0], level)
        value = value_of(operators[0], first, second)
        if level < 3:
            break
        third = _third_operand(rng, operators[1], value)
        if third is not None:
            break
    x, y = rng.sample(NAMES, 2)
    thing, measure = rng.choice(THINGS)
    prompt = text.format(x=x, y=y, i=thing, m=measure, a=first, b=second, c=third)
    steps = f"{first}{operators[0]}{second}：{written_steps(operators[0], first, second)}"
    if third is None:
        key = (unordered_key if operators in "+×" else operand_key)(operators, first, second)
    else:
        answer = value_of(operators[1], value, third)
        steps = f"先算{steps}，得{value}；再算{value}{operators[1]}{third}：{written_steps(operators[1], value, third)}"
        key, value = operand_key(operators, first, second, third), answer
    working = f"{steps}，答案是{value}。"
    return Task("math", prompt, str(value), None, "word_problem", level, working, (key, operand_key("who", x, thing)))
