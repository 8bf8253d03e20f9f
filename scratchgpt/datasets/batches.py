"""Records -> token batches.

A batch is a function of the step's number, the seed and the data, nothing else: to resume a run at step n
is to ask for batch n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt.autograd import IGNORE_INDEX
from scratchgpt.datasets.records import Record, place_of
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import EOS_ID, PAD_ID, Tokenizer, encode_chat_with_mask


@dataclass(frozen=True)
class TokenBatch:
    """What one step reads.

    Attributes:
        input_ids: (B, T) int64.
        targets: (B, T) int64, the token after each; one of -100 takes no part in the loss.
    """

    input_ids: np.ndarray
    targets: np.ndarray

    @property
    def tokens(self) -> int:
        """How many tokens go through the model, padding among them."""
        return self.input_ids.size


def encode_documents(documents: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """All documents as one stream, each closed by <EOS>.

    Returns:
        (N,) int32.
    """
    stream: list[int] = []
    for document in documents:
        stream += tokenizer.encode(document)
        stream.append(EOS_ID)
    return np.array(stream, dtype=np.int32)


class TextWindows:
    """Windows of ``context_size`` tokens from one stream, each once an epoch in random order.

    Every epoch cuts the stream at another offset, so a window is never quite the same twice.

    Args:
        stream: (N,) ids, as of :func:`encode_documents`.
        context_size: T, tokens in a window.
        batch_size: B, windows in a batch; fewer if there are not so many.
        seed: of the order and the offsets.

    Attributes:
        num_windows: windows in an epoch.
        steps_per_epoch: whole batches in an epoch.

    Raises:
        UserError: if the stream does not fill two windows.
    """

    def __init__(self, stream: np.ndarray, context_size: int, batch_size: int, seed: int) -> None:
        self.stream, self.context_size, self.seed = stream, context_size, seed
        windows = (len(stream) - 1) // context_size - 1  # one window less leaves room for the offset
        if windows < 1:
            raise UserError(
                f"the text is too short: {len(stream)} tokens do not fill two windows of {context_size}; "
                "add text or lower context_size"
            )
        self.num_windows = windows
        self.batch_size = min(batch_size, windows)
        self.steps_per_epoch = windows // self.batch_size

    def batch(self, step: int) -> TokenBatch:
        """The batch of a step, counted from 0: (B, T)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        rng = np.random.default_rng((self.seed, epoch))
        offset = int(rng.integers(self.context_size))
        chosen = rng.permutation(self.num_windows)[position * self.batch_size : (position + 1) * self.batch_size]
        rows = offset + chosen[:, None] * self.context_size + np.arange(self.context_size + 1)
        ids = self.stream[rows].astype(np.int64)
        return TokenBatch(ids[:, :-1], ids[:, 1:])


def heldout_windows(stream: np.ndarray, context_size: int, batch_size: int) -> Iterator[TokenBatch]:
    """The whole stream once, in order, in windows that do not overlap; every token but the first is a target.

    Args:
        stream: (N,) ids.
        context_size: T, tokens in a window; the last one is padded.
        batch_size: windows in a batch at most.
    """
    count = math.ceil((len(stream) - 1) / context_size)
    padded = np.full(count * context_size + 1, PAD_ID, dtype=np.int64)
    padded[: len(stream)] = stream
    inputs, targets = padded[:-1].reshape(count, -1), padded[1:].reshape(count, -1).copy()
    targets.reshape(-1)[len(stream) - 1 :] = IGNORE_INDEX
    for start in range(0, count, batch_size):
        yield TokenBatch(inputs[start : start + batch_size], targets[start : start + batch_size])


