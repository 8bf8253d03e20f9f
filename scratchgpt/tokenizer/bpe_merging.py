"""Encoding with trained merges: the compiled loop from bytes to ids.

Within a chunk the pair that was merged first in training is merged first again, the leftmost of
equals, until no adjacent pair is a merge (Sennrich et al. 2016). `merge_reference` says so in
Python. The compiled loops keep the merge of every adjacent pair beside the symbols, so one merge
looks up only its two new neighbours: a short chunk is searched for the smallest by a plain scan, a
long one (a page of Chinese without punctuation is one chunk) by a heap, n log n instead of n squared.
"""

import heapq
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Pair = tuple[int, int]

NO_MERGE = np.int32(2**31 - 1)
_LONGEST_SCANNED = 192
# A table entry is left id (20 bits), right id (20), merged id (24): one read a look-up. All is unsigned,
# so that no index needs the check for being negative. Encoding is twice as fast so as with int64 keys.
MAX_VOCAB_SIZE = 2**20
_ID_BITS = np.uint64(20)
_MERGED_BITS = np.uint64(24)
_MERGED_MASK = np.uint64(2**24 - 1)
_HASH_MULTIPLIER = np.uint64(0x9E3779)  # 2^24 / golden ratio: spreads neighbouring keys, and 40 + 24 bits fit
_HASH_SHIFT = np.uint64(20)


class MergeTable(NamedTuple):
    """The merges, for look-up by pair: a hash table, and a plain one for pairs of bytes, needed most."""

    entries: NDArray[np.uint64]  # (S,), S a power of two, at most a quarter full; 0 is empty
    byte_pairs: NDArray[np.int32]  # (256, 256): merged id of two bytes, or NO_MERGE
    byte_ids: NDArray[np.int32]  # (256,)


def merge_reference(ids: list[int], merged_ids: Mapping[Pair, int]) -> list[int]:
    """The ids of one chunk after all merges, the plain way.

    ids: the chunk's byte ids. merged_ids: pair of ids -> id of the merged token; smaller ids were
    merged earlier.
    """
    ids = list(ids)
    while True:
        candidates = [merged_ids.get(pair, int(NO_MERGE)) for pair in pairwise(ids)]
        best = min(candidates, default=int(NO_MERGE))
        if best == NO_MERGE:
            return ids
        i = candidates.index(best)
        ids[i : i + 2] = [best]


@njit(cache=True)
def _key_and_slot(left, right, size):
    key = (np.uint64(left) << _ID_BITS) | np.uint64(right)
    return key, ((key * _HASH_MULTIPLIER) >> _HASH_SHIFT) & np.uint64(size - 1)


@njit(cache=True)
def _merged_id(left, right, entries):
    key, slot = _key_and_slot(left, right, len(entries))
    while entries[slot] != 0:
        if entries[slot] >> _MERGED_BITS == key:
            return np.int32(entries[slot] & _MERGED_MASK)
        slot = (slot + np.uint64(1)) & np.uint64(len(entries) - 1)
    return NO_MERGE


@njit(cache=True)
def _fill_table(merges, first_id, table):
    entries = table.entries
    for i in range(len(merges)):
        key, slot = _key_and_slot(merges[i, 0], merges[i, 1], len(entries))
        while entries[slot] != 0:
            slot = (slot + np.uint64(1)) & np.uint64(len(entries) - 1)
        entries[slot] = (key << _MERGED_BITS) | np.uint64(first_id + i)
    for left in range(256):
        for right in range(256):
            table.byte_pairs[left, right] = _merged_id(table.byte_ids[left], table.byte_ids[right], entries)


def build_merge_table(merges: list[Pair], byte_ids: NDArray[np.int32], first_id: int) -> MergeTable:
    """The table in which merge r of `merges` gives id `first_id` + r. Ids must be below MAX_VOCAB_SIZE."""
    size = 1 << max(4, (4 * len(merges)).bit_length())
    table = MergeTable(np.zeros(size, dtype=np.uint64), np.empty((256, 256), dtype=np.int32), byte_ids)
    _fill_table(np.array(merges, dtype=np.int64).reshape(-1, 2), first_id, table)
    return table


@njit(cache=True)
def _merge_by_scan(ids, length, merged, entries):
    """Merge ids[:length] in place; merged[i] is what ids[i], ids[i + 1] merge to. Returns the new length."""
    while length > 1:
        best = NO_MERGE
        at = 0
        for i in range(length - 1):
            if merged[i] < best:
                best = merged[i]
                at = i
        if best == NO_MERGE:
            break
        ids[at] = best
        length -= 1
        for i in range(at + 1, length):
            ids[i] = ids[i + 1]
            merged[i - 1] = merged[i]
        if at > 0:
            merged[at - 1] = _merged_id(ids[at - 1], best, entries)
        if at < length - 1:
            merged[at] = _merged_id(best, ids[at + 1], entries)
    return length


@njit(cache=True)
def _merge_by_heap(ids, length, entries):
    """Merge ids[:length] in place. Returns the new length.

    A heap entry is merged id * 2^32 + position; it is out of date if that position has another merge by now.
    """
    previous = np.arange(-1, length - 1)
    following = np.arange(1, length + 1)
    merged = np.full(length, NO_MERGE, dtype=np.int32)
    heap = [np.int64(0) for _ in range(0)]
    for i in range(length - 1):
        merged[i] = _merged_id(ids[i], ids[i + 1], entries)
        if merged[i] != NO_MERGE:
            heap.append((np.int64(merged[i]) << 32) | i)
    heapq.heapify(heap)
    while len(heap) > 0:
        entry = heapq.heappop(heap)
        i = int(entry) & 0xFFFFFFFF
        if merged[i] != entry >> 32:
            continue
        second = following[i]
        ids[i] = merged[i]
        merged[second] = NO_MERGE
        following[i] = following[second]
        if following[i] < length:
            previous[following[i]] = i
        for left in (previous[i], i):
            if left < 0:
                continue
            right = following[left]
            merged[left] = NO_MERGE if right >= length else _merged_id(ids[left], ids[right], entries)
            if merged[left] != NO_MERGE:
                heapq.heappush(heap, (np.int64(merged[left]) << 32) | left)
    count = 0
    i = 0
    while i < length:
        ids[count] = ids[i]
        count += 1
        i = following[i]
    return count


@njit(cache=True)
def encode_chunks(data, ends, table):
    """The ids of all chunks, one after the other.

    data: (N,) uint8, the text's bytes. ends: (K,) int64, where each chunk ends in it. table: from
    `build_merge_table`. Returns (M,) int32 with M <= N.
    """
    out = np.empty(len(data), dtype=np.int32)
    merged = np.empty(_LONGEST_SCANNED, dtype=np.int32)
    size = 0
    start = 0
    for end in ends:
        length = end - start
        ids = out[size : size + length]
        for i in range(length):
            ids[i] = table.byte_ids[data[start + i]]
        if length <= _LONGEST_SCANNED:
            for i in range(length - 1):
                merged[i] = table.byte_pairs[data[start + i], data[start + i + 1]]
            size += _merge_by_scan(ids, length, merged, table.entries)
        else:
            size += _merge_by_heap(ids, length, table.entries)
        start = end
    return out[:size].copy()
