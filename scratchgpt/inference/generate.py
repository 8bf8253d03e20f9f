"""Generating token ids: a batch of sequences by sampling.

    ids -> Sequences.logits (B, V) -> sample_logits -> tokens (B,) -> Sequences.advance -> ...

A row that ends leaves the batch at once, so that the rest go on faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig, penalize_repetition, row_uniforms, sample_logits
from scratchgpt.inference.sequences import CachedSequences, Sequences, UncachedSequences
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.cache import packing_order

Seed = int | np.random.Generator


def generate_batch(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    stop_ids: Sequence[int] = (),
    seed: Seed = 0,
) -> list[list[int]]:
    """Continue prompts of any lengths together.

    Row i's random numbers depend on the seed, i and the position alone: its tokens are the same whatever
    stands in the other rows (but for the rounding of matrix products of another size).

    Args:
        model: the model; its dropout takes no part.
        prompts: B lists of ids, at least one and at most ``context_size`` in each.
        max_new_tokens: a row ends here if no stop token ended it before.
        temperature, top_k, top_p, repetition_penalty: see :class:`scratchgpt.inference.sampling.SamplingConfig`; the
            penalty looks at the prompt too.
        stop_ids: tokens that end a row.
        seed: an integer not below 0, or a generator to draw one from.

    Returns:
        B lists of the new ids, including the stop token where one was reached.

    Raises:
        UserError: if an argument is out of range or a prompt does not fit.
    """
    sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
    return _generate_ids(CachedSequences, model, prompts, max_new_tokens, sampling, stop_ids, seed)


def generate_batch_uncached(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    stop_ids: Sequence[int] = (),
    seed: Seed = 0,
) -> list[list[int]]:
    """What :func:`generate_batch` does, reading the whole text again for every token: to compare with."""
    sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
    return _generate_ids(UncachedSequences, model, prompts, max_new_tokens, sampling, stop_ids, seed)


def _generate_ids(
    sequences_type: type[CachedSequences] | type[UncachedSequences],
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: SamplingConfig,
    stop_ids: Sequence[int],
    seed: Seed,
) -> list[list[int]]:
    stops = frozenset(stop_ids)
    generated: list[list[int]] = [[] for _ in prompts]

    def take(row: int, token: int) -> bool:
        generated[row].append(token)
        return token in stops

    for _ in _steps(sequences_type(model, prompts), prompts, max_new_tokens, sampling, seed, take):
        pass
    return generated


def _steps(
    sequences: Sequences,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: SamplingConfig,
    seed: Seed,
    take: Callable[[int, int], bool],
) -> Iterator[None]:
    """Choose tokens until all rows have ended; yields after every step.

    ``take(row, token)`` is given every token and says whether it ends the row.
    """
    if max_new_tokens < 1:
        raise UserError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
    uniforms = row_uniforms(_seed_number(seed), len(prompts), max_new_tokens)
    penalized = sampling.repetition_penalty != 1
    seen = np.zeros(sequences.logits.shape if penalized else (0, 0), bool)
    if penalized:
        for row, prompt in enumerate(prompts):
            seen[row, list(prompt)] = True
    rows = np.arange(len(prompts))  # which prompt each row of the shrinking batch belongs to
    for position in range(max_new_tokens):
        logits = sequences.logits
        if penalized:
            logits = penalize_repetition(logits, seen[rows], sampling.repetition_penalty)
        tokens = sample_logits(logits, uniforms[rows, position], sampling)
        if penalized:
            seen[rows, tokens] = True
        alive = np.array([not take(int(row), int(token)) for row, token in zip(rows, tokens, strict=True)])
        yield
        if not alive.any() or position + 1 == max_new_tokens:
            return
        order = packing_order(alive)
        sequences.advance(order, tokens[order])
        rows = rows[order]


def _seed_number(seed: Seed) -> int:
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if seed < 0:
        raise UserError(f"seed must not be negative, not {seed}")
    return int(seed)
