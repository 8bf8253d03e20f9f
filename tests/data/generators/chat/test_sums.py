"""The everyday sums of the chat: true in every step, right by a second computation, disjoint between the splits."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from data.generators.chat import sums
from data.generators.chat.sums import draw, sum_record, written
from data.generators.tasks.core import operand_key, split_of
from data.generators.tasks.reserved import is_reserved

TRAINING = [sum_record(Random(f"sums {index}"), "train") for index in range(2000)]
HELD_OUT = [sum_record(Random(f"sums {index}"), "heldout") for index in range(600)]
# The answer of a kind from the numbers its question shows: smallest first, except where the order tells which is which.
FROM_NUMBERS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("area", "cost", "several", "times", "distance"), lambda a, b: a * b),
    **dict.fromkeys(("two_goods", "age_later", "elder_age"), lambda a, b: a + b),
    **dict.fromkeys(("age_gap", "age_ago", "queue_behind"), lambda a, b: b - a),
    **dict.fromkeys(("basket", "two_takings"), lambda a, b, c: c - b - a),
    **dict.fromkeys(("share", "groups"), lambda a, b: b / a),
    **{"perimeter": lambda a, b: a + a + b + b, "square_perimeter": lambda a: 4 * a, "square_area": lambda a: a * a},
    **{"change": lambda a, b, c: c - a * b, "leftover": lambda a, b: b % a, "half": lambda a: a / 2, "double": lambda a: a + a},
    **{"queue_total": lambda a, b: a + b + 1, "queue_both": lambda a, b: a + b - 1, "queue_place": lambda a: f"第{a + 1}"},
    **{"pattern": lambda a, b, c, d: d + d - c, "off_and_on": lambda a, b, c: a - b + c},
    "divisible": lambda *numbers: "不能" if max(numbers) % 2 else "能",
}
LEGS = {2: "鸡|鸭子|鹅|鸽子|麻雀", 4: "兔子|小狗|猫|牛|羊|马|猪|青蛙", 6: "蚂蚁|蜜蜂|蝴蝶", 8: "蜘蛛"}
UNITS = {"米 厘米": 100, "米 分米": 10, "厘米 毫米": 10, "元 角": 10, "角 分": 10, "小时 分钟": 60, "分钟 秒": 60}
UNITS |= {"天 小时": 24, "个星期 天": 7, "年 个月": 12, "千克 克": 1000, "千米 米": 1000}
UNIT_WORDS = "|".join(sorted({word for pair in UNITS for word in pair.split()}, key=len, reverse=True))


def tallest(question: str) -> str:
    """The one of three who is the most of what is asked, from the relations alone: who beats most less who is beaten."""
    sense = next(sense for sense in written().senses if re.search(f"最({sense.more}|{sense.less})", question))
    more, less, name = sense.more, sense.less, f"({'|'.join(sense.names or written().people)})"
    turned = re.findall(f"{name}比{name}{less}", question) + re.findall(f"{name}没有{name}{more}", question)
    above = re.findall(f"{name}比{name}{more}", question) + [(b, a) for a, b in turned]
    score = {one: sum((one == left) - (one == right) for left, right in above) for pair in above for one in pair}
    return (max if f"最{more}" in question else min)(score, key=lambda one: score[one])


def recomputed(name: str, question: str) -> object:
    """The answer to a question of the kind ``name``, found in another way than the generator's."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    if name in ("precedence", "brackets"):
        said = re.sub(r"(\d+[加减]\d+)的[和差]", r"(\1)", question)
        for spoken, sign in zip(("除以", "加", "减", "乘", "×", "÷"), "/+-**/", strict=True):
            said = said.replace(spoken, sign)
        return eval(max(re.findall(r"[\d+*/() -]+", said), key=len).strip())
    if name in ("legs", "legs_of_two"):
        counts = {legs: re.findall(rf"(\d+)[只头匹](?:{LEGS[legs]})", question) for legs in LEGS}
        return sum(legs * sum(map(int, counts[legs])) for legs in LEGS) or numbers[0] * numbers[1]
    if name in ("to_smaller", "to_larger", "mixed_unit"):
        size = next(UNITS[pair] for pair in UNITS if set(pair.split()) == set(re.findall(UNIT_WORDS, question)))
        return numbers[0] / size if name == "to_larger" else sum([numbers[0] * size, *numbers[1:]])
    if name == "digit":
        return str(numbers[0])[-1 - "个十百".index(re.findall("([个十百])位", question)[0])]
    if name == "is_even":
        return "是" if (numbers[0] % 2 == 0) == bool(re.search("[偶双]数", question)) else "不是"
    if name in ("older", "which_more"):
        owned = {person: int(number) for person, number in re.findall(rf"({'|'.join(written().people)})[^\d，？]*?(\d+)", question)}
        pick = min if name == "which_more" and "少" in question else max
        return pick(owned, key=lambda one: owned[one]) + f"大{max(numbers) - min(numbers)}岁" * (name == "older")
    ordered = numbers if name in ("pattern", "off_and_on") else sorted(numbers)
    return tallest(question) if name == "tallest" else FROM_NUMBERS[name](*ordered)


