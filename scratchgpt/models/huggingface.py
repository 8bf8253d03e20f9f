"""A model's directory in the Hugging Face layout: ``config.json`` and ``generation_config.json``."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import BOS_ID, END_IDS, EOS_ID, PAD_ID

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
LARGEST_SIZE = 2**31 - 1
LARGEST_FLOAT = sys.float_info.max


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
    return read_json_object(path, "a model's configuration")


def whole_number(fields: Mapping[str, Any], name: str) -> int:
    """A size in a ``config.json``.

    Raises:
        ValueError: if it is missing, of another kind or beyond what a model can have.
    """
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
        raise ValueError(f"{name} must be a whole number from 1 to {LARGEST_SIZE}, {_found(fields, name)}")
    return value


def number(fields: Mapping[str, Any], name: str, default: float) -> float:
    """A number in a ``config.json``, or the default where it says nothing.

    Raises:
        ValueError: if it is of another kind, or not finite as a float.
    """
    value = fields.get(name, default)
    # an integer may be too large for a float; NaN is not between anything
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
        raise ValueError(f"{name} must be a finite number, {_found(fields, name)}")
    return float(value)


def _found(fields: Mapping[str, Any], name: str) -> str:
    return f"not {reprlib.repr(fields[name])}" if name in fields else "but it is missing"


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        what: what it should be, for the message.

    Raises:
        UserError: if it holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors, too long a number; too deep a nesting
        raise UserError(f"{path}: not {what} ({type(error).__name__}: {error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not {what} (it holds no JSON object)")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write indented UTF-8 JSON."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
