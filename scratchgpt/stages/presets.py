"""The presets: a model and the settings of the stages that were measured to go well together.

``docs/experiments.md`` says what was tried. ``mini`` is the default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scratchgpt.config import (
    GPTConfig,
    PretrainConfig,
    RewardConfig,
    RLHFConfig,
    RLVFConfig,
    Settings,
    SFTConfig,
    get_mini_config,
)
from scratchgpt.errors import UserError
from scratchgpt.stages import stage_named


@dataclass(frozen=True)
class Preset:
    """A model and the settings of the stages that go with it.

    Attributes:
        model: sizes of the model.
        settings: of each stage by its name; a stage that is not there has its class's defaults.
        running_text: for a yardstick of language modelling alone. The corpus is one text, whose last tenth is held
            out, and the tokenizer is made for it and nothing else; the stages after pretraining do not run.
    """

    model: GPTConfig
    settings: Mapping[str, Settings] = field(default_factory=dict)
    running_text: bool = False

    def of(self, stage: str) -> Any:
        """The settings of the stage of that name, of the class that it declares.

        Raises:
            UserError: if there is no such stage.
        """
        return self.settings.get(stage) or stage_named(stage).config()


PRESETS: dict[str, Preset] = {
    # All five stages in about half an hour on two cores.
    "mini": Preset(
        # A run sees its text only a few times, and then dropout only slows it down.
        model=dataclasses.replace(get_mini_config(), dropout=0.0),
        settings={
            "pretrain": PretrainConfig(epochs=1.1),
            "sft": SFTConfig(epochs=4.1, lr=1.5e-3, evaluate_every=1000),
            "reward": RewardConfig(epochs=2, evaluate_every=80),
            "rlhf": RLHFConfig(
                kl_coef=0.1,
                lr=1e-4,
                num_episodes=36,
                batch_size=128,
                minibatch_size=64,
                gae_lambda=1.0,
                temperature=0.85,
            ),
            "rlvf": RLVFConfig(
                lr=1e-4,
                num_iterations=36,
                samples_per_task=8,
                tasks_per_iteration=64,
                minibatch_size=256,
            ),
        },
    ),
    # All five stages in about four minutes, to see how they work; too small for RLVF to gain anything.
    "tiny": Preset(
        model=GPTConfig(vocab_size=2000, emb_dim=128, num_heads=4, num_layers=3, context_size=128, dropout=0.0),
        settings={
            "pretrain": PretrainConfig(epochs=0.5, evaluate_every=100),
            "sft": SFTConfig(epochs=0.33, lr=2e-3),
            "reward": RewardConfig(epochs=1, lr=5e-4),
            "rlhf": RLHFConfig(kl_coef=0.05, num_episodes=12, lr=1e-4),
            "rlvf": RLVFConfig(num_iterations=12, samples_per_task=8),
        },
    ),
    # A smaller vocabulary under a deeper model: more tokens a text, more steps a token.
    "base": Preset(
        model=GPTConfig(vocab_size=1000, emb_dim=256, num_heads=8, num_layers=6, context_size=256, dropout=0.0),
        settings={
            "pretrain": PretrainConfig(epochs=3),
            "sft": SFTConfig(epochs=2),
            "reward": RewardConfig(epochs=2),
            "rlhf": RLHFConfig(kl_coef=0.05, num_episodes=40),
            "rlvf": RLVFConfig(num_iterations=60, samples_per_task=8),
        },
    ),
    # nanoGPT's published recipe for a CPU (Karpathy 2022, train_shakespeare_char), to be measured against: on
    # tiny Shakespeare, by characters, its validation loss is 1.88 nats. The initial scale is this project's own,
    # 1/sqrt(width); with GPT-2's 0.02 we end at 1.89.
    "shakespeare": Preset(
        model=GPTConfig(vocab_size=512, emb_dim=128, num_heads=4, num_layers=4, context_size=64, dropout=0.0),
        settings={
            "pretrain": PretrainConfig(
                steps=2000, batch_size=12, lr=1e-3, warmup_steps=100, beta2=0.99, weight_decay=0.1, evaluate_every=250
            ),
        },
        running_text=True,
    ),
}
"""Preset by name."""


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in PRESETS:
        raise UserError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
