"""Settings that check themselves, one class a stage; what a setting may be stands once, in :data:`BOUNDS`, by its name.

The command line is made from these classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from scratchgpt.errors import UserError


@dataclass(frozen=True)
class Bound:
    """The numbers that a setting may be.

    Attributes:
        low, high: the ends of the interval.
        open_low, open_high: whether the end itself is left out.
        whole: whole numbers only.
        optional: None is a value too.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False
    optional: bool = False

    def holds(self, value: Any) -> bool:
        """Whether the setting may be ``value``: a finite number inside the interval."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below and (isinstance(number, Integral) or math.isfinite(number))

    def __str__(self) -> str:
        """What the setting must be, in words."""
        if self.whole:
            return f"a whole number, at least {self.low:g}"
        if math.isfinite(self.high):
            return f"in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"
        if math.isfinite(self.low):
            return "positive" if self.open_low else "0 or positive"
        return "a finite number"


POSITIVE = Bound(0, open_low=True)
NOT_NEGATIVE = Bound(0)
COUNT = Bound(1, whole=True)
SHARE = Bound(0, 1)
ANY = Bound()
BOUNDS: Mapping[str, Bound] = {
    # sizes of a model
    "vocab_size": COUNT,
    "emb_dim": COUNT,
    "num_heads": COUNT,
    "num_layers": COUNT,
    "context_size": COUNT,
    "dropout": Bound(0, 1, open_high=True),
    "init_std": Bound(0, open_low=True, optional=True),
    "layer_norm_epsilon": POSITIVE,
    # how long
    "epochs": POSITIVE,
    "steps": Bound(1, whole=True, optional=True),
    "num_episodes": COUNT,
    "num_iterations": COUNT,
    "ppo_epochs": COUNT,
    "epochs_per_iteration": COUNT,
    "evaluate_every": COUNT,
    # how much at once
    "batch_size": COUNT,
    "minibatch_size": COUNT,
    "samples_per_task": Bound(2, whole=True),  # a group to take the mean of
    "tasks_per_iteration": COUNT,
    "max_new_tokens": COUNT,
    # how far a step goes
    "lr": POSITIVE,
    "value_lr": POSITIVE,
    "warmup_steps": Bound(0, whole=True),
    "weight_decay": NOT_NEGATIVE,
    "beta2": Bound(0, 1, open_high=True),
    "max_grad_norm": POSITIVE,
    "clip_ratio": Bound(0, 1, open_low=True, open_high=True),
    "value_clip": POSITIVE,
    "target_kl": POSITIVE,
    "value_warmup": Bound(0, whole=True),
    # what is rewarded
    "kl_coef": NOT_NEGATIVE,
    "gamma": SHARE,
    "gae_lambda": SHARE,
    "reward_clip": POSITIVE,
    "missing_eos_reward": ANY,
    "correct_reward": ANY,
    "incorrect_reward": ANY,
    "temperature": POSITIVE,
}
"""What each setting may be, in whichever class it stands."""


@dataclass(frozen=True)
class Settings:
    """What all classes of settings have in common: whoever makes one has its values checked.

    A class of settings may bring bounds for names of its own in ``OWN_BOUNDS``.

    Raises:
        UserError: if a value is out of its bounds, naming class, setting, bound and value.
        TypeError: if a setting has no bounds, which is a mistake of whoever wrote the class.
    """

    OWN_BOUNDS: ClassVar[Mapping[str, Bound]] = {}

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            bound = self.OWN_BOUNDS.get(field.name) or BOUNDS.get(field.name)
            if bound is None:
                raise TypeError(f"{type(self).__name__}.{field.name} has no bounds; add them to BOUNDS or OWN_BOUNDS")
            self._require(bound.holds(getattr(self, field.name)), f"{field.name} must be {bound}", field.name)

    def _require(self, condition: bool, message: str, *names: str) -> None:
        if not condition:
            section = type(self).__name__.removesuffix("Config").lower()
            values = ", ".join(repr(getattr(self, name)) for name in names)
            raise UserError(f"{section}: {message}, not {values}")


@dataclass(frozen=True)
class GPTConfig(Settings):
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
        super().__post_init__()
        if self.emb_dim % self.num_heads:
            raise UserError(f"emb_dim must be divisible by num_heads: {self.emb_dim} / {self.num_heads} is not whole")

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
class SupervisedConfig(Settings):
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
class RLHFConfig(Settings):
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


@dataclass(frozen=True)
class RLVFConfig(Settings):
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
        super().__post_init__()
        better = self.correct_reward > self.incorrect_reward
        self._require(better, "correct_reward must exceed incorrect_reward", "correct_reward", "incorrect_reward")
