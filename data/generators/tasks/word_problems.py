"""Word problems: hand-written situations of one and two steps, filled with names, things and numbers.

A template is a text and the operations that solve it from left to right: ``"×-"`` means (a × b) - c. The texts use
{x} and {y} for people, {i} for a thing and {m} for its measure word, {a}, {b}, {c} for the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from data.generators.tasks.core import Task, operand_key, unordered_key
from data.generators.tasks.written_arithmetic import value_of, written_steps
from data.source_files import load_source


@dataclass(frozen=True)
class WordProblems:
    """Names of children, things with their measure words, and the problems as pairs of a text and its operations."""

    names: tuple[str, ...]
    things: tuple[tuple[str, str], ...]
    one_step: tuple[tuple[str, str], ...]
    two_steps: tuple[tuple[str, str], ...]


def problems() -> WordProblems:
    """The hand-written situations."""
    return load_source("task_word_problems", WordProblems)


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
    written = problems()
    text, operators = rng.choice(written.two_steps if level == 3 else written.one_step)
    third = None
    while True:
        first, second = _first_operands(rng, operators[0], level)
        value = value_of(operators[0], first, second)
        if level < 3:
            break
        third = _third_operand(rng, operators[1], value)
        if third is not None:
            break
    x, y = rng.sample(written.names, 2)
    thing, measure = rng.choice(written.things)
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
