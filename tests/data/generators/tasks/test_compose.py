"""The task families: deterministic, disjoint between splits, correct, and short enough to be learned."""

from __future__ import annotations

import re
from random import Random

import pytest

from data.generators.tasks.compose import (
    FAMILIES,
    LEVELS,
    draw,
    family_weights,
    generate,
    rlvf_records,
    sft_records,
    short_answer,
)
from data.generators.tasks.core import SPLITS, in_split
from data.generators.tasks.reserved import shows_reserved
from scratchgpt.verify.verifiers import verifier_for

COUNT = 60
TASKS = {split: generate(5, COUNT, split) for split in SPLITS}
ALL = [task for tasks in TASKS.values() for task in tasks]


def as_record(task):
    return {
        "type": task.type,
        "prompt": task.prompt,
        "expected_answer": task.expected_answer,
        "keywords": task.keywords,
    }


def test_every_equation_in_a_working_is_true():
    equations = 0
    for task in ALL:
        for left, right in re.findall(r"(?<![\d÷])(\d+(?:[+×-]\d+)+)=(\d+)", task.working):
            assert eval(left.replace("×", "*")) == int(right), task
            equations += 1
        for dividend, divisor, quotient, rest in re.findall(r"(\d+)÷(\d+)=(\d+)余(\d+)", task.working):
            assert divmod(int(dividend), int(divisor)) == (int(quotient), int(rest)), task
            equations += 1
        for left, sign, right in re.findall(r"(\d+)([<>])(\d+)", task.working):
            assert (int(left) < int(right)) == (sign == "<"), task
    assert equations > 2000


@pytest.mark.parametrize("family", ["addition", "subtraction", "multiplication", "division", "remainder"])
def test_answers_follow_from_the_operands(family):
    results = {
        "addition": lambda a, b: a + b,
        "subtraction": lambda a, b: a - b,
        "multiplication": lambda a, b: a * b,
        "division": lambda a, b: a / b,
        "remainder": lambda a, b: a % b,
    }
    for task in ALL:
        if task.family == family:
            first, second = map(int, task.keys[0].split(":")[1].split(","))
            assert int(task.expected_answer) == results[family](first, second)
            assert set(re.findall(r"\d+", task.prompt)) == {str(first), str(second)}


def test_weekday_and_clock_answers_agree_with_counting():
    for task in ALL:
        if task.family == "weekday":
            start, days, forwards = task.keys[0].split(":")[1].split(",")
            day = (int(start) - 1 + (1 if forwards == "True" else -1) * int(days)) % 7
            assert task.expected_answer == "周" + "一二三四五六日"[day]
        if task.family == "clock":
            said, length, back = task.keys[0].split(":")[1].split(",")
            hour, minute = re.fullmatch(r"(\d+)点(?:(\d+)分|整)", said).groups()
            total = 60 * int(hour) + int(minute or 0) + (-1 if back == "True" else 1) * int(length)
            expected = f"{total // 60}点" + (f"{total % 60}分" if total % 60 else "")
            assert task.expected_answer == expected


def test_orderings_follow_from_their_premises():
    for task in ALL:
        if task.family == "ordering":
            above = {}
            for left, right, word in re.findall(r"(小.)比(小.)(年龄大|年龄小|高|矮|重|轻|快|慢)", task.prompt):
                more = word in ("年龄大", "高", "重", "快")
                above.setdefault(left if more else right, set()).add(right if more else left)
            names = {name for pair in above.items() for name in (pair[0], *pair[1])}
            top = next(name for name in names if not any(name in below for below in above.values()))
            bottom = next(name for name in names if name not in above)
            wants_top = re.search(r"最(年龄大|高|重|快)", task.prompt) is not None
            assert task.expected_answer == (top if wants_top else bottom)


def test_splits_share_no_operands_and_no_prompt():
    keys = {split: {key for task in tasks for key in task.keys} for split, tasks in TASKS.items()}
    prompts = {split: {task.prompt for task in tasks} for split, tasks in TASKS.items()}
    for index, one in enumerate(SPLITS):
        for other in SPLITS[index + 1 :]:
            assert not keys[one] & keys[other]
            assert not prompts[one] & prompts[other]
    assert all(in_split(task.keys, split) for split, tasks in TASKS.items() for task in tasks)


