"""Sequences that grow a token at a time, and the logits of what may come next.

One rule says what happens when a text outgrows the context: **a full row forgets all but the last half of its
window**, and goes on from there. The positions begin anew at 0 then, so the kept half has to be read again, once
in every half context; sliding by one token instead would mean reading the whole window again at every step.

How the text is read is the decoder's business: a model's own keeps keys and values, and
:class:`scratchgpt.models.decoder.RereadingDecoder` runs the model over the whole window at every step, as the
definition says.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from operator import methodcaller

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.cache import KVCache
from scratchgpt.models.decoder import Decoder

DecoderOf = Callable[[LanguageModel], Decoder]
"""Makes a model ready to generate."""

own_decoder: DecoderOf = methodcaller("decoder")
"""The one that the model has for itself."""


@functools.cache
def note_sliding_window(context_size: int) -> None:
    """Warn, once in a process, that the window slides."""
    warnings.warn(
        f"the text is longer than the model's context of {context_size} tokens; "
        "it goes on from the last half of them (said once)",
        ContextWindowWarning,
        stacklevel=2,
    )


class Sequences:
    """A batch of sequences, each looked at through a window of at most ``context_size`` tokens.

    Sequences that are there together are read with one version of the model's weights: as they were when the
    first of them joined an empty batch.

    Args:
        model: the model that reads them; its dropout takes no part.
        capacity: the most sequences there will ever be together.
        decoder_of: makes the model ready to read.

    Attributes:
        logits: (B, V), of the token that follows each of the B sequences; at first B is 0.
    """

    def __init__(self, model: LanguageModel, capacity: int, decoder_of: DecoderOf = own_decoder) -> None:
        self._model = model
        self._capacity = capacity
        self._decoder_of = decoder_of
        self.clear()

    def __len__(self) -> int:
        return len(self._lengths)

    def clear(self) -> None:
        """Drop all sequences, and the decoder with its weights."""
        self._decoder: Decoder | None = None
        self._cache: KVCache | None = None
        self._ids = np.zeros((0, self._model.config.context_size), np.int64)
        self._lengths = np.zeros(0, np.int64)
        self.logits = np.zeros((0, self._model.config.vocab_size), np.float32)

    def join(self, prompts: Sequence[Sequence[int]]) -> None:
        """Put new sequences behind those that are there.

        Args:
            prompts: lists of at least one id each.

        Raises:
            UserError: if a prompt is empty, holds an id that the model does not have, or is longer than the context.
            ValueError: if there is no room for so many.
        """
        for prompt in prompts:
            check_prompt(prompt, self._model.config)
        decoder, cache = self._ready()
        rows = cache.extend(len(prompts))
        ids = np.zeros((len(prompts), self._ids.shape[1]), np.int64)
        lengths = np.array([len(prompt) for prompt in prompts], np.int64)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = prompt
        logits = decoder.prefill(cache, ids[:, : lengths.max()], lengths, rows)
        self.logits = np.concatenate([self.logits, logits]) if len(self) else logits
        self._ids = np.concatenate([self._ids, ids])
        self._lengths = np.concatenate([self._lengths, lengths])

    def advance(self, rows: np.ndarray, tokens: np.ndarray) -> None:
        """Make sequence i what sequence ``rows[i]`` was, followed by ``tokens[i]``; compute the logits anew.

        Args:
            rows: (B',) indices of the sequences to go on with, at least one; a row may be left out or repeated.
            tokens: (B',) ids.
        """
        decoder, cache = self._ready()
        cache.select(rows)
        self._ids, self._lengths = self._ids[rows], self._lengths[rows]
        context_size = self._ids.shape[1]
        full = np.flatnonzero(self._lengths == context_size)
        if len(full):
            note_sliding_window(context_size)
            half = context_size // 2
            self._ids[full, :half] = self._ids[full, context_size - half :]
            self._lengths[full] = half
            decoder.prefill(cache, self._ids[full, :half], self._lengths[full], rows=full)
        self._ids[np.arange(len(tokens)), self._lengths] = tokens
        self._lengths += 1
        self.logits = decoder.step(cache, tokens)

    def _ready(self) -> tuple[Decoder, KVCache]:
        if self._decoder is None or self._cache is None:
            self._decoder = self._decoder_of(self._model)
            self._cache = self._decoder.cache(self._capacity)
        return self._decoder, self._cache


def check_prompt(prompt: Sequence[int], config: GPTConfig) -> None:
    """Raise UserError if a model of these sizes cannot go on from the prompt."""
    if config.context_size < 2:
        raise UserError(f"generating text needs a context of at least 2 tokens, the model has {config.context_size}")
    if not len(prompt):
        raise UserError("the prompt is empty: give at least one token to go on from")
    if len(prompt) > config.context_size:
        raise UserError(
            f"the prompt is {len(prompt)} tokens long, the model's context only {config.context_size}: shorten it"
        )
    if not 0 <= min(prompt) <= max(prompt) < config.vocab_size:
        raise UserError(
            f"the prompt holds the id {max(prompt)}, the model only knows 0 to {config.vocab_size - 1}: "
            "use the tokenizer saved beside the model"
        )
