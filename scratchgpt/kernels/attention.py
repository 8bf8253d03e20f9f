"""Causal multi-head attention without a (T, T) matrix (Dao et al. 2022; Dao 2023). For every head

    S = Q K^T / sqrt(D), key j hidden from query i if j > i;   P = softmax of the rows of S;   O = P V

Forward goes through the keys in blocks and keeps, for every query, the maximum m and the sum l of the
exponentials so far (online softmax, Milakov & Gimelshein 2018); when the maximum grows, what was
summed is multiplied by exp(old m - new m). It saves one number a query, L = m + log l. Backward
computes the probabilities again, P = exp(S - L), block by block:

    dV = P^T dO,   dP = dO V^T,   dS = P * (dP - delta),   delta_i = sum_d dO_id O_id,
    dQ = dS K / sqrt(D),   dK = dS^T Q / sqrt(D)

Layout as in GPT-2: qkv (B, T, 3C) holds q, k, v one after the other, each of them H heads of D channels.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numba.extending import register_jitable

from scratchgpt.kernels.matrix.register_tile import (
    COLUMNS32,
    COLUMNS64,
    TILE_ROWS,
    multiply,
    operand,
    round_up,
    shifted,
    tile_columns,
    transpose,
    turned,
)
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.threads import num_threads
from scratchgpt.kernels.runtime.vector_math import exp, maximum

KEY_STEP = math.lcm(TILE_ROWS, 4)
"""Keys come in whole tiles of rows, and ``_online_softmax`` takes four at a time."""
KEY_BLOCK = round_up(64, KEY_STEP)
# Queries are the columns of a tile in one product and the rows of one in another.
QUERY_BLOCK = round_up(32, math.lcm(TILE_ROWS, COLUMNS32))
QUERY_BLOCK64 = round_up(32, math.lcm(TILE_ROWS, COLUMNS64))
# The score of a hidden key: below every other one, and finite, so that differences of scores are never inf - inf.
HIDDEN32, HIDDEN64 = np.finfo(np.float32).min, np.finfo(np.float64).min


@register_jitable
def _hidden(array):
    """The score of a hidden key, for the dtype of ``array``."""
    return HIDDEN32 if array.itemsize == 4 else HIDDEN64


def _split_heads(qkv: np.ndarray, num_heads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    batch, time, three_channels = qkv.shape
    heads = qkv.reshape(batch, time, 3, num_heads, three_channels // (3 * num_heads))
    q, k, v = heads.transpose(2, 0, 3, 1, 4)  # each (B, H, T, D)
    return q, k, v


def _scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(1 / math.sqrt(q.shape[-1]))
    hidden = np.triu(np.ones(scores.shape[-2:], bool), 1)
    return np.where(hidden, q.dtype.type(-np.inf), scores)


def attention_forward_reference(qkv: np.ndarray, num_heads: int) -> tuple[np.ndarray, np.ndarray]:
    """The equations above in NumPy, with the (T, T) matrices; see ``attention_forward``."""
    batch, time, three_channels = qkv.shape
    q, k, v = _split_heads(qkv, num_heads)
    scores = _scores(q, k)
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - top)
    total = weights.sum(axis=-1, keepdims=True)
    out = (weights / total) @ v
    logsumexp = (top + np.log(total))[..., 0]
    return out.transpose(0, 2, 1, 3).reshape(batch, time, three_channels // 3), logsumexp


def attention_backward_reference(
    grad_out: np.ndarray, qkv: np.ndarray, out: np.ndarray, logsumexp: np.ndarray, num_heads: int
) -> np.ndarray:
    """The equations above in NumPy, with the (T, T) matrices; see ``attention_backward``."""
    batch, time, channels = grad_out.shape
    q, k, v = _split_heads(qkv, num_heads)
    scale = q.dtype.type(1 / math.sqrt(q.shape[-1]))
    probabilities = np.exp(_scores(q, k) - logsumexp[..., None])
    grad = grad_out.reshape(batch, time, num_heads, -1).transpose(0, 2, 1, 3)
    delta = (grad_out * out).reshape(batch, time, num_heads, -1).sum(axis=-1).transpose(0, 2, 1)
    grad_v = probabilities.swapaxes(-1, -2) @ grad
    grad_scores = probabilities * (grad @ v.swapaxes(-1, -2) - delta[..., None]) * scale
    grad_q = grad_scores @ k
    grad_k = grad_scores.swapaxes(-1, -2) @ q
    stacked = np.stack((grad_q, grad_k, grad_v))  # (3, B, H, T, D)
    return stacked.transpose(1, 3, 0, 2, 4).reshape(batch, time, 3 * channels)


@loop
def attention_forward_blocked(qkv: np.ndarray, num_heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Online softmax in plain loops over blocks: the rung between ``attention_forward_reference`` and
    ``attention_forward``, which takes and returns the same.

    A block of keys and values stays in the first-level cache while a block of queries goes over it. What is missing
    is that a score is a sum across a vector, and that every output is loaded and stored for every key.
    """
    batch, time, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    size = channels // num_heads
    scale = qkv.dtype.type(1 / math.sqrt(size))
    out, logsumexp = np.empty((batch, time, channels), qkv.dtype), np.empty((batch, num_heads, time), qkv.dtype)
    scores = np.empty(KEY_BLOCK, qkv.dtype)
    for b, h in np.ndindex(batch, num_heads):
        heads = qkv[b].reshape(time, 3, num_heads, size)
        q, k, v = heads[:, 0, h].copy(), heads[:, 1, h].copy(), heads[:, 2, h].copy()  # (T, D), their rows dense
        o, top, total = np.zeros_like(q), np.full(time, _hidden(q), q.dtype), np.zeros(time, q.dtype)
        for first_query in range(0, time, QUERY_BLOCK):
            end_query = min(first_query + QUERY_BLOCK, time)
            for first_key in range(0, end_query, KEY_BLOCK):
                for i in range(first_query, end_query):
                    seen = scores[: max(0, min(KEY_BLOCK, i + 1 - first_key))]  # no key after the query
                    before, mixed = top[i], o[i]
                    for j in range(seen.size):
                        seen[j] = scale * _dot(q[i], k[first_key + j])
                        top[i] = maximum(top[i], seen[j])
                    decay = exp(before - top[i])  # what was summed so far shrinks
                    total[i] *= decay
                    for d in range(size):
                        mixed[d] *= decay
                    for j in range(seen.size):
                        weight, value = exp(seen[j] - top[i]), v[first_key + j]
                        total[i] += weight
                        for d in range(size):
                            mixed[d] += weight * value[d]
        for i in range(time):
            out[b, i, h * size : (h + 1) * size] = o[i] / total[i]
            logsumexp[b, h, i] = top[i] + np.log(total[i])
    return out, logsumexp


