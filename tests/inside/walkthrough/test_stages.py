"""The walk through a stage: its numbers are those that the stage's own code computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from tests.inside.walkthrough.printing import printed
from tests.inside.walkthrough.stage_walks import STAGES, pages
from tests.tiny import files_in, save_checkpoint

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("language", "width"), [("zh", 80), ("en", 120)])
def test_every_stage_on_a_finished_run(stage, language, width, small_data: DataSources, finished_run: Path) -> None:
    before = files_in(finished_run)
    text = printed(pages(stage, checkpoint=finished_run, lang=language, example=3), language, width)
    assert len(re.findall(rf"^\d+/{STAGES[stage]}  ", text, re.MULTILINE)) == STAGES[stage]
    assert "scratchgpt/stages/" in text or stage == "sft"
    assert "nan" not in text and "{" not in text
    assert files_in(finished_run) == before


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_on_a_fresh_model(stage: str, small_data: DataSources) -> None:
    assert "新建的小模型" in printed(pages(stage)).replace("\n", "")


def test_another_name_of_ppo(small_data: DataSources) -> None:
    assert printed(pages("rlhf")) == printed(pages("ppo"))


# -- mistakes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stage", "place"), [("sft", "sft"), ("reward", "reward_model"), ("ppo", "sft"), ("rlvf", "rlvf")]
)
def test_a_run_without_the_stage_names_the_command(
    stage: str, place: str, small_data: DataSources, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "run", "pretrain")
    with pytest.raises(UserError, match=rf"{place}: no checkpoint here yet; make one with: python train.py --stage"):
        pages(stage, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("stage", STAGES)
def test_one_models_folder_is_no_run(stage: str, small_data: DataSources, tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path, "sft")
    with pytest.raises(UserError, match="is one model; --stage needs the folder of a run"):
        pages(stage, checkpoint=directory)
