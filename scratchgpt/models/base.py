"""What a language model is: the face that everything outside of ``models/`` sees, whatever the architecture.

    ids (B, T) -> body -> hidden states (B, T, C) -> head -> logits (B, T, V)

Another architecture is one file beside this one: a subclass of :class:`LanguageModel` that says what its body is,
what its head multiplies by, and how its sizes are spelled in ``config.json``; and one entry in
:data:`scratchgpt.models.architectures.ARCHITECTURES`. Every stage can then train it, the reward model is made of its
body, and its checkpoints load. Until it has a decoder of its own it generates by reading the whole text at each step.
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.decoder import Decoder, RereadingDecoder
from scratchgpt.models.huggingface import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    WEIGHTS_FILE,
    generation_config,
    huggingface_config,
    read_config_fields,
    write_json,
)
from scratchgpt.models.weights import StoredArray, read_arrays, require_fit, save_weights, stored_arrays
from scratchgpt.nn.modules import Linear, Module, Parameter

Array = TypeVar("Array")
"""An array, or one that still lies on disk."""


class Initializer:
    """Draws the initial weights: normal, with the standard deviation the config asks for."""

    def __init__(self, config: GPTConfig, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.std = config.initial_std

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """An array of the shape, float32, with standard deviation ``std * scale``."""
        return self.rng.standard_normal(shape, dtype=np.float32) * np.float32(self.std * scale)

    def linear(self, in_features: int, out_features: int, scale: float = 1.0) -> Linear:
        """A linear layer with random weights and zero bias."""
        return Linear(self.normal(in_features, out_features, scale=scale), np.zeros(out_features, np.float32))


class LanguageModel(Module, ABC):
    """A model that says, at every position of a text, how likely each token is to come next.

    A subclass sets the attribute that :attr:`base_model_prefix` names to what :meth:`make_body` returns, then its
    head, if it has one of its own. The random numbers are drawn in that order, so the body of a reward model begins
    with the weights that the same seed gives a language model.

    Args:
        config: sizes, dropout and initial scale.
        seed: of the initial weights and of the first dropout masks.

    Attributes:
        model_type: the architecture's name in ``config.json``, as in ``transformers``.
        language_model_class, reward_model_class: the names of the two classes of ``transformers`` that load what we
            save: with the head for tokens, and with the head for one number.
        base_model_prefix: the attribute that holds the body, and so the first part of its parameters' names.
    """

    model_type: ClassVar[str]
    language_model_class: ClassVar[str]
    reward_model_class: ClassVar[str]
    base_model_prefix: ClassVar[str]

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)

    # -- what an architecture says ---------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def make_body(cls, config: GPTConfig, initializer: Initializer, rng: np.random.Generator) -> Module:
        """Everything but the head: ids (B, T) -> hidden states (B, T, C).

        Args:
            config: the sizes.
            initializer: draws the weights.
            rng: of the dropout masks.
        """

    @property
    @abstractmethod
    def head_weight(self) -> Tensor:
        """What the head multiplies by, (V, C)."""

    @property
    @abstractmethod
    def token_table(self) -> Parameter:
        """The vectors that the tokens are first turned into, (V, C)."""

    @classmethod
    @abstractmethod
    def config_fields(cls, config: GPTConfig) -> dict[str, Any]:
        """The sizes under the names that ``config.json`` has for them in this architecture."""

    @classmethod
    @abstractmethod
    def config_from_fields(cls, fields: Mapping[str, Any]) -> GPTConfig:
        """The sizes in a ``config.json``.

        Raises:
            KeyError, TypeError: if one is missing or malformed.
            ValueError: if the file asks for something that is not computed here.
        """

    @classmethod
    @abstractmethod
    def parameter_shapes(cls, config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every parameter that a model of these sizes has, one at a time, without making any.

        Weights are held against them before a model is made, since a ``config.json`` may ask for sizes that no
        memory holds.
        """

    @classmethod
    def require_own_head(
        cls, fields: Mapping[str, Any], stored: Mapping[str, StoredArray], directory: str | Path
    ) -> None:
        """See that a file's head is the one that is computed here; nothing to see where the head is a parameter.

        Args:
            fields: the ``config.json``.
            stored: all that the file holds, under the file's names.
            directory: where they lie, for the message.

        Raises:
            UserError: if it is another.
        """

    @classmethod
    def own_names(cls, state: Mapping[str, Array]) -> dict[str, Array]:
        """A file's arrays under this model's parameter names, without what is no parameter here."""
        return dict(state)

    @classmethod
    def body_state(cls, state: Mapping[str, Array]) -> dict[str, Array]:
        """A language model's arrays without those of its head."""
        return {n: array for n, array in cls.own_names(state).items() if n.startswith(f"{cls.base_model_prefix}.")}

    # -- what everybody asks ---------------------------------------------------------------------------------
    @property
    def body(self) -> Module:
        """Everything but the head."""
        return getattr(self, self.base_model_prefix)

    @property
    def token_table_name(self) -> str:
        """The parameter name of :attr:`token_table`."""
        return next(name for name, parameter in self.named_parameters() if parameter is self.token_table)

    def hidden_states(self, input_ids: np.ndarray) -> Tensor:
        """input_ids (B, T) -> what the head reads, (B, T, C)"""
        return self.body(input_ids)

    def head(self, hidden: Tensor) -> Tensor:
        """hidden (..., C) -> logits (..., V)"""
        return ag.matmul(hidden, ag.transpose(self.head_weight))

    def forward(self, input_ids: np.ndarray, targets: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits for every position, and the mean loss where targets are given.

        Args:
            input_ids: (B, T) integers below vocab_size.
            targets: (B, T) integers, the next token at each position; -100 takes no part.

        Returns:
            logits (B, T, V) and the loss, a scalar, or None.
        """
        logits = self.head(self.hidden_states(input_ids))
        return logits, None if targets is None else ag.cross_entropy(logits, targets)

    def loss(self, input_ids: np.ndarray, targets: np.ndarray, count: int | None = None) -> Tensor:
        """The loss of :meth:`forward` without the logits: what training calls.

        Args:
            input_ids: (B, T) integers.
            targets: (B, T) integers; -100 takes no part.
            count: what the sum of the token losses is divided by; None for the number of targets that take part.
                A shard of a batch is given the number in the whole batch, and the shards' losses and gradients
                then add up to the batch's.
        """
        return ag.linear_cross_entropy(self.hidden_states(input_ids), self.head_weight, targets, count=count)

    def decoder(self) -> Decoder:
        """What generates text with the model as it is now; a later change of the weights need not reach it."""
        return RereadingDecoder(self)

    def reseed(self, *entropy: int) -> None:
        """Make the dropout masks that follow a function of these integers (seed, stage, step)."""
        self.rng.bit_generator.state = np.random.default_rng(entropy).bit_generator.state

    # -- on disk ---------------------------------------------------------------------------------------------
    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json``, ``generation_config.json`` and ``model.safetensors`` (Hugging Face layout)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        fields = huggingface_config(self.language_model_class, self.model_type, self.config_fields(self.config))
        write_json(directory / CONFIG_FILE, fields)
        write_json(directory / GENERATION_CONFIG_FILE, generation_config(self.config.context_size))
        save_weights(directory / WEIGHTS_FILE, self.state_dict())

    @classmethod
    def read_config(cls, directory: str | Path) -> GPTConfig:
        """The sizes of a saved model of this architecture.

        Raises:
            UserError: if ``config.json`` is missing, malformed or of another architecture.
        """
        path = Path(directory) / CONFIG_FILE
        fields = read_config_fields(directory)
        found = fields.get("model_type")
        if found != cls.model_type:
            raise UserError(
                f"{path}: {cls.__name__} loads models of type {cls.model_type!r}, this is {reprlib.repr(found)}"
            )
        try:
            return cls.config_from_fields(fields)
        except (KeyError, TypeError, ValueError, UserError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}: not a {cls.model_type} configuration that can be loaded ({reason})") from None

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> Self:
        """Load any checkpoint of this architecture in the Hugging Face layout; dropout is off, until ``train()``.

        :func:`scratchgpt.models.architectures.load_language_model` finds the architecture by itself.

        Raises:
            UserError: if a file is missing or malformed, or the architecture is another.
        """
        config = cls.read_config(directory)
        stored = stored_arrays(directory)
        own = cls.own_names(stored)
        require_fit(own, cls.parameter_shapes(config), directory)
        cls.require_own_head(read_config_fields(directory), stored, directory)
        state = read_arrays(own)
        model = cls(config)
        model.load_state_dict(state)
        return model.eval()
