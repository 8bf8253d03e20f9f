"""Settings: every one has bounds, and whatever is outside of them is refused by its name."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from scratchgpt.config import (
    BOUNDS,
    Bound,
    GPTConfig,
    PretrainConfig,
    RewardConfig,
    RLHFConfig,
    RLVFConfig,
    Settings,
    SFTConfig,
)
from scratchgpt.errors import UserError

CONFIGS = (GPTConfig, PretrainConfig, SFTConfig, RewardConfig, RLHFConfig, RLVFConfig)
FIELDS = [(config, field.name) for config in CONFIGS for field in dataclasses.fields(config)]


def outside(bound: Bound) -> list[Any]:
    """Values that the bound forbids."""
    values: list[Any] = [math.nan, math.inf, -math.inf, "1", True]
    if math.isfinite(bound.low):
        values += [bound.low if bound.open_low else bound.low - 1]
    if math.isfinite(bound.high):
        values += [bound.high if bound.open_high else bound.high + 1]
    return values + ([bound.low + 1.5] if bound.whole else []) + ([] if bound.optional else [None])


@pytest.mark.parametrize(("config", "name"), FIELDS)
def test_a_value_out_of_bounds_is_refused_by_its_name(config: type, name: str) -> None:
    for value in outside(BOUNDS[name]):
        with pytest.raises(UserError, match=f"{name} must be .*, not {value!r}".replace("(", r"\(")):
            config(**{name: value})


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (RLHFConfig, "max_grad_norm", -1.0),  # would be gradient ascent
        (RLVFConfig, "max_grad_norm", 0.0),
        (RLHFConfig, "target_kl", 0.0),
        (RLHFConfig, "value_clip", -0.1),
        (RLHFConfig, "value_warmup", -1),
        (RLHFConfig, "reward_clip", 0.0),
        (RLVFConfig, "epochs_per_iteration", 0),
        (SFTConfig, "weight_decay", -0.1),
    ],
)
def test_settings_that_went_unchecked(config: type, name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{config.__name__.removesuffix('Config').lower()}: {name} must be "):
        config(**{name: value})


def test_the_ends_of_an_interval() -> None:
    assert RLHFConfig(gamma=0, gae_lambda=1, kl_coef=0, value_warmup=0).gamma == 0
    assert PretrainConfig(steps=None, warmup_steps=0, weight_decay=0).steps is None
    assert GPTConfig(context_size=10**400).context_size == 10**400  # too large for a float, and still a whole number
    assert GPTConfig(vocab_size=np.int64(7), dropout=0.0, init_std=None).vocab_size == 7


def test_two_settings_that_do_not_go_together() -> None:
    with pytest.raises(UserError, match=r"rlvf: correct_reward must exceed incorrect_reward, not 1\.0, 1\.0"):
        RLVFConfig(correct_reward=1.0, incorrect_reward=1.0)
    with pytest.raises(UserError, match="emb_dim must be divisible by num_heads: 30 / 4"):
        GPTConfig(emb_dim=30, num_heads=4)


def test_a_new_class_of_settings_brings_its_own_bounds() -> None:
    @dataclass(frozen=True)
    class DPOConfig(Settings):
        OWN_BOUNDS: ClassVar = {"beta": Bound(0, open_low=True)}
        beta: float = 0.1
        lr: float = 1e-4

    assert DPOConfig().beta == 0.1
    with pytest.raises(UserError, match="dpo: beta must be positive, not 0"):
        DPOConfig(beta=0)
    with pytest.raises(UserError, match="dpo: lr must be positive"):
        DPOConfig(lr=-1)

    @dataclass(frozen=True)
    class Forgetful(Settings):
        margin: float = 1.0

    with pytest.raises(TypeError, match=r"Forgetful\.margin has no bounds"):
        Forgetful()
