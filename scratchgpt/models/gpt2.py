"""The GPT: GPT-2's architecture and parameter names (Radford et al. 2019).

    ids (B, T) -> token + position embedding -> num_layers blocks -> layernorm -> logits (B, T, V)
    block(x):  x = x + attn(ln_1(x));  x = x + mlp(ln_2(x))          # pre-norm, Xiong et al. 2020

The head is the token table itself (tied weights, Press & Wolf 2017), so a model saved here is a
``GPT2LMHeadModel`` to the ``transformers`` library as it stands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.huggingface import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    generation_config,
    huggingface_config,
    read_config,
    read_weights,
    save_weights,
    write_json,
)
from scratchgpt.nn.modules import Dropout, Embedding, LayerNorm, Linear, Module, computes_linear


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
        if computes_linear(fc) and computes_linear(proj):  # the usual case: both layers in one fused operation
            return self.dropout(ag.feed_forward(x, fc.effective_weight, fc.bias, proj.effective_weight, proj.bias))
        return self.dropout(proj(ag.gelu(fc(x))))


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
