"""Chunks as stretches of one byte array: their hash and their equality, for compiled code.

A chunk is never an object of its own there, only a start and an end in the bytes of the text; that
is what makes counting and remembering chunks cheap.
"""

import numpy as np
from numba import njit

from scratchgpt.kernels.runtime.cache import cached

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_HIGH_BITS = np.uint64(32)  # what a product leaves in the low bits is poorly mixed


@cached
@njit
def hash_stretch(data, start, end, num_slots):
    """A number in 0..num_slots - 1 for the bytes data[start:end].

    The scheme of FNV-1a (Fowler, Noll and Vo) with another multiplier.

    Args:
        data: (N,) uint8.
        start: where the stretch begins.
        end: the place after its last byte.
        num_slots: at most 2^32.
    """
    value = np.uint64(0)
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * _MULTIPLIER
    return np.int64((value >> _HIGH_BITS) * np.uint64(num_slots) >> _HIGH_BITS)


@cached
@njit
def same_stretch(data, first, second, length):
    """Whether the ``length`` bytes of ``data`` (N,) uint8 from ``first`` on are those from ``second`` on."""
    for i in range(length):  # noqa: SIM110 - compiled code has no all()
        if data[first + i] != data[second + i]:
            return False
    return True
