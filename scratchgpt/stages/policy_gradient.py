"""What PPO and RLVF share: the experience of an iteration, the clipped loss, and the policy's update.

    ratio_t = pi(token_t | before) / pi_old(token_t | before)
    loss_t  = -min(ratio_t A_t, clip(ratio_t, 1 - eps, 1 + eps) A_t)          (Schulman et al. 2017, eq. 7)

A quantity per token is one flat array (N,): the tokens of all responses, one response after the other
(``evaluation/rollouts.py``). Dropout is off throughout: the probabilities must be those that the responses
were sampled with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import RLHFConfig, RLVFConfig
from scratchgpt.evaluation.divergence import kl_k1, kl_k3
from scratchgpt.evaluation.rollouts import (
    FORWARD_BATCH,
    SAMPLING_BATCH,
    Rollouts,
    TokenFunction,
    response_logprobs,
)
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.stages.stage import Sizes
from scratchgpt.training.history import Metrics
from scratchgpt.training.memory import Parts, generating, held_models, packed_weights, policy_pass, together
from scratchgpt.training.update import Loss, update
from scratchgpt.training.world import ALONE, World

TokenLoss = Callable[[Tensor, np.ndarray], Tensor]
"""Numbers (n,) and where their tokens stand in the flat arrays (n,) -> loss of each token (n,)."""


@dataclass(frozen=True)
class Experience:
    """What an iteration of reinforcement learning collected, and what it will learn from.

    Attributes:
        iteration: its number, from 0.
        rng: where its random numbers stand; whoever learns takes a copy.
        rollouts: R responses of N tokens, to learn from.
        logprobs: (N,) log pi_old(token), of the policy that wrote the responses.
        reference_logprobs: (N,) log pi_ref(token), of the frozen policy.
    """

    iteration: int
    rng: np.random.Generator
    rollouts: Rollouts
    logprobs: np.ndarray
    reference_logprobs: np.ndarray

    @property
    def kl(self) -> np.ndarray:
        """(N,) log pi_old - log pi_ref of each token."""
        return kl_k1(self.reference_logprobs - self.logprobs)

    @property
    def kl_per_response(self) -> float:
        """Nats, estimated from the responses."""
        return float(self.rollouts.sum_per_response(self.kl).mean())


# -- losses ---------------------------------------------------------------------------------------------------
def clipped_policy_loss(
    logprobs: Tensor, old_logprobs: np.ndarray, advantages: np.ndarray, clip_ratio: float
) -> Tensor:
    """-min(ratio A, clip(ratio, 1 - eps, 1 + eps) A) of each token (Schulman et al. 2017, eq. 7); all (n,).

    The minimum makes the clip one-sided: a token that has moved too far in the good direction gets no
    more gradient, one that has moved in the bad direction always does.
    """
    ratio = ag.exp(logprobs - old_logprobs)
    held = ag.clip(ratio, low=1 - clip_ratio, high=1 + clip_ratio)
    return -ag.minimum(ratio * advantages, held * advantages)


def whiten(x: np.ndarray) -> np.ndarray:
    """(x - mean) / standard deviation over all elements."""
    return (x - x.mean()) / (x.std() + 1e-8)


# -- the update ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PolicyUpdate:
    """One gradient step of the policy.

    Attributes:
        loss: mean over the minibatch's tokens.
        approx_kl: KL(pi_old || pi) before the step, nats a token.
        clip_fraction: share of the tokens whose ratio was outside the clip range.
        applied: False where approx_kl had passed target_kl, so that the step was not made.
    """

    loss: float
    approx_kl: float
    clip_fraction: float
    applied: bool


def response_loss(
    function: TokenFunction, token_loss: TokenLoss, rollouts: Rollouts, members: np.ndarray, outputs: np.ndarray
) -> Loss:
    """The mean of ``token_loss`` over the members' tokens, a group of similar lengths a piece.

    The minibatch stays random, only its passes are sorted: minibatches of equal lengths would be
    minibatches of equal kinds of task.

    Args:
        function: from members to a number for each of their tokens.
        token_loss: from these numbers to the loss of each token.
        rollouts, members: the responses, and the numbers of those in the minibatch.
        outputs: (N,) flat; takes down the function's numbers, piece by piece.
    """

    def pieces(count: int) -> Iterator[Tensor]:
        for group in rollouts.similar_lengths(members):
            tokens = rollouts.token_indices(group)
            values = function(group)
            yield token_loss(values, tokens).sum() / count
            outputs[tokens] = values.data

    return Loss(int(rollouts.lengths[members].sum()), pieces)


def update_policy(
    policy: LanguageModel,
    optimizer: Optimizer,
    rollouts: Rollouts,
    members: np.ndarray,
    old_logprobs: np.ndarray,
    token_loss: TokenLoss,
    settings: RLHFConfig | RLVFConfig,
    world: World = ALONE,
) -> PolicyUpdate:
    """One gradient step on the minibatch ``members``, unless the policy has already moved too far.

    Args:
        old_logprobs: (N,) flat, of the policy that sampled the rollouts.
        token_loss: from the present log-probabilities to the loss of each token.
        settings: clip_ratio, target_kl, temperature and max_grad_norm are read.
        world: the processes that make this update together.
    """
    logprobs = np.empty_like(old_logprobs)
    loss = response_loss(
        lambda group: response_logprobs(policy, rollouts, group, settings.temperature),
        token_loss,
        rollouts,
        members,
        logprobs,
    )
    tokens = rollouts.token_indices(members)
    approx_kl = clip_fraction = 0.0

    def too_far() -> bool:
        nonlocal approx_kl, clip_fraction
        log_ratio, count = logprobs[tokens] - old_logprobs[tokens], world.sum(len(tokens))
        approx_kl = world.sum(float(kl_k3(log_ratio).data.mean()) * len(tokens)) / count
        clip_fraction = world.sum(int((np.abs(np.exp(log_ratio) - 1) > settings.clip_ratio).sum())) / count
        return approx_kl > settings.target_kl

    result = update(optimizer, loss, settings.max_grad_norm, world, too_far)
    return PolicyUpdate(result.loss, approx_kl, clip_fraction, result.applied)


def update_metrics(updates: Sequence[PolicyUpdate]) -> Metrics:
    """Means over an iteration's updates, under TRL's names; zeros where there was none."""
    return {
        "loss/policy": _mean([u.loss for u in updates]),
        "policy/approxkl": _mean([u.approx_kl for u in updates]),
        "policy/clipfrac": _mean([u.clip_fraction for u in updates]),
        "policy/updates": float(sum(u.applied for u in updates)),
    }


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def minibatches(rng: np.random.Generator, count: int, size: int) -> list[np.ndarray]:
    """The numbers below ``count`` in random order, in parts of nearly equal length, none above ``size``."""
    return np.array_split(rng.permutation(count), math.ceil(count / size))


def frozen_copy(model: LanguageModel) -> LanguageModel:
    """The model as it is now; what happens to the original does not touch it."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    copy.eval()
    return copy


def policy_memory(sizes: Sizes, prompts: Sequence[str], rollouts: int, models: int, trained: int) -> list[Parts]:
    """What a stage needs that learns from its own answers.

    Args:
        sizes: of the run.
        prompts: what is answered, in training and in measuring.
        rollouts: answers an iteration.
        models: how many are held at once.
        trained: how many of these have an optimizer.
    """
    model, answer = sizes.model, sizes.settings.max_new_tokens
    prompt = sizes.longest(prompts, 2)
    rows = min(SAMPLING_BATCH, max(rollouts, len(prompts)))
    time = min(prompt + answer, model.context_size)
    held = together(held_models(model, models, trained), {"packed weights": 2 * packed_weights(model)})
    moments = [
        generating(model, rows, prompt),
        *policy_pass(model, min(FORWARD_BATCH, sizes.settings.minibatch_size), time, answer),
    ]
    return [together(held, moment) for moment in moments]