def false_steps(working: str) -> list[Any]:
    """The equations and comparisons of a working that do not hold."""
    equations = re.findall(r"(?<![\d÷])(\d+(?:[+×-]\d+)+)=(\d+)", working)
    wrong: list[Any] = [found for found in equations if eval(found[0].replace("×", "*")) != int(found[1])]
    rests = re.findall(r"(\d+)÷(\d+=\d+余\d+)", working)
    wrong += [(a, b) for a, b in rests if int(a) != eval(re.sub("(.+)=(.+)余(.+)", r"\1*\2+\3", b))]
    wrong += [(a, b) for a, sign, b in re.findall(r"(\d+)([<>])(\d+)", working) if (int(a) < int(b)) != (sign == "<")]
    return wrong + [gap for gap in re.findall(r"(\d+)-(\d+)：[^：]*差(\d+)", working) if int(gap[0]) - int(gap[1]) != int(gap[2])]


def operations(record: dict[str, Any]) -> list[tuple[str, int, int]]:
    found = re.findall(r"(\d+)([+×÷-])(\d+)：", record["messages"][1]["content"])
    return [("%" if sign == "÷" and int(a) % int(b) else sign, int(a), int(b)) for a, sign, b in found]


@pytest.mark.parametrize("name", written().kinds)
def test_answers_agree_with_a_second_computation(name: str) -> None:
    assert all(map(false_steps, ("6×5：个位6×5=31", "13÷5=2余2", "17<5", "9-4：个位9-4=5，差4")))
    assert 6 <= len(set(written().kinds[name].questions)) <= 10
    for seed in range(80):
        question, working, answer, keys = draw(Random(seed), name)
        expected = recomputed(name, question)
        assert answer == (str(int(expected)) if isinstance(expected, (int, float)) else expected), question
        assert working.endswith(f"，答案是{answer}。") and not false_steps(working), (question, working)
        assert keys


def test_no_reserved_operation_is_trained() -> None:
    assert sum(len(operations(record)) for record in TRAINING) > 2000
    assert not [found for record in TRAINING for found in operations(record) if is_reserved(*found)]
    numbers = [number for record in TRAINING for number in re.findall(r"(\d+)的个位是", record["messages"][1]["content"])]
    assert numbers and not [number for number in numbers if split_of(operand_key("parity", number)) == "heldout"]
    assert sum(any(is_reserved(*found) for found in operations(record)) for record in HELD_OUT) > 300


def test_splits_share_no_question_and_no_working() -> None:
    for role in (0, 1):
        trained = {record["messages"][role]["content"] for record in TRAINING}
        assert len(trained) > 1500 and not trained & {record["messages"][role]["content"] for record in HELD_OUT}


def test_records_are_determined_by_the_seed_and_only_held_out_ones_carry_a_rubric() -> None:
    assert TRAINING[:50] == [sum_record(Random(f"sums {index}"), "train") for index in range(50)]
    assert not any("rubric" in record for record in TRAINING)
    assert {record["category"] for record in TRAINING} == {record["category"] for record in HELD_OUT} == {"math", "logic"}
    for record in HELD_OUT:
        assert all(any(key in record["messages"][1]["content"] for key in keys) for keys in record["rubric"]["must"])


def test_no_question_comes_twice_and_an_impossible_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    records = sums.sum_records(1, 300, "train")
    assert records == sums.sum_records(1, 300, "train") != sums.sum_records(2, 300, "train")
    assert len({record["messages"][0]["content"] for record in records}) == 300
    monkeypatch.setattr(sums, "sum_record", lambda rng, split: records[0])
    with pytest.raises(ValueError, match="only 1 different train sums can be composed, not 2"):
        sums.sum_records(1, 2, "train")


def test_every_way_to_draw_numbers_is_used_and_an_unknown_one_is_refused() -> None:
    assert {kind.numbers for kind in written().kinds.values()} == set(sums.NUMBERS)
    with pytest.raises(ValueError, match=r"numbers should be one of product, .*, but is guess"):
        sums.Kind("guess", ("?",), ("|1+1",))
