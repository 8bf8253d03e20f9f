"""What a stage counts before it begins."""

from __future__ import annotations

import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.stages.work import SAMPLE, Lengths, Outlook, Piece, batches, longest_of, measurements, spread
from scratchgpt.tokenizer import CharTokenizer


@pytest.fixture
def outlook(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> Outlook:
    """Of a model with a context of 64 tokens, one id a character."""
    return Outlook(tiny_config, None, lambda name: None, {}, char_tokenizer)


@pytest.mark.parametrize(("steps", "every", "count"), [(10, 5, 3), (11, 5, 4), (3, 5, 2), (5, 5, 2)])
def test_a_stage_measures_at_first_now_and_then_and_at_last(steps: int, every: int, count: int) -> None:
    assert measurements(steps, every) == count


def test_whole_batches_count_and_one_at_least() -> None:
    assert (batches(9, 4), batches(3, 4), batches(0, 0)) == (2, 1, 1)


def test_few_items_stand_for_all_and_few_stand_for_themselves() -> None:
    assert list(spread([1, 2, 3])) == [1, 2, 3]
    some = spread(range(100 * SAMPLE + 99))
    assert SAMPLE <= len(some) <= SAMPLE + 1 and some[1] - some[0] == 100


def test_lengths_are_means_and_the_longest_of_many_is_near_the_longest_of_all() -> None:
    lengths = Lengths.of([(2, n) for n in range(100)])
    assert (lengths.prompt, lengths.answer) == (2, 49.5)
    assert longest_of(lengths, 1) == 52 and longest_of(lengths, 99) == 101 and longest_of(lengths, 10**6) == 101
    assert Lengths.of([]).answer == 1


def test_tokens_of_documents_are_those_of_a_sample_and_one_for_each_end(outlook: Outlook) -> None:
    assert outlook.tokens(["猫吃鱼"] * 1000) == 4000
    assert outlook.tokens([]) == 0


def test_dialogues_are_parted_into_what_is_said_to_the_model_and_what_it_learns(outlook: Outlook, dialogues: list) -> None:
    lengths = outlook.dialogues(dialogues)
    answers = [len(record["messages"][1]["content"]) + 1 for record in dialogues]  # its end is learned too
    assert lengths.answer == pytest.approx(sum(answers) / len(answers))
    assert lengths.prompt > outlook.questions(["你好"]) - 1
    long = {"messages": [{"role": "user", "content": "你" * 99}, {"role": "assistant", "content": "好"}]}
    assert outlook.dialogues([*dialogues, long]) .answer == lengths.answer


def test_pairs_are_questions_and_both_of_their_answers(outlook: Outlook, pairs: list) -> None:
    lengths = outlook.pairs(pairs)
    sides = [len(record[side]) + 1 for record in pairs for side in ("chosen", "rejected")]
    assert lengths.answer == pytest.approx(sum(sides) / len(sides))


def test_what_is_written_fits_the_context(outlook: Outlook) -> None:
    assert outlook.writing(256, 10, 20) == Piece("write", 2.0, 128, 10, 20)
    assert outlook.writing(3, 10, 20) == Piece("write", 1.0, 3, 10, 20)
    crowded = outlook.writing(128, 60, 96)
    assert crowded.length + crowded.answer <= 64 and crowded.answer == 63


def test_what_is_read_is_prompt_and_answer(outlook: Outlook) -> None:
    assert outlook.reading(16, 10, 20) == Piece("read", 2.0, 8, 30, 20)
    assert outlook.scoring(32, 10, 20) == Piece("read", 0.5, 64, 30, 0)
