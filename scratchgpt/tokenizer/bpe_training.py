"""Training of byte-pair encoding (Sennrich et al. 2016): find the merges.

Start with every chunk of the corpus as a sequence of byte ids. Count the adjacent pairs; the most
frequent one becomes a new symbol and is replaced wherever it stands; repeat. Of pairs with equal
counts the one with the smallest ids wins. ``train_reference`` is exactly that, and counts everything
again for each merge: on 4 MB of Chinese an hour. ``train`` gives the same merges in seconds, because
a merge changes only the pairs next to where it happens:

- the corpus is a doubly linked list of symbols, so a merge at one place touches four numbers;
- every pair keeps its count and a linked list of the positions where it stands, in order;
- a heap holds the pairs by count. Counts in it go stale as merges eat pairs; a stale entry is
  corrected when it comes to the top (counts of existing pairs only fall, so none is found too late).

No two merges spell the same token: what happens inside the stretch that becomes a token does not
depend on what is outside it, since no merge has crossed its borders. So merge r makes id
FIRST_MERGE_ID + r, always a new one.
"""

import heapq
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scratchgpt.kernels.runtime.cache import cached
from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID
from scratchgpt.tokenizer.plain_bpe import Pair, replace_pair

_SEPARATOR = -1
_NONE = -1


def train_reference(
    chunk_counts: Mapping[bytes, int], num_merges: int, max_token_length: int | None = None
) -> list[Pair]:
    """The merges, found the plain way.

    Args:
        chunk_counts: how often each chunk stands in the corpus.
        num_merges: how many to find at most.
        max_token_length: in bytes; pairs that would make a longer token are passed over. None: no limit.

    Returns:
        Pairs of ids in merge order, fewer than ``num_merges`` if nothing is left to merge.
    """
    lengths = [1] * FIRST_MERGE_ID
    words = [(BYTE_IDS[list(chunk)].tolist(), count) for chunk, count in chunk_counts.items()]
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pair_counts: Counter[Pair] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                if max_token_length is None or lengths[pair[0]] + lengths[pair[1]] <= max_token_length:
                    pair_counts[pair] += count
        if not pair_counts:
            break
        best = min(pair_counts, key=lambda pair: (-pair_counts[pair], pair))
        words = [(replace_pair(word, best, FIRST_MERGE_ID + len(merges)), count) for word, count in words]
        merges.append(best)
        lengths.append(lengths[best[0]] + lengths[best[1]])
    return merges


class _Corpus(NamedTuple):
    """The symbols of all chunks with a separator around each; one entry a position, arrays (N,)."""

    symbol: NDArray[np.int32]  # id, or _SEPARATOR
    previous: NDArray[np.int32]  # position of the symbol before
    following: NDArray[np.int32]  # position of the symbol after
    weight: NDArray[np.int64]  # how often the chunk stands in the text
    pair: NDArray[np.int32]  # index of the pair that begins here
    pair_previous: NDArray[np.int32]  # the position before this one in that pair's list
    pair_following: NDArray[np.int32]  # the position after this one in that pair's list


