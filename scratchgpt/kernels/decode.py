"""The whole GPT for generating: prompts are read (``read_prompts``), then one new token a row is appended (``decode``).

    x = wte[token] + wpe[position]
    x = x + attention(ln_1(x)) W + b        for every layer, its new keys and values put into the cache
    x = x + gelu(ln_2(x) W + b) W + b
    logits = ln_f(x) wte^T

The architecture stands here once, in ``forward``, in terms of a few primitives: ``layernorm``, ``linear``,
``linear_gelu``, ``add_linear``, ``attend``, ``wanted``. In Python they are the kernels in use, called one after the
other: so are prompts read, and on the NumPy backend tokens appended. For compiled code each has a second body, and
``forward`` with all of them becomes one compiled call, a step: it has little to compute and must read every weight,
and what it would cost to go back to Python between its forty kernels is more than what they take. The threads share
out the columns of each product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from scratchgpt.kernels.attention import attention_forward
from scratchgpt.kernels.attention_decode import attention_decode, attention_decode_into
from scratchgpt.kernels.layernorm import _forward_row, layernorm_forward
from scratchgpt.kernels.matrix import panels as packed
from scratchgpt.kernels.matrix.panels import linear_add_into, linear_gelu_into, linear_into
from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop
from scratchgpt.kernels.runtime.threads import num_threads


class DecoderWeights(NamedTuple):
    """A GPT's parameters as generation reads them, of one dtype and C-contiguous.

    Those of the L layers stand together, the first axis is the layer; a matrix (K, N) is packed in panels
    (P, J, width), see matrix/panels.py. Names as in GPT-2, C channels, V vocabulary, S positions.
    """

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


class Step(NamedTuple):
    """Where one new token a row stands."""

    keys: np.ndarray
    """(L, rows, S, C), the cache, as are the values; it is written"""
    values: np.ndarray
    positions: np.ndarray
    """(B,) int64, of the new tokens, which are those of the first B rows"""

    def attend(self, qkv: np.ndarray, layer: int, num_heads: int) -> np.ndarray:
        """See ``attend``."""
        every_row, channels = np.arange(len(qkv)), qkv.shape[1] // 3
        keys, values = self.keys[layer], self.values[layer]
        keys[every_row, self.positions] = qkv[:, channels : 2 * channels]
        values[every_row, self.positions] = qkv[:, 2 * channels :]
        batch = slice(len(qkv))
        return attention_decode(qkv[:, :channels], keys[batch], values[batch], self.positions + 1, num_heads)

    def wanted(self, x: np.ndarray) -> np.ndarray:
        """See ``wanted``."""
        return x


class Prompts(NamedTuple):
    """Where the tokens of B prompts of T tokens stand, filled up on the right."""

    keys: np.ndarray
    """(L, rows, S, C), the cache, as are the values; it is written"""
    values: np.ndarray
    rows: np.ndarray
    """(B,) int64, the prompts' rows in the cache"""
    lengths: np.ndarray
    """(B,) int64, without what they are filled up with"""

    def attend(self, qkv: np.ndarray, layer: int, num_heads: int) -> np.ndarray:
        """See ``attend``."""
        # Padding needs no mask: it stands on the right, where the causal attention of a prompt's own tokens does
        # not look, and in the cache it lies beyond the row's length.
        qkv = qkv.reshape(len(self.rows), -1, qkv.shape[1])  # (B, T, 3C)
        time, channels = qkv.shape[1], qkv.shape[2] // 3
        self.keys[layer, self.rows, :time] = qkv[:, :, channels : 2 * channels]
        self.values[layer, self.rows, :time] = qkv[:, :, 2 * channels :]
        return attention_forward(qkv, num_heads)[0].reshape(-1, channels)

    def wanted(self, x: np.ndarray) -> np.ndarray:
        """See ``wanted``."""
        time = len(x) // len(self.rows)
        return x[np.arange(len(self.rows)) * time + self.lengths - 1]


@loop
def forward(w, x, where, threads):
    """Embedded tokens x (N, C), which it may overwrite, to what the head reads of those whose logits are wanted."""
    layers = len(w.ln_1_weight)
    for layer in range(layers):
        normed = layernorm(x, w.ln_1_weight[layer], w.ln_1_bias[layer], w.epsilon)
        qkv = linear(normed, w.c_attn[layer], w.c_attn_bias[layer], threads)  # (N, 3C)
        attended = attend(qkv, layer, w.num_heads, where, threads)
        if layer == layers - 1:  # what is left is for the logits
            x, attended = wanted(x, where), wanted(attended, where)
        x = add_linear(x, attended, w.attn_c_proj[layer], w.attn_c_proj_bias[layer], threads)
        normed = layernorm(x, w.ln_2_weight[layer], w.ln_2_bias[layer], w.epsilon)
        hidden = linear_gelu(normed, w.c_fc[layer], w.c_fc_bias[layer], threads)  # (N, 4C)
        x = add_linear(x, hidden, w.mlp_c_proj[layer], w.mlp_c_proj_bias[layer], threads)
    return layernorm(x, w.ln_f_weight, w.ln_f_bias, w.epsilon)


# -- the primitives: their bodies in Python, then those in compiled code --------------------------------------
def layernorm(x, weight, bias, epsilon):
    """x (N, C) -> (N, C)"""
    return layernorm_forward(x, weight, bias, epsilon)[0]


