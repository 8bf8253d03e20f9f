"""A model's directory in the Hugging Face layout: ``config.json``, ``generation_config.json``, safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import BOS_ID, END_IDS, EOS_ID, PAD_ID

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"


def huggingface_config(class_name: str, model_type: str, own_fields: Mapping[str, Any]) -> dict[str, Any]:
    """``config.json`` as ``transformers`` reads it.

    Args:
        class_name: the class of ``transformers`` that loads the weights.
        model_type: the architecture.
        own_fields: the architecture's own, its sizes above all.
    """
    return {
        "architectures": [class_name],
        "model_type": model_type,
        **own_fields,
        "torch_dtype": "float32",
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
    }


def generation_config(context_size: int) -> dict[str, Any]:
    """``generation_config.json``: stop where an answer ends (``scratchgpt.tokenizer.END_IDS``)."""
    return {"pad_token_id": PAD_ID, "bos_token_id": BOS_ID, "eos_token_id": list(END_IDS), "max_length": context_size}


def read_config_fields(directory: str | Path) -> dict[str, Any]:
    """What stands in a directory's ``config.json``.

    Raises:
        UserError: if the file is missing or holds no JSON object.
    """
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{directory}: no model here (there is no {CONFIG_FILE})")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSON and UTF-8 errors alike
        raise UserError(f"{path}: not a model's configuration ({type(error).__name__}: {error})") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path}: not a model's configuration (it holds no JSON object)")
    return fields


def read_weights(directory: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a directory's ``model.safetensors``, by name.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = Path(directory) / WEIGHTS_FILE
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
