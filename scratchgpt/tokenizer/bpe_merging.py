"""Encoding with trained merges: the compiled loop from bytes to ids.

Within a chunk the pair that was merged first in training is merged first again, the leftmost of equals, until no
adjacent pair is a merge: as ``plain_bpe.merge_chunk`` says in Python, and with the same ids, since what a merge makes
is only in later ones. The compiled loops keep the merge of every adjacent pair beside the symbols, so one merge looks
up only its two new neighbours. A short chunk is searched for the smallest by a plain scan, a long one (a page of
Chinese without punctuation is one chunk) by a heap, n log n instead of n squared. A chunk that stood in the text
shortly before is not merged again: its ids are copied.
"""

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scratchgpt.kernels.runtime.cache import cached
from scratchgpt.tokenizer.plain_bpe import Pair
from scratchgpt.tokenizer.stretches import hash_stretch, same_stretch

MAX_VOCAB_SIZE = 2**20
"""A larger id does not fit an entry of the table."""
# A table entry is left id (20 bits), right id (20), merged id (24): one read a look-up. All is unsigned,
# so that no index needs the check for being negative. Encoding is twice as fast so as with int64 keys.
_ID_BITS = np.uint64(20)
_MERGED_BITS = np.uint64(24)
_MERGED_MASK = np.uint64(2**24 - 1)
NO_MERGE = np.uint32(2**24 - 1)
_HASH_MULTIPLIER = np.uint64(0x9E3779)  # 2^24 / golden ratio: spreads neighbouring keys, and 40 + 24 bits fit
_HASH_SHIFT = np.uint64(20)
# A key of the scan is merged id (24 bits), position (8): the smallest key is the leftmost of the first merges.
_POSITION_BITS = np.uint32(8)
_POSITION_MASK = np.uint32(2**8 - 1)
_NO_KEY = np.uint32(2**32 - 1)
_LONGEST_SCANNED = 192  # with a place before and one after, positions fit in 8 bits
_NO_TOKEN = np.uint32(0)  # <PAD>, which no merge contains: stands before and after a chunk
_RECENT_SLOTS = 4096
_ONE = np.uint64(1)


class MergeTable(NamedTuple):
    """The merges, for look-up by pair: a hash table, and a plain one for pairs of bytes, needed most.

    Attributes:
        entries: (S,) uint64, S a power of two, at most a quarter full; 0 is empty.
        byte_pairs: (256, 256) uint32, the merged id of two bytes, or NO_MERGE.
        byte_ids: (256,) int32, the id of each byte.
    """

    entries: NDArray[np.uint64]
    byte_pairs: NDArray[np.uint32]
    byte_ids: NDArray[np.int32]


@cached
@njit
def _key_and_slot(left, right, size):
    key = (np.uint64(left) << _ID_BITS) | np.uint64(right)
    return key, ((key * _HASH_MULTIPLIER) >> _HASH_SHIFT) & np.uint64(size - 1)


@cached
@njit
def _merged_id(left, right, entries):
    key, slot = _key_and_slot(left, right, len(entries))
    while entries[slot] != 0:
        if entries[slot] >> _MERGED_BITS == key:
            return np.uint32(entries[slot] & _MERGED_MASK)
        slot = (slot + _ONE) & np.uint64(len(entries) - 1)
    return NO_MERGE


@cached
@njit
def _fill_table(merges, first_id, table):
    entries = table.entries
    for i in range(len(merges)):
        key, slot = _key_and_slot(merges[i, 0], merges[i, 1], len(entries))
        while entries[slot] != 0:
            slot = (slot + _ONE) & np.uint64(len(entries) - 1)
        entries[slot] = (key << _MERGED_BITS) | np.uint64(first_id + i)
    for left in range(256):
        for right in range(256):
            table.byte_pairs[left, right] = _merged_id(table.byte_ids[left], table.byte_ids[right], entries)


def build_merge_table(merges: list[Pair], byte_ids: NDArray[np.int32], first_id: int) -> MergeTable:
    """The table in which merge r gives id ``first_id`` + r.

    Args:
        merges: pairs of ids, all below MAX_VOCAB_SIZE and none of them 0, in the order learned.
        byte_ids: (256,) int32, the id of each byte.
        first_id: the id of merge 0.
    """
    size = 1 << max(4, (4 * len(merges)).bit_length())
    table = MergeTable(np.zeros(size, dtype=np.uint64), np.empty((256, 256), dtype=np.uint32), byte_ids)
    _fill_table(np.array(merges, dtype=np.int64).reshape(-1, 2), first_id, table)
    return table


