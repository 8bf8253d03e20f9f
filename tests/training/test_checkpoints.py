"""Directories and files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.huggingface import WEIGHTS_FILE
from scratchgpt.models.reward import RewardModel
from scratchgpt.tokenizer import CharTokenizer
from scratchgpt.training.checkpoints import (
    OtherTokenizerError,
    finished,
    load_checkpoint,
    load_reward_model,
    read_arrays,
    recovered,
    replacing,
    write_arrays,
)


def test_a_failure_while_writing_leaves_the_old_directory(tmp_path: Path) -> None:
    target = tmp_path / "sft"
    with replacing(target) as directory:
        (directory / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as directory:
        (directory / "a").write_text("new")
        raise ZeroDivisionError
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["sft"]
    with replacing(target) as directory:
        (directory / "b").write_text("new")
    assert [p.name for p in target.iterdir()] == ["b"]


def test_a_full_disk_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "sft"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(UserError, match=r"sft: cannot be written .*unchanged"), replacing(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (target / "a").read_text() == "old"
    with pytest.raises(IsADirectoryError), replacing(target):  # other errors are ours and stay visible
        raise OSError(errno.EISDIR, "Is a directory")


def test_an_interruption_between_the_two_renames_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "sft.previous").mkdir()
    (tmp_path / "sft.previous" / WEIGHTS_FILE).write_text("old")
    assert finished(tmp_path / "sft")
    assert (tmp_path / "sft" / WEIGHTS_FILE).read_text() == "old"


def test_what_an_interruption_left_aside_does_not_replace_what_is_there(tmp_path: Path) -> None:
    for name, content in (("sft", "new"), ("sft.previous", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / WEIGHTS_FILE).write_text(content)
    assert (recovered(tmp_path / "sft") / WEIGHTS_FILE).read_text() == "new"
    with replacing(tmp_path / "sft") as directory:
        (directory / WEIGHTS_FILE).write_text("newest")
    assert [p.name for p in tmp_path.iterdir()] == ["sft"]


def test_finished_is_what_holds_weights(tmp_path: Path) -> None:
    assert not finished(tmp_path / "sft")
    with replacing(tmp_path / "sft") as directory:
        (directory / "config.json").write_text("{}")
        assert not finished(tmp_path / "sft")
    assert not finished(tmp_path / "sft")
    (tmp_path / "sft" / WEIGHTS_FILE).write_text("")
    assert finished(tmp_path / "sft")


def test_arrays_round_trip_and_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.safetensors"
    write_arrays(path, {"a": np.arange(6.0).reshape(2, 3).T}, {"step": "7"})
    arrays, metadata = read_arrays(path)
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0).reshape(2, 3).T)
    assert metadata["step"] == "7"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_arrays(path, {"a": np.zeros(1)}, {})
    assert read_arrays(path)[1]["step"] == "7"
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="damaged"):
        read_arrays(path)


def test_a_model_that_does_not_fit_its_tokenizer_is_refused(tmp_path: Path, char_tokenizer: CharTokenizer) -> None:
    char_tokenizer.save_pretrained(tmp_path)
    for rows in (len(char_tokenizer), len(char_tokenizer) + 1):  # rows to spare do no harm
        GPT(GPTConfig(rows, emb_dim=8, num_heads=2, num_layers=1, context_size=8)).save_pretrained(tmp_path)
        model, tokenizer = load_checkpoint(tmp_path)
        assert model.config.vocab_size == rows and tokenizer.encode("你好") == char_tokenizer.encode("你好")
    GPT(GPTConfig(9, emb_dim=8, num_heads=2, num_layers=1, context_size=8)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="the model 9; they are not of one run"):
        load_checkpoint(tmp_path)


def test_a_reward_model_of_another_tokenizer_is_refused(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    model = RewardModel(tiny_config, seed=3)
    model.save_pretrained(tmp_path)
    char_tokenizer.save_pretrained(tmp_path)
    again = load_reward_model(tmp_path, char_tokenizer)
    np.testing.assert_array_equal(again.score.weight.data, model.score.weight.data)

    fields = char_tokenizer.contents()
    vocab = fields["model"]["vocab"]
    vocab["红"] = vocab.pop("蓝")  # of the same size, and alike but for one character
    other = CharTokenizer.from_contents(fields, tmp_path)
    assert len(other) == len(char_tokenizer) and other.encode("奖励模型") == char_tokenizer.encode("奖励模型")
    with pytest.raises(OtherTokenizerError, match="another tokenizer than the policy; train it again with: python train"):
        load_reward_model(tmp_path, other)


def test_a_reward_model_that_does_not_fit_its_own_tokenizer_is_refused(
    tmp_path: Path, char_tokenizer: CharTokenizer
) -> None:
    RewardModel(GPTConfig(vocab_size=9, emb_dim=8, num_heads=2, num_layers=1, context_size=8)).save_pretrained(tmp_path)
    char_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="the model 9"):
        load_reward_model(tmp_path, char_tokenizer)
