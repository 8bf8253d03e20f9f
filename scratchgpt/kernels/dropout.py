"""Dropout (Srivastava et al. 2014): y_i = x_i / (1 - p) with probability 1 - p, else 0.

The random number of element i is a hash of (seed, i), not the next one of a sequence: the backward pass
computes the same mask again and nothing is stored, and the result does not depend on the thread count
(counter-based random numbers, Salmon et al. 2011). The hash is a 32-bit multiply-xorshift mixer with the
constants found by Wellons (2018); element numbers are taken modulo 2^32.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require

MULTIPLY1 = np.uint32(0x21F0AAAD)
MULTIPLY2 = np.uint32(0x735A2D97)
SHIFT15 = np.uint32(15)
SHIFT16 = np.uint32(16)
BLOCK = 4096


def _threshold(p: float) -> np.uint32:
    """Hashes below this number are dropped: p as a share of 2^32."""
    require(0 <= p < 1, f"dropout: p must be at least 0 and below 1, not {p}")
    return np.uint32(min(round(p * 2**32), 2**32 - 1))


def _halves(seed: int) -> tuple[np.uint32, np.uint32]:
    return np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)


def dropout_forward_reference(x: np.ndarray, p: float, seed: int) -> np.ndarray:
    """The definition above in NumPy; see ``dropout_forward``."""
    low, high = _halves(int(seed))
    h = np.arange(x.size, dtype=np.uint32) ^ low
    h = (h ^ (h >> SHIFT16)) * MULTIPLY1 ^ high
    h = (h ^ (h >> SHIFT15)) * MULTIPLY2
    h = h ^ (h >> SHIFT15)
    keep = (h >= _threshold(p)).reshape(x.shape)
    return x * keep.astype(x.dtype) * x.dtype.type(1 / (1 - p))


# Why this is fast: 32-bit integer arithmetic vectorises, so the mask costs less than reading x.


@loop
def _block(x, first, threshold, low, high, scale, y):
    zero = x.dtype.type(0)
    for i in range(x.size):
        h = np.uint32(np.uint32(first + i) ^ low)
        h = np.uint32(np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT16)) * MULTIPLY1) ^ high)
        h = np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT15)) * MULTIPLY2)
        h = np.uint32(h ^ np.uint32(h >> SHIFT15))
        y[i] = x[i] * scale if h >= threshold else zero


@parallel_loop
def _forward(x, threshold, low, high, scale, y):
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _block(x[part], block * BLOCK, threshold, low, high, scale, y[part])


@compiled(reference=dropout_forward_reference)
def dropout_forward(x: np.ndarray, p: float, seed: int) -> np.ndarray:
    """Drop elements of x (any shape) with probability p, 0 <= p < 1, and scale the others by 1 / (1 - p).

    ``seed``: an integer of 64 bits; the same seed gives the same mask.

    Raises:
        ValueError: for another p.
    """
    low, high = _halves(int(seed))
    y = np.empty_like(x, order="C")
    _forward(dense(x).reshape(-1), _threshold(p), low, high, x.dtype.type(1 / (1 - p)), y.reshape(-1))
    return y


def dropout_backward(grad: np.ndarray, p: float, seed: int) -> np.ndarray:
    """The gradient of ``dropout_forward``: the same mask and scale on grad (any shape)."""
    return dropout_forward(grad, p, seed)
