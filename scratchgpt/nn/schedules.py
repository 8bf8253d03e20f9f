"""Learning rates by step: straight lines and cosines, after a warm-up."""

from __future__ import annotations

import math


def cosine_schedule(step: int, total: int, lr: float, warmup: int = 0, final_ratio: float = 0.1) -> float:
    """Linear warm-up over ``warmup`` steps, then half a cosine to ``final_ratio * lr`` (Loshchilov & Hutter 2017)."""
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return lr * (final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))


def linear_schedule(step: int, total: int, lr: float, warmup: int = 0) -> float:
    """Linear warm-up over ``warmup`` steps, then a straight line down to zero.

    Bergsma et al. (2025, "Straight to Zero") find this end better than a tenth: the last steps average out noise.
    """
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * (1 - min(1.0, (step - warmup) / max(1, total - warmup)))


def total_steps(epochs: float, steps_per_epoch: int) -> int:
    """Steps that make ``epochs`` passes over the data, at least one."""
    return max(1, math.ceil(epochs * steps_per_epoch))
