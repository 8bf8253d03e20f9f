"""The GPT: GPT-2's architecture and parameter names (Radford et al. 2019).

    ids (B, T) -> token + position embedding -> num_layers blocks -> layernorm -> logits (B, T, V)
    block(x):  x = x + attn(ln_1(x));  x = x + mlp(ln_2(x))          # pre-norm, Xiong et al. 2020

The head is the token table itself (tied weights, Press & Wolf 2017), so a model saved here is a
``GPT2LMHeadModel`` to the ``transformers`` library as it stands.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.base import Array, Initializer, LanguageModel
from scratchgpt.models.decoder import Decoder, RereadingDecoder
from scratchgpt.models.gpt2_decoder import decoder_of
from scratchgpt.models.huggingface import number, whole_number
from scratchgpt.models.weights import StoredArray
from scratchgpt.nn.modules import Dropout, Embedding, LayerNorm, Module, Parameter, computes_linear

BODY_PATH = "transformer"
TOKEN_TABLE_PATH, POSITION_TABLE_PATH = "transformer.wte", "transformer.wpe"
FINAL_LAYERNORM_PATH = "transformer.ln_f"

HEAD = "lm_head.weight"
COMPUTED: Mapping[str, tuple[Any, ...]] = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),  # three names of one formula
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False, True),  # the order of the factors, and float32, which all is in here
    "add_cross_attention": (False,),
}
"""Fields of ``config.json`` that change what is computed: the values that are computed here, the default first."""


def block_path(layer: int) -> str:
    """Where a layer's block stands, as a recording and the parameters' names spell it."""
    return f"transformer.h.{layer}"


def block_number(path: str) -> int | None:
    """The layer of a module or parameter; None for what stands outside of the blocks."""
    parts = path.split(".")
    return int(parts[2]) if parts[:2] == ["transformer", "h"] else None


def path_in_body(path: str) -> str:
    """The path without the word that all begin with."""
    return path.removeprefix("transformer.")


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


class GPT(LanguageModel):
    """A GPT-2 language model.

    Args:
        config: sizes, dropout and initial scale.
        seed: of the initial weights and of the first dropout masks.
    """

    model_type = "gpt2"
    language_model_class = "GPT2LMHeadModel"
    reward_model_class = "GPT2ForSequenceClassification"
    base_model_prefix = "transformer"

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        super().__init__(config, seed)
        self.transformer = self.make_body(config, Initializer(config, seed), self.rng)

    @classmethod
    def make_body(cls, config: GPTConfig, initializer: Initializer, rng: np.random.Generator) -> Transformer:
        """Embeddings, blocks and the final layernorm."""
        return Transformer(config, initializer, Dropout(config.dropout, rng))

    @property
    def head_weight(self) -> Parameter:
        """The token table: the head is tied to it."""
        return self.transformer.wte.weight

    @property
    def token_table(self) -> Parameter:
        """The token embeddings, (V, C)."""
        return self.transformer.wte.weight

    def decoder(self) -> Decoder:
        """The weights as they are now, made ready once for as long as they stay as they are.

        A block with a layer that is no product with a weight (``computes_linear``) is beyond it: such a model
        reads its text again at every step.
        """
        layers = [
            layer
            for block in self.transformer.h
            for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
        ]
        if not all(map(computes_linear, layers)):
            return RereadingDecoder(self)
        return decoder_of(self, self._decoder_arrays())

    def _decoder_arrays(self) -> dict[str, list[np.ndarray]]:
        """What the decoder reads, by the names it has for them; the weights are those that the layers multiply by."""
        transformer, layers = self.transformer, self.transformer.h
        with no_grad():
            return {
                "wte": [transformer.wte.weight.data],
                "wpe": [transformer.wpe.weight.data],
                "ln_1_weight": [block.ln_1.weight.data for block in layers],
                "ln_1_bias": [block.ln_1.bias.data for block in layers],
                "c_attn": [block.attn.c_attn.effective_weight.data for block in layers],
                "c_attn_bias": [block.attn.c_attn.bias.data for block in layers],
                "attn_c_proj": [block.attn.c_proj.effective_weight.data for block in layers],
                "attn_c_proj_bias": [block.attn.c_proj.bias.data for block in layers],
                "ln_2_weight": [block.ln_2.weight.data for block in layers],
                "ln_2_bias": [block.ln_2.bias.data for block in layers],
                "c_fc": [block.mlp.c_fc.effective_weight.data for block in layers],
                "c_fc_bias": [block.mlp.c_fc.bias.data for block in layers],
                "mlp_c_proj": [block.mlp.c_proj.effective_weight.data for block in layers],
                "mlp_c_proj_bias": [block.mlp.c_proj.bias.data for block in layers],
                "ln_f_weight": [transformer.ln_f.weight.data],
                "ln_f_bias": [transformer.ln_f.bias.data],
            }

    @classmethod
    def config_fields(cls, config: GPTConfig) -> dict[str, Any]:
        """GPT-2's names for the sizes."""
        return {
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
        }

    @classmethod
    def config_from_fields(cls, fields: Mapping[str, Any]) -> GPTConfig:
        """The sizes in GPT-2's ``config.json``; what would be computed otherwise than here is refused by its name."""
        for name, computed in COMPUTED.items():
            value = fields.get(name, computed[0])
            if not any(value == one and type(value) is type(one) for one in computed):
                known = " or ".join(map(repr, computed))
                raise ValueError(f"{name} is {reprlib.repr(value)}, only {known} is computed")
        inner = fields.get("n_inner")
        if inner is not None and inner != 4 * whole_number(fields, "n_embd"):
            raise ValueError(f"n_inner is {reprlib.repr(inner)}, only null or four times n_embd is computed")
        return GPTConfig(
            vocab_size=whole_number(fields, "vocab_size"),
            emb_dim=whole_number(fields, "n_embd"),
            num_heads=whole_number(fields, "n_head"),
            num_layers=whole_number(fields, "n_layer"),
            context_size=whole_number(fields, "n_positions"),
            dropout=number(fields, "resid_pdrop", 0.1),
            init_std=number(fields, "initializer_range", 0.02),
            layer_norm_epsilon=number(fields, "layer_norm_epsilon", 1e-5),
        )

    @classmethod
    def parameter_shapes(cls, config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Tables, blocks, final layernorm, in the order of the modules."""
        channels = config.emb_dim
        yield "transformer.wte.weight", (config.vocab_size, channels)
        yield "transformer.wpe.weight", (config.context_size, channels)
        for layer in range(config.num_layers):
            for name, outputs, inputs in (
                ("ln_1", channels, None),
                ("attn.c_attn", 3 * channels, channels),
                ("attn.c_proj", channels, channels),
                ("ln_2", channels, None),
                ("mlp.c_fc", 4 * channels, channels),
                ("mlp.c_proj", channels, 4 * channels),
            ):
                yield f"{block_path(layer)}.{name}.weight", (outputs,) if inputs is None else (inputs, outputs)
                yield f"{block_path(layer)}.{name}.bias", (outputs,)
        yield "transformer.ln_f.weight", (channels,)
        yield "transformer.ln_f.bias", (channels,)

    @classmethod
    def require_own_head(
        cls, fields: Mapping[str, Any], stored: Mapping[str, StoredArray], directory: str | Path
    ) -> None:
        """See that the head is the token table, whatever ``tie_word_embeddings`` says of it."""
        if HEAD in stored:
            table = next(array for name, array in stored.items() if path_in_body(name) == "wte.weight")
            another = not np.array_equal(stored[HEAD].read(), table.read(), equal_nan=True)
        else:  # untied, with a head that is not in the file
            another = fields.get("tie_word_embeddings", True) is not True
        if another:
            raise UserError(
                f"{directory}: the model has a head of its own ({HEAD}, tie_word_embeddings), "
                "only a head that is equal to the token table is computed"
            )

    @classmethod
    def own_names(cls, state: Mapping[str, Array]) -> dict[str, Array]:
        """The base model alone is saved without the prefix; some files repeat the tied head or hold the masks."""
        return {
            name if name.startswith("transformer.") else f"transformer.{name}": array
            for name, array in state.items()
            if name != HEAD and not name.endswith((".attn.bias", ".attn.masked_bias"))
        }
