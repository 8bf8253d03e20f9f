"""Families of tasks whose answer is a number: the operations, missing operands, comparison and sequences.

Every function takes a random generator and a level from 1 to 3 and draws one task. The phrasing of the question
varies, the format of the working never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from data.generators.tasks.core import Task, operand_key, unordered_key
from data.generators.tasks.written_arithmetic import (
    addition_steps,
    comparison_steps,
    digits_of,
    division_steps,
    multiplication_steps,
    subtraction_steps,
    written_steps,
)
from data.source_files import load_source


@dataclass(frozen=True)
class Questions:
    """The wordings of each family: {a} and {b} are operands, {e} an equation with a box, {n} several numbers."""

    addition: tuple[str, ...]
    subtraction: tuple[str, ...]
    multiplication: tuple[str, ...]
    division: tuple[str, ...]
    remainder: tuple[str, ...]
    missing_operand: tuple[str, ...]
    largest: tuple[str, ...]
    smallest: tuple[str, ...]
    sequence: tuple[str, ...]


def _questions() -> Questions:
    return load_source("task_math", Questions)


def _task(family: str, level: int, prompt: str, steps: str, answer: int, keys: Sequence[str]) -> Task:
    working = f"{steps}，答案是{answer}。"
    return Task("math", prompt, str(answer), None, family, level, working, tuple(keys))


def _carries(first: int, second: int) -> bool:
    return any(left + right > 9 for left, right in zip(digits_of(first), digits_of(second), strict=False))


def _borrows(first: int, second: int) -> bool:
    return any(left < right for left, right in zip(digits_of(first), digits_of(second), strict=False))


def _addends(rng: Random, level: int) -> tuple[int, int]:
    """Two addends: without a carry, with a carry, with three digits."""
    if level == 3:
        first, second = rng.randint(100, 999), rng.randint(10, 999)
        return (first, second) if rng.random() < 0.5 else (second, first)
    while True:
        first, second = rng.randint(10, 99), rng.randint(1 if level == 1 else 5, 99)
        if _carries(first, second) == (level == 2):
            return first, second


def _minuend_and_subtrahend(rng: Random, level: int) -> tuple[int, int]:
    """Larger and smaller number: without a borrow, with a borrow, with three digits."""
    while True:
        if level == 3:
            first, second = rng.randint(101, 999), rng.randint(11, 998)
            if first > second:
                return first, second
            continue
        first, second = rng.randint(11, 99), rng.randint(1, 98)
        if first > second and _borrows(first, second) == (level == 2):
            return first, second


def addition(rng: Random, level: int) -> Task:
    """The sum of two numbers."""
    a, b = _addends(rng, level)
    prompt = rng.choice(_questions().addition).format(a=a, b=b)
    return _task("addition", level, prompt, addition_steps(a, b), a + b, [unordered_key("+", a, b)])


def subtraction(rng: Random, level: int) -> Task:
    """The difference of two numbers, never negative."""
    a, b = _minuend_and_subtrahend(rng, level)
    prompt = rng.choice(_questions().subtraction).format(a=a, b=b)
    return _task("subtraction", level, prompt, subtraction_steps(a, b), a - b, [operand_key("-", a, b)])


def multiplication(rng: Random, level: int) -> Task:
    """A number of two or three digits times a digit."""
    a = rng.randint(100, 999) if level == 3 else rng.randint(11, 99)
    b = rng.randint(2, 5) if level == 1 else rng.randint(6, 9) if level == 2 else rng.randint(2, 9)
    first, second = (a, b) if rng.random() < 0.7 else (b, a)
    prompt = rng.choice(_questions().multiplication).format(a=first, b=second)
    return _task("multiplication", level, prompt, multiplication_steps(a, b), a * b, [unordered_key("×", a, b)])


def division(rng: Random, level: int) -> Task:
    """A number of two or three digits divided by a digit, without remainder."""
    b = rng.randint(2, 5) if level == 2 else rng.randint(6, 9) if level == 3 else rng.randint(2, 9)
    a = b * (rng.randint(3, 99 // b) if level == 1 else rng.randint(99 // b + 1, 999 // b))
    prompt = rng.choice(_questions().division).format(a=a, b=b)
    return _task("division", level, prompt, division_steps(a, b), a // b, [operand_key("÷", a, b)])


def remainder(rng: Random, level: int) -> Task:
    """What is left after dividing: quotient of one digit, of two digits, of two or three digits."""
    b = rng.randint(3, 9)
    low, high = {1: (b + 1, 10 * b - 1), 2: (10 * b, 10 * b + 99), 3: (200, 999)}[level]
    a = rng.randint(low, high)
    prompt = rng.choice(_questions().remainder).format(a=a, b=b)
    keys = [operand_key("%", a, b)]
    if a % b == 0:
        keys.append(operand_key("÷", a, b))  # worked out like this division
    return _task("remainder", level, prompt, division_steps(a, b), a % b, keys)


def missing_operand(rng: Random, level: int) -> Task:
    """The number in the box: of a sum or difference (levels 1, 2), also of a product (level 3)."""
    if level == 3:
        known = rng.randint(2, 9)
        missing = rng.randint(12, 199)
        total, operator = known * missing, "÷"
        equation = rng.choice(("□×{k}={t}", "{k}×□={t}")).format(k=known, t=total)
        first, second, kind = total, known, "□×"
    elif rng.random() < 0.3:
        first, second = _addends(rng, level)
        missing, operator, kind = first + second, "+", "□-"
        equation = f"□-{first}={second}"
    else:
        first, second = _minuend_and_subtrahend(rng, level)
        missing, operator = first - second, "-"
        form = rng.choice(("□+{b}={a}", "{b}+□={a}", "{a}-□={b}"))
        kind = "□+"
        equation = form.format(a=first, b=second)
    prompt = rng.choice(_questions().missing_operand).format(e=equation)
    steps = f"{first}{operator}{second}：{written_steps(operator, first, second)}"
    key = unordered_key(kind, first, second) if operator == "+" else operand_key(kind, first, second)
    return _task("missing_operand", level, prompt, steps, missing, [key])


def _numbers_to_compare(rng: Random, level: int) -> list[int]:
    """Level 1 two numbers of two digits, level 2 of two or three, level 3 three numbers, or two of four digits."""
    if level == 1:
        return rng.sample(range(10, 100), 2)
    if level == 3 and rng.random() < 0.6:
        return rng.sample(range(10, 100), 3)
    low, high = (100, 999) if level == 2 else (1000, 9999)
    first = rng.randint(low, high)
    how = rng.random()
    if how < 0.25:
        second = rng.randint(low // 10, low - 1)
    elif how < 0.6:
        place = 10 ** rng.randint(1, len(str(low)) - 1)
        second = first // place * place + rng.randrange(place)
    else:
        second = rng.randint(low, high)
    if second == first:
        second = first - 1 if first > low else first + 1
    return [first, second] if rng.random() < 0.5 else [second, first]


def comparison(rng: Random, level: int) -> Task:
    """The largest or the smallest of two or three numbers."""
    numbers = _numbers_to_compare(rng, level)
    largest = rng.random() < 0.5
    pick = max if largest else min
    best, steps = numbers[0], []
    for number in numbers[1:]:
        steps.append(comparison_steps(best, number))
        best = pick(best, number)
    spoken = "、".join(map(str, numbers[:-1])) + rng.choice(("和", "、")) + str(numbers[-1])
    prompt = rng.choice(_questions().largest if largest else _questions().smallest).format(n=spoken)
    return _task("comparison", level, prompt, "；".join(steps), best, [unordered_key("<", *numbers)])


def sequence(rng: Random, level: int) -> Task:
    """The next number: rising by a digit; rising or falling by up to 12; by up to 25, or doubling."""
    kind = rng.choice({1: "+", 2: "+-", 3: "+-×"}[level])
    if kind == "×":
        start, difference = rng.randint(2, 36), 2
        numbers = [start * 2**index for index in range(4 if start <= 12 and rng.random() < 0.5 else 3)]
    else:
        start = rng.randint(1, {1: 40, 2: 50, 3: 60}[level])
        difference = rng.randint(*{1: (2, 9), 2: (2, 12), 3: (11, 25)}[level])
        rising = [start + difference * index for index in range(rng.choice((3, 4)) if level == 3 else 4)]
        numbers = rising if kind == "+" else [number + difference for number in reversed(rising)]
    # The step is worked out on the first two numbers, digit by digit: read off at a glance it is wrong too often.
    larger, smaller = max(numbers[:2]), min(numbers[:2])
    if kind == "×":
        step, answer = f"{smaller}×2：{multiplication_steps(smaller, 2)}，正好{larger}；每次乘2", numbers[-1] * 2
    else:
        word, answer = ("加", numbers[-1] + difference) if kind == "+" else ("减", numbers[-1] - difference)
        step = f"{larger}-{smaller}：{subtraction_steps(larger, smaller)}，差{difference}；每次{word}{difference}"
    steps = f"{step}，{numbers[-1]}{kind}{difference}：{written_steps(kind, numbers[-1], difference)}"
    prompt = rng.choice(_questions().sequence).format(n="，".join(map(str, numbers)))
    return _task("sequence", level, prompt, steps, answer, [operand_key("…" + kind, numbers[0], difference)])
