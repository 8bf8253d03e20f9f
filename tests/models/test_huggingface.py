"""A model's directory: exactly what is in it, and what is said of a damaged one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel

CONFIG = GPTConfig(vocab_size=11, emb_dim=8, num_heads=2, num_layers=1, context_size=4, dropout=0.25, init_std=0.5)
GPT2_CONFIG = """{
  "architectures": [
    "GPT2LMHeadModel"
  ],
  "model_type": "gpt2",
  "activation_function": "gelu_new",
  "vocab_size": 11,
  "n_embd": 8,
  "n_head": 2,
  "n_layer": 1,
  "n_positions": 4,
  "layer_norm_epsilon": 1e-05,
  "embd_pdrop": 0.25,
  "resid_pdrop": 0.25,
  "attn_pdrop": 0.0,
  "initializer_range": 0.5,
  "tie_word_embeddings": true,
  "torch_dtype": "float32",
  "pad_token_id": 0,
  "bos_token_id": 2,
  "eos_token_id": 3
}
"""
GENERATION_CONFIG = """{
  "pad_token_id": 0,
  "bos_token_id": 2,
  "eos_token_id": [
    3,
    4,
    5
  ],
  "max_length": 4
}
"""


def test_what_a_language_models_directory_holds(tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path / "model")
    texts = {path.name: path.read_text() for path in (tmp_path / "model").glob("*.json")}
    assert texts == {"config.json": GPT2_CONFIG, "generation_config.json": GENERATION_CONFIG}
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_what_a_reward_models_directory_holds(tmp_path: Path) -> None:
    RewardModel(CONFIG).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    expected = {**json.loads(GPT2_CONFIG), "architectures": ["GPT2ForSequenceClassification"]}
    assert json.loads((tmp_path / "config.json").read_text()) == {
        **expected,
        "id2label": {"0": "reward"},
        "label2id": {"reward": 0},
    }


@pytest.mark.parametrize("load", [GPT.from_pretrained, RewardModel.from_pretrained])
def test_what_does_not_fit_is_named(load, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model here"):
        load(tmp_path)
    GPT(CONFIG).save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "vocab_size": 98}))
    with pytest.raises(UserError, match=r"wte.weight.*\(11, 8\).*\(98, 8\)"):
        load(tmp_path)
    for malformed in ("{", "[]", b"\xff"):
        (tmp_path / "config.json").write_bytes(malformed if isinstance(malformed, bytes) else malformed.encode())
        with pytest.raises(UserError, match="not a model's configuration"):
            load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({n: v for n, v in fields.items() if n != "n_embd"}))
    with pytest.raises(UserError, match=r"not a gpt2 configuration that can be loaded .*n_embd"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights here"):
        load(tmp_path)
