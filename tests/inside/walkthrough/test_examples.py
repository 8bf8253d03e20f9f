"""Which examples a walk through a stage takes, and what is said of one that is not there or does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.inside.walkthrough.examples import starting_with
from tests.inside.walkthrough.stage_walks import STAGES, pages

pytestmark = pytest.mark.usefixtures("quick")


def test_examples_from_a_number_on_have_different_prompts() -> None:
    records = [{"prompt": p} for p in "abacd"]
    assert starting_with(records, 2, 3) == [2, 3, 4]
    assert starting_with(records, 3, 9) == [3, 4, 0, 1]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("number", [-1, 100_000])
def test_an_example_that_does_not_exist(stage: str, number: int, small_data: DataSources) -> None:
    with pytest.raises(UserError, match=rf"--example {number}: the training data of \w+ holds the examples 0 to \d+"):
        pages(stage, example=number)


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_an_example_that_does_not_fit(stage: str, small_data: DataSources, finished_run: Path, monkeypatch) -> None:
    long = "山" * 70
    records = {
        "dialogues": [{"messages": [{"role": "user", "content": long}, {"role": "assistant", "content": long}]}],
        "pairs": [{"prompt": long, "chosen": "好", "rejected": "坏"}],
    }
    for name, data in records.items():
        monkeypatch.setattr(DataSources, name, lambda self, data=data: (data, data))
    with pytest.raises(UserError, match=r"--example 0: is \d+ tokens long, the model's context only 64"):
        pages(stage, checkpoint=finished_run)