def linear(x, panels, bias, threads):
    """x W + b; the kernels of Python know their number of threads by themselves, here and below."""
    return packed.linear(x, panels, bias)


def linear_gelu(x, panels, bias, threads):
    """gelu(x W + b)"""
    return packed.linear_gelu(x, panels, bias)


def add_linear(x, inputs, panels, bias, threads):
    """x + inputs W + b, in the place of x"""
    x += packed.linear(inputs, panels, bias)
    return x


def attend(qkv, layer, num_heads, where, threads):
    """Put the keys and values of qkv (N, 3C) into the cache; what the queries find there, (N, C)."""
    return where.attend(qkv, layer, num_heads)


def wanted(x, where):
    """The rows of x of those tokens whose logits are wanted."""
    return where.wanted(x)


@overload(layernorm)
def _layernorm(x, weight, bias, epsilon):
    def body(x, weight, bias, epsilon):
        y = np.empty_like(x)
        for b in range(x.shape[0]):
            _forward_row(x[b], weight, bias, x.dtype.type(epsilon), y[b])
        return y

    return body


@overload(linear)
def _linear(x, panels, bias, threads):
    def body(x, panels, bias, threads):
        y = np.empty((x.shape[0], bias.size), x.dtype)
        linear_into(x, panels, bias, y, threads)
        return y

    return body


@overload(linear_gelu)
def _linear_gelu(x, panels, bias, threads):
    def body(x, panels, bias, threads):
        y = np.empty((x.shape[0], bias.size), x.dtype)
        linear_gelu_into(x, panels, bias, y, threads)
        return y

    return body


@overload(add_linear)
def _add_linear(x, inputs, panels, bias, threads):
    def body(x, inputs, panels, bias, threads):
        linear_add_into(inputs, panels, bias, x, threads)
        return x

    return body


@overload(attend)
def _attend(qkv, layer, num_heads, where, threads):
    def body(qkv, layer, num_heads, where, threads):
        keys, values, positions = where
        channels = qkv.shape[1] // 3
        for b in range(qkv.shape[0]):
            keys[layer, b, positions[b]] = qkv[b, channels : 2 * channels]
            values[layer, b, positions[b]] = qkv[b, 2 * channels :]
        attended = np.empty((qkv.shape[0], channels), qkv.dtype)
        attention_decode_into(qkv, keys[layer], values[layer], positions + 1, num_heads, attended, threads)
        return attended

    return body


@overload(wanted)
def _wanted(x, where):
    return lambda x, where: x


# -- the two ways to call it ----------------------------------------------------------------------------------
def read_prompts(
    weights: DecoderWeights,
    keys: np.ndarray,
    values: np.ndarray,
    rows: np.ndarray,
    ids: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    """Put the keys and values of B prompts into rows of the cache (L, rows, S, C); logits (B, V) of what follows.

    rows (B,), each once; ids (B, T), filled up on the right with any token; lengths (B,), 1 to T; all integers.
    """
    x = weights.wte[ids] + weights.wpe[: ids.shape[1]]
    x = x.reshape(ids.size, -1)
    hidden = forward.py_func(weights, x, Prompts(keys, values, rows, lengths), num_threads())
    return hidden @ weights.wte.T


def decode_reference(
    weights: DecoderWeights, keys: np.ndarray, values: np.ndarray, positions: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """``forward`` as it stands, a kernel after the other; see ``decode``."""
    x = weights.wte[tokens] + weights.wpe[positions]  # (B, C)
    hidden = forward.py_func(weights, x, Step(keys, values, positions), num_threads())
    return packed.linear(hidden, weights.head, weights.head_bias)


@loop
def _decode(w, where, tokens, logits, threads):
    x = np.empty((tokens.size, w.wte.shape[1]), w.wte.dtype)
    for b in range(tokens.size):
        for c in range(x.shape[1]):
            x[b, c] = w.wte[tokens[b], c] + w.wpe[where.positions[b], c]
    linear_into(forward(w, x, where, threads), w.head, w.head_bias, logits, threads)


@loop
def _all_below(indices, end):
    """Whether all of them lie in 0 .. end - 1."""
    inside = True
    for i in range(indices.size):
        inside = inside and 0 <= indices[i] < end
    return inside


@compiled(reference=decode_reference)
def decode(
    weights: DecoderWeights, keys: np.ndarray, values: np.ndarray, positions: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """Append one token to each of B rows: logits (B, V) of what follows; the cache is written.

    keys and values (L, rows, S, C) hold the positions before, of rows 0 to B - 1; positions and tokens (B,) are
    int64.

    Raises:
        ValueError: if shapes do not fit, or a position or a token is out of range.
    """
    layers, rows, size, channels = keys.shape
    # Plain `if`s: this runs for every token, and to format messages that nobody reads would be most of its time.
    if values.shape != keys.shape or (layers, channels) != weights.ln_1_weight.shape:
        wanted = weights.ln_1_weight.shape
        raise ValueError(f"decode: keys {keys.shape}, values {values.shape}, weights {wanted} (L, C)")
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
    _decode(weights, Step(keys, values, positions), tokens, logits, num_threads())
    return logits
