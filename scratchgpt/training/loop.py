"""The one training loop: progress, log, evaluation, samples, interruption and resuming.

A stage's trainer says what one step is (:class:`Trainer`); the loop does everything around it. Because each step
takes its randomness from (seed, stage, step), a trainer that was interrupted needs only its weights, its optimizers'
moments and the number of the step to go on as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scratchgpt import signals
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.terminal import telling, visible
from scratchgpt.training.history import History, Log
from scratchgpt.training.state import load_state, save_state
from scratchgpt.training.trainer import Trainer

WIDE = 100
"""Columns of a terminal that has room for all of the progress bar."""
PATIENCE = 5
"""Steps in a row whose loss or gradient is not finite, after which the run goes back to the last good state."""


def run_trainer(
    trainer: Trainer,
    log_file: Path,
    partial: Path,
    console: Console,
    resume: bool = False,
    save_every_seconds: float = 60,
    early_stop: int | None = None,
) -> History:
    """Make (or go on with) all steps of a trainer, and keep the weights of its best measurement (``trainer.best``).

    Args:
        trainer: whose steps.
        log_file: written as it goes, one record a line.
        partial: the unfinished state, written at first, every ``save_every_seconds`` and after the last step, before
            that is measured; the caller saves the finished checkpoint and then removes it.
        console: what is said goes there.
        resume: go on from the partial state, if there is one.
        save_every_seconds: seconds between two saves.
        early_stop: end after so many measurements in a row that were no better than the best before them; None: make
            all steps.

    Returns:
        What the log says, that of the steps before an interruption included.

    Raises:
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP, once the state is saved.
        UserError: if the state to resume from or the log is damaged, or the state belongs to other settings, the disk
            is full, or training diverged: after :data:`PATIENCE` skipped steps in a row the run goes back to the saved
            state with half the learning rate, after as many once more it ends.
    """
    start = load_state(trainer, partial) if resume and partial.is_file() else None
    with Log(log_file, start) as log, signals.noticed() as notice:
        run = _Run(trainer, log, partial, console, save_every_seconds, notice)
        for note in log.history.notes:
            run.say(f"note: {note}")
        if start is None:
            run.save(0)  # in place of an earlier run's, which a resumed one would take for its own
        done = start or 0
        run.look(done)
        run.stop_if_asked(done)
        with _progress(run, done) as shown:
            while done < trainer.total_steps and not run.is_past_its_best(done, early_stop):
                done = run.step(done)
                shown(done)
                run.save_if_due(done)
                run.stop_if_asked(done)
                run.look(done)
                run.stop_if_asked(done)
        if done < trainer.total_steps:
            run.end_early(done)
    run.stop_if_asked(done)  # what came after the last look was noted too, and from here on nothing is noted
    return log.history


@dataclass
class _Run:
    """A trainer at work: its steps, and what happens around each of them."""

    trainer: Trainer
    log: Log
    partial: Path
    console: Console
    save_every_seconds: float
    notice: signals.Notice
    saved_at: float = field(default_factory=time.monotonic)
    skipped_in_a_row: int = 0
    doing: str = ""
    """What it does beside making steps, in words."""

    def step(self, done: int) -> int:
        """Make the step after ``done`` of them; returns how many are made then, fewer where the run goes back."""
        began = time.perf_counter()
        try:
            metrics = self.trainer.step(done)
        except FloatingPointError as error:
            return self._skip(done + 1, error)
        metrics["seconds"] = time.perf_counter() - began
        self.log.write({"kind": "step", "step": done + 1, **metrics})
        self.skipped_in_a_row = 0
        return done + 1

    def _skip(self, done: int, error: FloatingPointError) -> int:
        """A step that is not made. Several in a row are no accident: the run goes back, once."""
        self.skipped_in_a_row += 1
        self.log.write({"kind": "skipped", "step": done, "text": str(error)})
        self.say(f"{self.trainer.name} step {done} is skipped: {error}")
        if self.skipped_in_a_row < min(PATIENCE, self.trainer.total_steps):
            return done
        skipped = f"{self.skipped_in_a_row} steps in a row were skipped"
        if self.trainer.lr_scale < 1:
            raise UserError(f"{self.trainer.name}, step {done}: {skipped}, at half the learning rate too: {error}")
        good = load_state(self.trainer, self.partial)
        self.trainer.scale_learning_rates(0.5)
        self.save(good)
        self.log.cut(good)
        self.skipped_in_a_row = 0
        self.warn(good, "diverged", f"{skipped} up to step {done}: back to step {good}, with half the learning rate")
        return good

    def save(self, done: int) -> None:
        save_state(self.trainer, self.partial, done)
        self.saved_at = time.monotonic()

    def save_if_due(self, done: int) -> None:
        """Not between skipped steps: what is saved may be what the run goes back to.

        The last step is saved in any case: what comes after it is measured for minutes.
        """
        late = not self.skipped_in_a_row and time.monotonic() - self.saved_at > self.save_every_seconds
        if done == self.trainer.total_steps or self.trainer.world.any(late):
            self.save(done)

    def stop_if_asked(self, done: int) -> None:
        if self.trainer.world.any(self.notice.number is not None):
            self.save(done)
            raise Interrupted(self.trainer.name, done, self.notice.number or signal.SIGINT)

    def look(self, done: int) -> None:
        """Measure if it is time to, and see what has gone wrong. What the log has already is not repeated."""
        if done % self.trainer.evaluate_every == 0 or done == self.trainer.total_steps:
            self.doing = "measuring"
            _measure(self.trainer, done, self.log, self.console)
            self.doing = ""
            # A resumed run finds the measurement in the log, and its weights are those that were measured.
            for measured in self.log.history.evaluations[-1:]:
                if measured["step"] == done:
                    self.trainer.compare(done, measured)
        if done:
            told = {warning["sign"] for warning in self.log.history.warnings}
            for sign, text in self.trainer.warning_signs(self.log.history).items():
                if sign not in told:
                    self.warn(done, sign, text)

    def is_past_its_best(self, done: int, early_stop: int | None) -> bool:
        """Whether the last ``early_stop`` measurements were no better than the best, however often it was resumed."""
        best, every = self.trainer.best, self.trainer.evaluate_every
        past = early_stop is not None and best is not None and done // every - best.step // every >= early_stop
        return self.trainer.world.any(past)

    def end_early(self, done: int) -> None:
        """Save, since what comes now is measured for minutes, and say why the other steps are not made."""
        self.save(done)
        best, goal = self.trainer.best, self.trainer.goal.name
        if best is not None and not self.log.history.stopped:
            left = f"{self.trainer.total_steps - done} of {self.trainer.total_steps} steps are left out"
            text = f"{goal} was {best.value:.4g} at step {best.step} and has not been better since; {left}"
            self.log.write({"kind": "stopped", "step": done, "text": text})
            self.say(f"{self.trainer.name} is stopped early at step {done}: {text}")

    def warn(self, done: int, sign: str, text: str) -> None:
        self.log.write({"kind": "warning", "step": done, "sign": sign, "text": text})
        self.say(f"warning: {self.trainer.name} step {done}: {sign}: {text}")

    def say(self, line: str) -> None:
        self.console.print(visible(line), style="yellow", markup=False, highlight=False, soft_wrap=True)


def _measure(trainer: Trainer, step: int, log: Log, console: Console) -> None:
    if log.history.samples and log.history.samples[-1][0] == step:
        return
    measured = trainer.evaluate()
    text = trainer.sample()
    if not log.history.evaluations or log.history.evaluations[-1]["step"] != step:
        log.write({"kind": "evaluation", "step": step, **measured})
    log.write({"kind": "sample", "step": step, "text": text})
    shown = {name: value for name, value in measured.items() if "/" not in name and name != "items"}
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    line = f"[bold]{trainer.name}[/] step {step}/{trainer.total_steps}  held out: {numbers}"
    console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    console.print(f"    {visible(text)}", style="dim", markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _status(history: History) -> str:
    if not history.steps:
        return ""
    metrics = history.steps[-1]
    shown = [f"{name.split('/')[-1]} {metrics[name]:.3f}" for name in ("loss", "reward", "accuracy") if name in metrics]
    return "  ".join([*shown, f"{history.tokens_per_second:,.0f} tokens/s"])


@contextlib.contextmanager
def _progress(run: _Run, done: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a plain line now and then in a log; yields the function that hears of every step."""
    trainer, history, console = run.trainer, run.log.history, run.console
    if not console.is_terminal:
        began, first, state = time.monotonic(), done, [done]

        def line() -> str:
            made = state[0]
            text = f"{trainer.name} {made}/{trainer.total_steps}  {run.doing or _status(history)}".rstrip()
            if made == first or run.doing:
                return text
            left = (time.monotonic() - began) / (made - first) * (trainer.total_steps - made)
            return f"{text}  {time_text(left)} left"

        with telling(console, line):
            yield lambda made: state.__setitem__(0, made)
        return
    with Progress(*_columns(console.width), console=console) as progress:
        bar = progress.add_task(trainer.name, total=trainer.total_steps, completed=done, status="")
        yield lambda made: progress.update(bar, completed=made, status=_status(history))


def _columns(width: int) -> list[ProgressColumn]:
    """The parts of the bar that a terminal of that width has room for; what is left goes first."""
    columns: list[ProgressColumn] = [TextColumn("[bold]{task.description}"), MofNCompleteColumn()]
    if width >= WIDE:
        columns[1:1] = [BarColumn(bar_width=24)]
        columns += [TextColumn("{task.fields[status]}"), TimeElapsedColumn()]
    return [*columns, TextColumn("left"), TimeRemainingColumn()]


def time_text(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
