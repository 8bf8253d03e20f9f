"""The reward model: its loss, its parity with transformers, and that it learns to prefer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.reward import RewardModelTrainer, bradley_terry_loss
from scratchgpt.tokenizer import CharTokenizer


def test_the_loss_equals_pytorchs_and_does_not_overflow() -> None:
    torch = pytest.importorskip("torch")
    chosen, rejected = np.array([0.3, -2.0, 500.0, -500.0]), np.array([0.1, 1.0, -500.0, 500.0])
    a, b = Tensor(chosen, requires_grad=True), Tensor(rejected, requires_grad=True)
    loss = bradley_terry_loss(a, b)
    loss.backward()
    ta, tb = torch.tensor(chosen, requires_grad=True), torch.tensor(rejected, requires_grad=True)
    expected = -torch.nn.functional.logsigmoid(ta - tb).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    np.testing.assert_allclose(a.grad, ta.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(b.grad, tb.grad.numpy(), atol=1e-12)


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
        np.testing.assert_allclose(model(ids, lengths).data, expected[:, 0].numpy(), atol=1e-4)
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


def test_it_learns_to_prefer(tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list) -> None:
    model = RewardModel.from_pretrained(GPT(tiny_config))
    settings = RewardConfig(epochs=60, batch_size=6, lr=1e-2, warmup_steps=2)
    trainer = RewardModelTrainer(model, char_tokenizer, tiny_config, settings, pairs, pairs)
    first = trainer.step(0)
    assert first["loss"] == pytest.approx(np.log(2), abs=0.4)
    trainer.train()
    metrics = trainer.evaluate()
    assert metrics["accuracy"] == metrics["accuracy/off_topic"] == 1.0 and metrics["rewards/margins"] > 1
    assert trainer.sample()


def test_a_pair_beyond_the_context_is_refused(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list
) -> None:
    pairs[0]["chosen"] = "天空" * 40
    with pytest.raises(UserError, match="longer than the context of 64"):
        RewardModelTrainer(RewardModel(tiny_config), char_tokenizer, tiny_config, RewardConfig(), pairs, pairs)
