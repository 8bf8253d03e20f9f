"""Which of two measurements is the better one, and whose weights a trainer keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scratchgpt.nn.modules import Linear
from scratchgpt.training.best import Goal
from scratchgpt.training.trainer import Trainer


@pytest.mark.parametrize(
    ("higher", "value", "than", "better"),
    [
        (False, 1.0, 2.0, True),
        (False, 2.0, 1.0, False),
        (True, 2.0, 1.0, True),
        (True, 1.0, 2.0, False),
        (False, 1.0, 1.0, False),
        (True, 1.0, 1.0, False),
        (False, 9.0, math.nan, True),  # any number is better than none
        (True, -9.0, -math.inf, True),
        (False, math.nan, 9.0, False),
        (False, -math.inf, 9.0, False),  # a loss of minus infinity is no good model
        (True, math.inf, 9.0, False),
        (False, math.nan, math.nan, False),
    ],
)
def test_better(higher: bool, value: float, than: float, better: bool) -> None:
    assert Goal("loss", higher).better(value, than) == better


class Worker(Trainer):
    """Two modules, of which the first is what it is for."""

    goal = Goal("accuracy", higher=True)

    def __init__(self) -> None:
        super().__init__()
        for key in ("policy", "value"):
            self.modules[key] = Linear(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))

    def set(self, value: float) -> None:
        for module in self.modules.values():
            for parameter in module.parameters():
                parameter.data[...] = value


def test_a_trainer_keeps_a_copy_of_the_weights_of_its_best_measurement() -> None:
    worker = Worker()
    for step, accuracy in enumerate([0.5, 0.75, 0.75, 0.25, math.nan]):
        worker.set(step)
        worker.compare(step, {"accuracy": accuracy, "loss": -step})
    worker.compare(9, {"loss": -9.0})  # says nothing of what counts
    assert worker.best is not None and (worker.best.step, worker.best.value) == (1, 0.75)
    assert worker.best.weights.keys() == {"weight", "bias"}
    assert all((array == 1).all() for array in worker.best.weights.values())
