"""Stage 3: the loss of a pair, and that the reward model learns to prefer."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.reward import RewardModelTrainer, bradley_terry_loss
from scratchgpt.tokenizer import IM_END_ID, CharTokenizer


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


def test_the_score_is_read_at_the_end_of_the_answer(char_tokenizer: CharTokenizer) -> None:
    assert encode_answer(char_tokenizer, "你好", "你好呀。")[-1] == IM_END_ID


def test_scores_do_not_depend_on_the_company(tiny_config: GPTConfig) -> None:
    model = RewardModel(tiny_config)
    sequences = [[7, 8, 9], [10], [11, 12, 13, 14, 15]]
    together = score_sequences(model, sequences)
    alone = [score_sequences(model, [s])[0] for s in sequences]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_it_learns_to_prefer(tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list) -> None:
    model = RewardModel.from_pretrained(GPT(tiny_config))
    settings = RewardConfig(epochs=60, batch_size=6, lr=1e-2, warmup_steps=2)
    run = RewardModelTrainer(model, char_tokenizer, tiny_config, settings, pairs, pairs)
    first = run.step(0)
    assert first["loss"] == pytest.approx(np.log(2), abs=0.4)
    run.train()
    metrics = run.evaluate()
    assert metrics["accuracy"] == metrics["accuracy/off_topic"] == 1.0 and metrics["rewards/margins"] > 1
    assert run.sample()


def test_a_pair_beyond_the_context_is_refused(
    tiny_config: GPTConfig, char_tokenizer: CharTokenizer, pairs: list
) -> None:
    pairs[0]["chosen"] = "天空" * 40
    with pytest.raises(UserError, match="longer than the context of 64"):
        RewardModelTrainer(RewardModel(tiny_config), char_tokenizer, tiny_config, RewardConfig(), pairs, pairs)