@cached
@njit
def _merge_by_scan(data, table, work, ids):
    """Write the ids of the chunk ``data``, at most _LONGEST_SCANNED bytes, to ``ids``. Returns their number."""
    entries = table.entries
    size = np.uint64(len(data))
    # the symbols are at 1..size, symbols[0] is _NO_TOKEN, and so is what follows the last
    symbols, keys, before, after = work
    byte = data[0]
    for i in range(_ONE, size):
        next_byte = data[i]
        symbols[i] = table.byte_ids[byte]
        keys[i] = table.byte_pairs[byte, next_byte] << _POSITION_BITS | np.uint32(i)
        before[i] = i - _ONE
        after[i] = i + _ONE
        byte = next_byte
    symbols[size] = table.byte_ids[byte]
    before[size] = size - _ONE
    after[size] = size + _ONE
    symbols[size + _ONE] = _NO_TOKEN
    while True:
        best = _NO_KEY
        for slot in range(_ONE, size):
            best = min(best, keys[slot])
        merged = best >> _POSITION_BITS
        if merged == NO_MERGE:
            break
        at = np.uint64(best & _POSITION_MASK)
        gone = np.uint64(after[at])
        left = np.uint64(before[at])
        right = np.uint64(after[gone])
        symbols[at] = merged
        after[at] = right
        before[right] = at
        keys[gone] = _NO_KEY
        keys[left] = _merged_id(symbols[left], merged, entries) << _POSITION_BITS | np.uint32(left)
        keys[at] = _merged_id(merged, symbols[right], entries) << _POSITION_BITS | np.uint32(at)
    count = np.uint64(0)
    i = _ONE  # type: ignore[assignment]
    while i <= size:
        ids[count] = symbols[i]
        count += _ONE
        i = np.uint64(after[i])  # type: ignore[assignment]
    return np.int64(count)


@cached
@njit
def _merge_by_heap(data, table, ids):
    """Write the ids of the chunk ``data`` to ``ids``, as long as it. Returns their number.

    A heap entry is merged id * 2^32 + position; it is out of date if that position has another merge by now.
    """
    length = len(data)
    before = np.arange(-1, length - 1)
    after = np.arange(1, length + 1)
    merged = np.full(length, NO_MERGE, dtype=np.uint32)
    heap = [np.int64(0) for _ in range(0)]
    for i in range(length):
        ids[i] = table.byte_ids[data[i]]
    for i in range(length - 1):
        merged[i] = table.byte_pairs[data[i], data[i + 1]]
        if merged[i] != NO_MERGE:
            heap.append((np.int64(merged[i]) << 32) | i)
    heapq.heapify(heap)
    while len(heap) > 0:
        entry = heapq.heappop(heap)
        i = int(entry) & 0xFFFFFFFF
        if merged[i] != entry >> 32:
            continue
        gone = after[i]
        ids[i] = merged[i]
        merged[gone] = NO_MERGE
        after[i] = after[gone]
        if after[i] < length:
            before[after[i]] = i
        for left in (before[i], i):
            if left < 0:
                continue
            right = after[left]
            merged[left] = NO_MERGE if right >= length else _merged_id(ids[left], ids[right], table.entries)
            if merged[left] != NO_MERGE:
                heapq.heappush(heap, (np.int64(merged[left]) << 32) | left)
    count = 0
    i = 0
    while i < length:
        ids[count] = ids[i]
        count += 1
        i = after[i]
    return count


@cached
@njit
def encode_chunks(data, ends, table):
    """The ids of all chunks, one after the other. Compiled, to be called from compiled code.

    Args:
        data: (N,) uint8, the text's bytes.
        ends: (K,) int64, where each chunk ends in it.
        table: from ``build_merge_table``.

    Returns:
        (M,) int32 with M <= N.
    """
    places = _LONGEST_SCANNED + 2
    symbols, keys = np.full(places, _NO_TOKEN, dtype=np.uint32), np.empty(places, dtype=np.uint32)
    work = symbols, keys, np.empty(places, dtype=np.uint8), np.empty(places, dtype=np.uint8)
    # of each hash the chunk last seen: its start and length in ``data``, the start and number of its ids
    recent = np.zeros((min(_RECENT_SLOTS, len(ends)), 4), dtype=np.int64)
    out = np.empty(len(data), dtype=np.int32)
    size = start = 0
    for end in ends:
        length = end - start
        seen = recent[hash_stretch(data, start, end, len(recent))]
        if seen[1] == length and same_stretch(data, start, seen[0], length):
            first, count = seen[2], seen[3]
            for i in range(count):
                out[size + i] = out[first + i]
        else:
            chunk, ids = data[start:end], out[size : size + length]
            if length <= _LONGEST_SCANNED:
                count = _merge_by_scan(chunk, table, work, ids)
            else:
                count = _merge_by_heap(chunk, table, ids)
            seen[0], seen[1], seen[2], seen[3] = start, length, size, count
        size += count
        start = end
    return out[:size].copy()
