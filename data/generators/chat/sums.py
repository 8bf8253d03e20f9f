"""Everyday sums and small logic as they come up in a chat, solved in the written steps of the task families.

A kind is one entry of ``kinds`` in ``data/sources/chat_sums.json``: what draws its numbers, its hand-written questions
and its steps. A step is a lead and, after a bar, one operation on numbers: ``"面积等于长乘宽。|{a}×{b}"``; {r} is the
latest result. The texts share these words: {x} {y} people, {i} a thing counted in {m}, {t} a container, {g} a good
counted in {n}, {h} another counted in {k}, {f} a surface measured in {u}, {o} a place outdoors.
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
from data.source_files import load_source

Words = dict[str, Any]
# Draws in a row without a new question after which the supply counts as exhausted.
_PATIENCE = 5000


@dataclass(frozen=True)
class Relatives:
    """Elder and younger, the younger one's ages, and by how much the elder is older."""

    elder: str
    younger: str
    youngest: int
    oldest: int
    least: int
    most: int


@dataclass(frozen=True)
class Unit:
    """The larger unit, the smaller one, how many make one, what stands between them, and the largest number asked."""

    large: str
    small: str
    size: int
    link: str
    most: int


@dataclass(frozen=True)
class Mover:
    """Who moves and how, a length and a time, and how far one gets in that time."""

    mover: str
    moves: str
    length: str
    time: str
    slowest: int
    fastest: int


