"""The one training loop: progress, log, evaluation, samples, interruption and resuming.

A stage's trainer says what one step is (:class:`Trainer`); the loop does everything around it. Because each step
takes its randomness from (seed, stage, step), a trainer that was interrupted needs only its weights, its optimizers'
moments and the number of the step to go on as if nothing had happened.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scratchgpt import signals
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.terminal import visible
from scratchgpt.training.history import History, Log
from scratchgpt.training.state import load_state, save_state
from scratchgpt.training.trainer import Trainer

PATIENCE = 5
"""Steps in a row whose loss or gradient is not finite, after which the run goes back to the last good state."""


def run_trainer(
    trainer: Trainer,
    log_file: Path,
    partial: Path,
    console: Console,
    resume: bool = False,
    save_every_seconds: float = 60,
) -> History:
    """Make (or go on with) all steps of a trainer.

    Args:
        trainer: whose steps.
        log_file: written as it goes, one record a line.
        partial: the unfinished state, written at first, every ``save_every_seconds`` and after the last step, before
            that is measured; the caller saves the finished checkpoint and then removes it.
        console: what is said goes there.
        resume: go on from the partial state, if there is one.
        save_every_seconds: seconds between two saves.

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
        with _progress(trainer.name, console) as progress:
            bar = progress.add_task(trainer.name, total=trainer.total_steps, completed=done, status="")
            while done < trainer.total_steps:
                done = run.step(done)
                progress.update(bar, completed=done, status=_status(log.history))
                run.save_if_due(done)
                run.stop_if_asked(done)
                run.look(done)
                run.stop_if_asked(done)
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
            _measure(self.trainer, done, self.log, self.console)
        if done:
            told = {warning["sign"] for warning in self.log.history.warnings}
            for sign, text in self.trainer.warning_signs(self.log.history).items():
                if sign not in told:
                    self.warn(done, sign, text)

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
    console.print(f"[bold]{trainer.name}[/] step {step}/{trainer.total_steps}  held out: {numbers}", highlight=False)
    console.print(f"    {visible(text)}", style="dim", markup=False, highlight=False)


def _status(history: History) -> str:
    if not history.steps:
        return ""
    metrics = history.steps[-1]
    shown = [f"{name.split('/')[-1]} {metrics[name]:.3f}" for name in ("loss", "reward", "accuracy") if name in metrics]
    return "  ".join([*shown, f"{history.tokens_per_second:,.0f} tokens/s"])


def _progress(name: str, console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
