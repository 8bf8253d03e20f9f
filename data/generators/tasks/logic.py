"""Families of tasks whose answer is a word: parity, weekdays, the clock, syllogisms and orderings.

Every function takes a random generator and a level from 1 to 3 and draws one task. As in arithmetic, the working
restates what is given in one fixed form, then takes steps that each need one fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from data.generators.tasks.core import Task, operand_key
from data.generators.tasks.word_problems import NAMES

WEEKDAYS = "一二三四五六日"
_DAY_NAMES = ("周", "星期", "礼拜")

_PARITY = (
    "{n}是奇数还是偶数？",
    "请判断{n}是奇数还是偶数。",
    "{n}是偶数还是奇数？",
    "判断奇偶：{n}",
    "请问{n}属于奇数还是偶数？",
    "{n}这个数是奇数还是偶数？",
    "说一说{n}是奇数还是偶数。",
    "{n}的奇偶性是什么？",
)
_WEEKDAY_FORWARDS = (
    "{t}是{w}，{n}天后是{q}？",
    "如果{t}是{w}，那么{n}天后是{q}？",
    "{t}是{w}，再过{n}天是{q}？",
    "已知{t}是{w}，过{n}天是{q}？",
    "{t}{w}，{n}天以后是{q}？",
    "请问{t}是{w}的话，{n}天后是{q}？",
)
_WEEKDAY_BACKWARDS = (
    "{t}是{w}，{n}天前是{q}？",
    "如果{t}是{w}，那么{n}天前是{q}？",
    "{t}是{w}，{n}天以前是{q}？",
    "已知{t}是{w}，往前数{n}天是{q}？",
    "{t}{w}，{n}天之前是{q}？",
    "请问{t}是{w}的话，{n}天前是{q}？",
)
_CLOCK_FORWARDS = (
    "现在是{t}，{n}分钟后是几点几分？",
    "{t}开始，过了{n}分钟，是几点几分？",
    "从{t}起再过{n}分钟是几点几分？",
    "{x}{t}出门，走了{n}分钟，几点几分到？",
    "电影{t}开始，放{n}分钟，几点几分结束？",
    "{x}{t}开始写作业，写了{n}分钟，几点几分写完？",
)
_CLOCK_BACKWARDS = (
    "现在是{t}，{n}分钟前是几点几分？",
    "从{t}往前{n}分钟是几点几分？",
    "{x}走了{n}分钟，{t}到家，几点几分出发？",
    "电影放了{n}分钟，{t}结束，几点几分开始？",
    "{x}写了{n}分钟作业，{t}写完，几点几分开始写？",
    "{t}的{n}分钟以前是几点几分？",
)
GROUPS = (
    "画家",
    "医生",
    "老师",
    "司机",
    "渔民",
    "农民",
    "厨师",
    "歌手",
    "护士",
    "邮递员",
    "木匠",
    "裁缝",
    "船长",
    "作家",
    "记者",
    "园丁",
    "警察",
    "工程师",
    "运动员",
    "图书管理员",
)
TRAITS = (
    "戴眼镜的人",
    "爱喝茶的人",
    "会游泳的人",
    "早起的人",
    "爱看书的人",
    "会下棋的人",
    "养猫的人",
    "住在河边的人",
    "爱唱歌的人",
    "骑车上班的人",
    "会做饭的人",
    "爱爬山的人",
    "穿红衣服的人",
    "会弹琴的人",
    "爱种花的人",
    "写日记的人",
)
_CLOSED_QUESTION = ("{q}吗？", "请问{q}吗？", "那么{q}吗？", "{q}吗？请回答是、否或不能确定。", "可以推出{q}吗？")
_OPPOSITES = (("高", "矮"), ("重", "轻"), ("快", "慢"), ("年龄大", "年龄小"))


def _task(
    family: str, level: int, prompt: str, steps: str, answer: str, keywords: Sequence[str], keys: Sequence[str]
) -> Task:
    quoted = f"“{answer}”" if answer in ("是", "否", "不能确定") else answer
    working = f"{steps}，答案是{quoted}。"
    return Task("logic", prompt, answer, tuple(keywords), family, level, working, tuple(keys))


def parity(rng: Random, level: int) -> Task:
    """Odd or even: two digits, three digits, four digits."""
    number = rng.randint(*{1: (10, 199), 2: (200, 999), 3: (1000, 9999)}[level])
    answer = "奇数" if number % 2 else "偶数"
    steps = f"{number}的个位是{number % 10}，{number % 10}是{answer}"
    synonyms = ("奇数", "单数") if number % 2 else ("偶数", "双数")
    prompt = rng.choice(_PARITY).format(n=number)
    return _task("parity", level, prompt, steps, answer, synonyms, [operand_key("parity", number)])


def weekday(rng: Random, level: int) -> Task:
    """The day of the week some days before or after: under ten days, under seventy, counted from another day."""
    start, forwards = rng.randint(1, 7), rng.random() < 0.5
    days = rng.randint(1, 9) if level == 1 else rng.randint(10, 30) if level == 2 else rng.randint(31, 69)
    rest = days % 7
    steps = f"周{WEEKDAYS[start - 1]}是{start}"
    if days > 6:
        steps += f"，{days}÷7={days // 7}余{rest}"
    if forwards:
        number = start + rest
        steps += f"，{start}+{rest}={number}" + (f"，{number}-7={number - 7}" if number > 7 else "")
        number -= 7 * (number > 7)
    else:
        lifted = start + 7 if start <= rest else start
        steps += (f"，{start}+7={lifted}" if lifted != start else "") + f"，{lifted}-{rest}={lifted - rest}"
        number = lifted - rest
    day = WEEKDAYS[number - 1]
    steps += f"，{number}是周{day}"
    name = rng.choice(_DAY_NAMES)
    template = rng.choice(_WEEKDAY_FORWARDS if forwards else _WEEKDAY_BACKWARDS)
    prompt = template.format(
        t=rng.choice(("今天", "今天", "这一天", "某天", "生日那天")),
        w=name + WEEKDAYS[start - 1],
        n=days,
        q=rng.choice(("星期几", "周几", "礼拜几")),
    )
    keywords = [prefix + day for prefix in _DAY_NAMES] + ([] if day != "日" else ["周天", "星期天", "礼拜天"])
    return _task("weekday", level, prompt, steps, "周" + day, keywords, [operand_key("weekday", start, days, forwards)])


def clock(rng: Random, level: int) -> Task:
    """The time some minutes later: within the hour, past the full hour, or some minutes earlier."""
    hour, minute, length = rng.randint(2, 11), 5 * rng.randint(0, 11), 5 * rng.randint(1, 11)
    if level == 1:
        minute = 5 * rng.randint(0, 10)
        length = 5 * rng.randint(1, 11 - minute // 5)
    elif level == 2:
        minute = 5 * rng.randint(1, 11)
        length = 5 * rng.randint(12 - minute // 5, 11)
    said = f"{hour}点{minute}分" if minute else f"{hour}点整"
    steps = f"{hour}点{minute}分，"
    if level < 3:
        total = minute + length
        steps += f"{minute}+{length}={total}"
        if total >= 60:
            steps += f"，{total}-60={total - 60}，{hour}+1={hour + 1}"
        hour, minute = hour + total // 60, total % 60
    else:
        if minute < length:
            steps += f"{minute}+60={minute + 60}，{minute + 60}-{length}={minute + 60 - length}，{hour}-1={hour - 1}"
            hour, minute = hour - 1, minute + 60 - length
        else:
            steps += f"{minute}-{length}={minute - length}"
            minute -= length
    answer = f"{hour}点{minute}分" if minute else f"{hour}点"
    templates = _CLOCK_BACKWARDS if level == 3 else _CLOCK_FORWARDS
    prompt = rng.choice(templates).format(t=said, n=length, x=rng.choice(NAMES))
    keywords = [answer, f"{hour}:{minute:02d}"] if minute else [answer, f"{hour}点整", f"{hour}:00"]
    return _task("clock", level, prompt, steps, answer, keywords, [operand_key("clock", said, length, level == 3)])


def _premises(rng: Random, *sentences: str) -> str:
    ordered = list(sentences)
    if rng.random() < 0.3:
        rng.shuffle(ordered)
    return "".join(sentence + "。" for sentence in ordered)


def syllogism(rng: Random, level: int) -> Task:
    """All A are B, x is A: is x a B? Level 2 adds converses and refutations, level 3 chains of two rules."""
    x, group = rng.choice(NAMES), rng.choice(GROUPS)
    first, second = rng.sample(TRAITS, 2)
    rule = rng.choice(("所有{a}都{v}{b}", "所有的{a}都{v}{b}", "{a}都{v}{b}"))
    form = rng.choice(
        {
            1: ("barbara", "celarent"),
            2: ("barbara", "converse", "refuted", "outside"),
            3: ("chain", "chain_not", "chain_converse"),
        }[level]
    )
    plain, denied = rule.format(a=group, v="是", b=first), rule.format(a=group, v="不是", b=first)
    follows = rule.format(a=first, v="不是" if form == "chain_not" else "是", b=second)
    given: tuple[str, ...]
    if form == "barbara":
        given, asked, answer = (plain, f"{x}是{group}"), first, "是"
        steps = f"{x}是{group}，{group}都是{first}，所以{x}是{first}"
    elif form == "celarent":
        given, asked, answer = (denied, f"{x}是{group}"), first, "否"
        steps = f"{x}是{group}，{group}都不是{first}，所以{x}不是{first}"
    elif form == "converse":
        given, asked, answer = (plain, f"{x}是{first}"), group, "不能确定"
        steps = f"{x}是{first}，{first}不一定是{group}"
    elif form == "refuted":
        given, asked, answer = (plain, f"{x}不是{first}"), group, "否"
        steps = f"{x}不是{first}，{group}都是{first}，所以{x}不是{group}"
    elif form == "outside":
        given, asked, answer = (plain, f"{x}不是{group}"), first, "不能确定"
        steps = f"{x}不是{group}，不是{group}也可能是{first}"
    elif form == "chain":
        given, asked, answer = (plain, follows, f"{x}是{group}"), second, "是"
        steps = f"{x}是{group}，{group}都是{first}，{first}都是{second}，所以{x}是{second}"
    elif form == "chain_not":
        given, asked, answer = (plain, follows, f"{x}是{group}"), second, "否"
        steps = f"{x}是{group}，{group}都是{first}，{first}都不是{second}，所以{x}不是{second}"
    else:
        given, asked, answer = (plain, follows, f"{x}是{second}"), group, "不能确定"
        steps = f"{x}是{second}，{second}不一定是{first}"
    prompt = _premises(rng, *given) + rng.choice(_CLOSED_QUESTION).format(q=f"{x}是{asked}")
    keywords = {"是": ("是", "对"), "否": ("否", "不是"), "不能确定": ("不能确定", "无法确定", "不一定")}[answer]
    return _task("syllogism", level, prompt, steps, answer, keywords, [operand_key("syllogism", x, group, first)])


def ordering(rng: Random, level: int) -> Task:
    """Who of three is tallest (oldest, heaviest, fastest) or least so.

    Level 1 states both facts in order, level 2 in any order and always in the same sense, level 3 in mixed senses.
    """
    people = rng.sample(NAMES, 3)
    more, less = rng.choice(_OPPOSITES)
    turns = {1: ((0, 0),), 2: ((0, 0), (1, 1)), 3: ((0, 1), (1, 0))}[level]
    statements = []
    for left, right, turned in zip(people, people[1:], rng.choice(turns), strict=False):
        statements.append((left, right, f"{right}比{left}{less}" if turned else f"{left}比{right}{more}"))
    if level > 1:
        rng.shuffle(statements)
    top = rng.random() < 0.5
    question = rng.choice(("谁最{m}？", "三人中谁最{m}？", "请问谁最{m}？", "其中谁最{m}？"))
    prompt = "，".join(text for _, _, text in statements) + "。" + question.format(m=more if top else less)
    answer = people[0] if top else people[-1]
    steps = "，".join(f"{left}>{right}" for left, right, _ in statements) + "，连起来是" + ">".join(people)
    steps += f"，最{more if top else less}的是{answer}"
    return _task("ordering", level, prompt, steps, answer, (answer,), [operand_key("ordering", *sorted(people))])
