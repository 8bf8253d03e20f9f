"""The GPT: GPT-2's architecture and parameter names (Radford et al. 2019).

    ids (B, T) -> token + position embedding -> num_layers blocks -> layernorm -> logits (B, T, V)
    block(x):  x = x + attn(ln_1(x));  x = x + mlp(ln_2(x))          # pre-norm, Xiong et al. 2020

The head is the token table itself (tied weights, Press & Wolf 2017), so a model saved here is a
``GPT2LMHeadModel`` to the ``transformers`` library as it stands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Dropout, Embedding, LayerNorm, Linear, Module

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


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


class CausalSelfAttention(Module):
    """Every position looks at itself and all before it, once per head."""

    def __init__(self, config: GPTConfig, init: Initializer, dropout: Dropout) -> None:
        self.num_heads = config.num_heads
        self.c_attn = init.linear(config.emb_dim, 3 * config.emb_dim)
        self.c_proj = init.linear(config.emb_dim, config.emb_dim, scale=config.residual_scale)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)"""
        qkv = self.c_attn(x)  # (B, T, 3C): one matrix product for queries, keys and values
        mixed = ag.causal_attention(qkv, num_heads=self.num_heads)  # (B, T, C)
        return self.dropout(self.c_proj(mixed))


class FeedForward(Module):
    """Two linear layers with a GELU between them, four times as wide inside."""

    def __init__(self, config: GPTConfig, init: Initializer, dropout: Dropout) -> None:
        self.c_fc = init.linear(config.emb_dim, 4 * config.emb_dim)
        self.c_proj = init.linear(4 * config.emb_dim, config.emb_dim, scale=config.residual_scale)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)"""
        fc, proj = self.c_fc, self.c_proj
        return self.dropout(ag.feed_forward(x, fc.weight, fc.bias, proj.weight, proj.bias))


class TransformerBlock(Module):
    """Attention, then the feed-forward layer, each added to the residual stream."""

    def __init__(self, config: GPTConfig, init: Initializer, dropout: Dropout) -> None:
        self.ln_1 = LayerNorm(config.emb_dim, config.layer_norm_epsilon)
        self.attn = CausalSelfAttention(config, init, dropout)
        self.ln_2 = LayerNorm(config.emb_dim, config.layer_norm_epsilon)
        self.mlp = FeedForward(config, init, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)"""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(Module):
    """Embeddings, blocks and the final layernorm: everything but the head."""

    def __init__(self, config: GPTConfig, init: Initializer, dropout: Dropout) -> None:
        self.context_size = config.context_size
        self.wte = Embedding(init.normal(config.vocab_size, config.emb_dim))
        self.wpe = Embedding(init.normal(config.context_size, config.emb_dim))
        self.dropout = dropout
        self.h = [TransformerBlock(config, init, dropout) for _ in range(config.num_layers)]
        self.ln_f = LayerNorm(config.emb_dim, config.layer_norm_epsilon)

    def forward(self, input_ids: np.ndarray) -> Tensor:
        """input_ids (B, T) integers -> hidden states (B, T, C)

        Raises:
            UserError: if T exceeds the context size.
        """
        input_ids = np.asarray(input_ids)
        if input_ids.ndim != 2:
            raise ag.ShapeError(f"input_ids must be (B, T), not {input_ids.shape}")
        length = input_ids.shape[1]
        if length > self.context_size:
            raise UserError(f"a sequence of {length} tokens exceeds the model's context of {self.context_size}")
        x = self.dropout(self.wte(input_ids) + self.wpe(np.arange(length)))  # (B, T, C) + (T, C)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class GPT(Module):
    """A GPT-2 language model.

    Args:
        config: sizes, dropout and initial scale.
        seed: of the initial weights and of the first dropout masks.
    """

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.transformer = Transformer(config, Initializer(config, seed), Dropout(config.dropout, self.rng))

    def hidden_states(self, input_ids: np.ndarray) -> Tensor:
        """input_ids (B, T) -> what the head reads, (B, T, C)"""
        return self.transformer(input_ids)

    def forward(self, input_ids: np.ndarray, targets: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits for every position, and the mean loss where targets are given.

        Args:
            input_ids: (B, T) integers below vocab_size.
            targets: (B, T) integers, the next token at each position; -100 takes no part.

        Returns:
            logits (B, T, V) and the loss, a scalar, or None.
        """
        wte = self.transformer.wte.weight
        logits = ag.matmul(self.hidden_states(input_ids), ag.transpose(wte))
        return logits, None if targets is None else ag.cross_entropy(logits, targets)

    def loss(self, input_ids: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> Tensor:
        """The loss of :meth:`forward` without the logits: what training calls.

        Args:
            input_ids: (B, T) integers.
            targets: (B, T) integers; -100 takes no part.
            weights: (B, T) weight of each token in the mean, or None for equal weights.
        """
        hidden = self.hidden_states(input_ids)
        return ag.linear_cross_entropy(hidden, self.transformer.wte.weight, targets, weights)

    def reseed(self, *entropy: int) -> None:
        """Make the dropout masks that follow a function of these integers (seed, stage, step)."""
        self.rng.bit_generator.state = np.random.default_rng(entropy).bit_generator.state

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json``, ``generation_config.json`` and ``model.safetensors`` (Hugging Face layout)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / CONFIG_FILE, huggingface_config(self.config, "GPT2LMHeadModel"))
        write_json(directory / "generation_config.json", generation_config(self.config))
        save_weights(directory / WEIGHTS_FILE, self.state_dict())

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> GPT:
        """Load any GPT-2 checkpoint in the Hugging Face layout.

        Raises:
            UserError: if a file is missing or malformed, or the architecture is not GPT-2's.
        """
        directory = Path(directory)
        model = cls(read_config(directory))
        state = read_weights(directory)
        # The base model alone ("GPT2Model") is saved without the prefix, and some files repeat the tied head.
        state = {
            n if n.startswith("transformer.") else f"transformer.{n}": a
            for n, a in state.items()
            if n != "lm_head.weight"
        }
        model.load_state_dict({n: a for n, a in state.items() if not n.endswith((".attn.bias", ".attn.masked_bias"))})
        return model


def huggingface_config(config: GPTConfig, architecture: str) -> dict[str, Any]:
    """``config.json`` as ``transformers`` reads it; what only we know stands under names of our own."""
    return {
        "architectures": [architecture],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "vocab_size": config.vocab_size,
        "n_embd": config.emb_dim,
        "n_head": config.num_heads,
        "n_layer": config.num_layers,
        "n_positions": config.context_size,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "initializer_range": config.initial_std,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }


def generation_config(config: GPTConfig) -> dict[str, Any]:
    """``generation_config.json``: stop at the end of a text or of a turn."""
    return {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": [3, 5], "max_length": config.context_size}


def read_config(directory: Path) -> GPTConfig:
    """The GPTConfig in a Hugging Face directory's ``config.json``.

    Raises:
        UserError: if the file is missing, malformed or of another architecture.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{directory}: no model here (there is no {CONFIG_FILE})")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.get("model_type") != "gpt2" or fields.get("activation_function", "gelu_new") != "gelu_new":
            raise UserError(f"{path}: only GPT-2 with gelu_new can be loaded, this is {fields.get('model_type')!r}")
        return GPTConfig(
            vocab_size=fields["vocab_size"],
            emb_dim=fields["n_embd"],
            num_heads=fields["n_head"],
            num_layers=fields["n_layer"],
            context_size=fields["n_positions"],
            dropout=fields.get("resid_pdrop", 0.1),
            init_std=fields.get("initializer_range"),
            layer_norm_epsilon=fields.get("layer_norm_epsilon", 1e-5),
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a GPT-2 configuration ({type(error).__name__}: {error})") from None


def read_weights(directory: Path) -> dict[str, np.ndarray]:
    """All arrays of a directory's ``model.safetensors``, by name.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{directory}: no weights here (there is no {WEIGHTS_FILE})")
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged weights file ({error})") from None


def save_weights(path: Path, state: dict[str, np.ndarray]) -> None:
    """Write arrays as safetensors, marked as PyTorch's so that ``transformers`` takes them."""
    safetensors.numpy.save_file({name: np.ascontiguousarray(a) for name, a in state.items()}, path, {"format": "pt"})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write indented UTF-8 JSON."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
