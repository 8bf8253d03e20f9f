"""A plan that cannot be run is refused when it is made, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.runs.plan import Plan
from scratchgpt.stages.presets import get_preset

OUT = Path("out")
MINI, YARDSTICK = get_preset("mini"), get_preset("shakespeare")
OWN_TEXT = DataSources(corpus=Path("play.txt"), running_text=True)


def test_the_seed_is_that_of_the_data() -> None:
    assert Plan(("sft",), MINI, OUT, data=DataSources(seed=5)).seed == 5


def test_a_base_is_for_a_stage_that_starts_from_another() -> None:
    assert Plan(("sft", "reward"), MINI, OUT, base=Path("other")).base == Path("other")
    with pytest.raises(UserError, match="pretraining starts from nothing; leave out --base, or add --skip-pretrain"):
        Plan(("pretrain", "sft"), MINI, OUT, base=Path("other"))


@pytest.mark.parametrize("early_stop", [0, -3])
def test_a_stage_cannot_end_before_a_measurement(early_stop: int) -> None:
    assert Plan(("sft",), MINI, OUT, early_stop=1).early_stop == 1
    with pytest.raises(UserError, match=f"--early-stop must be at least 1 measurement, not {early_stop}"):
        Plan(("sft",), MINI, OUT, early_stop=early_stop)


@pytest.mark.parametrize(
    ("stages", "data"),
    [
        (("pretrain", "sft"), OWN_TEXT),
        (("sft",), OWN_TEXT),
        (("pretrain",), DataSources(running_text=True)),
    ],
)
def test_a_yardstick_is_for_pretraining_alone_on_a_text_of_ones_own(
    stages: tuple[str, ...], data: DataSources
) -> None:
    with pytest.raises(UserError, match="run it with --stage pretrain --corpus FILE"):
        Plan(stages, YARDSTICK, OUT, data=data)
    assert Plan(("pretrain",), YARDSTICK, OUT, data=OWN_TEXT).stages == ("pretrain",)
    assert Plan(stages, MINI, OUT, data=data).stages == stages
