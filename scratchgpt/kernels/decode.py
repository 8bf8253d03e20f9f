"""One step of generation: the whole GPT for one new token a row, in one compiled call.

    x = wte[token] + wpe[position]
    x = x + attention(ln_1(x)) W + b        for every layer, its new key and value put into the cache
    x = x + gelu(ln_2(x) W + b) W + b
    logits = ln_f(x) wte^T

A step has little to compute and must read every weight: what it would cost to go back to Python between the
forty kernels of a step is more than what they take. The threads share out the columns of each product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scratchgpt.kernels.attention_decode import attention_decode_into, attention_decode_reference
from scratchgpt.kernels.layernorm import _forward_row, layernorm_forward_reference
from scratchgpt.kernels.matrix.panels import (
    linear_add_into,
    linear_gelu_into,
    linear_gelu_reference,
    linear_into,
    linear_reference,
)
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop
from scratchgpt.kernels.runtime.threads import num_threads


class DecoderWeights(NamedTuple):
    """A GPT's parameters as generation reads them, of one dtype and C-contiguous.

    Those of the L layers stand together, the first axis is the layer; a matrix (K, N) is packed in panels
    (P, J, width), see matrix/panels.py. Names as in GPT-2, C channels, V vocabulary, S positions."""

    wte: np.ndarray
    """(V, C)"""
    wpe: np.ndarray
    """(S, C)"""
    ln_1_weight: np.ndarray
    """(L, C), as are all layernorms'"""
    ln_1_bias: np.ndarray
    c_attn: np.ndarray
    """(L, P, J, width), C to 3C"""
    c_attn_bias: np.ndarray
    """(L, 3C)"""
    attn_c_proj: np.ndarray
    """(L, P, J, width), C to C"""
    attn_c_proj_bias: np.ndarray
    """(L, C)"""
    ln_2_weight: np.ndarray
    ln_2_bias: np.ndarray
    c_fc: np.ndarray
    """(L, P, J, width), C to 4C"""
    c_fc_bias: np.ndarray
    """(L, 4C)"""
    mlp_c_proj: np.ndarray
    """(L, P, J, width), 4C to C"""
    mlp_c_proj_bias: np.ndarray
    """(L, C)"""
    ln_f_weight: np.ndarray
    """(C,)"""
    ln_f_bias: np.ndarray
    head: np.ndarray
    """(P, J, width), wte transposed"""
    head_bias: np.ndarray
    """(V,), zeros"""
    num_heads: int
    epsilon: float
    """of the layernorms"""


