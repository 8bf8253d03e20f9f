"""Many texts at once: rows join and leave a running batch, each with its own settings and random numbers.

    engine = Engine(model, max_rows=64)
    first = engine.submit(ids, SamplingConfig(temperature=0.8), max_new_tokens=100, seed=1)
    for token in first: ...          # whoever asks for a token drives the engine; all its rows get theirs

A step of the engine gives every row one token: rows that ended leave the batch, waiting ones take their places
(continuous batching: Yu et al. 2022, "Orca", section 3.1), the model reads what is new, and each row chooses. A row's
tokens are a function of the model, its prompt, settings and seed alone, whatever stands beside it and whenever it came
(but for the rounding of matrix products of another size, when the prompts of several are read together).

An :class:`Engine` belongs to the thread that drives it. :class:`EngineThread` is one that drives itself in a thread of
its own and takes prompts from any thread: what a server needs.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal, Self

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import RowSettings, SamplingConfig, penalize_repetition, sample_rows
from scratchgpt.inference.sequences import DecoderOf, Sequences, check_prompt, own_decoder
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.cache import packing_order

Seed = int | tuple[int, ...]
FinishReason = Literal["stop", "length", "cancelled", "error"]


class Completion:
    """The continuation of one prompt, as it grows. Iterating gives its tokens as they come.

    Made by :meth:`Engine.submit`.

    Attributes:
        prompt: the ids it goes on from.
        sampling: how its tokens are chosen.
        max_new_tokens: it ends here if nothing ended it before.
        stop_ids: tokens that end it.
        tokens: the new ids so far, with the stop token where one was reached.
        finish_reason: "stop" after a stop token, "length" after the most tokens, "cancelled", "error", or None: it
            goes on.
        error: what went wrong, raised when the tokens before it have been given.
    """

    def __init__(
        self,
        engine: Engine,
        prompt: Sequence[int],
        sampling: SamplingConfig,
        max_new_tokens: int,
        seed: Seed,
        stop_ids: Sequence[int],
    ) -> None:
        check_prompt(prompt, engine.model.config)
        if max_new_tokens < 1:
            raise UserError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
        if min(seed if isinstance(seed, tuple) else (seed,)) < 0:
            raise UserError(f"seed must not be negative, not {seed}")
        self.prompt = list(prompt)
        self.sampling = sampling
        self.max_new_tokens = max_new_tokens
        self.stop_ids = frozenset(stop_ids)
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.error: Exception | None = None
        self._engine = engine
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[int]:
        position = 0
        while True:
            finished = self.finished  # asked before the tokens are: in another thread the last one may come between
            while position < len(self.tokens):
                yield self.tokens[position]
                position += 1
            if self.error is not None:
                raise self.error
            if finished:
                return
            self._wait(position)

    @property
    def finished(self) -> bool:
        """Whether no more tokens will come."""
        return self.finish_reason is not None

    def cancel(self) -> None:
        """End it where it is; its place is free from the engine's next step on."""
        if not self.finished:
            self.finish_reason = "cancelled"

    def draw(self) -> float:
        """The next of its random numbers, in [0, 1)."""
        return self._rng.random()

    def take(self, token: int) -> None:
        """Grow by a token, unless it has ended."""
        if self.finished:
            return
        self.tokens.append(token)
        if token in self.stop_ids:
            self.finish_reason = "stop"
        elif len(self.tokens) == self.max_new_tokens:
            self.finish_reason = "length"

    def _wait(self, position: int) -> None:
        """Return when there are more tokens than ``position``, or it has ended."""
        if not self.finished:
            self._engine.step()


