"""A run's folder: where each stage's files lie, which stages are finished there, and their models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages import ALL
from scratchgpt.stages.run_folder import (
    bring_log_back,
    drop_log_set_aside,
    finished_writers,
    is_finished,
    load_model,
    log_file,
    most_advanced_stage,
    new_checkpoint,
    new_ruined_checkpoint,
    partial_file,
    ruined_directory,
    set_log_aside,
    stage_directory,
)
from tests.tiny import files_in, save_checkpoint, tiny_tokenizer


def test_every_file_of_a_stage_has_its_place() -> None:
    out = Path("out")
    assert stage_directory(out, "sft") == out / "sft"
    assert stage_directory(out, "reward") == out / "reward_model"
    assert partial_file(out, "reward") == out / "reward_model.partial.safetensors"
    assert log_file(out, "reward") == out / "logs" / "reward.jsonl"
    for place in (stage_directory, partial_file):
        with pytest.raises(UserError, match="there is no stage 'dpo'"):
            place(out, "dpo")
        assert len({place(out, stage.name) for stage in ALL}) == len(ALL)


def test_a_stage_is_finished_once_its_weights_are_there(tmp_path: Path) -> None:
    assert not is_finished(tmp_path, "sft")
    (tmp_path / "sft").mkdir()
    assert not is_finished(tmp_path, "sft")
    save_checkpoint(tmp_path, "sft")
    assert is_finished(tmp_path, "sft") and not is_finished(tmp_path, "pretrain")


@pytest.mark.parametrize("ask", [is_finished, stage_directory])
def test_an_interruption_between_the_two_renames_is_repaired(tmp_path: Path, ask) -> None:
    (tmp_path / "sft.previous").mkdir()
    (tmp_path / "sft.previous" / "model.safetensors").write_text("old")
    assert ask(tmp_path, "sft")
    assert (tmp_path / "sft" / "model.safetensors").read_text() == "old"


def test_the_most_advanced_stage_that_writes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint yet; train one with: python train\.py --stage all --out "):
        most_advanced_stage(tmp_path)
    save_checkpoint(tmp_path, "reward_model")  # scores, and writes nothing
    assert finished_writers(tmp_path) == []
    for stage in ("sft", "pretrain", "rlhf"):
        save_checkpoint(tmp_path, stage)
    assert finished_writers(tmp_path) == ["rlhf", "sft", "pretrain"]
    assert most_advanced_stage(tmp_path) == "rlhf"


def test_a_stages_model_is_the_one_that_was_saved(tmp_path: Path) -> None:
    for seed, stage in enumerate(("pretrain", "sft")):
        save_checkpoint(tmp_path, stage, seed)
    model, tokenizer = load_model(tmp_path, "sft")
    np.testing.assert_array_equal(model.token_table.data, GPT(model.config, seed=1).token_table.data)
    assert tokenizer.encode("小猫") == tiny_tokenizer().encode("小猫")


def test_a_stage_that_is_not_finished_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rlvf: no checkpoint here yet; make one with: python train\.py --stage rlvf --out"):
        load_model(tmp_path, "rlvf")


def test_a_model_that_does_not_fit_its_tokenizer_is_refused(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path, "sft")
    GPT(GPTConfig(vocab_size=9, emb_dim=8, num_heads=2, num_layers=1, context_size=8)).save_pretrained(directory)
    with pytest.raises(UserError, match="the model 9"):
        load_model(tmp_path, "sft")


def test_a_new_checkpoint_takes_the_old_ones_place_only_when_it_is_whole(tmp_path: Path) -> None:
    old = save_checkpoint(tmp_path, "sft")
    before = files_in(old)
    with pytest.raises(ZeroDivisionError), new_checkpoint(tmp_path, "sft") as directory:
        (directory / "model.safetensors").write_bytes(b"half")
        raise ZeroDivisionError
    assert files_in(old) == before
    with new_checkpoint(tmp_path, "sft") as directory:
        (directory / "model.safetensors").write_bytes(b"new")
    assert files_in(old) == {"model.safetensors": b"new"}


def test_a_ruined_model_lies_beside_the_checkpoint(tmp_path: Path) -> None:
    old = save_checkpoint(tmp_path, "reward_model")
    before = files_in(old)
    with new_ruined_checkpoint(tmp_path, "reward") as directory:
        (directory / "model.safetensors").write_bytes(b"new")
    assert ruined_directory(tmp_path, "reward") == tmp_path / "reward_model.ruined"
    assert files_in(ruined_directory(tmp_path, "reward")) == {"model.safetensors": b"new"}
    assert files_in(old) == before


def test_the_log_of_a_finished_stage_is_kept_until_another_has_taken_its_place(tmp_path: Path) -> None:
    log = log_file(tmp_path, "sft")
    log.parent.mkdir()

    def trained(text: str) -> None:
        set_log_aside(tmp_path, "sft")
        assert not log.is_file() or log.read_text() == "broken off"
        log.write_text(text)

    save_checkpoint(tmp_path, "sft")
    log.write_text("first")
    trained("broken off")
    trained("ruined")  # what is kept is still the finished one's
    bring_log_back(tmp_path, "sft")
    assert {path.name: path.read_text() for path in log.parent.iterdir()} == {
        "sft.jsonl": "first", "sft.ruined.jsonl": "ruined"
    }  # fmt: skip
    trained("second")
    drop_log_set_aside(tmp_path, "sft")
    assert {path.name for path in log.parent.iterdir()} == {"sft.jsonl", "sft.ruined.jsonl"}
    assert log.read_text() == "second"


def test_a_stage_that_was_never_finished_has_no_log_to_keep(tmp_path: Path) -> None:
    log = log_file(tmp_path, "sft")
    log.parent.mkdir()
    log.write_text("ruined")
    set_log_aside(tmp_path, "sft")
    assert log.read_text() == "ruined"
    bring_log_back(tmp_path, "sft")
    assert [path.name for path in log.parent.iterdir()] == ["sft.ruined.jsonl"]
