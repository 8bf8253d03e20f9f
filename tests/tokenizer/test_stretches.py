"""Stretches of bytes: the hash is of the bytes alone and spreads them; equality looks at every byte."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.tokenizer.stretches import hash_stretch, same_stretch
from tests.tokenizer.texts import SEEDED


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def plain_hash(data: bytes, num_slots: int) -> int:
    value = 0
    for byte in data:
        value = (value ^ byte) * 0x9E3779B97F4A7C15 % 2**64
    return (value >> 32) * num_slots >> 32


@SEEDED
@given(st.binary(max_size=20), st.binary(max_size=5), st.integers(1, 2**32))
def test_hash_is_of_the_bytes_not_of_their_place(data: bytes, before: bytes, num_slots: int) -> None:
    slot = hash_stretch(array(before + data + b"x"), len(before), len(before) + len(data), num_slots)
    assert slot == plain_hash(data, num_slots)
    assert 0 <= slot < num_slots


@pytest.mark.parametrize("num_slots", [64, 1000, 4096])
def test_hash_spreads_words(num_slots: int) -> None:
    rng = random.Random(0)
    words = {"".join(rng.choices("的一是了我不人在他有这", k=rng.randint(1, 4))) for _ in range(8 * num_slots)}
    stretches = [array(word.encode()) for word in words]
    used = {hash_stretch(data, 0, len(data), num_slots) for data in stretches}
    expected = num_slots * (1 - (1 - 1 / num_slots) ** len(words))  # of slots drawn by chance
    assert len(used) > 0.95 * expected


@SEEDED
@given(st.binary(min_size=1, max_size=12), st.data())
def test_same_stretch_looks_at_every_byte(data: bytes, draw: st.DataObject) -> None:
    twice = array(data + b"-" + data)
    assert same_stretch(twice, 0, len(data) + 1, len(data))
    changed = twice.copy()
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= 1
    assert not same_stretch(changed, 0, len(data) + 1, len(data))


def test_same_stretch_looks_no_further() -> None:
    assert same_stretch(array(b"abXabY"), 0, 3, 2)
    assert same_stretch(array(b"XY"), 0, 1, 0)
