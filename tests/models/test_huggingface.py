"""A model's directory: exactly what is in it, and what is said of a damaged one."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from scratchgpt.cli.guarded import guarded
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel, is_reward_model

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


ABSURD = [
    {"n_embd": 10**9, "n_head": 1},
    {"vocab_size": 2**31 - 1},
    {"n_positions": 2**31 - 1},
    {"n_layer": 2**31 - 1},
    {"n_layer": 10**9, "n_embd": 2**30, "vocab_size": 2**31 - 1, "n_positions": 2**31 - 1},
]
WRONG = [True, None, "8", 8.0, 0, -1, 2**31, 10**4000, [8], {"a": 8}, float("nan")]


@pytest.mark.parametrize("kind", [GPT, RewardModel])
@pytest.mark.parametrize("sizes", ABSURD)
def test_absurd_sizes_take_no_memory(kind, sizes: dict[str, int], tmp_path: Path) -> None:
    kind(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, **sizes)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="the weights do not fit"):
            kind.from_pretrained(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def change_config(directory: Path, **fields: object) -> None:
    """Write other values into the config."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("name", ["vocab_size", "n_embd", "n_head", "n_layer", "n_positions"])
@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_size_is_named(name: str, value: object, tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, **{name: value})
    with pytest.raises(UserError, match=f"config.json: not a gpt2 .*{name} must be a whole number") as caught:
        GPT.from_pretrained(tmp_path)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["resid_pdrop", "initializer_range", "layer_norm_epsilon"])
@pytest.mark.parametrize("value", [True, None, "0.1", 10**4000, [0.1], float("nan"), float("inf")])
def test_what_is_no_number_is_named(name: str, value: object, tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, **{name: value})
    with pytest.raises(UserError, match=f"config.json: not a gpt2 .*{name} must be a finite number") as caught:
        GPT.from_pretrained(tmp_path)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 400


def test_a_number_out_of_its_bounds_names_the_file(tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, resid_pdrop=1.5)
    with pytest.raises(UserError, match=r"config\.json: not a gpt2 .*dropout must be in \[0, 1\), not 1\.5"):
        GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ['{"n_embd": ' + "9" * 5000 + "}", "[" * 200_000, '{"a":' * 200_000])
@pytest.mark.parametrize("load", [GPT.from_pretrained, RewardModel.from_pretrained, is_reward_model])
def test_a_long_number_or_a_deep_nesting_is_one_line(content: str, load, tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: not a model's configuration") as caught:
        load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_the_command_line_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, n_layer=True)
    assert guarded(lambda: void(GPT.from_pretrained(tmp_path)), "") == 2
    assert capsys.readouterr().err.count("\n") == 1


def void(_: object) -> None:
    """A command returns nothing."""
