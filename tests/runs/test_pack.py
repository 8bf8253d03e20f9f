"""A packed run: half as large, loaded as it was, with a report and a card that says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.models.weights import stored_arrays
from scratchgpt.runs.pack import CARD_FILE, CHINESE_CARD_FILE, PACKED, in_float16, pack
from scratchgpt.runs.report import Measure, StageResult, save_result
from scratchgpt.stages.run_folder import load_model, stage_directory
from scratchgpt.tokenizer import load_tokenizer
from scratchgpt.training.checkpoints import load_reward_model
from tests.tiny import files_in, save_checkpoint, tiny_tokenizer


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    """A folder with the stages that travel, untrained, and a report."""
    out = tmp_path / "run"
    for seed, stage in enumerate(("pretrain", "sft", "rlvf")):
        save_checkpoint(out, stage, seed)
    reward = stage_directory(out, "reward")
    RewardModel.from_pretrained(GPT.from_pretrained(out / "sft"), seed=5).save_pretrained(reward)
    tiny_tokenizer().save_pretrained(reward)
    for number, stage in enumerate(PACKED):
        measure = Measure(stage, "verified accuracy on tasks", 0.5, 0.75 + number / 100, 1400)
        save_result(stage_directory(out, stage), StageResult(stage, [measure], seconds=90.0, settings={"seed": 3}))
    (out / "report.html").write_text("the report", encoding="utf-8")
    return out


def test_every_model_is_half_as_large_and_within_a_rounding(finished_run: Path, tmp_path: Path) -> None:
    pack(finished_run, tmp_path / "packed")
    for stage in PACKED:
        there, here = (stage_directory(run, stage) for run in (finished_run, tmp_path / "packed"))
        assert {array.format for array in stored_arrays(here).values()} == {"F16"}
        size = {directory: (directory / "model.safetensors").stat().st_size for directory in (there, here)}
        assert size[here] < 0.55 * size[there]
        if stage == "reward":
            models = [load_reward_model(directory, load_tokenizer(directory)) for directory in (there, here)]
        else:
            models = [load_model(run, stage)[0] for run in (finished_run, tmp_path / "packed")]
        before, after = (model.state_dict() for model in models)
        for name, array in before.items():
            assert after[name].dtype == np.float32
            np.testing.assert_allclose(after[name], array, rtol=2**-11, atol=2**-24)
            np.testing.assert_array_equal(after[name], array.astype(np.float16).astype(np.float32))


def test_report_and_cards_travel_along(finished_run: Path, tmp_path: Path) -> None:
    pack(finished_run, tmp_path / "packed")
    assert (tmp_path / "packed" / "report.html").read_text(encoding="utf-8") == "the report"
    for name in (CARD_FILE, CHINESE_CARD_FILE):
        card = (tmp_path / "packed" / name).read_text(encoding="utf-8")
        assert "| rlvf | verified accuracy on tasks ↑ | 0.5 | 0.78 | 1,400 |" in card
        assert "seed 3" in card
    parameters = sum(array.size for array in GPT.from_pretrained(finished_run / "pretrain").state_dict().values())
    assert f"{parameters:,}" in (tmp_path / "packed" / CARD_FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["rlvf/model.safetensors", "report.html"])
def test_an_unfinished_run_is_refused_and_the_older_package_kept(
    finished_run: Path, tmp_path: Path, missing: str
) -> None:
    pack(finished_run, tmp_path / "packed")
    before = files_in(tmp_path / "packed")
    (finished_run / missing).unlink()
    with pytest.raises(UserError, match=missing.split("/")[0]):
        pack(finished_run, tmp_path / "packed")
    assert files_in(tmp_path / "packed") == before


def test_a_weight_that_float16_cannot_hold_is_refused_by_its_name() -> None:
    np.testing.assert_array_equal(in_float16(np.array([1.0, 65504.0]), "w"), np.array([1.0, 65504.0], np.float16))
    with pytest.raises(UserError, match="here: w: holds a number that float16 has no place for"):
        in_float16(np.array([1.0, -70000.0], np.float32), "here: w")
