"""Counting chunks: equal to the plain way, over many texts and block borders."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.tokenizer import chunk_counts
from scratchgpt.tokenizer.chunk_counts import count_chunks
from scratchgpt.tokenizer.split_pattern import compile_splitter
from tests.tokenizer.texts import SEEDED


def reference(texts: list[str]) -> dict[bytes, int]:
    split = compile_splitter()
    return dict(Counter(chunk.encode("utf-8", "surrogatepass") for text in texts for chunk in split(text)))


@SEEDED
@given(st.lists(st.text(st.one_of(st.sampled_from("中a1。' \n"), st.characters(codec=None)))))
def test_counts_of_any_texts(texts: list[str]) -> None:
    assert count_chunks(texts) == reference(texts)


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_counts_over_the_borders_of_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_counts, "_BLOCK_CHARACTERS", block)
    rng = random.Random(0)
    texts = ["".join(rng.choices("ab  \n", k=rng.randint(0, 40))) for _ in range(200)]
    assert count_chunks(iter(texts)) == reference(texts)


def test_thousands_of_distinct_chunks() -> None:
    rng = random.Random(0)
    text = " ".join("".join(rng.choices("abcd", k=rng.randint(1, 8))) for _ in range(20_000))
    counts = count_chunks([text])
    assert len(counts) > 5_000
    assert counts == reference([text])


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_of_nothing(texts: list[str]) -> None:
    assert count_chunks(texts) == {}
