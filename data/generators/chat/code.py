"""One line of Python and what it does: the explanation is composed, the result is computed.

Like the workings of the tasks, an explanation takes steps of one fact each: what is computed is worked out digit by
digit, what is looked up or repeated is counted off one by one.
"""

from __future__ import annotations

from collections.abc import Callable
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

_ASK = (
    "这段代码输出什么？\n{}",
    "这行代码会输出什么？\n{}",
    "请解释这行代码。\n{}",
    "运行下面的代码会看到什么？\n{}",
    "{}\n这行代码的结果是什么？",
    "帮我看看这行代码：\n{}",
)
_WORDS = (
    "cat",
    "dog",
    "sun",
    "moon",
    "tree",
    "book",
    "rain",
    "star",
    "fish",
    "bird",
    "milk",
    "hello",
    "apple",
    "green",
)
# A snippet, its explanation, and the text it prints.
Snippet = tuple[str, str, str]


def _numbers(rng: Random, low: int = 3, high: int = 5) -> list[int]:
    return rng.sample(range(1, 10), rng.randint(low, high))


def _joined(numbers: list[int]) -> str:
    return "、".join(str(number) for number in numbers)


def _addition(rng: Random) -> Snippet:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return f"print({a} + {b})", f"print显示结果，{a}+{b}：{addition_steps(a, b)}", str(a + b)


def _product(rng: Random) -> Snippet:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    return f"print({a} * {b})", f"星号表示乘法，{a}×{b}={a * b}", str(a * b)


def _remainder(rng: Random) -> Snippet:
    b = rng.randint(2, 9)
    a = rng.randint(b + 1, 40)
    steps = f"{a}÷{b}：{division_steps(a, b)}"
    return f"print({a} % {b})", f"百分号求余数，{steps}，只要余数", str(a % b)


