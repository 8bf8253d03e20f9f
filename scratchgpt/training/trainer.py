"""What a trainer is: the object that runs a stage."""

from __future__ import annotations

import math

import numpy as np

from scratchgpt.nn.modules import Module
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.training.best import Best, Goal
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.world import ALONE, World


class Trainer:
    """What runs a stage: it holds the state that is trained, and says what a step, a measurement and a sample are.

    Attributes:
        name: the stage's name on the command line.
        total_steps: how many steps the stage takes.
        evaluate_every: steps between measurements.
        goal: by which quantity its measurements are compared.
        modules, optimizers: everything that has to be saved to resume, by name; the first module is what the stage is
            for, what it trains beside it serves the training alone.
        fingerprint: the settings that must be the same when resuming.
        world: the processes that run the stage together; alone unless it is set.
        lr_scale: what every learning rate is multiplied by, see :meth:`scale_learning_rates`.
        best: the best measurement so far, see :meth:`compare`; None if nothing was measured yet.
    """

    name: str
    total_steps: int
    evaluate_every: int
    goal: Goal = Goal("loss")
    fingerprint: str = ""
    world: World = ALONE
    lr_scale: float = 1.0
    best: Best | None = None

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}

    def step(self, index: int) -> Metrics:
        """Make one update. The result holds "tokens" (worked on) and whatever else is worth a log line.

        Raises:
            FloatingPointError: if a loss or a gradient is not finite; the update that it belongs to is not made.
        """
        raise NotImplementedError

    def scale_learning_rates(self, lr_scale: float) -> None:
        """Multiply all learning rates to come by ``lr_scale``, whatever the schedules say."""
        self.lr_scale = lr_scale
        for optimizer in self.optimizers.values():
            optimizer.lr_scale = lr_scale

    def evaluate(self) -> Metrics:
        """Measure on held-out data."""
        raise NotImplementedError

    def compare(self, step: int, measured: Metrics) -> None:
        """Keep a copy of the weights as they are if a measurement of them is the best so far.

        Args:
            step: how many steps were made.
            measured: what :meth:`evaluate` returned.
        """
        value = float(measured.get(self.goal.name, math.nan))
        if self.goal.better(value, math.nan if self.best is None else self.best.value):
            self.best = Best(step, value, self.product())

    def product(self) -> dict[str, np.ndarray]:
        """Copies of the weights of what the stage is for, by name."""
        return {name: array for module in [*self.modules.values()][:1] for name, array in module.state_dict().items()}

    def sample(self) -> str:
        """A line of what the model writes at this point."""
        raise NotImplementedError

    def train(self) -> list[Metrics]:
        """Make all steps, without log, progress bar or checkpoints; returns their metrics."""
        return [self.step(index) for index in range(self.total_steps)]

    def warning_signs(self, history: History) -> dict[str, str]:
        """What has gone wrong so far, a name and one line for each sign: nothing unless a trainer looks."""
        return {}

    def extra_arrays(self) -> dict[str, np.ndarray]:
        """Further state to save: none unless a trainer has some."""
        return {}

    def load_extra_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`extra_arrays` gave."""
