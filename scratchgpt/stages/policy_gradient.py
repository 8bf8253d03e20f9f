"""What PPO and the verified-reward stage share: sampled responses, their log-probabilities, the clipped update.

    ratio_t = pi(token_t | before) / pi_old(token_t | before)
    loss_t  = -min(ratio_t A_t, clip(ratio_t, 1 - eps, 1 + eps) A_t)          (Schulman et al. 2017, eq. 7)

A quantity per token is one flat array (N,): the tokens of all responses, one response after the other.
There is no padding in it, so a mean over it is the mean over response tokens and nothing needs a mask.
Dropout is off throughout: the probabilities must be those that the responses were sampled with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import RLHFConfig, RLVFConfig
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.errors import UserError
from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.tokenizer import END_IDS, Tokenizer, encode_chat
from scratchgpt.training.history import Metrics

SAMPLING_BATCH = 128
"""Responses sampled together."""
FORWARD_BATCH = 16
"""Responses in one pass through a model, similar lengths together: little padding, and few logits at a time."""


# -- responses ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ResponseBatch:
    """Some responses as a model reads them.

    Attributes:
        input_ids: (B, T) int64, prompt and response without the last token, padded on the right.
        rows: (n,) where, in the B * T positions, each response token is predicted: one before it.
        tokens: (n,) the response tokens.
    """

    input_ids: np.ndarray
    rows: np.ndarray
    tokens: np.ndarray


class Rollouts:
    """Prompts and the responses sampled to them.

    Args:
        prompts, responses: R lists of ids each; no response is empty.

    Attributes:
        lengths: (R,) tokens of each response.
        finished: (R,) bool, whether the response ended its turn.
    """

    def __init__(self, prompts: Sequence[list[int]], responses: Sequence[list[int]]) -> None:
        self.prompts, self.responses = list(prompts), list(responses)
        self.lengths = np.array([len(response) for response in self.responses])
        self.finished = np.array([response[-1] in END_IDS for response in self.responses])
        self._ends = np.cumsum(self.lengths)

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def num_tokens(self) -> int:
        """Tokens of all prompts and responses together."""
        return sum(map(len, self.prompts)) + int(self.lengths.sum())

    def text(self, tokenizer: Tokenizer, member: int) -> str:
        """What a response says, without the token that ends it."""
        ids = self.responses[member]
        return tokenizer.decode(ids[:-1] if self.finished[member] else ids).strip()

    def select(self, members: np.ndarray) -> Rollouts:
        """The rollouts with these numbers."""
        return Rollouts([self.prompts[i] for i in members], [self.responses[i] for i in members])

    def token_indices(self, members: np.ndarray) -> np.ndarray:
        """Where the members' tokens stand in a flat per-token array, response after response."""
        return np.concatenate([np.arange(self._ends[i] - self.lengths[i], self._ends[i]) for i in members])

    def sum_per_response(self, per_token: np.ndarray) -> np.ndarray:
        """(N,) -> (R,): the sum over each response's tokens."""
        return np.add.reduceat(per_token, self._ends - self.lengths)

    def batch(self, members: np.ndarray) -> ResponseBatch:
        """The members as a model reads them."""
        input_ids = pad_sequences([(self.prompts[i] + self.responses[i])[:-1] for i in members])
        width = input_ids.shape[1]
        starts = [row * width + len(self.prompts[i]) - 1 for row, i in enumerate(members)]
        rows = [start + np.arange(self.lengths[i]) for start, i in zip(starts, members, strict=True)]
        tokens = [np.array(self.responses[i], dtype=np.int64) for i in members]
        return ResponseBatch(input_ids, np.concatenate(rows), np.concatenate(tokens))

    def similar_lengths(self, members: np.ndarray) -> list[np.ndarray]:
        """The members in groups of at most :data:`FORWARD_BATCH`, shortest first."""
        totals = [len(self.prompts[i]) + len(self.responses[i]) for i in members]
        order = members[np.argsort(totals, kind="stable")]
        return [order[i : i + FORWARD_BATCH] for i in range(0, len(order), FORWARD_BATCH)]


def encode_prompt(tokenizer: Tokenizer, prompt: str, context_size: int) -> list[int]:
    """A user's message up to where the assistant begins to answer.

    Raises:
        UserError: if it leaves no room for an answer.
    """
    ids = encode_chat(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)
    if len(ids) >= context_size:
        raise UserError(
            f"a prompt of {len(ids)} tokens leaves no room for an answer in the context of {context_size}; "
            f"shorten it: {prompt[:40]!r}"
        )
    return ids


def sample_responses(
    model: GPT, prompts: Sequence[list[int]], max_new_tokens: int, temperature: float, seed: int
) -> Rollouts:
    """Sample one response to each prompt; a prompt that stands there twice gets two.

    Args:
        model: the policy.
        prompts: ids of each prompt, each shorter than the context.
        max_new_tokens: longest response; prompt and response together never exceed the context.
        temperature: of the sampling, above 0.
        seed: of the random numbers.
    """
    model.eval()
    responses: list[list[int]] = []
    for start in range(0, len(prompts), SAMPLING_BATCH):
        members = list(prompts[start : start + SAMPLING_BATCH])
        room = model.config.context_size - max(map(len, members))
        responses += generate_batch(
            model,
            members,
            min(max_new_tokens, room),
            temperature=temperature,
            stop_ids=END_IDS,
            seed=seed + start,
        )
    return Rollouts(prompts, responses)


