"""The reward model: what it is made of, and its parity with transformers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel, is_reward_model
from scratchgpt.stages.reward import RewardModelTrainer
from scratchgpt.tokenizer import CharTokenizer


def test_transformers_loads_it_and_gives_the_same_scores(tmp_path: Path, tiny_config: GPTConfig) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = RewardModel(tiny_config, seed=2).eval()
    model.save_pretrained(tmp_path)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.num_labels == 1
    ids = np.random.default_rng(0).integers(6, tiny_config.vocab_size, (3, 12))
    lengths = np.array([12, 5, 1])
    for row, length in zip(ids, lengths, strict=True):
        row[length:] = 0
    with torch.no_grad(), no_grad():
        expected = theirs(torch.from_numpy(ids), attention_mask=torch.from_numpy((ids != 0).astype(np.int64))).logits
        padded = model(ids, lengths).data
        alone = [
            model(row[None, :length], np.array([length])).data[0] for row, length in zip(ids, lengths, strict=True)
        ]
    np.testing.assert_allclose(padded, expected[:, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(padded, alone, atol=1e-5)
    assert np.ptp(padded) > 0.1  # they do differ
    again = RewardModel.from_pretrained(tmp_path, tiny_config)
    np.testing.assert_array_equal(again.score.weight.data, model.score.weight.data)


def test_it_starts_from_a_language_model(tmp_path: Path, tiny_config: GPTConfig) -> None:
    base = GPT(tiny_config, seed=5)
    model = RewardModel.from_pretrained(base, tiny_config)
    np.testing.assert_array_equal(model.transformer.wte.weight.data, base.transformer.wte.weight.data)
    model.transformer.wte.weight.data[:] = 0
    assert base.transformer.wte.weight.data.any()  # a copy
    with pytest.raises(UserError, match="sizes"):
        RewardModel.from_pretrained(base, dataclasses.replace(tiny_config, emb_dim=32))


def test_its_head_is_drawn_after_the_body_that_a_language_model_has(tiny_config: GPTConfig) -> None:
    body, model = GPT(tiny_config, seed=6).state_dict(), RewardModel(tiny_config, seed=6)
    state = model.state_dict()
    assert state.keys() == {*body, "score.weight"}
    for name, array in body.items():
        np.testing.assert_array_equal(state[name], array)
    head = RewardModel.from_pretrained(GPT(tiny_config, seed=1), seed=6).score.weight.data
    np.testing.assert_array_equal(head, model.score.weight.data)
    drawn = np.random.default_rng(6)
    for array in body.values():  # nothing is drawn for biases and layernorms
        if array.ndim == 2:
            drawn.standard_normal(array.shape, dtype=np.float32)
    expected = drawn.standard_normal((1, 16), dtype=np.float32) * np.float32(tiny_config.initial_std)
    np.testing.assert_array_equal(head, expected)


def test_a_base_model_without_the_prefix_will_do(tmp_path: Path, tiny_config: GPTConfig) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes = {"n_embd": 16, "n_head": 2, "n_layer": 1, "n_positions": 64}
    theirs = transformers.GPT2Model(transformers.GPT2Config(vocab_size=tiny_config.vocab_size, **sizes)).eval()
    theirs.save_pretrained(tmp_path)
    ids = np.random.default_rng(0).integers(0, tiny_config.vocab_size, (2, 9))
    with torch.no_grad(), no_grad():
        expected = theirs(torch.from_numpy(ids)).last_hidden_state.numpy()
        ours = RewardModel.from_pretrained(tmp_path)
        np.testing.assert_allclose(ours.hidden_states(ids).data, expected, atol=1e-4)


def test_a_saved_one_is_told_from_a_language_model(tmp_path: Path, tiny_config: GPTConfig) -> None:
    RewardModel(tiny_config).save_pretrained(tmp_path / "reward")
    GPT(tiny_config).save_pretrained(tmp_path / "language")
    assert is_reward_model(tmp_path / "reward") and not is_reward_model(tmp_path / "language")
    (tmp_path / "language" / "config.json").write_text(json.dumps({"architectures": 7}))
    assert not is_reward_model(tmp_path / "language")  # whatever else is wrong with the file, loading says it


def test_a_loaded_one_has_dropout_off_and_its_stage_turns_it_on(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list[dict]
) -> None:
    base = GPT(dataclasses.replace(tiny_config, dropout=0.5))
    base.save_pretrained(tmp_path)
    for start in (base, tmp_path):
        model = RewardModel.from_pretrained(start)
        assert not any(module.training for _, module in model.named_modules())
    trainer = RewardModelTrainer(model, char_tokenizer, model.config, RewardConfig(batch_size=3), pairs, pairs)
    trainer.step(0)
    assert all(module.training for _, module in model.named_modules())
