"""The compiled splitter: the chunks of the regular expression, for any text and any bytes."""

import unicodedata
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.tokenizer.split_pattern import compile_splitter
from scratchgpt.tokenizer.splitting import Character, character_classes, split

SEEDED = settings(derandomize=True, deadline=None, max_examples=400)

EVERYTHING = "".join(map(chr, range(0x110000)))
ASSIGNED = "".join(character for character in EVERYTHING if unicodedata.category(character) not in ("Cn", "Co"))

# One of each class, and of Han also a numeral and two symbols: ⺀ can stand within a run of others, 々 cannot.
REPRESENTATIVES = "中〇々⺀a1。' \u3000\n"


def reference_ends(text: str, errors: str = "surrogatepass") -> list[int]:
    sizes = [len(chunk.encode("utf-8", errors)) for chunk in compile_splitter()(text)]
    return np.cumsum(sizes, dtype=int).tolist()


def compiled_ends(data: bytes) -> list[int]:
    return split(np.frombuffer(data, np.uint8)).tolist()


def assert_same(text: str) -> None:
    ends = compiled_ends(text.encode("utf-8", "surrogatepass"))
    expected = reference_ends(text)
    # not `ends == expected` in the assert: explaining a difference of a million numbers takes minutes
    same = ends == expected
    assert same, f"first differs at chunk {next(i for i, (a, b) in enumerate(zip(ends, expected)) if a != b)}"  # noqa: B905


def test_every_code_point() -> None:
    assert_same(EVERYTHING)


@pytest.mark.parametrize("between", ["a", "中", "。", "  "])
def test_every_assigned_code_point_beside_characters_of_other_classes(between: str) -> None:
    assert_same(between.join(ASSIGNED))


def test_every_short_text_of_all_classes() -> None:
    for length in range(5):
        for characters in product(REPRESENTATIVES, repeat=length):
            assert_same("".join(characters))


def test_every_end_of_a_contraction() -> None:
    for characters in product("'sdlvreZ\u017f中", repeat=4):
        assert_same("x'" + "".join(characters))
        assert_same("'" + "".join(characters))


@SEEDED
@given(st.text(st.one_of(st.sampled_from(REPRESENTATIVES + "stl\t\r\u0301😀"), st.characters(codec=None))))
def test_any_text(text: str) -> None:
    assert_same(text)


@SEEDED
@given(
    st.one_of(
        st.binary(),
        st.lists(st.sampled_from([b"\xe4", b"\xbd", b"\xa0", b"\xf0\x9f", b"\xed", b"a", b" "])).map(b"".join),
    )
)
def test_any_bytes(data: bytes) -> None:
    assert compiled_ends(data) == reference_ends(data.decode("utf-8", "surrogateescape"), "surrogateescape")


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\xa1a",  # "a" in two bytes
        b"\xe0\x81\xa1a",  # in three
        b"\xe0\x9f\x90a",  # a letter of two bytes in three
        b"\xf0\x80\x81\xa1a",  # in four
        b"\xf0\x8f\xac\x85a",  # a letter of three bytes in four
        b"a\xf4\x90\x80\x80a",  # behind the last code point
        b"\xf8\x88\x80\x80\x80a",
        b"\xe4\xb8a",
        b"\xe4\xb8\xad\xe4\xb8",  # a Han character and two thirds of one
        b"\xf0\x9f\x98",
        b"\xc3",
    ],
)
def test_what_is_not_utf8_is_not_a_letter(data: bytes) -> None:
    assert compiled_ends(data) == reference_ends(data.decode("utf-8", "surrogateescape"), "surrogateescape")


def test_classes() -> None:
    classes = character_classes()
    C = Character  # noqa: N806
    expected = [C.HAN, C.HAN, C.HAN, C.HAN_SYMBOL, C.WORD, C.DIGIT, C.OTHER, C.APOSTROPHE, C.SPACE, C.BLANK, C.NEWLINE]
    assert [classes[ord(character)] for character in REPRESENTATIVES] == expected
    assert set(classes.tolist()) == set(Character)
