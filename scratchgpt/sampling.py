"""From logits to the next token: repetition penalty, temperature, top-k, top-p, and the draw itself.

Every function works on a batch, logits (B, V), and leaves what it was given unchanged. A token that is ruled
out gets the logit -inf. The order is that of ``transformers``: penalty, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scratchgpt.errors import UserError

GREEDY_BELOW = 1e-6
"""Temperatures below this one are taken for 0: dividing by them could overflow."""
BLOCK = 64
"""How many weights :func:`draw` adds up at a time."""


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen.

    Attributes:
        temperature: the logits are divided by it; 0 (or below 1e-6) means greedy: always the most likely token.
        top_k: only the k most likely tokens are left; 0 means all.
        top_p: only the most likely tokens that together reach this probability are left; 1 means all.
        repetition_penalty: above 1 makes tokens less likely that the text holds already; 1 means no change.

    Raises:
        UserError: if a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be 0 (greedy) or a positive number, not {self.temperature}")
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all tokens) or positive, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(f"repetition_penalty must be positive (1: none), not {self.repetition_penalty}")


def sample_logits(logits: np.ndarray, uniforms: np.ndarray, config: SamplingConfig) -> np.ndarray:
    """Choose the next token of each row.

    Args:
        logits: (B, V), after :func:`penalize_repetition` where a penalty is wanted.
        uniforms: (B,) random numbers in [0, 1), all the randomness there is; greedy choice ignores them.
        config: temperature, top_k and top_p.

    Returns:
        (B,) int64 tokens.

    Raises:
        UserError: if the logits are not finite.
    """
    top = logits.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        raise UserError("the model's logits are not finite: its training diverged or its weights are damaged")
    if config.temperature < GREEDY_BELOW:
        return logits.argmax(axis=-1)
    logits = (logits - top) / logits.dtype.type(config.temperature)
    if config.top_k:
        logits = keep_top_k(logits, config.top_k)
    if config.top_p < 1:
        logits = keep_top_p(logits, config.top_p)
    return draw(np.exp(logits), uniforms)


def draw(weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Draw one index a row, with probability proportional to its weight.

    Args:
        weights: (B, V), not negative, each row with a positive sum.
        uniforms: (B,) random numbers in [0, 1).

    Returns:
        (B,) int64: the first index whose cumulative weight exceeds ``uniform * sum`` (inverse transform sampling).
    """
    # Two levels, whole blocks and then the members of one block: adding up every weight in turn would take
    # longer than the rest of sampling together.
    starts = np.arange(0, weights.shape[1], BLOCK)
    cumulative = np.cumsum(np.add.reduceat(weights, starts, axis=1), axis=1, dtype=np.float64)
    tokens = np.empty(len(weights), np.int64)
    for row, (totals, threshold) in enumerate(zip(cumulative, uniforms * cumulative[:, -1], strict=True)):
        block = _first_above(totals, threshold)
        start = starts[block]
        before = totals[block - 1] if block else 0.0
        members = np.cumsum(weights[row, start : start + BLOCK], dtype=np.float64)
        tokens[row] = start + _first_above(members, threshold - before)
    return tokens


def _first_above(cumulative: np.ndarray, threshold: float) -> int:
    """The first index with ``cumulative > threshold``; never one of weight 0, however the threshold was rounded."""
    return int(cumulative.searchsorted(min(threshold, np.nextafter(cumulative[-1], 0)), side="right"))


def penalize_repetition(logits: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    """Make tokens less likely that the text holds already (Keskar et al. 2019, section 4.1).

    A positive logit is divided by the penalty and a negative one multiplied, so that both become less
    likely; the paper divides always, which would favour tokens with negative logits.

    Args:
        logits: (B, V)
        seen: (B, V) bool, which tokens each row holds.
        penalty: above 0; 1 changes nothing.
    """
    penalty = logits.dtype.type(penalty)
    return np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Rule out all but the k largest logits of each row (Fan et al. 2018); ties with the last stay in.

    logits (B, V), k at least 1 -> (B, V)
    """
    if k >= logits.shape[-1]:
        return logits
    smallest = np.partition(logits, -k, axis=-1)[:, -k, None]
    return np.where(logits >= smallest, logits, -np.inf)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Rule out all but the nucleus: the fewest tokens whose probabilities reach p together.

    Holtzman et al. 2020, equations 2 and 3. Ties with the least likely token of the nucleus stay in.

    logits (B, V), 0 < p <= 1 -> (B, V)
    """
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    smallest = np.empty((len(weights), 1), weights.dtype)
    for row, kept in zip(weights, smallest, strict=True):
        total = row.sum(dtype=np.float64)
        # Tokens below this weight have less than 1 - p together, so the nucleus is among the others: few to sort.
        candidates = np.sort(row[row >= (1 - p) * total / row.size])[::-1]
        reached_before = np.cumsum(candidates, dtype=np.float64) - candidates  # by the tokens more likely
        kept[0] = candidates[reached_before.searchsorted(p * total, side="left") - 1]
    return np.where(weights >= smallest, logits, -np.inf)


def row_uniforms(seed: int, rows: int, positions: int) -> np.ndarray:
    """The random numbers of a batch; those of row i, one a position, are a function of (seed, i) alone.

    So a row's text does not depend on how many others are in the batch, and a longer text begins like a
    shorter one.

    Returns:
        (rows, positions) float64 in [0, 1).
    """
    return np.stack([np.random.default_rng((seed, row)).random(positions) for row in range(rows)])
