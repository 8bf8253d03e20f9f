"""A number that changes when arrays do: to know whether what was made of them is still theirs.

    z_i = w_i xor (start + i * GOLDEN),    h = start + sum_i  z_i + low(z_i) * high(z_i)       (mod 2^64)

w_i are the 64-bit words of an array; low and high are the halves of a word. The product mixes every word with its
place, as in XXH3 (Collet 2019): sums of equal words, swapped rows or changed signs do not cancel. Arrays are
chained: h, with the array's size, makes the start of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop

GOLDEN = 0x9E3779B97F4A7C15
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
BLOCK = 1 << 15
"""Words that one task adds up."""


def fingerprint_reference(arrays: Sequence[np.ndarray]) -> int:
    """The equation above in NumPy; see ``fingerprint``."""
    value = 0
    for array in arrays:
        words = _words(array)
        z = words ^ (np.uint64(value) + np.arange(words.size, dtype=np.uint64) * np.uint64(GOLDEN))
        value = _start_of_next(value + int((z + (z & LOW) * (z >> HALF)).sum(dtype=np.uint64)), array)
    return value


def _words(array: np.ndarray) -> np.ndarray:
    """The bytes of an array as 64-bit words, the last one filled up with zeros."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if flat.size % 8:
        flat = np.concatenate([flat, np.zeros(-flat.size % 8, np.uint8)])
    return flat.view(np.uint64)


def _start_of_next(value: int, array: np.ndarray) -> int:
    """A number of 64 bits that depends on all bits of the sum over an array, and on its size."""
    z = (value + array.size * GOLDEN) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64  # the mixing of SplitMix64, Steele et al. 2014, figure 16
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


# Why this is fast: the words do not wait for one another and a product of halves is one instruction for a whole
# vector, so that it takes as long as to read the arrays from memory.


@loop
def _sum(words, first, start):
    """The sum over some of an array's words, of which the first has the index ``first``."""
    total = np.uint64(0)
    key = start + np.uint64(first) * np.uint64(GOLDEN)
    for i in range(words.size):
        z = words[i] ^ (key + np.uint64(i) * np.uint64(GOLDEN))
        total += z + (z & LOW) * (z >> HALF)
    return total


@parallel_loop
def _sum_of_all(words, start):
    blocks = (words.size + BLOCK - 1) // BLOCK
    if blocks <= 1:
        return _sum(words, 0, start)
    sums = np.empty(blocks, np.uint64)
    for block in prange(blocks):
        first = np.int64(block) * BLOCK
        sums[block] = _sum(words[first : first + BLOCK], first, start)
    return sums.sum()


@compiled(reference=fingerprint_reference)
def fingerprint(arrays: Sequence[np.ndarray]) -> int:
    """A 64-bit number of the contents of some arrays, in their order, whatever their dtypes."""
    value = 0
    for array in arrays:
        value = _start_of_next(value + int(_sum_of_all(dense(_words(array)), np.uint64(value))), array)
    return value
