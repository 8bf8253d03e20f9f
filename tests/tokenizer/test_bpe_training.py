"""Training: the merges of the plain way and of ``tokenizers``, one for one; ties; the room it works in."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from scratchgpt.tokenizer import SPECIAL_TOKENS, BPETokenizer, bpe_training
from scratchgpt.tokenizer.bpe_training import train, train_reference
from scratchgpt.tokenizer.byte_level import BYTE_IDS, spell
from scratchgpt.tokenizer.split_pattern import SPLIT_PATTERN, compile_splitter
from tests.tokenizer.texts import OWN_TEXT, corpus, random_chunks


@pytest.mark.parametrize("seed", range(30))
def test_training_equals_the_reference(seed: int) -> None:
    chunks = random_chunks(seed)
    assert train(chunks, 60) == train_reference(chunks, 60)
    assert train(chunks, 60, max_token_length=3) == train_reference(chunks, 60, max_token_length=3)


def test_where_there_is_no_room_nothing_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe_training, "_find_merges", None)  # nor compiled for that
    assert train({b"ab": 3}, 0) == train_reference({b"ab": 3}, 0) == []


def test_training_equals_the_reference_on_text() -> None:
    chunks = Counter(chunk.encode() for chunk in compile_splitter()(OWN_TEXT))
    assert train(chunks, 10_000) == train_reference(chunks, 10_000)


@pytest.mark.parametrize("size", [1, 2, 3, 50, 20_000])
def test_training_stays_within_the_room_for_pairs(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code checks no bounds: what lies behind the arrays must stay as it was."""
    allocated = []

    def with_guard(capacity: int) -> bpe_training._Pairs:
        pairs = bpe_training._Pairs._make(np.full(capacity + 100, -7, dtype=dtype) for dtype in "iiqii")
        allocated.append((capacity, pairs))
        return bpe_training._Pairs._make(column[:capacity] for column in pairs)

    monkeypatch.setattr(bpe_training, "_empty_pairs", with_guard)
    train({random.Random(size).randbytes(size): 1}, 60_000)
    ((capacity, pairs),) = allocated
    assert all((column[capacity:] == -7).all() for column in pairs)


def test_equal_counts_fall_to_the_smallest_ids() -> None:
    assert train({b"yz": 2, b"ab": 2, b"ac": 2}, 1) == [(BYTE_IDS[ord("a")], BYTE_IDS[ord("b")])]
    assert train({b"yz": 3, b"ab": 2}, 1) == [(BYTE_IDS[ord("y")], BYTE_IDS[ord("z")])]


def test_merges_equal_those_of_tokenizers_on_real_text(tokenizer: BPETokenizer) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT_PATTERN), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(corpus(), trainer)
    theirs = json.loads(peer.to_str())["model"]
    names = [*SPECIAL_TOKENS, *(spell(tokenizer.token_bytes(i)) for i in range(6, len(tokenizer)))]
    assert [[names[left], names[right]] for left, right in tokenizer.merges] == theirs["merges"]
    assert {name: i for i, name in enumerate(names)} == theirs["vocab"]
