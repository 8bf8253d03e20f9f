"""The split pattern: what a chunk is, that nothing is lost, and that another engine reads it alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.tokenizer.split_pattern import SPLIT_PATTERN, compile_splitter
from tests.tokenizer.texts import HARD_CHARACTERS, SEEDED, corpus


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("今天，天气很好。", ["今天", "，", "天气很好", "。"]),
        ("我用Python写code", ["我用", "Python", "写", "code"]),
        ("the dog's tail", ["the", " dog", "'s", " tail"]),
        ("they'll\n'summer'", ["they", "'ll", "\n", "'", "summer", "'"]),
        ("15 + 27=42", ["1", "5", " +", " ", "2", "7", "=", "4", "2"]),
        ("a\n\n  b\r\nc ", ["a", "\n", "\n", " ", " b", "\r", "\n", "c", " "]),
        ("二〇二六年", ["二〇二六年"]),
        ("हिन्दी 한국어 かな", ["हिन्दी", " 한국어", " かな"]),
    ],
)
def test_split(text: str, chunks: list[str]) -> None:
    assert compile_splitter()(text) == chunks


def test_split_leaves_no_character_out() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert "".join(compile_splitter()(everything)) == everything


@SEEDED
@given(st.text(), st.text())
def test_split_begins_afresh_after_a_newline(before: str, after: str) -> None:
    split = compile_splitter()
    assert split(before + "\n" + after) == split(before + "\n") + split(after)


@SEEDED
@given(st.one_of(st.text(st.characters(codec="utf-8", exclude_categories=("Cn",))), st.text(st.sampled_from(HARD_CHARACTERS))))
def test_oniguruma_cuts_alike(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    peer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT_PATTERN), "isolated")
    for whole in (text, corpus()[0] + text):
        assert [chunk for chunk, _ in peer.pre_tokenize_str(whole)] == compile_splitter()(whole)
