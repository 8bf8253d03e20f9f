"""How long a run will take on this machine: what there is to do, times what a little of it takes now.

Each stage counts its batches (``Stage.work``). One batch of every shape is made here with a model of the run's sizes
that is thrown away: updates, forward passes and generating, as the stages make them. No random number of the run is
drawn, and nothing is written. Tokens are counted by a tokenizer made of a sample of the texts, since that of the run
does not exist yet; how long answers become nobody knows, so they are taken to be as long as those in the data.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from scratchgpt.autograd import IGNORE_INDEX, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.measures import summed_loss
from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.architectures import read_config
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.runs.plan import MAX_TOKEN_LENGTH, Plan
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.run_folder import is_finished, log_file, partial_file, stage_directory
from scratchgpt.stages.stage import Stage
from scratchgpt.stages.work import Outlook, Piece
from scratchgpt.terminal import waiting
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer, Tokenizer, load_tokenizer, render_chat
from scratchgpt.training.history import read_history
from scratchgpt.training.update import Loss, language_model_step, update

SHORT_RUN = "tiny"
"""The preset that one may take instead."""
LONG_RUN = 120
"""Seconds of a run beyond which that is worth saying."""
WORTH = 20
"""How many times the work of measuring the run must be."""
SAMPLE_CHARACTERS = 300_000
"""Of the texts, from which the tokenizer is made that tells how many tokens they have."""
REPEATS = 2
"""Each batch is made so often, and the shortest time counts: the first one also warms up."""
FURTHER = 8
"""Tokens written beyond the first one to see what each takes."""
ROUNDED = 16
"""Lengths are measured in multiples of so many tokens, so that stages of nearly one shape share a measurement."""

Measure = Callable[[GPTConfig, Piece], float]
"""Seconds of one batch of a piece, on a model of these sizes."""


# -- what is expected ------------------------------------------------------------------------------------------
def say_expected_time(plan: Plan, records: Mapping[str, Any], console: Console, measure: Measure | None = None) -> None:
    """Print how long the run will take, stage by stage, and what the short preset would take instead.

    Nothing is said of a run that is over before one has read it.

    Args:
        plan: of the run.
        records: what its stages read, by the name of the method that reads it.
        console: the line goes there.
        measure: how long a batch takes; by default it is tried.
    """
    measure = measure or Stopwatch().seconds
    with waiting(console, "measuring how fast this machine is"):
        config, left = work_left(plan, records)
        if not _is_worth_measuring(left):
            return
        expected = _seconds(config, left, measure)
        short, instead = replace(plan, preset=get_preset(SHORT_RUN), resume=False), None
        from_nothing = plan.stages == tuple(stage.name for stage in ALL) and not plan.resume
        if from_nothing and plan.preset.model != short.preset.model and sum(expected.values()) > LONG_RUN:
            instead = sum(expected_seconds(short, records, measure).values())
    console.print(line_of(expected, instead), highlight=False, soft_wrap=True)


def _is_worth_measuring(left: Mapping[str, list[Piece]]) -> bool:
    """Whether the work is much more than what is done to measure it."""
    pieces = [piece for stage in left.values() for piece in stage]
    tried = REPEATS * sum(piece.rows * piece.length for piece in pieces)
    return sum(piece.times * piece.rows * piece.length for piece in pieces) > WORTH * tried


def line_of(expected: Mapping[str, float], instead: float | None = None) -> str:
    """The seconds of each stage, and those of the short preset, in words."""
    stages = ", ".join(f"{name} {_minutes(seconds)}" for name, seconds in expected.items())
    line = f"about {_minutes(sum(expected.values()))} min in all on this machine: {stages}"
    return line if instead is None else f"{line}; --preset {SHORT_RUN} would take about {_minutes(instead)}"


def expected_seconds(plan: Plan, records: Mapping[str, Any], measure: Measure) -> dict[str, float]:
    """Seconds of each stage of the plan that is not finished, by its name; of an unfinished one, what is left."""
    return _seconds(*work_left(plan, records), measure)


def _seconds(config: GPTConfig, left: Mapping[str, list[Piece]], measure: Measure) -> dict[str, float]:
    return {name: sum(piece.times * measure(config, piece) for piece in pieces) for name, pieces in left.items()}


def work_left(plan: Plan, records: Mapping[str, Any]) -> tuple[GPTConfig, dict[str, list[Piece]]]:
    """The sizes of the model, and what is to be done in each stage that is not finished, by its name."""
    config, tokenizer = _sizes_and_tokenizer(plan, records)
    left = {}
    for stage in map(stage_named, plan.stages):
        if not _is_finished(plan, stage):
            settings, start = plan.preset.of(stage.name), plan.start_of(stage)
            outlook = Outlook(
                config, settings, plan.preset.of, records, tokenizer, plan.data.mix, start[1] if start else None
            )
            work = stage.work(outlook)
            share = max(0.0, 1 - _steps_made(plan, stage) / work.steps)
            left[stage.name] = [replace(piece, times=share * piece.times) for piece in work.pieces if piece.times]
    return config, left


def _is_finished(plan: Plan, stage: Stage) -> bool:
    """Whether a resumed run passes over the stage."""
    return plan.resume and is_finished(plan.out, stage.name) and not partial_file(plan.out, stage.name).is_file()


def _steps_made(plan: Plan, stage: Stage) -> int:
    """How many steps of the stage an interrupted run has made, as far as its log tells."""
    if not plan.resume or not partial_file(plan.out, stage.name).is_file():
        return 0
    with contextlib.suppress(UserError):  # whoever goes on from it will say so
        return max((step["step"] for step in read_history(log_file(plan.out, stage.name)).steps), default=0)
    return 0


def _sizes_and_tokenizer(plan: Plan, records: Mapping[str, Any]) -> tuple[GPTConfig, Tokenizer]:
    """Those of the checkpoint that the first stage starts from, or such as the run will make."""
    if start := plan.start_of(stage_named(plan.stages[0])):
        directory = stage_directory(*start)
        return read_config(directory), load_tokenizer(directory)
    texts = spread_texts(records)
    tokenizer: BPETokenizer | CharTokenizer
    if plan.tokenizer == "char":
        tokenizer = CharTokenizer()
        tokenizer.build_vocab(texts)
        return replace(plan.preset.model, vocab_size=tokenizer.vocab_size), tokenizer
    tokenizer = BPETokenizer(plan.preset.model.vocab_size, MAX_TOKEN_LENGTH)
    tokenizer.fit(texts)
    return plan.preset.model, tokenizer


def spread_texts(records: Mapping[str, Any]) -> list[str]:
    """Some of the texts that a tokenizer would be made of."""
    documents = records.get(DataSources.documents.__name__, ([], []))[0]
    dialogues = records.get(DataSources.dialogues.__name__, ([], []))[0]
    texts = [*documents, *(render_chat(record["messages"]) for record in dialogues)]
    every = max(1, sum(map(len, texts)) // SAMPLE_CHARACTERS)
    return texts[::every] or ["?"]


def _minutes(seconds: float) -> str:
    """In whole minutes from one minute on, below in tenths."""
    minutes = seconds / 60
    return f"{minutes:.0f}" if minutes >= 1 else f"{minutes:.1f}"


# -- what it takes here -------------------------------------------------------------------------------------------
class Stopwatch:
    """Makes batches with a throw-away model and takes the time.

    Args:
        clock: what time it is, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._known: dict[tuple[GPTConfig, Piece], float] = {}
        self._models: dict[GPTConfig, tuple[GPT, AdamW]] = {}

    def seconds(self, config: GPTConfig, piece: Piece) -> float:
        """Of one batch of the piece, on a model of these sizes."""
        if piece.kind != "write":
            length = min(config.context_size, -(-piece.length // ROUNDED) * ROUNDED)
            return self._shortest(config, replace(piece, length=length)) * piece.length / length
        # The prompts are read and a first token is written; every further one takes the same time.
        most = config.context_size - FURTHER - 1
        first = replace(piece, length=max(1, min(most, -(-piece.length // ROUNDED) * ROUNDED)), answer=1)
        one = self._shortest(config, first)
        more = self._shortest(config, replace(first, answer=1 + FURTHER))
        return one + (piece.answer - 1) * max(0.0, more - one) / FURTHER

    def _shortest(self, config: GPTConfig, piece: Piece) -> float:
        key = config, replace(piece, times=1)
        if key not in self._known:
            batch = self._batch(config, piece)
            self._known[key] = min(self._time(batch) for _ in range(REPEATS))
        return self._known[key]

    def _time(self, batch: Callable[[], object]) -> float:
        began = self.clock()
        batch()
        return self.clock() - began

    def _batch(self, config: GPTConfig, piece: Piece) -> Callable[[], object]:
        model, optimizer = self._model(config)
        rng = np.random.default_rng(0)
        ids = rng.integers(config.vocab_size, size=(piece.rows, piece.length))
        if piece.kind == "write":
            return lambda: generate_batch(model, ids.tolist(), piece.answer)
        targets = np.full_like(ids, IGNORE_INDEX)
        targets[:, piece.length - piece.answer :] = ids[:, piece.length - piece.answer :]
        batch = TokenBatch(ids, targets)
        if piece.kind == "read":
            return lambda: summed_loss(model, [batch]) if piece.answer else _read(model, ids)
        if piece.answer:
            return lambda: language_model_step(model, optimizer, batch, 1e-5, 1.0)
        return lambda: update(optimizer, Loss.of_mean(model.hidden_states(ids).mean(), 1), 1.0)

    def _model(self, config: GPTConfig) -> tuple[GPT, AdamW]:
        if config not in self._models:
            model = GPT(config, 0)
            self._models = {config: (model, AdamW(model.named_parameters(), 1e-5))}  # one at a time: memory
        return self._models[config]


def _read(model: GPT, ids: np.ndarray) -> None:
    model.eval()
    with no_grad():
        model.hidden_states(ids)
