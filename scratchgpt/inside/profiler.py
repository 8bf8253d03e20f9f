"""Where the time of a training step goes: ``train.py --profile``.

The engine is watched for a few steps (``autograd.watch``), the optimizers' steps are timed, and what is left of
the step is the engine itself: batches, the graph, the sums of gradients, Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from rich import box
from rich.table import Table

from scratchgpt.autograd import Tensor
from scratchgpt.autograd.watch import Call, Observer, watch
from scratchgpt.errors import UserError
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.training.trainer import Trainer

WARM_UP = 3
"""Steps before the measured ones: the first compiles the kernels, the next fill the caches."""
STEPS = 10
"""Measured steps, unless the caller says otherwise."""


@dataclass
class Work:
    """What one operation (at one place of the model) took in all measured steps.

    Attributes:
        calls: uses in the forward pass.
        forward, backward: seconds in the operation and in its vector-Jacobian product.
    """

    calls: int = 0
    forward: float = 0.0
    backward: float = 0.0

    @property
    def seconds(self) -> float:
        """Of both passes together."""
        return self.forward + self.backward


@dataclass
class Profile(Observer):
    """The times of some training steps.

    Attributes:
        operations: by name of the operation, then by place: the path of its module with ``*`` for the number of
            a layer, so that the layers are added up.
        steps: seconds of each step.
        optimizer: seconds in the optimizers (clipping and update) in all steps.
        tokens: number of tokens worked on in all steps.
    """

    operations: dict[str, dict[str, Work]] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list)
    optimizer: float = 0.0
    tokens: float = 0.0

    def after_forward(
        self, call: Call, arguments: tuple[Any, ...], output: Tensor, started: float, ended: float
    ) -> None:
        """Add up one use of an operation."""
        work = self._work(call)
        work.calls += 1
        work.forward += ended - started

    def after_backward(self, call: Call, gradient: Any, gradients: Any, started: float, ended: float) -> None:
        """Add up the backward pass of one use."""
        self._work(call).backward += ended - started

    def _work(self, call: Call) -> Work:
        place = re.sub(r"(?<=\.)\d+(?=\.|$)", "*", call.module)
        return self.operations.setdefault(call.operation, {}).setdefault(place, Work())

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return sum(self.steps)

    @property
    def rest(self) -> float:
        """Seconds of the steps outside of all operations and of the optimizers."""
        inside = sum(work.seconds for places in self.operations.values() for work in places.values())
        return self.seconds - self.optimizer - inside

    @property
    def tokens_per_second(self) -> float:
        """Tokens worked on per second."""
        return self.tokens / self.seconds


def profile_steps(trainer: Trainer, steps: int = STEPS, warm_up: int = WARM_UP) -> Profile:
    """Measure some steps of a trainer; it trains as it would unmeasured.

    Args:
        trainer: of any stage, before its first step.
        steps: to measure.
        warm_up: steps before them, not measured.

    Raises:
        UserError: if the training diverges.
    """
    profile = Profile()
    named = [pair for module in trainer.modules.values() for pair in module.named_modules()]
    try:
        for index in range(warm_up):
            trainer.step(index)
        with watch(profile, named), _timed(trainer.optimizers.values()) as spent:
            for index in range(warm_up, warm_up + steps):
                started = perf_counter()
                metrics = trainer.step(index)
                profile.steps.append(perf_counter() - started)
                profile.tokens += metrics["tokens"]
    except FloatingPointError as error:
        raise UserError(f"{trainer.name}: {error}") from None
    profile.optimizer = sum(spent)
    return profile


@contextmanager
def _timed(optimizers: Iterable[Optimizer]) -> Iterator[list[float]]:
    """The seconds of each ``step`` of the optimizers inside the block."""
    spent: list[float] = []

    def timed(step: Callable[..., float]) -> Callable[..., float]:
        def stopwatch(*args: Any, **kwargs: Any) -> float:
            started = perf_counter()
            result = step(*args, **kwargs)
            spent.append(perf_counter() - started)
            return result

        return stopwatch

    optimizers = list(optimizers)
    for optimizer in optimizers:
        optimizer.step = timed(optimizer.step)  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        for optimizer in optimizers:
            del optimizer.step  # the class's own appears again


def profile_table(profile: Profile, title: str) -> Table:
    """The profile as a table, in milliseconds a step.

    Returns:
        a row for every operation, the slowest first; below it one for each place, where it has several.
    """
    count = len(profile.steps)
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.caption = (
        f"Means of {count} steps of {1e3 * min(profile.steps):.1f} to {1e3 * max(profile.steps):.1f} ms. "
        "Engine and rest: making the batch, the graph, adding up gradients, Python, and this measurement."
    )
    table.add_column("operation", no_wrap=True)
    for head in ("calls\na step", "forward\nms", "backward\nms", "both\nms", "share"):
        table.add_column(head, justify="right", no_wrap=True)

    def add(label: str, calls: str, parts: tuple[float, ...], seconds: float, style: str = "") -> None:
        milliseconds = [f"{1e3 * part / count:.2f}" for part in parts] or ["", ""]
        share = f"{seconds / profile.seconds:.1%}"
        table.add_row(label, calls, *milliseconds, f"{1e3 * seconds / count:.2f}", share, style=style)

    def add_work(label: str, work: Work, style: str = "") -> None:
        add(label, f"{work.calls / count:g}", (work.forward, work.backward), work.seconds, style)

    totals = {name: _total(places.values()) for name, places in profile.operations.items()}
    for name, total in sorted(totals.items(), key=lambda row: -row[1].seconds):
        add_work(name, total)
        places = profile.operations[name]
        if len(places) > 1:
            for place, work in sorted(places.items(), key=lambda row: -row[1].seconds):
                add_work(f"  {place or 'outside of all modules'}", work, style="dim")
    table.add_section()
    add("clip and update", "", (), profile.optimizer)
    add("engine and rest", "", (), profile.rest)
    table.add_section()
    add(f"step: {profile.tokens_per_second:,.0f} tokens/s", "", (), profile.seconds, style="bold")
    return table


def _total(works: Iterable[Work]) -> Work:
    total = Work()
    for work in works:
        total.calls += work.calls
        total.forward += work.forward
        total.backward += work.backward
    return total
