"""Every setting there is: the model's sizes, the settings of the five stages, and the presets.

A config is a frozen dataclass that checks itself, so a setting out of range is reported before any work
begins, by name. The command line is made from these classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scratchgpt.errors import UserError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT.

    Attributes:
        vocab_size: entries of the token table, V.
        emb_dim: channels of the residual stream, C.
        num_heads: attention heads, H; the head size D is C / H.
        num_layers: transformer blocks.
        context_size: most tokens the model can look at.
        dropout: probability of zeroing an activation after the embeddings and each residual branch.
        init_std: standard deviation of the initial weights; None means 1/sqrt(emb_dim). GPT-2's 0.02 is
            too small at these widths: the model then hardly learns to copy within minutes.
        layer_norm_epsilon: added to the variance in layernorm.
    """

    vocab_size: int = 1000
    emb_dim: int = 256
    num_heads: int = 8
    num_layers: int = 6
    context_size: int = 256
    dropout: float = 0.1
    init_std: float | None = None
    layer_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocab_size", "emb_dim", "num_heads", "num_layers", "context_size"):
            value = getattr(self, name)
            _require(isinstance(value, int) and value >= 1, f"{name} must be a positive integer, not {value!r}")
        _require(
            self.emb_dim % self.num_heads == 0,
            f"emb_dim must be divisible by num_heads: {self.emb_dim} / {self.num_heads} is not whole",
        )
        _require(0 <= self.dropout < 1, f"dropout must be in [0, 1), not {self.dropout}")
        _require(self.init_std is None or self.init_std > 0, f"init_std must be positive, not {self.init_std}")

    @property
    def initial_std(self) -> float:
        """The standard deviation the weights really start with."""
        return 1 / math.sqrt(self.emb_dim) if self.init_std is None else self.init_std

    @property
    def residual_scale(self) -> float:
        """GPT-2's factor 1/sqrt(2 * num_layers) on the layers that write to the residual stream."""
        return 1 / math.sqrt(2 * self.num_layers)


def get_mini_config() -> GPTConfig:
    """The default model: about 5 million parameters."""
    return GPTConfig(vocab_size=6400, emb_dim=256, num_heads=4, num_layers=4, context_size=256)


@dataclass(frozen=True)
class SupervisedConfig:
    """What the three stages with a fixed data set have in common.

    Attributes:
        epochs: passes over the data.
        batch_size: windows of context_size tokens, dialogues or pairs a step.
        lr: highest learning rate, reached after warmup_steps; it then falls, in pretraining to a tenth, later to zero.
        warmup_steps: steps in which the learning rate rises from 0.
        weight_decay: AdamW's, on matrices.
        max_grad_norm: gradients are clipped to this norm.
        evaluate_every: steps, episodes or iterations between measurements on held-out data.
    """

    epochs: float = 2
    batch_size: int = 32
    lr: float = 1e-3
    warmup_steps: int = 50
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    evaluate_every: int = 300

    def __post_init__(self) -> None:
        stage = type(self).__name__.removesuffix("Config").lower()
        _require(self.epochs > 0, f"{stage}: epochs must be positive, not {self.epochs}")
        _require(self.batch_size >= 1, f"{stage}: batch_size must be at least 1, not {self.batch_size}")
        _require(self.lr > 0, f"{stage}: lr must be positive, not {self.lr}")
        _require(self.warmup_steps >= 0, f"{stage}: warmup_steps must not be negative, not {self.warmup_steps}")
        _require(self.max_grad_norm > 0, f"{stage}: max_grad_norm must be positive, not {self.max_grad_norm}")
        _require(self.evaluate_every >= 1, f"{stage}: evaluate_every must be at least 1, not {self.evaluate_every}")


@dataclass(frozen=True)
class PretrainConfig(SupervisedConfig):
    """Next-token prediction on plain text; the learning rate follows a cosine.

    Attributes:
        steps: how many to make, however many passes that is; None means as many as epochs asks for.
        beta2: decay rate of AdamW's running mean of the squared gradient.
    """

    epochs: float = 6
    batch_size: int = 16
    lr: float = 2e-3
    evaluate_every: int = 200
    steps: int | None = None
    beta2: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.steps is None or self.steps >= 1, f"pretrain: steps must be at least 1, not {self.steps}")
        _require(0 <= self.beta2 < 1, f"pretrain: beta2 must be in [0, 1), not {self.beta2}")


@dataclass(frozen=True)
class SFTConfig(SupervisedConfig):
    """Supervised fine-tuning on dialogues, loss on the assistant's tokens; the learning rate falls in a line."""


@dataclass(frozen=True)
class RewardConfig(SupervisedConfig):
    """The reward model: pairs of a better and a worse answer, Bradley-Terry loss; the learning rate as in SFT."""

    lr: float = 2e-4
    warmup_steps: int = 10
    evaluate_every: int = 40


