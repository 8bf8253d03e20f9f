"""GPT-2's decoder: generating text with one new token a step, earlier keys and values kept in a cache.

The causal mask makes the keys and values of a position independent of what comes after it, so they are
computed once and kept: a step costs one row of each matrix product instead of T rows (Shazeer 2019,
section 2.4). The arithmetic is that of :class:`scratchgpt.models.gpt2.GPT` on plain arrays, without a graph;
it stands in :func:`scratchgpt.kernels.decode.forward`.

    decoder = model.decoder()
    cache = decoder.cache(rows)
    decoder.prefill(cache, ids, lengths)   ids (B, T)   -> logits (B, V) after each row's last token
    decoder.step(cache, tokens)            tokens (B,)  -> logits (B, V) after them

The matrices are packed once for a version of the weights, whoever asks for the decoder and however often.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.kernels.decode import DecoderWeights, decode, read_prompts
from scratchgpt.kernels.fingerprint import fingerprint
from scratchgpt.kernels.matrix.packing import pack_weights
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.cache import KVCache


class GPT2Decoder:
    """A GPT made ready to generate, its weights as they were when it was asked for; dropout takes no part.

    Args:
        config: the model's sizes.
        weights: copies of its parameters, the matrices packed.
    """

    def __init__(self, config: GPTConfig, weights: DecoderWeights) -> None:
        self._config = config
        self._weights = weights

    def cache(self, rows: int) -> KVCache:
        """An empty cache with room for so many rows."""
        return KVCache(self._config, rows, self._weights.wte.dtype)

    def prefill(
        self, cache: KVCache, ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Run prompts through the model, all positions at once, and put their keys and values into the cache.

        Args:
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
            room = (cache.capacity, cache.context_size)
            raise ValueError(f"prefill: ids {ids.shape}, the cache has room for {room}")
        if rows is None:
            cache.clear()
            rows = cache.extend(batch)
        cache.lengths[rows] = lengths
        return read_prompts(self._weights, cache.keys, cache.values, rows, ids, lengths)

    def step(self, cache: KVCache, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row of the cache.

        Args:
            cache: filled by :meth:`prefill`; every row must have a position free.
            tokens: (B,) integers, one for each row.

        Returns:
            (B, V) logits after the tokens.

        Raises:
            ValueError: if there is not one token a row, or a row is full.
        """
        tokens = np.asarray(tokens, np.int64)
        positions = cache.lengths
        if tokens.shape != positions.shape:
            raise ValueError(f"step: tokens {tokens.shape} for the {len(positions)} rows of the cache")
        logits = decode(self._weights, cache.keys, cache.values, positions, tokens)
        cache.lengths = positions + 1
        return logits


# -- one decoder for a version of the weights -----------------------------------------------------------------
class Version(NamedTuple):
    """What a decoder was made of and for: it serves as long as this is the same."""

    contents: int
    dtype: str
    precision: str
    backend: str


# A model's last decoder. The model is held weakly and the decoder knows nothing of it: both go with the model.
_DECODERS: weakref.WeakKeyDictionary[LanguageModel, tuple[Version, GPT2Decoder]] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def decoder_of(model: LanguageModel, arrays: Mapping[str, list[np.ndarray]]) -> GPT2Decoder:
    """The decoder of a model's weights as they are now; the one made before if they have not changed since.

    Whether they have is seen by reading them (a millisecond for 20 MB, a quarter of what packing takes): any
    array may be written to in place, and nothing would count that.

    Args:
        model: whose decoder it is; it is held weakly.
        arrays: what a :class:`DecoderWeights` is made of, by its names: one array a layer, and alone what has no
            layer.
    """
    contents = fingerprint([array for stack in arrays.values() for array in stack])
    version = Version(contents, str(arrays["wte"][0].dtype), kernels.precision(), kernels.backend())
    with _LOCK:
        made_for, decoder = _DECODERS.pop(model, (None, None))
        if decoder is None or made_for != version:
            decoder = None  # the memory of the old version is free before the new one needs it
            decoder = GPT2Decoder(model.config, _packed(arrays, model.config))
        _DECODERS[model] = version, decoder
        return decoder


def _packed(arrays: Mapping[str, list[np.ndarray]], config: GPTConfig) -> DecoderWeights:
    """The arrays copied, those of the layers into one, the matrices packed in panels."""
    alone = {"wte", "wpe", "ln_f_weight", "ln_f_bias"}
    matrices = {"c_attn", "attn_c_proj", "c_fc", "mlp_c_proj"}
    ready = {
        name: stack[0].copy() if name in alone else pack_weights(stack) if name in matrices else np.stack(stack)
        for name, stack in arrays.items()
    }
    wte = ready["wte"]
    return DecoderWeights(
        **ready,
        head=pack_weights([wte.T])[0],
        head_bias=np.zeros(len(wte), wte.dtype),
        num_heads=config.num_heads,
        epsilon=config.layer_norm_epsilon,
    )