@loop
def _dot(x, y):
    total = x.dtype.type(0)
    for d in range(x.size):
        total += x[d] * y[d]
    return total


# Why this is fast:
# - The scores are held transposed, one key a row and one query a vector lane. Maximum, exponential and sum
#   over the keys then work on whole vectors, nothing is ever summed across lanes.
# - All five products are register tiles (matrix/register_tile.py). The operand that is broadcast may be strided, so
#   only Q and dO are transposed, once for every block of queries.
# - Blocks of 32 queries and 64 keys: all that a block touches stays in the first-level cache. Key blocks
#   beyond the diagonal are never visited.
# - Keys and values of a head are copied once, out of rows 3C apart, into dense rows: cache lines and pages
#   that the products go through again and again lie side by side.


@register_jitable
def _query_block(array):
    """How many queries make a block, for the dtype of ``array``."""
    return QUERY_BLOCK if array.itemsize == 4 else QUERY_BLOCK64


@loop
def _copy_rows(source, offset, stride, count, scale, columns, target):
    """target[i, :columns] = scale * source row i; zeros beyond ``columns`` and from row ``count`` on."""
    for i in range(count):
        row = target[i]
        part = source[offset + i * stride : offset + i * stride + columns]
        for d in range(columns):
            row[d] = part[d] * scale
        for d in range(columns, row.size):
            row[d] = 0
    target[count:] = 0


@loop
def _hide(scores, first_key, keys, first_query):
    """Set the scores of keys that come after the query; lanes are queries, rows are keys."""
    hidden = _hidden(scores)
    for j in range(max(0, first_query - first_key), keys):
        row = scores[j]
        for i in range(min(first_key + j - first_query, row.size)):
            row[i] = hidden


