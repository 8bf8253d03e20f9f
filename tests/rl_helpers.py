"""What the tests of reinforcement learning share: tiny policies, responses, and a PPO task with a known best answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RLHFConfig
from scratchgpt.evaluation.rollouts import Rollouts
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.rlhf import PPOTrainer
from scratchgpt.tokenizer import IM_END_ID, IM_START_ID, CharTokenizer
from scratchgpt.training.update import Loss

SETTINGS = RLHFConfig(
    num_episodes=4, batch_size=16, minibatch_size=8, max_new_tokens=6, lr=3e-4, value_lr=1e-3, value_warmup=1
)


def digit_tokenizer(characters: str = "0123456789") -> CharTokenizer:
    """One id for each of the characters and of those of the chat format."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["user\nassistant\n", characters])
    return tokenizer


def tiny_policy(tokenizer: CharTokenizer, seed: int = 0, context_size: int = 48, dropout: float = 0.1) -> GPT:
    """One block, 32 channels, untrained."""
    sizes = GPTConfig(
        tokenizer.vocab_size, emb_dim=32, num_heads=2, num_layers=1, context_size=context_size, dropout=dropout
    )
    return GPT(sizes, seed)


def random_rollouts(rng: np.random.Generator, count: int, vocab_size: int) -> Rollouts:
    """Prompts of 1 to 11 random tokens and responses of 1 to 8."""
    prompts = [rng.integers(6, vocab_size, rng.integers(1, 12)).tolist() for _ in range(count)]
    responses = [rng.integers(6, vocab_size, rng.integers(1, 9)).tolist() for _ in range(count)]
    return Rollouts(prompts, responses)


def backward(loss: Loss) -> float:
    """Leave a loss's gradients in the parameters; the loss."""
    total = 0.0
    for piece in loss.pieces(loss.count):
        piece.backward()
        total += piece.item()
    return total


class TargetReward(RewardModel):
    """One point for each of the first three tokens that is right: the best answer is 73 and the end."""

    def __init__(self, tokenizer: CharTokenizer) -> None:
        super().__init__(tiny_policy(tokenizer).config, seed=1)
        self.target = [*tokenizer.encode("73"), IM_END_ID]
        self.header = len(tokenizer.encode("assistant\n"))

    def forward(self, input_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        scores = []
        for row in input_ids:
            begin = np.flatnonzero(row == IM_START_ID)[-1] + 1 + self.header
            scores.append(sum(a == b for a, b in zip(row[begin:], self.target, strict=False)))
        return Tensor(np.array(scores, dtype=np.float32))


def ppo_trainer(
    settings: RLHFConfig = SETTINGS,
    prompts: Sequence = ("1", "2", "33"),
    heldout: Sequence = ("2",),
    seed: int = 0,
    dropout: float = 0.1,
) -> PPOTrainer:
    """PPO from random weights towards the target."""
    tokenizer = digit_tokenizer("1234567")
    policy = tiny_policy(tokenizer, dropout=dropout)
    return PPOTrainer(policy, TargetReward(tokenizer), tokenizer, policy.config, settings, prompts, heldout, seed)
