"""The reward model: a language model's body under a head that is one number.

Saved as the ``…ForSequenceClassification`` with one label that ``transformers`` has for the architecture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.architectures import ARCHITECTURES, architecture_of
from scratchgpt.models.base import Initializer, LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.huggingface import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    huggingface_config,
    read_config_fields,
    write_json,
)
from scratchgpt.models.weights import read_arrays, require_fit, save_weights, stored_arrays
from scratchgpt.nn.modules import Module, Parameter

SCORE = "score.weight"


class ScoreHead(Module):
    """hidden (..., C) -> one number each; weight (1, C) as Hugging Face stores it, no bias."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = Parameter(weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., C) -> (...)"""
        return ag.reshape(ag.matmul(hidden, ag.transpose(self.weight)), shape=hidden.shape[:-1])


class RewardModel(Module):
    """A language model's body with a scalar head.

    Args:
        config: sizes of the body.
        seed: of the initial weights.
        architecture: whose body it is.
    """

    def __init__(self, config: GPTConfig, seed: int = 0, architecture: type[LanguageModel] = GPT) -> None:
        self.config = config
        self.architecture = architecture
        self.rng = np.random.default_rng(seed)
        initializer = Initializer(config, seed)
        setattr(self, architecture.base_model_prefix, architecture.make_body(config, initializer, self.rng))
        self.score = ScoreHead(initializer.normal(1, config.emb_dim))

    def hidden_states(self, input_ids: np.ndarray) -> Tensor:
        """input_ids (B, T) -> what the head reads, (B, T, C)"""
        return getattr(self, self.architecture.base_model_prefix)(input_ids)

    def values(self, input_ids: np.ndarray) -> Tensor:
        """A number at every position: input_ids (B, T) -> (B, T). PPO's value model reads all of them."""
        return self.score(self.hidden_states(input_ids))

    def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """The score of each sequence: the number at its last token.

        Args:
            input_ids: (B, T) integers, padded on the right.
            lengths: (B,) tokens of each sequence without the padding.

        Returns:
            (B,)
        """
        hidden = self.hidden_states(input_ids)  # (B, T, C)
        last = ag.getitem(hidden, index=(np.arange(len(lengths)), np.asarray(lengths) - 1))  # (B, C)
        return self.score(last)

    def reseed(self, *entropy: int) -> None:
        """Make the dropout masks that follow a function of these integers."""
        self.rng.bit_generator.state = np.random.default_rng(entropy).bit_generator.state

    @classmethod
    def from_pretrained(
        cls, base: LanguageModel | str | Path, config: GPTConfig | None = None, seed: int = 0
    ) -> RewardModel:
        """A reward model that starts from a language model, or a saved reward model; dropout is off.

        Args:
            base: a language model, or the directory of one or of a reward model.
            config: sizes; must be the base's own if given.
            seed: of the new head, where the base has none.

        Raises:
            UserError: if the directory holds no model or ``config`` is not the base's.
        """
        if isinstance(base, LanguageModel):
            architecture, own, state = type(base), base.config, base.body_state(base.state_dict())
        else:
            architecture = architecture_of(base)
            own = architecture.read_config(base)
            state = _body_and_score(architecture, own, base)
        if config is not None and _sizes(config) != _sizes(own):
            raise UserError(f"reward model: the base's sizes are {_sizes(own)}, the config asks for {_sizes(config)}")
        model = cls(own, seed, architecture)
        model.load_state_dict({SCORE: model.score.weight.data, **state})
        return model.eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` (Hugging Face layout)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        kind = self.architecture
        fields = huggingface_config(kind.reward_model_class, kind.model_type, kind.config_fields(self.config))
        write_json(directory / CONFIG_FILE, {**fields, "id2label": {"0": "reward"}, "label2id": {"reward": 0}})
        save_weights(directory / WEIGHTS_FILE, self.state_dict())


def is_reward_model(directory: str | Path) -> bool:
    """Whether the directory's model scores texts and writes none.

    Raises:
        UserError: if there is no ``config.json`` or it is malformed.
    """
    classes = read_config_fields(directory).get("architectures")
    return isinstance(classes, list) and any(kind.reward_model_class in classes for kind in ARCHITECTURES.values())


def _body_and_score(
    architecture: type[LanguageModel], config: GPTConfig, directory: str | Path
) -> dict[str, np.ndarray]:
    """The arrays of a language model's body or of a reward model; the former has no ``score.weight``."""
    stored = stored_arrays(directory)
    score = {name: stored.pop(name) for name in (SCORE,) if name in stored}
    require_fit(score, [(name, (1, config.emb_dim)) for name in score], directory)
    body = architecture.body_state(stored)
    wanted = architecture.parameter_shapes(config)
    in_body = (entry for entry in wanted if entry[0].startswith(f"{architecture.base_model_prefix}."))
    require_fit(body, in_body, directory)
    return read_arrays({**body, **score})


def _sizes(config: GPTConfig) -> tuple[int, ...]:
    return config.vocab_size, config.emb_dim, config.num_heads, config.num_layers, config.context_size