@loop
def _online_softmax(scores, keys, top, total, decay):
    """Turn a block of scores into exponentials, bring top and total up to date, and say in ``decay`` by how much
    what was summed before has to shrink. Taking four keys a step (their number is a multiple of KEY_STEP)
    saves three of four loads and stores of top and total.
    """
    lanes = top.size
    for i in range(lanes):
        decay[i] = top[i]
    for j in range(0, keys, 4):
        s0, s1, s2, s3 = scores[j], scores[j + 1], scores[j + 2], scores[j + 3]
        for i in range(lanes):
            top[i] = maximum(maximum(top[i], s0[i]), maximum(maximum(s1[i], s2[i]), s3[i]))
    for j in range(keys):
        row = scores[j]
        for i in range(lanes):
            row[i] = exp(row[i] - top[i])
    for i in range(lanes):
        decay[i] = exp(decay[i] - top[i])
        total[i] *= decay[i]
    for j in range(0, keys, 4):
        s0, s1, s2, s3 = scores[j], scores[j + 1], scores[j + 2], scores[j + 3]
        for i in range(lanes):
            total[i] += (s0[i] + s1[i]) + (s2[i] + s3[i])


@loop
def _scale_rows(rows, factors):
    for i in range(factors.size):
        row = rows[i]
        for d in range(row.size):
            row[d] *= factors[i]


@loop
def _forward_head(qkv, offset, time, channels, head_size, part, parts, out, out_offset, logsumexp):
    """Every ``parts``-th block of queries of one head, from block ``part`` on."""
    dtype = qkv.dtype
    stride = 3 * channels
    one = dtype.type(1)
    scale = dtype.type(1 / math.sqrt(head_size))
    width = round_up(head_size, tile_columns(qkv))
    lanes = _query_block(qkv)
    padded_time = round_up(time, KEY_STEP)
    keys = np.empty((padded_time, width), dtype)
    values = np.empty((padded_time, width), dtype)
    query = np.empty((lanes, width), dtype)
    query_turned = np.empty((width, lanes), dtype)
    scores = np.empty((KEY_BLOCK, lanes), dtype)
    sums = np.empty((lanes, width), dtype)
    top = np.empty(lanes, dtype)
    total = np.empty(lanes, dtype)
    decay = np.empty(lanes, dtype)
    k, v, q, q_turned = operand(keys), operand(values), operand(query), operand(query_turned)
    s, o = operand(scores), operand(sums)
    _copy_rows(qkv, offset + channels, stride, time, one, head_size, keys)
    _copy_rows(qkv, offset + 2 * channels, stride, time, one, head_size, values)
    for first_query in range(part * lanes, time, parts * lanes):
        count = min(lanes, time - first_query)
        _copy_rows(qkv, offset + first_query * stride, stride, count, scale, head_size, query)
        transpose(q, q_turned, lanes, width)
        top[:] = _hidden(qkv)
        total[:] = 0
        for first_key in range(0, first_query + count, KEY_BLOCK):
            block = min(KEY_BLOCK, first_query + count - first_key)
            block_rows = round_up(block, KEY_STEP)
            multiply(s, shifted(k, first_key, 0), q_turned, block_rows, lanes, head_size, False)
            _hide(scores, first_key, block_rows, first_query)
            _online_softmax(scores, block_rows, top, total, decay)
            if first_key > 0:
                _scale_rows(sums, decay)
            multiply(o, turned(s), shifted(v, first_key, 0), lanes, width, block, first_key > 0)
        for i in range(count):
            start = out_offset + (first_query + i) * channels
            row = out[start : start + head_size]
            source = sums[i]
            inverse = one / total[i]
            for d in range(head_size):
                row[d] = source[d] * inverse
            logsumexp[first_query + i] = top[i] + np.log(total[i])


@parallel_loop
def _forward(qkv, batch, time, channels, num_heads, parts, out, logsumexp):
    head_size = channels // num_heads
    for task in prange(batch * num_heads * parts):
        head, part = divmod(np.int64(task), parts)
        b, h = divmod(np.int64(head), num_heads)
        row = b * time
        _forward_head(
            qkv, row * 3 * channels + h * head_size, time, channels, head_size, part, parts,
            out, row * channels + h * head_size, logsumexp[head],
        )  # fmt: skip


@loop
def _probabilities(scores, grad_scores, keys, logsumexp, delta):
    """scores -> P and grad_scores (holding dP) -> dS, in place."""
    for j in range(keys):
        row = scores[j]
        grad = grad_scores[j]
        for i in range(row.size):
            row[i] = exp(row[i] - logsumexp[i])
            grad[i] = row[i] * (grad[i] - delta[i])


