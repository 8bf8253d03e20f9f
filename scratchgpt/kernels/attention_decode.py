"""Attention of one new token a row against the keys and values cached so far: the step of generation.

    out = softmax(q K^T / sqrt(D)) V   for every row and head, over the first ``length`` cached positions

The work is to read the cache once; there is nothing to block.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.threads import SMALL, num_threads
from scratchgpt.kernels.runtime.vector_math import exp, maximum


def attention_decode_reference(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, lengths: np.ndarray, num_heads: int
) -> np.ndarray:
    """One row after the other in NumPy; see ``attention_decode``."""
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


# Why this is fast: a cached position is read once, all its heads together, so that memory is read in one stream;
# both products run along a head's channels, as vectors. For that the loops must see contiguous rows: a view of
# one head's columns of the cache would be read element by element, four times slower.


@loop
def _softmax(scores):
    """The softmax of an array (N,) in its place."""
    top = scores[0]
    for s in range(scores.size):
        top = maximum(top, scores[s])
    total = scores.dtype.type(0)
    for s in range(scores.size):
        scores[s] = exp(scores[s] - top)
        total += scores[s]
    scale = scores.dtype.type(1) / total
    for s in range(scores.size):
        scores[s] *= scale


@loop
def _decode_heads(q, keys, values, length, first_head, end_head, head_size, out):
    """The heads from first_head to before end_head of one row: q and out (C,), keys and values (S, C)."""
    scores = np.empty((end_head - first_head, length), q.dtype)
    scale = q.dtype.type(1 / math.sqrt(head_size))
    for s in range(length):
        position = keys[s]
        for h in range(first_head, end_head):
            query, key = q[h * head_size : (h + 1) * head_size], position[h * head_size : (h + 1) * head_size]
            score = q.dtype.type(0)
            for d in range(head_size):
                score += query[d] * key[d]
            scores[h - first_head, s] = score * scale
    for h in range(end_head - first_head):
        _softmax(scores[h])
    out[first_head * head_size : end_head * head_size] = 0
    for s in range(length):
        position = values[s]
        for h in range(first_head, end_head):
            weight = scores[h - first_head, s]
            mixed, value = out[h * head_size : (h + 1) * head_size], position[h * head_size : (h + 1) * head_size]
            for d in range(head_size):
                mixed[d] += weight * value[d]


@parallel_loop
def attention_decode_into(q, keys, values, lengths, num_heads, out, threads):
    """out = ``attention_decode`` for dense arrays, inside other kernels as well; q may have more columns than out."""
    rows, channels = out.shape
    if threads == 1 or rows * keys.shape[1] * channels <= SMALL:
        for b in range(rows):
            _decode_heads(q[b], keys[b], values[b], lengths[b], 0, num_heads, channels // num_heads, out[b])
        return
    groups = 1 if rows >= threads else min(num_heads, threads)  # few rows: their heads are shared out
    for task in prange(rows * groups):
        b, group = task // groups, task % groups
        first_head, end_head = group * num_heads // groups, (group + 1) * num_heads // groups
        _decode_heads(q[b], keys[b], values[b], lengths[b], first_head, end_head, channels // num_heads, out[b])


@compiled(reference=attention_decode_reference)
def attention_decode(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, lengths: np.ndarray, num_heads: int
) -> np.ndarray:
    """One new token a row: q (B, C) against the first lengths[b] of the cached keys and values (B, S, C).

    Returns (B, C).

    Raises:
        ValueError: if the shapes do not fit and on lengths outside 1 .. S.
    """
    require(
        q.ndim == 2 and keys.ndim == 3 and keys.shape == values.shape and (q.shape[0], q.shape[1]) == keys.shape[::2],
        f"attention: q {q.shape}, keys {keys.shape}, values {values.shape}; expected (B, C) and (B, S, C)",
    )
    require(num_heads > 0 and q.shape[1] % num_heads == 0, f"attention: {q.shape[1]} channels, {num_heads} heads")
    require(lengths.shape == q.shape[:1], f"attention: lengths {lengths.shape} for {q.shape[0]} rows")
    if lengths.size and not (lengths.min() >= 1 and lengths.max() <= keys.shape[1]):
        raise ValueError(f"attention: lengths must lie in 1..{keys.shape[1]}")
    out = np.empty_like(q, order="C")
    lengths = dense(lengths.astype(np.int64, copy=False))
    attention_decode_into(dense(q), dense(keys), dense(values), lengths, num_heads, out, num_threads())
    return out
