"""Counting the chunks of a corpus: all that training needs to know of it.

A corpus of megabytes has a few ten thousand distinct chunks. The texts are split and counted block
by block in compiled code, so that a Python object is made for each distinct chunk of a block, not
for each chunk, and a corpus longer than memory can be read from an iterator.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numba import njit

from scratchgpt.kernels.runtime.cache import cached
from scratchgpt.tokenizer.splitting import split
from scratchgpt.tokenizer.stretches import hash_stretch, same_stretch

_BLOCK_CHARACTERS = 2**23
_EMPTY = -1


def count_chunks(texts: Iterable[str]) -> dict[bytes, int]:
    """How often each chunk stands in ``texts``, each text split by itself; the chunks are UTF-8."""
    counts: Counter[bytes] = Counter()
    for block in _blocks(texts):
        # after a newline, always a chunk alone, the split begins afresh
        text = "\n".join(block).encode("utf-8", "surrogatepass")
        counts[b"\n"] -= len(block) - 1
        data = np.frombuffer(text, dtype=np.uint8)
        ends = split(data)
        first, block_counts = _count_distinct(data, ends)
        starts = np.concatenate((np.zeros(1, dtype=np.int64), ends))[first]
        rows = zip(starts.tolist(), ends[first].tolist(), block_counts.tolist(), strict=True)
        for start, end, count in rows:
            counts[text[start:end]] += count
    return {chunk: count for chunk, count in counts.items() if count}


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in order, in lists of some million characters together."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= _BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


@cached
@njit
def _count_distinct(data, ends):
    """The index of the first of each distinct chunk, (D,), and how many equal it, (D,); both int64."""
    num_slots = 2 * len(ends) + 1
    slots = np.full(num_slots, _EMPTY, dtype=np.int32)
    first = np.empty(len(ends), dtype=np.int64)
    counts = np.zeros(len(ends), dtype=np.int64)
    num_distinct = 0
    start = 0
    for i in range(len(ends)):
        end = ends[i]
        slot = hash_stretch(data, start, end, num_slots)
        while slots[slot] != _EMPTY:
            known = first[slots[slot]]
            known_start = ends[known - 1] if known > 0 else 0
            if ends[known] - known_start == end - start and same_stretch(data, start, known_start, end - start):
                break
            slot = slot + 1 if slot + 1 < num_slots else 0
        if slots[slot] == _EMPTY:
            slots[slot] = num_distinct
            first[num_distinct] = i
            num_distinct += 1
        counts[slots[slot]] += 1
        start = end
    return first[:num_distinct].copy(), counts[:num_distinct].copy()