@loop
def _backward_head(
    grad_out, qkv, out, offset, out_offset, time, channels, head_size, part, parts, logsumexp,
    grad_qkv, grad_keys, grad_values,
):  # fmt: skip
    """Every ``parts``-th block of queries of one head: writes dQ, adds to grad_keys and grad_values (T', D')."""
    dtype = qkv.dtype
    stride = 3 * channels
    one = dtype.type(1)
    scale = dtype.type(1 / math.sqrt(head_size))
    padded_time, width = grad_keys.shape
    lanes = _query_block(qkv)
    keys = np.empty((padded_time, width), dtype)
    values = np.empty((padded_time, width), dtype)
    query = np.empty((lanes, width), dtype)
    grad = np.empty((lanes, width), dtype)
    query_turned = np.empty((width, lanes), dtype)
    grad_turned = np.empty((width, lanes), dtype)
    scores = np.empty((KEY_BLOCK, lanes), dtype)
    grad_scores = np.empty((KEY_BLOCK, lanes), dtype)
    grad_query = np.empty((lanes, width), dtype)
    saved = np.zeros(lanes, dtype)
    delta = np.zeros(lanes, dtype)
    k, v, grad_k, grad_v = operand(keys), operand(values), operand(grad_keys), operand(grad_values)
    q, q_turned, grad_o, grad_o_turned = operand(query), operand(query_turned), operand(grad), operand(grad_turned)
    s, grad_s, grad_q = operand(scores), operand(grad_scores), operand(grad_query)
    _copy_rows(qkv, offset + channels, stride, time, one, head_size, keys)
    _copy_rows(qkv, offset + 2 * channels, stride, time, one, head_size, values)
    for first_query in range(part * lanes, time, parts * lanes):
        count = min(lanes, time - first_query)
        first_row = out_offset + first_query * channels
        _copy_rows(qkv, offset + first_query * stride, stride, count, scale, head_size, query)
        _copy_rows(grad_out, first_row, channels, count, one, head_size, grad)
        transpose(q, q_turned, lanes, width)
        transpose(grad_o, grad_o_turned, lanes, width)
        for i in range(count):
            saved[i] = logsumexp[first_query + i]
            row = out[first_row + i * channels : first_row + i * channels + head_size]
            grad_row = grad[i]
            product = dtype.type(0)
            for d in range(head_size):
                product += row[d] * grad_row[d]
            delta[i] = product
        for first_key in range(0, first_query + count, KEY_BLOCK):
            block = min(KEY_BLOCK, first_query + count - first_key)
            block_rows = round_up(block, KEY_STEP)
            k_block, v_block = shifted(k, first_key, 0), shifted(v, first_key, 0)
            multiply(s, k_block, q_turned, block_rows, lanes, head_size, False)
            multiply(grad_s, v_block, grad_o_turned, block_rows, lanes, head_size, False)
            _hide(scores, first_key, block_rows, first_query)
            _probabilities(scores, grad_scores, block_rows, saved, delta)
            multiply(shifted(grad_v, first_key, 0), s, grad_o, block_rows, width, count, True)
            multiply(shifted(grad_k, first_key, 0), grad_s, q, block_rows, width, count, True)
            multiply(grad_q, turned(grad_s), k_block, lanes, width, block, first_key > 0)
        for i in range(count):
            start = offset + (first_query + i) * stride
            row = grad_qkv[start : start + head_size]
            source = grad_query[i]
            for d in range(head_size):
                row[d] = source[d] * scale


@loop
def _write_rows(source, target, offset, stride, rows, columns):
    for i in range(rows):
        row = target[offset + i * stride : offset + i * stride + columns]
        part = source[i]
        for d in range(columns):
            row[d] = part[d]


@parallel_loop
def _backward(grad_out, qkv, out, batch, time, channels, num_heads, logsumexp, grad_qkv):
    """A task is a head: it alone writes that head's gradients."""
    head_size = channels // num_heads
    shape = (2, round_up(time, KEY_STEP), round_up(head_size, tile_columns(qkv)))
    for head in prange(batch * num_heads):
        b, h = divmod(np.int64(head), num_heads)
        offset = b * time * 3 * channels + h * head_size
        grads = np.zeros(shape, qkv.dtype)
        _backward_head(
            grad_out, qkv, out, offset, b * time * channels + h * head_size, time, channels, head_size,
            np.int64(0), np.int64(1), logsumexp[head], grad_qkv, grads[0], grads[1],
        )  # fmt: skip
        _write_rows(grads[0], grad_qkv, offset + channels, 3 * channels, time, head_size)
        _write_rows(grads[1], grad_qkv, offset + 2 * channels, 3 * channels, time, head_size)


