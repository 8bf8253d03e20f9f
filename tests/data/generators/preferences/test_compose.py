"""The composed preference pairs: bad in the way they say, and no single surface mark betrays the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from data.generators.chat.topics import (
    all_questions,
    curt_answer,
    load_topics,
    plain_answer,
    wordings,
)
from data.generators.preferences.compose import KINDS, pairs
from tests.data.helpers import satisfies

ENDINGS = ("。", "！", "？")


@pytest.fixture(scope="module")
def training() -> list[dict[str, Any]]:
    return pairs(1, 2000, "train")


@pytest.fixture(scope="module")
def held_out() -> list[dict[str, Any]]:
    return pairs(1, 500, "heldout")


def label_accuracy(records: list[dict[str, Any]], feature: Callable[[str], float]) -> float:
    """How often the feature alone tells chosen from rejected, ties counting half, in the better direction."""
    score = 0.0
    for record in records:
        chosen, rejected = feature(record["chosen"]), feature(record["rejected"])
        score += 0.5 if chosen == rejected else float(chosen > rejected)
    accuracy = score / len(records)
    return max(accuracy, 1 - accuracy)


def ends_with(ending: str, text: str) -> bool:
    return text.endswith(ending)


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    assert pairs(4, 50, "train") == pairs(4, 50, "train")
    assert pairs(4, 50, "train") != pairs(5, 50, "train")


def test_pairs_have_the_agreed_form_and_do_not_repeat(
    training: list[dict[str, Any]], held_out: list[dict[str, Any]]
) -> None:
    for pair in training + held_out:
        assert pair["kind"] in KINDS and pair["source"] == "generated"
        assert pair["chosen"] != pair["rejected"]
        assert all(
            "{" not in pair[side] and len(pair[side]) <= 140 for side in ("prompt", "chosen", "rejected")
        ), pair
    assert len({(pair["prompt"], pair["chosen"], pair["rejected"]) for pair in training}) == len(training)


def test_every_kind_gets_about_its_share(training: list[dict[str, Any]]) -> None:
    counts = Counter(pair["kind"] for pair in training)
    for kind, percent in KINDS.items():
        assert abs(counts[kind] / len(training) * 100 - percent) < 5, kind


def test_held_out_prompts_are_never_trained(
    training: list[dict[str, Any]], held_out: list[dict[str, Any]]
) -> None:
    assert not {pair["prompt"] for pair in training} & {pair["prompt"] for pair in held_out}
    trained_questions = {question for _, question in all_questions("train")}
    assert not trained_questions & {pair["prompt"] for pair in held_out}


def test_length_alone_does_not_tell_the_sides_apart(training: list[dict[str, Any]]) -> None:
    assert label_accuracy(training, len) < 0.60
    for kind in KINDS:
        if kind != "thin":
            assert label_accuracy([pair for pair in training if pair["kind"] == kind], len) < 0.60, kind


def test_lengths_are_close_within_a_pair(training: list[dict[str, Any]]) -> None:
    bare = {curt_answer(topic) for topic in load_topics()}
    bare |= {plain_answer(topic, count) for topic in load_topics() for count in (1, 2)}
    matched = [pair for pair in training if pair["kind"] != "thin" or pair["rejected"] not in bare]
    assert len(matched) > 0.88 * len(training)
    assert max(abs(len(pair["chosen"]) - len(pair["rejected"])) for pair in matched) <= 30


def test_the_polite_frame_does_not_tell_the_sides_apart(training: list[dict[str, Any]]) -> None:
    openings = tuple(opening.format(topic.name) for opening in wordings().openings for topic in load_topics())
    closings = (*wordings().closings, *(topic.tip for topic in load_topics()))
    assert label_accuracy(training, lambda text: text.startswith(openings)) < 0.60
    assert label_accuracy(training, lambda text: text.endswith(closings)) < 0.60
    for ending in ENDINGS:
        assert label_accuracy(training, partial(ends_with, ending)) < 0.60, ending


def test_no_frequent_pair_of_characters_tells_the_sides_apart(training: list[dict[str, Any]]) -> None:
    found = Counter(
        bigram
        for pair in training
        for side in ("chosen", "rejected")
        for bigram in {pair[side][place : place + 2] for place in range(len(pair[side]) - 1)}
    )
    frequent = [bigram for bigram, count in found.items() if count >= 100]
    assert len(frequent) > 50
    worst = max(frequent, key=lambda bigram: label_accuracy(training, lambda text: bigram in text))
    assert label_accuracy(training, lambda text: worst in text) < 0.60, worst


def test_the_chosen_answer_satisfies_the_rubric_and_a_wrong_one_does_not(
    held_out: list[dict[str, Any]],
) -> None:
    for pair in held_out:
        assert satisfies(pair["rubric"], pair["chosen"]), pair
        if pair["kind"] in ("wrong", "off_topic", "evasive", "rude"):
            assert not satisfies(pair["rubric"], pair["rejected"]), pair
    assert sum("topic" in pair for pair in held_out) > 0.9 * len(held_out)


def test_truncated_answers_break_off_and_no_chosen_answer_does(training: list[dict[str, Any]]) -> None:
    for pair in training:
        assert pair["chosen"].endswith(ENDINGS), pair
        if pair["kind"] == "truncated":
            assert not pair["rejected"].endswith((*ENDINGS, "，", "、")), pair
        else:
            assert pair["rejected"].endswith(ENDINGS), pair


def test_repetitive_answers_repeat_a_sentence_and_chosen_ones_do_not(training: list[dict[str, Any]]) -> None:
    def sentences(text: str) -> list[str]:
        parts = text.replace("！", "。").replace("另外，", "").split("。")
        return [part for part in parts if part]

    for pair in training:
        assert len(set(sentences(pair["chosen"]))) == len(sentences(pair["chosen"])), pair
        if pair["kind"] == "repetitive":
            clauses = sentences(pair["rejected"].replace("，", "。"))
            assert len(set(clauses)) < len(clauses), pair


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split is 'dev'"):
        pairs(1, 3, "dev")
