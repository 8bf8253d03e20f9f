"""Sequences that grow a token at a time, and the logits of what may come next.

Two classes do the same thing: :class:`UncachedSequences` runs the model over the whole text at every step,
as the definition says, and :class:`CachedSequences` keeps keys and values. Both follow one rule when a text
outgrows the context: **a full row forgets all but the last half of its window**, and goes on from there. The
positions begin anew at 0 then, so the kept half has to be read again, once in every half context; sliding by
one token instead would mean reading the whole window again at every step.
"""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.kernels.decode import DecoderWeights
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.cache import KVCache
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.gpt2_decoder import decode_step, decoder_weights, prefill, with_packed_head


@functools.cache
def note_sliding_window(context_size: int) -> None:
    """Warn, once in a process, that the window slides."""
    warnings.warn(
        f"the text is longer than the model's context of {context_size} tokens; "
        "it goes on from the last half of them (said once)",
        ContextWindowWarning,
        stacklevel=2,
    )


class Sequences(ABC):
    """A batch of sequences, each looked at through a window of at most ``context_size`` tokens.

    Args:
        model: the model that reads them.
        prompts: B lists of at least one id each.

    Attributes:
        logits: (B, V), of the token that follows each sequence.

    Raises:
        UserError: if there is no prompt, one is empty, holds an id that the model does not have, or is
            longer than the context.
    """

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        context_size = model.config.context_size
        _check_prompts(prompts, context_size, model.config.vocab_size)
        self.model = model
        self._ids = np.zeros((len(prompts), context_size), np.int64)
        self._lengths = np.array([len(prompt) for prompt in prompts], np.int64)
        for row, prompt in zip(self._ids, prompts, strict=True):
            row[: len(prompt)] = prompt

    def advance(self, rows: np.ndarray, tokens: np.ndarray) -> None:
        """Make sequence i what sequence ``rows[i]`` was, followed by ``tokens[i]``; compute the logits anew.

        Args:
            rows: (B',) indices of the sequences to go on with; a row may be left out or repeated.
            tokens: (B',) ids.
        """
        self._ids, self._lengths = self._ids[rows], self._lengths[rows]
        context_size = self._ids.shape[1]
        full = np.flatnonzero(self._lengths == context_size)
        if len(full):
            note_sliding_window(context_size)
            half = context_size // 2
            self._ids[full, :half] = self._ids[full, context_size - half :]
            self._lengths[full] = half
        self._ids[np.arange(len(tokens)), self._lengths] = tokens
        self._lengths += 1
        self.logits = self._logits_after(rows, full, tokens)

    @abstractmethod
    def _logits_after(self, rows: np.ndarray, shortened: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """(B', V) now that ``tokens`` stand at the end; the windows in ``shortened`` have lost their first half."""


class CachedSequences(Sequences):
    """Sequences whose keys and values are kept: a step costs one token a row.

    Args:
        model, prompts: as for :class:`Sequences`.
        capacity: the most sequences there will ever be; None: as many as prompts.
    """

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]], capacity: int | None = None) -> None:
        super().__init__(model, prompts)
        self._cache = KVCache(model.config, capacity or len(prompts), model.token_table.dtype)
        assert isinstance(model, GPT)  # no other decoder is there yet
        self._layers = decoder_weights(model)
        self.logits = prefill(self._layers, self._cache, self._ids[:, : self._lengths.max()], self._lengths)

    @functools.cached_property
    def _weights(self) -> DecoderWeights:
        """Made ready when the first step asks for them: to read the prompts, and no more, it would take too long."""
        return with_packed_head(self._layers)

    def _logits_after(self, rows: np.ndarray, shortened: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        self._cache.select(rows)
        if len(shortened):
            kept = self._lengths[shortened] - 1
            prefill(self._layers, self._cache, self._ids[shortened, : kept[0]], kept, rows=shortened)
        return decode_step(self._weights, self._cache, tokens)


class UncachedSequences(Sequences):
    """Sequences that the model reads from the beginning at every step: slow, and plainly right."""

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        super().__init__(model, prompts)
        self.logits = self._read()

    def _logits_after(self, rows: np.ndarray, shortened: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return self._read()

    def _read(self) -> np.ndarray:
        with no_grad(), _without_dropout(self.model):
            hidden = self.model.hidden_states(self._ids[:, : self._lengths.max()]).data
            last = hidden[np.arange(len(self._lengths)), self._lengths - 1]
            return self.model.head(Tensor(last)).data


@contextmanager
def _without_dropout(model: LanguageModel) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _check_prompts(prompts: Sequence[Sequence[int]], context_size: int, vocab_size: int) -> None:
    if context_size < 2:
        raise UserError(f"generating text needs a context of at least 2 tokens, the model has {context_size}")
    if not prompts:
        raise UserError("there is no prompt: give at least one")
    for prompt in prompts:
        if not len(prompt):
            raise UserError("the prompt is empty: give at least one token to go on from")
        if len(prompt) > context_size:
            raise UserError(
                f"the prompt is {len(prompt)} tokens long, the model's context only {context_size}: shorten it"
            )
        if not 0 <= min(prompt) <= max(prompt) < vocab_size:
            raise UserError(
                f"the prompt holds the id {max(prompt)}, the model only knows 0 to {vocab_size - 1}: "
                "use the tokenizer saved beside the model"
            )
