"""Responses sampled to prompts, and what a model says of each of their tokens.

A policy is measured by what it writes, and reinforcement learning trains it on what it wrote: both begin here, which
is why this lies with the measures, below the stages. A quantity per token is one flat array (N,): the tokens of all
responses, one response after the other. There is no padding in it, so a mean over it is the mean over response tokens
and nothing needs a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.datasets.records import Record, place_of
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer, written_text
from scratchgpt.inference.engine import Engine
from scratchgpt.inference.sampling import SamplingConfig, row_seed
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.modules import Module
from scratchgpt.tokenizer import END_IDS, Tokenizer, encode_chat

SAMPLING_BATCH = 128
"""Responses sampled together."""
FORWARD_BATCH = 16
"""Responses in one pass through a model, similar lengths together: little padding, and few logits at a time."""


def that_leave_room(
    records: Sequence[Record], tokenizer: Tokenizer, context_size: int, strict: bool = False
) -> list[Record]:
    """The records whose prompt leaves room for an answer in the context.

    Args:
        records: with ``prompt``.
        tokenizer: made for the model's vocabulary.
        context_size: of the model, in tokens.
        strict: refuse a record whose prompt does not, rather than leave it out.

    Raises:
        UserError: if none does, or if strict and one does not.
    """
    fitting = []
    for record in records:
        try:
            encode_prompt(tokenizer, record["prompt"], context_size)
        except UserError as error:
            if strict or len(records) == 1:
                raise UserError(f"{place_of(record)}: {error}") from None
        else:
            fitting.append(record)
    if records and not fitting:
        which = f"{place_of(records[0])}: none of the {len(records)} prompts"
        raise UserError(f"{which} leaves room for an answer in the context of {context_size} tokens; shorten them")
    return fitting


def too_long_in_words(
    kinds: Mapping[str, Sequence[Record]], tokenizer: Tokenizer, context_size: int, strict: bool
) -> str:
    """Which prompts leave no room for an answer; empty if all do. A stage's :attr:`Stage.lengths` says so.

    Args:
        kinds: records with ``prompt``, by what they are in words.
        tokenizer, context_size, strict: as of :func:`that_leave_room`.

    Raises:
        UserError: as :func:`that_leave_room`.
    """
    return " and ".join(
        f"the prompts of {count:,} of {len(records):,} {kind} leave no room for an answer in {context_size} tokens"
        for kind, records in kinds.items()
        if (count := len(records) - len(that_leave_room(records, tokenizer, context_size, strict)))
    )


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
        prompts, responses: R lists of ids each; no response is empty (R may be 0).

    Attributes:
        lengths: (R,) tokens of each response.
        finished: (R,) bool, whether the response ended its turn.
    """

    def __init__(self, prompts: Sequence[list[int]], responses: Sequence[list[int]]) -> None:
        self.prompts, self.responses = list(prompts), list(responses)
        self.lengths = np.array([len(response) for response in self.responses], dtype=np.int64)
        self.finished = np.array([response[-1] in END_IDS for response in self.responses], dtype=bool)
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
        return written_text(tokenizer, ids[:-1] if self.finished[member] else ids).strip()

    def answers(self, tokenizer: Tokenizer) -> list[Answer]:
        """What the responses say, and whether they ended their turn."""
        return [Answer(self.text(tokenizer, i), bool(self.finished[i])) for i in range(len(self))]

    def select(self, members: np.ndarray) -> Rollouts:
        """The rollouts with these numbers."""
        return Rollouts([self.prompts[i] for i in members], [self.responses[i] for i in members])

    def token_indices(self, members: np.ndarray) -> np.ndarray:
        """Where the members' tokens stand in a flat per-token array, response after response."""
        return np.concatenate([np.arange(self._ends[i] - self.lengths[i], self._ends[i]) for i in members])

    def split(self, per_token: np.ndarray) -> list[np.ndarray]:
        """(N,) -> R arrays: the numbers of each response's tokens."""
        return np.split(per_token, self._ends[:-1])

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
    model: LanguageModel, prompts: Sequence[list[int]], max_new_tokens: int, temperature: float, seed: int
) -> Rollouts:
    """Sample one response to each prompt; a prompt that stands there twice gets two.

    Args:
        model: the policy.
        prompts: ids of each prompt, each shorter than the context.
        max_new_tokens: longest response; no prompt and its own response together exceed the context.
        temperature: of the sampling, above 0.
        seed: of the random numbers.
    """
    sampling, context_size = SamplingConfig(temperature), model.config.context_size
    responses: list[list[int]] = []
    for start in range(0, len(prompts), SAMPLING_BATCH):
        members = prompts[start : start + SAMPLING_BATCH]
        engine = Engine(model, len(members))
        # The room is a row's own: a long prompt beside it cuts no answer short.
        completions = [
            engine.submit(
                prompt, sampling, min(max_new_tokens, context_size - len(prompt)), row_seed(seed + start, row), END_IDS
            )
            for row, prompt in enumerate(members)
        ]
        engine.drain()
        responses += [completion.tokens for completion in completions]
    return Rollouts(prompts, responses)


# -- what a model says about each token ---------------------------------------------------------------------
@contextmanager
def without_dropout(model: Module) -> Iterator[None]:
    """Dropout is off inside, and afterwards as it was: for probabilities that are those of the sampling."""
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def response_logprobs(model: LanguageModel, rollouts: Rollouts, members: np.ndarray, temperature: float) -> Tensor:
    """log pi(token | all before it) of the members' response tokens, (n,), without dropout.

    Only the positions that predict a response token go through the head: most of a batch is prompt and
    padding, and the logits are the largest array of all.
    """
    batch = rollouts.batch(members)
    with without_dropout(model):
        hidden = model.hidden_states(batch.input_ids)  # (B, T, C)
    # embedding picks rows of a table, as getitem would, and its way back is a compiled kernel.
    predicting = ag.embedding(ag.reshape(hidden, shape=(-1, hidden.shape[-1])), batch.rows)  # (n, C)
    logits = model.head(predicting)  # (n, V)
    if temperature != 1:
        logits = logits / temperature
    return -ag.token_losses(logits, batch.tokens)


TokenFunction = Callable[[np.ndarray], Tensor]
"""Members (B,) of some rollouts -> a number for each of their response tokens (n,)."""


def all_tokens(function: TokenFunction, rollouts: Rollouts) -> np.ndarray:
    """The function's numbers for every token of the rollouts, flat (N,), without a graph."""
    result = np.empty(int(rollouts.lengths.sum()), dtype=np.float32)
    with no_grad():
        for group in rollouts.similar_lengths(np.arange(len(rollouts))):
            result[rollouts.token_indices(group)] = function(group).data
    return result


def token_logprobs(model: LanguageModel, rollouts: Rollouts, temperature: float) -> np.ndarray:
    """log pi(token | all before it) of every response token, flat (N,), without a graph."""
    return all_tokens(lambda group: response_logprobs(model, rollouts, group, temperature), rollouts)
