"""What is walked through: a checkpoint, or a fresh model."""

from __future__ import annotations

from pathlib import Path

from scratchgpt.inside.walkthrough.subject import fresh_subject, load_subject
from tests.tiny import save_checkpoint


def test_a_run_gives_its_pretrained_model_and_nothing_a_fresh_one(tmp_path: Path) -> None:
    assert load_subject(None, ["我"], 0).directory is None
    for stage in ("pretrain", "sft"):
        save_checkpoint(tmp_path, stage)
    assert load_subject(tmp_path, ["我"], 0).directory == tmp_path / "pretrain"


def test_a_fresh_model_knows_the_sentence_and_common_characters() -> None:
    fresh = fresh_subject(["龘 爱"], 0)
    assert len(fresh.tokenizer) > 500 and fresh.tokenizer.decode(fresh.tokenizer.encode("龘的小猫")) == "龘的小猫"