class Engine:
    """Continues many prompts together; see the module's text.

    The weights are those that the model has when the first row joins an empty batch. Packing them is the decoder's
    business, once for a version of the weights.

    Args:
        model: the model; its dropout takes no part.
        max_rows: the most rows that are written together; further ones wait.
        decoder_of: makes the model ready to generate.

    Raises:
        UserError: if ``max_rows`` is below 1.
    """

    def __init__(self, model: LanguageModel, max_rows: int = 64, decoder_of: DecoderOf = own_decoder) -> None:
        if max_rows < 1:
            raise UserError(f"the engine needs room for at least 1 row, not {max_rows}")
        self.model = model
        self.max_rows = max_rows
        self._sequences = Sequences(model, max_rows, decoder_of)
        self._waiting: deque[Completion] = deque()
        self._rows: list[Completion] = []  # row i is sequence i
        self._last_tokens = np.zeros(0, np.int64)  # the rows' last tokens, which the model has not read yet
        self._settings = RowSettings.of([])
        self._seen = np.zeros((0, 0), bool)  # (rows with a penalty, V): the tokens that the penalty is for
        self._penalized = np.zeros(0, np.int64)  # which rows these are
        self._penalties = np.zeros((0, 1))

    @property
    def busy(self) -> bool:
        """Whether there is a row that goes on, or one that waits."""
        return bool(self._waiting or self._rows)

    def submit(
        self,
        prompt: Sequence[int],
        sampling: SamplingConfig | None = None,
        max_new_tokens: int = 100,
        seed: Seed = 0,
        stop_ids: Sequence[int] = (),
    ) -> Completion:
        """Ask for the continuation of a prompt; it joins at the next step if there is room.

        Args:
            prompt: at least one id, and at most ``context_size``.
            sampling: how tokens are chosen. None: the defaults.
            max_new_tokens: the continuation ends here if no stop token ended it before; past the context it goes on
                with a sliding window.
            seed: of its random numbers, one for each token: the same seed gives the same tokens.
            stop_ids: tokens that end it.

        Raises:
            UserError: if an argument is out of range or the prompt does not fit.
        """
        completion = Completion(self, prompt, sampling or SamplingConfig(), max_new_tokens, seed, stop_ids)
        self.add(completion)
        return completion

    def add(self, completion: Completion) -> None:
        """Let a completion wait for its place, behind those that wait already."""
        self._waiting.append(completion)

    def step(self) -> None:
        """Give every row one more token; rows that wait join before, as far as there is room."""
        self._read_last_tokens()
        self._join_waiting()
        if not self._rows:
            return
        self._last_tokens = self._choose()
        for completion, token in zip(self._rows, self._last_tokens.tolist(), strict=True):
            completion.take(token)
        if all(completion.finished for completion in self._rows):
            self._leave()

    def drain(self) -> None:
        """Step until every completion has ended."""
        while self.busy:
            self.step()

    def _read_last_tokens(self) -> None:
        """Let rows that have ended leave, and the model read the others' last tokens."""
        goes_on = np.array([not completion.finished for completion in self._rows], bool)
        if not goes_on.any():
            self._leave()
            return
        order = packing_order(goes_on)
        self._sequences.advance(order, self._last_tokens[order])
        if len(order) < len(self._rows):
            self._set_rows([self._rows[i] for i in order])

    def _join_waiting(self) -> None:
        joining: list[Completion] = []
        while self._waiting and len(self._rows) + len(joining) < self.max_rows:
            completion = self._waiting.popleft()
            if not completion.finished:
                joining.append(completion)
        if joining:
            self._sequences.join([completion.prompt for completion in joining])
            self._set_rows([*self._rows, *joining])

    def _leave(self) -> None:
        """Drop all rows, and with them cache and weights."""
        if self._rows:
            self._sequences.clear()
            self._set_rows([])

    def _set_rows(self, rows: list[Completion]) -> None:
        self._rows = rows
        self._settings = RowSettings.of([completion.sampling for completion in rows])
        penalties = np.array([completion.sampling.repetition_penalty for completion in rows], np.float64)
        self._penalized = np.flatnonzero(penalties != 1)
        self._penalties = penalties[self._penalized, None]
        self._seen = np.zeros((len(self._penalized), self.model.config.vocab_size), bool)
        for seen, row in zip(self._seen, self._penalized, strict=True):
            if rows[row].sampling.penalize_prompt:
                seen[rows[row].prompt] = True
            seen[rows[row].tokens] = True

    def _choose(self) -> np.ndarray:
        """(B,) the next token of each row."""
        logits, penalized = self._sequences.logits, self._penalized
        if len(penalized):
            logits = logits.copy()
            logits[penalized] = penalize_repetition(logits[penalized], self._seen, self._penalties)
        uniforms = np.array([completion.draw() for completion in self._rows])
        tokens = sample_rows(logits, uniforms, self._settings)
        if len(penalized):
            self._seen[np.arange(len(penalized)), tokens[penalized]] = True
        return tokens


# -- an engine in a thread of its own -------------------------------------------------------------------------
class EngineThread:
    """An engine that drives itself in a thread of its own: any thread may submit, and iterate over what it gets.

    Close it, or use it in a ``with`` statement. Other threads may use the kernels meanwhile, on the same cores.

    Args:
        model: the model; its dropout takes no part.
        max_rows: the most rows that are written together; further ones wait.
    """

    def __init__(self, model: LanguageModel, max_rows: int = 64) -> None:
        self._engine = Engine(model, max_rows)
        self._inbox: queue.SimpleQueue[_AwaitedCompletion | None] = queue.SimpleQueue()
        self._open: list[_AwaitedCompletion] = []  # what the thread has taken over and has not ended
        self._lock = threading.Lock()  # held to submit and to close: nothing comes after the end
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="scratchgpt-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: Sequence[int],
        sampling: SamplingConfig | None = None,
        max_new_tokens: int = 100,
        seed: Seed = 0,
        stop_ids: Sequence[int] = (),
    ) -> Completion:
        """As :meth:`Engine.submit`; iterating waits for the tokens. What goes wrong in the engine is raised there.

        Raises:
            UserError: if an argument is out of range, the prompt does not fit, or the engine is closed.
        """
        sampling = sampling or SamplingConfig()
        completion = _AwaitedCompletion(self._engine, prompt, sampling, max_new_tokens, seed, stop_ids)
        with self._lock:
            if self._closed:
                raise UserError("the engine is closed: it takes no more prompts")
            self._inbox.put(completion)
        return completion

    def close(self) -> None:
        """Cancel what has not ended, and end the thread; waits until it has."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while self._take_over():
            try:
                self._engine.step()
            except Exception as error:  # whoever waits for a token hears of it; the next prompts get a new engine
                for completion in self._open:
                    completion.fail(error)
                self._engine = Engine(self._engine.model, self._engine.max_rows)
            self._open = [completion for completion in self._open if not completion.finished]
        for completion in self._open:
            completion.cancel()

    def _take_over(self) -> bool:
        """Add what was submitted, waiting for it if there is nothing else to do; False if this is the end."""
        while True:
            try:
                completion = self._inbox.get(block=not self._engine.busy)
            except queue.Empty:
                return True
            if completion is None:
                return False
            self._open.append(completion)
            self._engine.add(completion)


class _AwaitedCompletion(Completion):
    """A completion that one thread lets grow while others wait for its tokens."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._changed = threading.Condition()

    def cancel(self) -> None:
        with self._changed:
            super().cancel()
            self._changed.notify_all()

    def take(self, token: int) -> None:
        with self._changed:
            super().take(token)
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """End it by an error."""
        with self._changed:
            if not self.finished:
                self.error, self.finish_reason = error, "error"
            self._changed.notify_all()

    def _wait(self, position: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.finished or len(self.tokens) > position)
