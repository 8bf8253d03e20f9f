"""From logits to a token: softmax at a temperature, top-k, top-p, and the draw.

    w_i = exp((logit_i - max) / temperature)
    top-k keeps the k largest w (Fan et al. 2018); top-p keeps, of these, the fewest that reach the share p of
    their sum (Holtzman et al. 2020, equations 2 and 3); ties with the last one kept stay in
    token = the first i with w_0 + ... + w_i > u * sum w, over what was kept       (inverse transform sampling)

Every row of a batch has settings of its own.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.vector_math import exp, maximum

BLOCK = 64
"""How many weights the draw adds up at a time."""


def sample_reference(
    logits: np.ndarray, uniforms: np.ndarray, temperature: np.ndarray, top_k: np.ndarray, top_p: np.ndarray
) -> np.ndarray:
    """The equations above in NumPy; see ``sample``."""
    weights = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature.astype(logits.dtype)[:, None])
    for k in np.unique(top_k[top_k > 0]):
        weights[top_k == k] = keep_top_k(weights[top_k == k], k)
    for p in np.unique(top_p[top_p < 1]):
        weights[top_p == p] = keep_top_p(weights[top_p == p], p)
    return draw(weights, uniforms)


def keep_top_k(weights: np.ndarray, k: int) -> np.ndarray:
    """weights (B, V) with zeros in the place of all but the k largest of each row."""
    if k >= weights.shape[-1]:
        return weights
    smallest = np.partition(weights, -k, axis=-1)[:, -k, None]
    return np.where(weights >= smallest, weights, 0)


def keep_top_p(weights: np.ndarray, p: float) -> np.ndarray:
    """weights (B, V) with zeros in the place of all but the fewest of each row that reach p times its sum."""
    largest_first = np.sort(weights, axis=-1)[:, ::-1]
    reached = np.cumsum(largest_first, axis=-1, dtype=np.float64)
    needed = (reached - largest_first < p * reached[:, -1:]).sum(axis=-1)
    smallest = np.take_along_axis(largest_first, needed[:, None] - 1, axis=-1)
    return np.where(weights >= smallest, weights, 0)


def draw(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Draw one index a row with probability proportional to its weight, never one of weight 0.

    weights (B, V), not negative, each row with a positive sum; uniforms (B,) in [0, 1) -> (B,) int64
    """
    # Two levels, whole blocks and then the members of one block: adding up every weight in turn would take
    # longer than the rest of sampling together.
    starts = np.arange(0, weights.shape[1], BLOCK)
    cumulative = np.cumsum(np.add.reduceat(weights, starts, axis=1), axis=1, dtype=np.float64)
    tokens = np.empty(len(weights), np.int64)
    for row, (totals, threshold) in enumerate(zip(cumulative, uniforms * cumulative[:, -1], strict=True)):
        block = _first_above(totals, threshold)
        start = starts[block]
        before = totals[block - 1] if block else 0.0
        members = np.cumsum(weights[row, start : start + BLOCK], dtype=np.float64)
        tokens[row] = start + _first_above(members, threshold - before)
    return tokens


def _first_above(cumulative: np.ndarray, threshold: float) -> int:
    """The first index with ``cumulative > threshold``; never one of weight 0, however the threshold was rounded."""
    return int(cumulative.searchsorted(min(threshold, np.nextafter(cumulative[-1], 0)), side="right"))


# Why this is fast: nothing is sorted. A float that is not negative orders like the integer of the same bits, so
# the smallest weight to keep is found by halving an interval of integers, each time with one pass of vector
# comparisons over a row that stays in the first-level cache.


@loop
def _weigh(logits, temperature, weights):
    """w of a row"""
    top = logits[0]
    for i in range(logits.size):
        top = maximum(top, logits[i])
    scale = logits.dtype.type(1 / temperature)
    for i in range(logits.size):
        weights[i] = exp((logits[i] - top) * scale)


