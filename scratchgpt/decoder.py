"""The forward pass for generating text: one new token a step, earlier keys and values kept in a cache.

The causal mask makes the keys and values of a position independent of what comes after it, so they are
computed once and kept: a step costs one row of each matrix product instead of T rows (Shazeer 2019,
section 2.4). The arithmetic is that of :class:`scratchgpt.model.GPT` on plain arrays, without a graph:

    prefill:      ids (B, T)    -> logits (B, V) after each row's last token; the cache holds the prompts
    decode_step:  tokens (B,)   -> logits (B, V) after them; the cache has grown by one position
"""

from __future__ import annotations

import numpy as np

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.model import GPT, TransformerBlock
from scratchgpt.nn import LayerNorm, Linear

FEW_ROWS = 16
"""Measured: at 8 rows BLAS is nearly twice as fast as our kernel, at 16 they are level."""


class KVCache:
    """Keys and values of every layer for the tokens that a batch of rows has seen.

    Rows have lengths of their own. What lies beyond a row's length is left over from other rows and is
    never read.

    Args:
        config: the model's sizes; a row holds at most ``context_size`` positions, S.
        batch_size: how many rows there is room for.
        dtype: of the model's parameters.

    Attributes:
        lengths: (B,) int64, positions in use in each of the B rows that are there; at first B is 0.
    """

    def __init__(self, config: GPTConfig, batch_size: int, dtype: np.dtype | type = np.float32) -> None:
        shape = (config.num_layers, batch_size, config.context_size, config.emb_dim)
        # Memory that is never written costs nothing: the system hands out pages at the first write.
        self._keys = np.empty(shape, dtype)
        self._values = np.empty(shape, dtype)
        self.lengths = np.zeros(0, np.int64)

    @property
    def capacity(self) -> int:
        """How many rows there is room for."""
        return self._keys.shape[1]

    @property
    def context_size(self) -> int:
        """How many positions a row has room for, S."""
        return self._keys.shape[2]

    @property
    def keys(self) -> np.ndarray:
        """(L, B, S, C), a view: layer, row, position, channel."""
        return self._keys[:, : len(self.lengths)]

    @property
    def values(self) -> np.ndarray:
        """(L, B, S, C), a view: layer, row, position, channel."""
        return self._values[:, : len(self.lengths)]

    def select(self, rows: np.ndarray) -> None:
        """Make row i what row ``rows[i]`` was: to drop, reorder or repeat rows.

        Only rows that change their place are copied; :func:`packing_order` names an order that moves few.

        Args:
            rows: (B',) integers below B; B' is at most the capacity.

        Raises:
            ValueError: if a row does not exist or there is no room for so many.
        """
        rows = np.asarray(rows, np.int64)
        batch = len(self.lengths)
        if len(rows) > self.capacity or (len(rows) and not 0 <= rows.min() <= rows.max() < batch):
            raise ValueError(f"cache: cannot select rows {rows.tolist()} of {batch}, room for {self.capacity}")
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if len(moved):
            sources = rows[moved]
            longest = self.lengths[sources].max()
            for array in (*self._keys, *self._values):  # a layer at a time: the copy in between stays small
                array[moved, :longest] = array[sources, :longest]
        self.lengths = self.lengths[rows]


def packing_order(keep: np.ndarray) -> np.ndarray:
    """The kept rows in an order that moves as few of them as possible: the last ones fill the gaps.

    Args:
        keep: (B,) bool.

    Returns:
        (number kept,) indices, for :meth:`KVCache.select`.
    """
    count = int(keep.sum())
    rows = np.arange(count)
    rows[~keep[:count]] = count + np.flatnonzero(keep[count:])
    return rows