@dataclass(frozen=True)
class Sense:
    """More, less, how to ask for one of them, and what can be compared so; people, if no names are given."""

    more: str
    less: str
    ask: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of question: what draws its numbers, its questions, its steps, and what the answer is."""

    numbers: str
    questions: tuple[str, ...]
    steps: tuple[str, ...]
    answer: str = "{r}"
    category: str = "math"

    def __post_init__(self) -> None:
        if self.numbers not in NUMBERS:
            raise ValueError(f"numbers should be one of {', '.join(NUMBERS)}, but is {self.numbers}")


@dataclass(frozen=True)
class Sums:
    """The words of the questions, most with their measure words or units, and the kinds of questions by their names."""

    people: tuple[str, ...]
    things: tuple[tuple[str, str], ...]
    goods: tuple[tuple[str, str], ...]
    surfaces: tuple[tuple[str, str], ...]
    outdoors: tuple[str, ...]
    containers: tuple[str, ...]
    relatives: tuple[Relatives, ...]
    animals: tuple[tuple[str, str, int], ...]
    units: tuple[Unit, ...]
    movers: tuple[Mover, ...]
    senses: tuple[Sense, ...]
    comparisons: tuple[str, ...]
    kinds: dict[str, Kind]


def written() -> Sums:
    """The hand-written words and kinds."""
    return load_source("chat_sums", Sums)


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
    two = rng.choice(written().relatives)
    b, gap = rng.randint(two.youngest, two.oldest), rng.randint(two.least, two.most)
    ages = {"a": b + gap, "b": b, "d": gap, "l": rng.randint(2, 20), "s": rng.randint(1, b - 1)}
    return {"p": two.elder, "q": two.younger, **ages}


def _legs(rng: Random) -> Words:
    (p, m, legs), (q, k, others) = rng.sample(written().animals, 2)
    return {"p": p, "m": m, "l": legs, "q": q, "k": k, "j": others, "a": rng.randint(2, 20), "b": rng.randint(2, 9)}


def _queue(rng: Random) -> Words:
    a, b, w = rng.randint(2, 29), rng.randint(2, 29), rng.choice(["我", "我", *written().people])
    return {"a": a, "b": b, "w": w, "s": a + 1, "total": a + b, "keys": [unordered_key("+", a, 1)]}


def _unit(rng: Random) -> Words:
    """Some of a larger unit, the same in the smaller unit, and a rest that does not make one more."""
    unit = rng.choice(written().units)
    b = rng.randint(2, unit.most)
    numbers = {"l": unit.size, "b": b, "a": b * unit.size, "c": rng.randint(1, min(unit.size - 1, 60))}
    return {"p": unit.large, "q": unit.small, "link": unit.link, **numbers}


def _takings(rng: Random) -> Words:
    a = rng.randint(15, 99)
    b = rng.randint(2, a - 6)
    return {"a": a, "b": b, "c": rng.randint(2, a - b - 1), "d": rng.randint(2, 40)}


def _journey(rng: Random) -> Words:
    one = rng.choice(written().movers)
    numbers = {"a": rng.randint(one.slowest, one.fastest), "b": rng.randint(2, 9)}
    return {"p": one.mover, "v": one.moves, "u": one.length, "t": one.time, **numbers}


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
    sense = rng.choice(written().senses)
    order = rng.sample(sense.names or written().people, 3)
    pairs = [(order[0], order[1]), (order[1], order[2])]
    rng.shuffle(pairs)
    forms = [rng.choice(written().comparisons) for _ in pairs]
    told = "，".join(form.format(first=first, second=second, more=sense.more, less=sense.less)
                    for form, (first, second) in zip(forms, pairs, strict=True))
    steps = "，".join(">".join(pair) for pair in pairs) + "，连起来是" + ">".join(order)
    w, d = rng.choice(((sense.more, order[0]), (sense.less, order[-1])))
    return {"s": told, "q": sense.ask, "w": w, "d": d, "said": steps, "keys": [operand_key("ordering", *sorted(order))]}


def _pattern(rng: Random) -> Words:
    gap, start, operator = rng.randint(2, 12), rng.randint(1, 40), rng.choice("+-")
    numbers = [start + gap * index for index in (range(4) if operator == "+" else range(4, 0, -1))]
    larger, smaller = max(numbers[:2]), min(numbers[:2])
    said = f"{larger}-{smaller}：{written_steps('-', larger, smaller)}，差{gap}；每次{_SPOKEN[operator]}{gap}"
    keys = [operand_key("…" + operator, numbers[0], gap), operand_key("-", larger, smaller)]
    return {"s": "、".join(map(str, numbers)), "said": said, "e": f"{numbers[-1]}{operator}{gap}", "keys": keys}


def _two_people(rng: Random) -> Words:
    """Two people with a number each: {z} has the larger one, {d} has more or less, as {w} says."""
    (x, y), (a, b), w = rng.sample(written().people, 2), rng.sample(range(4, 80), 2), rng.choice("多少")
    more, less = (x, y) if a > b else (y, x)
    words = {"x": x, "y": y, "a": a, "b": b, "w": w, "d": more if w == "多" else less, "z": more}
    return {**words, "large": max(a, b), "small": min(a, b), "said": comparison_steps(a, b),
            "keys": [unordered_key("<", a, b)]}


def _half(rng: Random) -> Words:
    return {"a": 2 * rng.randint(2, 99)}


def _double(rng: Random) -> Words:
    return {"a": rng.randint(3, 99)}


NUMBERS: dict[str, Callable[[Random], Words]] = {
    "product": _product,
    "quotient": _quotient,
    "precedence": _precedence,
    "brackets": _brackets,
    "rectangle": _rectangle,
    "change": _change,
    "basket": _basket,
    "ages": _ages,
    "two_people": _two_people,
    "half": _half,
    "double": _double,
    "legs": _legs,
    "queue": _queue,
    "unit": _unit,
    "takings": _takings,
    "journey": _journey,
    "digit": _digit,
    "parity": _parity,
    "tallest": _tallest,
    "pattern": _pattern,
}
"""What draws the numbers of a question, by the name that a kind gives it."""


def _common_words(rng: Random) -> Words:
    words = written()
    (x, y), (g, h) = rng.sample(words.people, 2), rng.sample(words.goods, 2)
    (i, m), (f, u) = rng.choice(words.things), rng.choice(words.surfaces)
    places = {"o": rng.choice(words.outdoors), "t": rng.choice(words.containers)}
    return {"x": x, "y": y, "i": i, "m": m, "f": f, "u": u, "g": g[0], "n": g[1], "h": h[0], "k": h[1], **places}


def draw(rng: Random, name: str) -> tuple[str, str, str, list[str]]:
    """One question of the kind ``name``, its worked answer, the result, and the keys that decide its split."""
    kind = written().kinds[name]
    words = _common_words(rng) | NUMBERS[kind.numbers](rng)
    question = rng.choice(kind.questions).format(**words)
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
    name = rng.choice(tuple(written().kinds))
    while True:
        question, working, answer, keys = draw(rng, name)
        if any(core.split_of(key) == "heldout" for key in keys) == (split == "heldout"):
            break
    said = {"user": question, "assistant": working}
    record: Words = {"messages": [{"role": role, "content": text} for role, text in said.items()]}
    record["category"] = written().kinds[name].category
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
