"""TextStream: whole characters only, and the end where it belongs."""

import pytest

from scratchgpt.inference.text_stream import TextStream
from scratchgpt.tokenizer import EOS_ID, IM_END_ID, IM_START_ID, BPETokenizer


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    tokenizer = BPETokenizer(vocab_size=300)
    tokenizer.fit(["还剩几个？两个。好的，再见。"])
    return tokenizer


def push_all(stream: TextStream, ids: list[int]) -> list[str]:
    pieces = []
    for token in ids:
        stream.push(token)
        pieces.append(stream.take())
    stream.close()
    return [*pieces, stream.take()]


def byte_ids(tokenizer: BPETokenizer, text: str) -> list[int]:
    """One id a byte, so that every character of more bytes is cut."""
    single = {tokenizer.token_bytes(i): i for i in range(6, tokenizer.vocab_size)}
    return [single[bytes([byte])] for byte in text.encode()]


def test_pieces_never_cut_a_character(tokenizer):
    text = "a好b🙂é，"
    pieces = push_all(TextStream(tokenizer), byte_ids(tokenizer, text))
    assert "".join(pieces) == text
    assert [p for p in pieces if p] == list(text)


def test_half_a_character_at_the_end_is_dropped_and_bad_bytes_are_replaced(tokenizer):
    ids = byte_ids(tokenizer, "好🙂")
    assert "".join(push_all(TextStream(tokenizer), ids[:-1])) == "好"
    assert "".join(push_all(TextStream(tokenizer), [ids[0], *ids])) == "\ufffd好🙂"


@pytest.mark.parametrize("end", [EOS_ID, IM_START_ID, IM_END_ID])
def test_end_tokens_end_the_text(tokenizer, end):
    stream = TextStream(tokenizer)
    ids = tokenizer.encode("两个。")
    assert "".join(push_all(stream, [*ids, end, *ids])) == "两个。"
    assert stream.finished


@pytest.mark.parametrize(
    ("stop", "text", "expected"),
    [
        (["END"], "abENDcd", "ab"),
        (["END"], "abENEND", "abEN"),
        (["END"], "abEN", "abEN"),
        (["aab"], "aaab!", "a"),
        (["xyz", "c"], "abcxyz", "ab"),
        (["。"], "好的。再见", "好的"),
        (["\n\n"], "a\nb\n\nc", "a\nb"),
    ],
)
def test_stop_strings_cut_the_text_and_never_show(tokenizer, stop, text, expected):
    stream = TextStream(tokenizer, stop)
    pieces = push_all(stream, byte_ids(tokenizer, text))
    assert "".join(pieces) == expected
    shown = ""
    for piece in pieces:
        shown += piece
        assert expected.startswith(shown)


def test_text_is_shown_as_soon_as_no_stop_string_can_begin_in_it(tokenizer):
    pieces = push_all(TextStream(tokenizer, ["END"]), byte_ids(tokenizer, "abEcE"))
    assert pieces == ["a", "b", "", "Ec", "", "E"]
