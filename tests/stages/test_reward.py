"""Stage 3: the loss of a pair, and that the reward model learns to prefer."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.reward import RewardModelTrainer, bradley_terry_loss, encoded_pairs
from scratchgpt.tokenizer import CharTokenizer, encode_chat


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


def test_a_pair_beyond_the_context_is_left_out_or_refused(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list
) -> None:
    pairs[0]["chosen"] = "天空" * 40
    given = RewardModel(tiny_config), char_tokenizer, tiny_config, RewardConfig(), pairs, [pairs[0], pairs[1]]
    trainer = RewardModelTrainer(*given)
    assert (len(trainer.pairs), len(trainer.heldout), len(trainer.heldout_kinds)) == (len(pairs) - 1, 1, 1)
    with pytest.raises(UserError, match="longer than the context of 64"):
        RewardModelTrainer(*given, strict=True)
    with pytest.raises(UserError, match="longer than the context of 64 tokens, as all 1 are"):
        RewardModelTrainer(*given[:-2], pairs[1:], pairs[:1])


def test_what_stands_before_the_question_is_read_too(char_tokenizer: CharTokenizer, pairs: list) -> None:
    history = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好呀。"}]
    (alone,), (behind,) = (
        encoded_pairs([{**pairs[1], **more}], char_tokenizer, 200).values() for more in ({}, {"history": history})
    )
    before = encode_chat(char_tokenizer, history)
    assert behind == tuple(before + ids for ids in alone)


def test_a_pair_of_equal_sides_counts_half(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list
) -> None:
    """Nothing can be said of it, so it must not pull the accuracy below a half."""
    same = [{**pair, "rejected": pair["chosen"]} for pair in pairs]
    settings = RewardConfig(batch_size=4)
    trainer = RewardModelTrainer(RewardModel(tiny_config), char_tokenizer, tiny_config, settings, same, same)
    metrics = trainer.evaluate()
    assert {value for name, value in metrics.items() if name.startswith("accuracy")} == {0.5}
    assert metrics["items"] == len(pairs)
    trainer.model.eval()
    trainer.model.train = lambda: None  # without dropout, which differs from row to row
    assert trainer.step(0)["accuracy"] == 0.5
