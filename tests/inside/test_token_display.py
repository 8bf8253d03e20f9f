"""Tokens made readable: every byte of a text is shown once, and half a character says whose half it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.inside.token_display import Part, cut_ends, origin, part_in_words, readable, tokens_of, whole_text_ids
from scratchgpt.tokenizer import UNK_ID, BPETokenizer, CharTokenizer
from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID

TEXTS = ["小猫在睡觉，小猫在唱歌。", "小狗在睡觉。", "小鸟在天上唱歌。"]


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    tokenizer = BPETokenizer(FIRST_MERGE_ID + 30)
    tokenizer.fit(TEXTS)
    return tokenizer


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("猫 a\n".encode(), "猫␣a↵"),
        (b"\xe7\x8c", "⟨E7⟩⟨8C⟩"),
        (b"\xab" + "猫".encode() + b"\xe7", "⟨AB⟩猫⟨E7⟩"),
        ("\u200b\u3000".encode(), "⟨U+200B⟩⟨U+3000⟩"),
        (b"\xed\xa0\x80", "⟨ED⟩⟨A0⟩⟨80⟩"),  # half of a surrogate pair is no character
    ],
)
def test_readable(data: bytes, shown: str) -> None:
    assert readable(data) == shown


@settings(deadline=None)  # the first text compiles the merging of pairs
@given(st.text(st.characters(codec=None), min_size=1, max_size=30))
def test_the_tokens_hold_the_text_and_the_parts_make_its_characters(bpe: BPETokenizer, text: str) -> None:
    tokens = tokens_of(bpe, text)
    assert b"".join(token.data for token in tokens) == text.encode("utf-8", "surrogatepass")
    assert [token.id for token in tokens] == bpe.encode(text)
    bytes_in_parts = [(part.character, n) for t in tokens for part in t.parts for n in range(part.first, part.last + 1)]
    whole = [(p.character, n) for t in tokens for p in t.parts if p.first == 1 for n in range(1, p.length + 1)]
    assert bytes_in_parts == whole  # every character that is cut is there with all its bytes, in order


def test_half_a_character_says_whose_half_it_is(bpe: BPETokenizer) -> None:
    tokens = tokens_of(bpe, "小蟹")
    assert tokens[0].readable == "小" and tokens[0].parts == ()
    assert [part for token in tokens[1:] for part in token.parts] == [Part("蟹", n, n, 3) for n in (1, 2, 3)]
    assert part_in_words(Part("蟹", 1, 2, 3)) == ("“蟹”的字节 1–2/3", "byte 1–2/3 of 蟹")


def test_a_token_may_hold_parts_of_two_characters() -> None:
    tokenizer = BPETokenizer(FIRST_MERGE_ID + 1)
    tokenizer._set_merges([(int(BYTE_IDS[0xAB]), int(BYTE_IDS[0xE7]))])  # the end of 猫 and the beginning of the next
    across = tokens_of(tokenizer, "猫猫")[2]
    assert across.data == b"\xab\xe7"
    assert across.parts == (Part("猫", 3, 3, 3), Part("猫", 1, 1, 3))


def test_what_has_no_id_is_one_character() -> None:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["猫"])
    known, unknown = tokens_of(tokenizer, "猫蟹")
    assert (known.unknown, known.readable) == (False, "猫")
    assert (unknown.unknown, unknown.id, unknown.readable) == (True, UNK_ID, "蟹")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("猫".encode(), []),
        (b"\xe7\x8c", ["ends with the first 2 of a character's 3 bytes"]),
        (b"\xab", ["begins with the last 1 of a character's bytes"]),
        (
            b"\x8c\xab" + "猫".encode() + b"\xf0\x9f",
            ["begins with the last 2 of a character's bytes", "ends with the first 2 of a character's 4 bytes"],
        ),
        (b"\xff", ["a byte that never occurs in UTF-8"]),
        (b"a", []),
    ],
)
def test_cut_ends(data: bytes, said: list[str]) -> None:
    assert [text.en for text in cut_ends(data)] == said


def test_origin(bpe: BPETokenizer) -> None:
    left, right = (readable(bpe.token_bytes(part)) for part in bpe.merges[4])
    assert [origin(bpe, i).en for i in (0, 6, FIRST_MERGE_ID + 4)] == ["special", "byte", f"merge {left} + {right}"]


def test_whole_text_leaves_out_specials_bytes_and_halves(bpe: BPETokenizer) -> None:
    words = {bpe.decode([i]) for i in whole_text_ids(bpe)}
    assert {"小", "唱歌", "。"} <= words
    assert not any("\ufffd" in word or word.startswith("<") for word in words)
