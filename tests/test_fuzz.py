"""Damaged files, a few hundred of them; ``python -m tests.fuzz --files 10000`` feeds as many as one likes."""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("a process's memory is limited as Linux does it", allow_module_level=True)

from tests.fuzz import READERS, failures, fuzz


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(reader: str) -> None:
    verdicts = fuzz(reader, 120, seed=3)
    assert failures(verdicts) == {}
    assert set(verdicts) == set(range(120)) and set(verdicts.values()) == {"read", "refused"}


@pytest.mark.parametrize(
    ("trap", "said"),
    [
        ("slow", "over 1 s"),
        ("greedy", "over 300 MB"),
        ("deadly", "the process ended with 7"),
        ("wordy", "more than one line"),
        ("broken", "uncaught KeyError"),
    ],
)
def test_what_a_reader_does_wrong_is_noticed(trap: str, said: str) -> None:
    wrong = failures(fuzz(trap, 2, seed=1))
    assert wrong and all(what.startswith(said) for what in wrong.values())


def test_a_damaged_file_can_be_made_again() -> None:
    assert fuzz("tokenizer", 12, seed=5) == fuzz("tokenizer", 12, seed=5)
