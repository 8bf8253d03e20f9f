"""What watching costs: a training step with nobody watching, with the hooks taken out, and with the recorder on.

    python bench/recorder.py [--pairs 20] [--threads 2] [--json out.json]

"No hooks" is the engine as if nobody could ever watch: operations call their functions at once, and a module
its `forward`. A ratio of 1 means that the hooks cost nothing; what lies within the middle half of the pairs is noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from common import Comparison, comparison_table, interleave, machine_line, seconds_of, write_json
from rich.console import Console

from scratchgpt import autograd, kernels
from scratchgpt.autograd import OPERATIONS, layers, tensor
from scratchgpt.config import get_mini_config
from scratchgpt.inside.recorder import Recording, record
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Module
from scratchgpt.nn.optimizers import AdamW

WORK = {"3 tokens": (1, 3), "1,024 tokens": (4, 256)}
"""Batch and length of a step: a short sentence, where the engine's own share is largest, and a small batch."""


def bare(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The operation without the question how operations are run."""
    (this,) = (cell.cell_contents for cell in operation.__closure__ or ())
    return lambda *arguments, **settings: tensor.run_operation(this, arguments, settings)


@contextmanager
def hooks_taken_out() -> Iterator[None]:
    """The engine as if there were no `watch`."""
    operations, call = dict(OPERATIONS), Module.__call__
    places = [(module, name) for module in (autograd, layers) for name in operations if hasattr(module, name)]
    try:
        for name, operation in operations.items():
            OPERATIONS[name] = bare(operation)
        for module, name in places:
            setattr(module, name, OPERATIONS[name])
        Module.__call__ = lambda self, *args, **kwargs: self.forward(*args, **kwargs)  # type: ignore[method-assign]
        yield
    finally:
        OPERATIONS.update(operations)
        for module, name in places:
            setattr(module, name, operations[name])
        Module.__call__ = call  # type: ignore[method-assign]


class Step:
    """One training step of the mini model, forward, backward and update."""

    def __init__(self, batch: int, length: int) -> None:
        config = get_mini_config()
        self.model = GPT(config)
        self.optimizer = AdamW(self.model.named_parameters())
        self.ids = np.random.default_rng(0).integers(0, config.vocab_size, (batch, length))

    def __call__(self) -> None:
        """The step itself."""
        self.model.loss(self.ids, self.ids).backward()
        self.optimizer.step(1.0)
        self.optimizer.zero_grad()

    def recorded(self) -> Recording:
        """The same with everything written down."""
        with record(self.model) as recording:
            self()
        return recording

    def unhooked(self) -> float:
        """Seconds of a step with the hooks taken out."""
        with hooks_taken_out():
            return seconds_of(self)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--budget", type=float, default=20, help="seconds for each comparison")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json")
    flags = parser.parse_args()
    if flags.threads:
        kernels.set_threads(flags.threads)
    comparisons = []
    for label, shape in WORK.items():
        step = Step(*shape)
        peers = {"no hooks": step.unhooked, "recorded": lambda step=step: seconds_of(step.recorded)}
        for peer, theirs in peers.items():
            # The amount is a step: the speeds in the table are steps a second.
            comparison = Comparison(label, label, peer, 1.0, "steps/s")
            comparisons.append(
                interleave(lambda step=step: seconds_of(step), theirs, comparison, flags.pairs, flags.budget)
            )
    console = Console()
    console.print(machine_line(kernels.num_threads()), highlight=False)
    console.print(comparison_table("a training step with nobody watching (ours)", comparisons))
    recording = Step(1, 3).recorded()
    hidden = sum(len(s.hidden()) + len(s.hidden_backward()) for s in recording.steps)
    names = f"{len(recording.steps)} operations forward, {len(recording.backward)} back, {hidden} hidden steps"
    console.print(f"a recording of the mini model names {names}", highlight=False)
    if flags.json:
        write_json(flags.json, comparisons)


if __name__ == "__main__":
    main()