@dataclass(frozen=True)
class RLHFConfig:
    """PPO against the reward model (Schulman et al. 2017; Ouyang et al. 2022).

    Attributes:
        clip_ratio: the probability ratio is held within 1 +- clip_ratio.
        kl_coef: weight of the per-token KL penalty against the SFT policy.
        num_episodes: iterations of rollout and update.
        batch_size: responses an iteration.
        minibatch_size: responses a gradient step.
        ppo_epochs: passes over the responses of an iteration.
        lr, value_lr: learning rates of policy (at first; it falls to zero) and value model.
        gamma, gae_lambda: discount and GAE's lambda.
        value_clip: the value may move this far from the rollout's value before its loss is clipped.
        target_kl: an iteration's remaining updates are skipped once the policy has moved this far (nats a token).
        value_warmup: first iterations in which only the value model learns.
        reward_clip: standardised rewards are held within +- reward_clip.
        missing_eos_reward: what a response scores that never ends its turn.
        max_new_tokens: longest response.
        temperature: of the rollouts.
        evaluate_every: iterations between measurements on held-out prompts.
    """

    clip_ratio: float = 0.2
    kl_coef: float = 0.01
    num_episodes: int = 50
    batch_size: int = 64
    minibatch_size: int = 32
    ppo_epochs: int = 2
    lr: float = 5e-5
    value_lr: float = 2e-4
    gamma: float = 1.0
    gae_lambda: float = 0.95
    value_clip: float = 0.2
    target_kl: float = 0.05
    value_warmup: int = 2
    reward_clip: float = 5.0
    missing_eos_reward: float = -1.0
    max_new_tokens: int = 96
    temperature: float = 1.0
    max_grad_norm: float = 1.0
    evaluate_every: int = 10

    def __post_init__(self) -> None:
        _require(0 < self.clip_ratio < 1, f"rlhf: clip_ratio must be in (0, 1), not {self.clip_ratio}")
        _require(self.kl_coef >= 0, f"rlhf: kl_coef must not be negative, not {self.kl_coef}")
        _require(self.num_episodes >= 1, f"rlhf: num_episodes must be at least 1, not {self.num_episodes}")
        _require(self.batch_size >= 1, f"rlhf: batch_size must be at least 1, not {self.batch_size}")
        _require(self.minibatch_size >= 1, f"rlhf: minibatch_size must be at least 1, not {self.minibatch_size}")
        _require(self.ppo_epochs >= 1, f"rlhf: ppo_epochs must be at least 1, not {self.ppo_epochs}")
        _require(
            self.lr > 0 and self.value_lr > 0, f"rlhf: lr and value_lr must be positive, not {self.lr}, {self.value_lr}"
        )
        _require(0 <= self.gamma <= 1, f"rlhf: gamma must be in [0, 1], not {self.gamma}")
        _require(0 <= self.gae_lambda <= 1, f"rlhf: gae_lambda must be in [0, 1], not {self.gae_lambda}")
        _require(self.temperature > 0, f"rlhf: temperature must be positive, not {self.temperature}")
        _require(self.max_new_tokens >= 1, f"rlhf: max_new_tokens must be at least 1, not {self.max_new_tokens}")
        _require(self.evaluate_every >= 1, f"rlhf: evaluate_every must be at least 1, not {self.evaluate_every}")


@dataclass(frozen=True)
class RLVFConfig:
    """Policy gradient on verified answers with a group baseline (Shao et al. 2024, GRPO).

    Attributes:
        correct_reward, incorrect_reward: what a response scores by the verifier's judgement.
        num_iterations: iterations of rollout and update.
        samples_per_task: responses to each task, the group whose mean is the baseline.
        tasks_per_iteration: tasks drawn an iteration, preferring those the policy sometimes gets right.
        minibatch_size: responses a gradient step.
        epochs_per_iteration: passes over the responses of an iteration.
        clip_ratio, kl_coef, lr, temperature, max_new_tokens, target_kl, max_grad_norm: as in RLHFConfig.
        evaluate_every: iterations between measurements on held-out tasks.
    """

    correct_reward: float = 1.0
    incorrect_reward: float = -0.5
    num_iterations: int = 30
    samples_per_task: int = 2
    tasks_per_iteration: int = 24
    minibatch_size: int = 64
    epochs_per_iteration: int = 1
    clip_ratio: float = 0.2
    kl_coef: float = 0.02
    lr: float = 1e-4
    target_kl: float = 0.05
    temperature: float = 1.0
    max_new_tokens: int = 96
    max_grad_norm: float = 1.0
    evaluate_every: int = 10

    def __post_init__(self) -> None:
        _require(
            self.correct_reward > self.incorrect_reward,
            f"rlvf: correct_reward {self.correct_reward} must exceed incorrect_reward {self.incorrect_reward}",
        )
        _require(self.num_iterations >= 1, f"rlvf: num_iterations must be at least 1, not {self.num_iterations}")
        _require(
            self.samples_per_task >= 2,
            f"rlvf: samples_per_task must be at least 2, a group to take the mean of, not {self.samples_per_task}",
        )
        _require(
            self.tasks_per_iteration >= 1,
            f"rlvf: tasks_per_iteration must be at least 1, not {self.tasks_per_iteration}",
        )
        _require(self.minibatch_size >= 1, f"rlvf: minibatch_size must be at least 1, not {self.minibatch_size}")
        _require(0 < self.clip_ratio < 1, f"rlvf: clip_ratio must be in (0, 1), not {self.clip_ratio}")
        _require(self.kl_coef >= 0, f"rlvf: kl_coef must not be negative, not {self.kl_coef}")
        _require(self.lr > 0, f"rlvf: lr must be positive, not {self.lr}")
        _require(self.temperature > 0, f"rlvf: temperature must be positive, not {self.temperature}")
        _require(self.max_new_tokens >= 1, f"rlvf: max_new_tokens must be at least 1, not {self.max_new_tokens}")
        _require(self.evaluate_every >= 1, f"rlvf: evaluate_every must be at least 1, not {self.evaluate_every}")


@dataclass(frozen=True)
class Preset:
    """A model and the settings of all five stages that go with it.

    Attributes:
        running_text: for a yardstick of language modelling alone. The corpus is one text, whose last tenth is held
            out, and the tokenizer is made for it and nothing else; the stages after pretraining do not run.
    """

    model: GPTConfig
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    sft: SFTConfig = field(default_factory=SFTConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    rlhf: RLHFConfig = field(default_factory=RLHFConfig)
    rlvf: RLVFConfig = field(default_factory=RLVFConfig)
    running_text: bool = False