def pad_sequences(sequences: Sequence[Sequence[int]], value: int = PAD_ID) -> np.ndarray:
    """Sequences as one array, filled up on the right.

    Args:
        sequences: B lists of ids.
        value: what fills them up.

    Returns:
        (B, longest) int64.
    """
    padded = np.full((len(sequences), max(map(len, sequences))), value, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def _weights(records: Sequence[Record]) -> np.ndarray:
    """(N,) how often an epoch shows each of the dialogues."""
    return np.array([int(record.get("weight", 1)) for record in records], dtype=np.int64)


class DialogueBatches:
    """Dialogues of similar length together, padded; the loss is on the assistant's tokens.

    A record with ``weight`` w is shown w times an epoch. Others can be mixed in, drawn anew every epoch: what a model
    knows already is kept by showing it much of that a little, better than by showing a little of it often.

    Args:
        records: dialogues, as of :func:`scratchgpt.datasets.records.read_dialogues`.
        tokenizer: what encodes them.
        context_size: tokens of the longest that is taken.
        batch_size: dialogues in a batch; fewer if there are not so many.
        seed: of the order.
        kind: what an error calls the records.
        mixed_in: other dialogues, of which each is drawn as often as its weight says.
        mix: the share of them in what an epoch shows.
        strict: refuse a dialogue that does not fit the context, rather than leave it out.

    Attributes:
        records: the dialogues taken.
        sequences: (ids int32, mask bool) of each of them, both (T,), then of those mixed in.
        too_long: how many were left out because they do not fit the context.
        drawn: how many others an epoch shows.
        steps_per_epoch: whole batches in an epoch.

    Raises:
        UserError: if no dialogue fits the context, or if strict and one does not.
    """

    POOL_BATCHES = 50  # sorting by length inside pools keeps padding low and the order random

    def __init__(
        self,
        records: Sequence[Record],
        tokenizer: Tokenizer,
        context_size: int,
        batch_size: int,
        seed: int,
        kind: str = "dialogues",
        mixed_in: Sequence[Record] = (),
        mix: float = 0.0,
        strict: bool = False,
    ) -> None:
        self.seed = seed
        self.sequences: list[tuple[np.ndarray, np.ndarray]] = []
        self.records = self._take(records, tokenizer, context_size, strict)
        self.too_long = len(records) - len(self.records)
        if not self.records:
            raise UserError(
                f"none of the {len(records)} {kind} fits the context of {context_size} tokens; "
                "give shorter ones, or train with a larger --context-size"
            )
        self.shown = np.repeat(np.arange(len(self.records)), _weights(self.records))
        others = self._take(mixed_in, tokenizer, context_size)
        self._others = np.arange(len(self.records), len(self.sequences))
        self._shares = _weights(others) / max(1, _weights(others).sum())
        self.drawn = round(len(self.shown) * mix / (1 - mix)) if others else 0
        self.batch_size = min(batch_size, len(self.shown) + self.drawn)
        self.steps_per_epoch = (len(self.shown) + self.drawn) // self.batch_size
        self._epoch = -1
        self._order: list[np.ndarray] = []

    def _take(
        self, records: Sequence[Record], tokenizer: Tokenizer, context_size: int, strict: bool = False
    ) -> list[Record]:
        """Encode those of the records that fit the context, and return these."""
        taken = []
        for record in records:
            ids, mask = encode_chat_with_mask(tokenizer, record["messages"])
            if len(ids) <= context_size + 1:
                taken.append(record)
                self.sequences.append((np.array(ids, dtype=np.int32), np.array(mask, dtype=bool)))
            elif strict:
                raise UserError(
                    f"{place_of(record)}: the dialogue has {len(ids)} tokens, more than the context of {context_size}; "
                    "shorten it (--strict refuses it)"
                )
        return taken

    def batch(self, step: int) -> TokenBatch:
        """The batch of a step, counted from 0: (B, longest in the batch - 1)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._epoch_order(epoch)
        return self._collate(self._order[position])

    def all_batches(self) -> Iterator[TokenBatch]:
        """Every dialogue once, shortest first: for evaluation."""
        order = np.argsort([len(ids) for ids, _ in self.sequences], kind="stable")
        for start in range(0, len(order), self.batch_size):
            yield self._collate(order[start : start + self.batch_size])

    def _epoch_order(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng((self.seed, epoch))
        shown = self.shown
        if self.drawn:
            often = self.drawn > len(self._others)
            shown = np.concatenate([shown, rng.choice(self._others, self.drawn, replace=often, p=self._shares)])
        order = rng.permutation(shown)[: self.steps_per_epoch * self.batch_size]
        lengths = np.array([len(ids) for ids, _ in self.sequences])
        batches: list[np.ndarray] = []
        pool = self.POOL_BATCHES * self.batch_size
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += np.split(part, len(part) // self.batch_size)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _collate(self, members: np.ndarray) -> TokenBatch:
        ids = pad_sequences([self.sequences[i][0] for i in members])
        mask = pad_sequences([self.sequences[i][1] for i in members], 0).astype(bool)
        targets = np.where(mask, ids, IGNORE_INDEX)[:, 1:]
        return TokenBatch(ids[:, :-1], targets)
