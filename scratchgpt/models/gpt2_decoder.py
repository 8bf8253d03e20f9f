"""The forward pass for generating text: one new token a step, earlier keys and values kept in a cache.

The causal mask makes the keys and values of a position independent of what comes after it, so they are
computed once and kept: a step costs one row of each matrix product instead of T rows (Shazeer 2019,
section 2.4). The arithmetic is that of :class:`scratchgpt.models.gpt2.GPT` on plain arrays, without a graph:

    weights = decoder_weights(model)
    prefill:      ids (B, T)    -> logits (B, V) after each row's last token; the cache holds the prompts
    weights = with_packed_head(weights)
    decode_step:  tokens (B,)   -> logits (B, V) after them; the cache has grown by one position
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt import kernels
from scratchgpt.kernels.decode import DecoderWeights, decode
from scratchgpt.kernels.matrix.packing import element_type, pack_weights
from scratchgpt.kernels.matrix.panels import linear, linear_gelu
from scratchgpt.kernels.matrix.register_tile import tile_columns
from scratchgpt.models.cache import KVCache
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Parameter


def decoder_weights(model: GPT) -> DecoderWeights:
    """The model's parameters as they are now, the layers' matrices packed; dropout takes no part.

    That is enough for :func:`prefill`; steps need :func:`with_packed_head` as well."""
    transformer, layers = model.transformer, model.transformer.h
    wte = np.require(transformer.wte.weight.data, requirements=["C", "W"])

    def stacked(parameters: Sequence[Parameter]) -> np.ndarray:
        return np.stack([parameter.data for parameter in parameters])

    def packed(parameters: Sequence[Parameter]) -> np.ndarray:
        return pack_weights([parameter.data for parameter in parameters])

    return DecoderWeights(
        wte=wte,
        wpe=np.require(transformer.wpe.weight.data, requirements=["C", "W"]),
        ln_1_weight=stacked([block.ln_1.weight for block in layers]),
        ln_1_bias=stacked([block.ln_1.bias for block in layers]),
        c_attn=packed([block.attn.c_attn.weight for block in layers]),
        c_attn_bias=stacked([block.attn.c_attn.bias for block in layers]),
        attn_c_proj=packed([block.attn.c_proj.weight for block in layers]),
        attn_c_proj_bias=stacked([block.attn.c_proj.bias for block in layers]),
        ln_2_weight=stacked([block.ln_2.weight for block in layers]),
        ln_2_bias=stacked([block.ln_2.bias for block in layers]),
        c_fc=packed([block.mlp.c_fc.weight for block in layers]),
        c_fc_bias=stacked([block.mlp.c_fc.bias for block in layers]),
        mlp_c_proj=packed([block.mlp.c_proj.weight for block in layers]),
        mlp_c_proj_bias=stacked([block.mlp.c_proj.bias for block in layers]),
        ln_f_weight=transformer.ln_f.weight.data.copy(),
        ln_f_bias=transformer.ln_f.bias.data.copy(),
        head=np.empty((0, 0, tile_columns(wte)), element_type(wte)),
        head_bias=np.zeros(len(wte), wte.dtype),
        num_heads=model.config.num_heads,
        epsilon=model.config.layer_norm_epsilon,
    )


def with_packed_head(weights: DecoderWeights) -> DecoderWeights:
    """The same, ready for :func:`decode_step`: the head, a third of a small model, is packed when it is needed."""
    return weights._replace(head=pack_weights([weights.wte.T])[0])


def prefill(
    weights: DecoderWeights, cache: KVCache, ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray | None = None
) -> np.ndarray:
    """Run prompts through the model, all positions at once, and put their keys and values into the cache.

    Padding needs no mask: it stands on the right, where the causal attention of a prompt's own tokens
    does not look, and in the cache it lies beyond the row's length.

    Args:
        weights: the model's, with or without a packed head.
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
    w, channels = weights, weights.wte.shape[1]
    last = np.arange(batch) * time + lengths - 1
    x = (w.wte[ids] + w.wpe[:time]).reshape(batch * time, channels)
    for layer, (keys, values) in enumerate(zip(cache.keys, cache.values, strict=True)):
        normed = kernels.layernorm_forward(x, w.ln_1_weight[layer], w.ln_1_bias[layer], w.epsilon)[0]
        qkv = linear(normed, w.c_attn[layer], w.c_attn_bias[layer]).reshape(batch, time, 3 * channels)
        keys[rows, :time] = qkv[:, :, channels : 2 * channels]
        values[rows, :time] = qkv[:, :, 2 * channels :]
        attended = kernels.attention_forward(qkv, w.num_heads)[0].reshape(x.shape)
        if layer == len(cache.keys) - 1:  # what is left is for the logits, and only those of the last tokens are wanted
            x, attended = x[last], attended[last]
        x += linear(attended, w.attn_c_proj[layer], w.attn_c_proj_bias[layer])
        normed = kernels.layernorm_forward(x, w.ln_2_weight[layer], w.ln_2_bias[layer], w.epsilon)[0]
        hidden = linear_gelu(normed, w.c_fc[layer], w.c_fc_bias[layer])
        x += linear(hidden, w.mlp_c_proj[layer], w.mlp_c_proj_bias[layer])
    return kernels.layernorm_forward(x, w.ln_f_weight, w.ln_f_bias, w.epsilon)[0] @ w.wte.T


def decode_step(weights: DecoderWeights, cache: KVCache, tokens: np.ndarray) -> np.ndarray:
    """Append one token to every row of the cache.

    Args:
        weights: the model's, with a packed head.
        cache: filled by :func:`prefill`; every row must have a position free.
        tokens: (B,) integers, one for each row.

    Returns:
        (B, V) logits after the tokens.

    Raises:
        ValueError: if there is not one token a row, or a row is full.
    """
    tokens = np.asarray(tokens, np.int64)
    positions = cache.lengths
    if tokens.shape != positions.shape:
        raise ValueError(f"decode_step: tokens {tokens.shape} for the {len(positions)} rows of the cache")
    logits = decode(weights, cache.keys, cache.values, positions, tokens)
    cache.lengths = positions + 1
    return logits