def prefill(
    model: GPT, cache: KVCache, ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray | None = None
) -> np.ndarray:
    """Run prompts through the model, all positions at once, and put their keys and values into the cache.

    Padding needs no mask: it stands on the right, where the causal attention of a prompt's own tokens
    does not look, and in the cache it lies beyond the row's length.

    Args:
        model: the model; its dropout takes no part.
        cache: to fill.
        ids: (B, T) integers, each row a prompt filled up on the right with any token.
        lengths: (B,) the prompts' lengths, 1 to T.
        rows: (B,) rows of the cache to write over, each once; None: the prompts become the whole content.

    Returns:
        (B, V) logits after each prompt's last token.

    Raises:
        ValueError: if the shapes do not fit each other or the cache.
    """
    ids, lengths = np.asarray(ids), np.asarray(lengths, np.int64)
    if ids.ndim != 2 or lengths.shape != ids.shape[:1]:
        raise ValueError(f"prefill: ids {ids.shape} and lengths {lengths.shape} are not (B, T) and (B,)")
    batch, time = ids.shape
    if not 1 <= lengths.min() <= lengths.max() <= time:
        raise ValueError(f"prefill: lengths {lengths.tolist()} do not fit ids {ids.shape}")
    if batch > cache.capacity or time > cache.context_size:
        raise ValueError(f"prefill: ids {ids.shape}, the cache has room for {(cache.capacity, cache.context_size)}")
    if rows is None:
        rows = np.arange(batch)
        cache.lengths = lengths.copy()
    else:
        cache.lengths[rows] = lengths
    transformer, config = model.transformer, model.config
    x = transformer.wte.weight.data[ids] + transformer.wpe.weight.data[:time]
    channels = config.emb_dim
    x = x.reshape(batch * time, channels)
    for block, keys, values in zip(transformer.h, cache.keys, cache.values, strict=True):
        qkv = _linear(_layernorm(x, block.ln_1), block.attn.c_attn).reshape(batch, time, -1)
        keys[rows, :time] = qkv[:, :, channels : 2 * channels]
        values[rows, :time] = qkv[:, :, 2 * channels :]
        attended, _ = kernels.attention_forward(qkv, config.num_heads)
        x += _linear(attended.reshape(x.shape), block.attn.c_proj)
        x += _feed_forward(x, block)
    last = x.reshape(batch, time, -1)[np.arange(batch), lengths - 1]
    return _head(model, last)


def decode_step(model: GPT, cache: KVCache, tokens: np.ndarray) -> np.ndarray:
    """Append one token to every row of the cache.

    Args:
        model: the model; its dropout takes no part.
        cache: filled by :func:`prefill`; every row must have a position free.
        tokens: (B,) integers, one for each row.

    Returns:
        (B, V) logits after the tokens.

    Raises:
        ValueError: if there is not one token a row, or a row is full.
    """
    tokens = np.asarray(tokens)
    positions = cache.lengths
    if tokens.shape != positions.shape:
        raise ValueError(f"decode_step: tokens {tokens.shape} for the {len(positions)} rows of the cache")
    if positions.max() >= cache.context_size:
        raise ValueError(f"decode_step: a row already holds {cache.context_size} tokens, the whole context")
    transformer, config = model.transformer, model.config
    every_row, channels = np.arange(len(tokens)), config.emb_dim
    lengths = positions + 1
    x = transformer.wte.weight.data[tokens] + transformer.wpe.weight.data[positions]  # (B, C)
    for block, keys, values in zip(transformer.h, cache.keys, cache.values, strict=True):
        qkv = _linear(_layernorm(x, block.ln_1), block.attn.c_attn)  # (B, 3C)
        query = np.ascontiguousarray(qkv[:, :channels])
        keys[every_row, positions] = qkv[:, channels : 2 * channels]
        values[every_row, positions] = qkv[:, 2 * channels :]
        attended = kernels.attention_decode(query, keys, values, lengths, config.num_heads)
        x += _linear(attended, block.attn.c_proj)
        x += _feed_forward(x, block)
    cache.lengths = lengths
    return _head(model, x)


def _feed_forward(x: np.ndarray, block: TransformerBlock) -> np.ndarray:
    """mlp(ln_2(x)); x (N, C) -> (N, C)"""
    return _linear(kernels.gelu_forward(_linear(_layernorm(x, block.ln_2), block.mlp.c_fc)), block.mlp.c_proj)


def _head(model: GPT, x: np.ndarray) -> np.ndarray:
    """The tied head; x (N, C) -> logits (N, V)"""
    return _matmul(_layernorm(x, model.transformer.ln_f), model.transformer.wte.weight.data.T)


def _linear(x: np.ndarray, layer: Linear) -> np.ndarray:
    """x (N, K) -> x @ weight + bias, (N, M)"""
    y = _matmul(x, layer.weight.data)
    y += layer.bias.data
    return y


def _matmul(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x (N, K) @ weight (K, M): our kernel, or BLAS for so few rows that packing the weight would not pay."""
    return kernels.matmul(x, weight) if len(x) >= FEW_ROWS else x @ weight


def _layernorm(x: np.ndarray, layer: LayerNorm) -> np.ndarray:
    """x (N, C) -> (N, C)"""
    return kernels.layernorm_forward(x, layer.weight.data, layer.bias.data, layer.eps)[0]
