"""Neighbours: the nearest by cosine, words only, and never the word itself."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.runs.report_page.embedding_neighbours import WORDS, nearest_words, words_to_show
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer


@pytest.fixture
def tokenizer() -> CharTokenizer:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["猫猫猫狗狗狗鸟鸟鸟鱼鱼鱼。。。111   ", "是很少见的字这里有十多个不"])
    return tokenizer  # the rare ones are the second half of the vocabulary


def test_the_nearest_by_angle_not_by_length(tokenizer: CharTokenizer) -> None:
    table = np.zeros((len(tokenizer), 2), np.float32)
    rows = {"猫": (1, 0), "狗": (10, 1), "鸟": (0.5, 0.5), "鱼": (-1, 0), "。": (1, 0), "1": (1, 0), "少": (1, 0)}
    for word, row in rows.items():
        table[tokenizer.encode(word)[0]] = row
    (found,) = nearest_words(table, tokenizer, tokenizer.encode("猫"), count=2)
    assert [word for word, _ in found] == ["狗", "鸟"]  # neither itself nor punctuation, digits or what is rare
    assert [cosine for _, cosine in found] == pytest.approx([10 / np.sqrt(101), np.sqrt(0.5)])


def test_fewer_words_than_asked_for(tokenizer: CharTokenizer) -> None:
    table = np.zeros((len(tokenizer), 2), np.float32)  # a row of zeros has no direction, and that is no error
    (found,) = nearest_words(table, tokenizer, tokenizer.encode("猫"))
    assert {word for word, _ in found} == set("狗鸟鱼") and {cosine for _, cosine in found} == {0.0}


def test_words_that_are_one_token_come_first(tokenizer: CharTokenizer) -> None:
    shown = [tokenizer.decode([i]) for i in words_to_show(tokenizer, 10)]
    assert shown[:2] == [word for word in WORDS if word in "猫狗鸟鱼"] == ["猫", "鱼"]
    assert sorted(shown) == sorted("猫狗鸟鱼")


def test_a_vocabulary_of_another_language() -> None:
    tokenizer = BPETokenizer(600)
    tokenizer.fit([" ".join(f"{a}{b}{c}" for a in "bcdfghklmn" for b in "aeiou" for c in "rstnmlpd")])
    shown = [tokenizer.decode([i]) for i in words_to_show(tokenizer, 5)]
    assert len(shown) == 5 and all(len(word) > 1 and word.isalpha() for word in shown)
