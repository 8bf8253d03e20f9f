"""Rubrics: what an answer must hold, and its points by rule."""

from __future__ import annotations

import pytest

from scratchgpt.evaluation.answering import Answer
from scratchgpt.evaluation.rubric import answer_score, repeats_itself, rubric_passed

RUBRIC = {"must": [["蓝", "青"], ["散射"]], "must_not": ["绿"]}


@pytest.mark.parametrize(
    ("answer", "passed"),
    [("天空是蓝色的，因为散射。", True), ("青色，散射。", True), ("天空是蓝色的。", False), ("蓝，散射，绿。", False)],
)
def test_a_rubric_needs_every_group_and_nothing_forbidden(answer: str, passed: bool) -> None:
    assert rubric_passed(RUBRIC, Answer(answer, True)) is passed
    assert not rubric_passed(RUBRIC, Answer(answer, False))  # an answer that never ends passes no rubric


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        (Answer("好的，天空是蓝色的。这是光的散射。", True), 6),
        (Answer("天空是蓝色的。这是光的散射。", True), 5),  # no courtesy
        (Answer("好的，天空是蓝色的。它很高很远。", True), 5),  # half of the facts
        (Answer("好的，天空是绿色的。这是光的散射。", True), 4),  # a forbidden statement
        (Answer("好的，天空是蓝色的。这是光的散", False), 4),  # cut off
        (Answer("蓝色，散射。", True), 4),  # one bare sentence
        (Answer("好的，天空是蓝色的。你真笨，这是散射。", True), 5),  # rude
        (Answer("好的，天空是蓝色的散射。好的，天空是蓝色的散射。", True), 5),  # said twice
        (Answer("", True), 0),
    ],
)
def test_points_of_an_answer(answer: Answer, points: int) -> None:
    assert answer_score(RUBRIC, answer) == points


def test_repetition() -> None:
    assert repeats_itself("春天来了，花都开了，春天来了，花都开了") and not repeats_itself("春天来了，花都开了")
