"""The byte-level alphabet: GPT-2's, and the ids in the order of its characters."""

import pytest

from scratchgpt.tokenizer.byte_level import (
    BYTE_IDS,
    BYTE_TO_CHARACTER,
    BYTES_IN_ID_ORDER,
    FIRST_BYTE_ID,
    FIRST_MERGE_ID,
    spell,
)


def test_every_byte_is_one_printable_character_of_its_own() -> None:
    assert len(set(BYTE_TO_CHARACTER)) == 256
    assert all(len(character) == 1 and character.isprintable() for character in BYTE_TO_CHARACTER)
    assert not any(character.isspace() for character in BYTE_TO_CHARACTER)


def test_printable_ascii_spells_itself() -> None:
    printable = bytes(range(ord("!"), ord("~") + 1))
    assert spell(printable) == printable.decode()


@pytest.mark.parametrize(
    ("token", "spelling"), [(b" the", "Ġthe"), (b"\n", "Ċ"), ("好".encode(), "å¥½"), (b"\x00\xff\xad", "ĀÿŃ"), (b"", "")]
)
def test_spelling(token: bytes, spelling: str) -> None:
    assert spell(token) == spelling


def test_ids_follow_the_characters() -> None:
    assert (FIRST_BYTE_ID, FIRST_MERGE_ID) == (6, 262)
    assert sorted(BYTE_IDS.tolist()) == list(range(6, 262))
    assert [BYTES_IN_ID_ORDER[token_id - 6] for token_id in BYTE_IDS] == list(range(256))
    assert BYTE_IDS[[ord("!"), ord("~"), 0, 0xAD]].tolist() == [6, 99, 194, 261]
    characters = [BYTE_TO_CHARACTER[byte] for byte in BYTES_IN_ID_ORDER]
    assert characters == sorted(characters)


def test_the_alphabet_is_that_of_tokenizers() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    peer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert set(BYTE_TO_CHARACTER) == set(peer.alphabet())
    for character in ("a b", "中文\n\t", "\u00a0\u0301😀", "".join(map(chr, range(0x100)))):
        assert spell(character.encode()) == peer.pre_tokenize_str(character)[0][0]