@loop
def _reached(masses, bits, smallest):
    """The sum of the masses of the weights whose bits are at least ``smallest``."""
    smallest = bits.dtype.type(smallest)
    total = 0.0
    for i in range(bits.size):
        total += masses[i] if bits[i] >= smallest else masses.dtype.type(0)
    return total


@loop
def _smallest_kept(masses, bits, lowest, needed):
    """The bits of the largest weight, not below ``lowest``, such that those that reach it have the mass needed."""
    highest = np.int64(bits.max())
    while lowest < highest:
        middle = highest - (highest - lowest) // 2
        if _reached(masses, bits, middle) >= needed:
            lowest = middle
        else:
            highest = middle - 1
    return lowest


@loop
def _keep(weights, bits, top_k, top_p):
    """Zeros in the place of the weights that top-k and top-p rule out; bits are the same memory, as integers."""
    smallest = np.int64(0)
    if 0 < top_k < weights.size:
        smallest = _smallest_kept(np.ones_like(weights), bits, smallest, top_k)
    if top_p < 1:
        smallest = _smallest_kept(weights, bits, smallest, top_p * _reached(weights, bits, smallest))
    for i in range(weights.size):
        weights[i] = weights[i] if bits[i] >= smallest else weights.dtype.type(0)


@loop
def _draw(weights, uniform, cumulative):
    """``draw`` for one row; cumulative is a buffer, one float64 a block of weights."""
    total = 0.0
    for block in range(cumulative.size):
        part = weights.dtype.type(0)
        for i in range(block * BLOCK, min((block + 1) * BLOCK, weights.size)):
            part += weights[i]
        total += part
        cumulative[block] = total
    threshold = min(uniform * total, np.nextafter(total, 0.0))
    block = 0
    while cumulative[block] <= threshold:
        block += 1
    below = cumulative[block - 1] if block else 0.0
    token = 0
    for i in range(block * BLOCK, min((block + 1) * BLOCK, weights.size)):
        if weights[i] > 0:
            token = i
            below += weights[i]
            if below > threshold:
                break
    return token


@parallel_loop
def _sample(logits, uniforms, temperature, top_k, top_p, integers, tokens):
    columns = logits.shape[1]
    for b in prange(logits.shape[0]):
        weights = np.empty(columns, logits.dtype)
        _weigh(logits[b], temperature[b], weights)
        if top_k[b] > 0 or top_p[b] < 1:
            _keep(weights, weights.view(integers.dtype), top_k[b], top_p[b])
        tokens[b] = _draw(weights, uniforms[b], np.empty((columns + BLOCK - 1) // BLOCK, np.float64))


@compiled(reference=sample_reference)
def sample(
    logits: np.ndarray, uniforms: np.ndarray, temperature: np.ndarray, top_k: np.ndarray, top_p: np.ndarray
) -> np.ndarray:
    """Draw a token for each row of finite logits (B, V), with the random numbers uniforms (B,) in [0, 1).

    The settings of the rows: temperature (B,) float64 above 0; top_k (B,) int64, 0 keeps all tokens; top_p (B,)
    float64, 1 keeps all tokens. Returns (B,) int64, the first index whose cumulative weight exceeds uniform times
    the sum.

    Raises:
        ValueError: if the shapes do not fit.
    """
    rows = logits.shape[:1]
    require(
        logits.ndim == 2 and logits.shape[1] > 0 and uniforms.shape == rows,
        f"sample: logits {logits.shape} and uniforms {uniforms.shape} are not (B, V) and (B,)",
    )
    require(
        temperature.shape == top_k.shape == top_p.shape == rows,
        f"sample: settings {temperature.shape}, {top_k.shape}, {top_p.shape} of {len(logits)} rows",
    )
    tokens = np.empty(len(logits), np.int64)
    integers = np.empty(0, np.int32 if logits.itemsize == 4 else np.int64)
    settings = (dense(temperature), dense(top_k), dense(top_p))
    _sample(dense(logits), dense(uniforms), *settings, integers, tokens)
    return tokens
