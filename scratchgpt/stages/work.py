"""How much there is to do in a stage, known before it begins: batches of one shape, and how many of them.

A stage counts them from its settings and its data (``Stage.work``); how long one takes on this machine is measured in
:mod:`scratchgpt.runs.expected_time`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scratchgpt.config import GPTConfig
from scratchgpt.datasets.records import Record
from scratchgpt.evaluation.answering import ANSWER_BATCH, encode_question
from scratchgpt.evaluation.measures import EVALUATION_BATCH
from scratchgpt.evaluation.reward_scores import SCORING_BATCH, encode_answer
from scratchgpt.tokenizer import Tokenizer, encode_chat_with_mask

SAMPLE = 200
"""Records that stand for all of their kind."""
LONGEST_ANSWER = 96
"""Tokens after which a model that has not learned to end is stopped."""


@dataclass(frozen=True)
class Piece:
    """One batch, and how often the like of it comes.

    Attributes:
        kind: "train" makes an update, "read" a forward pass, "write" generates.
        times: how often; a part of a batch is a part of one time.
        rows: sequences in the batch.
        length: tokens of each, of the prompt where it writes.
        answer: tokens of each that the head predicts, or that are written.
    """

    kind: Literal["train", "read", "write"]
    times: float
    rows: int
    length: int
    answer: int


@dataclass(frozen=True)
class Work:
    """What there is to do in a stage.

    Attributes:
        steps: of its trainer.
        pieces: batches of every shape.
    """

    steps: int
    pieces: list[Piece]


@dataclass(frozen=True)
class Lengths:
    """Tokens of some records.

    Attributes:
        prompt, answer: on average.
        longest: of prompt and answer together, by the share of the records that are no longer.
    """

    prompt: float
    answer: float
    longest: Callable[[float], float]

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]]) -> Lengths:
        """Of (prompt, answer) in tokens, record by record."""
        prompts, answers = zip(*pairs, strict=True) if pairs else ((1,), (1,))
        together = sorted(map(sum, zip(prompts, answers, strict=True)))

        def longest(share: float) -> float:
            return together[min(len(together) - 1, int(share * len(together)))]

        return cls(sum(prompts) / len(prompts), sum(answers) / len(answers), longest)


@dataclass(frozen=True)
class Outlook:
    """What is known of a stage before it begins.

    Attributes:
        config: sizes of the model.
        settings: the stage's own, of the class that it declares.
        settings_of: the settings of any stage, by its name.
        records: what the run's stages read, by the name of the method that reads it.
        tokenizer: of about the run's own kind: it tells how many tokens a text has.
        mix: the share of the project's data beside a user's own, as :class:`DataSources` has it.
        start: the stage whose model it starts from; None if that is not made yet.
    """

    config: GPTConfig
    settings: Any
    settings_of: Callable[[str], Any]
    records: Mapping[str, Any]
    tokenizer: Tokenizer
    mix: float = 0.0
    start: str | None = None

    def read_by(self, read: Callable[..., Any]) -> Any:
        """What that method read."""
        return self.records[read.__name__]

    def tokens(self, documents: Sequence[str]) -> int:
        """About how many tokens the documents have together, each closed by one."""
        if not documents:
            return 0
        beginnings = [document[:1000] for document in spread(documents)]
        share = sum(len(self.tokenizer.encode(text)) for text in beginnings) / max(1, sum(map(len, beginnings)))
        return int(share * sum(map(len, documents))) + len(documents)

    def dialogues(self, records: Sequence[Record]) -> Lengths:
        """Of the dialogues that fit the context: what is no target, and what is."""
        masks = [encode_chat_with_mask(self.tokenizer, record["messages"])[1] for record in spread(records)]
        fitting = [mask for mask in masks if len(mask) <= self.config.context_size + 1]
        return Lengths.of([(len(mask) - sum(mask), sum(mask)) for mask in fitting])

    def pairs(self, records: Sequence[Record]) -> Lengths:
        """Of the questions, and of both answers to each."""
        sides = [(record["prompt"], record[side]) for record in spread(records) for side in ("chosen", "rejected")]
        questions = [len(encode_question(self.tokenizer, prompt)) for prompt, _ in sides]
        whole = [len(encode_answer(self.tokenizer, *side)) for side in sides]
        return Lengths.of([(q, max(1, n - q)) for q, n in zip(questions, whole, strict=True)])

    def questions(self, prompts: Sequence[str]) -> float:
        """Tokens of a prompt on average."""
        lengths = [len(encode_question(self.tokenizer, prompt)) for prompt in spread(prompts)]
        return sum(lengths) / max(1, len(lengths))

    # -- pieces that several stages have ------------------------------------------------------------------------
    def writing(self, count: float, prompt: float, answer: float) -> Piece:
        """So many answers to prompts."""
        rows = max(1, min(ANSWER_BATCH, round(count)))
        return Piece("write", count / rows, rows, *self._fitting(prompt, answer))

    def reading(self, count: float, prompt: float, answer: float, batch: int = EVALUATION_BATCH) -> Piece:
        """So many sequences read, of which the head predicts the answers."""
        length, predicted = self._fitting(prompt, answer)
        return Piece("read", count / batch, batch, length + predicted, predicted)

    def scoring(self, count: float, prompt: float, answer: float) -> Piece:
        """So many sequences scored by a model that predicts no tokens."""
        length, scored = self._fitting(prompt, answer)
        return Piece("read", count / SCORING_BATCH, SCORING_BATCH, length + scored, 0)

    def _fitting(self, prompt: float, answer: float) -> tuple[int, int]:
        size = self.config.context_size
        written = max(1, min(round(answer), size - 1))
        return max(1, min(round(prompt), size - written)), written


def spread(items: Sequence[Any]) -> Sequence[Any]:
    """Some :data:`SAMPLE` of the items, evenly spread."""
    return items[:: max(1, len(items) // SAMPLE)]


def measurements(steps: int, every: int) -> int:
    """How often a stage of so many steps measures on its way: at first, every so many steps, and at last."""
    return steps // every + 1 + (steps % every > 0)


def longest_of(lengths: Lengths, rows: int) -> float:
    """How long the longest of so many sequences is, as a rule: to that length the others are filled up."""
    return lengths.longest(rows / (rows + 1))


def batches(count: float, rows: int) -> int:
    """In how many whole batches so many records go, at least one."""
    return max(1, math.floor(count / max(1, rows)))
