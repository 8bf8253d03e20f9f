"""Families of tasks whose answer is a word: parity, weekdays, the clock, syllogisms and orderings.

Every function takes a random generator and a level from 1 to 3 and draws one task. As in arithmetic, the working
restates what is given in one fixed form, then takes steps that each need one fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from data.generators.tasks.core import Task, operand_key
from data.generators.tasks.word_problems import problems
from data.source_files import load_source

WEEKDAYS = "一二三四五六日"
_DAY_NAMES = ("周", "星期", "礼拜")


@dataclass(frozen=True)
class Syllogism:
    """One form: the levels that ask it, its premises, what is asked of {x}, the answer, and the steps to it.

    {x} is somebody, {group} a class, {first} and {second} are traits; {plain} and {denied} say that all of the group
    have the first trait or none has, {follows} and {excludes} the same of the first trait and the second.
    """

    levels: tuple[int, ...]
    given: tuple[str, ...]
    asked: str
    answer: str
    steps: str


@dataclass(frozen=True)
class Wordings:
    """The wordings of each family: {n} is a number, {t} a day or a time, {w} a weekday, {x} somebody."""

    parity: tuple[str, ...]
    weekday_forwards: tuple[str, ...]
    weekday_backwards: tuple[str, ...]
    weekday_starts: tuple[str, ...]
    weekday_asked: tuple[str, ...]
    clock_forwards: tuple[str, ...]
    clock_backwards: tuple[str, ...]
    groups: tuple[str, ...]
    traits: tuple[str, ...]
    rules: tuple[str, ...]
    syllogisms: dict[str, Syllogism]
    closed_questions: tuple[str, ...]
    verdicts: dict[str, tuple[str, ...]]
    opposites: tuple[tuple[str, str], ...]
    superlatives: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, form in self.syllogisms.items():
            if form.answer not in self.verdicts:
                raise ValueError(f"syllogisms.{name}.answer should be one of {', '.join(self.verdicts)}")


def _wordings() -> Wordings:
    return load_source("task_logic", Wordings)


def _task(
    family: str, level: int, prompt: str, steps: str, answer: str, keywords: Sequence[str], keys: Sequence[str]
) -> Task:
    quoted = f"“{answer}”" if answer in _wordings().verdicts else answer
    working = f"{steps}，答案是{quoted}。"
    return Task("logic", prompt, answer, tuple(keywords), family, level, working, tuple(keys))


def parity(rng: Random, level: int) -> Task:
    """Odd or even: two digits, three digits, four digits."""
    number = rng.randint(*{1: (10, 199), 2: (200, 999), 3: (1000, 9999)}[level])
    answer = "奇数" if number % 2 else "偶数"
    steps = f"{number}的个位是{number % 10}，{number % 10}是{answer}"
    synonyms = ("奇数", "单数") if number % 2 else ("偶数", "双数")
    prompt = rng.choice(_wordings().parity).format(n=number)
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
    wordings = _wordings()
    template = rng.choice(wordings.weekday_forwards if forwards else wordings.weekday_backwards)
    prompt = template.format(
        t=rng.choice(wordings.weekday_starts),
        w=name + WEEKDAYS[start - 1],
        n=days,
        q=rng.choice(wordings.weekday_asked),
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
    templates = _wordings().clock_backwards if level == 3 else _wordings().clock_forwards
    prompt = rng.choice(templates).format(t=said, n=length, x=rng.choice(problems().names))
    keywords = [answer, f"{hour}:{minute:02d}"] if minute else [answer, f"{hour}点整", f"{hour}:00"]
    return _task("clock", level, prompt, steps, answer, keywords, [operand_key("clock", said, length, level == 3)])


def _premises(rng: Random, *sentences: str) -> str:
    ordered = list(sentences)
    if rng.random() < 0.3:
        rng.shuffle(ordered)
    return "".join(sentence + "。" for sentence in ordered)


def syllogism(rng: Random, level: int) -> Task:
    """All A are B, x is A: is x a B? Level 2 adds converses and refutations, level 3 chains of two rules."""
    wordings = _wordings()
    x, group = rng.choice(problems().names), rng.choice(wordings.groups)
    first, second = rng.sample(wordings.traits, 2)
    rule = rng.choice(wordings.rules)
    form = rng.choice([form for form in wordings.syllogisms.values() if level in form.levels])
    words = {"x": x, "group": group, "first": first, "second": second}
    words |= {"plain": rule.format(a=group, v="是", b=first), "denied": rule.format(a=group, v="不是", b=first)}
    words |= {"follows": rule.format(a=first, v="是", b=second), "excludes": rule.format(a=first, v="不是", b=second)}
    asked = f"{x}是{form.asked.format(**words)}"
    prompt = _premises(rng, *(premise.format(**words) for premise in form.given))
    prompt += rng.choice(wordings.closed_questions).format(q=asked)
    steps, answer, keywords = form.steps.format(**words), form.answer, wordings.verdicts[form.answer]
    return _task("syllogism", level, prompt, steps, answer, keywords, [operand_key("syllogism", x, group, first)])


def ordering(rng: Random, level: int) -> Task:
    """Who of three is tallest (oldest, heaviest, fastest) or least so.

    Level 1 states both facts in order, level 2 in any order and always in the same sense, level 3 in mixed senses.
    """
    people = rng.sample(problems().names, 3)
    more, less = rng.choice(_wordings().opposites)
    turns = {1: ((0, 0),), 2: ((0, 0), (1, 1)), 3: ((0, 1), (1, 0))}[level]
    statements = []
    for left, right, turned in zip(people, people[1:], rng.choice(turns), strict=False):
        statements.append((left, right, f"{right}比{left}{less}" if turned else f"{left}比{right}{more}"))
    if level > 1:
        rng.shuffle(statements)
    top = rng.random() < 0.5
    question = rng.choice(_wordings().superlatives)
    prompt = "，".join(text for _, _, text in statements) + "。" + question.format(m=more if top else less)
    answer = people[0] if top else people[-1]
    steps = "，".join(f"{left}>{right}" for left, right, _ in statements) + "，连起来是" + ">".join(people)
    steps += f"，最{more if top else less}的是{answer}"
    return _task("ordering", level, prompt, steps, answer, (answer,), [operand_key("ordering", *sorted(people))])