# -- what a model says about each token ---------------------------------------------------------------------
def response_logprobs(model: GPT, rollouts: Rollouts, members: np.ndarray, temperature: float) -> Tensor:
    """log pi(token | all before it) of the members' response tokens, (n,).

    Only the positions that predict a response token go through the head: most of a batch is prompt and
    padding, and the logits are the largest array of all.
    """
    batch = rollouts.batch(members)
    hidden = model.hidden_states(batch.input_ids)  # (B, T, C)
    # embedding picks rows of a table, as getitem would, and its way back is a compiled kernel.
    predicting = ag.embedding(ag.reshape(hidden, shape=(-1, hidden.shape[-1])), batch.rows)  # (n, C)
    logits = ag.matmul(predicting, ag.transpose(model.transformer.wte.weight))  # (n, V)
    if temperature != 1:
        logits = logits / temperature
    return -ag.token_losses(logits, batch.tokens)


TokenFunction = Callable[[np.ndarray], Tensor]
"""Members (B,) of some rollouts -> a number for each of their response tokens (n,)."""
TokenLoss = Callable[[Tensor, np.ndarray], Tensor]
"""Numbers (n,) and where their tokens stand in the flat arrays (n,) -> loss of each token (n,)."""


def all_tokens(function: TokenFunction, rollouts: Rollouts) -> np.ndarray:
    """The function's numbers for every token of the rollouts, flat (N,), without a graph."""
    result = np.empty(int(rollouts.lengths.sum()), dtype=np.float32)
    with no_grad():
        for group in rollouts.similar_lengths(np.arange(len(rollouts))):
            result[rollouts.token_indices(group)] = function(group).data
    return result


def accumulate_gradients(
    function: TokenFunction, token_loss: TokenLoss, rollouts: Rollouts, members: np.ndarray
) -> tuple[float, np.ndarray]:
    """Backward through the mean of ``token_loss`` over the members' tokens, a group of similar lengths at a time.

    The minibatch stays random, only its passes are sorted: minibatches of equal lengths would be
    minibatches of equal kinds of task.

    Returns:
        the loss, and the function's numbers in the order of ``rollouts.token_indices(members)``.
    """
    count = int(rollouts.lengths[members].sum())
    loss, outputs = 0.0, np.empty(int(rollouts.lengths.sum()), dtype=np.float32)
    for group in rollouts.similar_lengths(members):
        tokens = rollouts.token_indices(group)
        values = function(group)
        share = token_loss(values, tokens).sum() / count
        share.backward()
        loss += share.item()
        outputs[tokens] = values.data
    return loss, outputs[rollouts.token_indices(members)]


# -- losses and estimators ----------------------------------------------------------------------------------
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


def kl_k1(log_ratio: np.ndarray) -> np.ndarray:
    """-log r: an unbiased estimate of KL(q || p) from tokens drawn from q, with log r = log p - log q.

    Schulman 2020, "Approximating KL Divergence". It may be negative for a token; summed over a response
    it estimates the divergence of the whole response.
    """
    return -log_ratio


def kl_k3(log_ratio: Tensor | np.ndarray) -> Tensor:
    """(r - 1) - log r: as :func:`kl_k1`, unbiased, never negative and of less variance (Schulman 2020)."""
    return ag.exp(log_ratio) - 1 - log_ratio


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


def update_policy(
    policy: GPT,
    optimizer: Optimizer,
    rollouts: Rollouts,
    members: np.ndarray,
    old_logprobs: np.ndarray,
    token_loss: TokenLoss,
    settings: RLHFConfig | RLVFConfig,
) -> PolicyUpdate:
    """One gradient step on the minibatch ``members``, unless the policy has already moved too far.

    Args:
        old_logprobs: (N,) flat, of the policy that sampled the rollouts.
        token_loss: from the present log-probabilities to the loss of each token.
        settings: clip_ratio, target_kl, temperature and max_grad_norm are read.
    """
    loss, logprobs = accumulate_gradients(
        lambda group: response_logprobs(policy, rollouts, group, settings.temperature), token_loss, rollouts, members
    )
    log_ratio = logprobs - old_logprobs[rollouts.token_indices(members)]
    approx_kl = float(kl_k3(log_ratio).data.mean())
    clip_fraction = float((np.abs(np.exp(log_ratio) - 1) > settings.clip_ratio).mean())
    applied = approx_kl <= settings.target_kl
    if applied:
        optimizer.step(settings.max_grad_norm)
    optimizer.zero_grad()
    return PolicyUpdate(loss, approx_kl, clip_fraction, applied)


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


def frozen_copy(model: GPT) -> GPT:
    """The model as it is now; what happens to the original does not touch it."""
    copy = GPT(model.config)
    copy.load_state_dict(model.state_dict())
    copy.eval()
    return copy
