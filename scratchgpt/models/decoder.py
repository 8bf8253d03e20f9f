"""What generating asks of a model: read prompts, then take one token a row and say what may come next.

:class:`Decoder` is the face; an architecture's own decoder is fast (GPT-2's is in
:mod:`scratchgpt.models.gpt2_decoder`). :class:`RereadingDecoder` serves them all: slow, and plainly right.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol, Self

import numpy as np

from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.models.cache import KVCache


class Decoder(Protocol):
    """A model made ready to generate: its weights as they were when it was asked for; dropout takes no part."""

    def cache(self, rows: int) -> KVCache:
        """An empty cache with room for so many rows."""

    def prefill(
        self, cache: KVCache, ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Read prompts into the cache.

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

    def step(self, cache: KVCache, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row of the cache, each of which must have a position free.

        Args:
            cache: filled by :meth:`prefill`.
            tokens: (B,) integers, one for each row.

        Returns:
            (B, V) logits after the tokens.

        Raises:
            ValueError: if there is not one token a row, or a row is full.
        """


class Reader(Protocol):
    """What rereading needs of a model; ``models.base.LanguageModel`` has it."""

    config: GPTConfig
    training: bool

    def hidden_states(self, input_ids: np.ndarray) -> Tensor:
        """input_ids (B, T) -> what the head reads, (B, T, C)"""

    def head(self, hidden: Tensor) -> Tensor:
        """hidden (..., C) -> logits (..., V)"""

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on (or off)."""

    def eval(self) -> Self:
        """Switch dropout off."""


class RereadingDecoder:
    """Reads the whole text again at every step, as the definition of the model says.

    What it keeps of the text is the text: the cache has one layer of one channel, and its keys are the ids. It
    follows the model, whose weights it does not copy.
    """

    def __init__(self, model: Reader) -> None:
        self.model = model

    def cache(self, rows: int) -> KVCache:
        """As :meth:`Decoder.cache`."""
        one = dataclasses.replace(self.model.config, num_layers=1, num_heads=1, emb_dim=1)
        return KVCache(one, rows, np.int64)

    def prefill(
        self, cache: KVCache, ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """As :meth:`Decoder.prefill`."""
        batch, time = ids.shape
        if batch > cache.capacity or time > cache.context_size:
            raise ValueError(f"prefill: ids {ids.shape}, the cache has room for {(cache.capacity, cache.context_size)}")
        if rows is None:
            rows = np.arange(batch)
            cache.lengths = np.zeros(batch, np.int64)
        cache.lengths[rows] = lengths
        cache.keys[0, rows, :time, 0] = ids
        return self._logits(cache, rows)

    def step(self, cache: KVCache, tokens: np.ndarray) -> np.ndarray:
        """As :meth:`Decoder.step`."""
        positions = cache.lengths
        if np.shape(tokens) != positions.shape:
            raise ValueError(f"step: tokens {np.shape(tokens)} for the {len(positions)} rows of the cache")
        if positions.max() == cache.context_size:
            raise ValueError(f"step: a row of the cache already holds {cache.context_size} positions")
        rows = np.arange(len(positions))
        cache.keys[0, rows, positions, 0] = tokens
        cache.lengths = positions + 1
        return self._logits(cache, rows)

    def _logits(self, cache: KVCache, rows: np.ndarray) -> np.ndarray:
        """(B, V) after the last token of these rows."""
        lengths = cache.lengths[rows]
        ids = cache.keys[0, rows, : lengths.max(), 0]
        ids = np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, 0)  # beyond a row's length stands anything
        training = self.model.training
        self.model.eval()
        try:
            with no_grad():
                hidden = self.model.hidden_states(ids).data
                return self.model.head(Tensor(hidden[np.arange(len(rows)), lengths - 1])).data
        finally:
            self.model.train(training)
