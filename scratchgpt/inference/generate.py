"""Generating token ids for a batch of prompts: all of them are submitted to an engine, which is drained.

A row that ends leaves the batch at once, so that the rest go on faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.inference.engine import Completion, Engine
from scratchgpt.inference.sampling import SamplingConfig, row_seed
from scratchgpt.inference.sequences import DecoderOf, own_decoder
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.decoder import RereadingDecoder

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
    penalize_prompt: bool = False,
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
        temperature, top_k, top_p, repetition_penalty, penalize_prompt: see
            :class:`scratchgpt.inference.sampling.SamplingConfig`.
        stop_ids: tokens that end a row.
        seed: an integer not below 0, or a generator to draw one from.

    Returns:
        B lists of the new ids, including the stop token where one was reached.

    Raises:
        UserError: if an argument is out of range or a prompt does not fit.
    """
    sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty, penalize_prompt)
    return _generate_ids(model, own_decoder, prompts, max_new_tokens, sampling, stop_ids, seed)


def generate_batch_uncached(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    penalize_prompt: bool = False,
    stop_ids: Sequence[int] = (),
    seed: Seed = 0,
) -> list[list[int]]:
    """What :func:`generate_batch` does, reading the whole text again for every token: to compare with."""
    sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty, penalize_prompt)
    return _generate_ids(model, RereadingDecoder, prompts, max_new_tokens, sampling, stop_ids, seed)


def submit_batch(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: SamplingConfig,
    stop_ids: Sequence[int],
    seed: Seed,
) -> list[Completion]:
    """Submit prompts together; the random numbers of row i are those of (seed, i).

    Raises:
        UserError: if there is no prompt, one does not fit, or an argument is out of range.
    """
    if not prompts:
        raise UserError("there is no prompt: give at least one")
    number = _seed_number(seed)
    return [
        engine.submit(prompt, sampling, max_new_tokens, row_seed(number, row), stop_ids)
        for row, prompt in enumerate(prompts)
    ]


def _generate_ids(
    model: LanguageModel,
    decoder_of: DecoderOf,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: SamplingConfig,
    stop_ids: Sequence[int],
    seed: Seed,
) -> list[list[int]]:
    engine = Engine(model, max(1, len(prompts)), decoder_of)
    completions = submit_batch(engine, prompts, max_new_tokens, sampling, stop_ids, seed)
    engine.drain()
    return [completion.tokens for completion in completions]


def _seed_number(seed: Seed) -> int:
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if seed < 0:
        raise UserError(f"seed must not be negative, not {seed}")
    return int(seed)
