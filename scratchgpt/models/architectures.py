"""The architectures there are, and loading a model of whichever of them a directory holds."""

from __future__ import annotations

import reprlib
from pathlib import Path

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.huggingface import CONFIG_FILE, read_config_fields

ARCHITECTURES: dict[str, type[LanguageModel]] = {kind.model_type: kind for kind in (GPT,)}
"""By the ``model_type`` that stands in ``config.json``."""


def architecture_of(directory: str | Path) -> type[LanguageModel]:
    """The class that loads the directory's model.

    Raises:
        UserError: if there is no model, or one of an architecture that is not here.
    """
    found = read_config_fields(directory).get("model_type")
    if not isinstance(found, str) or found not in ARCHITECTURES:
        kind, known = reprlib.repr(found), ", ".join(map(repr, ARCHITECTURES))
        raise UserError(f"{Path(directory) / CONFIG_FILE}: models of type {kind} cannot be loaded, only {known}")
    return ARCHITECTURES[found]


def load_language_model(directory: str | Path) -> LanguageModel:
    """The language model in a directory of the Hugging Face layout; dropout is off, until ``train()``.

    Raises:
        UserError: if a file is missing or malformed, or the architecture is not here.
    """
    return architecture_of(directory).from_pretrained(directory)


def read_config(directory: str | Path) -> GPTConfig:
    """The sizes of the model in a directory.

    Raises:
        UserError: if ``config.json`` is missing, malformed or of an architecture that is not here.
    """
    return architecture_of(directory).read_config(directory)