def _floor(rng: Random) -> Snippet:
    b = rng.randint(2, 9)
    a = rng.randint(b + 1, 40)
    steps = f"{a}÷{b}：{division_steps(a, b)}"
    return f"print({a} // {b})", f"两个斜杠是整除，{steps}，只要商", str(a // b)


def _power(rng: Random) -> Snippet:
    a, b = rng.randint(2, 9), rng.randint(2, 3)
    steps = f"{a}×{a}={a * a}" + (f"；{a * a}×{a}：{multiplication_steps(a * a, a)}" if b == 3 else "")
    return f"print({a} ** {b})", f"两个星号表示乘方，{b}个{a}相乘，{'×'.join([str(a)] * b)}，{steps}", str(a**b)


def _length(rng: Random) -> Snippet:
    values = _numbers(rng, 2, 6)
    return f"print(len({values}))", f"len求列表的长度，列表里有{len(values)}个数", str(len(values))


def _word_length(rng: Random) -> Snippet:
    word = rng.choice(_WORDS)
    return (
        f'print(len("{word}"))',
        f"len求字符串的长度，{'、'.join(word)}一共{len(word)}个字母",
        str(len(word)),
    )


def _total(rng: Random) -> Snippet:
    values = rng.sample(range(1, 10), 3)
    first, second, third = values
    steps = f"{first}+{second}={first + second}，{first + second}+{third}={sum(values)}"
    return f"print(sum({values}))", f"sum把列表里的数加起来，{steps}", str(sum(values))


def _largest(rng: Random) -> Snippet:
    values = _numbers(rng)
    return (
        f"print(max({values}))",
        f"max找出最大的数，{_joined(values)}里最大的是{max(values)}",
        str(max(values)),
    )


def _smallest(rng: Random) -> Snippet:
    values = _numbers(rng)
    return (
        f"print(min({values}))",
        f"min找出最小的数，{_joined(values)}里最小的是{min(values)}",
        str(min(values)),
    )


def _item(rng: Random) -> Snippet:
    values = _numbers(rng)
    index = rng.randrange(min(3, len(values)))
    return (
        f"print({values}[{index}])",
        "下标从0数起，" + "，".join(f"下标{place}是{value}" for place, value in enumerate(values[: index + 1])),
        str(values[index]),
    )


def _last_item(rng: Random) -> Snippet:
    values = _numbers(rng)
    return f"print({values}[-1])", f"下标-1表示最后一个元素，也就是{values[-1]}", str(values[-1])


def _sorted(rng: Random) -> Snippet:
    values = rng.sample(range(1, 10), 3)
    return f"print(sorted({values}))", "sorted把列表从小到大排好", str(sorted(values))


def _repeat(rng: Random) -> Snippet:
    word, times = rng.choice(_WORDS), rng.randint(2, 4)
    counted = "，".join(f"第{time}次{word}" for time in range(1, times + 1))
    return f'print("{word}" * {times})', f"字符串乘以{times}，就是重复{times}次，{counted}", word * times


def _concatenate(rng: Random) -> Snippet:
    a, b = rng.sample(_WORDS, 2)
    return f'print("{a}" + "{b}")', f"加号把两个字符串连起来，{a}后面接上{b}", a + b


def _upper(rng: Random) -> Snippet:
    word = rng.choice(_WORDS)
    return f'print("{word}".upper())', "upper把字母变成大写", word.upper()


def _counted(numbers: range) -> str:
    """Every number of the range against its end, and the end itself: ``3<5，4<5，5不小于5就停``."""
    return "，".join([f"{number}<{numbers.stop}" for number in numbers] + [f"{numbers.stop}不小于{numbers.stop}就停"])


def _loop(rng: Random) -> Snippet:
    stop = rng.randint(2, 6)
    shown = _joined(list(range(stop)))
    return (
        f"for i in range({stop}): print(i)",
        f"i从0开始，每次加1，{_counted(range(stop))}",
        shown,
    )


def _loop_from(rng: Random) -> Snippet:
    start = rng.randint(1, 9)
    stop = start + rng.randint(2, 4)
    shown = _joined(list(range(start, stop)))
    return (
        f"for i in range({start}, {stop}): print(i)",
        f"i从{start}开始，每次加1，{_counted(range(start, stop))}",
        shown,
    )


def _assignment(rng: Random) -> Snippet:
    a, b = rng.randint(1, 20), rng.randint(1, 9)
    return f"x = {a}; x = x + {b}; print(x)", f"x先等于{a}，再加{b}，{a}+{b}：{addition_steps(a, b)}", str(a + b)


def _greater(rng: Random) -> Snippet:
    a, b = rng.sample(range(1, 50), 2)
    verdict = "成立" if a > b else "不成立"
    return f"print({a} > {b})", f"大于号比较两个数，{comparison_steps(a, b)}，{a}>{b}{verdict}", str(a > b)


def _equal(rng: Random) -> Snippet:
    a = rng.randint(1, 30)
    b = a if rng.random() < 0.5 else rng.randint(1, 30)
    return (
        f"print({a} == {b})",
        f"两个等号比较是否相等，{comparison_steps(a, b)}，{'相等' if a == b else '不相等'}",
        str(a == b),
    )


def _membership(rng: Random) -> Snippet:
    values = _numbers(rng, 3, 4)
    wanted = rng.choice(values) if rng.random() < 0.5 else rng.randint(1, 9)
    found = wanted in values
    looked_at = values[: values.index(wanted)] if found else values
    looked = "，".join([f"{value}不是{wanted}" for value in looked_at] + [f"{wanted}是{wanted}"] * found)
    return (
        f"print({wanted} in {values})",
        f"in判断元素在不在列表里，{looked}，{wanted}{'在' if found else '不在'}里面",
        str(found),
    )


def _append(rng: Random) -> Snippet:
    values = _numbers(rng, 2, 3)
    new = rng.randint(1, 9)
    return f"a = {values}; a.append({new}); print(a)", f"append在末尾的{values[-1]}后面加上{new}", str([*values, new])


def _comprehension(rng: Random) -> Snippet:
    values, factor = rng.sample(range(1, 10), 3), rng.randint(2, 5)
    return (
        f"print([n * {factor} for n in {values}])",
        f"列表推导式把每个数乘以{factor}，" + "，".join(f"{value}×{factor}={value * factor}" for value in values),
        str([value * factor for value in values]),
    )


# Each kind with its share of the training dialogues: what has to be copied or counted takes more practice than one fact.
SNIPPETS: dict[Callable[[Random], Snippet], int] = {
    _addition: 3,
    _product: 2,
    _remainder: 2,
    _floor: 2,
    _power: 2,
    _length: 1,
    _word_length: 1,
    _total: 2,
    _largest: 2,
    _smallest: 2,
    _item: 2,
    _last_item: 1,
    _sorted: 1,
    _repeat: 2,
    _concatenate: 3,
    _upper: 1,
    _loop: 1,
    _loop_from: 3,
    _assignment: 2,
    _greater: 2,
    _equal: 2,
    _membership: 2,
    _append: 3,
    _comprehension: 2,
}


def code_record(rng: Random, split: str) -> dict[str, Any]:
    """One dialogue that explains a line of Python; training has no held-out line, and no step that is a held-out task."""
    kinds = tuple(SNIPPETS)
    practice = [kind for kind, share in SNIPPETS.items() for _ in range(share)]
    while True:
        # Practised by share, judged on all kinds alike.
        code, explanation, printed = rng.choice(practice if split == "train" else kinds)(rng)
        if split_of("code", code) == split and (split == "heldout" or not shows_reserved(explanation)):
            break
    answer = f"{explanation}，所以输出{printed}。"
    record: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": rng.choice(_ASK).format(code)},
            {"role": "assistant", "content": answer},
        ],
        "category": "code",
    }
    if split == "heldout":
        record["rubric"] = {"must": [[f"输出{printed}。"]], "must_not": []}
    return record
