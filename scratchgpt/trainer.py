"""The one training loop: progress, log, evaluation, samples, interruption and resuming.

A stage says what one step is (:class:`StageRun`); the loop does everything around it. Because each step
takes its randomness from (seed, stage, step), an interrupted run needs only its weights, its optimizers'
moments and the number of the step to go on as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scratchgpt.checkpoint import full_disk_is_a_user_error, partial_file, read_arrays, write_arrays
from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Module
from scratchgpt.nn.optimizers import AdamW

Metrics = dict[str, float]


class StageRun:
    """One run of a stage: the state that is trained, and what a step, a measurement and a sample are.

    Attributes:
        name: the stage's name on the command line.
        total_steps: how many steps make the run.
        evaluate_every: steps between measurements.
        modules, optimizers: everything that has to be saved to resume, by name.
        fingerprint: the settings that must be the same when resuming.
    """

    name: str
    total_steps: int
    evaluate_every: int
    fingerprint: str = ""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        self.optimizers: dict[str, AdamW] = {}

    def step(self, index: int) -> Metrics:
        """Make one update. The result holds "tokens" (worked on) and whatever else is worth a log line."""
        raise NotImplementedError

    def evaluate(self) -> Metrics:
        """Measure on held-out data."""
        raise NotImplementedError

    def sample(self) -> str:
        """A line of what the model writes at this point."""
        raise NotImplementedError

    def train(self) -> list[Metrics]:
        """Make all steps, without log, progress bar or checkpoints; returns their metrics."""
        return [self.step(index) for index in range(self.total_steps)]

    def warning_signs(self, history: History) -> dict[str, str]:
        """What goes wrong in the run so far, a name and one line for each sign: nothing unless a stage looks."""
        return {}

    def extra_arrays(self) -> dict[str, np.ndarray]:
        """Further state to save: none unless a stage has some."""
        return {}

    def load_extra_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`extra_arrays` gave."""


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """Ctrl-C during a stage; its state is saved. ``stage`` and ``step`` say where."""

    def __init__(self, stage: str, step: int) -> None:
        super().__init__(f"{stage} stopped after step {step}")
        self.stage, self.step = stage, step


@dataclass
class History:
    """What a run left behind.

    Attributes:
        steps: one record a step; evaluations: one record a measurement, with "step".
        samples: (step, text) pairs.
        warnings: one record a warning sign, when it first showed, with "step", "sign" and "text".
        seconds: time of the training steps alone; tokens: what they worked on.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    tokens: float = 0.0

    def add(self, record: dict[str, Any]) -> None:
        """File one line of the log where it belongs."""
        if record["kind"] == "step":
            self.steps.append(record)
            self.seconds += record["seconds"]
            self.tokens += record["tokens"]
        elif record["kind"] == "evaluation":
            self.evaluations.append(record)
        elif record["kind"] == "warning":
            self.warnings.append(record)
        else:
            self.samples.append((record["step"], record["text"]))

    @property
    def tokens_per_second(self) -> float:
        """Tokens worked on per second of training."""
        return self.tokens / self.seconds if self.seconds else 0.0


def read_history(log: Path) -> History:
    """The history that a stage's log tells; empty if there is none."""
    history = History()
    if log.is_file():
        for line in log.read_text(encoding="utf-8").splitlines():
            history.add(json.loads(line))
    return history


def run_stage(
    run: StageRun, out: Path, console: Console, resume: bool = False, save_every_seconds: float = 60
) -> History:
    """Run (or go on with) a stage to its end.

    Writes ``<out>/logs/<stage>.jsonl`` as it goes and ``<out>/<stage>.partial.safetensors`` every
    ``save_every_seconds``; the caller saves the finished checkpoint and then removes the latter.

    Raises:
        Interrupted: after Ctrl-C, once the state is saved.
        UserError: if the state to resume from belongs to other settings, the run diverged, or the disk is full.
    """
    partial = partial_file(out, run.name)
    start = _load_partial(run, partial) if resume and partial.is_file() else 0
    log = out / "logs" / f"{run.name}.jsonl"
    history = _truncated_history(log, start)
    saved_at = time.monotonic()
    with full_disk_is_a_user_error(log), log.open("a", encoding="utf-8") as file, _stop_on_interrupt() as stop:
        if start == 0:
            _measure(run, 0, history, file, console)
        with _progress(run.name, console) as progress:
            bar = progress.add_task(run.name, total=run.total_steps, completed=start, status="")
            for index in range(start, run.total_steps):
                began = time.perf_counter()
                try:
                    metrics = run.step(index)
                except FloatingPointError as error:
                    raise UserError(f"{run.name}, step {index + 1}: {error}") from None
                metrics["seconds"] = time.perf_counter() - began
                _write(file, history, {"kind": "step", "step": index + 1, **metrics})
                progress.update(bar, advance=1, status=_status(metrics, history))
                done = index + 1
                if done % run.evaluate_every == 0 or done == run.total_steps:
                    _measure(run, done, history, file, console)
                _warn(run, done, history, file, console)
                if stop.requested and done < run.total_steps:
                    _save_partial(run, partial, done)
                    raise Interrupted(run.name, done)
                if time.monotonic() - saved_at > save_every_seconds:
                    _save_partial(run, partial, done)
                    saved_at = time.monotonic()
    return history


