"""The plain encoding: by hand on small cases, and the ids of the compiled one for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.tokenizer import SPECIAL_TOKENS, BPETokenizer
from scratchgpt.tokenizer.byte_level import BYTE_IDS
from scratchgpt.tokenizer.plain_bpe import (
    encode,
    ids_of_bytes,
    ids_of_merges,
    merge_chunk,
    merge_steps,
    replace_pair,
)
from tests.tokenizer.texts import HARD_CHARACTERS, SEEDED, corpus

DATA = Path(__file__).parent.parent.parent / "data"

A, B, C, SPACE, ONE, TWO = BYTE_IDS[list(b"abc 12")].tolist()


def test_overlapping_pairs_are_replaced_from_the_left() -> None:
    assert replace_pair([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]


def test_no_merge_gives_the_bytes() -> None:
    assert encode("ab", []) == [A, B]
    assert encode("", [(A, B)]) == []
    assert len(encode("好", [])) == 3


def test_the_pair_learned_first_is_joined_first_wherever_it_stands() -> None:
    assert encode("abc", [(A, B), (B, C)]) == [262, C]
    assert encode("abc", [(B, C), (A, B)]) == [A, 262]
    assert encode("abcabc", [(A, B), (262, C), (263, 263)]) == [264]
    assert encode("aaaaa", [(A, A), (262, 262)]) == [263, A]


def test_the_steps_begin_with_the_bytes_and_end_with_the_tokens() -> None:
    merged_ids = ids_of_merges([(A, B), (262, C)])
    assert list(merge_steps(ids_of_bytes("abcab"), merged_ids)) == [
        [A, B, C, A, B],
        [262, C, 262],
        [263, 262],
    ]
    assert list(merge_steps([], merged_ids)) == [[]]


def test_no_pair_is_joined_across_chunks() -> None:
    assert encode("12", [(ONE, TWO)]) == [ONE, TWO]
    assert encode("a b", [(A, SPACE), (SPACE, B)]) == [A, 263]


def test_what_is_given_stays_as_it_was() -> None:
    ids = [A, B]
    assert merge_chunk(ids, {(A, B): 262}) == [262]
    assert ids == [A, B]


def test_special_spellings_are_plain_text(tokenizer: BPETokenizer) -> None:
    assert min(encode("".join(SPECIAL_TOKENS), tokenizer.merges)) >= len(SPECIAL_TOKENS)


@settings(SEEDED, max_examples=300)
@given(st.one_of(st.text(), st.text(st.characters(codec=None)), st.text(st.sampled_from(HARD_CHARACTERS + "\ud800\udfff"))))
def test_any_text_has_the_ids_of_the_compiled_tokenizer(tokenizer: BPETokenizer, text: str) -> None:
    assert encode(text, tokenizer.merges) == tokenizer.encode(text)


def some_text(name: str) -> str:
    """Some ten thousand characters of the project's data."""
    if name == "passages":
        return "".join(text[:600] for text in corpus())
    text = (DATA / name).read_text(encoding="utf-8")
    if name.endswith(".txt"):
        return text[:20_000]
    return "\n".join(message["content"] for record in json.loads(text)[:150] for message in record["messages"])


@pytest.mark.parametrize("name", ["passages", "pretrain_heldout.txt", "sft_heldout.json"])
def test_text_of_the_data_has_the_ids_of_the_compiled_tokenizer(tokenizer: BPETokenizer, name: str) -> None:
    text = some_text(name)
    assert len(text) > 5_000
    assert encode(text, tokenizer.merges) == tokenizer.encode(text)
