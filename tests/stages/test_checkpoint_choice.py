"""Which model a command means: one folder's own, a stage's by name, or the one that fits what it is to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.checkpoint_choice import load_chosen
from tests.tiny import save_checkpoint, tiny_tokenizer

SEEDS = {"pretrain": 0, "sft": 1, "rlhf": 2}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with three models, each of a seed of its own."""
    for stage, seed in SEEDS.items():
        save_checkpoint(tmp_path, stage, seed)
    return tmp_path


def seed_of(model: LanguageModel) -> int:
    """The seed that the untrained model was made with."""
    (seed,) = [s for s in range(5) if np.array_equal(GPT(model.config, s).token_table.data, model.token_table.data)]
    return seed


@pytest.mark.parametrize(
    ("stage", "plain_text", "chosen"),
    [(None, False, "rlhf"), (None, True, "pretrain"), ("sft", False, "sft"), ("sft", True, "sft")],
)
def test_of_a_run_the_stage_that_is_named_or_fits(out: Path, stage: str | None, plain_text: bool, chosen: str) -> None:
    model, tokenizer, place = load_chosen(out, stage, plain_text)
    assert seed_of(model) == SEEDS[chosen] and place == out / chosen
    assert tokenizer.encode("小猫") == tiny_tokenizer().encode("小猫")


def test_plain_text_is_for_the_most_advanced_where_there_is_no_pretrained_model(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "sft", 3)
    model, _, place = load_chosen(tmp_path, plain_text=True)
    assert seed_of(model) == 3 and place == tmp_path / "sft"


def test_one_models_folder_is_that_model(out: Path) -> None:
    model, tokenizer, place = load_chosen(out / "sft", plain_text=True)
    assert seed_of(model) == SEEDS["sft"] and place == out / "sft"
    assert len(tokenizer) == len(tiny_tokenizer())


def test_what_cannot_be_meant_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no checkpoint yet; train one with"):
        load_chosen(tmp_path / "nowhere")
    with pytest.raises(UserError, match="rlvf: no checkpoint here yet; make one with"):
        load_chosen(out, "rlvf")
    with pytest.raises(UserError, match=r"--stage sft has no effect: .*sft is the folder of one model; leave it out"):
        load_chosen(out / "sft", "sft")


def test_a_reward_model_writes_nothing(tmp_path: Path) -> None:
    sizes = GPTConfig(tiny_tokenizer().vocab_size, emb_dim=8, num_heads=2, num_layers=1, context_size=16)
    RewardModel(sizes).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="a reward model scores texts and writes none; choose another stage's folder"):
        load_chosen(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(out: Path) -> None:
    GPT(GPTConfig(10, emb_dim=8, num_heads=2, num_layers=1, context_size=16)).save_pretrained(out / "sft")
    for checkpoint, stage in ((out / "sft", None), (out, "sft")):
        with pytest.raises(UserError, match="they are not of one run"):
            load_chosen(checkpoint, stage)
