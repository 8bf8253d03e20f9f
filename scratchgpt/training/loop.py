"""The one training loop: progress, log, evaluation, samples, interruption and resuming.

A stage's trainer says what one step is (:class:`Trainer`); the loop does everything around it. Because each step
takes its randomness from (seed, stage, step), a trainer that was interrupted needs only its weights, its optimizers'
moments and the number of the step to go on as if nothing had happened.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
        partial: the unfinished state, written every ``save_every_seconds``; the caller saves the finished checkpoint
            and then removes it.
        console: what is said goes there.
        resume: go on from the partial state, if there is one.
        save_every_seconds: seconds between two saves.

    Returns:
        What the log says, that of the steps before an interruption included.

    Raises:
        Interrupted: after Ctrl-C, once the state is saved.
        UserError: if the state to resume from belongs to other settings, training diverged, or the disk is full.
    """
    start = load_state(trainer, partial) if resume and partial.is_file() else 0
    saved_at = time.monotonic()
    with Log(log_file, start) as log, _stop_on_interrupt() as stop:
        for note in log.history.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        if start == 0:
            _measure(trainer, 0, log, console)
        with _progress(trainer.name, console) as progress:
            bar = progress.add_task(trainer.name, total=trainer.total_steps, completed=start, status="")
            for index in range(start, trainer.total_steps):
                began = time.perf_counter()
                try:
                    metrics = trainer.step(index)
                except FloatingPointError as error:
                    raise UserError(f"{trainer.name}, step {index + 1}: {error}") from None
                metrics["seconds"] = time.perf_counter() - began
                log.write({"kind": "step", "step": index + 1, **metrics})
                progress.update(bar, advance=1, status=_status(metrics, log.history))
                done = index + 1
                if done % trainer.evaluate_every == 0 or done == trainer.total_steps:
                    _measure(trainer, done, log, console)
                _warn(trainer, done, log, console)
                if trainer.world.any(stop.requested) and done < trainer.total_steps:
                    save_state(trainer, partial, done)
                    raise Interrupted(trainer.name, done)
                if trainer.world.any(time.monotonic() - saved_at > save_every_seconds):
                    save_state(trainer, partial, done)
                    saved_at = time.monotonic()
    return log.history


def _measure(trainer: Trainer, step: int, log: Log, console: Console) -> None:
    measured = trainer.evaluate()
    log.write({"kind": "evaluation", "step": step, **measured})
    text = trainer.sample()
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


@dataclass
class _Stop:
    requested: bool = False


@contextmanager
def _stop_on_interrupt() -> Iterator[_Stop]:
    """The first Ctrl-C asks to stop after the step at hand, a second one stops at once."""
    stop = _Stop()

    def handler(signum: int, frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: Ctrl-C does not arrive here
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