def decode_reference(
    weights: DecoderWeights, keys: np.ndarray, values: np.ndarray, positions: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """The equations above in NumPy; see `decode`."""
    w, every_row = weights, np.arange(len(tokens))
    channels, lengths = w.wte.shape[1], positions + 1
    x = w.wte[tokens] + w.wpe[positions]  # (B, C)
    for layer in range(len(keys)):
        normed, _, _ = layernorm_forward_reference(x, w.ln_1_weight[layer], w.ln_1_bias[layer], w.epsilon)
        qkv = linear_reference(normed, w.c_attn[layer], w.c_attn_bias[layer])  # (B, 3C)
        keys[layer, every_row, positions] = qkv[:, channels : 2 * channels]
        values[layer, every_row, positions] = qkv[:, 2 * channels :]
        attended = attention_decode_reference(qkv[:, :channels], keys[layer], values[layer], lengths, w.num_heads)
        x += linear_reference(attended, w.attn_c_proj[layer], w.attn_c_proj_bias[layer])
        normed, _, _ = layernorm_forward_reference(x, w.ln_2_weight[layer], w.ln_2_bias[layer], w.epsilon)
        hidden = linear_gelu_reference(normed, w.c_fc[layer], w.c_fc_bias[layer])  # (B, 4C)
        x += linear_reference(hidden, w.mlp_c_proj[layer], w.mlp_c_proj_bias[layer])
    normed, _, _ = layernorm_forward_reference(x, w.ln_f_weight, w.ln_f_bias, w.epsilon)
    return linear_reference(normed, w.head, w.head_bias)


@loop
def _layernorm(x, weight, bias, epsilon, y):
    for b in range(x.shape[0]):
        _forward_row(x[b], weight, bias, x.dtype.type(epsilon), y[b])


@loop
def _all_below(indices, end):
    """Whether all of them lie in 0 .. end - 1."""
    inside = True
    for i in range(indices.size):
        inside = inside and 0 <= indices[i] < end
    return inside


@loop
def _decode(w, keys, values, positions, tokens, logits, threads):
    rows, channels, dtype = tokens.size, w.wte.shape[1], w.wte.dtype
    x = np.empty((rows, channels), dtype)
    normed = np.empty((rows, channels), dtype)
    qkv = np.empty((rows, 3 * channels), dtype)
    attended = np.empty((rows, channels), dtype)
    hidden = np.empty((rows, w.c_fc_bias.shape[1]), dtype)
    lengths = positions + 1
    for b in range(rows):
        for c in range(channels):
            x[b, c] = w.wte[tokens[b], c] + w.wpe[positions[b], c]
    for layer in range(keys.shape[0]):
        _layernorm(x, w.ln_1_weight[layer], w.ln_1_bias[layer], w.epsilon, normed)
        linear_into(normed, w.c_attn[layer], w.c_attn_bias[layer], qkv, threads)
        for b in range(rows):
            keys[layer, b, positions[b]] = qkv[b, channels : 2 * channels]
            values[layer, b, positions[b]] = qkv[b, 2 * channels :]
        attention_decode_into(qkv, keys[layer], values[layer], lengths, w.num_heads, attended, threads)
        linear_add_into(attended, w.attn_c_proj[layer], w.attn_c_proj_bias[layer], x, threads)
        _layernorm(x, w.ln_2_weight[layer], w.ln_2_bias[layer], w.epsilon, normed)
        linear_gelu_into(normed, w.c_fc[layer], w.c_fc_bias[layer], hidden, threads)
        linear_add_into(hidden, w.mlp_c_proj[layer], w.mlp_c_proj_bias[layer], x, threads)
    _layernorm(x, w.ln_f_weight, w.ln_f_bias, w.epsilon, normed)
    linear_into(normed, w.head, w.head_bias, logits, threads)


@compiled(reference=decode_reference)
def decode(
    weights: DecoderWeights, keys: np.ndarray, values: np.ndarray, positions: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """Append one token to each of B rows: logits (B, V) of what follows; the cache is written.

    keys and values (L, rows, S, C) hold the positions before, of rows 0 to B - 1; positions and tokens (B,) are
    int64. Raises ValueError if shapes do not fit, or a position or a token is out of range."""
    layers, rows, size, channels = keys.shape
    # Plain `if`s: this runs for every token, and to format messages that nobody reads would be most of its time.
    if values.shape != keys.shape or (layers, channels) != weights.ln_1_weight.shape:
        wanted = weights.ln_1_weight.shape
        raise ValueError(f"decode: keys {keys.shape}, values {values.shape}, weights {wanted} (L, C)")
    if not weights.head.size:
        raise ValueError("decode: the weights need a packed head, see with_packed_head")
    if not (keys.flags.c_contiguous and values.flags.c_contiguous and keys.dtype == values.dtype == weights.wte.dtype):
        raise ValueError("decode: the cache must be contiguous and of the weights' dtype")
    if not (tokens.ndim == 1 and tokens.shape == positions.shape and len(tokens) <= rows):
        raise ValueError(f"decode: tokens {tokens.shape} and positions {positions.shape} for {rows} rows")
    tokens, positions, size = dense(tokens), dense(positions), min(size, len(weights.wpe))
    if not _all_below(tokens, len(weights.wte)):
        raise ValueError(f"decode: a token is out of range, there are {len(weights.wte)}")
    if not _all_below(positions, size):
        raise ValueError(f"decode: a row already holds {size} tokens, the whole context")
    logits = np.empty((len(tokens), len(weights.wte)), weights.wte.dtype)
    _decode(weights, keys, values, positions, tokens, logits, num_threads())
    return logits