def _measure(run: StageRun, step: int, history: History, file: TextIO, console: Console) -> None:
    measured = run.evaluate()
    _write(file, history, {"kind": "evaluation", "step": step, **measured})
    text = run.sample()
    _write(file, history, {"kind": "sample", "step": step, "text": text})
    shown = {name: value for name, value in measured.items() if "/" not in name and name != "items"}
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    console.print(f"[bold]{run.name}[/] step {step}/{run.total_steps}  held out: {numbers}", highlight=False)
    console.print(f"    {text}", style="dim", markup=False, highlight=False)


def _warn(run: StageRun, step: int, history: History, file: TextIO, console: Console) -> None:
    """Say and log every warning sign that shows for the first time."""
    told = {warning["sign"] for warning in history.warnings}
    for sign, text in run.warning_signs(history).items():
        if sign not in told:
            _write(file, history, {"kind": "warning", "step": step, "sign": sign, "text": text})
            line = f"warning: {run.name} step {step}: {sign}: {text}"
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _write(file: TextIO, history: History, record: dict[str, Any]) -> None:
    record = {k: float(v) if isinstance(v, np.floating) else v for k, v in record.items()}
    history.add(record)
    file.write(json.dumps(record, ensure_ascii=False) + "\n")
    file.flush()


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


def _truncated_history(log: Path, steps: int) -> History:
    """The log's lines up to ``steps``; what an interrupted run wrote after its last save is dropped."""
    kept = History()
    lines = []
    if steps and log.is_file():
        for line in log.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["step"] <= steps:
                kept.add(record)
                lines.append(line + "\n")
    with full_disk_is_a_user_error(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(lines), encoding="utf-8")
    return kept


def _save_partial(run: StageRun, path: Path, step: int) -> None:
    arrays = {f"modules.{key}.{n}": p.data for key, module in run.modules.items() for n, p in module.named_parameters()}
    for key, optimizer in run.optimizers.items():
        arrays.update({f"optimizers.{key}.{n}": a for n, a in optimizer.state_arrays().items()})
    arrays.update({f"extra.{n}": a for n, a in run.extra_arrays().items()})
    write_arrays(path, arrays, {"step": str(step), "fingerprint": run.fingerprint})


def _load_partial(run: StageRun, path: Path) -> int:
    arrays, metadata = read_arrays(path)
    if metadata.get("fingerprint") != run.fingerprint:
        raise UserError(
            f"{path}: was made with other settings; resume with the flags it was started with, "
            "or leave out --resume to start the stage anew"
        )

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}

    for key, module in run.modules.items():
        module.load_state_dict(below(f"modules.{key}."))
    for key, optimizer in run.optimizers.items():
        optimizer.load_state_arrays(below(f"optimizers.{key}."))
    run.load_extra_arrays(below("extra."))
    return int(metadata["step"])


def total_steps(epochs: float, steps_per_epoch: int) -> int:
    """Steps that make ``epochs`` passes over the data, at least one."""
    return max(1, math.ceil(epochs * steps_per_epoch))


def language_model_step(model: GPT, optimizer: AdamW, batch: TokenBatch, lr: float, max_grad_norm: float) -> Metrics:
    """Forward, backward, clip, update: one step of next-token training."""
    model.train()
    loss = model.loss(batch.input_ids, batch.targets)
    loss.backward()
    optimizer.lr = lr
    norm = optimizer.step(max_grad_norm)
    optimizer.zero_grad()
    return {"loss": loss.item(), "grad_norm": norm, "lr": lr, "tokens": float(batch.tokens)}
