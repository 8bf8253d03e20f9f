"""Tasks with checkable answers: the table of families, and the training and held-out records made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from data.generators.tasks.core import SPLITS, Task, in_split
from data.generators.tasks.logic import clock, ordering, parity, syllogism, weekday
from data.generators.tasks.math import (
    addition,
    comparison,
    division,
    missing_operand,
    multiplication,
    remainder,
    sequence,
    subtraction,
)
from data.generators.tasks.reserved import shows_reserved
from data.generators.tasks.word_problems import word_problem

__all__ = ["FAMILIES", "LEVELS", "Task", "draw", "family_weights", "generate", "rlvf_records", "sft_records",
           "short_answer"]

LEVELS = (1, 2, 3)
FAMILIES: Mapping[str, Callable[[Random, int], Task]] = {
    "addition": addition,
    "subtraction": subtraction,
    "multiplication": multiplication,
    "division": division,
    "remainder": remainder,
    "missing_operand": missing_operand,
    "word_problem": word_problem,
    "comparison": comparison,
    "sequence": sequence,
    "parity": parity,
    "weekday": weekday,
    "clock": clock,
    "syllogism": syllogism,
    "ordering": ordering,
}

# Parts of the supervised examples: the families that take longest to learn get the most practice.
_PRACTICE: Mapping[str, int] = dict.fromkeys(FAMILIES, 2) | {
    "comparison": 4,
    "remainder": 3,
    "sequence": 3,
    "clock": 3,
    "ordering": 3,
    "parity": 1,
    "syllogism": 1,
}
# Simple sums are mostly answered straight out, as people do when asked in passing, and only sometimes worked out:
# so many short answers come on every ten with their working. The last stage finds out which of the two pays.
_SHORT: Mapping[str, int] = dict.fromkeys(
    ("addition", "subtraction", "multiplication", "missing_operand", "word_problem"), 13
)
# Draws without a new task of the wanted split after which a level counts as exhausted. The rarest split is hit by
# one draw in 44, so this is no matter of bad luck.
_PATIENCE = 3000


def draw(rng: Random, family: str, level: int, split: str, seen: set[str]) -> Task | None:
    """One task of ``split`` whose prompt is not in ``seen`` (and adds it), or None when none can be found."""
    for _ in range(_PATIENCE):
        task = FAMILIES[family](rng, level)
        # A step of a longer working may not give away a held-out task either.
        if split != "heldout" and shows_reserved(task.working):
            continue
        if task.prompt not in seen and in_split(task.keys, split):
            seen.add(task.prompt)
            return task
    return None


def _family_tasks(seed: int, family: str, count: int, split: str) -> list[Task]:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    rng = Random(f"tasks {seed} {family} {split}")
    tasks: list[Task] = []
    seen: set[str] = set()
    levels = list(LEVELS)
    while len(tasks) < count and levels:
        level = levels[len(tasks) % len(levels)]
        task = draw(rng, family, level, split, seen)
        if task is None:
            levels.remove(level)
        else:
            tasks.append(task)
    return tasks


def generate(seed: int, count_per_family: int, split: str) -> list[Task]:
    """``count_per_family`` tasks of every family, prompts all different, the levels in equal parts.

    ``split`` is "sft", "rlvf" or "heldout"; no operands or entities occur in two of them. A family gives fewer
    only when all its levels are exhausted. The same arguments always give the same list. Raises ValueError on an
    unknown split.
    """
    return [task for family in FAMILIES for task in _family_tasks(seed, family, count_per_family, split)]


def family_weights() -> dict[str, float]:
    """The share of each family in ``sft_records``; the shares add up to 1."""
    total = sum(_PRACTICE.values())
    return {family: weight / total for family, weight in _PRACTICE.items()}


def sft_records(seed: int, count: int) -> list[dict[str, object]]:
    """Single-turn dialogues from the "sft" split, shuffled: ``count`` with the working as the answer, and short ones.

    Families are mixed by ``family_weights``; simple sums come in addition with nothing but the answer. Each record
    has "messages", "category" ("math" or "logic"), "family" and "source".
    """
    records: list[dict[str, object]] = []
    bound, given = 0.0, 0
    for family, share in family_weights().items():
        bound += share * count
        worked = round(bound) - given
        given += worked
        drawn = _family_tasks(seed, family, worked + worked * _SHORT.get(family, 0) // 10, "sft")
        records += [_dialogue(task, task.working) for task in drawn[:worked]]
        records += [_dialogue(task, short_answer(task)) for task in drawn[worked:]]
    Random(f"order {seed}").shuffle(records)
    return records


def short_answer(task: Task) -> str:
    """The end of the working: the answer and nothing else."""
    return task.working[task.working.rindex("答案是") :]


def _dialogue(task: Task, answer: str) -> dict[str, object]:
    messages = [{"role": "user", "content": task.prompt}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "category": task.type, "source": "generated", "family": task.family}


def rlvf_records(seed: int, count: int, split: str) -> list[dict[str, object]]:
    """``count`` tasks to be verified, from ``split`` ("rlvf" to train on, "heldout" to judge by), all families alike.

    Each record has "type", "prompt", "expected_answer", for logic "keywords", then "family" and "level".
    """
    records: list[dict[str, object]] = []
    for index, family in enumerate(FAMILIES):
        wanted = count * (index + 1) // len(FAMILIES) - count * index // len(FAMILIES)
        for task in _family_tasks(seed, family, wanted, split):
            record: dict[str, object] = {
                "type": task.type,
                "prompt": task.prompt,
                "expected_answer": task.expected_answer,
            }
            if task.keywords is not None:
                record["keywords"] = list(task.keywords)
            records.append(record | {"family": family, "level": task.level})
    Random(f"order {seed} {split}").shuffle(records)
    return records
