"""The one training loop: progress, log, evaluation, samples, interruption and resuming.

A stage's trainer says what one step is (:class:`Trainer`); the loop does everything around it. Because each step
takes its randomness from (seed, stage, step), a trainer that was interrupted needs only its weights, its optimizers'
moments and the number of the step to go on as if nothing had happened.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scratchgpt import signals
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.training.history import History, Log, Metrics
from scratchgpt.training.state import load_state, save_state
from scratchgpt.training.trainer import Trainer


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
        UserError: if the state to resume from or the log is damaged, or the state belongs to other settings, training
            diverged, or the disk is full.
    """
    start = load_state(trainer, partial) if resume and partial.is_file() else 0
    with Log(log_file, start) as log, signals.noticed() as notice:
        for note in log.history.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        saver = _Saver(trainer, partial, save_every_seconds, notice)
        if start == 0:
            saver.save(0)  # in place of an earlier run's, which a resumed one would take for its own
        _look(trainer, start, log, console)
        saver.stop_if_asked(start)
        with _progress(trainer.name, console) as progress:
            bar = progress.add_task(trainer.name, total=trainer.total_steps, completed=start, status="")
            for index in range(start, trainer.total_steps):
                began = time.perf_counter()
                try:
                    metrics = trainer.step(index)
                except FloatingPointError as error:
                    raise UserError(f"{trainer.name}, step {index + 1}: {error}") from None
                metrics["seconds"] = time.perf_counter() - began
                done = index + 1
                log.write({"kind": "step", "step": done, **metrics})
                progress.update(bar, advance=1, status=_status(metrics, log.history))
                saver.save_if_due(done)
                saver.stop_if_asked(done)
                _look(trainer, done, log, console)
                saver.stop_if_asked(done)
    return log.history


class _Saver:
    """Saves the state now and then, after the last step, and where a signal asks to stop."""

    def __init__(self, trainer: Trainer, partial: Path, every_seconds: float, notice: signals.Notice) -> None:
        self.trainer, self.partial, self.every_seconds, self.notice = trainer, partial, every_seconds, notice
        self.saved_at = time.monotonic()

    def save(self, done: int) -> None:
        save_state(self.trainer, self.partial, done)
        self.saved_at = time.monotonic()

    def save_if_due(self, done: int) -> None:
        """The last step is saved in any case: what comes after it is measured for minutes."""
        late = time.monotonic() - self.saved_at > self.every_seconds
        if done == self.trainer.total_steps or self.trainer.world.any(late):
            self.save(done)

    def stop_if_asked(self, done: int) -> None:
        if self.trainer.world.any(self.notice.number is not None):
            self.save(done)
            raise Interrupted(self.trainer.name, done, self.notice.number or signal.SIGINT)


def _look(trainer: Trainer, step: int, log: Log, console: Console) -> None:
    """Measure if it is time to, and warn. The state may have been saved before: what is in the log is not repeated."""
    if step % trainer.evaluate_every == 0 or step == trainer.total_steps:
        _measure(trainer, step, log, console)
    if step:
        _warn(trainer, step, log, console)


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
    console.print(f"    {text}", style="dim", markup=False, highlight=False)


def _warn(trainer: Trainer, step: int, log: Log, console: Console) -> None:
    """Say and log every warning sign that shows for the first time."""
    told = {warning["sign"] for warning in log.history.warnings}
    for sign, text in trainer.warning_signs(log.history).items():
        if sign not in told:
            log.write({"kind": "warning", "step": step, "sign": sign, "text": text})
            line = f"warning: {trainer.name} step {step}: {sign}: {text}"
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _status(metrics: Metrics, history: History) -> str:
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
