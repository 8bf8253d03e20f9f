"""One line of Python and what it does: the explanation is composed, the result is computed.

Like the workings of the tasks, an explanation takes steps of one fact each: what is computed is worked out digit by
digit, what is looked up or repeated is counted off one by one. The lines and their explanations are in
``data/sources/chat_code.json``; here every kind draws the words of its line: {steps}, what it prints as {printed}, and
whatever else the line and its explanation name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.topics import split_of
from data.generators.tasks.reserved import shows_reserved
from data.generators.tasks.written_arithmetic import (
    addition_steps,
    comparison_steps,
    division_steps,
    multiplication_steps,
)
from data.source_files import load_source

Words = dict[str, Any]


@dataclass(frozen=True)
class Snippet:
    """A line of Python and its explanation, both templates."""

    code: str
    explanation: str


@dataclass(frozen=True)
class Wordings:
    """How to ask about a line, the words that occur in lines, and the kinds of lines."""

    questions: tuple[str, ...]
    words: tuple[str, ...]
    snippets: dict[str, Snippet]

    def __post_init__(self) -> None:
        if self.snippets.keys() != SNIPPETS.keys():
            raise ValueError(f"the kinds of snippets should be {', '.join(SNIPPETS)}")


def _wordings() -> Wordings:
    return load_source("chat_code", Wordings)


def _word(rng: Random) -> str:
    return rng.choice(_wordings().words)


def _numbers(rng: Random, low: int = 3, high: int = 5) -> list[int]:
    return rng.sample(range(1, 10), rng.randint(low, high))


def _joined(numbers: list[int]) -> str:
    return "、".join(str(number) for number in numbers)


def _addition(rng: Random) -> Words:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return {"a": a, "b": b, "steps": addition_steps(a, b), "printed": a + b}


def _product(rng: Random) -> Words:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    return {"a": a, "b": b, "printed": a * b}


def _division(rng: Random) -> tuple[int, int]:
    b = rng.randint(2, 9)
    return rng.randint(b + 1, 40), b


def _remainder(rng: Random) -> Words:
    a, b = _division(rng)
    return {"a": a, "b": b, "steps": division_steps(a, b), "printed": a % b}


def _floor(rng: Random) -> Words:
    a, b = _division(rng)
    return {"a": a, "b": b, "steps": division_steps(a, b), "printed": a // b}


def _power(rng: Random) -> Words:
    a, b = rng.randint(2, 9), rng.randint(2, 3)
    steps = f"{'×'.join([str(a)] * b)}，{a}×{a}={a * a}"
    steps += f"；{a * a}×{a}：{multiplication_steps(a * a, a)}" if b == 3 else ""
    return {"a": a, "b": b, "steps": steps, "printed": a**b}


def _length(rng: Random) -> Words:
    values = _numbers(rng, 2, 6)
    return {"values": values, "printed": len(values)}


def _word_length(rng: Random) -> Words:
    word = _word(rng)
    return {"word": word, "letters": "、".join(word), "printed": len(word)}


def _total(rng: Random) -> Words:
    values = rng.sample(range(1, 10), 3)
    first, second, third = values
    steps = f"{first}+{second}={first + second}，{first + second}+{third}={sum(values)}"
    return {"values": values, "steps": steps, "printed": sum(values)}


def _largest(rng: Random) -> Words:
    values = _numbers(rng)
    return {"values": values, "joined": _joined(values), "printed": max(values)}


def _smallest(rng: Random) -> Words:
    values = _numbers(rng)
    return {"values": values, "joined": _joined(values), "printed": min(values)}


def _item(rng: Random) -> Words:
    values = _numbers(rng)
    index = rng.randrange(min(3, len(values)))
    steps = "，".join(f"下标{place}是{value}" for place, value in enumerate(values[: index + 1]))
    return {"values": values, "index": index, "steps": steps, "printed": values[index]}


def _last_item(rng: Random) -> Words:
    values = _numbers(rng)
    return {"values": values, "printed": values[-1]}


def _sorted(rng: Random) -> Words:
    values = rng.sample(range(1, 10), 3)
    return {"values": values, "printed": sorted(values)}


def _repeat(rng: Random) -> Words:
    word, times = _word(rng), rng.randint(2, 4)
    steps = "，".join(f"第{time}次{word}" for time in range(1, times + 1))
    return {"word": word, "times": times, "steps": steps, "printed": word * times}


def _concatenate(rng: Random) -> Words:
    a, b = rng.sample(_wordings().words, 2)
    return {"a": a, "b": b, "printed": a + b}


def _upper(rng: Random) -> Words:
    word = _word(rng)
    return {"word": word, "printed": word.upper()}


def _counted(numbers: range) -> str:
    """Every number of the range against its end, and the end itself: ``3<5，4<5，5不小于5就停``."""
    return "，".join([f"{number}<{numbers.stop}" for number in numbers] + [f"{numbers.stop}不小于{numbers.stop}就停"])


def _loop(rng: Random) -> Words:
    stop = rng.randint(2, 6)
    return {"stop": stop, "steps": _counted(range(stop)), "printed": _joined(list(range(stop)))}


def _loop_from(rng: Random) -> Words:
    start = rng.randint(1, 9)
    stop = start + rng.randint(2, 4)
    numbers = range(start, stop)
    return {"start": start, "stop": stop, "steps": _counted(numbers), "printed": _joined(list(numbers))}


def _assignment(rng: Random) -> Words:
    a, b = rng.randint(1, 20), rng.randint(1, 9)
    return {"a": a, "b": b, "steps": addition_steps(a, b), "printed": a + b}


def _greater(rng: Random) -> Words:
    a, b = rng.sample(range(1, 50), 2)
    verdict = "成立" if a > b else "不成立"
    return {"a": a, "b": b, "steps": comparison_steps(a, b), "verdict": verdict, "printed": a > b}


def _equal(rng: Random) -> Words:
    a = rng.randint(1, 30)
    b = a if rng.random() < 0.5 else rng.randint(1, 30)
    verdict = "相等" if a == b else "不相等"
    return {"a": a, "b": b, "steps": comparison_steps(a, b), "verdict": verdict, "printed": a == b}


def _membership(rng: Random) -> Words:
    values = _numbers(rng, 3, 4)
    wanted = rng.choice(values) if rng.random() < 0.5 else rng.randint(1, 9)
    found = wanted in values
    looked_at = values[: values.index(wanted)] if found else values
    steps = "，".join([f"{value}不是{wanted}" for value in looked_at] + [f"{wanted}是{wanted}"] * found)
    return {"wanted": wanted, "values": values, "steps": steps, "verdict": "在" if found else "不在", "printed": found}


def _append(rng: Random) -> Words:
    values = _numbers(rng, 2, 3)
    new = rng.randint(1, 9)
    return {"values": values, "new": new, "last": values[-1], "printed": [*values, new]}


def _comprehension(rng: Random) -> Words:
    values, factor = rng.sample(range(1, 10), 3), rng.randint(2, 5)
    steps = "，".join(f"{value}×{factor}={value * factor}" for value in values)
    return {"factor": factor, "values": values, "steps": steps, "printed": [value * factor for value in values]}


# What draws each kind, and its share of the training dialogues: what has to be copied or counted takes more practice
# than one fact.
SNIPPETS: dict[str, tuple[Callable[[Random], Words], int]] = {
    "addition": (_addition, 3),
    "product": (_product, 2),
    "remainder": (_remainder, 2),
    "floor": (_floor, 2),
    "power": (_power, 2),
    "length": (_length, 1),
    "word_length": (_word_length, 1),
    "total": (_total, 2),
    "largest": (_largest, 2),
    "smallest": (_smallest, 2),
    "item": (_item, 2),
    "last_item": (_last_item, 1),
    "sorted": (_sorted, 1),
    "repeat": (_repeat, 2),
    "concatenate": (_concatenate, 3),
    "upper": (_upper, 1),
    "loop": (_loop, 1),
    "loop_from": (_loop_from, 3),
    "assignment": (_assignment, 2),
    "greater": (_greater, 2),
    "equal": (_equal, 2),
    "membership": (_membership, 2),
    "append": (_append, 3),
    "comprehension": (_comprehension, 2),
}


def draw(rng: Random, name: str) -> tuple[str, str, str]:
    """A line of the kind ``name``, its explanation, and the text it prints."""
    words, snippet = SNIPPETS[name][0](rng), _wordings().snippets[name]
    return snippet.code.format(**words), snippet.explanation.format(**words), str(words["printed"])


def code_record(rng: Random, split: str) -> dict[str, Any]:
    """One dialogue that explains a line of Python.

    Training has no held-out line, and no step that is a held-out task.
    """
    kinds = tuple(SNIPPETS)
    practice = [kind for kind, (_, share) in SNIPPETS.items() for _ in range(share)]
    while True:
        # Practised by share, judged on all kinds alike.
        code, explanation, printed = draw(rng, rng.choice(practice if split == "train" else kinds))
        if split_of("code", code) == split and (split == "heldout" or not shows_reserved(explanation)):
            break
    answer = f"{explanation}，所以输出{printed}。"
    record: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": rng.choice(_wordings().questions).format(code)},
            {"role": "assistant", "content": answer},
        ],
        "category": "code",
    }
    if split == "heldout":
        record["rubric"] = {"must": [[f"输出{printed}。"]], "must_not": []}
    return record
