"""What a response finally claims, on answers that are single letters: the rules apart from the kinds of answers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.verify.answers import (
    LONGEST_CLAUSE,
    UNCLEAR,
    AnswerReader,
    Reading,
    clauses,
    final_answer,
    sentences,
)
from tests.verify.plain_answers import plain_final_answer


def read(clause: str) -> Reading:
    """The one letter of a clause."""
    found = set(re.findall("[ABC]", clause))
    return UNCLEAR if len(found) > 1 else next(iter(found), None)


LETTERS = AnswerReader(
    read=read,
    stated=lambda clause: read(clause) if re.fullmatch("[是选]?[ABC]", clause) else read(clause) and UNCLEAR,
    bare=lambda clause: clause if re.fullmatch("[ABC]", clause) else None,
)


def test_sentences_keep_their_marks_and_clauses_lose_them() -> None:
    text = "一，二。三！\n\n四？（五）：六"
    assert sentences(text) == ["一，二。", "三！", "四？", "（五）：六"]
    assert clauses(text) == ["一", "二", "三", "四", "五", "六"]
    assert sentences("") == clauses("") == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # a declaration, before a conclusion, before the last statement
        ("答案是A。", "A"),
        ("最终结果：A", "A"),
        ("答：A", "A"),
        ("所以是A", "A"),
        ("结果是A。", "A"),
        ("A", "A"),
        ("先看B，所以选A。", "A"),
        ("因为有B，所以选A。", "A"),
        ("所以是B。答案是A。", "A"),
        ("B。所以是A。", "A"),
        ("先看B。是A。", "A"),
        ("先看A。这里有B。", UNCLEAR),
        # corrections
        ("答案是B。不对，是A。", "A"),
        ("答案是B，算错了，是A。", "A"),
        ("答案是B。等等，是A。", "A"),
        ("答案是B。更正：A。", "A"),
        ("答案是B。最后答案是A。", "A"),
        ("答案是A，我没算错。", "A"),
        # more than one answer
        ("答案是A。答案是B。", UNCLEAR),
        ("答案是A。B", UNCLEAR),
        ("答案是A，B。", UNCLEAR),
        ("A，B，C", UNCLEAR),
        ("答案是A。所以是B。", UNCLEAR),
        ("答案是A。答案是A。", "A"),
        # guesses and questions
        ("可能是A。", UNCLEAR),
        ("答案大概是A。", UNCLEAR),
        ("答案是A。我不确定。", UNCLEAR),
        ("答案是A？", UNCLEAR),
        ("A？", UNCLEAR),
        ("A？答案是B。", "B"),
        ("谁对？是A。", "A"),
        # nothing
        ("答案是", UNCLEAR),
        ("今天天气好。", None),
        ("", None),
    ],
)
def test_final_answer(text: str, answer: Reading) -> None:
    assert final_answer(text, LETTERS) == answer


def test_a_reader_may_take_a_guess_for_an_answer() -> None:
    assert final_answer("可能是A。", LETTERS) is UNCLEAR
    certain = replace(LETTERS, guesses=False, stated=read)
    assert final_answer("可能是A。", certain) == "A"


def test_where_a_denial_can_be_the_answer_it_takes_nothing_back() -> None:
    assert final_answer("是A，不对，是B。", LETTERS) == "B"
    denial = replace(LETTERS, denial=True, stated=read)
    assert final_answer("A，不对，B", denial) is UNCLEAR
    assert final_answer("答案是A。不对，答案是B。", denial) == "B"


# -- held to the plain reader, and fast -----------------------------------------------------------------------
PIECES = ["答案是", "所以", "结果是", "不对", "算错了", "可能", "我不确定", "最后", "因为", "答：", "不", "等等", "谁"]
MARKS = ["，", "。", "？", "！", "；", "：", "\n", "（", "）", " "]


@given(st.lists(st.sampled_from([*PIECES, *MARKS, *MARKS, "A", "B", "是A", "是B"]), max_size=25).map("".join))
@settings(max_examples=1500, deadline=None, derandomize=True)
@pytest.mark.parametrize("denial", [False, True])
def test_what_is_read_fast_is_what_the_plain_reader_reads(denial: bool, text: str) -> None:
    reader = replace(LETTERS, denial=denial, guesses=not denial)
    assert final_answer(text, reader) == plain_final_answer(text, reader)


@pytest.mark.parametrize("mark", ["", "，", "。", "？", "\n"])
@pytest.mark.parametrize("piece", [*PIECES, "A", "所以A", "答案是A", "A，不对", "算错了A"])
def test_the_work_grows_with_the_length_and_not_with_its_square(piece: str, mark: str) -> None:
    def work(count: int) -> int:
        read_characters = 0

        def counted(clause: str) -> Reading:
            nonlocal read_characters
            read_characters += len(clause)
            return read(clause)

        # numbered with equal lengths, so that no two clauses are the same
        text = "".join(f"{piece}{number:04}{mark}" for number in range(count))
        final_answer(text, AnswerReader(counted, counted, counted))
        return read_characters

    assert work(2000) <= 2.1 * work(1000) + 50 * LONGEST_CLAUSE


def test_a_clause_that_never_ends_is_cut() -> None:
    assert final_answer("答案是" + "好" * LONGEST_CLAUSE + "B。所以A", LETTERS) == UNCLEAR
    assert final_answer("好" * 3 * LONGEST_CLAUSE + "，答案是A。", LETTERS) == "A"
