"""The reward model: a transformer whose head is one number (``GPT2ForSequenceClassification`` with one label)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT, Initializer, Transformer
from scratchgpt.models.huggingface import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    huggingface_config,
    read_config,
    read_weights,
    save_weights,
    write_json,
)
from scratchgpt.nn.modules import Dropout, Module, Parameter


class ScoreHead(Module):
    """hidden (..., C) -> one number each; weight (1, C) as Hugging Face stores it, no bias."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = Parameter(weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., C) -> (...)"""
        return ag.reshape(ag.matmul(hidden, ag.transpose(self.weight)), shape=hidden.shape[:-1])


class RewardModel(Module):
    """A transformer with a scalar head: ``GPT2ForSequenceClassification`` with one label.

    Args:
        config: sizes of the transformer.
        seed: of the initial weights.
    """

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        init = Initializer(config, seed)
        self.transformer = Transformer(config, init, Dropout(config.dropout, self.rng))
        self.score = ScoreHead(init.normal(1, config.emb_dim))

    def values(self, input_ids: np.ndarray) -> Tensor:
        """A number at every position: input_ids (B, T) -> (B, T). PPO's value model reads all of them."""
        return self.score(self.transformer(input_ids))

    def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """The score of each sequence: the number at its last token.

        Args:
            input_ids: (B, T) integers, padded on the right.
            lengths: (B,) tokens of each sequence without the padding.

        Returns:
            (B,)
        """
        hidden = self.transformer(input_ids)  # (B, T, C)
        last = ag.getitem(hidden, index=(np.arange(len(lengths)), np.asarray(lengths) - 1))  # (B, C)
        return self.score(last)

    def reseed(self, *entropy: int) -> None:
        """Make the dropout masks that follow a function of these integers."""
        self.rng.bit_generator.state = np.random.default_rng(entropy).bit_generator.state

    @classmethod
    def from_pretrained(cls, base: GPT | str | Path, config: GPTConfig | None = None, seed: int = 0) -> RewardModel:
        """A reward model that starts from a language model, or a saved reward model.

        Args:
            base: a GPT, or the directory of a GPT or of a reward model.
            config: sizes; must be the base's own if given.
            seed: of the new head, where the base has none.

        Raises:
            UserError: if the directory holds no model or ``config`` is not the base's.
        """
        if isinstance(base, GPT):
            own, state = base.config, base.state_dict()
        else:
            own, state = read_config(Path(base)), read_weights(Path(base))
        if config is not None and _sizes(config) != _sizes(own):
            raise UserError(f"reward model: the base's sizes are {_sizes(own)}, the config asks for {_sizes(config)}")
        model = cls(own, seed)
        model.load_state_dict({"score.weight": model.score.weight.data, **state})
        return model

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` (Hugging Face layout)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        fields = huggingface_config(self.config, "GPT2ForSequenceClassification")
        write_json(directory / CONFIG_FILE, {**fields, "id2label": {"0": "reward"}, "label2id": {"reward": 0}})
        save_weights(directory / WEIGHTS_FILE, self.state_dict())


def _sizes(config: GPTConfig) -> tuple[int, ...]:
    return config.vocab_size, config.emb_dim, config.num_heads, config.num_layers, config.context_size