@parallel_loop
def _backward_split(grad_out, qkv, out, batch, time, channels, num_heads, parts, logsumexp, grad_qkv):
    """Heads too few for the threads: a task is a part of a head's queries, with its own sums of dK and dV."""
    head_size = channels // num_heads
    padded_time, width = round_up(time, KEY_STEP), round_up(head_size, tile_columns(qkv))
    grads = np.zeros((batch * num_heads, parts, 2, padded_time, width), qkv.dtype)
    for task in prange(batch * num_heads * parts):
        head, part = divmod(np.int64(task), parts)
        b, h = divmod(np.int64(head), num_heads)
        _backward_head(
            grad_out, qkv, out, b * time * 3 * channels + h * head_size, b * time * channels + h * head_size,
            time, channels, head_size, part, parts, logsumexp[head],
            grad_qkv, grads[head, part, 0], grads[head, part, 1],
        )  # fmt: skip
    for task in prange(batch * num_heads * 2):
        head, which = divmod(np.int64(task), 2)
        b, h = divmod(np.int64(head), num_heads)
        total = grads[head, 0, which]
        for part in range(1, parts):
            total += grads[head, part, which]
        offset = b * time * 3 * channels + (1 + which) * channels + h * head_size
        _write_rows(total, grad_qkv, offset, 3 * channels, time, head_size)


def _check_qkv(qkv: np.ndarray, num_heads: int) -> None:
    require(
        qkv.ndim == 3 and num_heads > 0 and qkv.shape[2] > 0 and qkv.shape[2] % (3 * num_heads) == 0,
        f"attention: qkv {qkv.shape} must be (B, T, 3C) with C divisible by num_heads {num_heads}",
    )


def _parts(tasks: int) -> int:
    """In how many parts to cut every head so that all threads have the same number of tasks."""
    threads = num_threads()
    return threads if tasks % threads and tasks < 4 * threads else 1


@compiled(reference=attention_forward_reference)
def attention_forward(qkv: np.ndarray, num_heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Causal attention of qkv (B, T, 3C): the output (B, T, C) and logsumexp (B, H, T), which backward needs.

    Memory grows linearly with T.

    Raises:
        ValueError: if qkv does not have that shape.
    """
    _check_qkv(qkv, num_heads)
    batch, time, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    out = np.empty((batch, time, channels), qkv.dtype)
    logsumexp = np.empty((batch, num_heads, time), qkv.dtype)
    parts = _parts(batch * num_heads)
    flat = dense(qkv).reshape(-1)
    _forward(flat, batch, time, channels, num_heads, parts, out.reshape(-1), logsumexp.reshape(-1, time))
    return out, logsumexp


@compiled(reference=attention_backward_reference)
def attention_backward(
    grad_out: np.ndarray, qkv: np.ndarray, out: np.ndarray, logsumexp: np.ndarray, num_heads: int
) -> np.ndarray:
    """The gradient (B, T, 3C) of ``attention_forward`` from grad_out (B, T, C) and what it took and returned.

    Raises:
        ValueError: if the shapes do not fit.
    """
    _check_qkv(qkv, num_heads)
    batch, time, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    require(
        grad_out.shape == out.shape == (batch, time, channels) and logsumexp.shape == (batch, num_heads, time),
        f"attention: qkv {qkv.shape}, grad {grad_out.shape}, out {out.shape}, logsumexp {logsumexp.shape}",
    )
    grad_qkv = np.empty_like(qkv, order="C")
    arrays = (dense(grad_out).reshape(-1), dense(qkv).reshape(-1), dense(out).reshape(-1))
    saved = dense(logsumexp).reshape(-1, time)
    parts = _parts(batch * num_heads)
    if parts == 1:
        _backward(*arrays, batch, time, channels, num_heads, saved, grad_qkv.reshape(-1))
    else:
        _backward_split(*arrays, batch, time, channels, num_heads, parts, saved, grad_qkv.reshape(-1))
    return grad_qkv
