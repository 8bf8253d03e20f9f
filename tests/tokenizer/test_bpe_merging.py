"""Encoding with merges, compiled: the ids of the plain way, for short and long chunks, new ones and repeated ones."""

import random

import numpy as np
import pytest

from scratchgpt.tokenizer.bpe_merging import build_merge_table, encode_chunks
from scratchgpt.tokenizer.bpe_training import train
from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID
from scratchgpt.tokenizer.plain_bpe import merge_chunk
from tests.tokenizer.texts import random_chunks


@pytest.mark.parametrize("seed", range(10))
def test_compiled_merging_equals_the_plain_way_for_short_and_long_chunks(seed: int) -> None:
    merges = train(random_chunks(seed), 60)
    merged_ids = {pair: FIRST_MERGE_ID + rank for rank, pair in enumerate(merges)}
    table = build_merge_table(merges, BYTE_IDS, FIRST_MERGE_ID)
    rng = random.Random(seed)
    chunks = [bytes(rng.choices(b"abc", k=size)) for size in (1, 2, 3, 40, 191, 192, 193, 700)]
    expected = [i for chunk in chunks for i in merge_chunk(BYTE_IDS[list(chunk)].tolist(), merged_ids)]
    ends = np.cumsum([len(chunk) for chunk in chunks])
    assert encode_chunks(np.frombuffer(b"".join(chunks), np.uint8), ends, table).tolist() == expected


@pytest.mark.parametrize("seed", range(10))
def test_a_chunk_seen_before_has_the_ids_of_a_new_one(seed: int) -> None:
    merges = train(random_chunks(seed), 60)
    table = build_merge_table(merges, BYTE_IDS, FIRST_MERGE_ID)
    rng = random.Random(seed)
    distinct = [bytes(rng.choices(b"abc", k=rng.choice((1, 2, 3, 5, 8, 200)))) for _ in range(50)]
    chunks = rng.choices(distinct, k=300)
    alone = (encode_chunks(np.frombuffer(chunk, np.uint8), np.array([len(chunk)]), table) for chunk in chunks)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    together = encode_chunks(np.frombuffer(b"".join(chunks), np.uint8), ends, table)
    assert together.tolist() == np.concatenate(list(alone)).tolist()
