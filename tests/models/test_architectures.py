"""Which class loads a directory, and what is said where none does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.architectures import architecture_of, load_language_model, read_config
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel

CONFIG = GPTConfig(vocab_size=11, emb_dim=8, num_heads=2, num_layers=1, context_size=4, dropout=0.25)


def test_gpt2_is_there(tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    assert architecture_of(tmp_path) is GPT and type(load_language_model(tmp_path)) is GPT
    config = read_config(tmp_path)
    assert (config.emb_dim, config.num_heads, config.dropout) == (8, 2, 0.25)


@pytest.mark.parametrize("found", ["llama", None, ["gpt2"]])
@pytest.mark.parametrize("load", [load_language_model, read_config, RewardModel.from_pretrained])
def test_an_architecture_that_is_not_here_is_named(load, found: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": found}))
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}/config.json: models of type {found!r} cannot be loaded, only 'gpt2'"


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model here"):
        load_language_model(tmp_path)