@pytest.mark.parametrize("split", ["sft", "rlvf"])
def test_workings_to_train_on_show_no_reserved_operation(split: str) -> None:
    assert not [task.working for task in generate(5, 60, split) if shows_reserved(task.working)]


def test_generation_is_deterministic_distinct_and_balanced_over_levels():
    assert generate(5, 10, "rlvf") == generate(5, 10, "rlvf")
    assert generate(5, 10, "rlvf") != generate(6, 10, "rlvf")
    for tasks in TASKS.values():
        assert len({task.prompt for task in tasks}) == len(tasks) == COUNT * len(FAMILIES)
        for family in FAMILIES:
            for level in LEVELS:
                assert sum(task.family == family and task.level == level for task in tasks) == COUNT // 3


def test_an_exhausted_level_gives_none():
    seen: set[str] = set()
    rng = Random(0)
    while draw(rng, "weekday", 1, "heldout", seen) is not None:
        assert len(seen) < 5000
    assert seen


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="validation"):
        generate(0, 1, "validation")


def test_every_working_is_judged_right_and_every_changed_answer_wrong():
    finals: dict[str, set[str]] = {}
    for task in ALL:
        finals.setdefault(task.family, set()).add(task.working.split("，答案是")[1])
    for task in ALL:
        record = as_record(task)
        verifier = verifier_for(record)
        assert verifier.verify(record, task.working), task
        steps, final = task.working.split("，答案是")
        for wrong in sorted(finals[task.family] - {final})[:3]:
            assert not verifier.verify(record, f"{steps}，答案是{wrong}"), (task, wrong)


def test_workings_end_in_the_fixed_form_and_stay_short():
    for task in ALL:
        quoted = (
            f"“{task.expected_answer}”" if task.expected_answer in ("是", "否", "不能确定") else task.expected_answer
        )
        assert task.working.endswith(f"，答案是{quoted}。")
        assert len(task.working) <= 90, task
        assert len(task.prompt) <= 80, task


def test_sft_records_have_the_agreed_shape_and_mixture():
    records = sft_records(1, 700)
    assert records == sft_records(1, 700)
    worked = [record for record in records if not record["messages"][1]["content"].startswith("答案是")]
    assert len(worked) == 700
    for family, share in family_weights().items():
        assert abs(sum(record["family"] == family for record in worked) - 700 * share) <= 1
    for record in records:
        user, assistant = record["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert record["category"] in ("math", "logic") and record["source"] == "generated"
    assert len({record["family"] for record in records[:100]}) == len(FAMILIES)


def test_simple_sums_come_with_their_working_and_without():
    families, prompts = {}, []
    for record in sft_records(1, 3000):
        user, assistant = (message["content"] for message in record["messages"])
        prompts.append(user)
        kinds = families.setdefault(record["family"], {True: 0, False: 0})
        kinds[assistant.startswith("答案是")] += 1
    assert len(set(prompts)) == len(prompts)
    for family, kinds in families.items():
        simple = family in ("addition", "subtraction", "multiplication", "missing_operand", "word_problem")
        assert kinds[True] == (kinds[False] * 13 // 10 if simple else 0), family


def test_a_short_answer_is_the_end_of_the_working():
    task = next(task for task in generate(3, 5, "sft") if task.family == "addition")
    assert short_answer(task) == f"答案是{task.expected_answer}。"


def test_rlvf_records_have_the_agreed_shape():
    records = rlvf_records(1, 500, "heldout")
    assert len(records) == 500
    for record in records:
        wanted = [
            "type",
            "prompt",
            "expected_answer",
            *(["keywords"] if record["type"] == "logic" else []),
            "family",
            "level",
        ]
        assert list(record) == wanted
        assert verifier_for(record).verify(record, str(record["expected_answer"]))