class _Pairs(NamedTuple):
    """Every pair seen so far; one entry a pair, arrays (P,) with room to grow."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    total: NDArray[np.int64]  # how often it stands in the text
    first: NDArray[np.int32]  # first position in its list, or _NONE
    last: NDArray[np.int32]


def _empty_pairs(capacity: int) -> _Pairs:
    return _Pairs(
        left=np.empty(capacity, dtype=np.int32),
        right=np.empty(capacity, dtype=np.int32),
        total=np.empty(capacity, dtype=np.int64),
        first=np.empty(capacity, dtype=np.int32),
        last=np.empty(capacity, dtype=np.int32),
    )


@cached
@njit
def _lay_out(data, ends, counts, byte_ids, symbol, weight):
    position = 1
    start = 0
    for i in range(len(ends)):
        for j in range(start, ends[i]):
            symbol[position] = byte_ids[data[j]]
            weight[position] = counts[i]
            position += 1
        position += 1
        start = ends[i]


def _build_corpus(chunk_counts: Mapping[bytes, int]) -> _Corpus:
    data = np.frombuffer(b"".join(chunk_counts), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, chunk_counts), np.int64, len(chunk_counts)))
    counts = np.fromiter(chunk_counts.values(), np.int64, len(chunk_counts))
    size = len(data) + len(ends) + 1
    symbol = np.full(size, _SEPARATOR, dtype=np.int32)
    weight = np.zeros(size, dtype=np.int64)
    _lay_out(data, ends, counts, BYTE_IDS, symbol, weight)
    positions = np.arange(size, dtype=np.int32)
    links = (np.empty(size, dtype=np.int32) for _ in range(3))
    return _Corpus(symbol, positions - 1, positions + 1, weight, *links)


@cached
@njit
def _new_pair(pairs, index, left, right):
    pairs.left[index] = left
    pairs.right[index] = right
    pairs.total[index] = 0
    pairs.first[index] = _NONE
    pairs.last[index] = _NONE


@cached
@njit
def _append(corpus, pairs, index, position):
    last = pairs.last[index]
    corpus.pair[position] = index
    corpus.pair_previous[position] = last
    corpus.pair_following[position] = _NONE
    if last == _NONE:
        pairs.first[index] = position
    else:
        corpus.pair_following[last] = position
    pairs.last[index] = position
    pairs.total[index] += corpus.weight[position]


@cached
@njit
def _remove(corpus, pairs, position):
    index = corpus.pair[position]
    before = corpus.pair_previous[position]
    after = corpus.pair_following[position]
    if before == _NONE:
        pairs.first[index] = after
    else:
        corpus.pair_following[before] = after
    if after == _NONE:
        pairs.last[index] = before
    else:
        corpus.pair_previous[after] = before
    pairs.total[index] -= corpus.weight[position]


@cached
@njit
def _count_pairs(corpus, pairs, slots):
    """Enter every adjacent pair of bytes; slots (I, I) is the index of a pair, _NONE before. Returns P."""
    num_pairs = 0
    for position in range(len(corpus.symbol) - 1):
        left = corpus.symbol[position]
        right = corpus.symbol[position + 1]
        if left == _SEPARATOR or right == _SEPARATOR:
            continue
        if slots[left, right] == _NONE:
            slots[left, right] = num_pairs
            _new_pair(pairs, num_pairs, left, right)
            num_pairs += 1
        _append(corpus, pairs, slots[left, right], position)
    return num_pairs


@cached
@njit
def _merge_pair(corpus, pairs, num_pairs, index, new_id, slots_before, slots_after):
    """Replace pair ``index`` by ``new_id`` everywhere. Returns P after the new pairs were entered.

    Every pair that arises contains ``new_id``, so two tables (I,) by the other symbol find it:
    slots_before for (x, new_id), slots_after for (new_id, y). Both are _NONE before and after.
    """
    first_new_pair = num_pairs
    while pairs.first[index] != _NONE:
        position = pairs.first[index]
        before = corpus.previous[position]
        second = corpus.following[position]
        after = corpus.following[second]
        _remove(corpus, pairs, position)
        if corpus.symbol[before] != _SEPARATOR:
            _remove(corpus, pairs, before)
        if corpus.symbol[after] != _SEPARATOR:
            _remove(corpus, pairs, second)
        corpus.symbol[position] = new_id
        corpus.following[position] = after
        corpus.previous[after] = position
        if corpus.symbol[before] != _SEPARATOR:
            left = corpus.symbol[before]
            if slots_before[left] == _NONE:
                slots_before[left] = num_pairs
                _new_pair(pairs, num_pairs, left, new_id)
                num_pairs += 1
            _append(corpus, pairs, slots_before[left], before)
        if corpus.symbol[after] != _SEPARATOR:
            # never new_id itself: positions come in order, what stands after is not yet merged
            right = corpus.symbol[after]
            if slots_after[right] == _NONE:
                slots_after[right] = num_pairs
                _new_pair(pairs, num_pairs, new_id, right)
                num_pairs += 1
            _append(corpus, pairs, slots_after[right], position)
    for i in range(first_new_pair, num_pairs):
        slots_before[pairs.left[i]] = _NONE
        slots_after[pairs.right[i]] = _NONE
    return num_pairs


@cached
@njit
def _push_pairs(heap, pairs, start, stop):
    """Push the pairs that occur: the smallest entry is the most frequent pair, of equals that of the smallest ids."""
    for i in range(start, stop):
        if pairs.total[i] > 0:
            heapq.heappush(heap, (-pairs.total[i], pairs.left[i], pairs.right[i], i))


@cached
@njit
def _find_merges(corpus, pairs, num_pairs, merges, max_token_length):
    """Fill ``merges`` (M, 2) with pairs of ids. Returns how many there are."""
    num_ids = FIRST_MERGE_ID + len(merges)
    lengths = np.ones(num_ids, dtype=np.int64)
    slots_before = np.full(num_ids, _NONE, dtype=np.int32)
    slots_after = np.full(num_ids, _NONE, dtype=np.int32)
    heap = [(np.int64(0), np.int32(0), np.int32(0), 0) for _ in range(0)]
    _push_pairs(heap, pairs, 0, num_pairs)
    count = 0
    while len(heap) > 0 and count < len(merges):
        negative_total, left, right, index = heapq.heappop(heap)
        if lengths[left] + lengths[right] > max_token_length:
            continue
        if pairs.total[index] != -negative_total:
            _push_pairs(heap, pairs, index, index + 1)
            continue
        new_id = FIRST_MERGE_ID + count
        merges[count, 0] = left
        merges[count, 1] = right
        lengths[new_id] = lengths[left] + lengths[right]
        count += 1
        first_new_pair = num_pairs
        num_pairs = _merge_pair(corpus, pairs, num_pairs, index, new_id, slots_before, slots_after)
        _push_pairs(heap, pairs, first_new_pair, num_pairs)
    return count


def train(chunk_counts: Mapping[bytes, int], num_merges: int, max_token_length: int | None = None) -> list[Pair]:
    """The merges of ``train_reference``, in time that grows with the symbols merged, not re-counted.

    It takes about 32 bytes of memory for each byte of the distinct chunks, and 60 for each pair that ever arises.

    Args:
        chunk_counts: how often each chunk stands in the corpus.
        num_merges: how many to find at most.
        max_token_length: in bytes; pairs that would make a longer token are passed over. None: no limit.

    Returns:
        Pairs of ids in merge order, fewer than ``num_merges`` if nothing is left to merge.
    """
    if num_merges == 0:
        return []
    corpus = _build_corpus(chunk_counts)
    # each symbol begins a pair, and each of two symbols merged enters two at most; unused room takes no memory
    pairs = _empty_pairs(3 * len(corpus.symbol))
    num_pairs = _count_pairs(corpus, pairs, np.full((FIRST_MERGE_ID, FIRST_MERGE_ID), _NONE, dtype=np.int32))
    merges = np.empty((num_merges, 2), dtype=np.int32)
    longest = len(corpus.symbol) if max_token_length is None else max_token_length
    count = _find_merges(corpus, pairs, num_pairs, merges, longest)
    return [(left, right) for left, right in merges[:count].tolist()]
