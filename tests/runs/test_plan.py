"""A plan that cannot be run is refused when it is made, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.runs.plan import Plan
from scratchgpt.stages import stage_named
from scratchgpt.stages.presets import get_preset
from tests.tiny import save_checkpoint

OUT = Path("out")
MINI, YARDSTICK = get_preset("mini"), get_preset("shakespeare")
OWN_TEXT = DataSources(corpus=Path("play.txt"), running_text=True)


def test_the_seed_is_that_of_the_data() -> None:
    assert Plan(("sft",), MINI, OUT, data=DataSources(seed=5)).seed == 5


def test_a_base_is_not_what_the_first_stage_would_replace(tmp_path: Path) -> None:
    assert Plan(("sft", "reward"), MINI, OUT, base=Path("other")).base == Path("other")
    assert Plan(("sft",), MINI, OUT, base=OUT).base == OUT  # from the pretrained model there, as without a base
    for stages, stage in ((("pretrain", "sft"), None), (("sft",), "rlvf"), (("sft",), "sft")):
        with pytest.raises(UserError, match=r"would take the place of what that was made from.*--out"):
            Plan(stages, MINI, OUT, base=OUT, base_stage=stage)
        assert Plan(stages, MINI, OUT, base=Path("other"), base_stage=stage)
    with pytest.raises(UserError, match="--base other:reward: that model writes no text"):
        Plan(("sft",), MINI, OUT, base=Path("other"), base_stage="reward")


def test_where_the_first_stage_starts_with_a_base(tmp_path: Path) -> None:
    for stage in ("pretrain", "sft", "rlvf"):
        save_checkpoint(tmp_path, stage)
    starts = {
        (first, stage): Plan((first,), MINI, OUT, base=tmp_path, base_stage=stage).start_of(stage_named(first))
        for first in ("pretrain", "sft", "rlvf")
        for stage in (None, "rlvf", "rlhf")
    }
    assert starts["pretrain", None] == (tmp_path, "pretrain") and starts["sft", None] == (tmp_path, "pretrain")
    assert starts["rlvf", None] == (tmp_path, "sft")
    assert all(starts[first, "rlvf"] == (tmp_path, "rlvf") for first in ("pretrain", "sft", "rlvf"))
    assert all(starts[first, "rlhf"] is None for first in ("pretrain", "sft", "rlvf"))


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
