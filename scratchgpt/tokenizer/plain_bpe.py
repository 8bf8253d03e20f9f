"""Encoding by byte pairs, the plain way: all of it, to be read in one go.

Text -> chunks -> bytes -> merges -> ids. Training left a list of pairs of ids in the order they were learned; to encode
is to join the same pairs again in that order, in every chunk by itself (Sennrich et al. 2016, section 3.2; on bytes:
Radford et al. 2019, section 2.2). ``BPETokenizer.encode`` gives the same ids, compiled, about a hundred times as fast.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID
from scratchgpt.tokenizer.split_pattern import compile_splitter

Pair = tuple[int, int]
"""Two ids that stand side by side."""


def encode(text: str, merges: Sequence[Pair]) -> list[int]:
    """The ids of any string.

    Args:
        text: what to encode; the spelling of a special token is plain text like any other.
        merges: pairs of ids in the order they were learned (``BPETokenizer.merges``); merge r makes id 262 + r.
    """
    merged_ids = ids_of_merges(merges)
    ids: list[int] = []
    for chunk in compile_splitter()(text):
        ids += merge_chunk(ids_of_bytes(chunk), merged_ids)
    return ids


def ids_of_merges(merges: Sequence[Pair]) -> dict[Pair, int]:
    """Pair of ids -> id of the two joined, from the pairs in the order they were learned."""
    return {pair: FIRST_MERGE_ID + rank for rank, pair in enumerate(merges)}


def ids_of_bytes(chunk: str) -> list[int]:
    """The ids of the bytes of a chunk, a single one each."""
    byte_ids: list[int] = BYTE_IDS[list(chunk.encode("utf-8", "surrogatepass"))].tolist()
    return byte_ids


def merge_chunk(ids: list[int], merged_ids: Mapping[Pair, int]) -> list[int]:
    """The ids of one chunk after all merges.

    Args:
        ids: the ids of its bytes.
        merged_ids: pair of ids -> id of the two joined; the smaller that is, the earlier the pair was learned.
    """
    *_, merged = merge_steps(ids, merged_ids)
    return merged


def merge_steps(ids: list[int], merged_ids: Mapping[Pair, int]) -> Iterator[list[int]]:
    """The ids of one chunk before the first merge and after each; the arguments are those of :func:`merge_chunk`."""
    yield ids
    while mergeable := [pair for pair in pairwise(ids) if pair in merged_ids]:
        first_learned = min(mergeable, key=merged_ids.__getitem__)
        ids = replace_pair(ids, first_learned, merged_ids[first_learned])
        yield ids


def replace_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """``ids`` with every occurrence of ``pair``, taken from left to right, replaced by ``new_id``."""
    replaced: list[int] = []
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            replaced.append(new_id)
            i += 2
        else:
            replaced.append(ids[i])
            i += 1
    return replaced
