"""A model's directory in the Hugging Face layout: ``config.json``, ``generation_config.json``, safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import END_IDS

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


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
    """``generation_config.json``: stop where an answer ends (``scratchgpt.tokenizer.END_IDS``)."""
    return {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": list(END_IDS), "max_length": config.context_size}


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
