"""What a trainer is, where a stage says nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.training.history import History, Metrics
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.world import ALONE


class Counting(Trainer):
    """Its step counts."""

    name, total_steps, evaluate_every = "counting", 3, 1

    def step(self, index: int) -> Metrics:
        return {"tokens": float(index)}


def test_training_makes_all_steps_in_order() -> None:
    assert Counting().train() == [{"tokens": 0.0}, {"tokens": 1.0}, {"tokens": 2.0}]


def test_a_bare_trainer_is_alone_has_nothing_to_save_and_sees_no_signs() -> None:
    trainer = Counting()
    assert trainer.world is ALONE and trainer.fingerprint == ""
    assert trainer.modules == trainer.optimizers == trainer.extra_arrays() == {}
    assert trainer.warning_signs(History(steps=[{"reward": 1.0}])) == {}
    trainer.load_extra_arrays({"x": np.zeros(1)})
    assert Counting().modules is not trainer.modules


def test_what_a_stage_must_say() -> None:
    for method in (lambda: Trainer().step(0), Trainer().evaluate, Trainer().sample):
        with pytest.raises(NotImplementedError):
            method()
