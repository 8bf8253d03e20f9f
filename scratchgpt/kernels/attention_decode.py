"""Attention of one new token a row against the keys and values cached so far: the step of generation.

    out = softmax(q K^T / sqrt(D)) V   for every row and head, over the first `length` cached positions

The work is to read the cache once; there is nothing to block.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from scratchgpt.kernels.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.vector_math import exp

PARALLEL_DECODE = 1 << 17  # numbers to read, below which starting the threads costs more than it saves


def attention_decode_reference(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, lengths: np.ndarray, num_heads: int
) -> np.ndarray:
    """One row after the other in NumPy; see `attention_decode`."""
    out = np.empty_like(q)
    head_size = q.shape[1] // num_heads
    for b, length in enumerate(lengths):
        k = keys[b, :length].reshape(length, num_heads, head_size)
        v = values[b, :length].reshape(length, num_heads, head_size)
        scores = np.einsum("hd,shd->hs", q[b].reshape(num_heads, head_size), k)
        scores *= q.dtype.type(1 / math.sqrt(head_size))
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        out[b] = np.einsum("hs,shd->hd", weights, v).reshape(-1)
    return out


# Why this is fast: both products run along a head's channels, which lie side by side, so a key is read and
# multiplied as vectors; and the threads are started only where there is enough to read.


@loop
def _decode_head(q, keys, values, length, out, scores):
    """One head of one row: q (D,), keys and values (S, D) with rows a stride apart."""
    head_size = q.size
    scale = q.dtype.type(1 / math.sqrt(head_size))
    top = -q.dtype.type(np.inf)
    for s in range(length):
        key = keys[s]
        score = q.dtype.type(0)
        for d in range(head_size):
            score += q[d] * key[d]
        scores[s] = score * scale
        top = max(top, scores[s])
    total = q.dtype.type(0)
    for s in range(length):
        scores[s] = exp(scores[s] - top)
        total += scores[s]
    for d in range(head_size):
        out[d] = 0
    for s in range(length):
        value = values[s]
        weight = scores[s] / total
        for d in range(head_size):
            out[d] += weight * value[d]


@loop
def _decode_row(q, keys, values, length, num_heads, out):
    head_size = q.size // num_heads
    scores = np.empty(length, q.dtype)
    for h in range(num_heads):
        part = slice(h * head_size, (h + 1) * head_size)
        _decode_head(q[part], keys[:, part], values[:, part], length, out[part], scores)


@loop
def _decode_serial(q, keys, values, lengths, num_heads, out):
    for b in range(q.shape[0]):
        _decode_row(q[b], keys[b], values[b], lengths[b], num_heads, out[b])


@parallel_loop
def _decode_parallel(q, keys, values, lengths, num_heads, out):
    for b in prange(q.shape[0]):
        _decode_row(q[b], keys[b], values[b], lengths[b], num_heads, out[b])


@compiled(reference=attention_decode_reference)
def attention_decode(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, lengths: np.ndarray, num_heads: int
) -> np.ndarray:
    """One new token a row: q (B, C) against the first lengths[b] of the cached keys and values (B, S, C).

    Returns (B, C). Raises ValueError on shapes that do not fit and on lengths outside 1 .. S."""
    require(
        q.ndim == 2 and keys.ndim == 3 and keys.shape == values.shape and (q.shape[0], q.shape[1]) == keys.shape[::2],
        f"attention: q {q.shape}, keys {keys.shape}, values {values.shape}; expected (B, C) and (B, S, C)",
    )
    require(num_heads > 0 and q.shape[1] % num_heads == 0, f"attention: {q.shape[1]} channels, {num_heads} heads")
    require(lengths.shape == q.shape[:1], f"attention: lengths {lengths.shape} for {q.shape[0]} rows")
    if lengths.size and not (lengths.min() >= 1 and lengths.max() <= keys.shape[1]):
        raise ValueError(f"attention: lengths must lie in 1..{keys.shape[1]}")
    out = np.empty_like(q, order="C")
    large = len(q) > 1 and int(lengths.sum()) * q.shape[1] > PARALLEL_DECODE
    decode = _decode_parallel if large else _decode_serial
    lengths = dense(lengths.astype(np.int64, copy=False))
    decode(dense(q), dense(keys), dense(values), lengths, num_heads, out)
    return out
