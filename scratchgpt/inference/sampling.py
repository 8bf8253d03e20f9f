"""From logits to the next token: repetition penalty, temperature, top-k, top-p, and the draw itself.

Every function works on a batch, logits (B, V), and leaves what it was given unchanged. A token that is ruled
out gets the logit -inf. The order is that of ``transformers``: penalty, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.kernels.sample import sample

GREEDY_BELOW = 1e-6
"""Temperatures below this one are taken for 0: dividing by them could overflow."""


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen.

    Attributes:
        temperature: the logits are divided by it; 0 (or below 1e-6) means greedy: always the most likely token.
        top_k: only the k most likely tokens are left; 0 means all.
        top_p: only the most likely tokens that together reach this probability are left; 1 means all.
        repetition_penalty: above 1 makes tokens less likely that the answer holds already; 1 means no change.
        penalize_prompt: count the prompt's tokens, too, as ``transformers`` does. Not by default: an answer takes up
            the words of its question, and a sum its digits, which are no repetition.

    Raises:
        UserError: if a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    penalize_prompt: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be 0 (greedy) or a positive number, not {self.temperature}")
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all tokens) or positive, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(f"repetition_penalty must be positive (1: none), not {self.repetition_penalty}")


class RowSettings(NamedTuple):
    """What the draw needs to know of the :class:`SamplingConfig` of each row, as arrays (B,)."""

    temperature: np.ndarray
    """float64; 1 where the choice is greedy"""
    top_k: np.ndarray
    """int64"""
    top_p: np.ndarray
    """float64"""
    greedy: np.ndarray
    """bool"""

    @classmethod
    def of(cls, configs: Sequence[SamplingConfig]) -> RowSettings:
        """The settings of rows, one config each."""
        temperature = np.array([config.temperature for config in configs], np.float64)
        greedy = temperature < GREEDY_BELOW
        top_k = np.array([config.top_k for config in configs], np.int64)
        top_p = np.array([config.top_p for config in configs], np.float64)
        return cls(np.where(greedy, 1, temperature), top_k, top_p, greedy)


def sample_logits(logits: np.ndarray, uniforms: np.ndarray, config: SamplingConfig) -> np.ndarray:
    """Choose the next token of each row, by the same settings for all.

    Args:
        logits: (B, V), after :func:`penalize_repetition` where a penalty is wanted.
        uniforms: (B,) random numbers in [0, 1), all the randomness there is; greedy choice ignores them.
        config: temperature, top_k and top_p.

    Returns:
        (B,) int64 tokens.

    Raises:
        UserError: if the logits are not finite.
    """
    return sample_rows(logits, uniforms, RowSettings.of([config] * len(logits)))


def sample_rows(logits: np.ndarray, uniforms: np.ndarray, settings: RowSettings) -> np.ndarray:
    """:func:`sample_logits` with settings of its own for each row."""
    if not np.isfinite(logits.max(axis=-1)).all():
        raise UserError("the model's logits are not finite: its training diverged or its weights are damaged")
    if settings.greedy.all():
        return logits.argmax(axis=-1)
    tokens = sample(logits, uniforms, settings.temperature, settings.top_k, settings.top_p)
    if settings.greedy.any():
        tokens = np.where(settings.greedy, logits.argmax(axis=-1), tokens)
    return tokens


def penalize_repetition(logits: np.ndarray, seen: np.ndarray, penalty: float | np.ndarray) -> np.ndarray:
    """Make tokens less likely that stand there already (Keskar et al. 2019, section 4.1).

    A positive logit is divided by the penalty and a negative one multiplied, so that both become less
    likely; the paper divides always, which would favour tokens with negative logits.

    Args:
        logits: (B, V)
        seen: (B, V) bool, which tokens each row's answer holds, or its text.
        penalty: above 0, one for all or (B, 1); 1 changes nothing.
    """
    penalty = np.asarray(penalty, logits.dtype)
    return np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)


def row_seed(seed: int, row: int) -> tuple[int, int]:
    """What the random numbers of row ``row`` of a batch are seeded with; there is one a token.

    So a row's text does not depend on how many others are in the batch, and a longer text begins like a
    shorter one.
    """
    return seed, row
